//! Reading: from a request to rows. A scan takes a snapshot of heads and parts and walks it
//! from the end that is wanted first; nothing it does holds up ingest.

mod head_rows;
mod part_rows;

use std::collections::HashSet;
use std::sync::Arc;

use super::deletes::{Hidden, Hiding};
use super::part::{Clauses, Part};
use super::read::{
    Flow, LogRead, Order, ReadError, RowSink, ScanRequest, ScanStats, StreamMeta, StreamStats,
};
use super::state::HeadUnit;
use super::store::Store;
use crate::model::{Matcher, StreamId, TimeRange, Timestamp};

/// A scan on its way.
pub(super) struct Progress<'a> {
    pub request: &'a ScanRequest,
    pub sink: &'a mut dyn RowSink,
    pub stats: ScanStats,
    /// What delete requests hide of the parts.
    pub hidden: Hidden,
    streams: HashSet<StreamId>,
}

impl Progress<'_> {
    pub fn check_cancel(&self) -> Result<(), ReadError> {
        if self.request.cancel.is_cancelled() { Err(ReadError::Cancelled) } else { Ok(()) }
    }

    /// Asks the sink about the piece of a span that lies in the range.
    pub fn wants(&mut self, first: Timestamp, last: Timestamp) -> bool {
        let range = self.request.range;
        let end = Timestamp(range.end.0.saturating_sub(1));
        self.sink.wants(first.max(range.start), last.min(end))
    }

    pub fn spend(&mut self, bytes: u64) -> Result<(), ReadError> {
        self.stats.bytes += bytes;
        let bytes_max = self.request.bytes_max;
        if self.stats.bytes > bytes_max { Err(ReadError::Budget { bytes_max }) } else { Ok(()) }
    }

    pub fn note_stream(&mut self, id: StreamId) {
        if self.streams.insert(id) {
            self.stats.streams += 1;
        }
    }
}

pub(super) fn matches(
    tenant: &str,
    matchers: &[Matcher],
    of_tenant: &str,
    meta: &StreamMeta,
) -> bool {
    of_tenant == tenant
        && matchers.iter().all(|m| m.matches(meta.labels.get(&m.name).unwrap_or_default()))
}

enum Source {
    Head(Arc<HeadUnit>),
    Part(Arc<Part>),
}

impl LogRead for Store {
    fn streams(
        &self,
        tenant: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<StreamStats>, ReadError> {
        let snapshot = self.shared.state.read().clone();
        let mut found: Vec<StreamStats> = Vec::new();
        for unit in snapshot.heads() {
            for stats in unit.head.stats(range, &|t, meta| matches(tenant, matchers, t, meta)) {
                found.push(StreamStats {
                    stream: stats.meta,
                    entries: stats.entries,
                    bytes: stats.bytes,
                    chunks: 1,
                    first: stats.first,
                    last: stats.last,
                });
            }
        }
        for part in snapshot.parts.iter().filter(|part| part.touches(range)) {
            let hiding = snapshot.hidden.of(&part.info, tenant);
            self.part_streams(part, hiding.as_ref(), tenant, matchers, range, &mut found)?;
        }
        Ok(merged(found))
    }

    fn scan(&self, request: &ScanRequest, sink: &mut dyn RowSink) -> Result<ScanStats, ReadError> {
        let snapshot = self.shared.state.read().clone();
        let mut parts: Vec<&Arc<Part>> = snapshot.parts.iter().collect();
        let mut sources: Vec<Source> = Vec::with_capacity(parts.len() + 3);
        match request.order {
            Order::Any | Order::NewestFirst => {
                sources.extend(snapshot.heads().rev().cloned().map(Source::Head));
                parts.sort_by_key(|part| std::cmp::Reverse(part.last()));
                sources.extend(parts.into_iter().cloned().map(Source::Part));
            }
            Order::OldestFirst => {
                parts.sort_by_key(|part| part.first());
                sources.extend(parts.into_iter().cloned().map(Source::Part));
                sources.extend(snapshot.heads().cloned().map(Source::Head));
            }
        }
        let hidden = snapshot.hidden.clone();
        drop(snapshot);
        let clauses = Clauses::new(&request.hints);
        let mut buffers = part_rows::Buffers::new()?;
        let stats = ScanStats::default();
        let mut progress = Progress { request, sink, stats, hidden, streams: HashSet::new() };
        for source in sources {
            let flow = match &source {
                Source::Head(unit) => head_rows::scan(&unit.head, &mut progress)?,
                Source::Part(part) => {
                    part_rows::scan(&self.shared, part, &clauses, &mut progress, &mut buffers)?
                }
            };
            if flow == Flow::Stop {
                break;
            }
        }
        Ok(progress.stats)
    }
}

impl Store {
    /// From the table of a part alone: pieces of blocks at the edges count whole.
    fn part_streams(
        &self,
        part: &Arc<Part>,
        hiding: Option<&Hiding>,
        tenant: &str,
        matchers: &[Matcher],
        range: TimeRange,
        found: &mut Vec<StreamStats>,
    ) -> Result<(), ReadError> {
        let opened =
            self.shared.cache.open(part).map_err(|error| self.shared.note_fault(part, error))?;
        let table = &opened.table;
        let mut of_stream: Vec<Option<StreamStats>> = vec![None; table.streams.len()];
        let selected: Vec<bool> = table
            .streams
            .iter()
            .map(|row| matches(tenant, matchers, &row.tenant, &row.meta))
            .collect();
        for run in table.blocks.iter().flat_map(|block| &block.runs) {
            let at = run.stream as usize;
            if !range.touches(run.first, run.last) || selected.get(at) != Some(&true) {
                continue;
            }
            let (Some(slot), Some(row)) = (of_stream.get_mut(at), table.streams.get(at)) else {
                continue;
            };
            let span = (run.first, run.last);
            if hiding.is_some_and(|hiding| hiding.hides_all(&row.tenant, &row.meta, span)) {
                continue;
            }
            let last_inside = Timestamp(range.end.0.saturating_sub(1));
            let (first, last) = (run.first.max(range.start), run.last.min(last_inside));
            let stats = slot.get_or_insert_with(|| StreamStats {
                stream: row.meta.clone(),
                entries: 0,
                bytes: 0,
                chunks: 0,
                first,
                last,
            });
            stats.entries += u64::from(run.rows);
            stats.bytes += run.line_bytes;
            stats.chunks += 1;
            stats.first = stats.first.min(first);
            stats.last = stats.last.max(last);
        }
        found.extend(of_stream.into_iter().flatten());
        Ok(())
    }
}

/// One row a stream, sorted by labels.
fn merged(mut found: Vec<StreamStats>) -> Vec<StreamStats> {
    found.sort_by(|a, b| a.stream.labels.cmp(&b.stream.labels));
    let mut merged: Vec<StreamStats> = Vec::with_capacity(found.len());
    for stats in found {
        match merged.last_mut() {
            Some(last) if last.stream.id == stats.stream.id => {
                last.entries += stats.entries;
                last.bytes += stats.bytes;
                last.chunks += stats.chunks;
                last.first = last.first.min(stats.first);
                last.last = last.last.max(stats.last);
            }
            _ => merged.push(stats),
        }
    }
    merged
}
