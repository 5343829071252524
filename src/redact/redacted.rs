//! The type that carries the promise.

use std::ops::Deref;

/// A value that has passed redaction. The field is private and the constructor is visible in
/// this room only, so nobody else can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    pub(in crate::redact) fn new(value: T) -> Self {
        Redacted(value)
    }

    pub fn into_inner(self) -> T {
        self.0
    }

    /// For tests and measurements of rooms behind the gate; not compiled into the product.
    #[cfg(any(test, feature = "bench"))]
    pub fn for_test(value: T) -> Self {
        Redacted(value)
    }
}

impl<T> Deref for Redacted<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
