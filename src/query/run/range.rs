//! `rate({..} | json [5m])`: lines to samples, samples to windows, in one pass over the rows.

use std::time::Instant;

use hashbrown::HashTable;

use crate::limits;
use crate::model::{Labels, MatchOp};
use crate::query::error::QueryError;
use crate::query::plan;
use crate::query::syntax::ast::{Grouping, RangeAggregation, RangeOp};
use crate::store::read::{Flow, Order, ReadError, RowSink, Rows, ScanRequest, StreamMeta};

use super::accumulate::{Cells, Fold};
use super::context::Context;
use super::extract::{Extractor, Miss, SeriesKey};
use super::grid::{Grid, Windows};
use super::samples::Samples;
use super::vectors::Vectors;

/// How the windows of a range operation are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    Fold(Fold),
    /// The sum, divided by the seconds of the range.
    Rate,
    CounterRate,
    Quantile(f64),
}

fn method(range: &RangeAggregation) -> Method {
    match range.op {
        RangeOp::Rate | RangeOp::BytesRate => Method::Rate,
        RangeOp::RateCounter => Method::CounterRate,
        RangeOp::CountOverTime | RangeOp::BytesOverTime | RangeOp::SumOverTime => {
            Method::Fold(Fold::Sum)
        }
        RangeOp::AvgOverTime => Method::Fold(Fold::Avg),
        RangeOp::MinOverTime => Method::Fold(Fold::Min),
        RangeOp::MaxOverTime => Method::Fold(Fold::Max),
        RangeOp::StdvarOverTime => Method::Fold(Fold::Variance),
        RangeOp::StddevOverTime => Method::Fold(Fold::Deviation),
        RangeOp::FirstOverTime => Method::Fold(Fold::First),
        RangeOp::LastOverTime => Method::Fold(Fold::Last),
        RangeOp::QuantileOverTime => Method::Quantile(range.param.unwrap_or(0.0)),
        RangeOp::AbsentOverTime => Method::Fold(Fold::Sum),
    }
}

/// Evaluates a range aggregation; `pushed` is the grouping of a `sum` around it, so that series
/// it would put together are never kept apart.
pub fn evaluate(
    range: &RangeAggregation,
    pushed: Option<&Grouping>,
    grid: Grid,
    context: &mut Context<'_>,
) -> Result<Vectors, QueryError> {
    let extractor = Extractor::compile(range, pushed)?;
    let windows = Windows::new(grid, range.range_ns, range.offset_ns);
    let request = ScanRequest {
        tenant: context.tenant.to_owned(),
        matchers: range.log.matchers.clone(),
        range: windows.times(),
        hints: plan::hints(&range.log),
        order: Order::Any,
        cancel: context.cancel.clone(),
        bytes_max: context.bytes_left(),
        need_lines: extractor.need_lines,
        need_metadata: extractor.need_metadata,
        need_line_bytes: true,
        columns: false,
    };
    let mut sink = Collector {
        extractor,
        windows,
        method: method(range),
        series: Vec::new(),
        by_key: HashTable::new(),
        last: None,
        held: 0,
        label_bytes: 0,
        matched: 0,
        deadline: context.deadline,
        timeout_ms: context.timeout_ms,
        failure: None,
    };
    let scanned = context.scan(&request, &mut sink);
    if let Some(failure) = sink.failure.take() {
        return Err(failure);
    }
    scanned?;
    context.stats.rows_matched += sink.matched;
    let found = sink.finish(range)?;
    if range.op == RangeOp::AbsentOverTime {
        return Ok(absent(range, &found));
    }
    Ok(found)
}

struct SeriesState {
    key: SeriesKey,
    labels: Labels,
    data: Data,
}

enum Data {
    Cells(Cells),
    Samples(Samples),
}

struct Collector {
    extractor: Extractor,
    windows: Windows,
    method: Method,
    series: Vec<SeriesState>,
    by_key: HashTable<u32>,
    /// The series of the row before: rows of a stream often go to one.
    last: Option<(SeriesKey, usize)>,
    /// Cells and samples in memory.
    held: usize,
    label_bytes: usize,
    matched: u64,
    deadline: Option<Instant>,
    timeout_ms: u64,
    failure: Option<QueryError>,
}

/// Rows between two looks at the clock.
const ROWS_PER_LOOK: usize = 4096;

impl RowSink for Collector {
    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        self.extractor.set_stream(&stream.labels);
        for row in 0..rows.len() {
            if row % ROWS_PER_LOOK == 0 && self.deadline.is_some_and(|at| Instant::now() > at) {
                self.failure = Some(QueryError::Timeout { limit_ms: self.timeout_ms });
                return Ok(Flow::Stop);
            }
            if let Err(failure) = self.row(rows, row) {
                self.failure = Some(failure);
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }
}

impl Collector {
    fn row(&mut self, rows: &dyn Rows, row: usize) -> Result<(), QueryError> {
        let ts = rows.ts(row);
        // Between windows that do not touch lie rows that nobody sees.
        let Some(steps) = self.windows.steps(ts) else { return Ok(()) };
        let sample = match self.extractor.sample(rows, row) {
            Ok(sample) => sample,
            Err(Miss::Dropped) => return Ok(()),
            Err(Miss::Failed(error)) => return Err(error),
        };
        let value = sample.value;
        let at = match self.last {
            Some((key, at)) if key == sample.key => at,
            _ => {
                let (key, hash) = (sample.key, sample.key.0 as u64);
                let series = &self.series;
                let known = self.by_key.find(hash, |&at| {
                    series.get(at as usize).is_some_and(|series| series.key == key)
                });
                match known {
                    Some(&at) => at as usize,
                    None => {
                        if self.series.len() >= limits::QUERY_SERIES_MAX {
                            return Err(QueryError::Limit(format!(
                                "the query keeps more than {} series apart; aggregate them \
                                 with sum by (..) or narrow the selector",
                                limits::QUERY_SERIES_MAX
                            )));
                        }
                        let data = match self.method {
                            Method::Fold(_) | Method::Rate => Data::Cells(Cells::default()),
                            Method::CounterRate | Method::Quantile(_) => {
                                Data::Samples(Samples::default())
                            }
                        };
                        let labels = sample.labels();
                        self.label_bytes += bytes_of(&labels);
                        if self.label_bytes > limits::QUERY_SERIES_BYTES_MAX {
                            return Err(QueryError::Limit(format!(
                                "the labels of {} series take too much memory; aggregate them \
                                 with sum by (..) or narrow the selector",
                                self.series.len()
                            )));
                        }
                        let at = self.series.len();
                        self.series.push(SeriesState { key, labels, data });
                        let series = &self.series;
                        self.by_key.insert_unique(hash, at as u32, |&at| {
                            series.get(at as usize).map_or(0, |series| series.key.0 as u64)
                        });
                        at
                    }
                }
            }
        };
        self.last = Some((sample.key, at));
        self.matched += 1;
        let fold = self.method.fold();
        match self.series.get_mut(at).map(|series| &mut series.data) {
            Some(Data::Cells(cells)) => {
                self.held += cells.add(fold, steps, ts.0, value);
                self.held -= cells.tidy(fold);
            }
            Some(Data::Samples(samples)) => {
                self.held += 1;
                samples.add(ts.0, value);
            }
            None => {}
        }
        if self.held > limits::QUERY_SAMPLES_MAX {
            return Err(too_many_samples());
        }
        Ok(())
    }

    fn finish(self, range: &RangeAggregation) -> Result<Vectors, QueryError> {
        let Collector { windows, method, series, .. } = self;
        let mut vectors = Vectors::new(windows.grid.count);
        let range_secs = range.range_ns as f64 / 1e9;
        let mut points = 0;
        for (id, series) in (0..).zip(series) {
            vectors.labels.push(series.labels);
            let mut push = |step, value| {
                points += 1;
                vectors.push(step, id, value);
            };
            match (series.data, method) {
                (Data::Cells(cells), Method::Rate) => {
                    cells.windows(Fold::Sum, |step, sum| push(step, sum / range_secs));
                }
                (Data::Cells(cells), method) => cells.windows(method.fold(), push),
                (Data::Samples(samples), Method::Quantile(q)) => {
                    samples.quantiles(&windows, q, push);
                }
                (Data::Samples(samples), _) => samples.counter_rates(&windows, push),
            }
            if points > limits::QUERY_SAMPLES_MAX {
                return Err(too_many_samples());
            }
        }
        Ok(vectors)
    }
}

impl Method {
    fn fold(self) -> Fold {
        match self {
            Method::Fold(fold) => fold,
            Method::Rate | Method::CounterRate | Method::Quantile(_) => Fold::Sum,
        }
    }
}

/// What a label set takes in memory, allocations included.
fn bytes_of(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len() + 96).sum::<usize>() + 128
}

fn too_many_samples() -> QueryError {
    QueryError::Limit(format!(
        "the query needs more than {} samples at once; aggregate with sum by (..), narrow the \
         time range or take a longer step",
        limits::QUERY_SAMPLES_MAX
    ))
}

/// One where there is nothing, with the labels that the selector names exactly once.
fn absent(range: &RangeAggregation, found: &Vectors) -> Vectors {
    let matchers = &range.log.matchers;
    let labels = matchers.iter().filter(|matcher| {
        matcher.op == MatchOp::Eq
            && matchers.iter().filter(|other| other.name == matcher.name).count() == 1
    });
    let labels = Labels::from_pairs(labels.map(|matcher| (&*matcher.name, &*matcher.value)));
    let steps = found
        .steps
        .iter()
        .map(|samples| if samples.is_empty() { vec![(0, 1.0)] } else { Vec::new() })
        .collect();
    Vectors { labels: vec![labels], steps }
}
