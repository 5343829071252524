use super::*;

fn extract(pattern: &str, line: &str) -> Vec<String> {
    let mut captures = Vec::new();
    Pattern::parse_extractor(pattern)
        .unwrap()
        .extract(line, &mut |_, range| captures.push(line[range].to_owned()));
    captures
}

#[test]
fn extracts_captures_in_order() {
    #[track_caller]
    fn check(pattern: &str, line: &str, expect: &[&str]) {
        assert_eq!(extract(pattern, line), expect, "{pattern} on {line}");
    }
    check("foo <foo> bar", "foo buzz bar", &["buzz"]);
    check("foo <foo> bar<fuzz>", "foo buzz bar", &["buzz", ""]);
    check("<foo>foo <bar> bar", "foo buzz bar", &["", "buzz"]);
    check("<foo>bar<baz>", " bar ", &[" ", " "]);
    check("<foo>", " bar ", &[" bar "]);
    check("<path>?<_>", "/status", &["/status"]);
    check("<path>?<_>", "/a?b", &["/a"]);
    check(
        r#"<ip> - <user> [<_>] "<method> <path> <_>" <status> <size>"#,
        r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326"#,
        &["127.0.0.1", "frank", "GET", "/a.gif", "200", "2326"],
    );
    // The capture before a missing literal takes the rest, and nothing follows.
    check("<a> - <b> = <c>", "1 - 2", &["1", "2"]);
    check("<a>: <_> x <c>", "1: 2", &["1"]);
    // The leading literal must be at the start.
    check("x<a>", "yx1", &[]);
    check("x<a>", "", &[]);
    check("x<a>", "x", &[""]);
    check("unicode \u{25b6} <what>", "unicode \u{25b6} \u{1f937}", &["\u{1f937}"]);
    check("<1a> <b> < c> <d", "<1a> B < c> <d", &["B"]);
    check("<a><<b>", "1<2", &["1", "2"]);
}

#[test]
fn extractors_are_checked() {
    #[track_caller]
    fn check(pattern: &str, expect: Result<&[&str], &str>) {
        let got = Pattern::parse_extractor(pattern);
        match expect {
            Ok(names) => assert_eq!(got.unwrap().names(), names),
            Err(message) => assert_eq!(got.unwrap_err(), message),
        }
    }
    check("<f> <a>", Ok(&["f", "a"]));
    check("<_> <_a1> <_>", Ok(&["_a1"]));
    check(
        "",
        Err(
            "parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL",
        ),
    );
    check("<_>", Err("at least one capture is required"));
    check("nothing", Err("at least one capture is required"));
    check("<f><f>", Err("found consecutive capture '<f><f>': invalid expression"));
    check("f<f><_>", Err("found consecutive capture '<f><_>': invalid expression"));
    check("<f> f<f>", Err("duplicate capture name (f): invalid expression"));
}

#[test]
fn filters_fit_lines() {
    #[track_caller]
    fn check(pattern: &str, line: &str, expect: bool) {
        let pattern = Pattern::parse_filter(pattern).unwrap();
        assert_eq!(pattern.matches(line), expect, "{pattern:?} on {line}");
    }
    check("", "", true);
    check("", "a", false);
    check("<_>", "a", true);
    check("<_>", "", false);
    check("alpha", "alpha", true);
    check("alpha", "alphabet", false);
    check("alpha<_>", "alphabet", true);
    check("alpha<_>", "alpha", false);
    check("<_>beta", "beta", false);
    check("<_>beta", "alphabeta", true);
    check("<_>bar <_>", " bar ", false);
    check("<_> bar", "foo bar baz", false);
    check("<_> baz", "foo bar baz", true);
    check("foo <_>", "foo bar baz", true);
    check("<_> bar <_>", " bar ", false);
    check("<_>bar<_>", " bar ", true);
    check("a<_>b", "aab", true);
    check("a<_>b", "abb", false);
    check("for <_>", "password for me", true);
}

#[test]
fn filters_are_checked() {
    let error = |pattern| Pattern::parse_filter(pattern).unwrap_err();
    assert_eq!(error("<foo> x"), "named captures are not allowed: found '<foo>'");
    assert_eq!(error("<_><_>"), "found consecutive capture '<_><_>': invalid expression");
}

#[test]
fn literals_are_longest_first() {
    let pattern = Pattern::parse_extractor("a <x> long <_> mid <y>").unwrap();
    assert_eq!(pattern.literals(), [" long ", " mid ", "a "]);
}

proptest::proptest! {
    #[test]
    fn never_panics(source in "[<>_a-b \u{e4}]{0,16}", line in "[<>_a-b \u{e4}]{0,16}") {
        if let Ok(pattern) = Pattern::parse_extractor(&source) {
            pattern.extract(&line, &mut |index, range| {
                assert!(pattern.names().get(index).is_some() && line.get(range).is_some());
            });
        }
        if let Ok(pattern) = Pattern::parse_filter(&source)
            && pattern.matches(&line)
        {
            assert!(pattern.literals().iter().all(|text| line.contains(text)));
        }
    }
}
