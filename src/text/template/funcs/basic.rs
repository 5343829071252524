//! The functions of Go's text/template itself.

use std::cmp::Ordering;

use super::super::{methods, printf};
use super::{ANY, Env, Function, Outcome, Run, Value, function, int_arg, print, text_arg};

pub(in super::super) static BUILTINS: &[Function] =
    &[
        Function { name: "and", args_min: 1, args_max: ANY, takes_regex: false, run: Run::And },
        Function { name: "or", args_min: 1, args_max: ANY, takes_regex: false, run: Run::Or },
        function("not", 1, 1, |_, args| Ok(Value::Bool(!args.iter().any(Value::is_true)))),
        function("eq", 2, ANY, eq),
        function("ne", 2, 2, |env, args| match args {
            [a, b] => Ok(Value::Bool(!equal(env, a, b)?)),
            _ => Err("needs two arguments".to_owned()),
        }),
        function("lt", 2, 2, |env, args| compare(env, args, |order| order == Ordering::Less)),
        function("le", 2, 2, |env, args| compare(env, args, |order| order != Ordering::Greater)),
        function("gt", 2, 2, |env, args| compare(env, args, |order| order == Ordering::Greater)),
        function("ge", 2, 2, |env, args| compare(env, args, |order| order != Ordering::Less)),
        function("len", 1, 1, len),
        function("index", 1, ANY, index),
        function("slice", 1, 4, slice),
        function("print", 0, ANY, |env, args| Ok(print::sprint(args, env.nil()).into())),
        function("println", 0, ANY, |env, args| Ok(print::sprintln(args, env.nil()).into())),
        function("printf", 1, ANY, |env, args| {
            let format = text_arg(args, 0)?;
            Ok(printf::sprintf(&format, args.get(1..).unwrap_or_default(), env.nil())?.into())
        }),
        function("html", 0, ANY, |env, args| Ok(html(&print::sprint(args, env.nil())).into())),
        function("js", 0, ANY, |env, args| Ok(js(&print::sprint(args, env.nil())).into())),
        function("urlquery", 0, ANY, |env, args| {
            Ok(url_encode(&print::sprint(args, env.nil())).into())
        }),
        function("call", 1, ANY, |_, _| Err("the data holds no functions to call".to_owned())),
    ];

fn eq(env: &Env, args: &[Value]) -> Outcome {
    let (first, others) = args.split_first().ok_or("missing argument for comparison")?;
    for other in others {
        if equal(env, first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

/// Go's words for two values that cannot be compared.
fn incompatible(a: &Value, b: &Value) -> String {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}

/// Go compares no int with a float.
fn is_mixed(a: &Value, b: &Value) -> bool {
    is_number(a) && is_number(b) && matches!(a, Value::Float(_)) != matches!(b, Value::Float(_))
}

fn equal(env: &Env, a: &Value, b: &Value) -> Result<bool, String> {
    if env.is_strict && is_mixed(a, b) {
        return Err(incompatible(a, b));
    }
    Ok(match (a, b) {
        (Value::Nil, Value::Nil) => true,
        (Value::Nil, _) | (_, Value::Nil) if env.is_strict => false,
        // A missing key equals the empty text, as it prints.
        (Value::Nil, Value::Str(text)) | (Value::Str(text), Value::Nil) => text.is_empty(),
        (Value::Nil, _) | (_, Value::Nil) => false,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Time(a, _), Value::Time(b, _)) => a == b,
        _ => match order(a, b) {
            Some(order) => order == Ordering::Equal,
            None if is_number(a) && is_number(b) => false,
            None => return Err(incompatible(a, b)),
        },
    })
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Float(_) | Value::Duration(_))
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        // Go refuses to compare int with float. Where strictness is not asked for, a whole
        // number against a measured one is what people mean.
        (Value::Int(a) | Value::Duration(a), Value::Float(b)) => (*a as f64).partial_cmp(b),
        (Value::Float(a), Value::Int(b) | Value::Duration(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Nil, Value::Str(b)) => Some("".cmp(b)),
        (Value::Str(a), Value::Nil) => Some(a.as_str().cmp("")),
        _ => None,
    }
}

fn compare(env: &Env, args: &[Value], test: fn(Ordering) -> bool) -> Outcome {
    match args {
        [Value::Nil, _] | [_, Value::Nil] if env.is_strict => {
            Err("invalid type for comparison".to_owned())
        }
        [a, b] if env.is_strict && is_mixed(a, b) => Err(incompatible(a, b)),
        [Value::Bool(_), Value::Bool(_)] => Err("invalid type for comparison".to_owned()),
        [a, b] => match order(a, b) {
            Some(order) => Ok(Value::Bool(test(order))),
            // NaN compares to nothing.
            None if is_number(a) && is_number(b) => Ok(Value::Bool(false)),
            None => Err(incompatible(a, b)),
        },
        _ => Err("needs two arguments".to_owned()),
    }
}

fn len(env: &Env, args: &[Value]) -> Outcome {
    if env.is_strict && matches!(args, [Value::Nil]) {
        return Err(match env.nil_in_map {
            true => "len of nil pointer".to_owned(),
            false => "reflect: call of reflect.Value.Type on zero Value".to_owned(),
        });
    }
    let shown = args.first().map(Value::shown).unwrap_or_default();
    Ok(Value::from_usize(match &shown {
        Value::Str(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.len(),
        Value::Nil => 0,
        other => return Err(format!("len of type {}", other.type_name())),
    }))
}

fn index(env: &Env, args: &[Value]) -> Outcome {
    let (first, keys) = args.split_first().ok_or("index of untyped nil")?;
    if env.is_strict && matches!(first, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    let mut item = first.clone();
    for key in keys {
        item = match (&item, key) {
            (Value::Nil, _) if env.is_strict => return Err("index of nil pointer".to_owned()),
            (Value::Object(_), Value::Str(name)) => match methods::field(&item, name) {
                Some(found) => found?,
                None => Value::Str("".into()),
            },
            _ => index_one(&item.shown(), key)?,
        };
    }
    Ok(item)
}

fn index_one(item: &Value, key: &Value) -> Outcome {
    match (item, key) {
        (Value::Map(map), Value::Str(name)) => {
            Ok(map.get(name.as_str()).cloned().unwrap_or_default())
        }
        (Value::List(items), Value::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| items.get(at))
            .cloned()
            .ok_or_else(|| out_of_range(*at, items.len(), "slice")),
        (Value::Str(text), Value::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| text.as_bytes().get(at))
            .map(|byte| Value::Int(i64::from(*byte)))
            .ok_or_else(|| out_of_range(*at, text.len(), "string")),
        (Value::Nil, _) => Ok(Value::Nil),
        (Value::Map(_), Value::Nil) => Err("value is nil; should be of type string".to_owned()),
        (Value::Map(_), key) => {
            Err(format!("value has type {}; should be string", key.type_name()))
        }
        (Value::List(_) | Value::Str(_), Value::Nil) => {
            Err("cannot index slice/array with nil".to_owned())
        }
        (Value::List(_) | Value::Str(_), key) => {
            Err(format!("cannot index slice/array with type {}", key.type_name()))
        }
        (item, _) => Err(format!("can't index item of type {}", item.type_name())),
    }
}

/// Go lets the index right behind the end pass its own check.
fn out_of_range(at: i64, length: usize, what: &str) -> String {
    if usize::try_from(at) == Ok(length) {
        return format!("reflect: {what} index out of range");
    }
    format!("index out of range: {at}")
}

fn slice(_: &Env, args: &[Value]) -> Outcome {
    let shown = args.first().map(Value::shown).unwrap_or_default();
    let length = match &shown {
        Value::Str(text) => text.len(),
        Value::List(items) => items.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let bound = |at: usize, default: usize| -> Result<usize, String> {
        if args.len() <= at {
            return Ok(default);
        }
        let number = int_arg(args, at)?;
        usize::try_from(number)
            .ok()
            .filter(|number| *number <= length)
            .ok_or_else(|| format!("index out of range: {number}"))
    };
    let (start, end) = (bound(1, 0)?, bound(2, length)?);
    if args.len() == 4 && matches!(shown, Value::Str(_)) {
        return Err("cannot 3-index slice a string".to_owned());
    }
    let outside = || format!("invalid slice index: {start} > {end}");
    match &shown {
        // Bytes, as in Go; half a character becomes U+FFFD.
        Value::Str(text) => {
            let bytes = text.as_bytes().get(start..end).ok_or_else(outside)?;
            Ok(String::from_utf8_lossy(bytes).into_owned().into())
        }
        Value::List(items) => Ok(Value::list(items.get(start..end).ok_or_else(outside)?.to_vec())),
        _ => Ok(Value::Nil),
    }
}

pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// Go's `url.QueryEscape`.
pub(super) fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
