//! What rule files may say, and what is told about those that say it wrong.

use super::error::AlertError;
use super::load::{GroupDefaults, load_group, load_path, load_text};
use super::rule::{Origin, RuleKind, RuleSet};

#[track_caller]
fn check(text: &str, expect: &str) {
    let shown = match load_text(Origin::File, "f.yaml", text, GroupDefaults::default()) {
        Ok(file) => file
            .groups
            .iter()
            .map(|group| format!("{}:{}", group.name, group.rules.len()))
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, expect);
}

/// A file with one rule made of `lines`.
#[track_caller]
fn check_rule(lines: &[&str], expect: &str) {
    let rule = lines.join("\n    ");
    check(&format!("groups:\n- name: g\n  rules:\n  - {rule}\n"), expect);
}

#[test]
fn takes_what_prometheus_and_loki_take() {
    check("", "");
    check("groups: []", "");
    check_rule(&["alert: X", "expr: vector(1) > 0", "for: 5m", "keep_firing_for: 1h30m"], "g:1");
    check_rule(&["record: job:errors:rate5m", "expr: rate({a=\"b\"}[5m])"], "g:1");
    check_rule(
        &[
            "alert: X",
            "expr: |\n        sum by (app) (rate({app=\"x\"} |= `error` [1m])) > 0.5",
            "labels: {severity: critical}",
            "annotations: {summary: '{{ $labels.app }} {{ $value | humanize }}'}",
        ],
        "g:1",
    );
}

#[test]
fn says_what_is_wrong_and_where() {
    check("groups:\n- name: g\n- name: g\n", "f.yaml:3:9: group \"g\" is given twice; rename one");
    check_rule(&["expr: vector(1)"], "f.yaml:4:5: a rule needs \"alert\" or \"record\"");
    check_rule(
        &["alert: X", "record: y", "expr: vector(1)"],
        "f.yaml:4:12: a rule has either \"alert\" or \"record\", not both",
    );
    check_rule(&["alert: X"], "f.yaml:4:12: rule \"X\" has no \"expr\"");
    check_rule(
        &["record: x", "expr: vector(1)", "for: 5m"],
        "f.yaml:6:10: \"for\" belongs to alerts, not to recording rules",
    );
    check_rule(
        &["record: 1x", "expr: vector(1)"],
        "f.yaml:4:13: \"1x\" is not a metric name: use letters, digits, '_' and ':', not starting with a digit",
    );
    check_rule(
        &["alert: X", "expr: vector(1)", "for: 5 minutes"],
        "f.yaml:6:10: for: \"5 minutes\" is not a duration; write it like 30s, 5m or 1h30m",
    );
    check_rule(
        &["alert: X", "expr: vector(1)", "labels: {a-b: c}"],
        "f.yaml:6:19: label name \"a-b\" is not valid: use letters, digits and '_', not starting with a digit",
    );
    check_rule(
        &["alert: X", "expr: vector(1)", "labels: {n: '{{ $value }}'}"],
        "f.yaml:6:17: label \"n\" holds the value, so each change would be a new alert that never gets out of pending; move it to an annotation",
    );
    check_rule(
        &["alert: X", "expr: '{a=\"b\"} |= `x`'"],
        "f.yaml:5:11: expr gives lines, a rule needs numbers; wrap it, for example in sum by (service_name) (count_over_time(... [5m])) > 0",
    );
}

#[test]
fn tells_broken_queries_and_templates() {
    let fault = |lines: &[&str]| {
        let rule = lines.join("\n    ");
        let text = format!("groups:\n- name: g\n  rules:\n  - {rule}\n");
        load_text(Origin::File, "f.yaml", &text, GroupDefaults::default()).unwrap_err().to_string()
    };
    let broken = fault(&["alert: X", "expr: sum(rate({a=\"b\"}[5m])"]);
    assert!(broken.starts_with("f.yaml:5:11: expr: parse error at line 1, col "), "{broken}");
    let promql = fault(&["alert: X", "expr: up{job=\"x\"} == 0"]);
    assert!(promql.ends_with("rules over metrics stay in Prometheus"), "{promql}");
    let template =
        fault(&["alert: X", "expr: vector(1)", "annotations: {summary: '{{ nofunc }}'}"]);
    assert!(template.starts_with("f.yaml:6:28: annotation \"summary\": template: "), "{template}");
}

#[test]
fn all_faults_are_told_at_once() {
    let error = load_text(
        Origin::File,
        "f.yaml",
        "groups:\n- name: g\n  interval: 0s\n  rules:\n  - alert: X\n  - alert: Y\n    expr: vector(1)\n    for: x\ntests:\n- alert: Z\n  match: [a]\n- lines: []\n",
        GroupDefaults::default(),
    )
    .unwrap_err();
    let AlertError::Rules(faults) = error else { panic!("faults, not {error}") };
    let lines: Vec<usize> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [3, 5, 8, 10, 12]);
}

#[test]
fn group_labels_are_under_those_of_the_rule() {
    let file = load_text(
        Origin::File,
        "f.yaml",
        "groups:\n- name: g\n  labels: {team: a, severity: low}\n  limit: 5\n  rules:\n  - {alert: X, expr: vector(1), labels: {severity: high}}\n",
        GroupDefaults::default(),
    )
    .unwrap();
    let group = &file.groups[0];
    assert_eq!((group.limit, group.interval_ns), (5, 15_000_000_000));
    let labels: Vec<(&str, &str)> =
        group.rules[0].labels.iter().map(|(n, text)| (n.as_str(), text.source())).collect();
    assert_eq!(labels, [("severity", "high"), ("team", "a")]);
}

#[test]
fn identity_survives_what_may_change() {
    let ids = |text: &str| -> Vec<String> {
        let file = load_text(Origin::File, "f.yaml", text, GroupDefaults::default()).unwrap();
        RuleSet::new(file.groups).rules().map(|(_, rule)| rule.id.as_str().to_owned()).collect()
    };
    let rule = |name: &str, expr: &str| format!("  - {{alert: {name}, expr: {expr}}}\n");
    let before = ids(&format!("groups:\n- name: g\n  rules:\n{}", rule("X", "vector(1)")));
    let after = ids(&format!("groups:\n- name: other\n  rules:\n{}", rule("X", "vector(2) > 1")));
    assert_eq!(before, after);
    let twice = ids(&format!(
        "groups:\n- name: g\n  rules:\n{}{}{}",
        rule("X", "vector(1)"),
        rule("X", "vector(2)"),
        rule("Y", "vector(1)")
    ));
    assert_eq!(twice[0], before[0]);
    assert_ne!(twice[0], twice[1]);
    assert_ne!(twice[1], twice[2]);
}

#[test]
fn folders_are_read_with_those_inside() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "groups:\n- {name: g, rules: [{alert: X, expr: vector(1)}]}\n";
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("b.yaml", rules);
    write("team/a.yml", rules);
    write("..data/a.yml", rules);
    write("notes.txt", "not rules");
    let names = |path: &std::path::Path| -> Vec<String> {
        let files = load_path(path, GroupDefaults::default()).unwrap();
        files.into_iter().map(|file| file.name).collect()
    };
    assert_eq!(names(folder.path()), ["b.yaml", "team/a.yml"]);
    assert_eq!(names(&folder.path().join("b.yaml")), ["b.yaml"]);
    write("c.yaml", "groups: [{nam: x}]");
    let error = load_path(folder.path(), GroupDefaults::default()).unwrap_err().to_string();
    assert!(error.starts_with("c.yaml:1:"), "{error}");
    assert!(matches!(
        load_path(&folder.path().join("none"), GroupDefaults::default()),
        Err(AlertError::Io { .. })
    ));
}

#[test]
fn our_own_logs_are_left_out_unless_named() {
    let group = load_group(
        "ns",
        "name: g\nrules:\n- {alert: A, expr: 'count_over_time({a=\"b\"}[1m]) > sum(rate({c=\"d\"}[5m]))'}\n- {alert: B, expr: 'count_over_time({service_name=\"stockade\"}[1m])'}\n",
        GroupDefaults::default(),
    )
    .unwrap();
    let shown: Vec<String> = group.rules.iter().map(|rule| rule.expr.to_string()).collect();
    assert_eq!(shown[0].matches(r#"service_name!="stockade""#).count(), 2, "{}", shown[0]);
    assert!(!shown[1].contains("!="), "{}", shown[1]);
    assert!(matches!(group.rules[0].kind, RuleKind::Alert { .. }));
    assert_eq!(group.rules[0].query, "count_over_time({a=\"b\"}[1m]) > sum(rate({c=\"d\"}[5m]))");
}
