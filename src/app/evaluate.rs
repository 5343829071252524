//! Rules ask the query engine.

use std::time::Duration;

use crate::alert::{Evaluate, Evidence, Sample};
use crate::model::{Labels, SampleLine, TimeRange, Timestamp};
use crate::query::syntax::Expr;
use crate::query::syntax::ast::{
    LogExpr, MetricExpr, MetricKind, RangeAggregation, RangeOp, Span, VectorAggregation, VectorOp,
};
use crate::query::{
    Direction, Engine, InstantQuery, QueryContext, QueryData, QueryLimits, RangeQuery,
};
use crate::store::read::Cancel;

/// Longest time one evaluation may take; longer than any evaluation interval helps nobody.
const RULE_TIMEOUT: Duration = Duration::from_secs(30);
/// Series one rule may yield; the ruler has its own, lower limit on alerts.
const RULE_SERIES_MAX: usize = 10_000;

pub struct RuleQueries(pub Engine);

fn context(tenant: &str) -> QueryContext {
    QueryContext {
        tenant: tenant.to_owned(),
        cancel: Cancel::default(),
        limits: QueryLimits {
            series_max: RULE_SERIES_MAX,
            timeout: RULE_TIMEOUT,
            length_ns_max: 0,
            ..QueryLimits::default()
        },
    }
}

impl RuleQueries {
    fn samples(
        &self,
        tenant: &str,
        expr: MetricExpr,
        at: Timestamp,
    ) -> Result<Vec<Sample>, String> {
        let query = InstantQuery {
            expr: Expr::Metric(expr),
            at,
            limit: RULE_SERIES_MAX,
            direction: Direction::Backward,
        };
        let result = self.0.instant(&query, &context(tenant)).map_err(|e| e.to_string())?;
        Ok(match result.data {
            QueryData::Vector(samples) => samples
                .into_iter()
                .map(|sample| Sample { labels: sample.labels, value: sample.value })
                .collect(),
            QueryData::Scalar(_, value) => vec![Sample { labels: Labels::default(), value }],
            QueryData::Matrix(_) | QueryData::Streams(_) => Vec::new(),
        })
    }
}

impl Evaluate for RuleQueries {
    fn instant(
        &self,
        tenant: &str,
        expr: &MetricExpr,
        at: Timestamp,
    ) -> Result<Vec<Sample>, String> {
        self.samples(tenant, expr.clone(), at)
    }

    fn evidence(
        &self,
        tenant: &str,
        log: &LogExpr,
        range: TimeRange,
        lines_max: usize,
    ) -> Result<Evidence, String> {
        let query = RangeQuery {
            expr: Expr::Log(log.clone()),
            start: range.start,
            end: range.end,
            step_ns: 1_000_000_000,
            interval_ns: 0,
            limit: lines_max.max(1),
            direction: Direction::Backward,
        };
        let result = self.0.range(&query, &context(tenant)).map_err(|e| e.to_string())?;
        let lines: Vec<SampleLine> = match result.data {
            QueryData::Streams(rows) => rows
                .into_iter()
                .map(|row| SampleLine { ts_ns: row.ts.0, line: row.line })
                .collect(),
            _ => Vec::new(),
        };
        if lines.len() < lines_max {
            return Ok(Evidence { count: lines.len() as u64, lines });
        }
        let counted = self.samples(tenant, count(log, range), range.end.saturating_add_ns(-1))?;
        let count = counted.first().map_or(0.0, |sample| sample.value) as u64;
        Ok(Evidence { count: count.max(lines.len() as u64), lines })
    }
}

/// `sum(count_over_time(log [range]))`, to be asked at the last instant of the range.
fn count(log: &LogExpr, range: TimeRange) -> MetricExpr {
    let counted = MetricKind::Range(Box::new(RangeAggregation {
        op: RangeOp::CountOverTime,
        param: None,
        log: log.clone(),
        unwrap: None,
        range_ns: range.end.0.saturating_sub(range.start.0),
        offset_ns: 0,
        grouping: None,
    }));
    let expr = MetricExpr { kind: counted, span: Span::default() };
    let sum = VectorAggregation { op: VectorOp::Sum, param: None, expr, grouping: None };
    MetricExpr { kind: MetricKind::Vector(Box::new(sum)), span: Span::default() }
}
