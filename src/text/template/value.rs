//! What templates work on.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Text, Timestamp};
use crate::text::gotime::Zone;

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
    /// What `range`, `len` and printing see.
    fn to_value(&self) -> Value {
        Value::Nil
    }
}
