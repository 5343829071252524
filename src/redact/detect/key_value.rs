//! Values of fields with telling names: `password=x`, `"apiKey": "x"`, `<secret>x</secret>` and
//! every other way in which logs write a name and a value.

use regex::bytes::Regex;

use super::value::{self, Quote, Shape, Value, quote_at, skip_blanks};
use crate::config::redaction::RawValidator;
use crate::redact::boundary::{at, before};
use crate::redact::json::InString;
use crate::redact::validate::is_valid;

/// Longest name of a field.
const NAME_BYTES_MAX: usize = 128;
/// How far the end of an element is looked for.
const ELEMENT_BYTES_MAX: usize = 4096;

/// Names whose values go, and what is exempt.
#[derive(Debug)]
pub(in crate::redact) struct Keys {
    /// In lower case, without separators.
    pub(in crate::redact) names: Vec<String>,
    pub(in crate::redact) keep: Vec<String>,
    /// What the whole value must match, if not anything.
    pub(in crate::redact) value: Option<Regex>,
    pub(in crate::redact) validator: Option<RawValidator>,
}

/// A value to replace, and the quotes that its replacement needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::redact) struct Found {
    pub(in crate::redact) start: usize,
    pub(in crate::redact) end: usize,
    pub(in crate::redact) add_quote: Option<Quote>,
    /// The whole field: name, separator and value with their quotes.
    pub(in crate::redact) field: (usize, usize),
}

/// How a name and its value are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    Equals,
    Colon,
    Element,
    Blank,
}

/// A name with what joins it to its value.
pub(in crate::redact) struct Field {
    pub(in crate::redact) name: (usize, usize),
    quote: Option<Quote>,
    joint: Joint,
    blank: bool,
    pub(in crate::redact) value: usize,
}

impl Keys {
    /// Whether a name given on its own (a label, a metadata key) is one of these.
    pub(in crate::redact) fn names_field(&self, name: &str) -> bool {
        let flat = flatten(name.as_bytes());
        self.names.iter().any(|wanted| {
            flat.ends_with(wanted.as_str())
                && name
                    .len()
                    .checked_sub(1)
                    .is_some_and(|_| ends_at_segment(name.as_bytes(), wanted))
        }) && !self.keeps(&flat)
    }

    pub(in crate::redact) fn takes_value(&self, value: &[u8]) -> bool {
        self.value.as_ref().is_none_or(|pattern| pattern.is_match(value))
            && self.validator.is_none_or(|check| is_valid(check, value))
    }

    /// Whether a value that stands on its own under one of the names has to go.
    pub(in crate::redact) fn takes_alone(
        &self,
        value: &str,
        is_ours: &dyn Fn(&[u8]) -> bool,
    ) -> bool {
        !is_placeholder(value.as_bytes(), is_ours) && self.takes_value(value.as_bytes())
    }

    fn keeps(&self, flat: &str) -> bool {
        self.keep.iter().any(|keep| flat.ends_with(keep.as_str()))
    }

    /// The value of the field whose name holds the literal at `hit`.
    pub(in crate::redact) fn find(
        &self,
        text: &[u8],
        hit: (usize, usize),
        outer: Option<InString>,
        is_ours: &dyn Fn(&[u8]) -> bool,
        work: &mut usize,
    ) -> Option<Found> {
        let field = field_at(text, hit)?;
        *work += field.value - field.name.0;
        let name = text.get(field.name.0..field.name.1)?;
        if !is_segment_start(text, hit.0, field.name.0, hit.1) || self.keeps(&flatten(name)) {
            return None;
        }
        // A name in plain quotes is itself a string, which ends before the value.
        let outer = outer
            .filter(|_| field.quote.is_none_or(|quote| quote.slashes > 0 || quote.mark != b'"'));
        let value = match field.joint {
            Joint::Element => element_value(text, &field, work)?,
            _ => value::value_at(text, field.value, outer, work)?,
        };
        let value = without_scheme(text, value);
        let content = text.get(value.start..value.end)?;
        if is_placeholder(content, is_ours)
            || !self.takes_value(content)
            || (value.shape == Shape::Bare && is_prose(text, &field, value))
        {
            return None;
        }
        let closing = match value.shape {
            Shape::Quoted(quote) => quote.len(),
            _ => 0,
        };
        let opening = field.quote.map_or(0, Quote::len);
        let add_quote = match value.shape {
            Shape::Quoted(_) => None,
            // A number, word or object behind a quoted name: JSON or a dump of a dictionary.
            _ if field.joint == Joint::Colon || field.joint == Joint::Equals => {
                field.quote.filter(|_| is_scalar_end(text, value.end))
            }
            _ => None,
        };
        Some(Found {
            start: value.start,
            end: value.end,
            add_quote,
            field: (field.name.0.saturating_sub(opening), value.end + closing),
        })
    }
}

/// Lower case, letters and digits only.
pub(in crate::redact) fn flatten(name: &[u8]) -> String {
    name.iter()
        .filter(|b| b.is_ascii_alphanumeric())
        .map(|b| char::from(b.to_ascii_lowercase()))
        .collect()
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$')
}

fn name_start(text: &[u8], from: usize) -> usize {
    let mut start = from;
    while start > 0
        && from - start < NAME_BYTES_MAX
        && is_name(before(text, start))
        && !value::escape_ends_at(text, start)
    {
        start -= 1;
    }
    start
}

/// Names that may be the end of a longer word: `PGPASSWORD`, `authtoken`.
const GLUED: [&str; 6] = ["password", "passwd", "passphrase", "secret", "token", "apikey"];

fn is_segment_start(text: &[u8], literal: usize, name: usize, literal_end: usize) -> bool {
    if literal == name {
        return true;
    }
    let (left, first) = (before(text, literal), at(text, literal));
    let word = text.get(literal..literal_end).unwrap_or_default();
    !left.is_ascii_alphanumeric()
        || (first.is_ascii_uppercase() && (left.is_ascii_lowercase() || left.is_ascii_digit()))
        || GLUED.contains(&flatten(word).as_str())
}

fn ends_at_segment(name: &[u8], wanted: &str) -> bool {
    let mut left = wanted.len();
    for (i, byte) in name.iter().enumerate().rev() {
        left -= usize::from(byte.is_ascii_alphanumeric());
        if left == 0 {
            return is_segment_start(name, i, 0, name.len());
        }
    }
    false
}

/// Reads the field whose name ends with the literal at `hit`, up to the start of its value.
fn field_at(text: &[u8], hit: (usize, usize)) -> Option<Field> {
    let start = name_start(text, hit.0);
    let digits = text.iter().skip(hit.1).take(3).take_while(|b| b.is_ascii_digit()).count();
    let name = (start, hit.1 + digits);
    joint_at(text, name)
}

fn joint_at(text: &[u8], name: (usize, usize)) -> Option<Field> {
    let mut i = name.1;
    let field = |quote, joint, blank, value| Some(Field { name, quote, joint, blank, value });
    if matches!(before(text, name.0), b'<' | b':')
        && at(text, i) == b'>'
        && is_element(text, name.0)
    {
        return field(None, Joint::Element, false, i + 1);
    }
    // `user[password]=x`
    i += usize::from(at(text, i) == b']');
    if text.get(i..i + 3).is_some_and(|c| c.eq_ignore_ascii_case(b"%5d")) {
        i += 3;
    }
    let quote = quote_at(text, i);
    i += quote.map_or(0, Quote::len);
    // An even number of backslashes is text; the quote behind it ends a plain string.
    let quote = quote.map(|quote| match quote.slashes % 2 {
        0 => Quote { slashes: 0, ..quote },
        _ => quote,
    });
    let after_name = i;
    i = skip_blanks(text, i);
    let (joint, len) = match (at(text, i), at(text, i + 1)) {
        (b'=', b'>') => (Joint::Equals, 2),
        (b':', b'=') => (Joint::Equals, 2),
        (b'=', b'=') => (Joint::Equals, 2),
        (b'=', _) => (Joint::Equals, 1),
        (b':', b':') => return None,
        (b':', b'/') if at(text, i + 2) == b'/' => return None,
        (b':', _) => (Joint::Colon, 1),
        (b'%', b'3') if matches!(at(text, i + 2), b'D' | b'd') => (Joint::Equals, 3),
        (b'%', b'3') if matches!(at(text, i + 2), b'A' | b'a') => (Joint::Colon, 3),
        (b'\\', b'u') if text.get(i..i + 6)?.eq_ignore_ascii_case(b"\\u003d") => (Joint::Equals, 6),
        _ => {
            let option = name.0 >= 2 && text.get(name.0..name.1)?.starts_with(b"--");
            let next = at(text, i);
            let has_value = i > after_name && i < text.len() && !matches!(next, b'-' | b'|' | b'&');
            if option && quote.is_none() && has_value {
                return field(None, Joint::Blank, false, i);
            }
            return None;
        }
    };
    let value = skip_blanks(text, i + len);
    // `password= user=bob` is an empty value.
    let empty = len == 1
        && joint == Joint::Equals
        && i == after_name
        && value > i + len
        && quote_at(text, value).is_none();
    if empty {
        return None;
    }
    field(quote, joint, value > i + len, value)
}

/// `<password>` or `<ns:password>`.
fn is_element(text: &[u8], name: usize) -> bool {
    if before(text, name) == b'<' {
        // Behind `=` or `:` stands a value, which may be one that was replaced.
        return name < 2 || !matches!(before(text, name - 1), b'=' | b':');
    }
    let prefix = text
        .get(..name.saturating_sub(1))
        .unwrap_or_default()
        .iter()
        .rev()
        .take(32)
        .take_while(|b| b.is_ascii_alphanumeric())
        .count();
    prefix > 0 && before(text, name - 1 - prefix) == b'<'
}

/// The text up to the end tag, without tags in it: `<secret>` alone may be our own output.
fn element_value(text: &[u8], field: &Field, work: &mut usize) -> Option<Value> {
    let start = field.value;
    let name = text.get(field.name.0..field.name.1)?;
    let rest = text.get(start..text.len().min(start + ELEMENT_BYTES_MAX))?;
    let (open, rest) = match rest.strip_prefix(b"<![CDATA[") {
        Some(data) => (start + 9, data),
        None => (start, rest),
    };
    let len = memchr::memchr2(b'<', b'"', rest).unwrap_or(rest.len());
    *work += len;
    let tag = rest.get(len..)?.strip_prefix(b"<")?;
    let tag = tag.strip_prefix(b"\\").unwrap_or(tag).strip_prefix(b"/")?;
    let prefix = tag.iter().take(32).position(|b| *b == b':').map_or(0, |colon| colon + 1);
    let closes = |tag: &[u8]| tag.strip_prefix(name).is_some_and(|end| at(end, 0) == b'>');
    let closed = closes(tag) || tag.get(prefix..).is_some_and(closes);
    let content = rest.get(..len)?;
    let len = content.strip_suffix(b"]]>").map_or(len, <[u8]>::len);
    closed.then_some(Value { start: open, end: open + len, shape: Shape::Bare })
}

/// Schemes of the `Authorization` header; what follows is the secret, the scheme is kept.
const SCHEMES: [&[u8]; 10] = [
    b"bearer",
    b"basic",
    b"digest",
    b"token",
    b"apikey",
    b"negotiate",
    b"ntlm",
    b"hawk",
    b"aws4-hmac-sha256",
    b"key",
];

fn without_scheme(text: &[u8], value: Value) -> Value {
    let content = text.get(value.start..value.end).unwrap_or_default();
    let word = content.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
    let Some(scheme) = content.get(..word) else { return value };
    if !SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return value;
    }
    let mut start = value.start + word;
    while at(text, start) == b' ' {
        start += 1;
    }
    if start == value.start + word || matches!(at(text, start), b'{' | b'[') {
        return value;
    }
    match value.shape {
        Shape::Bare => {
            let rest = text.get(start..).unwrap_or_default();
            let parameters = matches!(scheme.len(), 4 | 6 | 16)
                && !scheme.eq_ignore_ascii_case(b"bearer")
                && !scheme.eq_ignore_ascii_case(b"ntlm");
            let len = rest
                .iter()
                .position(|b| {
                    matches!(b, b'"' | b'\'' | b'\n')
                        || (!parameters
                            && (b.is_ascii_whitespace()
                                || matches!(
                                    b,
                                    b',' | b']'
                                        | b'}'
                                        | b')'
                                        | b'\\'
                                        | b'<'
                                        | b';'
                                        | b'&'
                                        | b'|'
                                        | b'>'
                                )))
                })
                .unwrap_or(rest.len());
            let len = if parameters { whole_parameters(rest).max(len) } else { len };
            Value { start, end: start + len, shape: Shape::Bare }
        }
        _ if start < value.end => Value { start, ..value },
        _ => value,
    }
}

/// The length of `a="b", c=d` up to the end of the line or the quote around it.
fn whole_parameters(rest: &[u8]) -> usize {
    let mut i = 0;
    while i < rest.len() {
        match at(rest, i) {
            b'"' if i > 0 && at(rest, i - 1) == b'=' => {
                match rest.iter().skip(i + 1).position(|b| *b == b'"') {
                    Some(close) => i += close + 2,
                    None => return i,
                }
            }
            b'"' | b'\'' | b'\n' => return i,
            _ => i += 1,
        }
    }
    i
}

/// What may follow a bare value in JSON or in a dump of a dictionary.
fn is_scalar_end(text: &[u8], end: usize) -> bool {
    let next = at(text, skip_blanks(text, end));
    matches!(next, b',' | b'}' | b']' | 0 | b'\r' | b'\n' | b'\\')
}

/// Values that stand for a value: nothing to hide in them, and our own output.
fn is_placeholder(content: &[u8], is_ours: &dyn Fn(&[u8]) -> bool) -> bool {
    let trimmed = content.trim_ascii();
    const NOTHING: [&[u8]; 13] = [
        b"null",
        b"nil",
        b"none",
        b"true",
        b"false",
        b"undefined",
        b"nan",
        b"{}",
        b"[]",
        b"<nil>",
        b"<null>",
        b"(null)",
        b"-",
    ];
    trimmed.is_empty()
        || is_ours(trimmed)
        || NOTHING.iter().any(|word| trimmed.eq_ignore_ascii_case(word))
        || trimmed.iter().all(|b| matches!(b, b'*' | b'.' | b'?' | b'<' | b'>' | b'='))
        || (trimmed.len() >= 3 && trimmed.iter().all(|b| matches!(b, b'x' | b'X')))
        || is_mark(trimmed)
        || is_variable(trimmed)
        || is_object(trimmed)
}

/// How Java prints an object: `Token{78af589`, `android.os.BinderProxy@2bd79ce`.
fn is_object(trimmed: &[u8]) -> bool {
    let Some(split) = trimmed.iter().position(|b| matches!(b, b'{' | b'@')) else { return false };
    let (class, rest) = trimmed.split_at(split);
    let hash = rest.get(1..).unwrap_or_default();
    let hash = hash.strip_suffix(b"}").unwrap_or(hash);
    (at(rest, 0) == b'{' || class.contains(&b'.'))
        && !class.is_empty()
        && class.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$'))
        && (5..=8).contains(&hash.len())
        && hash.iter().all(u8::is_ascii_hexdigit)
}

/// `[FILTERED]`, `<redacted>`, `(hidden)` and their like, written by the program itself.
fn is_mark(trimmed: &[u8]) -> bool {
    let inner = trimmed
        .strip_prefix(b"[")
        .or_else(|| trimmed.strip_prefix(b"<"))
        .or_else(|| trimmed.strip_prefix(b"("))
        .unwrap_or(trimmed);
    let inner = inner.strip_suffix(b"]").or(inner.strip_suffix(b">")).or(inner.strip_suffix(b")"));
    let word = flatten(inner.unwrap_or(trimmed));
    matches!(
        word.as_str(),
        "filtered"
            | "redacted"
            | "masked"
            | "hidden"
            | "removed"
            | "secret"
            | "omitted"
            | "protected"
            | "sensitive"
            | "sanitized"
    ) && inner.is_some()
        || word == "redacted"
}

/// `${VAR}`, `$VAR`, `{{ x }}`, `%s`, `:param`: names of values.
fn is_variable(trimmed: &[u8]) -> bool {
    let is_word = |text: &[u8]| {
        !text.is_empty()
            && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
    };
    let braces =
        (trimmed.starts_with(b"${") || trimmed.starts_with(b"%{") || trimmed.starts_with(b"#{"))
            && trimmed.ends_with(b"}");
    braces
        || (trimmed.starts_with(b"{{") && trimmed.ends_with(b"}}"))
        || (trimmed.starts_with(b"$(") && trimmed.ends_with(b")"))
        || trimmed
            .strip_prefix(b"$")
            .is_some_and(|name| is_word(name) && name.iter().all(|b| !b.is_ascii_lowercase()))
        || matches!(trimmed, b"%s" | b"%v" | b"%d" | b"%q" | b"%r" | b"%p" | b"%@" | b"{}" | b"?")
}

/// Words that say how something went, where a value could stand.
const STATES: [&str; 34] = [
    "invalid",
    "expired",
    "missing",
    "required",
    "incorrect",
    "failed",
    "failure",
    "ok",
    "success",
    "successful",
    "changed",
    "reset",
    "updated",
    "unknown",
    "empty",
    "set",
    "unset",
    "disabled",
    "enabled",
    "valid",
    "mismatch",
    "denied",
    "accepted",
    "rejected",
    "wrong",
    "not",
    "is",
    "no",
    "yes",
    "refreshed",
    "revoked",
    "created",
    "found",
    "error",
];

/// Words before a bare `token:` that make it speak of grammar.
const GRAMMAR: [&[u8]; 8] =
    [b"unexpected", b"invalid", b"illegal", b"bad", b"unknown", b"next", b"current", b"parse"];

fn is_prose(text: &[u8], field: &Field, value: Value) -> bool {
    if field.quote.is_some() || field.joint != Joint::Colon {
        return false;
    }
    let left = text.get(..field.name.0).unwrap_or_default();
    // `stream/token: x` speaks of things, not of a field.
    if left.ends_with(b"/") && field.blank {
        return true;
    }
    if GRAMMAR.iter().any(|word| {
        left.trim_ascii_end()
            .len()
            .checked_sub(word.len())
            .and_then(|at| left.get(at..at + word.len()))
            .is_some_and(|w| w.eq_ignore_ascii_case(word))
    }) {
        return true;
    }
    if !field.blank {
        return false;
    }
    let content = text.get(value.start..value.end).unwrap_or_default();
    let word = content.strip_suffix(b".").or(content.strip_suffix(b",")).unwrap_or(content);
    if !word.iter().all(u8::is_ascii_alphabetic) {
        return false;
    }
    let next = at(text, value.end + 1);
    let goes_on = at(text, value.end) == b' ' && (next.is_ascii_alphabetic() || next == b'{');
    goes_on || STATES.contains(&flatten(word).as_str())
}

/// The name of the field whose value begins at `start`, if one does.
pub(in crate::redact) fn name_before(text: &[u8], start: usize) -> Option<&[u8]> {
    let back = |mut i: usize, stop: &dyn Fn(u8) -> bool| {
        let from = i;
        while i > 0 && from - i < 16 && stop(before(text, i)) {
            i -= 1;
        }
        i
    };
    let blank = |b: u8| b == b' ';
    let quote = |b: u8| matches!(b, b'"' | b'\'' | b'\\');
    let i = back(back(start, &quote), &blank);
    let joint = back(i, &|b| matches!(b, b'=' | b':' | b'>'));
    if joint == i {
        return None;
    }
    let end = back(back(joint, &blank), &quote);
    let mut begin = end;
    while begin > 0 && end - begin < NAME_BYTES_MAX {
        let byte = before(text, begin);
        if !(is_name(byte) || byte == b'@') || value::escape_ends_at(text, begin) {
            break;
        }
        begin -= 1;
    }
    text.get(begin..end).filter(|name| !name.is_empty())
}
