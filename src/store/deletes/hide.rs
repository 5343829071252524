//! Which rows of a part are hidden, as one snapshot of the store sees it.

use std::sync::Arc;

use super::book::DeleteRequest;
use super::{Language, RowWorker, Selection};
use crate::model::{TimeRange, Timestamp};
use crate::store::block::BlockBuf;
use crate::store::manifest::PartInfo;
use crate::store::part::{BlockRow, StreamRow};
use crate::store::read::{Hints, StreamMeta};

/// A request that waits to be carried out, ready to be used.
pub(in crate::store) struct Active {
    pub seq: u64,
    pub id: String,
    pub tenant: String,
    pub range: TimeRange,
    pub created_ns: i64,
    pub selection: Arc<Selection>,
}

impl Active {
    pub fn new(request: &DeleteRequest, language: &dyn Language) -> Result<Arc<Active>, String> {
        Ok(Arc::new(Active {
            seq: request.seq,
            id: request.id.clone(),
            tenant: request.tenant.clone(),
            range: request.range(),
            created_ns: request.created_ns,
            selection: Arc::new(language.compile(&request.query)?),
        }))
    }

    /// The same, created at this time at the latest.
    pub fn dated_back(self: &Arc<Self>, now_ns: i64) -> Arc<Active> {
        if self.created_ns <= now_ns {
            return self.clone();
        }
        Arc::new(Active {
            id: self.id.clone(),
            tenant: self.tenant.clone(),
            created_ns: now_ns,
            selection: self.selection.clone(),
            ..**self
        })
    }

    /// Whether it may mean rows of the part, as far as the list of parts tells.
    pub fn concerns(&self, info: &PartInfo) -> bool {
        self.seq > info.deletes_seq && self.touches(info)
    }

    pub fn touches(&self, info: &PartInfo) -> bool {
        self.range.touches(Timestamp(info.first_ns), Timestamp(info.last_ns))
    }

    fn selects(&self, tenant: &str, stream: &StreamMeta) -> bool {
        self.tenant == tenant
            && self
                .selection
                .matchers
                .iter()
                .all(|m| m.matches(stream.labels.get(&m.name).unwrap_or_default()))
    }
}

/// All requests in force; part of each snapshot of the store.
#[derive(Clone, Default)]
pub(in crate::store) struct Hidden {
    /// By number.
    pub active: Arc<Vec<Arc<Active>>>,
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hidden").field("requests", &self.active.len()).finish()
    }
}

impl Hidden {
    /// What is hidden of a part, of one tenant; `None` when nothing can be, which is nearly
    /// always.
    pub fn of(&self, info: &PartInfo, tenant: &str) -> Option<Hiding> {
        Hiding::new(self.concerning(info, tenant).into_iter())
    }

    /// Requests of a tenant that may hide rows of a part.
    pub fn concerning(&self, info: &PartInfo, tenant: &str) -> Vec<Arc<Active>> {
        let of_tenant = self.active.iter().filter(|active| active.tenant == tenant);
        of_tenant.filter(|active| active.concerns(info)).cloned().collect()
    }

    /// Requests that would mean rows of the part had these not come later. Parts that differ in
    /// this cannot be merged.
    pub fn exempt(&self, info: &PartInfo) -> Vec<u64> {
        let exempt = |active: &&Arc<Active>| active.touches(info) && !active.concerns(info);
        self.active.iter().filter(exempt).map(|active| active.seq).collect()
    }
}

struct Rule {
    active: Arc<Active>,
    worker: Option<Box<dyn RowWorker>>,
    /// Whether the current stream is selected.
    selected: bool,
}

/// Requests applied to one part, by one thread.
pub(in crate::store) struct Hiding {
    rules: Vec<Rule>,
}

impl Hiding {
    pub fn new(requests: impl Iterator<Item = Arc<Active>>) -> Option<Hiding> {
        let rules: Vec<Rule> = requests
            .map(|active| Rule {
                worker: active.selection.rows.as_ref().map(|rows| rows.worker()),
                active,
                selected: false,
            })
            .collect();
        (!rules.is_empty()).then_some(Hiding { rules })
    }

    /// Whether rows of a stream in this span may be hidden.
    pub fn may_hide(&self, tenant: &str, meta: &StreamMeta, span: (Timestamp, Timestamp)) -> bool {
        self.rules.iter().any(|rule| {
            rule.active.range.touches(span.0, span.1) && rule.active.selects(tenant, meta)
        })
    }

    /// Whether all rows of a stream in this span are hidden, without a look at them.
    pub fn hides_all(&self, tenant: &str, meta: &StreamMeta, span: (Timestamp, Timestamp)) -> bool {
        self.rules.iter().any(|rule| {
            let range = rule.active.range;
            rule.worker.is_none()
                && range.contains(span.0)
                && range.contains(span.1)
                && rule.active.selects(tenant, meta)
        })
    }

    /// What the lines of each request must hold, to find blocks by.
    pub fn hints(&self) -> impl Iterator<Item = &Hints> {
        self.rules.iter().map(|rule| &rule.active.selection.hints)
    }

    /// Rows that are asked about next are of this stream.
    pub fn set_stream(&mut self, tenant: &str, meta: &StreamMeta) {
        for rule in &mut self.rules {
            rule.selected = rule.active.selects(tenant, meta);
            if let (true, Some(worker)) = (rule.selected, &mut rule.worker) {
                worker.set_stream(&meta.labels);
            }
        }
    }

    /// Whether a row of a block is hidden. The block must be read with lines and metadata.
    pub fn hides(&mut self, block: &BlockBuf, row: usize) -> bool {
        let ts = block.ts(row);
        self.rules.iter_mut().any(|rule| {
            rule.selected
                && rule.active.range.contains(ts)
                && rule.worker.as_mut().is_none_or(|worker| {
                    let mut metadata =
                        (0..block.metadata_len(row)).map(|at| block.metadata(row, at));
                    worker.matches(ts, block.line(row), &mut metadata)
                })
        })
    }

    /// Whether a block that was read whole holds a hidden row.
    pub fn hides_any(&mut self, streams: &[StreamRow], row: &BlockRow, block: &BlockBuf) -> bool {
        let mut start = 0;
        for run in &row.runs {
            let rows = start..start + run.rows as usize;
            start = rows.end;
            let Some(stream) = streams.get(run.stream as usize) else { continue };
            if !self.may_hide(&stream.tenant, &stream.meta, (run.first, run.last)) {
                continue;
            }
            self.set_stream(&stream.tenant, &stream.meta);
            for at in rows {
                if self.hides(block, at) {
                    return true;
                }
            }
        }
        false
    }
}
