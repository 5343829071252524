//! Log queries without a cap, page by page: as many lines from one end of a range as may be in
//! memory at a time. A page ends where the time changes, so lines of one instant are never parted
//! and the place to go on from is a time: it stays right when parts are merged or the server
//! starts again.

use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::limits;
use crate::model::{Labels, TimeRange, Timestamp};
use crate::store::read::{Flow, Order, ReadError, RowSink, Rows, ScanRequest, StreamMeta};

use super::engine::{Engine, QueryContext};
use super::error::QueryError;
use super::plan;
use super::result::{LogRow, QueryStats};
use super::run::context::ROWS_PER_LOOK;
use super::run::log::{Direction, arrival_key, compile, log_row};
use super::run::placed::{Place, Placed};
use super::stage::Worker;
use super::syntax::LogExpr;

/// What `nearest` may read and how long it may take before it looks at streams alone.
const NEAREST_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const NEAREST_TIME_MAX: Duration = Duration::from_secs(3);
/// What a row costs beside its texts.
const ROW_BYTES: usize = 160;

/// What to do with lines of the instant at which a page is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// None of them is part of the page; the next one begins with them.
    Whole,
    /// The page takes what fits.
    Cut,
}

#[derive(Debug, Clone)]
pub struct PageQuery<'a> {
    pub log: &'a LogExpr,
    pub range: TimeRange,
    pub direction: Direction,
    /// At most so many lines; more only with `Ties::Whole` when one instant has more.
    pub lines_max: usize,
    pub bytes_max: usize,
    pub ties: Ties,
    /// Only the stream with exactly these labels.
    pub stream: Option<&'a Labels>,
}

/// Lines in the order that was asked for, and what is left of the range.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub rows: Vec<LogRow>,
    pub rest: Option<TimeRange>,
    pub stats: QueryStats,
}

/// Where the lines are that a range has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nearest {
    pub before: Option<Timestamp>,
    pub after: Option<Timestamp>,
    /// Whether lines there pass the stages of the query, or are only of its streams.
    pub passes_stages: bool,
}

impl Engine {
    pub fn page(&self, query: &PageQuery<'_>, context: &QueryContext) -> Result<Page, QueryError> {
        let began = Instant::now();
        let (mut sink, mut stats) = self.collect(query, context)?;
        let mut rest = None;
        if let Some(cut) = sink.cut.filter(|_| query.ties == Ties::Whole) {
            let at = time_of(cut, query.direction);
            rest = Some(from(query.range, query.direction, at));
            if sink.heap.is_empty() {
                // One instant has more lines than a page: it becomes a page of its own.
                let end = at.saturating_add_ns(1);
                let instant = PageQuery {
                    range: TimeRange::new(at, end),
                    lines_max: usize::MAX,
                    bytes_max: limits::EXPORT_INSTANT_BYTES_MAX,
                    ..query.clone()
                };
                let (whole, more) = self.collect(&instant, context)?;
                if whole.cut.is_some() {
                    return Err(QueryError::Limit(format!(
                        "the lines at {at} take more than {} bytes; narrow the selector",
                        limits::EXPORT_INSTANT_BYTES_MAX
                    )));
                }
                sink = whole;
                stats.add(&more.scan);
                stats.rows_matched += more.rows_matched;
                rest = Some(match query.direction {
                    Direction::Forward => from(query.range, query.direction, end),
                    Direction::Backward => TimeRange::new(query.range.start, at),
                });
            }
        }
        let rows = sink.heap.into_sorted_vec().into_iter().map(|kept| kept.row.row).collect();
        stats.duration_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let rest = rest.filter(|rest| rest.start < rest.end);
        Ok(Page { rows, rest, stats })
    }

    fn collect(
        &self,
        query: &PageQuery<'_>,
        context: &QueryContext,
    ) -> Result<(Collected, QueryStats), QueryError> {
        let mut running = self.running(context);
        let request = ScanRequest {
            tenant: context.tenant.clone(),
            matchers: query.log.matchers.clone(),
            range: query.range,
            hints: plan::hints(query.log),
            order: match query.direction {
                Direction::Forward => Order::OldestFirst,
                Direction::Backward => Order::NewestFirst,
            },
            cancel: context.cancel.clone(),
            bytes_max: context.limits.bytes_max,
            need_lines: true,
            need_metadata: true,
            need_line_bytes: true,
            columns: false,
        };
        let mut sink = Collected {
            worker: compile(query.log)?.worker(),
            direction: query.direction,
            lines_max: query.lines_max,
            bytes_max: query.bytes_max,
            ties: query.ties,
            stream: query.stream.cloned(),
            heap: BinaryHeap::new(),
            bytes: 0,
            cut: None,
            arrival: 0,
            runs: 0,
            matched: 0,
            deadline: running.deadline,
            late: false,
        };
        let scanned = running.scan(&request, &mut sink);
        if sink.late {
            return Err(QueryError::Timeout { limit_ms: running.timeout_ms });
        }
        scanned?;
        running.stats.rows_matched += sink.matched;
        Ok((sink, running.stats))
    }

    /// The last line before a range and the first behind it.
    pub fn nearest(
        &self,
        log: &LogExpr,
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Nearest, QueryError> {
        let mut limited = context.clone();
        limited.limits.bytes_max = context.limits.bytes_max.min(NEAREST_BYTES_MAX);
        limited.limits.timeout = context.limits.timeout.min(NEAREST_TIME_MAX);
        match self.edges(log, range, &limited) {
            Err(QueryError::Limit(_) | QueryError::Timeout { .. }) => {}
            found => {
                let (before, after) = found?;
                return Ok(Nearest { before, after, passes_stages: true });
            }
        }
        let streams = LogExpr { stages: Vec::new(), ..log.clone() };
        let (before, after) = self.edges(&streams, range, context)?;
        Ok(Nearest { before, after, passes_stages: false })
    }

    fn edges(
        &self,
        log: &LogExpr,
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<(Option<Timestamp>, Option<Timestamp>), QueryError> {
        let one = |range, direction| -> Result<Option<Timestamp>, QueryError> {
            let query = PageQuery {
                log,
                range,
                direction,
                lines_max: 1,
                bytes_max: usize::MAX,
                ties: Ties::Cut,
                stream: None,
            };
            Ok(self.page(&query, context)?.rows.first().map(|row| row.ts))
        };
        let before = one(TimeRange::new(Timestamp::MIN, range.start), Direction::Backward);
        let after = one(TimeRange::new(range.end, Timestamp::MAX), Direction::Forward);
        Ok((before?, after?))
    }
}

fn time_of(key: i128, direction: Direction) -> Timestamp {
    let ns = match direction {
        Direction::Forward => key,
        Direction::Backward => -key,
    };
    Timestamp(i64::try_from(ns).unwrap_or(i64::MAX))
}

/// The part of a range that begins with an instant, in the order of the query.
fn from(range: TimeRange, direction: Direction, at: Timestamp) -> TimeRange {
    match direction {
        Direction::Forward => TimeRange::new(at, range.end),
        Direction::Backward => TimeRange::new(range.start, at.saturating_add_ns(1)),
    }
}

struct Kept {
    bytes: usize,
    row: LogRow,
}

struct Collected {
    worker: Worker,
    direction: Direction,
    lines_max: usize,
    bytes_max: usize,
    ties: Ties,
    stream: Option<Labels>,
    /// The worst of the kept lines is on top.
    heap: BinaryHeap<Placed<Kept>>,
    bytes: usize,
    /// The nearest time of a line that had no room: nothing at it or behind it is kept.
    cut: Option<i128>,
    /// Of the block at hand, and how many runs of it there were.
    arrival: i128,
    runs: i64,
    matched: u64,
    deadline: Option<Instant>,
    late: bool,
}

impl Collected {
    fn time_key(&self, ts: Timestamp) -> i128 {
        match self.direction {
            Direction::Forward => i128::from(ts.0),
            Direction::Backward => -i128::from(ts.0),
        }
    }

    fn has_room(&self, place: Place) -> bool {
        match (self.cut, self.ties) {
            (None, _) => true,
            (Some(cut), Ties::Whole) => place.0 < cut,
            (Some(_), Ties::Cut) => self.heap.peek().is_some_and(|worst| place < worst.place),
        }
    }

    fn keep(&mut self, place: Place, row: LogRow) {
        let texts = |pairs: &[(String, String)]| -> usize {
            pairs.iter().map(|(name, value)| name.len() + value.len() + 48).sum()
        };
        let bytes = ROW_BYTES + row.line.len() + texts(&row.metadata) + texts(&row.parsed);
        self.bytes += bytes;
        self.heap.push(Placed { place, row: Kept { bytes, row } });
        while self.heap.len() > self.lines_max
            || (self.bytes > self.bytes_max && !self.heap.is_empty())
        {
            let Some(worst) = self.heap.pop() else { break };
            self.bytes -= worst.row.bytes;
            self.cut = Some(self.cut.map_or(worst.place.0, |cut| cut.min(worst.place.0)));
        }
        if let (Some(cut), Ties::Whole) = (self.cut, self.ties) {
            while self.heap.peek().is_some_and(|worst| worst.place.0 >= cut) {
                let Some(worst) = self.heap.pop() else { break };
                self.bytes -= worst.row.bytes;
            }
        }
    }
}

impl RowSink for Collected {
    fn wants(&mut self, first: Timestamp, last: Timestamp) -> bool {
        let nearest = match self.direction {
            Direction::Forward => first,
            Direction::Backward => last,
        };
        self.has_room((self.time_key(nearest), i128::MIN, i64::MIN, i64::MIN))
    }

    fn block(&mut self, arrival: u64) {
        self.runs = 0;
        self.arrival = arrival_key(self.direction, arrival);
    }

    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        if self.stream.as_ref().is_some_and(|wanted| *wanted != stream.labels) {
            return Ok(Flow::Continue);
        }
        self.worker.set_stream(&stream.labels);
        self.runs += 1;
        for seen in 0..rows.len() {
            if seen % ROWS_PER_LOOK == 0 && self.deadline.is_some_and(|at| Instant::now() > at) {
                self.late = true;
                return Ok(Flow::Stop);
            }
            let (at, order) = match self.direction {
                Direction::Forward => (seen, seen),
                Direction::Backward => (rows.len() - 1 - seen, seen),
            };
            let ts = rows.ts(at);
            let row = i64::try_from(order).unwrap_or(i64::MAX);
            let place = (self.time_key(ts), self.arrival, self.runs, row);
            // Rows of a block are in order: behind one that is too far all are.
            if !self.has_room(place) {
                break;
            }
            let metadata = (0..rows.metadata_len(at)).map(|entry| rows.metadata(at, entry));
            if let Some(row) = self.worker.run(ts, rows.line(at), metadata) {
                let row = log_row(&row);
                self.matched += 1;
                self.keep(place, row);
            }
        }
        Ok(Flow::Continue)
    }
}
