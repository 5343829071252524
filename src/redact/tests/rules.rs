//! Rule sets: the examples they carry, the options, and faults with their place.

use super::{build, redactor};
use crate::redact::{RuleSet, run_tests};

#[test]
fn shipped_rules_do_what_their_examples_say() {
    let mut failures = Vec::new();
    for set in RuleSet::shipped().unwrap() {
        let report = run_tests(&set).unwrap_or_else(|faults| panic!("{faults:?}"));
        failures.extend(report.failures.iter().map(|f| f.diagnostic.to_string()));
        assert!(report.passed > 0, "{} has no examples", set.file);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn shipped_rules_all_have_examples_and_hold_together() {
    // With all rules on at once an example must still change as its own set says, though a
    // stronger rule of another set may name it.
    let redactor = redactor("{}");
    for set in RuleSet::shipped().unwrap() {
        for rule in &set.raw.rules {
            assert!(!rule.tests.matches.is_empty(), "{} has no example", rule.name.value);
            if rule.preset.is_some() {
                continue;
            }
            for test in &rule.tests.matches {
                let got = redactor.redact_text(&test.input.value);
                assert_ne!(got, test.input.value, "{}", rule.name.value);
            }
            for keep in &rule.tests.keep {
                assert_eq!(redactor.redact_text(&keep.value), keep.value, "{}", rule.name.value);
            }
        }
    }
}
