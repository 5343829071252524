use super::*;

#[track_caller]
fn matches(pattern: &str, yes: &[&str], no: &[&str]) {
    let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    for text in yes {
        assert!(regex.is_match(text), "{pattern} should match {text:?}");
    }
    for text in no {
        assert!(!regex.is_match(text), "{pattern} should not match {text:?}");
    }
}

#[test]
fn perl_classes_are_ascii() {
    matches(r"^\d$", &["7"], &["\u{663}", "a"]);
    matches(r"^\w$", &["a", "_", "9"], &["\u{e4}", "-"]);
    matches(r"^\W$", &["\u{e4}", "-"], &["a"]);
    matches(r"^\s$", &[" ", "\t", "\n", "\u{c}", "\r"], &["\u{b}", "\u{a0}", "\u{2003}"]);
    matches(r"^\S$", &["\u{b}", "\u{a0}"], &[" "]);
    matches(r"^[\d\-x]$", &["3", "-", "x"], &["\u{663}"]);
    matches(r"^[^\w]$", &["\u{e4}"], &["a"]);
    matches(r"^[\W\d]$", &["\u{e4}", "4"], &["a"]);
    matches(r"^[^\D5]$", &["4"], &["5", "x"]);
    matches(r"x\b", &["x", "x\u{e4}", "x-"], &["xy"]);
    matches(r"x\By", &["xy"], &["x-y"]);
    matches(r"x\B", &["xy"], &["x\u{e4}", "x"]);
}

#[test]
fn dots_anchors_and_flags() {
    matches("a.b", &["axb", "a\u{1f680}b"], &["a\nb"]);
    matches("(?s)a.b", &["a\nb"], &[]);
    matches("(?s:a.b).c", &["a\nbxc"], &["a\nb\nc"]);
    matches("a$", &["ba"], &["a\n", "a\nb"]);
    matches("(?m)a$", &["a\nb", "a"], &["ab"]);
    matches("(?m)^b", &["a\nb"], &["ab"]);
    matches(r"\Aa\z", &["a"], &["a\n"]);
    matches("[^a]", &["\n"], &["a"]);
    matches("(?i)na\u{ef}ve", &["NA\u{cf}VE"], &["naive"]);
    matches("(?i)k", &["\u{212a}", "K"], &["q"]);
    matches("(?i)[k]", &["\u{212a}"], &[]);
    matches(r"(?i)^\w$", &["\u{17f}"], &["\u{e4}"]);
    matches("(?i:a)b", &["Ab"], &["AB"]);
    matches("(?i-s)a", &["A"], &[]);
    matches("(?i)(?-i)a", &["a"], &["A"]);
    matches("a(?i)b|c", &["aB", "C"], &["AB"]);
    matches("(?U)^a+?$", &["aaa"], &[]);
}

#[test]
fn literal_braces_and_escapes() {
    matches(r"\{$", &["x{"], &["x"]);
    matches("{", &["{"], &["x"]);
    matches("a{", &["a{"], &["a"]);
    matches("a{,2}", &["a{,2}"], &["aa"]);
    matches("a{x}", &["a{x}"], &["ax"]);
    matches("a{2", &["a{2"], &["aa"]);
    matches("a{02}", &["a{02}"], &["aa"]);
    matches("^a{2}$", &["aa"], &["a{2}"]);
    matches("^a{2,}$", &["aaa"], &["a"]);
    matches("^a{1,2}?$", &["aa"], &["aaa"]);
    matches("}]", &["}]"], &[]);
    matches(r#"{"level":"error"}"#, &[r#"{"level":"error"}"#], &[]);
    matches(r"\<x\>", &["<x>"], &["x"]);
    matches(r"\_\-\/\'\ \@\~\&\#", &["_-/' @~&#"], &[]);
    matches(r"\x41\x{1F680}\101\07", &["A\u{1f680}A\u{7}"], &[]);
    matches(r"\0", &["\0"], &[]);
    matches(r"\12", &["\n"], &[]);
    matches(r"\a\f\n\r\t\v", &["\u{7}\u{c}\n\r\t\u{b}"], &[]);
    matches(r"^\Qa.*b\E+$", &["a.*bb"], &["axb"]);
    matches(r"\Q[unclosed", &["[unclosed"], &[]);
    matches(r"\Q\E", &[""], &[]);
    matches("#x y", &["#x y"], &[]);
    matches("\u{e4}+", &["\u{e4}\u{e4}"], &["a"]);
}

#[test]
fn classes() {
    matches("^[[]$", &["["], &["]"]);
    matches("^[]]$", &["]"], &["["]);
    matches("^[^]]$", &["["], &["]"]);
    matches("^[[a]$", &["[", "a"], &["b"]);
    matches("^[a&&b]$", &["a", "&", "b"], &["c"]);
    matches("^[+--]$", &["+", ",", "-"], &["."]);
    matches("^[a~~b]$", &["~", "a"], &["c"]);
    matches("^[a-]$", &["a", "-"], &["b"]);
    matches("^[-a]$", &["a", "-"], &["b"]);
    matches(r"^[\d-z]$", &["5", "-", "z"], &["y"]);
    matches(r"^[\]\\\^]$", &["]", "\\", "^"], &["a"]);
    matches("^[[:alpha:]_]$", &["b", "_"], &["\u{e4}", ":"]);
    matches("^[[:^alpha:]]$", &["1", "\u{e4}"], &["b"]);
    matches("^[[:word:]]$", &["_"], &["-"]);
    matches("^[[:alpha]$", &[":", "[", "a"], &["b"]);
    matches("^[a.$|(*]$", &["$", ".", "(", "*"], &["b"]);
    matches(r"^\pN$", &["7", "\u{663}"], &["a"]);
    matches(r"^\p{Greek}$", &["\u{3b1}"], &["a"]);
    matches(r"^\P{Greek}$", &["a"], &["\u{3b1}"]);
    matches(r"^\p{^Greek}$", &["a"], &["\u{3b1}"]);
    matches(r"^[\pL\d]$", &["\u{e4}", "7"], &["-"]);
    matches(r"^[\x20-\x7e]$", &["a", "-", "\\"], &["\n"]);
    matches(r"^[ #]$", &[" ", "#"], &["x"]);
}

#[test]
fn named_groups() {
    let regex = compile(r"for (?:invalid user )?(?P<user>\S+) from (?<addr>\S+)").unwrap();
    let names: Vec<_> = regex.capture_names().flatten().collect();
    assert_eq!(names, ["user", "addr"]);
    let captures = regex.captures("for invalid user bob from 10.0.0.1 port").unwrap();
    assert_eq!((&captures["user"], &captures["addr"]), ("bob", "10.0.0.1"));
}

#[test]
fn anchored() {
    let regex = compile_anchored("a|b.").unwrap();
    assert!(regex.is_match("a") && regex.is_match("b\n"));
    assert!(!regex.is_match("ab\n") && !regex.is_match("xa"));
    assert!(compile_anchored("a)|(b").is_err());
    assert!(compile_anchored("(?i)ERROR").unwrap().is_match("error"));
}

#[test]
fn faults() {
    #[track_caller]
    fn check(pattern: &str, message: &str) {
        let got = compile(pattern).unwrap_err();
        assert_eq!(got.strip_prefix("error parsing regexp: ").unwrap(), message, "{pattern}");
    }
    check("[", "missing closing ]: `[`");
    check("x[a", "missing closing ]: `[a`");
    check("[]", "missing closing ]: `[]`");
    check("[^", "missing closing ]: `[^`");
    check("(a", "missing closing ): `(a`");
    check("a)", "unexpected ): `a)`");
    check("*a", "missing argument to repetition operator: `*`");
    check("(+)", "missing argument to repetition operator: `+`");
    check("a|*", "missing argument to repetition operator: `*`");
    check("{2}", "missing argument to repetition operator: `{2}`");
    check("a**", "invalid nested repetition operator: `**`");
    check("a+{2}", "invalid nested repetition operator: `+{2}`");
    check("a++", "invalid nested repetition operator: `++`");
    check("a{1001}", "invalid repeat count: `{1001}`");
    check("a{3,2}", "invalid repeat count: `{3,2}`");
    check("a{1,99999999999}", "invalid repeat count: `{1,99999999999}`");
    check("(a{100}){100}", "invalid repeat count: `{100}`");
    check("((a{20})b{1000}){2,}", "invalid repeat count: `{2,}`");
    check(r"\C", r"invalid escape sequence: `\C`");
    check(r"\1", r"invalid escape sequence: `\1`");
    check(r"\8", r"invalid escape sequence: `\8`");
    check(r"\Z", r"invalid escape sequence: `\Z`");
    check(r"[\b]", r"invalid escape sequence: `\b`");
    check("\\\u{e4}", "invalid escape sequence: `\\\u{e4}`");
    check(r"\x{110000}", r"invalid escape sequence: `\x{110000}`");
    check("a\\", "trailing backslash at end of expression: ``");
    check("[a--b]", "invalid character class range: `a--`");
    check("[b-a]", "invalid character class range: `b-a`");
    check(r"[a-\d]", r"invalid escape sequence: `\d`");
    check("[[:nope:]]", "invalid character class range: `[:nope:]`");
    check(r"\p{Nope}", r"invalid character class range: `\p{Nope}`");
    check("(?P<a>x)(?P<a>y)", "duplicate capture group name: `a`");
    check("(?P<a.b>x)", "invalid named capture: `(?P<a.b>`");
    check("(?P<>x)", "invalid named capture: `(?P<>`");
    check("(?P=n)", "invalid or unsupported Perl syntax: `(?P`");
    check("(?=a)", "invalid or unsupported Perl syntax: `(?=`");
    check("(?!a)", "invalid or unsupported Perl syntax: `(?!`");
    check("(?x)a", "invalid or unsupported Perl syntax: `(?x`");
    check("(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`");
    check("(?i", "missing closing ): `(?i`");
    check(r"((\pL{100}){10}\pL{1000}){1}(\pL{1000}){1}", "expression too large");
}

#[track_caller]
fn literals(pattern: &str, expect: &[&[&str]]) {
    let shown: Vec<Vec<String>> = required_literals(pattern)
        .groups
        .iter()
        .map(|group| {
            let case = |ignore_case| if ignore_case { "~" } else { "" };
            group.iter().map(|l| format!("{}{}", case(l.ignore_case), l.text)).collect()
        })
        .collect();
    assert_eq!(shown, expect, "{pattern}");
}

#[test]
fn literals_of_patterns() {
    literals("job_id=[0-9a-f]{8}-.*attempt=3", &[&["attempt=3"], &["job_id="], &["-"]]);
    literals("slow|cache", &[&["slow", "cache"]]);
    literals("(?i)error", &[&["~error"]]);
    literals("(?i)task s", &[&["~task s"]]);
    literals("[Ee]rror: timeout", &[&["~error: timeout"]]);
    literals(
        "status\":50[0-3]",
        &[&["status\":500", "status\":501", "status\":502", "status\":503"]],
    );
    literals("https?://x", &[&["http://x", "https://x"]]);
    literals("^(GET|POST) /api", &[&["GET /api", "POST /api"]]);
    literals("x(.*foo|bar)baz", &[&["foo", "bar"], &["baz"], &["x"]]);
    literals("(ab){3}", &[&["ababab"]]);
    literals("(ab)+c", &[&["ab"], &["c"]]);
    literals("(foo.*bar)?baz", &[&["baz"]]);
    literals("(foo.*barbar|qux.*)", &[&["qux", "barbar"]]);
    literals("a.*|b.*", &[]);
    literals("foo|", &[]);
    literals("a|b", &[]);
    literals(".*", &[]);
    literals(r"\d+", &[]);
    literals("", &[]);
    literals("[", &[]);
    literals("(?i)na\u{ef}ve", &[&["~na\u{cf}ve", "~na\u{ef}ve"]]);
    literals("foo|foobar", &[&["foo"]]);
    literals("ab|(?i:xaby)", &[&["ab", "~xaby"]]);
    literals(r"\bpanic\b", &[&["panic"]]);
    literals("x{2,5}y", &[&["xx"], &["y"]]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    #[test]
    fn any_pattern_ends(pattern in r"[\[\](){}?*+|\\^$.:,\-a-dkPQE<>0-3i&~ \u{e4}]{0,24}") {
        let _ = compile(&pattern);
        let _ = compile_anchored(&pattern);
    }

    /// The literals are held against the engine itself.
    #[test]
    fn literals_never_exclude_a_match(
        pattern in r"(\(\?i\))?([a-cks]|\(|\)|\||[?*+]|\{2\}|\.|\[ab\]|\[\^a\]|(?:\\b)){0,12}",
        text in "[a-cA-CkKsS\u{17f}\u{212a}]{0,12}",
    ) {
        if let Ok(regex) = compile(&pattern)
            && regex.is_match(&text)
        {
            assert!(required_literals(&pattern).may_match(&text), "{pattern} on {text}");
        }
    }
}

#[test]
fn weighs_patterns_before_they_are_compiled() {
    let size = |pattern: &str| weight(pattern) - crate::limits::REGEX_WEIGHT_MIN;
    assert_eq!(size("abc"), 3);
    assert_eq!(size("(ab){10}"), 10 * (2 + 2));
    assert_eq!(size("((ab){10}c){5}"), 5 * (10 * (2 + 2) + 1 + 2));
    assert!(size(r"\pL{100}") > 70_000);
    assert!(size(r"[\pL\d]") > 1400 - 700);
    assert_eq!(size("a{2"), 3);
    let mut budget = Budget::default();
    assert_eq!(budget.take("a+"), Ok(()));
    assert_eq!(
        budget.take(r"(\pL\PN){1000}"),
        Err("error parsing regexp: expression too large".to_owned())
    );
    // Long, and read in one pass.
    assert!(compile(&"{".repeat(120_000)).is_ok());
}
