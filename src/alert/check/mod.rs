//! The `tests:` of a rule file: scenarios (lines at times, and which alerts must come of them)
//! and sample lines (which a rule must look at, or leave alone).

mod ready;
mod run;

use crate::model::{Entry, Labels};

pub(super) use ready::ready;
pub use run::run_tests;

/// One entry of `tests:`.
#[derive(Debug, Clone)]
pub enum RuleTest {
    Scenario(Scenario),
    Samples(SampleTest),
}

/// Lines at times, and the alerts that must be there in the end.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: String,
    /// Times count from the start of the test.
    pub lines: Vec<(Labels, Entry)>,
    pub at_ns: i64,
    /// Empty: no rule of the file fires.
    pub expect: Vec<Expect>,
}

#[derive(Debug, Clone)]
pub struct Expect {
    pub alert: String,
    /// The alert has at least these.
    pub labels: Labels,
    pub annotations: Labels,
    pub state: ExpectState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectState {
    Pending,
    Firing,
    Inactive,
}

/// Lines which the first selector of a rule must let through (`matching`) or not (`keep`).
#[derive(Debug, Clone)]
pub struct SampleTest {
    pub alert: String,
    pub labels: Labels,
    pub metadata: Vec<(String, String)>,
    pub matching: Vec<String>,
    pub keep: Vec<String>,
}

/// How the tests of a file went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Single checks: expectations and sample lines.
    pub passed: usize,
    pub failures: Vec<Failure>,
}

impl Report {
    pub fn is_ok(&self) -> bool {
        self.failures.is_empty()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub file: String,
    pub test: String,
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.file, self.test, self.message)
    }
}
