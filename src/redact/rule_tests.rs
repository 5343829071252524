//! Rule sets test themselves: each rule carries texts that it must change and must not.

use super::{HashKey, Options, RedactMetrics, Redactor, RuleSet};
use crate::config::Diagnostic;
use crate::metrics::Metrics;

/// An example that did not come out as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestFailure {
    pub rule: String,
    pub diagnostic: Diagnostic,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestReport {
    pub passed: usize,
    pub failures: Vec<TestFailure>,
}

/// Runs the examples of a rule set with all of its rules on, whatever their presets say.
pub fn run_tests(set: &RuleSet) -> Result<TestReport, Vec<Diagnostic>> {
    let mut options = Options { file: set.file.clone(), ..Options::default() };
    options.raw.enable = set.raw.rules.iter().map(|rule| rule.name.clone()).collect();
    // Examples of hashing need some key; its value shows in the examples' outputs.
    options.keys = vec![HashKey { id: "k1".to_owned(), secret: vec![b'k'; 32] }];
    let metrics = RedactMetrics::register(&Metrics::default());
    let redactor = Redactor::compile(std::slice::from_ref(set), &options, &metrics)?;
    let mut report = TestReport::default();
    for rule in &set.raw.rules {
        for test in &rule.tests.matches {
            check(&redactor, set, &rule.name.value, &test.input, &test.output, &mut report);
        }
        for keep in &rule.tests.keep {
            check(&redactor, set, &rule.name.value, keep, &keep.value, &mut report);
        }
    }
    Ok(report)
}

fn check(
    redactor: &Redactor,
    set: &RuleSet,
    rule: &str,
    input: &crate::config::Spanned<String>,
    expected: &str,
    report: &mut TestReport,
) {
    let got = redactor.redact_text(&input.value);
    if got == expected {
        report.passed += 1;
        return;
    }
    let message = format!("{rule}: {:?} became {got:?}, not {expected:?}", input.value);
    let diagnostic = Diagnostic::at(&set.file, input, message);
    report.failures.push(TestFailure { rule: rule.to_owned(), diagnostic });
}
