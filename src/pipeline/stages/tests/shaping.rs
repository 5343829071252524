use super::{bench, check, check_fault, check_lines, compile, shown};

#[test]
fn labels_and_metadata() {
    check(
        "- static_labels: {env: prod, n: 3}\n- labels: {b: a}",
        "x",
        r#"{a="1", b="1", env="prod", n="3"} x"#,
    );
    check("- labeldrop: [a]", "x", "{} x");
    check("- labeldrop: a", "x", "{} x");
    check("- static_labels: {b: x}\n- labelallow: [b]", "x", r#"{b="x"} x"#);
    check("- labelallow: [zz]", "x", "{} x");
    check("- structured_metadata: {b: a}", "x", "{} x |b=1|");
    check("- metadata: [a]", "x", "{} x |a=1|");
    check(
        "- json: {expressions: {'x.y': q}}\n- structured_metadata: {'1x.y': x.y}",
        r#"{"q":"v"}"#,
        r#"{a="1"} {"q":"v"} |key_1x_y=v|"#,
    );
    check(
        "- metadata: [a]\n- labels: {b: a, source_type: structured_metadata}",
        "x",
        r#"{b="1"} x |a=1|"#,
    );
}

#[test]
fn output_and_template() {
    check("- output: {source: a}", "x", r#"{a="1"} 1"#);
    check("- output: {source: zz}", "x", r#"{a="1"} x"#);
    check(
        "- template: {source: a, template: '{{ .Value }}-{{ .Entry | ToUpper }}'}\n- output: a",
        "x",
        r#"{a="1"} 1-X"#,
    );
    check(
        "- template: {source: b, template: '{{ if eq .a \"1\" }}one{{ else }}other{{ end }}'}\n- output: b",
        "x",
        r#"{a="1"} one"#,
    );
    check("- template: {source: a, template: ''}\n- labels: {b: a}", "x", r#"{a="1"} x"#);
    let error = crate::text::template::Template::parse(
        "{{ nope .a }}",
        crate::text::template::Functions::Promtail,
    )
    .unwrap_err();
    check_fault(
        "- template:\n    source: a\n    template: '{{ nope .a }}'",
        &format!("f:3:15: template: {error} (offset {})", error.offset),
    );
}

#[test]
fn replace() {
    check(
        "- replace: {expression: '(\\d{2}\\.\\d{2}) - (\\S+)', replace: '*{{ .Value | ToUpper }}*'}",
        "11.11 - frank 12.12 - bob",
        r#"{a="1"} *11.11* - *FRANK* *12.12* - *BOB*"#,
    );
    check("- replace: {expression: 'pw=(\\S+)'}", "pw=x y", r#"{a="1"} pw= y"#);
    check(
        "- replace: {expression: '(?P<p>pw=(?P<v>\\S+))', replace: '<{{ .Value }}>'}\n- metadata: [v]",
        "pw=x y",
        r#"{a="1"} <pw=x> y |v=<x>|"#,
    );
    check(
        "- replace: {expression: '(1)', source: a, replace: 'one'}\n- output: a",
        "x",
        r#"{a="1"} one"#,
    );
    check("- replace: {expression: '(q)', replace: z}", "x", r#"{a="1"} x"#);
    let bench = bench();
    let pipeline = compile(&bench, "- replace: {expression: 'x', replace: y}").unwrap();
    assert_eq!(
        pipeline.warnings()[0].to_string(),
        "f:1:25: the expression has no capture group, so replace changes nothing; put ( ) around what is to be replaced"
    );
    assert_eq!(shown(&pipeline, &[], &["x"]), "{} x");
}

#[test]
fn matching() {
    let keep = "- match:\n    selector: '{a=\"1\"} |= \"x\" != \"z\"'\n    stages:\n    - static_labels: {m: y}";
    check(keep, "x", r#"{a="1", m="y"} x"#);
    check(keep, "xz", r#"{a="1"} xz"#);
    check("- match: {selector: '{a=\"2\"}', stages: [{output: a}]}", "x", r#"{a="1"} x"#);
    check("- match: {selector: '{a=~\"1|2\"} |~ \"^x\"', action: drop}", "xy", "-");
    check("- match: {selector: '{a=\"1\"} !~ \"^x\"', action: drop}", "xy", r#"{a="1"} xy"#);
    check(
        "- when: '{a=\"1\"} | json | status >= 500'\n  do: [{static_labels: {bad: y}}]",
        r#"{"status":503}"#,
        r#"{a="1", bad="y"} {"status":503}"#,
    );
    check(
        "- parse: auto\n- when: '| status >= 500 or took > 2s'\n  do: [{static_labels: {bad: y}}]",
        "status=200 took=3s",
        r#"{a="1", bad="y"} status=200 took=3s"#,
    );
    check(
        "- when: '|= ip(\"10.0.0.0/8\")'\n  do: [{drop: {reason: inside}}]",
        "from 10.1.2.3:80",
        "-",
    );
    check(
        "- when: '|= ip(\"10.0.0.0/8\")'\n  do: [{drop: {reason: inside}}]",
        "from 11.1.2.3:80",
        r#"{a="1"} from 11.1.2.3:80"#,
    );
    check("- when: '|> \"<_> b <_>\"'\n  do: [{drop: {reason: r}}]", "a b c", "-");
    check_fault(
        "- match: {selector: '{a=\"1\"}', action: drop, stages: []}",
        "f:1:54: a match that drops can have no stages",
    );
    check_fault(
        "- when: '{a=\"1\"} | line_format \"x\"'\n  do: []",
        "f:1:9: only line filters, label filters, `| json` and `| logfmt` may stand in a condition",
    );
    check_fault(
        "- match: {selector: '{a=\"1\"}'}",
        "f:1:3: stage match needs stages, or action: drop",
    );
    // The nested drop holds only where the selector does, and order is kept.
    check_lines(
        "- match: {selector: '{a=\"1\"} |= \"x\"', stages: [{multiline: {firstline: '^x'}}]}",
        &["x1", "b", "x2", "x3", "c"],
        &["{a=\"1\"} x1", "{a=\"1\"} b", "{a=\"1\"} x2", "{a=\"1\"} x3", "{a=\"1\"} c"],
    );
}

#[test]
fn multiline() {
    check_lines(
        "- multiline: {firstline: '^\\S'}",
        &["  before", "a", "  b", "", "c"],
        &["{a=\"1\"}   before", "{a=\"1\"} a\n  b\n", "{a=\"1\"} c"],
    );
    check_lines(
        "- multiline: java",
        &["ERROR x", "java.lang.E: y", "\tat a.b(C.java:1)", "INFO z"],
        &["{a=\"1\"} ERROR x\njava.lang.E: y\n\tat a.b(C.java:1)", "{a=\"1\"} INFO z"],
    );
    check_lines(
        "- multiline: {firstline: '^\\S', max_lines: 2}",
        &["a", " b", " c"],
        &["{a=\"1\"} a\n b", "{a=\"1\"}  c"],
    );
    check_fault(
        "- multiline: jav",
        "f:1:14: unknown multiline preset \"jav\"; did you mean \"java\"?",
    );
}

#[test]
fn decolorize() {
    check(
        "- decolorize: {}",
        "\u{1b}[1;31mred\u{1b}[0m \u{1b}]0;title\u{7}plain\u{1b}[K",
        r#"{a="1"} red plain"#,
    );
    check("- decolorize", "plain", r#"{a="1"} plain"#);
}

#[test]
fn pack() {
    check(
        "- pack: {labels: [a, zz], ingest_timestamp: false}",
        "say \"x\"",
        r#"{} {"a":"1","_entry":"say \"x\""}"#,
    );
}

#[test]
fn truncate_and_luhn() {
    check("- truncate: {limit: 5, suffix: ..}", "abcédefg", "{a=\"1\"} abc..");
    check("- truncate: {limit: 1kb}", "short", r#"{a="1"} short"#);
    check(
        "- static_labels: {b: abcdef}\n- truncate: {rules: [{limit: 3, source_type: label, sources: [b]}]}",
        "x",
        r#"{a="1", b="abc"} x"#,
    );
    check("- luhn: {}", "card 4111111111111111 ok", r#"{a="1"} card **REDACTED** ok"#);
    check("- luhn: {}", "card 4111111111111112 ok", r#"{a="1"} card 4111111111111112 ok"#);
    check("- luhn: {delimiters: '-', replacement: X}", "4111-1111-1111-1111-", r#"{a="1"} X-"#);
    check("- luhn: {}", "00000000000000000000000", r#"{a="1"} **REDACTED**"#);
    check("- luhn: {source: a}", "4111111111111111", r#"{a="1"} 4111111111111111"#);
}
