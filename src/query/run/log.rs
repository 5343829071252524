//! Log queries: the newest or oldest lines that pass all stages.

use std::any::Any;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use crate::model::{TimeRange, Timestamp};
use crate::query::columnar::{self, LineMasks, MAYBE, Mask, NO, Plan, Programs, Run, Verdict};
use crate::query::error::QueryError;
use crate::query::plan;
use crate::query::result::LogRow;
use crate::query::stage::{Category, Pipeline, Row, Worker};
use crate::query::syntax::ast::LogExpr;
use crate::store::read::{
    Flow, ForkedSink, Order, ReadError, RowSink, Rows, ScanRequest, Shaped, StreamMeta,
};

use super::context::{Context, ROWS_PER_LOOK};
use super::extract::Metadata;
use super::memory::Memory;
use super::placed::{Place, Placed};
use super::reach;

/// Which end of the time range is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    #[default]
    Backward,
}

impl Direction {
    /// How far a time is from the end that a query begins at.
    pub fn distance(self, ts: Timestamp) -> i64 {
        match self {
            Direction::Forward => ts.0,
            Direction::Backward => ts.0.saturating_neg(),
        }
    }

    /// Which of two times comes first.
    pub fn nearest(self, first: Timestamp, last: Timestamp) -> Timestamp {
        match self {
            Direction::Forward => first,
            Direction::Backward => last,
        }
    }
}

/// The first `limit` lines of the range, seen in this direction.
pub fn evaluate(
    log: &LogExpr,
    range: TimeRange,
    limit: usize,
    direction: Direction,
    context: &mut Context<'_>,
) -> Result<Vec<LogRow>, QueryError> {
    let pipeline = compile(log)?;
    let request = ScanRequest {
        tenant: context.tenant.to_owned(),
        matchers: log.matchers.clone(),
        range,
        hints: plan::hints(log),
        order: match direction {
            Direction::Forward => Order::OldestFirst,
            Direction::Backward => Order::NewestFirst,
        },
        cancel: context.cancel.clone(),
        bytes_max: context.bytes_left(),
        need_lines: true,
        need_metadata: true,
        need_line_bytes: false,
        columns: true,
    };
    let plan = Plan::lines(&log.stages).map_err(QueryError::Invalid)?;
    let read = |request: &ScanRequest, context: &mut Context<'_>| {
        let bound = Arc::new(AtomicI64::new(i64::MAX));
        let (deadline, memory) = (context.deadline, Arc::clone(&context.memory));
        let mut sink = Newest::new(&pipeline, &plan, limit, direction, deadline, &bound, &memory);
        let scanned = context.scan(request, &mut sink);
        if sink.late {
            return Err(QueryError::Timeout { limit_ms: context.timeout_ms });
        }
        if let Some(failure) = sink.failure.take() {
            return Err(failure);
        }
        scanned?;
        context.stats.rows_matched += sink.matched;
        Ok(sink.heap.into_sorted_vec().into_iter().map(|kept| kept.row).collect::<Vec<LogRow>>())
    };
    context.check()?;
    if let Some(range) = reach::of(log, &request, limit, direction, context)? {
        let rows = read(&ScanRequest { range, ..request.clone() }, context)?;
        // There are fewer when some were deleted meanwhile.
        if rows.len() >= limit {
            return Ok(rows);
        }
    }
    read(&request, context)
}

pub fn compile(log: &LogExpr) -> Result<Pipeline, QueryError> {
    Pipeline::compile(&log.stages)
        .map_err(|error| QueryError::Invalid(format!("parse error : {error}")))
}

/// Keeps every line whose distance to the one kept before is at least the interval. Of lines that
/// its chunks hold Loki reads on until there are `limit`; of recent ones, as here, it does not.
pub fn thin_out(rows: Vec<LogRow>, interval_ns: i64) -> Vec<LogRow> {
    if interval_ns <= 0 {
        return rows;
    }
    let mut last: Option<Timestamp> = None;
    let mut kept = rows;
    kept.retain(|row| {
        let far = last.is_none_or(|last| row.ts.0.abs_diff(last.0) >= interval_ns.unsigned_abs());
        if far {
            last = Some(row.ts);
        }
        far
    });
    kept
}

/// What a row is after all stages.
pub fn log_row(row: &Row<'_>) -> LogRow {
    LogRow {
        ts: row.ts(),
        line: row.line().to_owned(),
        stream: row.stream(),
        metadata: row.category(Category::Metadata),
        parsed: row.category(Category::Parsed),
    }
}

struct Newest {
    pipeline: Pipeline,
    worker: Worker,
    /// The stages as columns see them, to leave out lines that cannot pass.
    plan: Plan,
    lines: LineMasks,
    programs: Programs,
    watched: Metadata,
    line: String,
    limit: usize,
    direction: Direction,
    /// The worst of the kept lines is on top.
    heap: BinaryHeap<Placed<LogRow>>,
    /// Some fork has as many lines as are wanted up to this distance: none behind it matters.
    bound: Arc<AtomicI64>,
    /// Of the block at hand, and how many runs of it there were.
    arrival: i128,
    runs: i64,
    matched: u64,
    deadline: Option<Instant>,
    late: bool,
    memory: Arc<Memory>,
    failure: Option<QueryError>,
}

/// For `Place`.
pub fn arrival_key(direction: Direction, arrival: u64) -> i128 {
    match direction {
        Direction::Forward => i128::from(arrival),
        Direction::Backward => -i128::from(arrival),
    }
}

impl Newest {
    fn new(
        pipeline: &Pipeline,
        plan: &Plan,
        limit: usize,
        direction: Direction,
        deadline: Option<Instant>,
        bound: &Arc<AtomicI64>,
        memory: &Arc<Memory>,
    ) -> Self {
        Newest {
            pipeline: pipeline.clone(),
            worker: pipeline.worker(),
            lines: LineMasks::new(plan),
            watched: plan.watched(),
            plan: plan.clone(),
            programs: Programs::default(),
            line: String::new(),
            limit,
            direction,
            heap: BinaryHeap::new(),
            bound: Arc::clone(bound),
            arrival: 0,
            runs: 0,
            matched: 0,
            deadline,
            late: false,
            memory: Arc::clone(memory),
            failure: None,
        }
    }

    fn is_within_bound(&self, ts: Timestamp) -> bool {
        self.direction.distance(ts) <= self.bound.load(Ordering::Relaxed)
    }

    fn keep(&mut self, line: Placed<LogRow>) {
        let mut bytes = line.row.memory_bytes() as i64;
        if self.heap.len() >= self.limit
            && let Some(gone) = self.heap.pop()
        {
            bytes -= gone.row.memory_bytes() as i64;
        }
        if let Err(error) = self.memory.take(bytes) {
            self.failure.get_or_insert(error);
        }
        self.heap.push(line);
        if self.heap.len() >= self.limit
            && let Some(worst) = self.heap.peek()
        {
            let distance = self.direction.distance(worst.row.ts);
            self.bound.fetch_min(distance, Ordering::Relaxed);
        }
    }

    fn time_key(&self, ts: Timestamp) -> i128 {
        match self.direction {
            Direction::Forward => i128::from(ts.0),
            Direction::Backward => -i128::from(ts.0),
        }
    }

    /// Whether a line at this place would be kept.
    fn has_room(&self, place: Place) -> bool {
        self.heap.len() < self.limit || self.heap.peek().is_some_and(|worst| place < worst.place)
    }

    /// Where a row would stand in the result.
    fn place(&self, ts: Timestamp, at: usize) -> Place {
        let row = i64::try_from(at).unwrap_or(i64::MAX);
        let row = if self.direction == Direction::Forward { row } else { -row };
        (self.time_key(ts), self.arrival, self.runs, row)
    }

    fn row(
        &mut self,
        rows: &dyn Rows,
        shaped: Option<&dyn Shaped>,
        at: usize,
        place: Place,
    ) -> Result<(), ReadError> {
        let ts = rows.ts(at);
        let line = match shaped {
            Some(shaped) => {
                self.line.clear();
                shaped.line_into(at, &mut self.line)?;
                self.line.as_str()
            }
            None => rows.line(at),
        };
        let metadata = (0..rows.metadata_len(at)).map(|entry| rows.metadata(at, entry));
        if let Some(row) = self.worker.run(ts, line, metadata) {
            let row = log_row(&row);
            self.matched += 1;
            self.keep(Placed { place, row });
        }
        Ok(())
    }

    /// What columns say of each row; nothing when they say nothing.
    fn judge(
        &mut self,
        stream: &StreamMeta,
        rows: &dyn Rows,
        shaped: &dyn Shaped,
    ) -> Result<Vec<Verdict>, ReadError> {
        let filters_labels = self.plan.filters_labels();
        if !filters_labels && !self.plan.filters_lines() {
            return Ok(Vec::new());
        }
        let mut parts = Vec::new();
        for part in columnar::split(rows.len(), shaped) {
            let lines = self.lines.mask(&self.plan, &part)?;
            if !lines.is_no() {
                parts.push((part, lines));
            }
        }
        let mut verdicts = vec![NO; rows.len()];
        if parts.is_empty() {
            return Ok(verdicts);
        }
        self.programs.set_stream(&stream.labels);
        let metadata = if filters_labels {
            columnar::Metadata::read(rows, &stream.labels, &self.watched)
        } else {
            columnar::Metadata::default()
        };
        for (part, lines) in parts {
            let mut note = |mask: &Mask| {
                for at in (0..part.len()).filter(|at| mask.at(*at) != NO) {
                    if let Some(verdict) = verdicts.get_mut(part.row(at)) {
                        *verdict = MAYBE;
                    }
                }
            };
            if !filters_labels || part.shape.is_none() {
                note(&lines);
                continue;
            }
            let run = Run { stream: &stream.labels, metadata: &metadata, rows: &part };
            for (_, mask) in columnar::judge(&self.plan, &mut self.programs, &run, &lines)? {
                note(&mask);
            }
        }
        Ok(verdicts)
    }
}

impl RowSink for Newest {
    fn wants(&mut self, first: Timestamp, last: Timestamp) -> bool {
        let nearest = self.direction.nearest(first, last);
        self.is_within_bound(nearest)
            && self.has_room((self.time_key(nearest), i128::MIN, i64::MIN, i64::MIN))
    }

    fn block(&mut self, arrival: u64) {
        self.runs = 0;
        self.arrival = arrival_key(self.direction, arrival);
    }

    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        self.runs += 1;
        let nearest = match self.direction {
            Direction::Forward => 0,
            Direction::Backward => rows.len().saturating_sub(1),
        };
        if rows.is_empty() || !self.has_room(self.place(rows.ts(nearest), nearest)) {
            return Ok(if self.limit == 0 { Flow::Stop } else { Flow::Continue });
        }
        self.worker.set_stream(&stream.labels);
        let shaped = rows.shaped();
        let verdicts = match shaped {
            Some(shaped) => self.judge(stream, rows, shaped)?,
            None => Vec::new(),
        };
        for seen in 0..rows.len() {
            if seen % ROWS_PER_LOOK == 0 && self.deadline.is_some_and(|at| Instant::now() > at) {
                self.late = true;
                return Ok(Flow::Stop);
            }
            let at = match self.direction {
                Direction::Forward => seen,
                Direction::Backward => rows.len() - 1 - seen,
            };
            if verdicts.get(at) == Some(&NO) {
                continue;
            }
            // Rows of a block are in order: behind one that is too far all are.
            let place = self.place(rows.ts(at), at);
            if !self.has_room(place) || !self.is_within_bound(rows.ts(at)) {
                break;
            }
            self.row(rows, shaped, at, place)?;
            if self.failure.is_some() {
                return Ok(Flow::Stop);
            }
        }
        Ok(if self.limit == 0 { Flow::Stop } else { Flow::Continue })
    }

    fn fork(&self) -> Option<Box<dyn ForkedSink>> {
        (self.limit > 0).then(|| {
            let Newest { pipeline, plan, limit, direction, deadline, bound, memory, .. } = self;
            let fork = Newest::new(pipeline, plan, *limit, *direction, *deadline, bound, memory);
            Box::new(fork) as Box<dyn ForkedSink>
        })
    }

    fn join(&mut self, fork: Box<dyn ForkedSink>) -> Result<(), ReadError> {
        let Ok(fork) = fork.into_any().downcast::<Newest>() else {
            return Err(ReadError::Sink("a foreign share of a scan was handed over".to_owned()));
        };
        self.late |= fork.late;
        if let Some(failure) = fork.failure {
            self.failure.get_or_insert(failure);
        }
        self.matched += fork.matched;
        for line in fork.heap {
            // It is counted already, and is again where it is kept.
            let counted = -(line.row.memory_bytes() as i64);
            let _ = self.memory.take(counted);
            if self.has_room(line.place) {
                self.keep(line);
            }
        }
        Ok(())
    }
}

impl ForkedSink for Newest {
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
