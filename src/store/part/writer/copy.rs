//! Takes blocks of other parts over as they are: their bytes with the checksums in them, their
//! filter, and their tokens out of the other part's index. Nothing is unpacked.

use super::{BlockRow, PartWriter};
use crate::store::error::StoreError;

/// A block of another part.
pub struct StoredBlock<'a, 'b> {
    pub bytes: &'a [u8],
    /// What the table of the other part says of it; streams already have their numbers here.
    pub row: BlockRow,
    /// `None` where the other part has none: every token may be in the block.
    pub filter: Option<&'a [u8]>,
    pub tokens: &'a mut (dyn Iterator<Item = &'b [u8]> + 'b),
    pub runs: &'a mut (dyn Iterator<Item = &'b [u8]> + 'b),
}

impl PartWriter {
    /// Adds a block behind everything that was pushed. Its rows must come after these.
    pub fn push_block(&mut self, block: StoredBlock<'_, '_>) -> Result<(), StoreError> {
        self.finish_block()?;
        block.tokens.for_each(|token| self.token_text.push(token));
        block.runs.for_each(|run| self.run_text.push(run));
        if let Some(index) = &mut self.index {
            index.add(&mut self.token_text, &mut self.run_text)?;
        }
        let filter_offset = self.filters.len() as u64;
        self.filters.extend_from_slice(block.filter.unwrap_or_default());
        let offset = self.append(block.bytes)?;
        self.table.blocks.push(BlockRow { offset, filter_offset, ..block.row });
        Ok(())
    }

    /// Number that the next stream will have.
    pub fn next_stream(&self) -> u32 {
        self.table.streams.len() as u32
    }

    pub fn is_empty(&self) -> bool {
        self.table.blocks.is_empty() && self.block.is_empty()
    }
}
