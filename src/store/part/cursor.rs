//! Walks through all rows of a part in its order, one block in memory at a time.

use std::sync::Arc;

use super::file::Opened;
use crate::model::Timestamp;
use crate::store::block::{BlockBuf, Wanted};
use crate::store::error::StoreError;
use crate::store::read::StreamMeta;

pub struct Cursor {
    opened: Arc<Opened>,
    stored: Vec<u8>,
    buffer: BlockBuf,
    next_block: usize,
    run: usize,
    row: usize,
    run_end: usize,
}

impl Cursor {
    pub fn new(opened: Arc<Opened>) -> Result<Cursor, StoreError> {
        let buffer = BlockBuf::new().map_err(|error| opened.damaged(error.to_string()))?;
        let stored = Vec::new();
        let mut cursor =
            Cursor { opened, stored, buffer, next_block: 0, run: 0, row: 0, run_end: 0 };
        cursor.settle()?;
        Ok(cursor)
    }

    /// The stream of the current row; `None` at the end.
    pub fn stream(&self) -> Option<(&Arc<str>, &StreamMeta)> {
        let run = self.buffer.runs().get(self.run)?;
        let row = self.opened.table.streams.get(run.stream as usize)?;
        Some((&row.tenant, &row.meta))
    }

    /// Number of the current stream in this part.
    pub fn stream_at(&self) -> Option<u32> {
        self.buffer.runs().get(self.run).map(|run| run.stream)
    }

    pub fn ts(&self) -> Timestamp {
        self.buffer.ts(self.row)
    }

    pub fn line(&self) -> &str {
        self.buffer.line(self.row)
    }

    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.buffer.metadata_len(self.row)).map(|at| self.buffer.metadata(self.row, at))
    }

    pub fn advance(&mut self) -> Result<(), StoreError> {
        self.row += 1;
        if self.row >= self.run_end {
            self.run += 1;
            self.settle()?;
        }
        Ok(())
    }

    /// Goes to the next row that exists, reading the next block when this one is done.
    fn settle(&mut self) -> Result<(), StoreError> {
        loop {
            if let Some(run) = self.buffer.runs().get(self.run) {
                self.run_end = self.row + run.rows as usize;
                if run.rows > 0 {
                    return Ok(());
                }
                self.run += 1;
                continue;
            }
            let Some(block) = self.opened.table.blocks.get(self.next_block) else { return Ok(()) };
            let wanted = Wanted { lines: true, line_bytes: false, columns: false, metadata: true };
            self.opened.read_block(block, wanted, &mut self.stored, &mut self.buffer)?;
            self.next_block += 1;
            (self.run, self.row) = (0, 0);
        }
    }
}
