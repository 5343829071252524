use std::time::Duration;

use super::{bench, check_fault, compile, shown};
use crate::limits::CUSTOM_SERIES_MAX;

#[track_caller]
fn check(yaml: &str, lines: &[&str], expect: &str) {
    let bench = bench();
    let pipeline = compile(&bench, yaml).unwrap();
    shown(&pipeline, &[("a", "1")], lines);
    let text = bench.metrics.render();
    let found: Vec<&str> =
        text.lines().filter(|l| l.contains("custom_") && !l.starts_with("# HELP")).collect();
    assert_eq!(found.join("\n"), expect);
}

#[test]
fn kinds() {
    check(
        "- metrics:\n    lines_total: {type: Counter, config: {match_all: true, action: inc}}\n    bytes_total: {type: Counter, config: {match_all: true, count_entry_bytes: true, action: add}}",
        &["abc", "de"],
        "# TYPE promtail_custom_bytes counter\npromtail_custom_bytes_total{a=\"1\"} 5.0\n# TYPE promtail_custom_lines counter\npromtail_custom_lines_total{a=\"1\"} 2.0",
    );
    check(
        "- json: {expressions: {v: }}\n- metrics:\n    g: {type: gauge, source: v, prefix: my_custom_, config: {action: set}}",
        &[r#"{"v":1.5}"#, r#"{"v":"250ms"}"#, r#"{"v":"x"}"#, "{}"],
        "# TYPE my_custom_g gauge\nmy_custom_g{a=\"1\"} 0.25",
    );
    check(
        "- json: {expressions: {v: }}\n- metrics:\n    h: {type: histogram, source: v, config: {buckets: [1, 2]}}",
        &[r#"{"v":1}"#, r#"{"v":3}"#],
        "# TYPE promtail_custom_h histogram\npromtail_custom_h_sum{a=\"1\"} 4.0\npromtail_custom_h_count{a=\"1\"} 2\npromtail_custom_h_bucket{le=\"1.0\",a=\"1\"} 1\npromtail_custom_h_bucket{le=\"2.0\",a=\"1\"} 1\npromtail_custom_h_bucket{le=\"+Inf\",a=\"1\"} 2",
    );
    check(
        "- json: {expressions: {v: }}\n- metrics:\n    errors: {type: counter, source: v, config: {value: error, action: inc}}",
        &[r#"{"v":"error"}"#, r#"{"v":"info"}"#],
        "# TYPE promtail_custom_errors unknown\npromtail_custom_errors{a=\"1\"} 1.0",
    );
}

#[test]
fn labels_come_from_what_redaction_saw() {
    check(
        "- json: {expressions: {v: }}\n- template: {source: w, template: 'x{{ .v }}'}\n- labels: [v, w]\n- static_labels: {s: t}\n- metrics:\n    c_total: {type: counter, config: {match_all: true, action: inc}}",
        &[r#"{"v":"seen"}"#],
        "# TYPE promtail_custom_c counter\npromtail_custom_c_total{a=\"1\",s=\"t\",v=\"seen\"} 1.0",
    );
}

#[test]
fn series_are_bounded_and_expire() {
    let bench = bench();
    let yaml = "- json: {expressions: {v: }}\n- labels: [v]\n- metrics:\n    c_total: {type: counter, max_idle_duration: 1m, config: {match_all: true, action: inc}}";
    let pipeline = compile(&bench, yaml).unwrap();
    let lines: Vec<String> =
        (0..CUSTOM_SERIES_MAX + 100).map(|n| format!("{{\"v\":{n}}}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    shown(&pipeline, &[], &lines);
    let count = |text: String| text.lines().filter(|l| l.starts_with("promtail_custom_c")).count();
    assert_eq!(count(bench.metrics.render()), CUSTOM_SERIES_MAX);
    bench.clock.advance(Duration::from_secs(61));
    assert_eq!(count(bench.metrics.render()), 0);
    // A reload goes on with what there is.
    shown(&pipeline, &[], &lines[..1]);
    let again = compile(&bench, yaml).unwrap();
    shown(&again, &[], &lines[..1]);
    assert!(bench.metrics.render().contains("promtail_custom_c_total{v=\"0\"} 2.0"));
}

#[test]
fn faults() {
    check_fault(
        "- metrics:\n    c: {type: countr}",
        "f:2:15: unknown metric type \"countr\"; did you mean \"counter\"?",
    );
    check_fault(
        "- metrics:\n    c: {type: gauge, config: {action: st}}",
        "f:2:39: unknown action \"st\"; did you mean \"set\"?",
    );
    check_fault(
        "- metrics:\n    c: {type: histogram, config: {buckets: [2, 1]}}",
        "f:2:44: buckets must be a rising list of at most 200 numbers",
    );
}
