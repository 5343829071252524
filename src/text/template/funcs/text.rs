//! Texts: Go's `strings` under their old names (subject first), and sprig's (subject last).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use sha2::{Digest as _, Sha256};

use super::super::sha3;
use super::basic::url_encode;
use super::{
    ANY, Env, Function, Outcome, Value, any_text, function, int_arg, list_arg, print,
    regex_function, replace_all, replace_all_literal, text_arg, with_regex,
};
use crate::limits::TEMPLATE_OUTPUT_BYTES_MAX;
use crate::model::quote;
use crate::text::convert;

/// Both Loki and Promtail have these.
pub(super) static GO: &[Function] = &[
    function("ToLower", 1, 1, |_, args| Ok(lower(&text_arg(args, 0)?).into())),
    function("ToUpper", 1, 1, |_, args| Ok(upper(&text_arg(args, 0)?).into())),
    function("Replace", 4, 4, |_, args| {
        let (text, old, new) = (text_arg(args, 0)?, text_arg(args, 1)?, text_arg(args, 2)?);
        let count = int_arg(args, 3)?;
        replace(&text, &old, &new, usize::try_from(count).unwrap_or(usize::MAX))
    }),
    function("Trim", 2, 2, |_, args| {
        let cutset = text_arg(args, 1)?;
        Ok(text_arg(args, 0)?.trim_matches(any_of(&cutset)).into())
    }),
    function("TrimLeft", 2, 2, |_, args| {
        let cutset = text_arg(args, 1)?;
        Ok(text_arg(args, 0)?.trim_start_matches(any_of(&cutset)).into())
    }),
    function("TrimRight", 2, 2, |_, args| {
        let cutset = text_arg(args, 1)?;
        Ok(text_arg(args, 0)?.trim_end_matches(any_of(&cutset)).into())
    }),
    function("TrimPrefix", 2, 2, |_, args| {
        let (text, prefix) = (text_arg(args, 0)?, text_arg(args, 1)?);
        Ok(text.strip_prefix(prefix.as_str()).unwrap_or(&text).into())
    }),
    function("TrimSuffix", 2, 2, |_, args| {
        let (text, suffix) = (text_arg(args, 0)?, text_arg(args, 1)?);
        Ok(text.strip_suffix(suffix.as_str()).unwrap_or(&text).into())
    }),
    function("TrimSpace", 1, 1, |_, args| Ok(text_arg(args, 0)?.trim().into())),
    regex_function("regexReplaceAll", 3, |env, args| {
        let (text, by) = (text_arg(args, 1)?, text_arg(args, 2)?);
        with_regex(env, args, |regex| replace_all(regex, &text, &by))
    }),
    regex_function("regexReplaceAllLiteral", 3, |env, args| {
        let (text, by) = (text_arg(args, 1)?, text_arg(args, 2)?);
        with_regex(env, args, |regex| replace_all_literal(regex, &text, &by))
    }),
];

pub(super) static LOKI: &[Function] = &[
    function("__line__", 0, 0, |env, _| Ok(from_data(env, "__line__"))),
    function("__timestamp__", 0, 0, |env, _| Ok(from_data(env, "__timestamp__"))),
    regex_function("count", 2, |env, args| {
        let text = text_arg(args, 1)?;
        with_regex(env, args, |regex| Ok(Value::from_usize(regex.find_iter(&text).count())))
    }),
    function("urldecode", 1, 1, |_, args| Ok(url_decode(&text_arg(args, 0)?)?.into())),
    function("urlencode", 1, 1, |_, args| Ok(url_encode(&text_arg(args, 0)?).into())),
    function("bytes", 1, 1, |_, args| {
        let text = text_arg(args, 0)?;
        Ok(Value::Float(convert::bytes(&text)? as f64))
    }),
    function("duration", 1, 1, seconds),
    function("duration_seconds", 1, 1, seconds),
    function("alignLeft", 2, 2, |_, args| align(args, Side::Left)),
    function("alignRight", 2, 2, |_, args| align(args, Side::Right)),
];

pub(super) static PROMTAIL: &[Function] = &[
    function("Hash", 2, 2, |_, args| {
        let salted = format!("{}{}", text_arg(args, 0)?, text_arg(args, 1)?);
        Ok(sha3::sha3_256_hex(salted.as_bytes()).into())
    }),
    function("Sha2Hash", 2, 2, |_, args| {
        Ok(sha256_hex(&format!("{}{}", text_arg(args, 0)?, text_arg(args, 1)?)).into())
    }),
];

/// The part of sprig that Loki lets into LogQL.
pub(super) static SPRIG: &[Function] = &[
    function("b64enc", 1, 1, |_, args| {
        Ok(general_purpose::STANDARD.encode(text_arg(args, 0)?.as_bytes()).into())
    }),
    function("b64dec", 1, 1, |_, args| Ok(base64_decode(&text_arg(args, 0)?).into())),
    function("lower", 1, 1, |_, args| Ok(lower(&text_arg(args, 0)?).into())),
    function("upper", 1, 1, |_, args| Ok(upper(&text_arg(args, 0)?).into())),
    function("title", 1, 1, |_, args| Ok(title(&text_arg(args, 0)?).into())),
    function("trunc", 2, 2, |_, args| trunc(int_arg(args, 0)?, &text_arg(args, 1)?)),
    function("substr", 3, 3, |_, args| {
        substr(int_arg(args, 0)?, int_arg(args, 1)?, &text_arg(args, 2)?)
    }),
    function("contains", 2, 2, |_, args| {
        Ok(Value::Bool(text_arg(args, 1)?.contains(text_arg(args, 0)?.as_str())))
    }),
    function("hasPrefix", 2, 2, |_, args| {
        Ok(Value::Bool(text_arg(args, 1)?.starts_with(text_arg(args, 0)?.as_str())))
    }),
    function("hasSuffix", 2, 2, |_, args| {
        Ok(Value::Bool(text_arg(args, 1)?.ends_with(text_arg(args, 0)?.as_str())))
    }),
    function("indent", 2, 2, |_, args| indent(args, "")),
    function("nindent", 2, 2, |_, args| indent(args, "\n")),
    function("replace", 3, 3, |_, args| {
        let (old, new, text) = (text_arg(args, 0)?, text_arg(args, 1)?, text_arg(args, 2)?);
        replace(&text, &old, &new, usize::MAX)
    }),
    function("repeat", 2, 2, |_, args| {
        let count =
            usize::try_from(int_arg(args, 0)?).map_err(|_| "strings: negative Repeat count")?;
        let text = text_arg(args, 1)?;
        if text.len().saturating_mul(count) > TEMPLATE_OUTPUT_BYTES_MAX {
            return Err("the repeated text is too long".to_owned());
        }
        Ok(text.repeat(count).into())
    }),
    function("trim", 1, 1, |_, args| Ok(text_arg(args, 0)?.trim().into())),
    function("trimAll", 2, 2, |_, args| {
        let cutset = text_arg(args, 0)?;
        Ok(text_arg(args, 1)?.trim_matches(any_of(&cutset)).into())
    }),
    function("trimSuffix", 2, 2, |_, args| {
        let (suffix, text) = (text_arg(args, 0)?, text_arg(args, 1)?);
        Ok(text.strip_suffix(suffix.as_str()).unwrap_or(&text).into())
    }),
    function("trimPrefix", 2, 2, |_, args| {
        let (prefix, text) = (text_arg(args, 0)?, text_arg(args, 1)?);
        Ok(text.strip_prefix(prefix.as_str()).unwrap_or(&text).into())
    }),
    function("fromJson", 1, 1, |_, args| Ok(from_json(&text_arg(args, 0)?))),
    function("default", 1, 2, |_, args| {
        let given = args.get(1).cloned().unwrap_or_default();
        Ok(if given.is_true() { given } else { args.first().cloned().unwrap_or_default() })
    }),
];

/// More of sprig, for Promtail, which has all of it.
pub(super) static SPRIG_MORE: &[Function] = &[
    function("nospace", 1, 1, |_, args| {
        Ok(text_arg(args, 0)?.split_whitespace().collect::<String>().into())
    }),
    function("untitle", 1, 1, |_, args| {
        let text = text_arg(args, 0)?;
        let mut at_start = true;
        let lowered = text.chars().map(|c| {
            let first = std::mem::replace(&mut at_start, c.is_whitespace());
            if first { c.to_lowercase().next().unwrap_or(c) } else { c }
        });
        Ok(lowered.collect::<String>().into())
    }),
    function("quote", 0, ANY, |_, args| Ok(join_quoted(args, "\"").into())),
    function("squote", 0, ANY, |_, args| Ok(join_quoted(args, "'").into())),
    function("cat", 0, ANY, |_, args| {
        let parts: Vec<String> = args.iter().map(print::display).collect();
        Ok(parts.join(" ").into())
    }),
    function("toString", 1, 1, |_, args| Ok(any_text(args, 0).into())),
    function("toJson", 1, 1, |_, args| {
        Ok(to_json(args.first().unwrap_or(&Value::Nil), 0).to_string().into())
    }),
    function("sha256sum", 1, 1, |_, args| Ok(sha256_hex(&text_arg(args, 0)?).into())),
    function("empty", 1, 1, |_, args| Ok(Value::Bool(!args.iter().any(Value::is_true)))),
    function("coalesce", 0, ANY, |_, args| {
        Ok(args.iter().find(|value| value.is_true()).cloned().unwrap_or_default())
    }),
    function("ternary", 3, 3, |_, args| match args {
        [yes, no, test] => Ok(if test.is_true() { yes.clone() } else { no.clone() }),
        _ => Err("needs three arguments".to_owned()),
    }),
    function("list", 0, ANY, |_, args| Ok(Value::list(args.to_vec()))),
    function("dict", 0, ANY, |_, args| Ok(dict(args))),
    function("get", 2, 2, |_, args| match args {
        [Value::Map(map), Value::Str(key)] => {
            Ok(map.get(key.as_str()).cloned().unwrap_or("".into()))
        }
        _ => Err("needs a dict and a key".to_owned()),
    }),
    function("hasKey", 2, 2, |_, args| match args {
        [Value::Map(map), Value::Str(key)] => Ok(Value::Bool(map.contains_key(key.as_str()))),
        _ => Err("needs a dict and a key".to_owned()),
    }),
    function("join", 2, 2, |_, args| join(&text_arg(args, 0)?, &list_arg(args, 1)?)),
    function("splitList", 2, 2, |_, args| {
        let (separator, text) = (text_arg(args, 0)?, text_arg(args, 1)?);
        Ok(Value::list(text.split(separator.as_str()).map(Value::from).collect()))
    }),
    function("split", 2, 2, |_, args| {
        let (separator, text) = (text_arg(args, 0)?, text_arg(args, 1)?);
        let parts = text.split(separator.as_str()).enumerate();
        Ok(Value::map(parts.map(|(at, part)| (format!("_{at}"), part.into()))))
    }),
    function("first", 1, 1, |_, args| Ok(list_arg(args, 0)?.first().cloned().unwrap_or_default())),
    function("last", 1, 1, |_, args| Ok(list_arg(args, 0)?.last().cloned().unwrap_or_default())),
    regex_function("regexMatch", 2, |env, args| {
        let text = text_arg(args, 1)?;
        with_regex(env, args, |regex| Ok(Value::Bool(regex.is_match(&text))))
    }),
    regex_function("regexFind", 2, |env, args| {
        let text = text_arg(args, 1)?;
        with_regex(env, args, |regex| {
            Ok(regex.find(&text).map_or("", |found| found.as_str()).into())
        })
    }),
];

/// Whether a character is one of a set, which may be long.
fn any_of(cutset: &str) -> impl Fn(char) -> bool {
    const SHORT_BYTES_MAX: usize = 64;
    let mut sorted = Vec::new();
    if cutset.len() > SHORT_BYTES_MAX {
        sorted.extend(cutset.chars());
        sorted.sort_unstable();
        sorted.dedup();
    }
    move |c| {
        if sorted.is_empty() { cutset.contains(c) } else { sorted.binary_search(&c).is_ok() }
    }
}

pub(super) fn from_data(env: &Env, name: &str) -> Value {
    match env.root {
        Value::Object(object) => object.field(name).unwrap_or_default(),
        Value::Map(map) => map.get(name).cloned().unwrap_or_default(),
        _ => Value::Nil,
    }
}

fn replace(text: &str, old: &str, new: &str, count: usize) -> Outcome {
    let found = if old.is_empty() { text.len() + 1 } else { text.len() / old.len() };
    if found.min(count).saturating_mul(new.len()) > TEMPLATE_OUTPUT_BYTES_MAX
        && text.matches(old).count().min(count).saturating_mul(new.len())
            > TEMPLATE_OUTPUT_BYTES_MAX
    {
        return Err("the replaced text is too long".to_owned());
    }
    Ok(text.replacen(old, new, count).into())
}

fn seconds(_: &Env, args: &[Value]) -> Outcome {
    let text = text_arg(args, 0)?;
    Ok(Value::Float(convert::duration_ns(&text)? as f64 / 1e9))
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

fn align(args: &[Value], side: Side) -> Outcome {
    let text = text_arg(args, 1)?;
    let Ok(count) = usize::try_from(int_arg(args, 0)?) else { return Ok(text.as_str().into()) };
    if count > TEMPLATE_OUTPUT_BYTES_MAX {
        return Err("the aligned text is too long".to_owned());
    }
    let length = text.chars().count();
    let pad = " ".repeat(count.saturating_sub(length));
    Ok(match side {
        Side::Left if length > count => text.chars().take(count).collect::<String>().into(),
        Side::Left => format!("{text}{pad}").into(),
        Side::Right if length > count => {
            text.chars().skip(length - count).collect::<String>().into()
        }
        Side::Right => format!("{pad}{text}").into(),
    })
}

pub(super) fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Padding may be missing; what is not base64 comes back as the message why.
pub(super) fn base64_decode(text: &str) -> String {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    // Ends of lines count for nothing.
    let (places, bytes): (Vec<usize>, Vec<u8>) =
        text.bytes().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n')).unzip();
    let place = |at: usize| places.get(at).copied().unwrap_or(text.len());
    match LENIENT.decode(&bytes) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        // Behind padding, one or two characters of it, Go wants the end of the text.
        Err(base64::DecodeError::InvalidByte(at, b'=')) => {
            let at = match at % 4 {
                2 if bytes.get(at + 1) == Some(&b'=') => at + 2,
                3 => at + 1,
                _ => at,
            };
            format!("illegal base64 data at input byte {}", place(at))
        }
        Err(base64::DecodeError::InvalidByte(at, _)) => {
            format!("illegal base64 data at input byte {}", place(at))
        }
        // A single character more than whole groups.
        Err(_) => format!("illegal base64 data at input byte {}", place(bytes.len() / 4 * 4)),
    }
}

/// Go changes the case of one character after the other: what would become two stays.
fn upper(text: &str) -> String {
    text.chars().map(upper_char).collect()
}

fn upper_char(c: char) -> char {
    let mut upper = c.to_uppercase();
    if upper.len() == 1 { upper.next().unwrap_or(c) } else { c }
}

fn lower(text: &str) -> String {
    text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect()
}

/// Go's `strings.Title`.
pub(super) fn title(text: &str) -> String {
    let mut at_start = true;
    text.chars()
        .map(|c| {
            let first =
                std::mem::replace(&mut at_start, !(c.is_alphanumeric() || c == '_' || c == '\''));
            if first { upper_char(c) } else { c }
        })
        .collect()
}

const OUT_OF_RANGE: &str = "runtime error: slice bounds out of range";

fn cut_bytes(text: &str, range: std::ops::Range<usize>) -> Outcome {
    let length = text.len();
    let (start, end) = (range.start, range.end);
    let bytes = text.as_bytes().get(range).ok_or_else(|| {
        if end > length {
            format!("{OUT_OF_RANGE} [:{end}] with length {length}")
        } else {
            format!("{OUT_OF_RANGE} [{start}:{end}]")
        }
    })?;
    Ok(String::from_utf8_lossy(bytes).into_owned().into())
}

fn trunc(count: i64, text: &str) -> Outcome {
    let length = text.len();
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 && size < length {
        return cut_bytes(text, length - size..length);
    }
    if count >= 0 && length > size {
        return cut_bytes(text, 0..size);
    }
    Ok(text.into())
}

fn substr(start: i64, end: i64, text: &str) -> Outcome {
    let length = text.len();
    let Ok(start) = usize::try_from(start) else {
        let end = usize::try_from(end).map_err(|_| format!("{OUT_OF_RANGE} [:{end}]"))?;
        return cut_bytes(text, 0..end);
    };
    match usize::try_from(end).ok() {
        Some(end) if end <= length => cut_bytes(text, start..end),
        _ => cut_bytes(text, start..length),
    }
}

fn indent(args: &[Value], before: &str) -> Outcome {
    let count = usize::try_from(int_arg(args, 0)?).map_err(|_| "strings: negative Repeat count")?;
    let text = text_arg(args, 1)?;
    let lines = text.matches('\n').count() + 1;
    if count.saturating_mul(lines) > TEMPLATE_OUTPUT_BYTES_MAX {
        return Err("the indented text is too long".to_owned());
    }
    let pad = " ".repeat(count);
    Ok(format!("{before}{pad}{}", text.replace('\n', &format!("\n{pad}"))).into())
}

/// Go's `url.QueryUnescape`.
pub(super) fn url_decode(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = text.get(at + 1..at + 3).filter(|d| !d.starts_with('+'));
                let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                out.push(code.ok_or_else(|| {
                    let escape: String = text.get(at..).unwrap_or("%").chars().take(3).collect();
                    format!("invalid URL escape {}", quote(&escape))
                })?);
                at += 2;
            }
            other => out.push(*other),
        }
        at += 1;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn from_json(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value) => json_value(value),
        // Go leaves a number that is too big at nothing and reads on.
        Err(error) if error.is_syntax() => {
            serde_json::from_str(&without_huge_numbers(text)).map(json_value).unwrap_or_default()
        }
        Err(_) => Value::Nil,
    }
}

/// The text with `null` for numbers that no float can hold.
fn without_huge_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let is_number = c == '-' || c.is_ascii_digit();
        let mut escaped = false;
        let length = match c {
            '"' => rest.char_indices().skip(1).find_map(|(at, c)| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends.then_some(at + 1)
            }),
            _ if is_number => {
                rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
            }
            c => Some(c.len_utf8()),
        };
        let (token, behind) = rest.split_at(length.unwrap_or(rest.len()));
        let is_huge = is_number && token.parse::<f64>().is_ok_and(f64::is_infinite);
        out.push_str(if is_huge { "null" } else { token });
        rest = behind;
    }
    out
}

fn json_value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => Value::list(items.into_iter().map(json_value).collect()),
        serde_json::Value::Object(map) => {
            let pairs: BTreeMap<String, Value> =
                map.into_iter().map(|(key, value)| (key, json_value(value))).collect();
            Value::map(pairs)
        }
    }
}

pub(super) fn to_json(value: &Value, depth: usize) -> serde_json::Value {
    const DEPTH_MAX: usize = 64;
    if depth > DEPTH_MAX {
        return serde_json::Value::Null;
    }
    match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) | Value::Duration(number) => (*number).into(),
        // Whole floats without a point, as Go writes them.
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            (*number as i64).into()
        }
        Value::Float(number) => (*number).into(),
        Value::Str(text) => text.as_str().into(),
        Value::Time(ts, zone) => {
            crate::text::gotime::format(*ts, "2006-01-02T15:04:05.999999999Z07:00", zone).into()
        }
        Value::List(items) => items.iter().map(|item| to_json(item, depth + 1)).collect(),
        Value::Map(map) => {
            map.iter().map(|(key, item)| (key.clone(), to_json(item, depth + 1))).collect()
        }
        Value::Object(object) => to_json(&object.to_value(), depth + 1),
    }
}

fn join_quoted(args: &[Value], mark: &str) -> String {
    let quoted: Vec<String> = args
        .iter()
        .filter(|value| !matches!(value, Value::Nil))
        .map(|value| {
            let text = print::display(value);
            if mark == "\"" { crate::model::quote(&text) } else { format!("{mark}{text}{mark}") }
        })
        .collect();
    quoted.join(" ")
}

pub(super) fn dict(args: &[Value]) -> Value {
    Value::map(args.chunks(2).map(|pair| {
        let key = pair.first().map(print::display).unwrap_or_default();
        (key, pair.get(1).cloned().unwrap_or_else(|| "".into()))
    }))
}

pub(super) fn join(separator: &str, items: &[Value]) -> Outcome {
    let parts: Vec<String> = items.iter().map(print::display).collect();
    let bytes = parts.iter().map(|part| part.len() + separator.len()).sum::<usize>();
    if bytes > TEMPLATE_OUTPUT_BYTES_MAX {
        return Err("the joined text is too long".to_owned());
    }
    Ok(parts.join(separator).into())
}
