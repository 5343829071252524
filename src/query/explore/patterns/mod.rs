//! Shapes of lines: which texts repeat, with `<_>` where they differ.
//!
//! Nothing of it is kept beside the lines: patterns are mined out of the stored columns when they
//! are asked for, so they reach as far back as the lines do, and what was deleted is not in them.
//! Of a block the shapes, times and levels are read; two lines of each group that has shape and
//! message in common are built. What was found in a whole part is kept in memory for the next
//! refresh.

mod groups;
mod miner;
mod tokens;

use std::any::Any;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

pub use miner::Miner;

use crate::limits;
use crate::model::{TimeRange, Timestamp};
use crate::query::engine::{Engine, QueryContext};
use crate::query::error::QueryError;
use crate::query::plan;
use crate::query::run::cache::{Key, ResultCache};
use crate::query::run::log::compile;
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

/// A pattern of one level, with counts by step; steps without lines in between count zero.
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

const LEVEL: &str = "detected_level";
const LEVEL_UNKNOWN: &str = "unknown";

impl Engine {
    /// Patterns of a range, the most frequent first. A selector alone is answered over all of
    /// it; behind stages the newest lines are looked at.
    pub fn patterns(
        &self,
        query: &PatternQuery,
        context: &QueryContext,
    ) -> Result<Vec<DetectedPattern>, QueryError> {
        if query.step_ns <= 0 {
            return Err(QueryError::Invalid("the step must be positive".to_owned()));
        }
        let mut running = self.running(context);
        let is_plain = query.log.stages.is_empty();
        let request = ScanRequest {
            tenant: context.tenant.clone(),
            matchers: query.log.matchers.clone(),
            range: query.range,
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
            let text = format!("{}\0{}\0{}", context.tenant, query.log, query.step_ns);
            let kept = context.limits.cache_results.then(|| self.patterns.clone());
            let mut sink = Plain {
                miner: Miner::default(),
                step_ns: query.step_ns,
                kept,
                query: xxh3_128(text.as_bytes()),
                recording: None,
            };
            running.scan(&request, &mut sink)?;
            sink.end_recording();
            sink.miner
        } else {
            let mut sink = Filtered {
                worker: compile(&query.log)?.worker(),
                miner: Miner::default(),
                step_ns: query.step_ns,
                rows_left: limits::PATTERN_ROWS_MAX,
            };
            running.scan(&request, &mut sink)?;
            sink.miner
        };
        Ok(miner.finish(query.step_ns, query.limit))
    }
}

/// All rows of some streams.
struct Plain {
    miner: Miner,
    step_ns: i64,
    kept: Option<Arc<ResultCache<Miner>>>,
    /// A hash of what matters for what is found in a part.
    query: u128,
    /// The part that is being read, and what was found before it.
    recording: Option<(PartKey, Miner)>,
}

impl Plain {
    /// The part before may have been left in the middle.
    fn end_recording(&mut self) {
        if let Some((_, before)) = self.recording.take() {
            let found = std::mem::replace(&mut self.miner, before);
            self.miner.append(&found);
        }
    }
}

impl RowSink for Plain {
    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        groups::mine(stream, rows, self.step_ns, &mut self.miner)?;
        Ok(Flow::Continue)
    }

    fn fork(&self) -> Option<Box<dyn ForkedSink>> {
        Some(Box::new(Plain {
            miner: Miner::default(),
            step_ns: self.step_ns,
            kept: None,
            query: self.query,
            recording: None,
        }))
    }

    fn join(&mut self, fork: Box<dyn ForkedSink>) -> Result<(), ReadError> {
        let Ok(fork) = fork.into_any().downcast::<Plain>() else {
            return Err(ReadError::Sink("a foreign share of a scan was handed over".to_owned()));
        };
        self.miner.append(&fork.miner);
        Ok(())
    }

    fn begin_part(&mut self, part: PartKey) -> bool {
        let Some(kept) = self.kept.clone() else { return true };
        self.end_recording();
        if let Some(found) = kept.get(&Key { query: self.query, part }) {
            self.miner.append(&found);
            return false;
        }
        self.recording = Some((part, std::mem::take(&mut self.miner)));
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
    step_ns: i64,
    rows_left: usize,
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
            let level = row.get(LEVEL).unwrap_or(LEVEL_UNKNOWN);
            let step = row.ts().0.div_euclid(self.step_ns).saturating_mul(self.step_ns);
            self.miner.add_line(row.line(), level, step);
        }
        Ok(Flow::Continue)
    }
}
