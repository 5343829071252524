//! Rules answered by the query engine.

use std::time::Duration;

use super::evaluate::{Evaluate, Evidence, Sample};
use crate::limits::RULE_SERIES_MAX;
use crate::model::{Labels, SampleLine, TimeRange, Timestamp};
use crate::query::syntax::Expr;
use crate::query::syntax::ast::{
    LogExpr, MetricExpr, MetricKind, RangeAggregation, RangeOp, Span, VectorAggregation, VectorOp,
};
use crate::query::{
    Direction, Engine, InstantQuery, QueryContext, QueryData, QueryError, QueryLimits, RangeQuery,
};
use crate::store::read::Cancel;

/// A rule that takes longer fails, and its alerts stay as they are.
const RULE_TIMEOUT: Duration = Duration::from_secs(30);

/// The query engine as rules see it.
#[derive(Debug, Clone)]
pub struct EngineEvaluate {
    engine: Engine,
    limits: QueryLimits,
}

impl EngineEvaluate {
    pub fn new(engine: Engine) -> Self {
        let limits = QueryLimits {
            // More than a rule may have, so that a storm is cut by value instead of failing.
            series_max: RULE_SERIES_MAX,
            timeout: RULE_TIMEOUT,
            // A rule may look back as far as it says: its author knew.
            length_ns_max: 0,
            ..QueryLimits::default()
        };
        EngineEvaluate { engine, limits }
    }

    fn context(&self, tenant: &str) -> QueryContext {
        QueryContext {
            tenant: tenant.to_owned(),
            cancel: Cancel::default(),
            limits: self.limits.clone(),
        }
    }

    fn samples(
        &self,
        tenant: &str,
        expr: MetricExpr,
        at: Timestamp,
    ) -> Result<Vec<Sample>, QueryError> {
        let query =
            InstantQuery { expr: Expr::Metric(expr), at, limit: 0, direction: Direction::Backward };
        Ok(match self.engine.instant(&query, &self.context(tenant))?.data {
            QueryData::Vector(samples) => samples
                .into_iter()
                .map(|sample| Sample { labels: sample.labels, value: sample.value })
                .collect(),
            QueryData::Scalar(_, value) => vec![Sample { labels: Labels::default(), value }],
            QueryData::Streams(_) | QueryData::Matrix(_) => Vec::new(),
        })
    }
}

impl Evaluate for EngineEvaluate {
    fn instant(
        &self,
        tenant: &str,
        expr: &MetricExpr,
        at: Timestamp,
    ) -> Result<Vec<Sample>, String> {
        self.samples(tenant, expr.clone(), at).map_err(|error| error.to_string())
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
            step_ns: 0,
            interval_ns: 0,
            limit: lines_max,
            direction: Direction::Backward,
        };
        let found =
            self.engine.range(&query, &self.context(tenant)).map_err(|error| error.to_string())?;
        let lines: Vec<SampleLine> = match found.data {
            QueryData::Streams(rows) => {
                rows.into_iter().map(|row| SampleLine { ts_ns: row.ts.0, line: row.line }).collect()
            }
            _ => Vec::new(),
        };
        let mut count = lines.len() as u64;
        if lines.len() >= lines_max {
            let last = range.end.saturating_add_ns(-1);
            let counted = self.samples(tenant, count_of(log, range), last);
            // Lines that a parser cannot read make counting fail; those seen are the least.
            if let Ok([sample]) = counted.as_deref() {
                count = count.max(sample.value as u64);
            }
        }
        Ok(Evidence { count, lines })
    }
}

/// `sum(count_over_time(log [range]))`, to be asked at the last moment of the range.
fn count_of(log: &LogExpr, range: TimeRange) -> MetricExpr {
    let count = RangeAggregation {
        op: RangeOp::CountOverTime,
        param: None,
        log: log.clone(),
        unwrap: None,
        range_ns: range.end.0.saturating_sub(range.start.0),
        offset_ns: 0,
        grouping: None,
    };
    let sum = VectorAggregation {
        op: VectorOp::Sum,
        param: None,
        expr: MetricExpr { kind: MetricKind::Range(Box::new(count)), span: Span::default() },
        grouping: None,
    };
    MetricExpr { kind: MetricKind::Vector(Box::new(sum)), span: Span::default() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::model::{Entry, Matcher, TENANT_DEFAULT};
    use crate::query::syntax::parse;
    use crate::store::read::{
        LogRead, MemoryLogs, ReadError, RowSink, ScanRequest, ScanStats, StreamStats,
    };

    /// Counts how often lines are read.
    #[derive(Default)]
    struct Counting(MemoryLogs, AtomicUsize);

    impl LogRead for Counting {
        fn streams(
            &self,
            tenant: &str,
            matchers: &[Matcher],
            range: TimeRange,
            cancel: &Cancel,
        ) -> Result<Vec<StreamStats>, ReadError> {
            self.0.streams(tenant, matchers, range, cancel)
        }

        fn scan(
            &self,
            request: &ScanRequest,
            sink: &mut dyn RowSink,
        ) -> Result<ScanStats, ReadError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.scan(request, sink)
        }
    }

    #[test]
    fn history_is_not_read_while_all_is_quiet() {
        let logs = Arc::new(Counting::default());
        let reader: Arc<dyn LogRead> = logs.clone();
        let evaluate = EngineEvaluate::new(Engine::new(reader));
        let query =
            r#"count_over_time({a="b"}[5m]) >= 5 unless rate({a="b"}[5m]) < rate({a="b"}[1h])"#;
        let Expr::Metric(expr) = parse(query).unwrap() else { panic!("a metric query") };
        assert!(evaluate.instant(TENANT_DEFAULT, &expr, Timestamp(1)).unwrap().is_empty());
        assert_eq!(logs.1.load(Ordering::Relaxed), 1);
    }

    fn engine(lines: i64) -> EngineEvaluate {
        let mut logs = MemoryLogs::default();
        let labels = Labels::from_pairs([("service_name", "api")]);
        for at in 1..=lines {
            logs.add(TENANT_DEFAULT, &labels, Entry::new(Timestamp(at), format!("line {at}")));
        }
        EngineEvaluate::new(Engine::new(Arc::new(logs)))
    }

    #[test]
    fn answers_numbers_and_series() {
        let ask = |query: &str| {
            let Expr::Metric(expr) = parse(query).unwrap() else { panic!("a metric query") };
            engine(10).instant(TENANT_DEFAULT, &expr, Timestamp(10)).unwrap()
        };
        let counted = ask(r#"sum by (service_name) (count_over_time({service_name="api"}[1m]))"#);
        assert_eq!(counted.len(), 1);
        assert_eq!((counted[0].value, counted[0].labels.get("service_name")), (10.0, Some("api")));
        assert_eq!(ask("vector(1)")[0].value, 1.0);
        assert!(ask(r#"count_over_time({service_name="none"}[1m])"#).is_empty());
    }

    #[test]
    fn shows_the_newest_lines_and_counts_all() {
        let Expr::Log(log) = parse(r#"{service_name="api"} |= "line""#).unwrap() else {
            panic!("a log query")
        };
        let range = TimeRange::new(Timestamp(3), Timestamp(9));
        let evidence = engine(20).evidence(TENANT_DEFAULT, &log, range, 2).unwrap();
        let lines: Vec<&str> = evidence.lines.iter().map(|line| line.line.as_str()).collect();
        assert_eq!((evidence.count, lines), (6, vec!["line 8", "line 7"]));
    }
}
