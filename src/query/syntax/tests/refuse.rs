//! Queries that must be refused, where and why.

use crate::query::syntax::{ParseError, parse};

fn refused(query: &str) -> ParseError {
    match parse(query) {
        Ok(expr) => panic!("{query} parsed as {expr}"),
        Err(error) => error,
    }
}

/// The place is `line:column`.
#[track_caller]
fn check(query: &str, place: &str, message: &str) {
    let error = refused(query);
    assert_eq!(
        (format!("{}:{}", error.line, error.column).as_str(), error.message.as_str()),
        (place, message),
        "{query}\n{}",
        error.caret(query)
    );
}

const NO_MATCHER: &str = "queries require at least one regexp or equality matcher that does not \
    have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, \
    but app=~\".+\" will";

#[test]
fn selectors() {
    check("", "1:1", "syntax error: unexpected $end");
    check("{app=\"api\"", "1:11", "syntax error: unexpected $end, expecting } or ,");
    check("{app=\"api\",app=\"b\"", "1:19", "syntax error: unexpected $end, expecting } or ,");
    check("{app=", "1:6", "syntax error: unexpected $end, expecting STRING");
    check("{app=\"api\",}", "1:12", "syntax error: unexpected }, expecting IDENTIFIER");
    check("{app}", "1:5", "syntax error: unexpected }, expecting = or =~ or !~ or !=");
    check("{job='x'}", "1:6", "syntax error: unexpected IDENTIFIER, expecting STRING");
    check("{job='xy'}", "1:6", "invalid char literal");
    check("{job=\"x}", "1:6", "literal not terminated");
    check("{job=\"x\\q\"}", "1:6", "invalid char escape");
    check("{job=`x}", "1:6", "literal not terminated");
    check("{by=\"x\"}", "1:2", "syntax error: unexpected by, expecting IDENTIFIER or }");
    check("{json=\"x\"}", "1:2", "syntax error: unexpected json, expecting IDENTIFIER or }");
    check("{a.b=\"x\"}", "1:3", "syntax error: unexpected ., expecting = or =~ or !~ or !=");
    check("{a=~\"[\"}", "1:5", "error parsing regexp: missing closing ]: `[`");
    check(
        "{a=~\"(?=x)\"}",
        "1:5",
        "error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
    );
    check("{app=\"api\"}}", "1:12", "syntax error: unexpected }");
    check("{app=\"api\"} /* x", "1:13", "comment not terminated");
    check("{app=\"api\"} $", "1:13", "syntax error: unexpected IDENTIFIER");
    for query in ["{}", "{app=~\".*\"}", "{app!=\"x\"}", "{a=\"\"}", "{a!~\"b\"} | a=\"b\""] {
        check(query, "1:1", NO_MATCHER);
    }
    check("rate({a=\"b\"}[1m]) + rate({}[1m])", "1:26", NO_MATCHER);
}

#[test]
fn stages() {
    check("{a=\"b\"} |= \"a\" |", "1:17", "syntax error: unexpected $end");
    check("{a=\"b\"} |= ", "1:12", "syntax error: unexpected $end, expecting STRING or ip");
    check("{a=\"b\"} \"x\"", "1:9", "syntax error: unexpected STRING");
    check("({a=\"b\"}) |= \"x\"", "1:11", "syntax error: unexpected |=");
    check("{a=\"b\"} | ip=\"x\" ip(", "1:18", "syntax error: unexpected ip");
    check("{a=\"b\"} | json | duration > 5q", "1:31", "syntax error: unexpected $end");
    check("{a=\"b\"} | unwrap x", "1:11", "syntax error: unexpected unwrap");
    check(
        "{a=\"b\"} | n > 0x10",
        "1:15",
        "unable to parse literal as a float: strconv.ParseFloat: parsing \"0x10\": invalid syntax",
    );
    check("{a=\"b\"} | n > 08", "1:15", "invalid digit '8' in octal literal");
    check("{a=\"b\"} | n > 1e", "1:15", "exponent has no digits");
    check("{a=\"b\"} | n > \"x\"", "1:15", "syntax error: unexpected STRING");
    check("{a=\"b\"} | n =~ 5", "1:16", "syntax error: unexpected NUMBER, expecting STRING");
    check("{a=\"b\"} | n >= ip(\"x\")", "1:16", "syntax error: unexpected ip");
    check(
        "{a=\"b\"} | x=\"1\" and",
        "1:20",
        "syntax error: unexpected $end, expecting IDENTIFIER or (",
    );
    check("{a=\"b\"} | (x=\"1\"", "1:17", "syntax error: unexpected $end");
    check("{a=\"b\"} | x=\"1\" unless y=\"2\"", "1:24", "syntax error: unexpected IDENTIFIER");
    check("{a=\"b\"} | json x=", "1:18", "syntax error: unexpected $end, expecting STRING");
    check(
        "{a=\"b\"} | logfmt --nope",
        "1:20",
        "syntax error: unexpected IDENTIFIER, expecting NUMBER",
    );
    check("{a=\"b\"} | regexp", "1:17", "syntax error: unexpected $end, expecting STRING");
    check(
        "{a=\"b\"} | label_format a=",
        "1:26",
        "syntax error: unexpected $end, expecting IDENTIFIER or STRING",
    );
    check("{a=\"b\"} | drop", "1:15", "syntax error: unexpected $end, expecting IDENTIFIER");
    check("{a=\"b\"} | nosuch", "1:17", "syntax error: unexpected $end");
    check(
        "{a=\"b\"} |~ ip(\"10.0.0.1\")",
        "1:9",
        "stage '|~ ip(\"10.0.0.1\")' : ip: invalid operation",
    );
    check(
        "{a=\"b\"} |= ip(\"10.0.0\")",
        "1:9",
        "stage '|= ip(\"10.0.0\")' : ip: invalid pattern: \"10.0.0\"",
    );
    check(
        "{a=\"b\"} | x=ip(\"nope\")",
        "1:9",
        "stage '| x=ip(\"nope\")' : ip: invalid pattern: \"nope\"",
    );
    check(
        "{a=\"b\"} |~ \"[\"",
        "1:9",
        "stage '|~ \"[\"' : error parsing regexp: missing closing ]: `[`",
    );
    check(
        "{a=\"b\"} |> \"<a> x\"",
        "1:9",
        "stage '|> \"<a> x\"' : named captures are not allowed: found '<a>'",
    );
    check(
        "{a=\"b\"} !> \"x\" or \"<_><_>\"",
        "1:19",
        "stage '\"<_><_>\"' : found consecutive capture '<_><_>': invalid expression",
    );
    check(
        "{a=\"b\"} | regexp \"no groups\"",
        "1:9",
        "invalid regexp parser: at least one named capture must be supplied",
    );
    check(
        "{a=\"b\"} | regexp \"(x)\"",
        "1:9",
        "invalid regexp parser: at least one named capture must be supplied",
    );
    check(
        "{a=\"b\"} | pattern \"nothing\"",
        "1:9",
        "invalid pattern parser: at least one capture is required",
    );
    check(
        "{a=\"b\"} | json x=\"a..b\"",
        "1:9",
        "stage '| json x=\"a..b\"' : cannot parse expression [a..b]: unexpected char .",
    );
    check(
        "{a=\"b\"} | logfmt x=\"a b\"",
        "1:9",
        "stage '| logfmt x=\"a b\"' : cannot parse expression [a b]: unexpected char b",
    );
    check(
        "{a=\"b\"} | label_format x=\"1\", x=\"2\"",
        "1:9",
        "stage '| label_format x=\"1\", x=\"2\"' : multiple label name 'x' not allowed in a single format operation",
    );
    check(
        "{a=\"b\"} | label_format __error__=x",
        "1:9",
        "stage '| label_format __error__=x' : __error__ cannot be formatted",
    );
}

#[test]
fn templates() {
    let message = |query| refused(query).message;
    let line = message("{a=\"b\"} | json | line_format \"{{ nosuch .level }}\"");
    assert!(
        line.starts_with("stage '| line_format \"{{ nosuch .level }}\"' : invalid line template: ")
    );
    assert!(line.contains("nosuch"));
    let label = message("{a=\"b\"} | label_format x=\"1\", y=\"{{ .z\"");
    assert!(label.contains("invalid template for label 'y': "));
}

#[test]
fn metrics() {
    check("sum({app=\"api\"})", "1:16", "syntax error: unexpected )");
    check("foo({app=\"api\"}[5m])", "1:1", "syntax error: unexpected IDENTIFIER");
    check("topk({app=\"api\"}[5m])", "1:17", "syntax error: unexpected RANGE");
    check("topk(5, {a=\"b\"}[5m])", "1:16", "syntax error: unexpected RANGE");
    check("rate({a=\"b\"})", "1:13", "syntax error: unexpected )");
    check("rate(\"x\")", "1:6", "syntax error: unexpected STRING, expecting NUMBER or { or (");
    check("rate({a=\"b\"}[5m]", "1:17", "syntax error: unexpected $end");
    check("rate({a=\"b\"}[5m]) offset 1h", "1:19", "syntax error: unexpected offset");
    check(
        "rate({a=\"b\"}[5m] offset 1)",
        "1:25",
        "syntax error: unexpected NUMBER, expecting DURATION",
    );
    check("rate({a=\"b\"}[1.5m])", "1:13", "unknown unit \".\" in duration \"1.5m\"");
    check("rate({a=\"b\"}[60])", "1:13", "not a valid duration string: \"60\"");
    check("rate({a=\"b\"}[5m1h])", "1:13", "not a valid duration string: \"5m1h\"");
    check("rate({a=\"b\"}[1m:10s])", "1:13", "unknown unit \"m:\" in duration \"1m:10s\"");
    check("rate({a=\"b\"}[5minutes])", "1:13", "unknown unit \"minutes\" in duration \"5minutes\"");
    check("rate({a=\"b\"}[])", "1:13", "empty duration string");
    check("rate({a=\"b\"}[5m)", "1:13", "missing closing ']' in duration");
    check(
        "count_over_time({a=\"b\"} | unwrap x [1m])",
        "1:1",
        "invalid aggregation count_over_time with unwrap",
    );
    check(
        "sum_over_time({a=\"b\"}[1m])",
        "1:1",
        "invalid aggregation sum_over_time without unwrap",
    );
    check(
        "sum_over_time({a=\"b\"} | unwrap x [1m]) by (c)",
        "1:1",
        "grouping not allowed for sum_over_time aggregation",
    );
    check(
        "sum_over_time(50, {a=\"b\"} | unwrap x [1m])",
        "1:15",
        "parameter 50 not supported for operation sum_over_time",
    );
    check(
        "quantile_over_time({a=\"b\"} | unwrap x [1m])",
        "1:1",
        "parameter required for operation quantile_over_time",
    );
    check(
        "quantile_over_time(-0.5, {a=\"b\"} | unwrap x [1m])",
        "1:20",
        "syntax error: unexpected -, expecting NUMBER or { or (",
    );
    check(
        "sum_over_time({a=\"b\"} | unwrap x | json [1m])",
        "1:36",
        "syntax error: unexpected json, expecting IDENTIFIER or (",
    );
    check(
        "avg_over_time by (x) ({a=\"b\"} | unwrap x [1m])",
        "1:15",
        "syntax error: unexpected by, expecting (",
    );
    check("topk(rate({a=\"b\"}[1m]))", "1:1", "parameter required for operation topk");
    check(
        "topk(0, rate({a=\"b\"}[1m]))",
        "1:6",
        "invalid parameter (must be greater than 0) topk(0",
    );
    check("topk(1.5, rate({a=\"b\"}[1m]))", "1:6", "invalid parameter topk(1.5,");
    check("topk(-1, rate({a=\"b\"}[1m]))", "1:8", "syntax error: unexpected ,");
    check("sum(3, rate({a=\"b\"}[1m]))", "1:5", "unsupported parameter for operation sum(3,");
    check(
        "sort by (a) (rate({a=\"b\"}[1m]))",
        "1:1",
        "sort and sort_desc doesn't allow grouping by ",
    );
    check(
        "approx_topk(3, vector(1)) by (a)",
        "1:1",
        "grouping not allowed for approx_topk aggregation",
    );
    check(
        "sum by (rate(x)) (vector(1))",
        "1:9",
        "syntax error: unexpected RATE, expecting IDENTIFIER or )",
    );
    check("sum by (a (vector(1))", "1:11", "syntax error: unexpected (, expecting ) or ,");
    check("sum by (a) (vector(1)) by (b)", "1:24", "syntax error: unexpected by");
    check("count_values(\"x\", vector(1))", "1:1", "syntax error: unexpected IDENTIFIER");
    check("vector(-1)", "1:8", "syntax error: unexpected -, expecting NUMBER");
    check("vector(a)", "1:8", "syntax error: unexpected IDENTIFIER, expecting NUMBER");
    check("- -1", "1:3", "syntax error: unexpected -, expecting NUMBER");
    check("-vector(1)", "1:2", "syntax error: unexpected VECTOR, expecting NUMBER");
    check(
        "{a=\"b\"} + 1",
        "1:1",
        "unexpected type for left leg of binary operation (+): a log query",
    );
    check(
        "1 - {a=\"b\"}",
        "1:5",
        "unexpected type for right leg of binary operation (-): a log query",
    );
    check(
        "vector(1) and 1",
        "1:15",
        "unexpected literal for right leg of logical/set binary operation (and): 1.000000",
    );
    check(
        "1 or vector(1)",
        "1:1",
        "unexpected literal for left leg of logical/set binary operation (or): 1.000000",
    );
    check("bool 1", "1:1", "syntax error: unexpected bool");
    check("vector(1) + group_left vector(1)", "1:13", "syntax error: unexpected group_left");
    check("vector(1) +", "1:12", "syntax error: unexpected $end");
    check(
        "label_replace(vector(1), \"a\", \"b\", \"c\")",
        "1:39",
        "syntax error: unexpected ), expecting ,",
    );
    check(
        "label_replace(vector(1),\"a\",\"b\",\"c\",\"\\\\q\")",
        "1:37",
        "invalid regex in label_replace: error parsing regexp: invalid escape sequence: `\\q`",
    );
    check("rate({a=\"b\"}[1m])\n  + (2", "2:7", "syntax error: unexpected $end");
    check("rate({a=\"b\"} |= \"x\" [1m] |= \"y\")", "1:26", "syntax error: unexpected |=");
}

#[test]
fn carets_stand_under_the_fault() {
    let caret = |query: &str| refused(query).caret(query);
    assert_eq!(caret("{a=\"b\"} | jsn"), "{a=\"b\"} | jsn\n             ^");
    assert_eq!(caret("foo(1)"), "foo(1)\n^^^");
    assert_eq!(caret("1 +\n\tfoo"), "\tfoo\n\t^^^");
    assert_eq!(caret("{a=\"\u{e4}\"} \"x\""), "{a=\"\u{e4}\"} \"x\"\n        ^^^");
    assert_eq!(caret(""), "\n^");
    assert_eq!(
        refused("{a=").to_string(),
        "parse error at line 1, col 4: syntax error: unexpected $end, expecting STRING"
    );
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = "query is nested too deeply: more than 200 levels of parentheses or operators";
    let vectors = |op: &str, count| vec!["vector(1)"; count].join(op);
    let filters = |op: &str, count| format!("{{a=\"b\"}} | {}", vec!["x=\"1\""; count].join(op));
    for query in [
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        "(".repeat(100_000),
        format!("{{a=\"b\"}} | {}", "(".repeat(100_000)),
        format!("rate{}", "(".repeat(100_000)),
        "sum(".repeat(30_000),
        "1+(".repeat(30_000),
        "1^".repeat(50_000),
        vectors("+", 5_000),
        vectors("^", 5_000),
        filters(" or ", 10_000),
        filters(" and ", 10_000),
        filters(",", 10_000),
        filters(" ", 10_000),
    ] {
        assert_eq!(refused(&query).message, deep, "{}", &query[..40]);
    }
    let sum = format!("1{}", "+1".repeat(50_000));
    assert_eq!(parse(&sum).unwrap().to_string(), "50001");
    let long = format!("{{a=\"{}\"}}", "x".repeat(131_072));
    assert_eq!(refused(&long).message, "input size too long (131078 > 131072)");
    for query in [
        vectors("+", 190),
        filters(" or ", 190),
        format!("{}1{}", "(".repeat(190), ")".repeat(190)),
    ] {
        parse(&query).unwrap().to_string();
    }
}

/// Queries that took minutes to read.
#[test]
fn reading_costs_no_more_than_a_query_is_worth() {
    let too_large = "error parsing regexp: expression too large";
    let filters = |count: usize, pattern: &str| {
        format!("{{a=\"b\"}}{}", format!(" |~ `{pattern}`").repeat(count))
    };
    for query in [
        filters(5_000, r"\w"),
        filters(20, r"\pL{90}"),
        filters(1, r"(\pL\pL){1000}"),
        format!("{{a=\"b\"{}}}", ",c=~\"(x.y){1000}\"".repeat(5_000)),
        format!("{{a=\"b\"}}{}", " | regexp \"(?P<a>(x.y){1000})\"".repeat(3_000)),
        format!("{{a=\"b\"}} | line_format `{}`", "{{regexReplaceAll \"x\" .a .b}}".repeat(3_000)),
    ] {
        let message = refused(&query).message;
        assert!(message.contains(too_large), "{}: {message}", &query[..40]);
    }
    refused(&"1.1".repeat(40_000));
    let path = |steps: usize| format!("{{a=\"b\"}} | json x=\"{}\"", "[0]".repeat(steps));
    parse(&path(100)).unwrap();
    assert!(refused(&path(101)).message.ends_with("more than 100 steps"));
    let names: Vec<String> = (0..8_000).map(|at| format!("a{at}=b")).collect();
    let heavy = refused(&format!("{{a=\"b\"}} | label_format {}", names.join(",")));
    assert!(heavy.message.starts_with("the query has 8001 stages"), "{heavy}");
}
