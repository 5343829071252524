//! Numbers: sprig's arithmetic. Arguments of any type are read as numbers, as sprig does.

use crate::text::convert;

use super::{ANY, Function, Outcome, Value, function, int_arg};

pub(super) static SPRIG: &[Function] = &[
    function("int", 1, 1, |_, args| Ok(Value::Int(int(args, 0)))),
    function("float64", 1, 1, |_, args| Ok(Value::Float(float(args, 0)))),
    function("add", 0, ANY, |_, args| {
        Ok(Value::Int((0..args.len()).fold(0, |sum: i64, at| sum.wrapping_add(int(args, at)))))
    }),
    function("sub", 2, 2, |_, args| Ok(Value::Int(int(args, 0).wrapping_sub(int(args, 1))))),
    function("mul", 1, ANY, |_, args| {
        Ok(Value::Int((0..args.len()).fold(1, |all: i64, at| all.wrapping_mul(int(args, at)))))
    }),
    function("div", 2, 2, |_, args| {
        if int(args, 1) == 0 {
            return Err("runtime error: integer divide by zero".to_owned());
        }
        Ok(Value::Int(int(args, 0).wrapping_div(int(args, 1))))
    }),
    function("mod", 2, 2, |_, args| {
        if int(args, 1) == 0 {
            return Err("runtime error: integer divide by zero".to_owned());
        }
        Ok(Value::Int(int(args, 0).wrapping_rem(int(args, 1))))
    }),
    function("addf", 1, ANY, |_, args| Ok(fold(args, |a, b| a + b))),
    function("subf", 1, ANY, |_, args| Ok(fold(args, |a, b| a - b))),
    function("mulf", 1, ANY, |_, args| Ok(fold(args, |a, b| a * b))),
    function("divf", 1, ANY, |_, args| {
        if (1..args.len()).any(|at| float(args, at) == 0.0) {
            return Err("decimal division by 0".to_owned());
        }
        Ok(fold(args, |a, b| a / b))
    }),
    function("max", 1, ANY, |_, args| {
        Ok(Value::Int((0..args.len()).map(|at| int(args, at)).max().unwrap_or_default()))
    }),
    function("min", 1, ANY, |_, args| {
        Ok(Value::Int((0..args.len()).map(|at| int(args, at)).min().unwrap_or_default()))
    }),
    function("maxf", 1, ANY, |_, args| Ok(fold(args, f64::max))),
    function("minf", 1, ANY, |_, args| Ok(fold(args, f64::min))),
    function("ceil", 1, 1, |_, args| Ok(Value::Float(float(args, 0).ceil()))),
    function("floor", 1, 1, |_, args| Ok(Value::Float(float(args, 0).floor()))),
    function("round", 2, 3, |_, args| round(args)),
];

pub(super) static SPRIG_MORE: &[Function] = &[
    function("int64", 1, 1, |_, args| Ok(Value::Int(int(args, 0)))),
    function("atoi", 1, 1, |_, args| Ok(Value::Int(int(args, 0)))),
    function("add1", 1, 1, |_, args| Ok(Value::Int(int(args, 0).wrapping_add(1)))),
];

/// The value as a whole number; what is none is 0.
fn int(args: &[Value], at: usize) -> i64 {
    match args.get(at) {
        Some(Value::Int(number) | Value::Duration(number)) => *number,
        Some(Value::Float(number)) => *number as i64,
        Some(Value::Bool(flag)) => i64::from(*flag),
        Some(Value::Str(text)) => int_text(text),
        _ => 0,
    }
}

fn int_text(text: &str) -> i64 {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // What stands behind the point does not count, as long as it is digits.
    let whole = match digits.split_once('.') {
        Some((whole, behind)) if behind.bytes().all(|b| b.is_ascii_digit()) => whole,
        _ => digits,
    };
    let lower = whole.to_ascii_lowercase();
    // As in Go's source: prefixes, a leading zero for octal, and underscores between digits.
    let (base, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)),
        [b'0', b'b', ..] => (2, lower.get(2..)),
        [b'0', b'o', ..] => (8, lower.get(2..)),
        [b'0', _, ..] => (8, lower.get(1..)),
        _ => (10, Some(lower.as_str())),
    };
    let body = body.unwrap_or_default();
    if body.starts_with(['+', '-']) || body.starts_with('_') && base == 10 || body.ends_with('_') {
        return 0;
    }
    let number = i128::from_str_radix(&body.replace('_', ""), base).unwrap_or_default();
    i64::try_from(if negative { -number } else { number }).unwrap_or_default()
}

/// The value as a float; what is none is 0.
pub(super) fn float(args: &[Value], at: usize) -> f64 {
    match args.get(at) {
        Some(Value::Int(number) | Value::Duration(number)) => *number as f64,
        Some(Value::Float(number)) => *number,
        Some(Value::Bool(flag)) => f64::from(u8::from(*flag)),
        Some(Value::Str(text)) => convert::number(text).unwrap_or_default(),
        _ => 0.0,
    }
}

fn fold(args: &[Value], step: fn(f64, f64) -> f64) -> Value {
    let rest = (1..args.len()).map(|at| float(args, at));
    let sum = rest.fold(float(args, 0), step);
    // Sprig counts in decimals: 0.1 + 0.2 is 0.3. Fifteen digits are what a float holds.
    Value::Float(if sum.is_finite() { format!("{sum:.14e}").parse().unwrap_or(sum) } else { sum })
}

fn round(args: &[Value]) -> Outcome {
    let places = i32::try_from(int_arg(args, 1)?).map_err(|_| "too many places")?;
    let up_from = if args.len() > 2 { float(args, 2) } else { 0.5 };
    let power = 10f64.powi(places);
    let digits = float(args, 0) * power;
    let rounded = if digits.fract() >= up_from { digits.ceil() } else { digits.floor() };
    let value = rounded / power;
    Ok(Value::Float(if value.is_finite() { value } else { float(args, 0) }))
}
