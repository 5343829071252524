//! Rows out of parts.

use super::Progress;
use super::plan::{PartPlan, WantedBlock};
use crate::model::Timestamp;
use crate::store::block::{BlockBuf, Wanted};
use crate::store::error::StoreError;
use crate::store::part::{BlockRow, Opened};
use crate::store::read::{Flow, ReadError, Rows};
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
        let times = Wanted { lines: false, metadata: false };
        opened.read_block(block, times, &mut self.stored, &mut self.block)?;
        Ok(self.block.times())
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
    fn times(&self) -> Option<&[i64]> {
        self.block.times().get(self.from..self.to)
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
    let columns = Wanted { lines: request.need_lines, metadata: request.need_metadata };
    progress.stats.bytes_compressed += plan
        .opened
        .read_block(block, columns, &mut buffers.stored, &mut buffers.block)
        .map_err(|error| shared.note_fault(&plan.part, error))?;
    progress.stats.blocks += 1;
    block_rows(plan, block, progress, &buffers.block)
}

fn block_rows(
    plan: &PartPlan,
    block: &BlockRow,
    progress: &mut Progress<'_>,
    buffer: &BlockBuf,
) -> Result<Flow, ReadError> {
    let range = progress.request.range;
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
        progress.stats.rows += (to - from) as u64;
        progress.spend(buffer.lines_bytes(from..to))?;
        progress.note_stream(stream.meta.id);
        let rows = BlockRows { block: buffer, from, to };
        if progress.sink.rows(&stream.meta, &rows)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Continue)
}
