use super::*;

/// Pairs as `key=value`, `key="value"` when it was quoted, `key` when empty, `!message`.
fn scan(line: &str) -> Vec<String> {
    Scanner::new(line)
        .map(|pair| match pair {
            Pair::Value { key, value, quoted: false } => format!("{key}={value}"),
            Pair::Value { key, value, quoted: true } => format!("{key}={value:?}"),
            Pair::Empty { key } => key.to_owned(),
            Pair::Malformed { message } => {
                format!("!{}", message.strip_prefix("logfmt syntax error at pos ").unwrap())
            }
        })
        .collect()
}

#[track_caller]
fn check(line: &str, expect: &[&str]) {
    assert_eq!(scan(line), expect, "{line}");
}

#[test]
fn well_formed() {
    check("", &[]);
    check(" \t ", &[]);
    check("a=1 b=\"two words\" c", &["a=1", "b=\"two words\"", "c"]);
    check("a= b=\"\" c=\"x\"", &["a", "b", "c=\"x\""]);
    check("a=", &["a"]);
    check("  a=1  ", &["a=1"]);
    check("a=\"1\"b=2", &["a=\"1\"", "b=2"]);
    check("\u{e4}=\u{1f680} x.y-z=/p?q", &["\u{e4}=\u{1f680}", "x.y-z=/p?q"]);
    check("a=1\nb=2", &["a=1", "b=2"]);
    check("{\"a\":1}", &["!2 : unexpected '\"'"]);
    check("plain text line", &["plain", "text", "line"]);
}

#[test]
fn escapes() {
    check(r#"a="x\"y\\z\/\'" "#, &[r#"a="x\"y\\z/'""#]);
    check(r#"a="\t\n\r\b\f""#, &[r#"a="\t\n\r\u{8}\u{c}""#]);
    check(r#"a="\u00e4\ud83d\ude80""#, &["a=\"\u{e4}\u{1f680}\""]);
    check(r#"a="\ud83dx""#, &["a=\"\u{fffd}x\""]);
    check(r#"a="\ude80\ud83d\ude80""#, &["a=\"\u{fffd}\u{1f680}\""]);
    check(r#"a="\x41" b=2"#, &["!9 : invalid quoted value", "b=2"]);
    check(r#"a="\u12" b=2"#, &["!9 : invalid quoted value", "b=2"]);
    check(r#"a="\u+123""#, &["!11 : invalid quoted value"]);
    check("a=\"\\\u{e4}\"", &["!8 : invalid quoted value"]);
}

#[test]
fn malformed() {
    check("=1", &["!1 : unexpected '='"]);
    check(" =1 a=2", &["!2 : unexpected '='", "a=2"]);
    check("a=b=c d=1", &["!4 : unexpected '='", "d=1"]);
    check("a=b\"c\" d=1", &["!4 : unexpected '\"'", "d=1"]);
    check("a\"b=1 d=1", &["!2 : unexpected '\"'", "d=1"]);
    check("\"a\"=1 d=1", &["!1 : unexpected '\"'", "d=1"]);
    check("a=\"b c", &["!7 : unterminated quoted value"]);
    check("a=\"b\\", &["!6 : unterminated quoted value"]);
    check("a\u{fffd}=1 b\u{fffd} c=3", &["!5 : invalid key", "!12 : invalid key", "c=3"]);
}

#[test]
fn lenient_leaves_malformed_pieces_out() {
    let pairs: Vec<_> = Scanner::lenient("a=b=c =x d=1 \"").collect();
    assert_eq!(pairs, [Pair::Value { key: "d", value: "1".into(), quoted: false }]);
}

proptest::proptest! {
    #[test]
    fn any_line_ends(line in "[ab =\"\\\\un0-3\t\u{e4}\u{fffd}]{0,40}") {
        let found = Scanner::new(&line).count();
        assert!(found <= line.len());
    }
}
