//! Cookies: the values go, the names stay.

use super::value::{self, Shape};
use crate::redact::boundary::at;
use crate::redact::json::InString;

/// Names in `Set-Cookie` that are not cookies.
const ATTRIBUTES: [&[u8]; 8] =
    [b"path", b"domain", b"expires", b"max-age", b"samesite", b"version", b"priority", b"comment"];

/// The values of a cookie header whose name ends at `name_end`.
pub(in crate::redact) fn find(
    text: &[u8],
    name_end: usize,
    outer: Option<InString>,
    work: &mut usize,
    mut found: impl FnMut(usize, usize),
) {
    let Some(start) = header_value(text, name_end) else { return };
    // A name in plain quotes is itself a string, which ends before the value.
    let outer = outer.filter(|_| at(text, name_end) != b'"');
    let (start, end) = extent(text, start, outer, work);
    let mut i = start;
    while i < end {
        let pair_end = text
            .get(i..end)
            .and_then(|rest| rest.iter().position(|b| matches!(b, b';' | b',')))
            .map_or(end, |len| i + len);
        if let Some(equals) =
            text.get(i..pair_end).and_then(|pair| pair.iter().position(|b| *b == b'='))
        {
            let name = text.get(i..i + equals).unwrap_or_default().trim_ascii();
            let (from, to) = trim(text, i + equals + 1, pair_end);
            if from < to && !ATTRIBUTES.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                found(from, to);
            }
        }
        i = pair_end + 1;
    }
}

fn trim(text: &[u8], mut from: usize, mut to: usize) -> (usize, usize) {
    let edge = |b: u8| matches!(b, b' ' | b'"' | b'\'' | b'\\' | b']' | b'}' | b')');
    while from < to && edge(at(text, from)) {
        from += 1;
    }
    while from < to && edge(at(text, to - 1)) {
        to -= 1;
    }
    (from, to)
}

fn header_value(text: &[u8], name_end: usize) -> Option<usize> {
    let mut i = name_end;
    i += value::quote_at(text, i).map_or(0, value::Quote::len);
    i = value::skip_blanks(text, i);
    i += match (at(text, i), at(text, i + 1)) {
        (b'=', b'>') => 2,
        (b':' | b'=', _) => 1,
        _ => return None,
    };
    Some(value::skip_blanks(text, i))
}

fn extent(text: &[u8], start: usize, outer: Option<InString>, work: &mut usize) -> (usize, usize) {
    match value::value_at(text, start, outer, work) {
        Some(value) if matches!(value.shape, Shape::Quoted(_)) => (value.start, value.end),
        Some(value) if value.shape == Shape::Nested => (value.start + 1, value.end - 1),
        _ => {
            // Bare: to the end of the header, which is the end of the line or of the text
            // around it.
            let rest = text.get(start..text.len().min(start + 16 * 1024)).unwrap_or_default();
            let len = rest
                .iter()
                .position(|b| {
                    matches!(b, b'"' | b'\'' | b'\n' | b'\\' | b'`' | b'<' | b'{' | b'}' | b'|')
                })
                .unwrap_or(rest.len());
            *work += len;
            (start, start + len)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &[&str]) {
        let mut all = Vec::new();
        find(text.as_bytes(), "Cookie".len(), None, &mut 0, |s, e| all.push(&text[s..e]));
        assert_eq!(all, expect, "{text}");
    }

    #[test]
    fn finds_values() {
        check("Cookie: a=1; b=xyz", &["1", "xyz"]);
        check("Cookie: sid=abc; Path=/; HttpOnly; Max-Age=3", &["abc"]);
        check(r#"Cookie":"a=1; b=2","x":"c=3""#, &["1", "2"]);
        check(r#"Cookie\":\"a=1; b=2\",\"x\":1"#, &["1", "2"]);
        check("Cookie:[a=1; b=2] Host:[x]", &["1", "2"]);
        check("Cookie: a=1' -X POST", &["1"]);
        check("Cookie monster a=1", &[]);
        check("Cookie: none", &[]);
    }
}
