//! Walks through all rows of a part in its order. A block is read only when a row of it is
//! looked at; before that it can be skipped or taken over as it is.

use std::sync::Arc;

use super::file::Opened;
use super::table::BlockRow;
use crate::model::Timestamp;
use crate::store::block::{BlockBuf, Wanted};
use crate::store::error::StoreError;

pub struct Cursor {
    opened: Arc<Opened>,
    stored: Vec<u8>,
    buffer: BlockBuf,
    loaded: bool,
    block: usize,
    run: usize,
    row: usize,
    run_end: usize,
}

impl Cursor {
    pub fn new(opened: Arc<Opened>) -> Result<Cursor, StoreError> {
        let buffer = BlockBuf::new().map_err(|error| opened.damaged(error.to_string()))?;
        let mut cursor = Cursor {
            opened,
            stored: Vec::new(),
            buffer,
            loaded: false,
            block: 0,
            run: 0,
            row: 0,
            run_end: 0,
        };
        cursor.settle();
        Ok(cursor)
    }

    pub fn opened(&self) -> &Arc<Opened> {
        &self.opened
    }

    /// The current block; `None` at the end.
    pub fn block(&self) -> Option<&BlockRow> {
        self.opened.table.blocks.get(self.block)
    }

    pub fn block_at(&self) -> usize {
        self.block
    }

    pub fn is_at_block_start(&self) -> bool {
        self.row == 0
    }

    /// Number of the current stream in this part; `None` at the end.
    pub fn stream_at(&self) -> Option<u32> {
        self.block()?.runs.get(self.run).map(|run| run.stream)
    }

    /// The time of the current row. Known for the first row of a block before it is read.
    pub fn ts(&self) -> Timestamp {
        if self.loaded {
            return self.buffer.ts(self.row);
        }
        self.block().and_then(|block| block.runs.get(self.run)).map_or(Timestamp::MAX, |r| r.first)
    }

    /// Reads the current block, unless that was done. Rows can be looked at then.
    pub fn load(&mut self) -> Result<(), StoreError> {
        if self.loaded {
            return Ok(());
        }
        let Some(block) = self.opened.table.blocks.get(self.block) else { return Ok(()) };
        self.opened.read_block(block, Wanted::WHOLE, &mut self.stored, &mut self.buffer)?;
        self.loaded = true;
        Ok(())
    }

    /// The current block, read, and the current row in it.
    pub fn row(&self) -> (&BlockBuf, usize) {
        (&self.buffer, self.row)
    }

    pub fn line(&self) -> &str {
        self.buffer.line(self.row)
    }

    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.buffer.metadata_len(self.row)).map(|at| self.buffer.metadata(self.row, at))
    }

    /// To the next row of a block that was read.
    pub fn advance(&mut self) {
        self.row += 1;
        if self.row >= self.run_end {
            self.run += 1;
            self.settle();
        }
    }

    /// To the first row of the next block.
    pub fn skip_block(&mut self) {
        self.start_block(self.block + 1);
        self.settle();
    }

    /// The bytes of the current block as they are on disk, checksums compared.
    pub fn stored_block(&mut self) -> Result<&[u8], StoreError> {
        if let Some(block) = self.opened.table.blocks.get(self.block) {
            self.opened.read_stored(block, &mut self.stored)?;
        }
        Ok(&self.stored)
    }

    fn start_block(&mut self, at: usize) {
        self.block = at;
        self.loaded = false;
        (self.run, self.row, self.run_end) = (0, 0, 0);
    }

    /// Goes on to a run that has rows.
    fn settle(&mut self) {
        while let Some(block) = self.opened.table.blocks.get(self.block) {
            match block.runs.get(self.run) {
                Some(run) => {
                    self.run_end = self.row + run.rows as usize;
                    if run.rows > 0 {
                        return;
                    }
                    self.run += 1;
                }
                None => self.start_block(self.block + 1),
            }
        }
    }
}
