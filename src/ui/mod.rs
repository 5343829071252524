//! The side door for people: static files inside the binary. Knows nothing but its own paths.

/// A file of the page.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Path under `/`, for instance `ui/app.css`; the page itself is `""`.
    pub path: &'static str,
    pub content_type: &'static str,
    pub body: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($path:literal, $file:literal, $content_type:expr) => {
        Asset {
            path: $path,
            content_type: $content_type,
            body: include_str!(concat!("page/", $file)),
        }
    };
}

/// Everything the page is made of.
pub const ASSETS: &[Asset] = &[
    asset!("", "index.html", HTML),
    asset!("ui/style.css", "style.css", CSS),
    asset!("ui/main.js", "main.js", JS),
    asset!("ui/api.js", "api.js", JS),
    asset!("ui/query.js", "query.js", JS),
    asset!("ui/list.js", "list.js", JS),
    asset!("ui/row.js", "row.js", JS),
    asset!("ui/histogram.js", "histogram.js", JS),
    asset!("ui/alerts.js", "alerts.js", JS),
    asset!("ui/icon.svg", "icon.svg", SVG),
];

/// Only our own scripts, styles and connections: a log line can never become code.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_import_of_the_page_is_served() {
        for asset in ASSETS {
            for (_, rest) in asset
                .body
                .match_indices("from \"./")
                .map(|(at, m)| (at, &asset.body[at + m.len()..]))
            {
                let file = rest.split('"').next().unwrap_or_default();
                let path = format!("ui/{file}");
                assert!(ASSETS.iter().any(|a| a.path == path), "{} imports {path}", asset.path);
            }
            assert!(!asset.body.contains("innerHTML"), "{}: log text must stay text", asset.path);
        }
    }
}
