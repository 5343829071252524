//! OTLP's `AnyValue`, and its text: strings as they are, maps and lists as JSON, bytes as base64,
//! all as the collector's `AsString` writes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::model::Text;

pub(super) type Attributes = Vec<(Text, Any)>;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Any {
    #[default]
    Empty,
    Str(Text),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Bytes),
    List(Vec<Any>),
    Map(Attributes),
}

impl Any {
    pub fn into_text(self) -> Text {
        match self {
            Any::Empty => Text::default(),
            Any::Str(text) => text,
            Any::Bool(value) => Text::from(if value { "true" } else { "false" }),
            Any::Int(value) => Text::from(value.to_string()),
            Any::Double(value) => Text::from(double(value)),
            Any::Bytes(bytes) => Text::from(BASE64.encode(&bytes)),
            Any::List(_) | Any::Map(_) => {
                let mut out = String::new();
                self.json(&mut out);
                Text::from(out)
            }
        }
    }

    /// As Go's encoding/json writes it, HTML left alone: keys sorted, of equal ones the last.
    fn json(&self, out: &mut String) {
        match self {
            Any::Empty => out.push_str("null"),
            Any::Str(text) => string(out, text),
            Any::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Any::Int(value) => {
                let _ = write!(out, "{value}");
            }
            // JSON has no such numbers; one of them should not cost the rest of the body.
            Any::Double(value) if !value.is_finite() => out.push_str("null"),
            Any::Double(value) => out.push_str(&double(*value)),
            Any::Bytes(bytes) => string(out, &BASE64.encode(bytes)),
            Any::List(values) => {
                out.push('[');
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    value.json(out);
                }
                out.push(']');
            }
            Any::Map(pairs) => {
                let sorted: BTreeMap<&str, &Any> =
                    pairs.iter().map(|(key, value)| (key.as_str(), value)).collect();
                out.push('{');
                for (at, (key, value)) in sorted.into_iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    string(out, key);
                    out.push(':');
                    value.json(out);
                }
                out.push('}');
            }
        }
    }
}

/// A float as ECMAScript writes it.
fn double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                format!("{digits}e+{exponent}")
            }
            _ => text,
        };
    }
    format!("{value}")
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let s = |text: &str| Any::Str(Text::from(text));
        for (value, expect) in [
            (Any::Empty, ""),
            (s("a\nb"), "a\nb"),
            (Any::Bool(true), "true"),
            (Any::Int(-5), "-5"),
            (Any::Double(1.5), "1.5"),
            (Any::Double(3.0), "3"),
            (Any::Double(1e21), "1e+21"),
            (Any::Double(1.5e-9), "1.5e-9"),
            (Any::Double(f64::NEG_INFINITY), "-Infinity"),
            (Any::Bytes(Bytes::from_static(b"\0\xff")), "AP8="),
            (Any::List(vec![s("a<b"), Any::Empty, Any::Double(f64::NAN)]), r#"["a<b",null,null]"#),
            (
                Any::Map(vec![
                    ("b".into(), Any::Int(1)),
                    ("a".into(), s("\u{1}\"")),
                    ("b".into(), Any::Int(2)),
                ]),
                r#"{"a":"\u0001\"","b":2}"#,
            ),
        ] {
            assert_eq!(value.clone().into_text().as_str(), expect, "{value:?}");
        }
    }
}
