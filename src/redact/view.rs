//! A line as its reader sees it: escapes decoded, color codes and invisible characters taken
//! out, each place mapped back to the raw bytes.

use super::boundary::at;

/// Decoded text over a raw line.
pub(super) struct View<'a> {
    raw: &'a [u8],
    decoded: Vec<u8>,
    segments: Vec<Segment>,
}

/// How color codes read: as nothing, since they may split a token, or as a blank, since they may
/// be all that separates two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colors {
    Nothing,
    Blank,
}

/// A run of decoded bytes that are the raw bytes themselves, or one decoded unit.
struct Segment {
    decoded: usize,
    raw: usize,
    raw_len: usize,
    verbatim: bool,
}

/// One place that reads otherwise than its bytes.
struct Unit {
    raw_len: usize,
    /// `None`: invisible.
    byte: Option<u8>,
    /// Whether it hides what plain reading would find.
    hides: bool,
    color: bool,
}

impl<'a> View<'a> {
    pub(super) fn new(raw: &'a [u8], colors: Colors) -> Self {
        let mut view = View { raw, decoded: Vec::with_capacity(raw.len()), segments: Vec::new() };
        let mut run = 0;
        let mut i = 0;
        while i < raw.len() {
            if !is_special(at(raw, i)) {
                i += 1;
                continue;
            }
            let Some(unit) = unit_at(raw, i) else {
                i += 1;
                continue;
            };
            view.verbatim(run, i);
            let byte = match unit.byte {
                None if unit.color && colors == Colors::Blank => Some(b' '),
                byte => byte,
            };
            if let Some(byte) = byte {
                let decoded = view.decoded.len();
                let segment = Segment { decoded, raw: i, raw_len: unit.raw_len, verbatim: false };
                view.segments.push(segment);
                view.decoded.push(byte);
            }
            i += unit.raw_len;
            run = i;
        }
        view.verbatim(run, raw.len());
        view
    }

    fn verbatim(&mut self, from: usize, to: usize) {
        if from < to {
            let decoded = self.decoded.len();
            let segment = Segment { decoded, raw: from, raw_len: to - from, verbatim: true };
            self.segments.push(segment);
            self.decoded.extend_from_slice(self.raw.get(from..to).unwrap_or_default());
        }
    }

    /// Whether color codes stand in a text.
    pub(super) fn has_colors(raw: &[u8]) -> bool {
        memchr::memchr(0x1b, raw).is_some()
            || memchr::memmem::find(raw, b"\\u001b[").is_some()
            || memchr::memmem::find(raw, b"\\u001B[").is_some()
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.decoded
    }

    /// The raw bytes behind a range of decoded ones.
    pub(super) fn raw_range(&self, start: usize, end: usize) -> (usize, usize) {
        let (raw_start, _) = self.raw_unit(start);
        let (_, raw_end) = self.raw_unit(end.saturating_sub(1).max(start));
        (raw_start, raw_end)
    }

    fn raw_unit(&self, decoded: usize) -> (usize, usize) {
        let index = self.segments.partition_point(|s| s.decoded <= decoded).saturating_sub(1);
        match self.segments.get(index) {
            Some(s) if s.verbatim => {
                let start = s.raw + (decoded - s.decoded).min(s.raw_len);
                (start, (start + 1).min(self.raw.len()))
            }
            Some(s) => (s.raw, s.raw + s.raw_len),
            None => (self.raw.len(), self.raw.len()),
        }
    }
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'\\' | b'%' | 0x1b | 0xc2 | 0xe2 | 0xef)
}

/// Whether the escape at `i` hides something that a scan of the raw bytes would miss.
pub(super) fn hides_at(raw: &[u8], i: usize) -> bool {
    unit_at(raw, i).is_some_and(|unit| unit.hides)
}

pub(super) fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn hex_pair(raw: &[u8], i: usize) -> Option<u8> {
    Some(hex(at(raw, i))? << 4 | hex(at(raw, i + 1))?)
}

fn unit_at(raw: &[u8], i: usize) -> Option<Unit> {
    let unit = |raw_len, byte, hides| Some(Unit { raw_len, byte, hides, color: false });
    let color = |raw_len| Some(Unit { raw_len, byte: None, hides: true, color: true });
    match at(raw, i) {
        b'\\' => {
            let slashes = raw.iter().skip(i).take(64).take_while(|b| **b == b'\\').count();
            let next = i + slashes;
            match at(raw, next) {
                b'n' | b'r' => unit(slashes + 1, Some(b'\n'), false),
                b't' => unit(slashes + 1, Some(b'\t'), false),
                b'"' => unit(slashes + 1, Some(b'"'), false),
                b'/' => unit(slashes + 1, Some(b'/'), true),
                b'u' => {
                    let code = u16::from(hex_pair(raw, next + 1)?) << 8
                        | u16::from(hex_pair(raw, next + 3)?);
                    if code == 0x1b {
                        return color(slashes + 5 + color_len(raw, next + 5)?);
                    }
                    if is_invisible(code) {
                        return unit(slashes + 5, None, true);
                    }
                    match u8::try_from(code) {
                        Ok(byte @ (b' '..=b'~' | b'\n' | b'\t')) => {
                            unit(slashes + 5, Some(byte), true)
                        }
                        Ok(0xa0) => unit(slashes + 5, Some(b' '), true),
                        _ => None,
                    }
                }
                _ => None,
            }
        }
        b'%' => {
            // `%2540` is a percent sign that was itself escaped, any number of times.
            let mut digits = i + 1;
            while at(raw, digits) == b'2' && at(raw, digits + 1) == b'5' && digits < i + 16 {
                if hex_pair(raw, digits + 2).is_none() {
                    break;
                }
                digits += 2;
            }
            match hex_pair(raw, digits)? {
                byte @ b' '..=b'~' => unit(digits + 2 - i, Some(byte), true),
                _ => None,
            }
        }
        0x1b => color(1 + color_len(raw, i + 1)?),
        0xc2 => match at(raw, i + 1) {
            0xa0 => unit(2, Some(b' '), true),
            0xad => unit(2, None, true),
            _ => None,
        },
        0xe2 => match (at(raw, i + 1), at(raw, i + 2)) {
            (0x80, 0x8b..=0x8f) | (0x81, 0xa0) => unit(3, None, true),
            (0x80, 0x90..=0x95) => unit(3, Some(b'-'), true),
            (0x80, 0xaf) => unit(3, Some(b' '), true),
            _ => None,
        },
        0xef if at(raw, i + 1) == 0xbb && at(raw, i + 2) == 0xbf => unit(3, None, true),
        _ => None,
    }
}

/// Length of `[1;31m` behind an escape character.
pub(super) fn color_len(raw: &[u8], i: usize) -> Option<usize> {
    if at(raw, i) != b'[' {
        return None;
    }
    let parameters =
        raw.iter().skip(i + 1).take(24).take_while(|b| matches!(b, b'0'..=b'?')).count();
    at(raw, i + 1 + parameters).is_ascii_alphabetic().then_some(parameters + 2)
}

fn is_invisible(code: u16) -> bool {
    matches!(code, 0x200b..=0x200f | 0x2060 | 0xfeff | 0xad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expect: &str) {
        let view = View::new(raw.as_bytes(), Colors::Nothing);
        assert_eq!(String::from_utf8_lossy(view.text()), expect);
        assert_eq!(view.raw_range(0, view.text().len()), (0, raw.len()), "{raw}");
    }

    #[test]
    fn decodes() {
        check(r"a\u0040b", "a@b");
        check(r"a\\\u0040b", "a@b");
        check(r"http:\/\/x", "http://x");
        check(r#"{\"a\":\"b\"}"#, r#"{"a":"b"}"#);
        check(r"a\nb\tc\\d", "a\nb\tc\\\\d");
        check("a%40b%2540c%252540d", "a@b@c@d");
        check("100% a%zz%", "100% a%zz%");
        check("a\u{1b}[1;31mb", "ab");
        check(r"a\u001b[0mb", "ab");
        check("a\u{200b}b\u{ad}c\u{feff}d\u{a0}e\u{2011}f", "abcd e-f");
        check("\u{e9}\u{20ac}x", "\u{e9}\u{20ac}x");
    }

    #[test]
    fn maps_back() {
        let raw = r"x a%40b y";
        let view = View::new(raw.as_bytes(), Colors::Nothing);
        assert_eq!(view.text(), b"x a@b y");
        assert_eq!(view.raw_range(2, 5), (2, 7));
        assert_eq!(view.raw_range(6, 7), (8, 9));
    }
}
