//! Tests on one label: `name="value"`, `!=`, `=~`, `!~`.

use std::fmt;

use regex::Regex;

use super::quote::quote;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    Eq,
    Neq,
    Re,
    Nre,
}

impl MatchOp {
    pub fn as_str(self) -> &'static str {
        match self {
            MatchOp::Eq => "=",
            MatchOp::Neq => "!=",
            MatchOp::Re => "=~",
            MatchOp::Nre => "!~",
        }
    }
}

/// A label matcher with its regex compiled. A missing label counts as the empty string.
#[derive(Debug, Clone)]
pub struct Matcher {
    pub name: String,
    pub op: MatchOp,
    pub value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// For `=` and `!=`.
    pub fn text(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Self {
        debug_assert!(matches!(op, MatchOp::Eq | MatchOp::Neq));
        Matcher { name: name.into(), op, value: value.into(), regex: None }
    }

    pub fn eq(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher::text(name, MatchOp::Eq, value)
    }

    /// For `=~` and `!~`; `regex` must already be anchored at both ends. `value` is the text as
    /// the user wrote it.
    pub fn regex(
        name: impl Into<String>,
        op: MatchOp,
        value: impl Into<String>,
        regex: Regex,
    ) -> Self {
        debug_assert!(matches!(op, MatchOp::Re | MatchOp::Nre));
        Matcher { name: name.into(), op, value: value.into(), regex: Some(regex) }
    }

    pub fn matches(&self, value: &str) -> bool {
        match self.op {
            MatchOp::Eq => value == self.value,
            MatchOp::Neq => value != self.value,
            MatchOp::Re => self.regex.as_ref().is_some_and(|re| re.is_match(value)),
            MatchOp::Nre => !self.regex.as_ref().is_some_and(|re| re.is_match(value)),
        }
    }

    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.op.as_str(), quote(&self.value))
    }
}
