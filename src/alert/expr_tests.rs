//! What is found out about expressions.

use super::expr::{exclude_own_logs, look};
use crate::model::{Labels, Timestamp};
use crate::query::syntax::ast::MetricExpr;
use crate::query::syntax::{Expr, parse};

fn metric(query: &str) -> MetricExpr {
    let Expr::Metric(mut expr) = parse(query).unwrap() else { panic!("a metric query") };
    exclude_own_logs(&mut expr);
    expr
}

const MINUTE: i64 = 60_000_000_000;

#[track_caller]
fn check(query: &str, counts_events: bool, range_mins: i64, reach_mins: i64, absent_mins: i64) {
    let look = look(&metric(query));
    assert_eq!(
        (look.counts_events, look.range_ns, look.reach_ns, look.absent_reach_ns),
        (counts_events, range_mins * MINUTE, reach_mins * MINUTE, absent_mins * MINUTE),
        "{query}"
    );
}

#[test]
fn looks() {
    check(r#"count_over_time({a="b"}[5m]) > 3"#, true, 5, 5, 0);
    check(r#"3 < count_over_time({a="b"}[5m])"#, true, 5, 5, 0);
    check(r#"rate({a="b"}[5m]) > rate({a="b"}[1h] offset 5m)"#, true, 5, 65, 0);
    check(r#"sum(count_over_time({a="b"}[5m])) < 3"#, false, 5, 5, 0);
    check(r#"3 > sum(count_over_time({a="b"}[5m]))"#, false, 5, 5, 0);
    check(r#"absent_over_time({a="b"}[2h])"#, false, 120, 120, 120);
    check(
        r#"count_over_time({a="b"}[6h]) unless count_over_time({a="b"}[10m])"#,
        false,
        360,
        360,
        0,
    );
    check("vector(1)", false, 0, 0, 0);
}

#[track_caller]
fn check_evidence(query: &str, series: &[(&str, &str)], expect: Option<&str>) {
    let series = Labels::from_pairs(series.iter().copied());
    let log = look(&metric(query)).evidence.map(|evidence| evidence.narrowed(&series).to_string());
    assert_eq!(log.as_deref(), expect);
}

#[test]
fn narrows_to_the_lines_of_one_series() {
    check_evidence(
        r#"sum by (service_name) (count_over_time({service_name=~".+"} |= "x" [5m])) > 1"#,
        &[("service_name", "api")],
        Some(r#"{service_name=~".+", service_name!="stockade", service_name="api"} |= "x""#),
    );
    // A label that a parser makes is looked for behind it.
    check_evidence(
        r#"sum by (ip) (count_over_time({a="b"} | json ip="ip" [5m])) > 1 and on (ip) sum by (ip) (rate({c="d"}[1h]))"#,
        &[("ip", "10.0.0.1")],
        Some(r#"{a="b", service_name!="stockade"} | json ip="ip" | ip="10.0.0.1""#),
    );
    check_evidence(
        r#"label_replace(sum by (a) (count_over_time({a="b"}[5m])), "made", "x", "a", ".*")"#,
        &[("a", "b"), ("made", "x")],
        Some(r#"{a="b", service_name!="stockade"} | a="b""#),
    );
    check_evidence(
        r#"sum by (a) (sum_over_time({a="b"} | unwrap x | __error__="" [5m])) > 1"#,
        &[],
        Some(r#"{a="b", service_name!="stockade"} | __error__="""#),
    );
    check_evidence(r#"absent_over_time({a="b"}[5m])"#, &[("a", "b")], None);
}

#[test]
fn windows_are_left_open_and_right_closed() {
    let look = look(&metric(r#"count_over_time({a="b"}[5m] offset 1m)"#));
    let window = look.evidence.unwrap().window(Timestamp(10 * MINUTE));
    assert_eq!((window.start.0, window.end.0), (4 * MINUTE + 1, 9 * MINUTE + 1));
}
