//! The forms in which queries are shown.

use crate::query::syntax::ast::Expr;
use crate::query::syntax::pretty::{Layout, pretty};
use crate::query::syntax::{parse, parse_unvalidated};

#[test]
fn one_line_form() {
    #[track_caller]
    fn check(query: &str, expect: &str) {
        assert_eq!(parse(query).unwrap().to_string(), expect);
    }
    check(
        "{app=\"api\"}|json|line_format \"{{.x}}\"|=\"y\"",
        "{app=\"api\"} | json | line_format \"{{.x}}\" |= \"y\"",
    );
    check("{a=`b\\`,c!~\"d\"}", "{a=\"b\\\\\", c!~\"d\"}");
    check(
        "{a=\"b\"}|json x,y=\"z\"|drop q,r=\"s\"",
        "{a=\"b\"} | json x=\"x\",y=\"z\" | drop q,r=\"s\"",
    );
    check("{a=\"b\"}|d>90s|s>=1500KB|n=1.50", "{a=\"b\"} | d>1m30s | s>=1.5MB | n==1.5");
    check("{a=\"b\"}|x=ip(\"::1\")", "{a=\"b\"} | x=ip(\"::1\")");
    check(
        "sum(rate({a=\"b\"}[90s]offset 5m))by(x,y)",
        "sum by (x,y)(rate({a=\"b\"}[1m30s] offset 5m0s))",
    );
    check(
        "max_over_time({a=\"b\"}|unwrap bytes(x)|y=\"z\"[1h])without(q)",
        "max_over_time({a=\"b\"} | unwrap bytes(x) | y=\"z\"[1h]) without (q)",
    );
    check(
        "{a=\"b\"}|c=~\"5..\"|d=~\"x.*\"|e!~`y|z`",
        "{a=\"b\"} | c=~`5..` | d=~\"x.*\" | e!~\"y|z\"",
    );
    check("topk(3,vector(1))by(a)", "topk by (a)(3,vector(1.000000))");
    check(
        "label_replace(vector(1),\"a\",\"$1\",\"b\",\"(.*)\")",
        "label_replace(vector(1.000000),\"a\",\"$1\",\"b\",\"(.*)\")",
    );
    check(
        "quantile_over_time(0.990,{a=\"b\"}|unwrap x[1m])",
        "quantile_over_time(0.99,{a=\"b\"} | unwrap x[1m])",
    );
}

#[track_caller]
fn check_layout(query: &str, expect: &str) {
    let layout = Layout { columns_max: 20 };
    let expr = parse(query).unwrap();
    let text = match &expr {
        Expr::Log(log) => layout.log(log, 0),
        Expr::Metric(metric) => layout.metric(metric, 0),
    };
    assert_eq!(text, expect);
    assert_eq!(parse(&text).unwrap(), expr);
}

#[test]
fn long_queries_are_broken_into_lines() {
    check_layout(
        "{job=\"loki\", instance=\"localhost\"}|= \"error\" != \"memcached\" |= ip(\"192.168.0.1\") |logfmt",
        "{job=\"loki\", instance=\"localhost\"}\n  |= \"error\"\n  != \"memcached\"\n  |= ip(\"192.168.0.1\")\n  | logfmt",
    );
    check_layout(
        "count_over_time({job=\"loki\", instance=\"localhost\"}|= \"error\"[5m] offset 20m)",
        "count_over_time(\n  {job=\"loki\", instance=\"localhost\"}\n    |= \"error\" [5m] offset 20m\n)",
    );
    check_layout(
        "quantile_over_time(0.99,{container=\"ingress-nginx\"}| json| unwrap latency| __error__=\"\"[1m]) by (cluster)",
        "quantile_over_time(\n  0.99,\n  {container=\"ingress-nginx\"}\n    | json\n    | unwrap latency\n    | __error__=\"\" [1m]\n) by (cluster)",
    );
    check_layout(
        "topk(5, count_over_time({foo=\"bar\",namespace=\"loki\"}[5m])) by (container)",
        "topk by (container)(\n  5,\n  count_over_time(\n    {foo=\"bar\", namespace=\"loki\"} [5m]\n  )\n)",
    );
    check_layout(
        "label_replace(rate({job=\"api-server\"}|= \"err\" [5m]), \"foo\", \"$1\", \"service\", \"(.*):.*\")",
        "label_replace(\n  rate(\n    {job=\"api-server\"}\n      |= \"err\" [5m]\n  ),\n  \"foo\",\n  \"$1\",\n  \"service\",\n  \"(.*):.*\"\n)",
    );
    check_layout(
        "sum(rate({job=\"loki\"}[5m])) + sum(rate({job=\"b\"}[5m])) / vector(3)",
        "  sum(\n    rate(\n      {job=\"loki\"} [5m]\n    )\n  )\n+\n    sum(\n      rate({job=\"b\"}[5m])\n    )\n  /\n    vector(3.000000)",
    );
    check_layout(
        "{job=\"loki\", x=\"y\"}|= \"a\" != \"b\" |= \"c\" |= \"long\"|decolorize|json|= \"d\"",
        "{job=\"loki\", x=\"y\"}\n  |= \"a\" != \"b\" |= \"c\"\n  |= \"long\"\n| decolorize\n  | json\n  |= \"d\"",
    );
    check_layout(
        "(vector(1) + vector(2)) * vector(3)",
        "  (\n      vector(1.000000)\n    +\n      vector(2.000000)\n  )\n*\n  vector(3.000000)",
    );
    check_layout(
        "vector(1) - (vector(2) - vector(3))",
        "  vector(1.000000)\n-\n  (\n      vector(2.000000)\n    -\n      vector(3.000000)\n  )",
    );
}

#[test]
fn short_queries_stay_on_one_line() {
    let query = "sum by (level) (rate({app=\"api\"} |= \"error\" | json [5m])) > 10";
    let printed = "(sum by (level)(rate({app=\"api\"} |= \"error\" | json[5m])) > 10)";
    assert_eq!(pretty(&parse(query).unwrap()), printed);
}

/// One frame of the stack for each of them, and a copy of all before it, was too much.
#[test]
fn any_number_of_filters_is_laid_out() {
    let query = format!("{{a=\"b\"}}{}", "|=\"\"".repeat(20_000));
    let expr = parse_unvalidated(&query).unwrap();
    let lines = pretty(&expr);
    // As many as fit into 100 columns share the first line.
    assert!(
        lines.starts_with(&format!("{{a=\"b\"}}\n  {}\n  |= \"\"\n", ["|= \"\""; 16].join(" ")))
    );
    assert_eq!(lines.lines().count(), 1 + 1 + 20_000 - 16);
}
