//! What queries parse to, where that is not plain.

use crate::query::syntax::ast::{Expr, LineOp, MetricExpr, StageKind};
use crate::query::syntax::{parse, path, path::PathStep};

#[track_caller]
fn prints(query: &str, expect: &str) {
    assert_eq!(parse(query).unwrap().to_string(), expect, "{query}");
}

fn metric(query: &str) -> MetricExpr {
    match parse(query).unwrap() {
        Expr::Metric(metric) => metric,
        Expr::Log(log) => panic!("{log} is no metric query"),
    }
}

#[test]
fn commas_take_everything_to_their_right() {
    #[track_caller]
    fn check(filter: &str, expect: &str) {
        let short = |c: char| format!("{c}=\"1\"");
        let expand = |text: &str| {
            text.chars()
                .map(|c| if ('a'..='e').contains(&c) { short(c) } else { c.to_string() })
                .collect::<String>()
                .replace('&', "and")
                .replace('|', "or")
        };
        let query = format!("{{x=\"y\"}} | {}", expand(filter));
        let printed = format!("{{x=\"y\"}} | {}", expand(expect));
        prints(&query, &printed);
    }
    check("a & b | c", "( ( a , b ) | c )");
    check("a | b & c", "( a | ( b , c ) )");
    check("a , b | c", "( a , ( b | c ) )");
    check("a b | c", "( a , ( b | c ) )");
    check("a & b , c | d", "( a , ( b , ( c | d ) ) )");
    check("a | b , c & d", "( a | ( b , ( c , d ) ) )");
    check("a | b c", "( a | ( b , c ) )");
    check("a , b , c", "( a , ( b , c ) )");
    check("a & b & c", "( ( a , b ) , c )");
    check("a | b | c", "( ( a | b ) | c )");
    check("(a | b) & c", "( ( a | b ) , c )");
    check("(a , b) | c", "( ( a , b ) | c )");
    check("a (b | c) d", "( a , ( ( b | c ) , d ) )");
}

#[test]
fn operators_bind_as_in_loki() {
    #[track_caller]
    fn check(query: &str, expect: &str) {
        let expand = |text: &str| {
            text.chars()
                .map(|c| match c {
                    'A'..='E' => format!("vector({}.000000)", c as u32 - 'A' as u32),
                    c => c.to_string(),
                })
                .collect::<String>()
        };
        prints(&expand(query), &expand(expect));
    }
    check("A + B * C", "(A + (B * C))");
    check("A * B + C", "((A * B) + C)");
    check("A - B - C", "((A - B) - C)");
    check("A ^ B ^ C", "(A ^ (B ^ C))");
    check("A or B and C", "(A or (B and C))");
    check("A and B unless C", "((A and B) unless C)");
    check("A > B + C", "(A > (B + C))");
    check("A == B > C", "((A == B) > C)");
    check("A / B % C * D", "(((A / B) % C) * D)");
    check("(A + B) * C", "((A + B) * C)");
    check("A > bool B and on(x) C", "((A > bool B) and on (x)  C)");
    check("A*on(x,y)group_left(z)B", "(A * on (x,y) group_left (z) B)");
}

#[test]
fn numbers_are_worked_out() {
    for (query, expect) in [
        ("1 + 1", "2"),
        ("10 - 2 * 3", "4"),
        ("2 ^ 3 ^ 2", "512"),
        ("-1 ^ 2", "1"),
        ("1 > bool 2", "0"),
        ("2 > 1", "1"),
        ("1 / 0", "NaN"),
        ("5 % 0", "NaN"),
        ("-7 % 3", "-1"),
        ("(1 + 2) * vector(1)", "(3 * vector(1.000000))"),
        ("1000000", "1e+06"),
        ("1-2", "-1"),
        ("1 -2", "-1"),
        ("5 -0", "5"),
    ] {
        prints(query, expect);
    }
}

#[test]
fn negated_alternatives_become_filters_of_their_own() {
    prints("{a=\"b\"} != \"x\" or \"y\"", "{a=\"b\"} != \"x\" != \"y\"");
    prints("{a=\"b\"} |= \"x\" or \"y\"", "{a=\"b\"} |= \"x\" or \"y\"");
    let expr = parse("{a=\"b\"} !~ \"x\" or \"y\" |= \"z\" or \"w\"").unwrap();
    let filters: Vec<(LineOp, usize)> = expr
        .as_log()
        .unwrap()
        .stages
        .iter()
        .map(|stage| match &stage.kind {
            StageKind::LineFilter(filter) => (filter.op, filter.operands.len()),
            other => panic!("{other} is no line filter"),
        })
        .collect();
    assert_eq!(filters, [(LineOp::NotMatch, 1), (LineOp::NotMatch, 1), (LineOp::Contains, 2)]);
}

#[test]
fn spans_point_into_the_query() {
    let query = "sum(rate({a=\"b\"} |= \"x\" or \"y\" | json | n > 5 | unwrap n [5m]))";
    let metric = metric(query);
    let text =
        |span: crate::query::syntax::ast::Span| &query[span.start as usize..span.end as usize];
    assert_eq!(text(metric.span), query);
    let range = metric.range_aggregations()[0];
    assert_eq!(text(range.log.span), "{a=\"b\"} |= \"x\" or \"y\" | json | n > 5");
    let stages: Vec<&str> = range.log.stages.iter().map(|stage| text(stage.span)).collect();
    assert_eq!(stages, ["|= \"x\" or \"y\"", "| json", "| n > 5"]);
    assert_eq!(text(range.unwrap.as_ref().unwrap().span), "| unwrap n");
}

#[test]
fn walks() {
    let query = "sum(rate({a=\"b\"}[5m])) / topk(1, label_replace(rate({c=\"d\"}[1h] offset 1h),\
                 \"\",\"\",\"\",\"\")) > 5";
    let metric = metric(query);
    let selectors: Vec<String> = metric.log_exprs().iter().map(ToString::to_string).collect();
    assert_eq!(selectors, ["{a=\"b\"}", "{c=\"d\"}"]);
    assert_eq!(metric.max_window(), 3_600_000_000_000);
    assert_eq!(metric.max_lookback_ns(), 7_200_000_000_000);
    let mut count = 0;
    metric.walk(&mut |_| count += 1);
    assert_eq!(count, 8);
    assert_eq!(self::metric("vector(1)").max_window(), 0);
    let expr = parse("{a=\"b\"} | x=\"1\", (y > 2 or z=ip(\"::1\"))").unwrap();
    let StageKind::LabelFilter(filter) = &expr.as_log().unwrap().stages[0].kind else {
        panic!("no label filter");
    };
    assert_eq!(filter.label_names(), ["x", "y", "z"]);
}

#[test]
fn json_paths() {
    #[track_caller]
    fn check(text: &str, expect: &[PathStep]) {
        assert_eq!(path::json_path(text).unwrap(), expect, "{text}");
    }
    let key = |text: &str| PathStep::Key(text.to_owned());
    check("a", &[key("a")]);
    check("a.b_c.d1", &[key("a"), key("b_c"), key("d1")]);
    check("servers[0].name", &[key("servers"), PathStep::Index(0), key("name")]);
    check("[0][1]", &[PathStep::Index(0), PathStep::Index(1)]);
    check(r#"["user.name"]"#, &[key("user.name")]);
    check(r#"a["b c"].d"#, &[key("a"), key("b c"), key("d")]);
    check(" a . b [ 0 ] ", &[key("a"), key("b"), PathStep::Index(0)]);
    for bad in [
        "", ".a", "a.", "a..b", "a[", "a[]", "a[x]", "a[1.5]", "a[-1]", "a b", "a-b", "1a",
        "a[\"b]", "\u{e4}",
    ] {
        assert!(path::json_path(bad).is_err(), "{bad}");
    }
    assert_eq!(path::logfmt_key("a_1"), Ok("a_1".to_owned()));
    assert_eq!(path::logfmt_key("\"a b\""), Ok("a b".to_owned()));
    for bad in ["", "a b", "a.b", "\"a", "1"] {
        assert!(path::logfmt_key(bad).is_err(), "{bad}");
    }
}
