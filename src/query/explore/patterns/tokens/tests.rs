use super::*;

fn read(line: &str, reading: Reading) -> Option<Vec<String>> {
    let mut tokens = Tokens::default();
    let shown = |tokens: &Tokens| {
        tokens.iter().map(|token| String::from_utf8_lossy(token).into_owned()).collect()
    };
    tokens.read(line, reading).then(|| shown(&tokens))
}

#[track_caller]
fn check(line: &str, reading: Reading, expect: &[&str]) {
    assert_eq!(read(line, reading).unwrap(), expect, "{line}");
}

#[test]
fn texts_are_cut_at_punctuation_and_spaces() {
    let text = Reading::Text;
    check("a b-c.d:e/f_g h$i j", text, &["a", "b-c.d:e/f_g", "h$i", "j"]);
    check("x=1, (y) end", text, &["x", "=", "1", ",", "(", "y", ")", "end"]);
    check("tab\tstays in one token", text, &["tab\tstays", "in", "one", "token"]);
}

#[test]
fn lines_that_belong_to_no_pattern() {
    assert_eq!(read("one two three", Reading::Text), None);
    assert_eq!(read("", Reading::Text), None);
    assert_eq!(read(&"w ".repeat(81), Reading::Text), None);
    assert_eq!(read(&"w ".repeat(80), Reading::Text).unwrap().len(), 80);
    assert_eq!(read(&format!("a b c {}", "x".repeat(3000)), Reading::Text), None);
    assert_eq!(read(r#"a=b c="d"#, Reading::Logfmt), None);
    assert_eq!(read(r#"{"text":"a b c d e"}"#, Reading::Json), None);
    assert_eq!(read("a b c d e", Reading::Json), None);
}

#[test]
fn of_json_the_message_alone_is_read() {
    let json = Reading::Json;
    check(r#"{"msg":"a b c d","log":"e f g h"}"#, json, &["e", "f", "g", "h"]);
    check(r#"{"log":1,"x":{"log":"no"},"msg":"a b c d"}"#, json, &["a", "b", "c", "d"]);
    check(r#"{"msg":"say \"a\" b"} "#, json, &["say", "\\", "\"", "a", "\\", "\"", "b"]);
    // What follows on it may be broken.
    check(r#"{"msg":"a b c d","x":tru"#, json, &["a", "b", "c", "d"]);
}

#[test]
fn logfmt_is_keys_and_values() {
    check(
        r#"TS=1 level=info msg="a \"b\"" flag t=2"#,
        Reading::Logfmt,
        &["TS", "<_>", "level", "info", "msg", r#"a "b""#, "flag", "", "t", "<_>"],
    );
}

#[test]
fn formats_are_guessed() {
    for (line, reading) in [
        (r#"{"a":1}"#, Reading::Json),
        ("{}", Reading::Json),
        ("{", Reading::Text),
        ("", Reading::Text),
        (r#"a=b c="d e" f=1"#, Reading::Logfmt),
        ("a=b", Reading::Logfmt),
        ("a=b c", Reading::Text),
        ("a=b  c=d", Reading::Text),
        ("a.b=c", Reading::Text),
        (r#"a="" b=c"#, Reading::Text),
        ("ä=b c=d", Reading::Text),
        ("say a=b", Reading::Text),
    ] {
        assert_eq!(Reading::guess(line), reading, "{line}");
    }
}

#[track_caller]
fn check_pattern(line: &str, reading: Reading, differ: u128, expect: &str) {
    let mut tokens = Tokens::default();
    assert!(tokens.read(line, reading), "{line}");
    assert_eq!(tokens.pattern(differ, reading), expect);
}

#[test]
fn patterns_are_told_as_they_were_written() {
    check_pattern("a  b, c d ", Reading::Text, 0, "a  b, c d ");
    // Tokens: a, b, the comma, c, d.
    check_pattern("a  b, c d", Reading::Text, 0b1_0110, "a  <_> c <_>");
    check_pattern(" a b c d", Reading::Text, 0, "abcd");
    check_pattern("(a)(b) c", Reading::Text, 0b111, "<_>(b) c");
    check_pattern(r#"{"msg":"a b c d"}"#, Reading::Json, 0b1, "<_> b c d<_>");
    check_pattern(r#"k=v msg="a b" e= t=1"#, Reading::Logfmt, 0b10, r#"k=<_> msg="a b" e= t=<_>"#);
    check_pattern("a=\"b\\n\\\"\u{7f}\" c=d", Reading::Logfmt, 0, "a=\"b\\n\\\"\\u007f\" c=d");
    // Cut behind the first byte of the mark, and whole again.
    check_pattern("a „b“ – c d", Reading::Text, 0, "a „b“ – c d");
}

#[test]
fn awkward_lines_are_read_without_fault() {
    for line in [
        "{",
        "{\"a\":",
        "{\"a\" 1}",
        "a=\"b",
        "é=ü é=\"",
        "{}}",
        "=",
        "\"",
        "a= =b é",
        "„“”",
        "{\"msg\":\"",
        "{\"msg\":\"a\\",
        "\0\0 \0 a \0",
    ] {
        for reading in [Reading::Text, Reading::Json, Reading::Logfmt] {
            let mut tokens = Tokens::default();
            if tokens.read(line, reading) {
                let _ = tokens.pattern(u128::MAX, reading);
            }
        }
    }
}
