//! Queries that must parse, and what they print as.

use crate::query::syntax::{parse, parse_log, parse_selector, parse_selector_or_all};

/// One query a line; a line break inside a query is written as U+2424.
const ACCEPTED: &str = include_str!("accepted.logql");

#[track_caller]
fn check(query: &str) {
    match parse(query) {
        Ok(expr) => {
            let printed = expr.to_string();
            assert_eq!(parse(&printed).as_ref(), Ok(&expr), "{query} printed as {printed}");
        }
        Err(error) => panic!("{error}\n{}", error.caret(query)),
    }
}

#[test]
fn queries_of_dashboards() {
    for line in ACCEPTED.lines() {
        check(&line.replace('\u{2424}', "\n"));
    }
    assert!(ACCEPTED.lines().count() > 150);
}

#[test]
fn keywords_and_blanks() {
    check("SUM(Rate({job=\"app\"}[1m])) # c");
    check("sum /* over\nall */ (rate({job=\"app\"}[1m])) // end");
    check("{app=\"api\"}|JSON|Line_Format `x`|= \"x\"");
    check("sum BY(level)(rate({a=\"b\"}[1m]))");
    check("sum\nWITHOUT\t(level) (rate({a=\"b\"}[1m]))");
    check("{rate=\"1\", count=\"2\", sum=\"3\", duration=\"4\", bytes=\"5\", ip=\"6\"}");
    check("{a=\"b\"} | logfmt | duration > 5s | bytes < 5KB | rate = 1 | vector=\"x\"");
    check("sum by (count, min, ip) (rate({a=\"b\"}[1m]))");
    check("{\u{e4}_1=\"x\"}");
}

#[test]
fn strings() {
    check(r#"{a="\"\\\n\t\u00e4\U0001F680\x41\101"}"#);
    check("{a=`raw \\d \" # { // text`}");
    check("{a=\"b\"} |= \"# no comment\" |= `/* none */`");
    check("{a=\"b\"} |= `two\nlines`");
}

#[test]
fn stages() {
    check("{a=\"b\"} |= \"x\" or \"y\" or ip(\"::1\") or `z` != \"p\" or \"q\" |~ \"r\" !~ \"s\"");
    check("{a=\"b\"} |> \"<_> x\" !> \"y <_>\" or \"z\" |> \"\"");
    check("{a=\"b\"} |= ip(\"10.0.0.0/8\") != ip(\"10.0.0.1-10.0.0.9\") or ip(\"fe80::/10\")");
    check("{a=\"b\"} | json x, y=\"a.b[0]\", z=\"[\\\"k.1\\\"].q\"");
    check("{a=\"b\"} | logfmt --strict --keep-empty | logfmt --keep-empty x, y=\"z\"");
    check("{a=\"b\"} | regexp \"(?P<s>\\\\d+)\" | pattern `<ip> - <_>` | unpack | decolorize");
    check("{a=\"b\"} | line_format \"{{.x | ToUpper}}\" | label_format x=y, z=\"{{.x}}\"");
    check("{a=\"b\"} | drop a, b=\"c\", d=~\"e.*\" | keep f, g!=\"h\", i!~\"j\"");
    check("{a=\"b\"} | x=ip(\"10.0.0.1\") | y!=ip(\"10.0.0.0/8\")");
    check("{a=\"b\"} | d > 1.5h | d >= 250us | d == -1h30m | d != 1d | d < 1y2w");
    check("{a=\"b\"} | s > 1.55GB | s = 10KiB | s != 1B | s <= 3TiB | s > 1.5kB");
    check("{a=\"b\"} | n = 1 | n != 1.5 | n == 1e3 | n > -5 | n < +5 | n <= .5");
    check("{a=\"b\"} | (x=\"1\" or y=\"2\") and z=\"3\", w=\"4\" (v=\"5\")");
    check("({a=\"b\"} | json)");
    check("((({a=\"b\"})))");
}

#[test]
fn metrics() {
    check("count_over_time({a=\"b\"}[5m] |= \"x\")");
    check("count_over_time(({a=\"b\"} |= \"x\")[5m])");
    check("count_over_time(({a=\"b\"} |= \"x\" [5m] offset 1h))");
    check("count_over_time((({a=\"b\"}[5m])))");
    check("count_over_time({a=\"b\"}[5m] offset 5m | json)");
    check("count_over_time({a=\"b\"}[5m] offset -1h30m)");
    check("sum_over_time({a=\"b\"}[5m] | json | unwrap x)");
    check("sum_over_time({a=\"b\"}[5m] offset 1h | unwrap duration(x) | x > 5s | y=\"z\")");
    check("sum_over_time(({a=\"b\"})[5m] | unwrap x)");
    check("sum_over_time(({a=\"b\"} | unwrap x)[5m])");
    check("absent_over_time({a=\"b\"} | unwrap x [1m])");
    check("avg_over_time({a=\"b\"} | unwrap x [1m]) by ()");
    check("quantile_over_time(.99, {a=\"b\"} | unwrap bytes(x) [1m]) without (y, z)");
    check("rate({a=\"b\"}[0s])");
    check("rate({a=\"b\"}[1y2w3d4h5m6s7ms])");
    check("topk(5, rate({a=\"b\"}[1m])) by (x)");
    check("topk without (x) (5, rate({a=\"b\"}[1m]))");
    check("approx_topk(3, sum by (x) (rate({a=\"b\"}[1m])))");
    check("sort(rate({a=\"b\"}[1m])) + sort_desc(rate({a=\"b\"}[1m]))");
    check("sum by () (rate({a=\"b\"}[1m])) + sum without () (rate({a=\"b\"}[1m]))");
    check("vector(0.123456789) or vector(1e3)");
    check(
        "label_replace(label_replace(vector(1),\"a\",\"$1\",\"b\",\"(.*)\"),\"\",\"\",\"\",\"\")",
    );
    check("-1 ^ 2");
    check("vector(1) ^ vector(2) ^ vector(3)");
    check("vector(1) / on (a, b) group_left (c) vector(2) * ignoring (d) group_right vector(3)");
    check("vector(1) == bool on () group_left () vector(2)");
    check("vector(1) > ignoring () vector(2) unless on (a) (vector(3))");
    check("vector(1) + ignoring () group_left vector(2)");
    check("rate({a=\"b\"}[1m]) != 1");
    check("(rate({a=\"b\"}[1m]))");
}

#[test]
fn selectors() {
    let names = |query: &str| -> Vec<String> {
        parse_selector(query).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(names("{a=\"b\", c=~\"d.*\", e!=\"\"}"), ["a=\"b\"", "c=~\"d.*\"", "e!=\"\""]);
    assert_eq!(names("({a=\"b\"})"), ["a=\"b\""]);
    assert_eq!(parse_selector_or_all("{}").unwrap(), []);
    assert!(parse_selector_or_all("{a!=\"b\"}").is_err());
    let message = |query| parse_selector(query).unwrap_err().message;
    assert_eq!(message("{a=\"b\"} |= \"x\""), "only label matchers are supported");
    assert_eq!(message("vector(1)"), "only label matchers are supported");
    assert!(message("{}").starts_with("queries require at least one"));
    assert!(parse_log("{a=\"b\"} | json").is_ok());
    assert_eq!(parse_log("1 + 1").unwrap_err().message, "only log selector is supported");
}
