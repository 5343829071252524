//! Passwords in the user part of URLs: `postgres://bob:secret@db/app`.

use crate::redact::boundary::{at, before};

/// How far a password in a URL is looked for.
const AUTHORITY_BYTES_MAX: usize = 512;

/// The secret of the URL whose `://` is at `colon`: the password, or a user name that is a key.
pub(in crate::redact) fn find(text: &[u8], colon: usize) -> Option<(usize, usize)> {
    if !before(text, colon).is_ascii_alphanumeric() {
        return None;
    }
    let start = colon + 3;
    let len = text
        .iter()
        .skip(start)
        .take(AUTHORITY_BYTES_MAX)
        .take_while(|b| {
            !b.is_ascii_whitespace() && !matches!(b, b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\')
        })
        .count();
    let token = text.get(start..start + len)?;
    let path = token.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(len);
    let authority = token.get(..path)?;
    let scheme = text.get(..colon)?;
    let is_web = ends_with_ignore_case(scheme, b"http") || ends_with_ignore_case(scheme, b"https");
    let sign = match authority.iter().rposition(|b| *b == b'@') {
        Some(sign) if is_web => sign,
        first => {
            let query = token.iter().position(|b| *b == b'?').unwrap_or(len);
            let last = token.get(..query)?.iter().rposition(|b| *b == b'@');
            match (first, last) {
                (Some(_), last) => last?,
                // No `@` before the first `/`: a password with a slash, unless what stands
                // behind the colon is a port.
                (None, Some(last)) if !is_web && !is_host_and_port(authority) => last,
                _ => return None,
            }
        }
    };
    let user = token.get(..sign)?;
    let secret = match user.iter().position(|b| *b == b':') {
        Some(split) => (split + 1, sign),
        None if is_key(user) => (0, sign),
        None => return None,
    };
    (secret.0 < secret.1).then_some((start + secret.0, start + secret.1))
}

fn ends_with_ignore_case(text: &[u8], end: &[u8]) -> bool {
    text.len()
        .checked_sub(end.len())
        .and_then(|from| text.get(from..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

fn is_host_and_port(authority: &[u8]) -> bool {
    match authority.iter().position(|b| *b == b':') {
        Some(colon) => authority.iter().skip(colon + 1).all(u8::is_ascii_digit),
        None => true,
    }
}

/// A user name that nobody chose: long, letters and digits mixed (the key of a Sentry DSN).
fn is_key(user: &[u8]) -> bool {
    user.len() >= 16
        && user.iter().filter(|b| b.is_ascii_digit()).count() >= 3
        && user.iter().any(u8::is_ascii_alphabetic)
        && user.iter().all(|b| b.is_ascii_alphanumeric() || at(b"_-", 0) == *b || *b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let colon = text.find("://").unwrap();
        let found = find(text.as_bytes(), colon).map(|(start, end)| &text[start..end]);
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn finds_passwords() {
        check("postgres://bob:hunter2@db:5432/app", Some("hunter2"));
        check("redis://:hunter2@cache", Some("hunter2"));
        check("mongodb+srv://u:p@ss:w/rd@host/db?x=a@b", Some("p@ss:w/rd"));
        check("amqp://u:p/w@host/v", Some("p/w"));
        check("https://u:pass@host/path/@me", Some("pass"));
        check("smtp://u%40x.org:p%40ss@host", Some("p%40ss"));
        check(
            "https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/2",
            Some("0123456789abcdef0123456789abcdef"),
        );
    }

    #[test]
    fn leaves_other_urls() {
        for text in [
            "https://host:8080/path@x",
            "ssh://git@github.com/a",
            "https://host/a@b.com",
            "http://host",
            "tcp://127.0.0.1:80/x@y",
            "https://medium.com/@user",
            "://a:b@c",
            "ftp://bob@host",
        ] {
            check(text, None);
        }
    }
}
