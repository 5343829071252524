//! What templates work on.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Text, Timestamp};
use crate::text::gotime::Zone;

/// Lists in lists; JSON has at most 128.
const VALUE_DEPTH_MAX: usize = 130;

/// A value in a template.
#[derive(Debug, Clone, Default)]
pub enum Value {
    #[default]
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Text),
    Time(Timestamp, Zone),
    /// A Go `time.Duration`, in nanoseconds.
    Duration(i64),
    List(Arc<Vec<Value>>),
    Map(Arc<BTreeMap<String, Value>>),
    Object(Arc<dyn Object>),
}

/// Data with fields (and methods, as Go templates see them): label sets read lazily,
/// Alertmanager's `Alerts` and `KV`.
pub trait Object: std::fmt::Debug + Send + Sync {
    /// The field `.name`; `None` when there is none, which renders as nothing.
    fn field(&self, name: &str) -> Option<Value>;
    /// The method `.name arg...`; `None` when there is no such method. A field wins over a method.
    fn call(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let _ = (name, args);
        None
    }
    /// Its type's name in Go.
    fn type_name(&self) -> &'static str {
        "struct"
    }
    /// What `range`, `len` and printing see.
    fn to_value(&self) -> Value {
        Value::Nil
    }
}

impl Value {
    pub fn list(items: Vec<Value>) -> Value {
        Value::List(Arc::new(items))
    }

    pub fn map(pairs: impl IntoIterator<Item = (String, Value)>) -> Value {
        Value::Map(Arc::new(pairs.into_iter().collect()))
    }

    pub fn object(object: impl Object + 'static) -> Value {
        Value::Object(Arc::new(object))
    }

    pub(super) fn from_usize(number: usize) -> Value {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// Go's truth: not nil, not zero, not empty.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(flag) => *flag,
            Value::Int(number) | Value::Duration(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::Time(..) => true,
            Value::List(items) => !items.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Object(object) => match object.to_value() {
                // An object that shows nothing of itself is still there.
                Value::Nil => true,
                shown => shown.is_true(),
            },
        }
    }

    /// The value itself, or what an object shows of itself.
    pub(super) fn shown(&self) -> Value {
        match self {
            Value::Object(object) => object.to_value(),
            plain => plain.clone(),
        }
    }

    /// The type's name in Go, for messages and `%T`.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Str(_) => "string",
            Value::Time(..) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::List(_) => "[]interface {}",
            Value::Map(_) => "map[string]interface {}",
            Value::Object(object) => object.type_name(),
        }
    }

    /// Counts values, and sixteen bytes of text as one more.
    pub(super) fn fits(&self, left: &mut usize, depth: usize) -> bool {
        let bytes = match self {
            Value::Str(text) => text.len(),
            _ => 0,
        };
        match left.checked_sub(1 + bytes / 16) {
            Some(rest) if depth <= VALUE_DEPTH_MAX => *left = rest,
            _ => return false,
        }
        match self {
            Value::List(items) => items.iter().all(|item| item.fits(left, depth + 1)),
            Value::Map(map) => map.values().all(|item| item.fits(left, depth + 1)),
            _ => true,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Str(text.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}
