//! Every kind of value in every way in which lines are written, with every neighbor.

use super::redactor;

/// Values that are found by themselves, with what stands for them.
const VALUES: &[(&str, &str)] = &[
    ("alice.smith+x@mail.example.com", "<email>"),
    ("4111111111111111", "<card>"),
    ("5555-5555-5555-4444", "<card>"),
    ("DE89370400440532013000", "<iban>"),
    ("+4915112345678", "<phone>"),
    ("123-45-6789", "<ssn>"),
    ("AKIAQYQSZQGPQYQSZQGP", "<aws-key>"),
    ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "<github-token>"),
    ("glpat-0123456789abcdefghij", "<gitlab-token>"),
    ("xoxb-123456789012-abcdefghijkl", "<slack-token>"),
    ("sk_live_0123456789abcdefghijklmn", "<stripe-key>"),
    ("sk-or-v1-0123456789abcdefghij", "<openai-key>"),
    ("npm_0123456789abcdefghijABCDEFGHIJ012345", "<npm-token>"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "<jwt>"),
    ("AIza01234567890123456789012345678901234", "<google-key>"),
];

/// Ways to write a value, where `{}` stands for it.
const FORMATS: &[&str] = &[
    "{}",
    "got {} here",
    r#"{"level":"info","value":"{}","n":1}"#,
    r#"{"msg":"{\"value\":\"{}\",\"n\":1}"}"#,
    r#"{"msg":"{\"m\":\"{\\\"value\\\":\\\"{}\\\"}\"}"}"#,
    r#"level=info value={} n=1"#,
    r#"level=info value="{}" n=1"#,
    "GET /path?value={}&n=1 HTTP/1.1",
    "X-Value: {}",
    "{Name:x Value:{} N:1}",
    r#"main.T{Name:"x", Value:"{}", N:1}"#,
    "{'value': '{}', 'n': 1}",
    r#"{:value=>"{}", :n=>1}"#,
    "Thing(value={}, n=1)",
    "INSERT INTO t (a, b) VALUES ('{}', 1)",
    "<a><value>{}</value><n>1</n></a>",
    "value: {}",
    "2024-01-02T10:11:12.123456789Z stdout F value {}",
    r#"<34>1 2024-01-02T10:11:12Z host app 1 - [x@1 value="{}"] done"#,
    r#"{"log":"first\n{}\nlast\n"}"#,
    "a\u{1b}[31m{}\u{1b}[0mb",
    "x [{}] y",
    "\u{fc}ber {} \u{20ac}",
];

#[test]
fn every_value_in_every_format() {
    let redactor = redactor("");
    for format in FORMATS {
        for (value, typed) in VALUES {
            let line = format.replace("{}", value);
            assert_eq!(redactor.redact_text(&line), format.replace("{}", typed), "{line}");
        }
    }
}

#[test]
fn every_value_beside_every_mark() {
    let redactor = redactor("");
    for (value, typed) in VALUES {
        for mark in ["&", ",", ")", "}", "]", ">", "<", ";", "|", "\"", "'", ".", "\\n", " ", ""] {
            let line = format!("x {value}{mark}");
            assert_eq!(redactor.redact_text(&line), format!("x {typed}{mark}"), "{line}");
        }
        for mark in ["&", ",", "(", "{", "[", ">", "<", ";", "|", "\"", "'", "=", ":", "\\n", "\\"]
        {
            if mark == "\\" && value.starts_with(['n', 'r', 't']) {
                continue; // reads as a line break
            }
            let line = format!("x {mark}{value} y");
            let got = redactor.redact_text(&line);
            assert!(!got.contains(value), "{line} became {got}");
        }
    }
}

/// Names whose values go, in every way to join a name and a value.
#[test]
fn every_name_in_every_format() {
    let redactor = redactor("");
    let formats = [
        "a=1 {k}={v} b=2",
        "a=1 {k}=\"{v}\" b=2",
        "{k}: {v}",
        "  {k}: \"{v}\"",
        r#"{"a":1,"{k}":"{v}","b":2}"#,
        r#"{"a":1,"{k}" : "{v}" , "b":2}"#,
        r#"{"m":"{\"{k}\":\"{v}\",\"b\":2}"}"#,
        r#"{"m":"{\"m\":\"{\\\"{k}\\\":\\\"{v}\\\"}\"}"}"#,
        r#"{"m":"{\"m\":\"{\\\"m\\\":\\\"{\\\\\\\"{k}\\\\\\\":\\\\\\\"{v}\\\\\\\"}\\\"}\"}"}"#,
        "{'{k}': '{v}', 'b': 2}",
        "{u'{k}': u'{v}'}",
        r#"{:{k}=>"{v}", :b=>2}"#,
        r#"{"{k}"=>"{v}"}"#,
        "{A:1 {k}:{v} B:2}",
        r#"T{A:1, {k}:"{v}", B:2}"#,
        "T(a=1, {k}={v}, b=2)",
        "T(a=1,{k}={v},b=2)",
        "cmd --{k} {v} --b",
        "cmd --{k}={v} --b",
        "GET /x?a=1&{k}={v}&b=2 200",
        "GET /x?{k}={v} 200",
        r#"{"u":"/x?{k}={v}\u0026b=2"}"#,
        "{k}={v};Database=x",
        "<{k}>{v}</{k}>",
        "<a:{k}>{v}</a:{k}>",
        "export {k}={v}",
        "\u{1b}[36m{k}\u{1b}[0m={v} b=2",
        "set {k} = '{v}'",
        r#"{"log":"a\n{k}={v}\nb"}"#,
    ];
    for name in [
        "password",
        "DB_PASSWORD",
        "userPassword",
        "api_key",
        "apiKey",
        "client-secret",
        "accessToken",
    ] {
        for format in formats {
            for value in ["hunter2", "p@ss-w0rd.x", "0123456789"] {
                let line = format.replace("{k}", name).replace("{v}", value);
                let expect = format.replace("{k}", name).replace("{v}", "<secret>");
                assert_eq!(redactor.redact_text(&line), expect, "{line}");
            }
        }
    }
}

#[test]
fn sees_through_disguises() {
    let redactor = redactor("");
    let check = |line: &str, expect: &str| assert_eq!(redactor.redact_text(line), expect, "{line}");
    check(r#"{"m":"bob\u0040example.com"}"#, r#"{"m":"<email>"}"#);
    check("?m=bob%40example.com&x", "?m=<email>&x");
    check("?m=bob%2540example.com&x", "?m=<email>&x");
    check(r#"{"u":"https:\/\/u:pw@h\/"}"#, r#"{"u":"https:\/\/u:<password>@h\/"}"#);
    check("ghp_0123456789abc\u{200b}defghijABCDEFGHIJ012345", "<github-token>");
    check("bob\u{ad}@example.com", "<email>");
    check("4111\u{a0}1111\u{a0}1111\u{a0}1111", "<card>");
    check("4111\u{2011}1111\u{2011}1111\u{2011}1111", "<card>");
    check("bob\u{1b}[1m@example\u{1b}[0m.com", "<email>");
}

#[test]
fn leaves_what_only_looks_like_it() {
    let redactor = redactor("");
    for line in [
        "4111a1b2-1234-4111-8111-111111111111 12345678-1234-1234-1234-123456789012",
        "trace_id=41111111111111114111111111111111 span_id=4111111111111111",
        r#"{"trace_id":"4111111111111111","timestamp":4111111111111111,"containerId":"4111111111111111"}"#,
        "1700000000000 1700000000000000 1700000000000000000 20240102101112",
        "blk_-1608999687919862906 blk_4111111111111111 1234567890123456789",
        "version 1.2.3.4 10.0.19041.1 1.3.6.1.4.1.311 0.0.0.0",
        "3.14159265358979323846 -4111111111111111 1e10 28601 28601",
        "commit 4111111111111111111111111111111111111111 sha256:0123456789abcdef",
        "registry.example.com/app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "00:1B:44:11:3A:B7 10:11:12 std::vec ::1 :: Foo::bar",
        "Object@2bd79ce [Ljava.lang.String;@1b6d3586 user@host getty@tty1.service",
        "@scope/pkg@1.2.3 @daily git@github.com:a/b.git @user:matrix",
        "password reset ok, token refreshed, secret santa, api key rotated",
        "token_count=512 max_tokens=10 token_type=bearer tokens=7 password_expires_at=2024-01-02",
        "key_id=abc primary_key=3 token_url=https://example.com/token secret_name=db session_ttl=3600",
        "pin=0x1f cache key=users:1 monkey=1 keyboard=us compass=north bypass=1 mapping=1234",
        "10/Oct/2000:13:55:36 -0700 +0100 +00:00 UTC+02:00 12:34:56+0000",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4",
        "lat=52.520008 lon=13.404954 took 1234567890ns",
        "100% done, 5% of 20%20 and %d %s",
    ] {
        assert_eq!(redactor.redact_text(line), line);
    }
}
