//! Regular expressions as Go's RE2 reads them, run by the `regex` crate.

use regex::Regex;

/// Compiles an RE2 pattern (unanchored; `.` does not match a newline).
pub fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| error.to_string())
}

/// Compiles an RE2 pattern for a label matcher: anchored at both ends, `.` matches newlines.
pub fn compile_anchored(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?s:{pattern})$")).map_err(|error| error.to_string())
}
