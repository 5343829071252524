use super::*;
use proptest::prelude::*;

fn shown(line: &str) -> String {
    let Some(format) = detect(line) else { return "none".to_owned() };
    let mut text = format!("{format:?}");
    if let Some(level) = level(format, line) {
        text.push_str(&format!(" level={level}"));
    }
    let line = Text::from(line);
    fields(format, &line, &mut |name, value| {
        text.push_str(&format!(" {name}={:?}", value.text().unwrap_or_default().as_str()));
        assert_eq!(field(format, &line, name), Some(value));
    });
    text
}

#[track_caller]
fn check(line: &str, expect: &str) {
    assert_eq!(shown(line), expect);
}

#[test]
fn access_logs() {
    check(
        r#"10.0.0.1 - alice [20/Nov/2026:11:07:53 +0000] "GET /a?b=c HTTP/1.1" 503 17 "https://x/" "curl/8 \"q\"" rt=1"#,
        r#"Access level=error remote_addr="10.0.0.1" remote_user="alice" time_local="20/Nov/2026:11:07:53 +0000" request="GET /a?b=c HTTP/1.1" method="GET" path="/a?b=c" protocol="HTTP/1.1" status="503" bytes="17" referer="https://x/" user_agent="curl/8 \\\"q\\\"""#,
    );
    check(
        r#"::1 - - [20/Nov/2026:11:07:53 +0000] "GET / HTTP/1.0" 404 -"#,
        r#"Access level=warn remote_addr="::1" remote_user="-" time_local="20/Nov/2026:11:07:53 +0000" request="GET / HTTP/1.0" method="GET" path="/" protocol="HTTP/1.0" status="404" bytes="-""#,
    );
    check(
        r#"1.2.3.4 - - [20/Nov/2026:11:07:53 +0000] "\x16\x03" 400 150"#,
        r#"Access level=warn remote_addr="1.2.3.4" remote_user="-" time_local="20/Nov/2026:11:07:53 +0000" request="\\x16\\x03" method="\\x16\\x03" status="400" bytes="150""#,
    );
    check(r#"a [b] "c" d"#, "none");
}

#[test]
fn syslog() {
    check(
        "<34>Oct  1 22:14:15 host su[12]: failed for x",
        r#"Syslog3164 level=critical time="Oct  1 22:14:15" host="host" app="su" pid="12" message="failed for x""#,
    );
    check(
        "Nov 20 11:07:53 web1 sshd[99]: Accepted publickey",
        r#"Syslog3164 time="Nov 20 11:07:53" host="web1" app="sshd" pid="99" message="Accepted publickey""#,
    );
    check(
        "Nov 20 11:07:53 web1 last message repeated 2 times: x",
        r#"Syslog3164 time="Nov 20 11:07:53" host="web1" message="last message repeated 2 times: x""#,
    );
    check(
        r#"<165>1 2003-10-11T22:14:15.003Z m.example evntslog - ID47 [a@1 b="x\"]"][c@2 d="e"] msg"#,
        r#"Syslog5424 level=info time="2003-10-11T22:14:15.003Z" host="m.example" app="evntslog" msgid="ID47" structured_data="[a@1 b=\"x\\\"]\"][c@2 d=\"e\"]" message="msg""#,
    );
    check("<13>1 - - - - - -", r#"Syslog5424 level=info message="""#);
    check("<999>1 - - - - - - x", "none");
    check("<html>", "none");
}

#[test]
fn klog_lines() {
    check(
        "E1120 11:07:53.000001   12345 reflector.go:42] failed: x] y",
        r#"Klog level=error severity="E" time="1120 11:07:53.000001" pid="12345" caller="reflector.go:42" message="failed: x] y""#,
    );
    check("Error: x", "none");
}

#[test]
fn json_lines() {
    check(
        r#"{"a":"x\ny","b":12345678901234567,"c":{"d":1},"e":true,"f":null}"#,
        r#"Json a="x\ny" b="12345678901234567" c="{\"d\":1}" e="true" f="""#,
    );
    check("{not json", "none");
    check("", "none");
}

#[test]
fn plain_text_is_not_logfmt() {
    for line in ["hello world", "GET /x?a=b", "a=b", "x = y z = w", "https://x/?a=b&c=d e=f"] {
        check(line, "none");
    }
}

proptest! {
    #[test]
    fn never_panics(line in "\\PC{0,60}") {
        shown(&line);
    }

    #[test]
    fn never_panics_on_near_misses(
        line in "(<3>|1 |Nov 20 11:07:53 |- |h |E1120 11:07:53.0 |a.go:1|\\] |\\[|\"|: |é| 200|\\{\"a\":){0,12}"
    ) {
        shown(&line);
    }
}
