//! Which blocks of a part a scan has to read: those with rows of a selected stream in the range
//! that can hold what every matching line must hold.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::matches;
use crate::model::{StreamId, TimeRange, Timestamp};
use crate::store::deletes::{Active, Hiding};
use crate::store::part::{BlockSet, Clauses, Opened, Part, RunRow, StreamRow};
use crate::store::read::{Order, ReadError, ScanRequest, ScanStats};
use crate::store::store::Shared;

/// Numbers of arrival tell so many blocks of a part apart.
const BLOCK_BITS: u32 = 20;

/// A block to read, and the first and last time in it of what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WantedBlock {
    pub at: usize,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// What a request asks of every part.
pub(super) struct Asked {
    clauses: Clauses,
    /// Streams that were met, and whether they are asked for: most are in many parts.
    streams: Mutex<HashMap<StreamId, bool>>,
}

impl Asked {
    pub fn new(request: &ScanRequest) -> Asked {
        Asked { clauses: Clauses::new(&request.hints), streams: Mutex::default() }
    }

    fn selected(&self, request: &ScanRequest, streams: &[StreamRow]) -> Vec<bool> {
        let mut known = self.streams.lock();
        let selects = |row: &StreamRow| {
            *known.entry(row.meta.id).or_insert_with(|| {
                matches(&request.tenant, &request.matchers, &row.tenant, &row.meta)
            })
        };
        streams.iter().map(selects).collect()
    }
}

/// What a scan reads of a part.
pub(super) struct PartPlan {
    pub part: Arc<Part>,
    pub opened: Arc<Opened>,
    range: TimeRange,
    selected: Vec<bool>,
    /// Delete requests that may hide rows of it.
    pub hidden: Vec<Arc<Active>>,
    /// In the order that was wished for.
    pub blocks: Vec<WantedBlock>,
    /// Every row of the selected streams lies in the range.
    pub whole: bool,
    /// The part has rows that were asked for, as far as times and streams tell.
    touched: bool,
}

impl PartPlan {
    /// A part that cannot be read is moved aside, and the scan fails.
    pub fn new(
        shared: &Shared,
        part: &Arc<Part>,
        hidden: Vec<Arc<Active>>,
        asked: &Asked,
        request: &ScanRequest,
    ) -> Result<PartPlan, ReadError> {
        let opened = shared.cache.open(part).map_err(|error| shared.note_fault(part, error))?;
        let mut plan = PartPlan {
            part: part.clone(),
            selected: asked.selected(request, &opened.table.streams),
            opened,
            hidden,
            range: request.range,
            blocks: Vec::new(),
            whole: true,
            touched: false,
        };
        plan.find_blocks();
        // What is left of it is nothing that a sink may keep.
        plan.whole &= plan.hidden.is_empty();
        plan.touched = !plan.blocks.is_empty();
        if plan.touched && !asked.clauses.is_empty() {
            plan.prune(shared, &asked.clauses).map_err(|error| shared.note_fault(part, error))?;
        }
        match request.order {
            Order::Any => {}
            Order::OldestFirst => plan.blocks.sort_by_key(|block| block.first),
            Order::NewestFirst => {
                plan.blocks.sort_by_key(|block| std::cmp::Reverse(block.last));
            }
        }
        Ok(plan)
    }

    /// What is hidden, for one thread; `None` when nothing can be.
    pub fn hiding(&self) -> Option<Hiding> {
        Hiding::new(self.hidden.iter().cloned())
    }

    /// For `RowSink::block`.
    pub fn arrival(&self, block: WantedBlock) -> u64 {
        (self.part.info.order << BLOCK_BITS) + block.at as u64
    }

    /// Counts what need not be read.
    pub fn note(&self, stats: &mut ScanStats) {
        stats.blocks_pruned += (self.opened.table.blocks.len() - self.blocks.len()) as u64;
        stats.parts += u64::from(self.touched);
        stats.parts_pruned += u64::from(!self.touched);
    }

    pub fn is_selected(&self, run: &RunRow) -> bool {
        self.has_stream(run) && self.range.touches(run.first, run.last)
    }

    fn has_stream(&self, run: &RunRow) -> bool {
        self.selected.get(run.stream as usize).copied().unwrap_or_default()
    }

    fn find_blocks(&mut self) {
        if !self.selected.contains(&true) {
            return;
        }
        let inside =
            self.range.contains(self.part.first()) && self.range.contains(self.part.last());
        let mut blocks = Vec::with_capacity(self.opened.table.blocks.len());
        let mut whole = true;
        for (at, block) in self.opened.table.blocks.iter().enumerate() {
            let mut span: Option<(Timestamp, Timestamp)> = None;
            for run in block.runs.iter().filter(|run| self.has_stream(run)) {
                let wholly =
                    inside || (self.range.contains(run.first) && self.range.contains(run.last));
                whole &= wholly;
                if wholly || self.range.touches(run.first, run.last) {
                    let (first, last) = span.unwrap_or((run.first, run.last));
                    span = Some((first.min(run.first), last.max(run.last)));
                }
            }
            blocks.extend(span.map(|(first, last)| WantedBlock { at, first, last }));
        }
        (self.blocks, self.whole) = (blocks, whole);
    }

    fn prune(
        &mut self,
        shared: &Shared,
        clauses: &Clauses,
    ) -> Result<(), crate::store::error::StoreError> {
        let mut alive = BlockSet::none(self.opened.table.blocks.len());
        self.blocks.iter().for_each(|block| alive.insert(block.at));
        clauses.prune(&self.part, &self.opened, &shared.cache, &self.selected, &mut alive)?;
        self.blocks.retain(|block| alive.contains(block.at));
        Ok(())
    }
}
