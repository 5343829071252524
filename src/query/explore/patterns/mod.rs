//! Shapes of lines: which texts repeat, with `<_>` where they differ, as Grafana Loki 3.7 finds
//! them.
//!
//! There is a tree for each stream and detected level; how lines are read is guessed from the
//! first of a stream. Patterns of the same text and level are one over all streams.
//!
//! Loki's pattern ingester learns while lines come in and forgets after three hours. Nothing of it
//! is kept beside the lines here: patterns are mined out of the stored columns when they are
//! asked for, so they reach as far back as the lines do, and what was deleted is not in them. That
//! makes for differences that are meant: what is in front of the range does not count, neither for
//! the guess nor in the trees; entries that came out of order are not skipped; and a stream with
//! many patterns is not left out for ten minutes.
//!
//! Of a block the times, levels and telling columns are read; of each group of rows that differ in
//! numbers alone a few lines are built. What was found in a whole part is kept in memory for the
//! next refresh.

mod groups;
mod lines;
mod miner;
mod tokens;
mod tree;

use std::any::Any;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use lines::{Cell, SAMPLE_MS};
use miner::{LEVEL, Level, Readings, Source};
use tokens::Tokens;

pub use miner::Miner;

use crate::limits;
use crate::model::{TimeRange, Timestamp};
use crate::query::engine::{Engine, QueryContext};
use crate::query::error::QueryError;
use crate::query::plan;
use crate::query::run::cache::{Key, ResultCache, Weigh};
use crate::query::run::context::Context;
use crate::query::run::log::compile;
use crate::query::run::memory::Memory;
use crate::query::stage::Worker;
use crate::query::syntax::ast::LogExpr;
use crate::store::read::{
    Flow, ForkedSink, Order, PartKey, ReadError, RowSink, Rows, ScanRequest, StreamMeta,
};

#[derive(Debug, Clone)]
pub struct PatternQuery {
    pub log: LogExpr,
    pub range: TimeRange,
    pub step_ns: i64,
    /// The most frequent patterns that are given.
    pub limit: usize,
}

/// A pattern of one level, with counts by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectedPattern {
    pub pattern: String,
    pub level: String,
    pub samples: Vec<(Timestamp, u64)>,
}

impl DetectedPattern {
    pub fn total(&self) -> u64 {
        self.samples.iter().map(|(_, count)| count).sum()
    }
}

/// Loki counts in samples of ten seconds; one that begins in the range is in it.
fn samples_of(range: TimeRange) -> TimeRange {
    let up = |at_ms: i64| {
        let from = at_ms.saturating_add(SAMPLE_MS - 1).div_euclid(SAMPLE_MS);
        Timestamp(from.saturating_mul(SAMPLE_MS).saturating_mul(1_000_000))
    };
    let end = range.end.0.saturating_add(999_999).div_euclid(1_000_000);
    TimeRange::new(up(range.start.0.div_euclid(1_000_000)), up(end))
}

impl Engine {
    /// Patterns of a range, the most frequent first. A selector alone is answered over all of
    /// it; behind stages, which Loki refuses, the newest lines are looked at.
    pub fn patterns(
        &self,
        query: &PatternQuery,
        context: &QueryContext,
    ) -> Result<Vec<DetectedPattern>, QueryError> {
        if query.step_ns <= 0 {
            return Err(QueryError::Invalid("the step must be positive".to_owned()));
        }
        let step_ms = (query.step_ns / 1_000_000).max(SAMPLE_MS);
        let mut running = self.running(context);
        let is_plain = query.log.stages.is_empty();
        let request = ScanRequest {
            tenant: context.tenant.clone(),
            matchers: query.log.matchers.clone(),
            range: samples_of(query.range),
            hints: plan::hints(&query.log),
            order: if is_plain { Order::Any } else { Order::NewestFirst },
            cancel: context.cancel.clone(),
            bytes_max: running.bytes_left(),
            need_lines: true,
            need_metadata: true,
            need_line_bytes: false,
            columns: is_plain,
        };
        let miner = if is_plain {
            let text = format!("{}\0{}\0{step_ms}", context.tenant, query.log);
            let kept = context.limits.cache_results.then(|| self.patterns.clone());
            let sink = Plain {
                miner: Miner::default(),
                step_ms,
                kept,
                query: xxh3_128(text.as_bytes()),
                recording: None,
                charge: Charge::new(&running.memory),
            };
            plain(&mut running, request, sink, &text)?
        } else {
            let mut sink = Filtered {
                worker: compile(&query.log)?.worker(),
                miner: Miner::default(),
                tokens: Tokens::default(),
                scratch: Vec::new(),
                step_ms,
                rows_left: limits::PATTERN_ROWS_MAX,
                charge: Charge::new(&running.memory),
            };
            running.scan(&request, &mut sink)?;
            sink.charge.end()?;
            sink.miner
        };
        Ok(miner.finish(step_ms, query.limit))
    }
}

/// Goes over all rows, and once more when streams turn out to have lines of several formats: only
/// then is it known which line was the first.
fn plain(
    running: &mut Context<'_>,
    request: ScanRequest,
    sink: Plain,
    text: &str,
) -> Result<Miner, QueryError> {
    let (step_ms, kept) = (sink.step_ms, sink.kept.clone());
    let mut sink = sink;
    running.scan(&request, &mut sink)?;
    sink.end_recording();
    let readings: Readings = sink.miner.ambiguous();
    if readings.is_empty() {
        return sink.finish();
    }
    sink.miner = Miner::default();
    sink.charge();
    sink.charge.end()?;
    let query = xxh3_128(format!("{text}\0{readings:?}").as_bytes());
    let miner = Miner::new(Some(Arc::new(readings)));
    let charge = Charge::new(&running.memory);
    let mut sink = Plain { miner, step_ms, kept, query, recording: None, charge };
    running.scan(&ScanRequest { bytes_max: running.bytes_left(), ..request }, &mut sink)?;
    sink.finish()
}

/// What is counted of the query's memory. A scan cannot end with the error of a query, so that is
/// kept until its end.
struct Charge {
    memory: Arc<Memory>,
    bytes: i64,
    failure: Option<QueryError>,
}

impl Charge {
    fn new(memory: &Arc<Memory>) -> Self {
        Charge { memory: Arc::clone(memory), bytes: 0, failure: None }
    }

    /// So many bytes are held now.
    fn set(&mut self, bytes: usize) -> Flow {
        let more = bytes as i64 - self.bytes;
        self.bytes = bytes as i64;
        if let Err(error) = self.memory.take(more) {
            self.failure.get_or_insert(error);
        }
        if self.failure.is_none() { Flow::Continue } else { Flow::Stop }
    }

    /// Takes over what another has counted.
    fn append(&mut self, other: Charge) {
        self.bytes += other.bytes;
        self.failure = self.failure.take().or(other.failure);
    }

    fn end(&mut self) -> Result<(), QueryError> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// All rows of some streams.
struct Plain {
    miner: Miner,
    step_ms: i64,
    kept: Option<Arc<ResultCache<Miner>>>,
    /// A hash of what matters for what is found in a part.
    query: u128,
    /// The part that is being read, and what was found before it.
    recording: Option<(PartKey, Miner)>,
    charge: Charge,
}

impl Plain {
    /// The part before may have been left in the middle.
    fn end_recording(&mut self) {
        if let Some((_, before)) = self.recording.take() {
            let found = std::mem::replace(&mut self.miner, before);
            self.miner.append(found);
        }
    }

    fn charge(&mut self) -> Flow {
        let before = self.recording.as_ref().map_or(0, |(_, before)| before.bytes());
        self.charge.set(self.miner.bytes() + before)
    }

    fn finish(mut self) -> Result<Miner, QueryError> {
        self.end_recording();
        self.charge.end()?;
        Ok(self.miner)
    }
}

impl RowSink for Plain {
    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        groups::mine(stream, rows, self.step_ms, &mut self.miner)?;
        Ok(self.charge())
    }

    fn fork(&self) -> Option<Box<dyn ForkedSink>> {
        Some(Box::new(Plain {
            miner: self.miner.another(),
            step_ms: self.step_ms,
            kept: None,
            query: self.query,
            recording: None,
            charge: Charge::new(&self.charge.memory),
        }))
    }

    fn join(&mut self, fork: Box<dyn ForkedSink>) -> Result<(), ReadError> {
        let Ok(fork) = fork.into_any().downcast::<Plain>() else {
            return Err(ReadError::Sink("a foreign share of a scan was handed over".to_owned()));
        };
        self.miner.append(fork.miner);
        self.charge.append(fork.charge);
        self.charge();
        Ok(())
    }

    fn begin_part(&mut self, part: PartKey) -> bool {
        let Some(kept) = self.kept.clone() else { return true };
        self.end_recording();
        if let Some(found) = kept.get(&Key { query: self.query, part }) {
            self.miner.append(Miner::clone(&found));
            self.charge();
            return false;
        }
        let empty = self.miner.another();
        self.recording = Some((part, std::mem::replace(&mut self.miner, empty)));
        true
    }

    fn end_part(&mut self, part: PartKey) {
        if let Some(kept) = &self.kept
            && self.recording.as_ref().is_some_and(|(recorded, _)| *recorded == part)
        {
            kept.put(Key { query: self.query, part }, self.miner.clone());
        }
        self.end_recording();
    }
}

impl ForkedSink for Plain {
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// The newest lines that pass the stages of a query.
struct Filtered {
    worker: Worker,
    miner: Miner,
    tokens: Tokens,
    scratch: Vec<u8>,
    step_ms: i64,
    rows_left: usize,
    charge: Charge,
}

impl RowSink for Filtered {
    fn wants(&mut self, _first: Timestamp, _last: Timestamp) -> bool {
        self.rows_left > 0
    }

    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        self.worker.set_stream(&stream.labels);
        for at in (0..rows.len()).rev() {
            if self.rows_left == 0 {
                return Ok(Flow::Stop);
            }
            self.rows_left -= 1;
            let metadata = (0..rows.metadata_len(at)).map(|entry| rows.metadata(at, entry));
            let Some(row) = self.worker.run(rows.ts(at), rows.line(at), metadata) else {
                continue;
            };
            let reading = self.miner.reading_by_any(stream.id, row.ts(), row.line());
            if !self.tokens.read(row.line(), reading) {
                continue;
            }
            let level = Level::of(row.get(LEVEL));
            let source = Source { stream: stream.id, reading, level };
            let (ts, cell) = (row.ts(), Cell::of(row.ts(), self.step_ms));
            self.miner.add_line(source, &self.tokens, ts, cell, &mut self.scratch);
        }
        Ok(self.charge.set(self.miner.bytes()))
    }
}
