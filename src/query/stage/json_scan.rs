//! Walking over JSON text without building it: where values begin and end, and how strings
//! read. Lenient where Loki is: only what lies on the way is checked.

use memchr::{memchr2, memchr3};

/// Loki's texts for what can be wrong; they end up in `__error_details__`.
pub const MALFORMED: &str = "Malformed JSON error";
pub const MALFORMED_STRING: &str = "Value is string, but can't find closing '\"' symbol";
pub const MALFORMED_ARRAY: &str = "Value is array, but can't find closing ']' symbol";
pub const MALFORMED_OBJECT: &str = "Value looks like object, but can't find closing '}' symbol";
pub const MALFORMED_ESCAPE: &str = "Encountered an invalid escape sequence in a string";
pub const UNKNOWN_TYPE: &str = "Unknown value type";
pub const TOO_DEEP: &str = "objects are nested too deep";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    String,
    Number,
    Bool,
    Null,
    Object,
    Array,
}

/// A value in a text: for strings the part between the quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
    /// Where the text goes on behind the value.
    pub next: usize,
    /// A string that holds escapes.
    pub escaped: bool,
}

/// The next byte that is not white space, from `at`.
pub fn next_token(text: &[u8], at: usize) -> Option<(usize, u8)> {
    let mut at = at;
    while let Some(&byte) = text.get(at) {
        if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            return Some((at, byte));
        }
        at += 1;
    }
    None
}

/// The closing quote of a string whose body begins at `at`, and whether it holds escapes.
pub fn string_end(text: &[u8], at: usize) -> Option<(usize, bool)> {
    // Most keys and values are short: look at the first bytes before calling for help.
    let near = text.get(at..)?;
    for (offset, &byte) in near.iter().take(16).enumerate() {
        if byte == b'"' {
            return Some((at + offset, false));
        }
        if byte == b'\\' {
            return string_end_far(text, at + offset, true);
        }
    }
    string_end_far(text, at + near.len().min(16), false)
}

fn string_end_far(text: &[u8], from: usize, escaped: bool) -> Option<(usize, bool)> {
    let mut escaped = escaped;
    let mut at = from;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some((at, escaped));
        }
        escaped = true;
        at += 2;
    }
}

/// Behind the bracket that closes the one at `at`.
fn block_end(text: &[u8], at: usize, open: u8, close: u8) -> Option<usize> {
    let mut level = 0_usize;
    let mut at = at;
    loop {
        at += memchr3(b'"', open, close, text.get(at..)?)?;
        let byte = text.get(at).copied()?;
        if byte == b'"' {
            at = string_end(text, at + 1)?.0;
        } else if byte == open {
            level += 1;
        } else {
            level = level.checked_sub(1)?;
            if level == 0 {
                return Some(at + 1);
            }
        }
        at += 1;
    }
}

fn bare_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'}' | b']'))
        .unwrap_or(rest.len())
}

/// The value that begins at the next token from `at`.
pub fn value(text: &[u8], at: usize) -> Found {
    let (start, first) = next_token(text, at).ok_or(MALFORMED)?;
    let block = |kind, end: Option<usize>, message| {
        let end = end.ok_or(message)?;
        Ok(Value { kind, start, end, next: end, escaped: false })
    };
    match first {
        b'"' => {
            let (end, escaped) = string_end(text, start + 1).ok_or(MALFORMED_STRING)?;
            Ok(Value { kind: Kind::String, start: start + 1, end, next: end + 1, escaped })
        }
        b'{' => block(Kind::Object, block_end(text, start, b'{', b'}'), MALFORMED_OBJECT),
        b'[' => block(Kind::Array, block_end(text, start, b'[', b']'), MALFORMED_ARRAY),
        _ => {
            let end = bare_end(text, start);
            let kind = match text.get(start..end).unwrap_or_default() {
                b"true" | b"false" => Kind::Bool,
                b"null" => Kind::Null,
                [b'0'..=b'9' | b'-', ..] => Kind::Number,
                _ => return Err(UNKNOWN_TYPE),
            };
            Ok(Value { kind, start, end, next: end, escaped: false })
        }
    }
}

/// A value, or how it is broken.
pub type Found = Result<Value, &'static str>;

/// Whether members of an object may follow each other without a comma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commas {
    Needed,
    Optional,
}

/// Goes through the members of the object at `at`, in order. The callback gets key and value;
/// what it returns as error ends the walk.
pub fn each_member<E: From<&'static str>>(
    text: &str,
    at: usize,
    commas: Commas,
    scratch: &mut String,
    member: &mut dyn FnMut(&str, Found) -> Result<(), E>,
) -> Result<(), E> {
    let bytes = text.as_bytes();
    let Some((start, b'{')) = next_token(bytes, at) else { return Err(MALFORMED_OBJECT.into()) };
    let (mut at, mut byte) = next_token(bytes, start + 1).ok_or(MALFORMED)?;
    loop {
        match byte {
            b'"' => {}
            b'}' => return Ok(()),
            _ => return Err(MALFORMED_OBJECT.into()),
        }
        let (key_end, escaped) = string_end(bytes, at + 1).ok_or(MALFORMED)?;
        let raw = text.get(at + 1..key_end).unwrap_or_default();
        let Some((colon, b':')) = next_token(bytes, key_end + 1) else {
            return Err(MALFORMED.into());
        };
        let found = value(bytes, colon + 1);
        if escaped {
            scratch.clear();
            unescape(raw, scratch).ok_or(MALFORMED_ESCAPE)?;
            let key = std::mem::take(scratch);
            let result = member(&key, found);
            *scratch = key;
            result?;
        } else {
            member(raw, found)?;
        }
        // Whoever does not mind a broken value goes on behind it.
        let next = match found {
            Ok(value) => value.next,
            Err(UNKNOWN_TYPE) => {
                next_token(bytes, colon + 1).map_or(bytes.len(), |(at, _)| bare_end(bytes, at))
            }
            Err(message) => return Err(message.into()),
        };
        match next_token(bytes, next) {
            Some((_, b'}')) => return Ok(()),
            Some((comma, b',')) => {
                (at, byte) = next_token(bytes, comma + 1).ok_or(MALFORMED_ARRAY)?;
            }
            Some((quote, b'"')) if commas == Commas::Optional => (at, byte) = (quote, b'"'),
            Some(_) => return Err(MALFORMED_OBJECT.into()),
            None => return Err(MALFORMED_ARRAY.into()),
        }
    }
}

/// Appends the text of a string body; `None` for a bad escape.
pub fn unescape(body: &str, to: &mut String) -> Option<()> {
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        to.push_str(rest.get(..at)?);
        let mut chars = rest.get(at + 1..)?.chars();
        let escape = chars.next()?;
        rest = chars.as_str();
        to.push(match escape {
            '"' | '\\' | '/' => escape,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (code, used) = unicode_escape(rest)?;
                rest = rest.get(used..)?;
                code
            }
            _ => return None,
        });
    }
    to.push_str(rest);
    Some(())
}

/// The character of `XXXX` or `XXXX\uXXXX` behind `\u`, and how many bytes that took.
fn unicode_escape(rest: &str) -> Option<(char, usize)> {
    let unit = |from: usize| {
        let digits = rest.get(from..from + 4)?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(())?;
        u32::from_str_radix(digits, 16).ok()
    };
    let high = unit(0)?;
    if !(0xd800..=0xdfff).contains(&high) {
        return Some((char::from_u32(high)?, 4));
    }
    (rest.get(4..6)? == "\\u").then_some(())?;
    let low = unit(6)?;
    if low < 0xdc00 {
        return None;
    }
    let code = 0x10000_u32
        .wrapping_add((high.wrapping_sub(0xd800)) << 10)
        .wrapping_add(low.wrapping_sub(0xdc00));
    Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_value(text: &str, expect: Result<(Kind, &str), &str>) {
        let found = value(text.as_bytes(), 0).map(|v| (v.kind, &text[v.start..v.end]));
        assert_eq!(found, expect);
    }

    #[test]
    fn values() {
        check_value(" 12.50e3,", Ok((Kind::Number, "12.50e3")));
        check_value("true}", Ok((Kind::Bool, "true")));
        check_value("tru", Err(UNKNOWN_TYPE));
        check_value("null", Ok((Kind::Null, "null")));
        check_value(r#""a\"b" x"#, Ok((Kind::String, r#"a\"b"#)));
        check_value(r#""open"#, Err(MALFORMED_STRING));
        check_value(r#"{"a":{"b":"}"}} x"#, Ok((Kind::Object, r#"{"a":{"b":"}"}}"#)));
        check_value(r#"[1,"]",[2]]"#, Ok((Kind::Array, r#"[1,"]",[2]]"#)));
        check_value("[1,2", Err(MALFORMED_ARRAY));
        check_value("", Err(MALFORMED));
        let long = format!("\"{}\\\\\"", "x".repeat(40));
        check_value(&long, Ok((Kind::String, &long[1..long.len() - 1])));
    }

    #[track_caller]
    fn check_unescape(body: &str, expect: Option<&str>) {
        let mut text = String::new();
        assert_eq!(unescape(body, &mut text).map(|()| text.as_str()), expect);
    }

    #[test]
    fn escapes() {
        check_unescape(r"a\nb\t\\", Some("a\nb\t\\"));
        check_unescape(r"\u00e9\ud83d\ude80", Some("\u{e9}\u{1f680}"));
        check_unescape(r"\ud83d", None);
        check_unescape(r"\q", None);
        check_unescape(r"\u12", None);
        check_unescape(r"\", None);
    }
}
