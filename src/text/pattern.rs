//! LogQL patterns: `<ip> - <_> "<method> <path>"`, for the `pattern` parser and the `|>` filter.

use std::ops::Range;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    names: Vec<String>,
}

impl Pattern {
    /// For the `pattern` parser: at least one named capture, no two captures side by side.
    pub fn parse_extractor(_source: &str) -> Result<Pattern, String> {
        Ok(Pattern { names: Vec::new() })
    }

    /// For `|>` and `!>`: only `<_>`.
    pub fn parse_filter(_source: &str) -> Result<Pattern, String> {
        Ok(Pattern { names: Vec::new() })
    }

    /// Names of the named captures, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Calls back with the index into `names` and the place in the line of each named capture.
    pub fn extract(&self, _line: &str, _found: &mut dyn FnMut(usize, Range<usize>)) {}

    /// Whether the whole line fits (filters).
    pub fn matches(&self, _line: &str) -> bool {
        false
    }

    /// The literal pieces, longest first: every match holds them all.
    pub fn literals(&self) -> Vec<&str> {
        Vec::new()
    }
}
