use std::time::Duration;

use super::{bench, check, check_fault, check_lines, compile, shown};
use crate::model::{Batch, Changes, Entry, Labels, Position, Timestamp};

#[test]
fn drop() {
    check("- drop: {expression: '^x'}", "xy", "-");
    check("- drop: {expression: '^x'}", "yx", r#"{a="1"} yx"#);
    check("- drop: {source: a}", "x", "-");
    check("- drop: {source: [a, zz]}", "x", r#"{a="1"} x"#);
    check("- drop: {source: a, value: '1'}", "x", "-");
    check("- drop: {source: a, value: '2'}", "x", r#"{a="1"} x"#);
    check(
        "- static_labels: {}\n- drop: {source: a}",
        "x",
        "f:1:18: stage static_labels takes a map of names and values",
    );
    check(
        "- json: {expressions: {b: , c: }}\n- drop: {source: 'b,c', expression: '^x;y$'}",
        r#"{"b":"x","c":"y"}"#,
        "-",
    );
    check("- drop: {longer_than: 3}", "abcd", "-");
    check("- drop: {longer_than: 4b}", "abcd", r#"{a="1"} abcd"#);
    check("- drop: {longer_than: 1, expression: z}", "abcd", r#"{a="1"} abcd"#);
    check("- drop: {older_than: 1h}", "x", r#"{a="1"} x"#);
    check("- timestamp: {source: t, format: Unix}\n- drop: {older_than: 1h}", "x", r#"{a="1"} x"#);
    check(
        "- json: {expressions: {t: }}\n- timestamp: {source: t, format: Unix}\n- drop: {older_than: 1h}",
        r#"{"t":1}"#,
        "-",
    );
    check_lines(
        "- drop: {reason: health, keep_ratio: 0.5}",
        &["1", "2", "3", "4"],
        &["-", "{a=\"1\"} 2", "-", "{a=\"1\"} 4"],
    );
    check_fault(
        "- drop: {}",
        "f:1:3: stage drop needs source, expression, value, older_than or longer_than; to drop everything give a reason",
    );
    check_fault("- drop: {value: x}", "f:1:3: stage drop with value needs a source");
    check_fault(
        "- drop: {expression: x, value: y, source: a}",
        "f:1:3: stage drop takes expression or value, not both",
    );
    let bench = bench();
    let pipeline = compile(&bench, "- drop: {expression: x, drop_counter_reason: noise}").unwrap();
    shown(&pipeline, &[], &["x", "x", "y"]);
    assert_eq!(bench.setup.metrics.dropped.get(&["noise"]), 2);
}

#[test]
fn sampling() {
    check_lines(
        "- sampling: {rate: 0.25}",
        &["1", "2", "3", "4", "5", "6", "7", "8"],
        &["-", "-", "-", "{a=\"1\"} 4", "-", "-", "-", "{a=\"1\"} 8"],
    );
    check("- sampling: {rate: 1}", "x", r#"{a="1"} x"#);
    check("- sampling: {rate: 0}", "x", "-");
    check_fault("- sampling: {rate: 2}", "f:1:20: the share 2 must be between 0 and 1");
}

#[test]
fn limit() {
    let bench = bench();
    let yaml = "- limit: {rate: 2, burst: 2, drop: true}";
    let pipeline = compile(&bench, yaml).unwrap();
    assert_eq!(shown(&pipeline, &[], &["1", "2", "3"]), "{} 1\n{} 2\n-");
    bench.clock.advance(Duration::from_millis(500));
    assert_eq!(shown(&pipeline, &[], &["4", "5"]), "{} 4\n-");
    bench.clock.advance(Duration::from_secs(100));
    assert_eq!(shown(&pipeline, &[], &["6", "7", "8"]), "{} 6\n{} 7\n-");

    let pipeline =
        compile(&bench, "- limit: {per: [c], rate: 60/m, burst: 1, over: drop}").unwrap();
    assert_eq!(shown(&pipeline, &[("c", "x")], &["1", "2"]), "{c=\"x\"} 1\n-");
    assert_eq!(shown(&pipeline, &[("c", "y")], &["1", "2"]), "{c=\"y\"} 1\n-");
    assert_eq!(shown(&pipeline, &[], &["1", "2"]), "{} 1\n{} 2");

    let pipeline = compile(&bench, "- limit: {rate: 1, burst: 1}").unwrap();
    assert_eq!(pipeline.warnings().len(), 1);
    assert_eq!(shown(&pipeline, &[], &["1", "2"]), "{} 1\n{} 2");
}

#[test]
fn tenant() {
    let bench = bench();
    let pipeline =
        compile(&bench, "- json: {expressions: {t: }}\n- tenant: {source: t}\n- labeldrop: [zz]")
            .unwrap();
    let mut batch = Batch::new("fake");
    let labels = Labels::from_pairs([("a", "1")]);
    for line in ["x", r#"{"t":"b"}"#, "y"] {
        batch.push(&labels, Entry::new(Timestamp(1), line));
    }
    batch.positions.push(Position { source: "s".into(), value: "p".into() });
    let batches = pipeline.run_by_tenant(batch);
    let shown: Vec<_> = batches
        .iter()
        .map(|(b, c)| (b.tenant.as_str(), b.entries(), b.positions.len(), c.clone()))
        .collect();
    assert_eq!(shown, [("fake", 2, 0, Changes::Nothing), ("b", 1, 1, Changes::Nothing)]);
    check_fault(
        "- tenant: {source: a, value: b}",
        "f:1:3: stage tenant needs exactly one of source, label and value",
    );
}
