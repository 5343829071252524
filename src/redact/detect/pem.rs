//! Private keys in PEM form, on one line or over many.

use memchr::memmem;

use crate::redact::boundary::at;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
/// A header line is no longer than this.
const TITLE_BYTES_MAX: usize = 64;
/// A run of base64 of this length in a line that follows the beginning of a key is part of it.
const LONG_RUN_BYTES_MIN: usize = 40;

/// What a line shows of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::redact) struct Key {
    pub(in crate::redact) start: usize,
    pub(in crate::redact) end: usize,
    /// The end of the key is not on this line.
    pub(in crate::redact) open: bool,
}

/// The private key that begins with the dashes at `start`.
pub(in crate::redact) fn find(text: &[u8], start: usize) -> Option<Key> {
    let rest = text.get(start..)?.strip_prefix(BEGIN)?;
    let title = rest.get(..rest.len().min(TITLE_BYTES_MAX))?;
    let title_end = memmem::find(title, b"-----")?;
    let title = title.get(..title_end)?;
    if !(title.ends_with(b"PRIVATE KEY") || title.ends_with(b"PRIVATE KEY BLOCK")) {
        return None;
    }
    let body = start + BEGIN.len() + title_end + 5;
    let inside = body_end(text, body);
    match memmem::find(text.get(body..inside)?, END) {
        Some(end) => {
            let after_title = body + end + END.len();
            let tail = text.get(after_title..inside)?;
            let tail = tail.get(..tail.len().min(TITLE_BYTES_MAX))?;
            let end = memmem::find(tail, b"-----").map_or(after_title, |at| after_title + at + 5);
            Some(Key { start, end, open: false })
        }
        None => Some(Key { start, end: inside, open: true }),
    }
}

/// Long runs of base64 behind a key that was broken off, as where each of its lines is a string
/// of its own.
pub(in crate::redact) fn remains(text: &[u8], from: usize, mut found: impl FnMut(usize, usize)) {
    let mut i = from;
    while i < text.len() {
        let run = text.iter().skip(i).take_while(|b| is_base64(**b)).count();
        if run >= LONG_RUN_BYTES_MIN {
            found(i, i + run);
        }
        i += run + 1;
    }
}

/// Where the text stops to look like the inside of a key.
fn body_end(text: &[u8], body: usize) -> usize {
    let mut i = body;
    loop {
        i += match at(text, i) {
            // An escape goes whole or not at all.
            b'\\' => {
                let slashes = text.iter().skip(i).take_while(|b| **b == b'\\').count();
                match at(text, i + slashes) {
                    b'n' | b'r' | b'/' => slashes + 1,
                    _ => return i,
                }
            }
            byte if is_base64(byte) || is_header_mark(byte) => 1,
            byte if byte.is_ascii_whitespace() => 1,
            _ => return i,
        };
    }
}

fn is_header_mark(byte: u8) -> bool {
    matches!(byte, b'-' | b',' | b':' | b'.' | b'(' | b')' | b'@' | b'_')
}

/// A line inside of a key: what of it has to go, and whether the key ends here.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::redact) enum Inside {
    Other,
    Part(usize, usize),
    Last(usize, usize),
}

/// Looks at a line that follows a `BEGIN` without an `END`.
pub(in crate::redact) fn inside(text: &[u8]) -> Inside {
    if let Some(end) = memmem::find(text, END) {
        let tail = text.get(end + END.len()..).unwrap_or_default();
        let close = memmem::find(tail, b"-----").map_or(text.len(), |at| end + END.len() + at + 5);
        let start = base64_before(text, end);
        return Inside::Last(start, close);
    }
    let trimmed_start = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let trimmed_end =
        text.len() - text.iter().rev().take_while(|b| b.is_ascii_whitespace()).count();
    let whole = text.get(trimmed_start..trimmed_end).unwrap_or_default();
    let is_header = whole.starts_with(b"Proc-Type:") || whole.starts_with(b"DEK-Info:");
    if is_header || (whole.len() >= 4 && whole.iter().all(|b| is_base64(*b))) {
        return Inside::Part(trimmed_start, trimmed_end);
    }
    // Behind a prefix, or as a field of JSON, only what is long enough counts.
    let mut i = 0;
    while i < text.len() {
        let run = text.iter().skip(i).take_while(|b| is_base64(**b)).count();
        if run >= LONG_RUN_BYTES_MIN {
            return Inside::Part(i, i + run);
        }
        i += run + 1;
    }
    Inside::Other
}

fn base64_before(text: &[u8], end: usize) -> usize {
    let mut start = end;
    while start > 0 {
        let byte = at(text, start - 1);
        let escaped_break =
            matches!(byte, b'n' | b'r') && start >= 2 && at(text, start - 2) == b'\\';
        if !(is_base64(byte)
            || byte == b'\\' && matches!(at(text, start), b'n' | b'r')
            || escaped_break)
        {
            break;
        }
        start -= 1;
    }
    start
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_whole_keys() {
        let text =
            br#"{"k":"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n"}"#;
        let key = find(text, 6).unwrap();
        assert!(!key.open);
        assert_eq!(&text[key.end..], br#"\n"}"#);
    }

    #[test]
    fn finds_beginnings() {
        for (text, rest) in [
            ("-----BEGIN PRIVATE KEY-----", ""),
            ("-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNz", ""),
            (r#"-----BEGIN EC PRIVATE KEY-----\nMIIE\n"}"#, r#""}"#),
            (r#"-----BEGIN EC PRIVATE KEY-----\nMIIE\"}"#, r#"\"}"#),
        ] {
            let key = find(text.as_bytes(), 0).unwrap();
            assert!(key.open);
            assert_eq!(&text[key.end..], rest, "{text}");
        }
    }

    #[test]
    fn leaves_public_parts() {
        assert_eq!(find(b"-----BEGIN CERTIFICATE-----", 0), None);
        assert_eq!(find(b"-----BEGIN PUBLIC KEY-----", 0), None);
        assert_eq!(find(b"-----BEGIN ", 0), None);
    }

    #[test]
    fn knows_lines_inside() {
        assert_eq!(inside(b"  MIIEpAIBAAKCAQEA75+/=="), Inside::Part(2, 24));
        assert_eq!(inside(b"Proc-Type: 4,ENCRYPTED"), Inside::Part(0, 22));
        assert_eq!(inside(b"-----END RSA PRIVATE KEY-----"), Inside::Last(0, 29));
        assert_eq!(inside(b"GET /index.html 200"), Inside::Other);
        let long = "A1b2".repeat(16);
        let line = format!("{{\"log\":\"{long}\"}}");
        assert_eq!(inside(line.as_bytes()), Inside::Part(8, 72));
    }
}
