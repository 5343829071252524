//! Values as Go's `fmt.Sprint` shows them.

use super::{Value, float};
use crate::limits::TEMPLATE_OUTPUT_BYTES_MAX;
use crate::model::Timestamp;
use crate::text::gotime::{self, Zone};
use crate::text::units;

/// Lists and maps inside each other deeper than this are cut; nothing a template gets is.
const DEPTH_MAX: usize = 64;

/// How a value that is not there looks among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nil {
    /// As nothing.
    Hidden,
    /// As Go has it: `<nil>`.
    Shown,
}

/// What `{{ . }}` prints. Nothing prints as nothing.
pub(super) fn display(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out, 0);
    out
}

fn write(value: &Value, out: &mut String, depth: usize) {
    if depth > DEPTH_MAX {
        out.push_str("...");
        return;
    }
    match value {
        Value::Nil => {}
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&float::plain(*number)),
        Value::Str(text) => out.push_str(text),
        Value::Time(ts, zone) => out.push_str(&time(*ts, zone)),
        Value::Duration(ns) => out.push_str(&units::format_go_duration(*ns)),
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                if is_full(out) {
                    break;
                }
                inner(item, out, depth);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (at, (key, item)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                if is_full(out) {
                    break;
                }
                out.push_str(key);
                out.push(':');
                inner(item, out, depth);
            }
            out.push(']');
        }
        Value::Object(object) => match object.call("String", &[]) {
            Some(Ok(Value::Str(text))) => out.push_str(&text),
            _ => write(&object.to_value(), out, depth + 1),
        },
    }
}

/// A value that stands in a list many times is shown as often: what is longer than any template
/// may make is not finished.
fn is_full(out: &str) -> bool {
    out.len() > TEMPLATE_OUTPUT_BYTES_MAX
}

fn inner(item: &Value, out: &mut String, depth: usize) {
    match item {
        Value::Nil => out.push_str("<nil>"),
        item => write(item, out, depth + 1),
    }
}

/// Go's `Time.String()`.
pub(super) fn time(ts: Timestamp, zone: &Zone) -> String {
    gotime::format(ts, "2006-01-02 15:04:05.999999999 -0700 MST", zone)
}

/// Go's `fmt.Sprint`: spaces between operands when neither is a text.
pub(super) fn sprint(values: &[Value], nil: Nil) -> String {
    let mut out = String::new();
    let mut after_text = true;
    for (at, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Str(_));
        if at > 0 && !is_text && !after_text {
            out.push(' ');
        }
        operand(value, &mut out, nil);
        after_text = is_text;
    }
    out
}

/// Go's `fmt.Sprintln`.
pub(super) fn sprintln(values: &[Value], nil: Nil) -> String {
    let mut out = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        operand(value, &mut out, nil);
    }
    out.push('\n');
    out
}

fn operand(value: &Value, out: &mut String, nil: Nil) {
    match nil {
        Nil::Shown => inner(value, out, 0),
        Nil::Hidden => write(value, out, 0),
    }
}
