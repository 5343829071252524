//! Fields and methods of values: `.a`, `.Format "..."`, `.Seconds`.

use super::{Value, print};
use crate::model::Timestamp;
use crate::text::gotime::{self, Zone};
use crate::text::units;

type Result<T> = std::result::Result<T, String>;

/// A field, or a method that needs no arguments. `None` when there is neither.
pub(super) fn field(value: &Value, name: &str) -> Option<Result<Value>> {
    match value {
        Value::Object(object) => match object.field(name) {
            Some(found) => Some(Ok(found)),
            None => object.call(name, &[]),
        },
        Value::Map(map) => map.get(name).cloned().map(Ok),
        Value::Time(..) | Value::Duration(_) => call(value, name, &[]),
        _ => None,
    }
}

/// What a name that is not there reads as: nothing, where Go allows any key at all.
pub(super) fn missing(value: &Value, name: &str) -> Result<Value> {
    match value {
        Value::Object(_) => Ok(Value::Str("".into())),
        Value::Nil | Value::Map(_) => Ok(Value::Nil),
        other => Err(format!("can't evaluate field {name} in type {}", other.type_name())),
    }
}

pub(super) fn call(value: &Value, name: &str, args: &[Value]) -> Option<Result<Value>> {
    match value {
        Value::Object(object) => object.call(name, args),
        Value::Time(ts, zone) => time(*ts, zone, name, args),
        Value::Duration(ns) => duration(*ns, name, args),
        _ => None,
    }
}

fn time(ts: Timestamp, zone: &Zone, name: &str, args: &[Value]) -> Option<Result<Value>> {
    let number =
        |layout: &str| Ok(Value::Int(gotime::format(ts, layout, zone).parse().unwrap_or_default()));
    Some(match (name, args) {
        ("Format", [Value::Str(layout)]) => Ok(gotime::format(ts, layout, zone).into()),
        ("String", []) => Ok(print::time(ts, zone).into()),
        ("Unix", []) => Ok(Value::Int(ts.0.div_euclid(1_000_000_000))),
        ("UnixMilli", []) => Ok(Value::Int(ts.0.div_euclid(1_000_000))),
        ("UnixMicro", []) => Ok(Value::Int(ts.0.div_euclid(1_000))),
        ("UnixNano", []) => Ok(Value::Int(ts.0)),
        ("UTC" | "Local", []) => Ok(Value::Time(ts, Zone::Utc)),
        ("IsZero", []) => Ok(Value::Bool(ts == gotime::ZERO_TIME)),
        ("Year", []) => number("2006"),
        ("YearDay", []) => number("002"),
        ("Day", []) => number("2"),
        ("Hour", []) => number("15"),
        ("Minute", []) => number("4"),
        ("Second", []) => number("5"),
        ("Nanosecond", []) => Ok(Value::Int(ts.0.rem_euclid(1_000_000_000))),
        ("Location", []) => Ok(match zone {
            // The server's own zone is UTC, whatever it is called.
            Zone::Utc => "Local".into(),
            zone => gotime::format(ts, "MST", zone).into(),
        }),
        ("Month", []) => Ok(gotime::format(ts, "January", zone).into()),
        ("Weekday", []) => Ok(gotime::format(ts, "Monday", zone).into()),
        ("Add", [Value::Duration(ns) | Value::Int(ns)]) => {
            Ok(Value::Time(ts.saturating_add_ns(*ns), zone.clone()))
        }
        ("Sub", [Value::Time(other, _)]) => Ok(Value::Duration(ts.0.saturating_sub(other.0))),
        ("Before", [Value::Time(other, _)]) => Ok(Value::Bool(ts < *other)),
        ("After", [Value::Time(other, _)]) => Ok(Value::Bool(ts > *other)),
        ("Equal", [Value::Time(other, _)]) => Ok(Value::Bool(ts == *other)),
        ("Truncate", [Value::Duration(ns) | Value::Int(ns)]) if *ns > 0 => {
            Ok(Value::Time(Timestamp(ts.0.saturating_sub(ts.0.rem_euclid(*ns))), zone.clone()))
        }
        _ => return None,
    })
}

fn duration(ns: i64, name: &str, args: &[Value]) -> Option<Result<Value>> {
    Some(match (name, args) {
        ("String", []) => Ok(units::format_go_duration(ns).into()),
        ("Nanoseconds", []) => Ok(Value::Int(ns)),
        ("Microseconds", []) => Ok(Value::Int(ns / 1_000)),
        ("Milliseconds", []) => Ok(Value::Int(ns / 1_000_000)),
        ("Seconds", []) => Ok(Value::Float(ns as f64 / 1e9)),
        ("Minutes", []) => Ok(Value::Float(ns as f64 / 6e10)),
        ("Hours", []) => Ok(Value::Float(ns as f64 / 3.6e12)),
        ("Abs", []) => Ok(Value::Duration(ns.saturating_abs())),
        ("Truncate", [Value::Duration(by) | Value::Int(by)]) if *by > 0 => {
            Ok(Value::Duration(ns - ns % by))
        }
        ("Round", [Value::Duration(by) | Value::Int(by)]) if *by > 0 => {
            let rest = ns % by;
            let down = ns - rest;
            let away = if ns < 0 { down.saturating_sub(*by) } else { down.saturating_add(*by) };
            let is_near = rest.unsigned_abs() < by.unsigned_abs() - rest.unsigned_abs();
            Ok(Value::Duration(if is_near { down } else { away }))
        }
        _ => return None,
    })
}
