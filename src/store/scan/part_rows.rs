//! Rows out of parts.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use super::{Progress, matches};
use crate::model::Timestamp;
use crate::store::block::{BlockBuf, BuiltLines, Wanted};
use crate::store::error::StoreError;
use crate::store::part::{BlockRow, BlockSet, Clauses, Part, RunRow};
use crate::store::read::{Column, Flow, Order, ReadError, Rows, Shape, Shaped};
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
    /// Whether the request asked for columns.
    exposed: bool,
    /// Lines, when they were asked for row by row.
    lines: OnceCell<BuiltLines>,
    scratch: RefCell<Vec<u8>>,
    damaged: Cell<bool>,
}

impl BlockRows<'_> {
    /// Notes damage, so that the part is known by it and not only this query.
    fn checked<T>(&self, read: Option<T>) -> Result<T, ReadError> {
        read.ok_or_else(|| {
            self.damaged.set(true);
            ReadError::Damaged("the lines of a block".to_owned())
        })
    }

    fn give_back(self) {
        if let Some(lines) = self.lines.into_inner() {
            self.block.give_back(lines);
        }
    }
}

impl Rows for BlockRows<'_> {
    fn len(&self) -> usize {
        self.to - self.from
    }
    fn ts(&self, row: usize) -> Timestamp {
        self.block.ts(self.from + row)
    }
    fn line(&self, row: usize) -> &str {
        match self.lines.get() {
            Some(lines) => lines.line(row),
            None => self.block.line(self.from + row),
        }
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
    fn times(&self) -> Option<&[i64]> {
        self.block.times().get(self.from..self.to)
    }
    fn shaped(&self) -> Option<&dyn Shaped> {
        (self.exposed && self.block.is_shaped()).then_some(self)
    }
    fn load_lines(&self) -> Result<(), ReadError> {
        if self.block.is_shaped() && self.lines.get().is_none() {
            let lines = self.checked(self.block.build_lines(self.from..self.to))?;
            // It was empty a moment ago, and nobody else has it.
            let _ = self.lines.set(lines);
        }
        Ok(())
    }
}

impl Shaped for BlockRows<'_> {
    fn shapes(&self) -> &[Shape] {
        self.block.shapes()
    }
    fn shape_ids(&self) -> &[u16] {
        self.block.shape_ids().0.get(self.from..self.to).unwrap_or_default()
    }
    fn first_place(&self, shape: usize) -> usize {
        let (ids, places) = self.block.shape_ids();
        let rows = ids.iter().zip(places).take(self.to).skip(self.from);
        let first = rows.into_iter().find(|(id, _)| usize::from(**id) == shape);
        first.map_or(0, |(_, place)| *place as usize)
    }
    fn column(&self, shape: usize, hole: usize) -> Result<Column<'_>, ReadError> {
        self.checked(self.block.column(shape, hole))
    }
    fn line_into(&self, row: usize, out: &mut String) -> Result<(), ReadError> {
        let mut line = self.scratch.take();
        line.clear();
        let pushed = self.block.push_line(self.from + row, &mut line);
        // Pieces and values are UTF-8, so this fails on damage alone.
        let text = pushed.and_then(|()| std::str::from_utf8(&line).ok());
        let result = self.checked(text.map(|text| out.push_str(text)));
        self.scratch.replace(line);
        result
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
    let columns = Wanted {
        // Lengths of lines lie with the lines.
        lines: request.need_lines || request.need_line_bytes,
        line_bytes: request.need_line_bytes,
        columns: request.columns || !request.need_lines,
        metadata: request.need_metadata,
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
        if block_rows(part, &opened.table.streams, block, &is_selected, progress, &buffers.block)?
            == Flow::Stop
        {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Continue)
}

fn block_rows(
    part: &Part,
    streams: &[crate::store::part::StreamRow],
    block: &BlockRow,
    is_selected: &dyn Fn(&RunRow) -> bool,
    progress: &mut Progress<'_>,
    buffer: &BlockBuf,
) -> Result<Flow, Fault> {
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
        progress.stats.rows += (to - from) as u64;
        // Of a run that is cut by the range, its share.
        let bytes = u128::from(run.line_bytes) * (to - from) as u128 / u128::from(run.rows.max(1));
        progress.spend(u64::try_from(bytes).unwrap_or(u64::MAX))?;
        progress.note_stream(stream.meta.id);
        let rows = BlockRows {
            block: buffer,
            from,
            to,
            exposed: progress.request.columns && progress.request.need_lines,
            lines: OnceCell::new(),
            scratch: RefCell::default(),
            damaged: Cell::new(false),
        };
        let flow = progress.sink.rows(&stream.meta, &rows);
        if rows.damaged.get() {
            let what = format!("lines of the block at {}", block.offset);
            return Err(StoreError::Damaged { path: part.path().to_owned(), what }.into());
        }
        rows.give_back();
        if flow? == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Continue)
}
