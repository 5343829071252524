//! A lenient logfmt scanner, after go-logfmt as Loki uses it.

use std::borrow::Cow;

/// One step of the scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pair<'a> {
    /// `key=value`; the value is `None` for a bare `key` and for `key=`... see `Scanner`.
    Value { key: &'a str, value: Cow<'a, str>, quoted: bool },
    /// A bare key or a key with nothing after `=`.
    Empty { key: &'a str },
    /// A malformed piece; the scanner goes on after it. The message is go-logfmt's.
    Malformed { message: String },
}

/// Walks the pairs of a line in order.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    line: &'a str,
}

impl<'a> Scanner<'a> {
    pub fn new(line: &'a str) -> Self {
        Scanner { line }
    }
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Pair<'a>;
    fn next(&mut self) -> Option<Pair<'a>> {
        let _ = self.line;
        None
    }
}
