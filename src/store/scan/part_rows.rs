//! Rows out of parts.

use std::ops::Range;
use std::sync::Arc;

use super::{Progress, matches};
use crate::model::Timestamp;
use crate::store::block::{BlockBuf, Wanted};
use crate::store::deletes::Hiding;
use crate::store::error::StoreError;
use crate::store::part::{BlockRow, BlockSet, Clauses, Part, RunRow, StreamRow};
use crate::store::read::{Flow, Order, ReadError, Rows};
use crate::store::store::Shared;

/// Buffers that live as long as a scan.
pub(super) struct Buffers {
    stored: Vec<u8>,
    block: BlockBuf,
}

impl Buffers {
    pub fn new() -> Result<Buffers, ReadError> {
        Ok(Buffers { stored: Vec::new(), block: BlockBuf::new()? })
    }
}

struct BlockRows<'a> {
    block: &'a BlockBuf,
    from: usize,
    to: usize,
}

impl Rows for BlockRows<'_> {
    fn len(&self) -> usize {
        self.to - self.from
    }
    fn ts(&self, row: usize) -> Timestamp {
        self.block.ts(self.from + row)
    }
    fn line(&self, row: usize) -> &str {
        self.block.line(self.from + row)
    }
    fn line_bytes(&self, row: usize) -> usize {
        self.block.line_bytes(self.from + row)
    }
    fn metadata_len(&self, row: usize) -> usize {
        self.block.metadata_len(self.from + row)
    }
    fn metadata(&self, row: usize, at: usize) -> (&str, &str) {
        self.block.metadata(self.from + row, at)
    }
}

pub(super) fn scan(
    shared: &Shared,
    part: &Arc<Part>,
    clauses: &Clauses,
    progress: &mut Progress<'_>,
    buffers: &mut Buffers,
) -> Result<Flow, ReadError> {
    scan_part(shared, part, clauses, progress, buffers).map_err(|fault| match fault {
        Fault::Read(error) => error,
        Fault::Store(error) => shared.note_fault(part, error),
    })
}

enum Fault {
    Read(ReadError),
    Store(StoreError),
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Fault {
        Fault::Read(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Store(error)
    }
}

fn scan_part(
    shared: &Shared,
    part: &Arc<Part>,
    clauses: &Clauses,
    progress: &mut Progress<'_>,
    buffers: &mut Buffers,
) -> Result<Flow, Fault> {
    let request = progress.request;
    progress.check_cancel()?;
    let range = request.range;
    if !part.touches(range) || !progress.wants(part.first(), part.last()) {
        progress.stats.parts_pruned += 1;
        return Ok(Flow::Continue);
    }
    let opened = shared.cache.open(part)?;
    let table = &opened.table;
    let selected: Vec<bool> = table
        .streams
        .iter()
        .map(|row| matches(&request.tenant, &request.matchers, &row.tenant, &row.meta))
        .collect();
    let is_selected = |run: &RunRow| {
        selected.get(run.stream as usize).copied().unwrap_or_default()
            && range.touches(run.first, run.last)
    };
    // The span of what is wanted of each block.
    let mut wanted: Vec<(usize, Timestamp, Timestamp)> = Vec::new();
    for (at, block) in table.blocks.iter().enumerate() {
        let runs = block.runs.iter().filter(|run| is_selected(run));
        let span = runs.fold(None, |span: Option<(Timestamp, Timestamp)>, run| {
            let (first, last) = span.unwrap_or((run.first, run.last));
            Some((first.min(run.first), last.max(run.last)))
        });
        if let Some((first, last)) = span {
            wanted.push((at, first, last));
        }
    }
    if wanted.is_empty() {
        progress.stats.parts_pruned += 1;
        progress.stats.blocks_pruned += table.blocks.len() as u64;
        return Ok(Flow::Continue);
    }
    let candidates = wanted.len();
    if !clauses.is_empty() {
        let mut alive = BlockSet::none(table.blocks.len());
        wanted.iter().for_each(|(at, _, _)| alive.insert(*at));
        let index = shared.cache.index(part, &opened)?;
        clauses.prune(&opened, &index, &mut alive)?;
        wanted.retain(|(at, _, _)| alive.contains(*at));
    }
    progress.stats.blocks_pruned += (table.blocks.len() - wanted.len()) as u64;
    progress.stats.parts += 1;
    debug_assert!(wanted.len() <= candidates);
    match request.order {
        Order::Any => {}
        Order::OldestFirst => wanted.sort_by_key(|(_, first, _)| *first),
        Order::NewestFirst => wanted.sort_by_key(|(_, _, last)| std::cmp::Reverse(*last)),
    }
    let mut hiding = progress.hidden.of(&part.info, &request.tenant);
    let columns = match hiding {
        Some(_) => Wanted::WHOLE,
        None => Wanted { lines: request.need_lines, metadata: request.need_metadata },
    };
    for (at, first, last) in wanted {
        progress.check_cancel()?;
        if !progress.wants(first, last) {
            progress.stats.blocks_pruned += 1;
            continue;
        }
        let Some(block) = table.blocks.get(at) else { continue };
        progress.stats.bytes_compressed +=
            opened.read_block(block, columns, &mut buffers.stored, &mut buffers.block)?;
        progress.stats.blocks += 1;
        let streams = &opened.table.streams;
        let hiding = hiding.as_mut();
        if block_rows(streams, block, &is_selected, progress, &buffers.block, hiding)? == Flow::Stop
        {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Continue)
}

/// The first rows of some that are not hidden and lie side by side.
fn visible(
    hiding: Option<&mut Hiding>,
    stream: &StreamRow,
    span: (Timestamp, Timestamp),
    block: &BlockBuf,
    rows: Range<usize>,
) -> Option<(usize, usize)> {
    let hiding = hiding.filter(|hiding| hiding.may_hide(&stream.tenant, &stream.meta, span));
    let Some(hiding) = hiding else {
        return (!rows.is_empty()).then_some((rows.start, rows.end));
    };
    hiding.set_stream(&stream.tenant, &stream.meta);
    let start = rows.clone().find(|row| !hiding.hides(block, *row))?;
    let end = (start + 1..rows.end).find(|row| hiding.hides(block, *row));
    Some((start, end.unwrap_or(rows.end)))
}

fn block_rows(
    streams: &[StreamRow],
    block: &BlockRow,
    is_selected: &dyn Fn(&RunRow) -> bool,
    progress: &mut Progress<'_>,
    buffer: &BlockBuf,
    mut hiding: Option<&mut Hiding>,
) -> Result<Flow, ReadError> {
    let range = progress.request.range;
    let mut start = 0;
    for run in &block.runs {
        let end = start + run.rows as usize;
        let times = buffer.times().get(start..end).unwrap_or_default();
        let from = start + times.partition_point(|ts| *ts < range.start.0);
        let to = start + times.partition_point(|ts| *ts < range.end.0);
        start = end;
        if !is_selected(run) || from >= to {
            continue;
        }
        let Some(stream) = streams.get(run.stream as usize) else { continue };
        // Without delete requests that is all of it.
        let mut from = from;
        while let Some((start, end)) =
            visible(hiding.as_deref_mut(), stream, (run.first, run.last), buffer, from..to)
        {
            progress.stats.rows += (end - start) as u64;
            progress.spend(buffer.lines_bytes(start..end))?;
            progress.note_stream(stream.meta.id);
            let rows = BlockRows { block: buffer, from: start, to: end };
            if progress.sink.rows(&stream.meta, &rows)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            from = end;
        }
    }
    Ok(Flow::Continue)
}
