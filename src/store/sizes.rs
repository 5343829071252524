//! Where the bytes of parts go, for measurements.

use super::error::StoreError;
use super::store::Store;

/// Bytes on disk, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    pub blocks: u64,
    /// Headers, stream runs and times.
    pub counting: u64,
    pub metadata: u64,
    pub lines: u64,
    pub filters: u64,
    pub index: u64,
    /// Tables, footers and what else there is.
    pub rest: u64,
}

impl Store {
    pub fn sizes(&self) -> Result<Sizes, StoreError> {
        let mut sizes = Sizes::default();
        let parts = self.shared.state.read().parts.clone();
        for part in parts.iter() {
            let opened = self.shared.cache.open(part)?;
            let mut counted = 0;
            for block in &opened.table.blocks {
                let (counting, metadata) = (block.counting_bytes, block.metadata_bytes);
                let filter = u64::from(block.filter_bytes.unwrap_or_default());
                sizes.blocks += 1;
                sizes.counting += u64::from(counting);
                sizes.metadata += u64::from(metadata.saturating_sub(counting));
                sizes.lines += u64::from(block.bytes.saturating_sub(metadata));
                sizes.filters += filter;
                counted += u64::from(block.bytes) + filter;
            }
            let index: u64 = opened.table.index.iter().map(|file| file.bytes).sum();
            sizes.index += index;
            sizes.rest += opened.disk_bytes.saturating_sub(counted + index);
        }
        Ok(sizes)
    }
}
