//! Regular expressions as Go's RE2 reads them, run by the `regex` crate.

mod class;
mod literals;
mod translate;

use regex::{Regex, RegexBuilder};

use crate::limits;

pub use literals::{Literal, Literals, fold, required_literals};

/// Compiles an RE2 pattern (unanchored; `.` does not match a newline).
pub fn compile(pattern: &str) -> Result<Regex, String> {
    build(&translate::to_rust(pattern)?)
}

/// Compiles an RE2 pattern for a label matcher: anchored at both ends, `.` matches newlines.
pub fn compile_anchored(pattern: &str) -> Result<Regex, String> {
    build(&format!("^(?s:{})$", translate::to_rust(pattern)?))
}

fn build(translated: &str) -> Result<Regex, String> {
    RegexBuilder::new(translated).size_limit(limits::REGEX_BYTES_MAX).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => {
                "error parsing regexp: expression too large".to_owned()
            }
            // The crate draws the pattern with a marker; the last line says what is wrong.
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                let reason = last.strip_prefix("error: ").unwrap_or(last);
                format!("error parsing regexp: {reason}")
            }
        }
    })
}

#[cfg(test)]
mod tests;
