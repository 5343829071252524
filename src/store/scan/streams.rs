//! Which streams there are and how much of them, from heads and the tables of parts.

use std::sync::Arc;

use hashbrown::HashMap;

use super::matches;
use crate::model::{Matcher, StreamId, TimeRange, Timestamp};
use crate::store::deletes::Hiding;
use crate::store::head::HeadStats;
use crate::store::part::{Part, RunRow};
use crate::store::read::{Cancel, ReadError, StreamMeta, StreamStats};
use crate::store::store::Shared;

/// Blocks of a part whose times are read to count exactly: a few milliseconds.
const EDGES_MAX: usize = 64;

pub(super) fn streams(
    shared: &Shared,
    tenant: &str,
    matchers: &[Matcher],
    range: TimeRange,
    cancel: &Cancel,
) -> Result<Vec<StreamStats>, ReadError> {
    let snapshot = shared.state.read().clone();
    let mut found = Found::default();
    for unit in snapshot.heads() {
        cancel.check()?;
        for stats in unit.head.stats(range, &|t, meta| matches(tenant, matchers, t, meta)) {
            let HeadStats { meta, entries, bytes, first, last } = stats;
            found.add(&meta, entries, bytes, (first, last));
        }
    }
    for part in snapshot.parts.iter().filter(|part| part.touches(range)) {
        cancel.check()?;
        let hiding = snapshot.hidden.of(&part.info, tenant);
        of_part(shared, part, hiding.as_ref(), tenant, matchers, range, &mut found)?;
    }
    Ok(found.sorted())
}

/// One row a stream, however many parts it is in.
#[derive(Default)]
struct Found {
    streams: HashMap<StreamId, StreamStats>,
}

impl Found {
    fn add(&mut self, meta: &StreamMeta, entries: u64, bytes: u64, span: (Timestamp, Timestamp)) {
        let (first, last) = span;
        let stats = self.streams.entry(meta.id).or_insert_with(|| StreamStats {
            stream: meta.clone(),
            entries: 0,
            bytes: 0,
            chunks: 0,
            first,
            last,
        });
        stats.entries += entries;
        stats.bytes += bytes;
        stats.chunks += 1;
        stats.first = stats.first.min(first);
        stats.last = stats.last.max(last);
    }

    fn sorted(self) -> Vec<StreamStats> {
        let mut all: Vec<StreamStats> = self.streams.into_values().collect();
        all.sort_by(|a, b| a.stream.labels.cmp(&b.stream.labels));
        all
    }
}

/// From the table of a part; of blocks that reach over an end of the range the times are read,
/// as long as they are few.
fn of_part(
    shared: &Shared,
    part: &Arc<Part>,
    hiding: Option<&Hiding>,
    tenant: &str,
    matchers: &[Matcher],
    range: TimeRange,
    found: &mut Found,
) -> Result<(), ReadError> {
    let noted = |error| shared.note_fault(part, error);
    let opened = shared.cache.open(part).map_err(noted)?;
    let table = &opened.table;
    let selected: Vec<bool> =
        table.streams.iter().map(|row| matches(tenant, matchers, &row.tenant, &row.meta)).collect();
    let is_selected = |run: &RunRow| {
        selected.get(run.stream as usize) == Some(&true) && range.touches(run.first, run.last)
    };
    let reaches_over =
        |run: &RunRow| is_selected(run) && !(range.contains(run.first) && range.contains(run.last));
    let edges = table.blocks.iter().filter(|block| block.runs.iter().any(reaches_over)).count();
    let exact = edges > 0 && edges <= EDGES_MAX;
    let mut buffers = if exact { Some(shared.pool.take_buffers()?) } else { None };
    let last_inside = Timestamp(range.end.0.saturating_sub(1));
    for block in &table.blocks {
        let mut times: &[i64] = &[];
        if let Some(buffers) = &mut buffers
            && block.runs.iter().any(reaches_over)
        {
            times = buffers.read_times(&opened, block).map_err(noted)?;
        }
        for run in &block.runs {
            let (of_run, rest) = times.split_at_checked(run.rows as usize).unwrap_or_default();
            times = rest;
            let Some(row) = table.streams.get(run.stream as usize) else { continue };
            if !is_selected(run) {
                continue;
            }
            let span = (run.first, run.last);
            if hiding.is_some_and(|hiding| hiding.hides_all(&row.tenant, &row.meta, span)) {
                continue;
            }
            let mut rows = u64::from(run.rows);
            let (mut first, mut last) = (run.first.max(range.start), run.last.min(last_inside));
            if !of_run.is_empty() {
                let from = of_run.partition_point(|ts| *ts < range.start.0);
                let to = of_run.partition_point(|ts| *ts < range.end.0);
                let inside = of_run.get(from..to).unwrap_or_default();
                let (Some(start), Some(end)) = (inside.first(), inside.last()) else { continue };
                rows = inside.len() as u64;
                (first, last) = (Timestamp(*start), Timestamp(*end));
            }
            // Lines of a run are about equally long.
            found.add(&row.meta, rows, share(run.line_bytes, rows, run.rows), (first, last));
        }
    }
    if let Some(buffers) = buffers {
        shared.pool.give_buffers(buffers);
    }
    Ok(())
}

/// So much of `bytes` as `rows` are of `all`, rounded up.
fn share(bytes: u64, rows: u64, all: u32) -> u64 {
    let part = u128::from(bytes) * u128::from(rows);
    u64::try_from(part.div_ceil(u128::from(all.max(1)))).unwrap_or(u64::MAX)
}
