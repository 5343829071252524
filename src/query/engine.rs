//! The engine: takes a query and its limits, gives the answer. Calls block.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits;
use crate::model::{Labels, TimeRange, Timestamp};
use crate::store::read::{Cancel, LogRead};
use crate::text::units;

use super::error::QueryError;
use super::explore::Miner;
use super::result::{QueryData, QueryResult, QueryStats, Sample, Series};
use super::run::cache::ResultCache;
use super::run::context::Context;
use super::run::eval;
use super::run::grid::Grid;
use super::run::log::{self, Direction};
use super::run::memory::{Memory, MemoryPool};
use super::run::vectors::{Value, Vectors};
use super::syntax::Expr;
use super::syntax::ast::{LogExpr, MetricExpr};
use super::tenants::Tenants;

/// Who asks, until when, and how much an answer may cost.
#[derive(Debug, Clone)]
pub struct QueryContext {
    pub tenant: String,
    pub cancel: Cancel,
    pub limits: QueryLimits,
}

/// Limits of one query; the names of Loki's settings stand beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryLimits {
    /// Lines in the answer of a log query (`max_entries_limit_per_query`).
    pub entries_max: usize,
    /// Series in the answer of a metric query (`max_query_series`).
    pub series_max: usize,
    /// Bytes of lines read (`max_query_bytes_read`).
    pub bytes_max: u64,
    /// Points of one series.
    pub points_max: usize,
    /// Length of the time range (`max_query_length`); zero is no limit.
    pub length_ns_max: i64,
    /// `query_timeout`; zero is no limit.
    pub timeout: Duration,
    /// Whether results of sealed parts are taken from queries before (`cache_results`).
    pub cache_results: bool,
}

impl Default for QueryLimits {
    fn default() -> Self {
        QueryLimits {
            entries_max: 5000,
            series_max: 500,
            bytes_max: u64::MAX,
            points_max: 11_000,
            length_ns_max: 721 * 3600 * 1_000_000_000,
            timeout: Duration::from_secs(60),
            cache_results: true,
        }
    }
}

/// A query over a time range.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeQuery {
    pub expr: Expr,
    pub start: Timestamp,
    /// Log queries: exclusive. Metric queries: the last step.
    pub end: Timestamp,
    /// Metric queries only.
    pub step_ns: i64,
    /// Log queries only: the least distance between two lines, zero for all lines.
    pub interval_ns: i64,
    pub limit: usize,
    pub direction: Direction,
}

/// A query at one point in time.
#[derive(Debug, Clone, PartialEq)]
pub struct InstantQuery {
    pub expr: Expr,
    pub at: Timestamp,
    pub limit: usize,
    pub direction: Direction,
}

/// Answers queries from a store. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) reader: Arc<dyn LogRead>,
    cache: Option<Arc<ResultCache>>,
    pub(super) patterns: Arc<ResultCache<Miner>>,
    memory: Arc<MemoryPool>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    pub fn new(reader: Arc<dyn LogRead>) -> Self {
        let reader = Arc::new(Tenants(reader));
        let patterns = Arc::new(ResultCache::new(0));
        let memory = MemoryPool::new(limits::QUERY_MEMORY_BYTES_MAX);
        Engine { reader, cache: None, patterns, memory }
            .with_cache_bytes(limits::QUERY_CACHE_BYTES_MAX)
    }

    /// Drops results that no query has used since this was called last.
    pub fn drop_unused(&self) {
        self.cache.iter().for_each(|cache| cache.drop_unused());
        self.patterns.drop_unused();
    }

    /// How much memory results of sealed parts may take, and patterns of them; nothing is kept when that is zero.
    pub fn with_cache_bytes(self, bytes_max: usize) -> Self {
        let cache = (bytes_max > 0).then(|| Arc::new(ResultCache::new(bytes_max)));
        let patterns = Arc::new(ResultCache::new(bytes_max.min(limits::PATTERN_CACHE_BYTES_MAX)));
        Engine { cache, patterns, ..self }
    }

    /// How much memory all queries together may take, and one of them half of it.
    #[must_use]
    pub fn with_memory_bytes(self, bytes_max: u64) -> Self {
        Engine { memory: MemoryPool::new(bytes_max), ..self }
    }

    pub fn range(
        &self,
        query: &RangeQuery,
        context: &QueryContext,
    ) -> Result<QueryResult, QueryError> {
        let limits = &context.limits;
        check_range(query.start, query.end, limits)?;
        self.timed(context, |running| match &query.expr {
            Expr::Log(log) => {
                check_entries(query.limit, limits)?;
                let range = TimeRange::new(query.start, query.end);
                lines(log, range, query, running)
            }
            Expr::Metric(metric) => {
                check_step(query, limits)?;
                let grid = Grid::range(query.start, query.end, query.step_ns);
                let vectors = match eval::evaluate(metric, grid, running)? {
                    Value::Scalar(value) => Vectors::constant(value, grid.count),
                    Value::Vectors(vectors) => vectors,
                };
                matrix(&vectors, grid, limits.series_max).map(QueryData::Matrix)
            }
        })
    }

    pub fn instant(
        &self,
        query: &InstantQuery,
        context: &QueryContext,
    ) -> Result<QueryResult, QueryError> {
        let Expr::Metric(metric) = &query.expr else {
            return Err(QueryError::Invalid(
                "log queries are not supported as an instant query type, please change your \
                 query to a range query type"
                    .to_owned(),
            ));
        };
        self.timed(context, |running| {
            match eval::evaluate(metric, Grid::instant(query.at), running)? {
                Value::Scalar(value) => Ok(QueryData::Scalar(query.at, value)),
                Value::Vectors(vectors) => {
                    samples(metric, vectors, query.at, context.limits.series_max)
                        .map(QueryData::Vector)
                }
            }
        })
    }

    pub(super) fn running<'a>(&'a self, context: &'a QueryContext) -> Context<'a> {
        let timeout = context.limits.timeout;
        Context {
            reader: self.reader.as_ref(),
            tenant: &context.tenant,
            cancel: context.cancel.clone(),
            deadline: (!timeout.is_zero()).then(|| Instant::now().checked_add(timeout)).flatten(),
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            bytes_max: context.limits.bytes_max,
            cache: self.cache.clone().filter(|_| context.limits.cache_results),
            memory: Memory::of(&self.memory),
            stats: QueryStats::default(),
        }
    }

    fn timed(
        &self,
        context: &QueryContext,
        run: impl FnOnce(&mut Context<'_>) -> Result<QueryData, QueryError>,
    ) -> Result<QueryResult, QueryError> {
        let began = Instant::now();
        let mut running = self.running(context);
        let data = run(&mut running)?;
        let mut stats = running.stats;
        stats.duration_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Ok(QueryResult { data, stats })
    }
}

fn lines(
    log: &LogExpr,
    range: TimeRange,
    query: &RangeQuery,
    running: &mut Context<'_>,
) -> Result<QueryData, QueryError> {
    let rows = log::evaluate(log, range, query.limit, query.direction, running)?;
    Ok(QueryData::Streams(log::thin_out(rows, query.interval_ns)))
}

fn check_range(start: Timestamp, end: Timestamp, limits: &QueryLimits) -> Result<(), QueryError> {
    if end < start {
        return Err(QueryError::Invalid(
            "end timestamp must not be before or equal to start time".to_owned(),
        ));
    }
    let length_ns = end.0.saturating_sub(start.0);
    if limits.length_ns_max > 0 && length_ns > limits.length_ns_max {
        return Err(QueryError::Limit(format!(
            "the query time range exceeds the limit (query length: {}, limit: {})",
            units::format_go_duration(length_ns),
            units::format_prometheus_duration(limits.length_ns_max)
        )));
    }
    Ok(())
}

fn check_entries(limit: usize, limits: &QueryLimits) -> Result<(), QueryError> {
    if limit > limits.entries_max {
        return Err(QueryError::Limit(format!(
            "max entries limit per query exceeded, limit > max_entries_limit_per_query \
             ({limit} > {})",
            limits.entries_max
        )));
    }
    Ok(())
}

fn check_step(query: &RangeQuery, limits: &QueryLimits) -> Result<(), QueryError> {
    if query.step_ns <= 0 {
        return Err(QueryError::Invalid(
            "zero or negative query resolution step widths are not accepted. Try a positive \
             integer"
                .to_owned(),
        ));
    }
    let points = query.end.0.saturating_sub(query.start.0) / query.step_ns;
    if usize::try_from(points).is_ok_and(|points| points > limits.points_max) {
        return Err(QueryError::Invalid(format!(
            "exceeded maximum resolution of {} points per time series. Try increasing the value \
             of the step parameter",
            limits.points_max
        )));
    }
    Ok(())
}

fn series_limit(series_max: usize) -> QueryError {
    QueryError::Limit(format!(
        "maximum number of series ({series_max}) reached for a single query; consider reducing \
         query cardinality by adding more specific stream selectors, reducing the time range, or \
         aggregating results with functions like sum(), count() or topk()"
    ))
}

fn matrix(vectors: &Vectors, grid: Grid, series_max: usize) -> Result<Vec<Series>, QueryError> {
    let mut series: BTreeMap<&Labels, Vec<(Timestamp, f64)>> = BTreeMap::new();
    for (step, samples) in vectors.steps.iter().enumerate() {
        let ts = grid.time(step);
        for &(id, value) in samples {
            let Some(labels) = vectors.labels.get(id as usize) else { continue };
            let points = series.entry(labels).or_default();
            // Two series that were given the same labels are one; the first value counts.
            if points.last().is_none_or(|(last, _)| *last != ts) {
                points.push((ts, value));
            }
        }
        if series.len() > series_max {
            return Err(series_limit(series_max));
        }
    }
    Ok(series
        .into_iter()
        .map(|(labels, points)| Series { labels: labels.clone(), points })
        .collect())
}

fn samples(
    expr: &MetricExpr,
    vectors: Vectors,
    ts: Timestamp,
    series_max: usize,
) -> Result<Vec<Sample>, QueryError> {
    let Vectors { labels, steps } = vectors;
    let found = steps.into_iter().next().unwrap_or_default();
    if found.len() > series_max {
        return Err(series_limit(series_max));
    }
    let mut samples: Vec<Sample> = found
        .into_iter()
        .map(|(id, value)| {
            let labels = labels.get(id as usize).cloned().unwrap_or_default();
            Sample { labels, ts, value }
        })
        .collect();
    if !eval::is_sorted(expr) {
        samples.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    Ok(samples)
}
