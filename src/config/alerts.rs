//! Rule files as Prometheus and Loki write them, plus our own `tests:` block. Values keep their
//! place, so that the alert room can point at what it does not accept.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Diagnostic, parse_yaml_plain};

/// Names and values in the order of their names.
pub type RawMap = BTreeMap<String, Spanned<String>>;

/// One rule file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRuleFile {
    #[serde(default)]
    pub groups: Vec<RawGroup>,
    #[serde(default)]
    pub tests: Vec<Spanned<RawTest>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawGroup {
    pub name: Spanned<String>,
    pub interval: Option<Spanned<String>>,
    /// At most this many alerts (or series) of each rule; 0 and none: the built-in wall.
    pub limit: Option<Spanned<usize>>,
    pub query_offset: Option<Spanned<String>>,
    #[serde(default)]
    pub labels: RawMap,
    #[serde(default)]
    pub rules: Vec<Spanned<RawRule>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    pub alert: Option<Spanned<String>>,
    pub record: Option<Spanned<String>>,
    pub expr: Option<Spanned<String>>,
    #[serde(rename = "for")]
    pub hold: Option<Spanned<String>>,
    pub keep_firing_for: Option<Spanned<String>>,
    #[serde(default)]
    pub labels: RawMap,
    #[serde(default)]
    pub annotations: RawMap,
}

/// Either a scenario (`lines`, `at`, `expect`) or sample lines of one rule (`alert` with
/// `match` and `keep`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTest {
    pub name: Option<String>,
    #[serde(default)]
    pub lines: Vec<RawTestLine>,
    /// When to look, counted from the start of the test.
    pub at: Option<Spanned<String>>,
    pub expect: Option<Vec<Spanned<RawExpect>>>,
    pub alert: Option<Spanned<String>>,
    /// Labels and metadata of the sample lines.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Lines that the rule must look at.
    #[serde(default, rename = "match")]
    pub matching: Vec<Spanned<String>>,
    /// Lines that it must leave alone.
    #[serde(default)]
    pub keep: Vec<Spanned<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTestLine {
    pub at: Spanned<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    pub line: String,
    /// How often the line comes, and how far apart (one second when not said).
    pub repeat: Option<Spanned<usize>>,
    pub every: Option<Spanned<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawExpect {
    pub alert: String,
    /// The alert has at least these labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub state: RawExpectState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawExpectState {
    Pending,
    #[default]
    Firing,
    Inactive,
}

/// Reads a rule file. `${...}` is left alone: it is content of regular expressions here.
pub fn parse_rule_file(file: &str, text: &str) -> Result<RawRuleFile, Diagnostic> {
    if text.trim().is_empty() {
        return Ok(RawRuleFile::default());
    }
    parse_yaml_plain(file, text)
}

/// Reads one group, as the ruler API takes it.
pub fn parse_rule_group(file: &str, text: &str) -> Result<RawGroup, Diagnostic> {
    parse_yaml_plain(file, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_fault(text: &str, expect: &str) {
        assert_eq!(parse_rule_file("f.yaml", text).unwrap_err().to_string(), expect);
    }

    #[test]
    fn points_at_unknown_keys() {
        check_fault(
            "groups:\n- name: a\n  rules:\n  - alert: X\n    expr: vector(1)\n    lables: {}\n",
            "f.yaml:6:5: unknown key \"lables\"; did you mean \"labels\"?",
        );
        check_fault("group: []\n", "f.yaml:1:1: unknown key \"group\"; did you mean \"groups\"?");
    }

    #[test]
    fn reads_groups_and_tests() {
        let file = parse_rule_file(
            "f.yaml",
            "groups:\n- name: a\n  interval: 15s\n  rules:\n  - alert: X\n    expr: |\n      vector(1) > ${x}\n    for: 5m\n    labels: {severity: critical}\ntests:\n- name: t\n  lines: [{at: 10s, labels: {a: b}, line: x, repeat: 3}]\n  at: 5m\n  expect: [{alert: X, state: pending}]\n- alert: X\n  match: [a]\n  keep: ['b c']\n",
        )
        .unwrap();
        let rule = &file.groups[0].rules[0].value;
        assert_eq!(rule.expr.as_ref().unwrap().value, "vector(1) > ${x}\n");
        assert_eq!(rule.hold.as_ref().unwrap().value, "5m");
        assert_eq!(rule.labels["severity"].value, "critical");
        let expect = &file.tests[0].value.expect.as_ref().unwrap()[0].value;
        assert_eq!(expect.state, RawExpectState::Pending);
        assert_eq!(file.tests[1].value.keep[0].value, "b c");
    }

    #[test]
    fn an_empty_file_has_no_groups() {
        assert!(parse_rule_file("f.yaml", "\n").unwrap().groups.is_empty());
    }
}
