//! How far from its end a log query has to read. Where no stage drops a line, the times alone
//! tell which lines are in the answer; those of all streams are read before any line is, so that
//! the newest lines cost the same however much there is and however many streams it is in.

use std::any::Any;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::{TimeRange, Timestamp};
use crate::query::syntax::ast::{LogExpr, StageKind};
use crate::store::read::{Flow, ForkedSink, ReadError, RowSink, Rows, ScanRequest, StreamMeta};

use super::context::Context;
use super::log::Direction;

/// The end of the range in which the first `limit` lines lie, seen in this direction; `None` when
/// times do not tell, or there are not as many lines.
pub fn of(
    log: &LogExpr,
    request: &ScanRequest,
    limit: usize,
    direction: Direction,
    context: &Context<'_>,
) -> Result<Option<TimeRange>, ReadError> {
    let drops =
        |kind: &StageKind| matches!(kind, StageKind::LineFilter(_) | StageKind::LabelFilter(_));
    if limit == 0 || log.stages.iter().any(|stage| drops(&stage.kind)) {
        return Ok(None);
    }
    let request =
        ScanRequest { need_lines: false, need_metadata: false, columns: false, ..request.clone() };
    let mut times = Times::new(limit, direction, &Arc::new(AtomicI64::new(i64::MAX)));
    context.reader.scan(&request, &mut times)?;
    let Some(last) = times.heap.peek().filter(|_| times.heap.len() >= limit) else {
        return Ok(None);
    };
    let TimeRange { start, end } = request.range;
    Ok(Some(match direction {
        Direction::Forward => TimeRange::new(start, Timestamp(last.saturating_add(1)).min(end)),
        Direction::Backward => TimeRange::new(Timestamp(last.saturating_neg()).max(start), end),
    }))
}

/// The distances from the end of the lines that are nearest to it.
struct Times {
    limit: usize,
    direction: Direction,
    /// The farthest is on top.
    heap: BinaryHeap<i64>,
    /// Some fork has as many as are wanted up to this distance.
    bound: Arc<AtomicI64>,
}

impl Times {
    fn new(limit: usize, direction: Direction, bound: &Arc<AtomicI64>) -> Times {
        Times { limit, direction, heap: BinaryHeap::new(), bound: Arc::clone(bound) }
    }

    /// Whether a line at this distance can be among them.
    fn has_room(&self, distance: i64) -> bool {
        let farthest = self.heap.peek().filter(|_| self.heap.len() >= self.limit);
        distance < self.bound.load(Ordering::Relaxed)
            && farthest.is_none_or(|farthest| distance < *farthest)
    }

    fn keep(&mut self, distance: i64) {
        if self.heap.len() >= self.limit {
            self.heap.pop();
        }
        self.heap.push(distance);
        if self.heap.len() >= self.limit
            && let Some(farthest) = self.heap.peek()
        {
            self.bound.fetch_min(*farthest, Ordering::Relaxed);
        }
    }
}

impl RowSink for Times {
    fn wants(&mut self, first: Timestamp, last: Timestamp) -> bool {
        self.has_room(self.direction.distance(self.direction.nearest(first, last)))
    }

    fn rows(&mut self, _: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        for seen in 0..rows.len() {
            let at = match self.direction {
                Direction::Forward => seen,
                Direction::Backward => rows.len() - 1 - seen,
            };
            let distance = self.direction.distance(rows.ts(at));
            // Rows of a block are in order: behind one that is too far all are.
            if !self.has_room(distance) {
                break;
            }
            self.keep(distance);
        }
        Ok(Flow::Continue)
    }

    fn fork(&self) -> Option<Box<dyn ForkedSink>> {
        Some(Box::new(Times::new(self.limit, self.direction, &self.bound)))
    }

    fn join(&mut self, fork: Box<dyn ForkedSink>) -> Result<(), ReadError> {
        let Ok(fork) = fork.into_any().downcast::<Times>() else {
            return Err(ReadError::Sink("a foreign share of a scan was handed over".to_owned()));
        };
        for distance in fork.heap {
            // At the bound itself as well: it may be that of this very line.
            let farthest = self.heap.peek().filter(|_| self.heap.len() >= self.limit);
            if farthest.is_none_or(|farthest| distance < *farthest) {
                self.keep(distance);
            }
        }
        Ok(())
    }
}

impl ForkedSink for Times {
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
