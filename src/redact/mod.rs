//! The only gate to disk: nothing is stored, tailed or sent that has not passed here.
//!
//! A line is scanned once for literals and digits (`prefilter`). Only the rules that were hit
//! look closer (`engine`, `detect`), what they find is checked (`validate`, `boundary`), and what
//! wins where matches overlap is replaced (`candidate`, `action`). Rules are data, in
//! `redaction/*.yaml`.

mod action;
mod boundary;
mod candidate;
mod detect;
mod engine;
mod json;
mod literals;
mod pem_streams;
mod prefilter;
mod redacted;
mod redactor;
mod rule;
mod rule_tests;
mod shipped;
mod stream;
#[cfg(test)]
mod tests;
mod validate;
mod view;

pub use action::HashKey;
pub use redacted::Redacted;
pub use redactor::{Options, RedactMetrics, Redactor};
pub use rule_tests::{TestFailure, TestReport, run_tests};
pub use shipped::RuleSet;
pub use stream::RuleCounts;
