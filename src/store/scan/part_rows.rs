//! Rows out of parts.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;

use super::Progress;
use super::plan::{PartPlan, WantedBlock};
use crate::model::Timestamp;
use crate::store::block::{BlockBuf, BuiltLines, Wanted};
use crate::store::deletes::Hiding;
use crate::store::error::StoreError;
use crate::store::part::{BlockRow, Opened, StreamRow};
use crate::store::read::{Column, Flow, ReadError, Rows, Seek, Shape, Shaped};
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

    /// The times of all rows of a block.
    pub fn read_times(&mut self, opened: &Opened, block: &BlockRow) -> Result<&[i64], StoreError> {
        let times = Wanted { lines: false, line_bytes: false, columns: true, metadata: false };
        opened.read_block(block, times, &mut self.stored, &mut self.block)?;
        Ok(self.block.times())
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
    fn seek(
        &self,
        shape: usize,
        hole: usize,
        question: Seek<'_>,
    ) -> Result<Option<Vec<u32>>, ReadError> {
        self.checked(self.block.seek(shape, hole, question))
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

/// Reads one block of a part and hands over what was asked for of it.
pub(super) fn scan_block(
    shared: &Shared,
    plan: &PartPlan,
    wanted: WantedBlock,
    progress: &mut Progress<'_>,
    buffers: &mut Buffers,
) -> Result<Flow, ReadError> {
    progress.check_cancel()?;
    let request = progress.request;
    let Some(block) = plan.opened.table.blocks.get(wanted.at) else { return Ok(Flow::Continue) };
    let mut columns = Wanted {
        // Lengths of lines lie with the lines.
        lines: request.need_lines || request.need_line_bytes,
        line_bytes: request.need_line_bytes,
        columns: request.columns || !request.need_lines,
        metadata: request.need_metadata,
    };
    if !plan.hidden.is_empty() {
        // Delete requests look at whole rows.
        columns = Wanted { line_bytes: columns.line_bytes, ..Wanted::WHOLE };
    }
    progress.stats.bytes_compressed += plan
        .opened
        .read_block(block, columns, &mut buffers.stored, &mut buffers.block)
        .map_err(|error| shared.note_fault(&plan.part, error))?;
    progress.stats.blocks += 1;
    progress.sink.block(plan.arrival(wanted));
    block_rows(plan, block, progress, &buffers.block).map_err(|fault| match fault {
        Fault::Read(error) => error,
        Fault::Store(error) => shared.note_fault(&plan.part, error),
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

/// The first rows of some that are not hidden and lie side by side.
fn visible(
    hiding: Option<&mut Hiding>,
    stream: &StreamRow,
    span: (Timestamp, Timestamp),
    block: &BlockBuf,
    rows: Range<usize>,
) -> Option<Range<usize>> {
    let hiding = hiding.filter(|hiding| hiding.may_hide(&stream.tenant, &stream.meta, span));
    let Some(hiding) = hiding else { return (!rows.is_empty()).then_some(rows) };
    hiding.set_stream(&stream.tenant, &stream.meta);
    let start = rows.clone().find(|row| !hiding.hides(block, *row))?;
    let end = (start + 1..rows.end).find(|row| hiding.hides(block, *row));
    Some(start..end.unwrap_or(rows.end))
}

fn block_rows(
    plan: &PartPlan,
    block: &BlockRow,
    progress: &mut Progress<'_>,
    buffer: &BlockBuf,
) -> Result<Flow, Fault> {
    let range = progress.request.range;
    let mut hiding = plan.hiding();
    let exposed = progress.request.columns && progress.request.need_lines && plan.hidden.is_empty();
    let metadata_bytes =
        if progress.request.need_metadata { block.metadata_raw_bytes() } else { 0 };
    let mut start = 0;
    for run in &block.runs {
        let end = start + run.rows as usize;
        let times = buffer.times().get(start..end).unwrap_or_default();
        let from = start + times.partition_point(|ts| *ts < range.start.0);
        let to = start + times.partition_point(|ts| *ts < range.end.0);
        start = end;
        if !plan.is_selected(run) || from >= to {
            continue;
        }
        let Some(stream) = plan.opened.table.streams.get(run.stream as usize) else { continue };
        // Without delete requests that is all of it.
        let mut rest = from..to;
        while let Some(found) =
            visible(hiding.as_mut(), stream, (run.first, run.last), buffer, rest.clone())
        {
            rest.start = found.end;
            progress.stats.rows += found.len() as u64;
            // Of a run that is cut by the range, its share.
            let share = |bytes: u64, of_rows: u32| {
                let bytes = u128::from(bytes) * found.len() as u128 / u128::from(of_rows.max(1));
                u64::try_from(bytes).unwrap_or(u64::MAX)
            };
            progress.spend(share(run.line_bytes, run.rows))?;
            progress.charge(share(metadata_bytes, block.rows))?;
            progress.note_stream(stream.meta.id);
            let rows = BlockRows {
                block: buffer,
                from: found.start,
                to: found.end,
                exposed,
                lines: OnceCell::new(),
                scratch: RefCell::default(),
                damaged: Cell::new(false),
            };
            let flow = progress.sink.rows(&stream.meta, &rows);
            if rows.damaged.get() {
                let what = format!("lines of the block at {}", block.offset);
                return Err(StoreError::Damaged { path: plan.part.path().to_owned(), what }.into());
            }
            rows.give_back();
            if flow? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
    }
    Ok(Flow::Continue)
}
