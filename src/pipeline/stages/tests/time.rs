use super::{check, check_fault, check_lines};

const T: &str = "- json: {expressions: {t: }}\n";

#[test]
fn formats() {
    let line = r#"{"t":"2026-11-20 01:02:03"}"#;
    check(
        &format!("{T}- timestamp: {{source: t, format: '2006-01-02 15:04:05'}}"),
        line,
        &format!(r#"{{a="1"}} {line} 2026-11-20T01:02:03Z"#),
    );
    check(
        &format!(
            "{T}- timestamp: {{source: t, format: '2006-01-02 15:04:05', location: America/New_York}}"
        ),
        line,
        &format!(r#"{{a="1"}} {line} 2026-11-20T06:02:03Z"#),
    );
    check(
        &format!(
            "{T}- timestamp: {{source: t, format: RFC3339, fallback_formats: [UnixMs, '2006-01-02 15:04:05']}}"
        ),
        line,
        &format!(r#"{{a="1"}} {line} 2026-11-20T01:02:03Z"#),
    );
    check(
        &format!("{T}- timestamp: {{from: t}}"),
        line,
        &format!(r#"{{a="1"}} {line} 2026-11-20T01:02:03Z"#),
    );
    check(
        &format!("{T}- timestamp: {{from: t, format: '%Y-%m-%d %H:%M:%S'}}"),
        line,
        &format!(r#"{{a="1"}} {line} 2026-11-20T01:02:03Z"#),
    );
    check(
        &format!("{T}- timestamp: {{source: t, format: RFC3339Nano}}"),
        r#"{"t":"2026-11-20T01:02:03.123456789+01:00"}"#,
        r#"{a="1"} {"t":"2026-11-20T01:02:03.123456789+01:00"} 2026-11-20T00:02:03.123456789Z"#,
    );
    check(
        &format!("{T}- timestamp: {{source: t, format: UnixNs}}"),
        r#"{"t":1763636873123456789}"#,
        r#"{a="1"} {"t":1763636873123456789} 2025-11-20T11:07:53.123456789Z"#,
    );
    check(
        &format!("{T}- timestamp: {{source: t, format: 'Jan _2 15:04:05'}}"),
        r#"{"t":"Dec 31 23:59:59"}"#,
        r#"{a="1"} {"t":"Dec 31 23:59:59"} 2025-12-31T23:59:59Z"#,
    );
}

#[test]
fn failures() {
    let lines = ["{}", r#"{"t":"1"}"#, "{}", r#"{"t":"x"}"#];
    check_lines(
        &format!("{T}- timestamp: {{source: t, format: Unix}}"),
        &lines,
        &[
            r#"{a="1"} {}"#,
            r#"{a="1"} {"t":"1"} 1970-01-01T00:00:01Z"#,
            r#"{a="1"} {} 1970-01-01T00:00:01.000000001Z"#,
            r#"{a="1"} {"t":"x"} 1970-01-01T00:00:01.000000002Z"#,
        ],
    );
    check_lines(
        &format!("{T}- timestamp: {{source: t, format: Unix, action_on_failure: skip}}"),
        &lines,
        &[
            r#"{a="1"} {}"#,
            r#"{a="1"} {"t":"1"} 1970-01-01T00:00:01Z"#,
            r#"{a="1"} {}"#,
            r#"{a="1"} {"t":"x"}"#,
        ],
    );
    check_fault(
        "- timestamp: {source: t, format: Unix, action_on_failure: fud}",
        "f:1:59: unknown action_on_failure \"fud\"; did you mean \"fudge\"?",
    );
    check_fault("- timestamp: {source: t}", "f:1:14: stage timestamp needs the key \"format\"");
    check_fault(
        "- timestamp: {source: t, format: Unix, location: ../x}",
        "f:1:50: location \"../x\" is no time zone; write a name such as Europe/Berlin",
    );
}
