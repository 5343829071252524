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

/// About how many states a pattern compiles to, known without compiling it. Of a pattern that
/// is none, what reading it costs.
pub fn weight(pattern: &str) -> usize {
    let size = translate::translate(pattern).map_or(pattern.len(), |(_, size)| size);
    limits::REGEX_WEIGHT_MIN.saturating_add(size)
}

/// What all regexes of one query may come to. Each alone is bounded, but a query has room for
/// thousands of the largest.
#[derive(Debug)]
pub struct Budget {
    left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { left: limits::QUERY_REGEX_WEIGHT_MAX }
    }
}

impl Budget {
    /// Takes what a pattern costs, before it is compiled.
    pub fn take(&mut self, pattern: &str) -> Result<(), String> {
        self.left = self.left.checked_sub(weight(pattern)).ok_or_else(too_large)?;
        Ok(())
    }
}

fn too_large() -> String {
    "error parsing regexp: expression too large".to_owned()
}

fn build(translated: &str) -> Result<Regex, String> {
    RegexBuilder::new(translated).size_limit(limits::REGEX_BYTES_MAX).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => too_large(),
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
