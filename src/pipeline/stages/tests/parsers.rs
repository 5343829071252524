use super::{check, check_fault};

#[test]
fn json() {
    let all = "- json: {expressions: {x: , y: n.m, z: 'l[1]', w: '\"q r\"'}}\n- labels: {x: , y: , z: , w: }";
    check(
        all,
        r#"{"x":"v","n":{"m":9007199254740993},"l":[1,true],"q r":"é\u00e9\n"}"#,
        "{a=\"1\", w=\"éé\\n\", x=\"v\", y=\"9007199254740993\", z=\"true\"} {\"x\":\"v\",\"n\":{\"m\":9007199254740993},\"l\":[1,true],\"q r\":\"é\\u00e9\\n\"}",
    );
    check(
        all,
        r#"{"x":null,"n":{"m":{"k":[1, 2]}}}"#,
        "{a=\"1\", y=\"{\\\"k\\\":[1, 2]}\"} {\"x\":null,\"n\":{\"m\":{\"k\":[1, 2]}}}",
    );
    check(all, r#"{"x":1.50}"#, r#"{a="1", x="1.50"} {"x":1.50}"#);
    check(all, "not json", r#"{a="1"} not json"#);
    check(all, "[1]", r#"{a="1"} [1]"#);
    check(all, r#"{"x":1"#, r#"{a="1"} {"x":1"#);
    check("- json: {expressions: {x: }, drop_malformed: true}", "no", "-");
    check("- json: {expressions: {x: }, drop_malformed: true}", "{}", r#"{a="1"} {}"#);
    check(
        "- json: {level: lvl}\n- labels: [level]",
        r#"{"lvl":"warn"}"#,
        r#"{a="1", level="warn"} {"lvl":"warn"}"#,
    );
    check(
        "- json: {expressions: {x: }}\n- json: {expressions: {y: }, source: x}\n- output: y",
        r#"{"x":"{\"y\":\"z\"}"}"#,
        r#"{a="1"} z"#,
    );
    check_fault(
        "- json: {x: 'a | b'}",
        "f:1:10: path \"a | b\", character 2: only '.' or '[' may follow a key; put other names in quotes",
    );
    check_fault("- json:", "f:1:7: stage json needs the key \"expressions\"");
}

#[test]
fn logfmt() {
    check(
        "- logfmt: {mapping: {x: , y: key}}\n- labels: {x: , y: }",
        r#"x=1 key="b c" x=2"#,
        r#"{a="1", x="2", y="b c"} x=1 key="b c" x=2"#,
    );
    check("- logfmt: {x: k}\n- labels: [x]", "k=v z", r#"{a="1", x="v"} k=v z"#);
    check("- logfmt: {x: k}\n- labels: [x]", "plain", r#"{a="1"} plain"#);
}

#[test]
fn regex() {
    let stage = "- regex: {expression: '^(?P<ip>\\S+) (?P<user>\\w+)?'}\n- labels: {ip: , user: }";
    check(stage, "1.2.3.4 bob x", r#"{a="1", ip="1.2.3.4", user="bob"} 1.2.3.4 bob x"#);
    check(stage, "1.2.3.4 -", r#"{a="1", ip="1.2.3.4"} 1.2.3.4 -"#);
    check(stage, "x", r#"{a="1"} x"#);
    check("- regex: '(?P<b>\\d+)'\n- output: b", "x12y", r#"{a="1"} 12"#);
    check(
        "- regex: {expression: '(?P<b>\\d+)', labels_from_groups: true}",
        "x12y",
        r#"{a="1", b="12"} x12y"#,
    );
    check("- regex: {expression: '(?P<b>\\d)', source: a}\n- output: b", "x", r#"{a="1"} 1"#);
    check_fault("- regex: '(x)'", "f:1:10: the expression has no named group; write (?P<name>...)");
}

#[test]
fn pattern() {
    check(
        "- pattern: '<ip> - <_> \"<method> <_>'\n- labels: [ip, method]",
        "1.2.3.4 - x \"GET /\"",
        "{a=\"1\", ip=\"1.2.3.4\", method=\"GET\"} 1.2.3.4 - x \"GET /\"",
    );
}

#[test]
fn docker() {
    check(
        "- docker: {}",
        r#"{"log":"a\tb\n","stream":"stderr","time":"2026-11-20T01:02:03.000000004Z"}"#,
        "{a=\"1\", stream=\"stderr\"} a\tb 2026-11-20T01:02:03.000000004Z",
    );
    check("- docker:", "plain", r#"{a="1"} plain"#);
    check("- docker", r#"{"x":1}"#, r#"{a="1"} {"x":1}"#);
}

#[test]
fn cri() {
    super::check_lines(
        "- cri: {}",
        &[
            "2026-11-20T01:02:03.000000001Z stdout F whole",
            "2026-11-20T01:02:03.000000002Z stdout P one ",
            "2026-11-20T01:02:03.000000003Z stderr P err ",
            "2026-11-20T01:02:03.000000004Z stdout P:x two ",
            "2026-11-20T01:02:03.000000005Z stdout F three",
            "not cri",
            "2026-11-20T01:02:03.000000006Z stderr F done",
            "2026-11-20T01:02:03.000000007Z stdout F ",
            "2026-11-20T01:02:03.000000008Z stdout P open",
        ],
        &[
            "{a=\"1\", stream=\"stdout\"} whole 2026-11-20T01:02:03.000000001Z",
            "{a=\"1\", stream=\"stdout\"} one two three 2026-11-20T01:02:03.000000002Z",
            "{a=\"1\", stream=\"stderr\"} err done 2026-11-20T01:02:03.000000003Z",
            "{a=\"1\"} not cri",
            "{a=\"1\", stream=\"stdout\"}  2026-11-20T01:02:03.000000007Z",
            "{a=\"1\", stream=\"stdout\"} open 2026-11-20T01:02:03.000000008Z",
        ],
    );
    super::check_lines(
        "- cri: {max_partial_line_size: 5, max_partial_line_size_truncate: true}",
        &["2026-11-20T01:02:03Z stdout P abc", "2026-11-20T01:02:03Z stdout F défg"],
        &["{a=\"1\", stream=\"stdout\"} abcd 2026-11-20T01:02:03Z"],
    );
}

#[test]
fn auto() {
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    check(
        "- parse: auto\n- labels: [level]\n- metadata: [user_id]",
        &format!(r#"{{"level":"ERR","trace_id":"{id}","user_id":7}}"#),
        &format!(
            r#"{{a="1", level="error"}} {{"level":"ERR","trace_id":"{id}","user_id":7}} |trace_id={id}| |detected_level=error| |user_id=7|"#
        ),
    );
    check(
        "- parse: auto\n- metadata: [path]",
        r#"1.2.3.4 - - [20/Nov/2026:11:07:53 +0000] "GET /x HTTP/1.1" 500 1"#,
        r#"{a="1"} 1.2.3.4 - - [20/Nov/2026:11:07:53 +0000] "GET /x HTTP/1.1" 500 1 |detected_level=error| |path=/x|"#,
    );
    check(
        "- parse: auto\n- timestamp: {from: time}\n- output: msg",
        "time=2026-11-20T01:02:03Z level=warn msg=\"a b\"",
        r#"{a="1"} a b |detected_level=warn| 2026-11-20T01:02:03Z"#,
    );
    check("- parse: auto", r#"{"level":30}"#, r#"{a="1"} {"level":30} |detected_level=info|"#);
    check("- parse: auto", "plain", r#"{a="1"} plain"#);
    check("- parse: klog", "level=warn a=b", r#"{a="1"} level=warn a=b"#);
}
