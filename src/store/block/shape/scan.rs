//! Cuts lines into what stays and what varies. Strict: what is called JSON or logfmt here is
//! well-formed beyond doubt, since queries skip their own parsers for it.

use crate::store::read::{Format, HoleKind};
use crate::store::tokens::{DIGIT, class};

/// A line with more values than this is a table of its own; it is kept whole.
pub(super) const HOLES_MAX: usize = 128;
/// Objects in objects. Deeper ones are rare and would only cost stack.
const DEPTH_MAX: usize = 16;
/// Longer numbers are not numbers that anybody counts with. It also keeps every number inside
/// the range of a double, so that all parsers take it.
const NUMBER_BYTES_MAX: usize = 64;
const EXPONENT_DIGITS_MAX: usize = 2;

/// Places in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub from: u32,
    pub to: u32,
}

impl Span {
    pub fn new(from: usize, to: usize) -> Span {
        Span { from: from as u32, to: to as u32 }
    }

    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.from as usize..self.to as usize).unwrap_or_default()
    }
}

/// The holes of a line. Reused from line to line.
#[derive(Debug, Default)]
pub(super) struct Holes {
    pub spans: Vec<Span>,
    pub kinds: Vec<HoleKind>,
    /// The keys of all holes one after the other, and where those of each hole end.
    pub keys: Vec<Span>,
    pub path_ends: Vec<u32>,
    path: Vec<Span>,
}

impl Holes {
    pub fn clear(&mut self) {
        self.spans.clear();
        self.kinds.clear();
        self.keys.clear();
        self.path_ends.clear();
        self.path.clear();
    }

    fn push(&mut self, from: usize, to: usize, kind: HoleKind) -> Option<()> {
        if self.spans.len() == HOLES_MAX {
            return None;
        }
        self.spans.push(Span::new(from, to));
        self.kinds.push(kind);
        self.keys.extend_from_slice(&self.path);
        self.path_ends.push(self.keys.len() as u32);
        Some(())
    }

    pub fn path(&self, hole: usize) -> &[Span] {
        let end = |hole: usize| self.path_ends.get(hole).map_or(0, |end| *end as usize);
        let from = hole.checked_sub(1).map_or(0, end);
        self.keys.get(from..end(hole)).unwrap_or_default()
    }
}

/// Finds the holes of a line; `None` when it does not lend itself to a shape.
pub(super) fn scan(line: &[u8], holes: &mut Holes) -> Option<Format> {
    if line.first().is_some_and(|byte| *byte == b'{' || is_json_space(*byte)) {
        holes.clear();
        if json(line, holes).is_some() {
            return Some(Format::Json);
        }
    } else {
        holes.clear();
        if logfmt(line, holes).is_some() {
            return Some(Format::Logfmt);
        }
    }
    holes.clear();
    text(line, holes)?;
    Some(Format::Text)
}

/// The same with larger holes, for lines whose words vary: everything between white space,
/// quotes and brackets that holds a digit or a sign inside, and quoted text.
pub(super) fn scan_coarse(line: &[u8], holes: &mut Holes) -> Option<Format> {
    holes.clear();
    coarse(line, holes)?;
    Some(Format::Text)
}

fn is_json_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn skip_space(line: &[u8], mut at: usize) -> usize {
    while line.get(at).copied().is_some_and(is_json_space) {
        at += 1;
    }
    at
}

const STRING_END: u8 = 1;
const BARE_END: u8 = 2;

/// Which bytes end the inside of a quoted string, and a bare value.
static ENDS: [u8; 256] = ends();

const fn ends() -> [u8; 256] {
    let mut ends = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte < b' ' || byte == 0x7f || byte == b'"' || byte == b'\\' {
            ends[at] |= STRING_END | BARE_END;
        }
        if byte == b' ' || byte == b'=' {
            ends[at] |= BARE_END;
        }
        at += 1;
    }
    ends
}

/// The place of the closing quote of a string whose inside starts at `at`; `None` when there is
/// none, or a backslash or control character before it.
#[inline]
pub(super) fn string_end(line: &[u8], at: usize) -> Option<usize> {
    let inside = line.get(at..)?;
    let length = inside.iter().position(|byte| ENDS[*byte as usize] & STRING_END != 0)?;
    (inside.get(length) == Some(&b'"')).then_some(at + length)
}

/// The end of a bare value of at least one byte, which is a space or the end of the line.
#[inline]
pub(super) fn bare_end(line: &[u8], at: usize) -> Option<usize> {
    let inside = line.get(at..)?;
    let length =
        inside.iter().position(|byte| ENDS[*byte as usize] & BARE_END != 0).unwrap_or(inside.len());
    (length > 0 && matches!(inside.get(length), None | Some(b' '))).then_some(at + length)
}

/// The end of the JSON number at `at`.
#[inline]
pub(super) fn number_end(line: &[u8], at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        while line.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut end = at + usize::from(line.get(at) == Some(&b'-'));
    match line.get(end)? {
        b'0' => end += 1,
        b'1'..=b'9' => end = digits(end),
        _ => return None,
    }
    if line.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == end + 1 {
            return None;
        }
        end = fraction;
    }
    if matches!(line.get(end), Some(b'e' | b'E')) {
        let from = end + 1 + usize::from(matches!(line.get(end + 1), Some(b'+' | b'-')));
        end = digits(from);
        if end == from || end - from > EXPONENT_DIGITS_MAX {
            return None;
        }
    }
    (end - at <= NUMBER_BYTES_MAX).then_some(end)
}

#[inline]
pub(super) fn bool_end(line: &[u8], at: usize) -> Option<usize> {
    let rest = line.get(at..)?;
    if rest.starts_with(b"true") {
        Some(at + 4)
    } else if rest.starts_with(b"false") {
        Some(at + 5)
    } else {
        None
    }
}

/// The end of an array that is not empty.
pub(super) fn array_end(line: &[u8], at: usize) -> Option<usize> {
    if line.get(at) != Some(&b'[') || line.get(skip_space(line, at + 1)) == Some(&b']') {
        return None;
    }
    any_end(line, at, 0)
}

/// The end of any JSON value without a backslash in it.
fn any_end(line: &[u8], at: usize, depth: usize) -> Option<usize> {
    if depth > DEPTH_MAX {
        return None;
    }
    match line.get(at)? {
        b'"' => Some(string_end(line, at + 1)? + 1),
        b't' | b'f' => bool_end(line, at),
        b'n' => line.get(at..)?.starts_with(b"null").then_some(at + 4),
        open @ (b'[' | b'{') => {
            let close = if *open == b'[' { b']' } else { b'}' };
            let mut at = skip_space(line, at + 1);
            if line.get(at) == Some(&close) {
                return Some(at + 1);
            }
            loop {
                if *open == b'{' {
                    if line.get(at) != Some(&b'"') {
                        return None;
                    }
                    at = skip_space(line, string_end(line, at + 1)? + 1);
                    if line.get(at) != Some(&b':') {
                        return None;
                    }
                    at = skip_space(line, at + 1);
                }
                at = skip_space(line, any_end(line, at, depth + 1)?);
                match line.get(at)? {
                    b',' => at = skip_space(line, at + 1),
                    byte if *byte == close => return Some(at + 1),
                    _ => return None,
                }
            }
        }
        _ => number_end(line, at),
    }
}

fn json(line: &[u8], holes: &mut Holes) -> Option<()> {
    let at = skip_space(line, 0);
    let end = object(line, at, holes)?;
    (skip_space(line, end) == line.len()).then_some(())
}

fn object(line: &[u8], at: usize, holes: &mut Holes) -> Option<usize> {
    if line.get(at) != Some(&b'{') || holes.path.len() >= DEPTH_MAX {
        return None;
    }
    let mut at = skip_space(line, at + 1);
    if line.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        if line.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(line, at + 1)?;
        holes.path.push(Span::new(at + 1, key_end));
        at = skip_space(line, key_end + 1);
        if line.get(at) != Some(&b':') {
            return None;
        }
        at = skip_space(line, at + 1);
        let end = match line.get(at)? {
            b'"' => {
                let end = string_end(line, at + 1)?;
                holes.push(at + 1, end, HoleKind::String)?;
                end + 1
            }
            b'{' => object(line, at, holes)?,
            b'[' => {
                let end = any_end(line, at, 0)?;
                if line.get(skip_space(line, at + 1)) != Some(&b']') {
                    holes.push(at, end, HoleKind::Array)?;
                }
                end
            }
            b'n' => line.get(at..)?.starts_with(b"null").then_some(at + 4)?,
            b't' | b'f' => {
                let end = bool_end(line, at)?;
                holes.push(at, end, HoleKind::Bool)?;
                end
            }
            _ => {
                let end = number_end(line, at)?;
                holes.push(at, end, HoleKind::Number)?;
                end
            }
        };
        holes.path.pop();
        at = skip_space(line, end);
        match line.get(at)? {
            b',' => at = skip_space(line, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn logfmt(line: &[u8], holes: &mut Holes) -> Option<()> {
    let mut seen: [Span; HOLES_MAX] = [Span { from: 0, to: 0 }; HOLES_MAX];
    let mut pairs = 0;
    let mut at = 0;
    loop {
        let start = at;
        while line
            .get(at)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        {
            at += 1;
        }
        if at == start || line.get(at) != Some(&b'=') {
            return None;
        }
        let key = Span::new(start, at);
        let before = seen.get(..pairs)?;
        if before.iter().any(|other| other.of(line) == key.of(line)) {
            return None;
        }
        *seen.get_mut(pairs)? = key;
        pairs += 1;
        at += 1;
        holes.path.clear();
        holes.path.push(key);
        match line.get(at) {
            None => return Some(()),
            Some(b' ') => {}
            Some(b'"') => {
                let end = string_end(line, at + 1)?;
                holes.push(at + 1, end, HoleKind::Quoted)?;
                at = end + 1;
            }
            Some(_) => {
                let end = bare_end(line, at)?;
                holes.push(at, end, HoleKind::Bare)?;
                at = end;
            }
        }
        match line.get(at) {
            None => return Some(()),
            Some(b' ') => at += 1,
            Some(_) => return None,
        }
    }
}

/// The end of the token at `at`, and whether it holds a digit. A token begins and ends at the
/// borders of the tokens that blocks are found by. Numbers that are joined by signs, as in
/// addresses and times, are one.
#[inline]
pub(super) fn token_end(line: &[u8], at: usize) -> (usize, bool) {
    let mut end = at;
    let mut classes = 0;
    while let Some(class) = line.get(end).map(|byte| class(*byte)).filter(|class| *class != 0) {
        classes |= class;
        end += 1;
    }
    if end - at == 8 && line.get(end) == Some(&b'-') && is_uuid(line, at) {
        return (at + UUID_BYTES, true);
    }
    if classes & DIGIT == 0 {
        return (end, false);
    }
    (joined_end(line, at, end), true)
}

const UUID_BYTES: usize = 36;

fn is_uuid(line: &[u8], at: usize) -> bool {
    let Some(text) = line.get(at..at + UUID_BYTES) else { return false };
    let after = line.get(at + UUID_BYTES).map_or(0, |byte| class(*byte));
    after == 0
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_digit_at(line: &[u8], at: usize) -> bool {
    line.get(at).is_some_and(u8::is_ascii_digit)
}

fn is_word_at(line: &[u8], at: usize) -> bool {
    line.get(at).is_some_and(|byte| class(*byte) != 0)
}

/// Goes on over signs that stand between two digits.
fn joined_end(line: &[u8], start: usize, mut end: usize) -> usize {
    loop {
        let sign = line.get(end).copied().unwrap_or_default();
        let joins = match sign {
            b'.' | b':' | b'-' | b',' => is_digit_at(line, end - 1) && is_digit_at(line, end + 1),
            // A date and a time with a space between.
            b' ' => {
                end - start == 10
                    && line.get(start + 4) == Some(&b'-')
                    && is_digit_at(line, end - 1)
                    && is_digit_at(line, end + 1)
                    && line.get(end + 3) == Some(&b':')
            }
            // 20/Nov/2026:10:00:00
            b'/' => {
                (end - start == 2 && line.get(end + 4) == Some(&b'/'))
                    && is_digit_at(line, end - 1)
                    && is_digit_at(line, end + 5)
                    && line.get(end + 9) == Some(&b':')
                    && line
                        .get(end + 1..end + 4)
                        .is_some_and(|month| month.iter().all(u8::is_ascii_alphabetic))
            }
            _ => false,
        };
        if !joins {
            return end;
        }
        end += if sign == b'/' { 5 } else { 1 };
        while is_word_at(line, end) {
            end += 1;
        }
    }
}

fn text(line: &[u8], holes: &mut Holes) -> Option<()> {
    let mut at = 0;
    while at < line.len() {
        if !is_word_at(line, at) {
            at += 1;
            continue;
        }
        let (end, is_hole) = token_end(line, at);
        if is_hole {
            holes.push(at, end, HoleKind::Token)?;
        }
        at = end;
    }
    Some(())
}

fn coarse(line: &[u8], holes: &mut Holes) -> Option<()> {
    let ends = |byte: u8| byte.is_ascii_whitespace() || b"\"'()[]{}<>,;=".contains(&byte);
    let mut at = 0;
    while at < line.len() {
        let byte = line.get(at).copied().unwrap_or_default();
        if byte == b'"'
            && let Some(end) = line.get(at + 1..).and_then(|rest| memchr::memchr(b'"', rest))
        {
            if end > 0 {
                holes.push(at + 1, at + 1 + end, HoleKind::Token)?;
            }
            at += end + 2;
            continue;
        }
        if ends(byte) {
            at += 1;
            continue;
        }
        let start = at;
        let mut plain = true;
        while let Some(byte) = line.get(at).copied().filter(|byte| !ends(*byte)) {
            plain &= byte.is_ascii_alphabetic() || byte == b':' || byte == b'.';
            at += 1;
        }
        if !plain {
            holes.push(start, at, HoleKind::Token)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, format: Format, expect: &[&str]) {
        let mut holes = Holes::default();
        assert_eq!(scan(line.as_bytes(), &mut holes), Some(format), "{line}");
        let found: Vec<&str> = holes
            .spans
            .iter()
            .map(|span| std::str::from_utf8(span.of(line.as_bytes())).unwrap())
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn finds_what_varies() {
        check(
            r#" {"a":"x","b":{"c":-1.50e5,"d":null,"e":[]},"f":[1, {"g":"h"}],"i":true} "#,
            Format::Json,
            &["x", "-1.50e5", r#"[1, {"g":"h"}]"#, "true"],
        );
        check("{}", Format::Json, &[]);
        check("a=b c= d=\"e f\" g=\"\" h", Format::Text, &[]);
        check("a=b c= d=\"e f\" g=\"\" h=\u{e9}", Format::Logfmt, &["b", "e f", "", "\u{e9}"]);
        check("a=b a=c", Format::Text, &[]);
        check(
            "2026-11-20 09:00:01,123 INFO [pool-1-thread-20] a.b.C - took 12 ms",
            Format::Text,
            &["2026-11-20 09:00:01,123", "1", "20", "12"],
        );
        check(
            "10.0.0.1 - - [20/Nov/2026:09:00:01 +0000] \"GET /v1?id=5 HTTP/1.1\" user_77",
            Format::Text,
            &["10.0.0.1", "20/Nov/2026:09:00:01", "0000", "v1", "5", "1.1", "77"],
        );
        check(
            "id abcdefab-1234-abcd-abcd-0123456789ab. x-1-y",
            Format::Text,
            &["abcdefab-1234-abcd-abcd-0123456789ab", "1"],
        );
    }

    #[test]
    fn is_strict() {
        for line in [
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":.5}"#,
            r#"{"a":+1}"#,
            r#"{"a":1e}"#,
            r#"{"a":1e999}"#,
            r#"{"a":nul}"#,
            r#"{"a":truee}"#,
            r#"{"a":"b\n"}"#,
            r#"{"a\u0062":"b"}"#,
            "{\"a\":\"b\tc\"}",
            r#"{"a":1,}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":["\\"]}"#,
            r#"{"a" 1}"#,
            r#"{'a':1}"#,
            r#"{"a":1}}"#,
            r#"{"a":1} x"#,
            r#"{"a":1"#,
            r#"[1]"#,
            " a=b",
            "a=b ",
            "a=b  c=d",
            "a=b c",
            "a=\"b\"c",
            "a=b\"c",
            "a=b=c",
            "a=b\\c",
            "a=\"b\\\"\"",
            "=b",
            "\u{e9}=b",
            "",
        ] {
            let mut holes = Holes::default();
            assert_eq!(scan(line.as_bytes(), &mut holes), Some(Format::Text), "{line}");
        }
    }
}
