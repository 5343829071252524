//! Where the value of a field begins and ends, in whatever notation the line is written.

use crate::redact::boundary::{at, before};
use crate::redact::json::InString;
use crate::redact::view::{color_len, hex};

/// How far the end of a quoted or bare value is looked for.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// A quote mark with the backslashes in front of it: `\\\"` is three and a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::redact) struct Quote {
    pub(in crate::redact) slashes: usize,
    pub(in crate::redact) mark: u8,
}

impl Quote {
    pub(in crate::redact) fn len(self) -> usize {
        self.slashes + 1
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::redact) enum Shape {
    Quoted(Quote),
    Bare,
    /// An object or a list.
    Nested,
}

/// A value in place; `start..end` leaves out the quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::redact) struct Value {
    pub(in crate::redact) start: usize,
    pub(in crate::redact) end: usize,
    pub(in crate::redact) shape: Shape,
}

pub(in crate::redact) fn quote_at(text: &[u8], i: usize) -> Option<Quote> {
    let slashes = text.iter().skip(i).take(16).take_while(|b| **b == b'\\').count();
    let mark = at(text, i + slashes);
    matches!(mark, b'"' | b'\'' | b'`').then_some(Quote { slashes, mark })
}

/// Past blanks and color codes.
pub(in crate::redact) fn skip_blanks(text: &[u8], mut i: usize) -> usize {
    let end = i + 64;
    while i < end {
        match at(text, i) {
            b' ' | b'\t' => i += 1,
            0x1b => match color_len(text, i + 1) {
                Some(len) => i += 1 + len,
                None => break,
            },
            b'\\' if is_escaped_color(text, i) => match color_len(text, i + 6) {
                Some(len) => i += 6 + len,
                None => break,
            },
            _ => break,
        }
    }
    i
}

fn is_escaped_color(text: &[u8], i: usize) -> bool {
    text.get(i..i + 6).is_some_and(|escape| escape.eq_ignore_ascii_case(b"\\u001b"))
}

/// The value that begins at `i`, blanks already skipped. `outer`: it is inside of a string of
/// JSON, beyond which it cannot reach.
pub(in crate::redact) fn value_at(
    text: &[u8],
    i: usize,
    outer: Option<InString>,
    work: &mut usize,
) -> Option<Value> {
    let prefixed = matches!(at(text, i), b'u' | b'b' | b'r' | b'f' | b'@');
    let open = i + usize::from(prefixed && matches!(at(text, i + 1), b'"' | b'\''));
    if let Some(quote) = quote_at(text, open) {
        if quote.mark == b'"' && outer.is_some() && quote.slashes % 2 == 0 {
            return None;
        }
        let start = open + quote.len();
        // An escaped quote with nothing behind it closes what the line itself is in.
        match quoted_end(text, start, quote, outer, work) {
            Some(end) => return Some(Value { start, end, shape: Shape::Quoted(quote) }),
            None if quote.slashes > 0 => return None,
            None => return Some(bare(text, start, work)),
        }
    }
    if matches!(at(text, i), b'{' | b'[') {
        let end = nested_end(text, i, outer, work);
        return Some(Value { start: i, end, shape: Shape::Nested });
    }
    (i < text.len()).then(|| bare(text, i, work))
}

/// The end of a quoted value. A mark with fewer backslashes than the opening one closes the text
/// around the value, and so ends it as well.
fn quoted_end(
    text: &[u8],
    start: usize,
    quote: Quote,
    outer: Option<InString>,
    work: &mut usize,
) -> Option<usize> {
    let limit = text.len().min(start + VALUE_BYTES_MAX);
    let cycle = 2 * (quote.slashes + 1);
    let mut i = start;
    let mut slashes = 0;
    while i < limit {
        let byte = at(text, i);
        if byte == b'\\' {
            slashes += 1;
        } else {
            if byte == b'"' && outer.is_some() && slashes % 2 == 0 {
                *work += i - start;
                return Some(i - slashes);
            }
            if byte == quote.mark || (byte == b'"' && quote.slashes > 0) {
                let closes = slashes % cycle == quote.slashes && byte == quote.mark;
                if closes || slashes < quote.slashes {
                    *work += i - start;
                    return Some(i - slashes.min(quote.slashes));
                }
            }
            slashes = 0;
        }
        i += 1;
    }
    *work += limit - start.min(limit);
    None
}

/// The end of a balanced object or list; strings in it may hold any bracket. One that is not
/// closed, as in a line that was cut, reaches to the end of what is around it.
fn nested_end(text: &[u8], start: usize, outer: Option<InString>, work: &mut usize) -> usize {
    let mut depth = 0usize;
    let mut i = start;
    let mut string: Option<usize> = None;
    let mut slashes = 0;
    while i < text.len() {
        let byte = at(text, i);
        match (byte, string) {
            (b'"', _) if outer.is_some() && slashes % 2 == 0 => {
                i -= slashes;
                break;
            }
            (b'"', None) => string = Some(slashes),
            (b'"', Some(open)) if slashes % (2 * (open + 1)) == open => string = None,
            // The text around the value ends before the value does.
            (b'"', Some(open)) if slashes < open => {
                i -= slashes;
                break;
            }
            (b'{' | b'[', None) => depth += 1,
            (b'}' | b']', None) => {
                depth -= 1;
                if depth == 0 {
                    i += 1;
                    break;
                }
            }
            _ => {}
        }
        slashes = if byte == b'\\' { slashes + 1 } else { 0 };
        i += 1;
    }
    *work += i - start;
    i
}

/// A value without quotes: up to a blank, or a mark behind which the notation goes on.
fn bare(text: &[u8], start: usize, work: &mut usize) -> Value {
    let limit = text.len().min(start + VALUE_BYTES_MAX);
    let mut i = start;
    // `${NAME}` is one thing.
    if matches!(at(text, i), b'$' | b'#' | b'%') && at(text, i + 1) == b'{' {
        let close = text.iter().skip(i).take(128).position(|b| *b == b'}');
        i += close.map_or(0, |close| close + 1);
    }
    while i < limit && !ends_bare(text, i) {
        i += match at(text, i) {
            b'\\' => text.iter().skip(i).take_while(|b| **b == b'\\').count(),
            _ => 1,
        };
    }
    *work += i.saturating_sub(start);
    Value { start, end: i.min(limit), shape: Shape::Bare }
}

fn ends_bare(text: &[u8], i: usize) -> bool {
    match at(text, i) {
        b'"' | b'<' | b'`' | 0x1b => true,
        byte if byte.is_ascii_whitespace() => true,
        b'\\' => {
            let slashes = text.iter().skip(i).take_while(|b| **b == b'\\').count();
            match at(text, i + slashes) {
                b'n' | b'r' | b't' | b'"' | b'\'' => true,
                b'u' => is_escaped_separator(text, i + slashes + 1),
                _ => false,
            }
        }
        b'%' => text.get(i + 1..i + 3).is_some_and(|code| {
            matches!(code, b"26" | b"20" | b"0A" | b"0a" | b"22" | b"3B" | b"3b")
        }),
        b',' | b';' | b'&' | b'|' | b')' | b'}' | b']' | b'>' | b'\'' | b'#' => {
            notation_goes_on(text, i + 1)
        }
        _ => false,
    }
}

/// `&`, a quote, a line break or a color, written as `\u0026` and so on.
fn is_escaped_separator(text: &[u8], i: usize) -> bool {
    matches!(
        text.get(i..i + 4),
        Some(
            b"0026" | b"0022" | b"000a" | b"000A" | b"001b" | b"001B" | b"003c" | b"003C" | b"0020"
        )
    )
}

/// Whether what follows a separator is notation and not more of the value: nothing, a blank,
/// another mark, or the name of the next field.
fn notation_goes_on(text: &[u8], i: usize) -> bool {
    let next = at(text, i);
    if i >= text.len()
        || next.is_ascii_whitespace()
        || matches!(
            next,
            b',' | b';'
                | b'&'
                | b'|'
                | b')'
                | b'}'
                | b']'
                | b'>'
                | b'"'
                | b'\''
                | b'`'
                | b'<'
                | b'\\'
                | 0x1b
                | b'.'
                | b'{'
                | b'['
                | b'('
                | b':'
        )
    {
        return true;
    }
    let name = text
        .iter()
        .skip(i)
        .take(64)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        .count();
    name > 0
        && (matches!(at(text, i + name), b'=' | b':' | b'[')
            || text.get(i + name..i + name + 3).is_some_and(|c| c.eq_ignore_ascii_case(b"%3d")))
}

/// Whether an escape ends right before `i`, so that a name may begin there: `\n`, `%26`,
/// `\u0026`, a color code.
pub(in crate::redact) fn escape_ends_at(text: &[u8], i: usize) -> bool {
    let hex_at = |k: usize| hex(at(text, k)).is_some();
    if i >= 2 && matches!(at(text, i - 1), b'n' | b'r' | b't') && at(text, i - 2) == b'\\' {
        return true;
    }
    if i >= 3 && at(text, i - 3) == b'%' && hex_at(i - 2) && hex_at(i - 1) {
        return true;
    }
    if i >= 6 && at(text, i - 6) == b'\\' && at(text, i - 5) == b'u' && (i - 4..i).all(hex_at) {
        return true;
    }
    if before(text, i) == b'm' && i >= 3 {
        let parameters = text
            .get(..i - 1)
            .unwrap_or_default()
            .iter()
            .rev()
            .take(16)
            .take_while(|b| b.is_ascii_digit() || **b == b';')
            .count();
        let bracket = i - 1 - parameters;
        if before(text, bracket) == b'[' && bracket >= 2 {
            let escape = bracket - 1;
            return before(text, escape) == 0x1b
                || text
                    .get(escape.saturating_sub(6)..escape)
                    .is_some_and(|e| e.eq_ignore_ascii_case(b"\\u001b"));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let value = value_at(text.as_bytes(), 0, None, &mut 0).unwrap();
        assert_eq!(&text[value.start..value.end], expect, "{text}");
    }

    #[test]
    fn finds_ends() {
        check(r#""a b" c"#, "a b");
        check(r#""a \" b" c"#, r#"a \" b"#);
        check(r#""a \\" c"#, r"a \\");
        check(r#"\"a b\",\"c\":1"#, "a b");
        check(r#"\"a \\\" b\",\"c\":1"#, r#"a \\\" b"#);
        check(r#"\\\"a\\\",\\\"b"#, "a");
        check(r#"\"cut off","x":1"#, "cut off");
        check("u'a b', 'c'", "a b");
        check("{\"a\":{\"b\":\"}\"}} x", "{\"a\":{\"b\":\"}\"}}");
        check(r#"{\"a\":[1,2]},\"x"#, r#"{\"a\":[1,2]}"#);
        check("abc def", "abc");
        check("abc&x=1", "abc");
        check("abc, id=3", "abc");
        check("abc,id=3", "abc");
        check("ab,cd&ef!x", "ab,cd&ef!x");
        check("abc) x", "abc");
        check("abc}", "abc");
        check(r"abc\nfoo", "abc");
        check(r"abc\u0026x", "abc");
        check("abc%26x", "abc");
        check("a%40b", "a%40b");
        check("abc</k>", "abc");
        check("1234}", "1234");
        check("'it is", "it");
    }
}
