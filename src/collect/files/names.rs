//! What the name of a file tells: the service, and whether it is a rotated sibling of another.

use std::path::Path;

/// File names of compressed files are never matched: they are what a rotation left of a file
/// that has been read.
const COMPRESSED: [&str; 8] = ["gz", "zst", "bz2", "xz", "lz4", "z", "zip", "tgz"];

/// Names that say what a log is for and not whose it is.
const GENERIC: [&str; 16] = [
    "access",
    "error",
    "errors",
    "out",
    "output",
    "stdout",
    "stderr",
    "err",
    "log",
    "logs",
    "current",
    "console",
    "debug",
    "info",
    "main",
    "production",
];

/// Folders that hold logs of many services.
const SHARED: [&str; 14] = [
    "log",
    "logs",
    "var",
    "opt",
    "srv",
    "data",
    "current",
    "shared",
    "home",
    "usr",
    "local",
    "tmp",
    "app",
    "containers",
];

pub(super) fn is_compressed(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| COMPRESSED.contains(&extension.to_ascii_lowercase().as_str()))
}

/// The service that writes a file: `/var/log/nginx/access.log` is nginx's, `/var/log/auth.log`
/// is auth's.
pub(in crate::collect) fn service_of(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let file = parts.pop().unwrap_or_default();
    if let ["var", "log", folder, ..] = parts.as_slice() {
        return (*folder).to_owned();
    }
    let stem = stem(file);
    if !stem.is_empty() && !GENERIC.contains(&stem.to_ascii_lowercase().as_str()) {
        return stem.to_owned();
    }
    let folder = parts.iter().rev().find(|folder| !SHARED.contains(folder));
    folder.map_or_else(|| file.to_owned(), |folder| (*folder).to_owned())
}

/// The part of a file name before its extension and before what rotation added.
fn stem(file: &str) -> &str {
    let end = file.find('.').unwrap_or(file.len());
    let stem = file.get(..end).unwrap_or_default();
    stem.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '_'))
}

/// Whether one of the two may be a rotated copy of the other, by their names alone.
pub(super) fn related(a: &Path, b: &Path) -> bool {
    if a.parent() != b.parent() {
        return false;
    }
    let (Some(a), Some(b)) = (a.file_name(), b.file_name()) else { return false };
    let (a, b) = (a.to_string_lossy(), b.to_string_lossy());
    a.starts_with(&*b) || b.starts_with(&*a) || (!stem(&a).is_empty() && stem(&a) == stem(&b))
}

/// Whether `name` is what rotation makes of `original`: `app.log.1`, `app.log-20261120`,
/// `app-2026-11-20.log`, `app.1.log`.
pub(super) fn is_rotated_name(original: &str, name: &str) -> bool {
    let dated = |text: &str| {
        text.bytes().any(|b| b.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_digit() || b"-_.T:Z".contains(&b))
    };
    if let Some(rest) = name.strip_prefix(original) {
        return dated(rest);
    }
    let Some((stem, extension)) = original.split_once('.') else { return false };
    name.strip_prefix(stem)
        .and_then(|rest| rest.strip_suffix(extension))
        .and_then(|rest| rest.strip_suffix('.'))
        .is_some_and(dated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services() {
        for (path, expect) in [
            ("/var/log/nginx/access.log", "nginx"),
            ("/var/log/auth.log", "auth"),
            ("/var/log/syslog", "syslog"),
            ("/var/log/postgresql/postgresql-15-main.log", "postgresql"),
            ("/srv/shop/logs/error.log", "shop"),
            ("/srv/shop/logs/worker-2026-11-20.log", "worker"),
            ("/logs/access.log", "access.log"),
            ("/home/a/app/current/log/production.log", "a"),
        ] {
            assert_eq!(service_of(path), expect, "{path}");
        }
    }

    #[test]
    fn rotated_names() {
        for (original, name, expect) in [
            ("app.log", "app.log.1", true),
            ("app.log", "app.log-20261120", true),
            ("app.log", "app.log.2026-11-20T10:00:00Z", true),
            ("app.log", "app-20261120.log", true),
            ("app.log", "app.1.log", true),
            ("app.log", "app.log.gz", false),
            ("app.log", "app.log", false),
            ("app.log", "apple.log", false),
            ("app.log", "app.log.notes", false),
            ("syslog", "syslog.1", true),
        ] {
            assert_eq!(is_rotated_name(original, name), expect, "{name}");
        }
        let related = |a, b| related(Path::new(a), Path::new(b));
        assert!(related("/a/x.log", "/a/x.log.1"));
        assert!(related("/a/x-1.log", "/a/x.log"));
        assert!(!related("/a/x.log", "/b/x.log"));
        assert!(!related("/a/x.log", "/a/y.log"));
        assert!(is_compressed(Path::new("/a/x.log.GZ")) && !is_compressed(Path::new("/a/x.log")));
    }
}
