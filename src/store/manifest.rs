//! The list of what is in the store: parts, source positions, and where the WAL begins.
//!
//! A change of the store is the replacement of this file; everything before it is preparation
//! that a crash may throw away, everything after it is cleaning up. It is kept twice, so that
//! one damaged copy costs nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::files::Files;
use super::kept::{self, Kept};
use super::trust::Trust;

/// Raised when older versions would misread what newer ones write.
const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartInfo {
    pub id: u64,
    /// The day folder, `2026-11-20`.
    pub day: String,
    pub created_ns: i64,
    /// How many times its entries were rewritten by compaction.
    pub level: u32,
    /// Place in the order of arrival: entries of the same time come in this order.
    pub order: u64,
    pub first_ns: i64,
    pub last_ns: i64,
    pub entries: u64,
    pub streams: u64,
    pub line_bytes: u64,
    pub disk_bytes: u64,
    /// Delete requests up to this one mean nothing here: they were carried out on this part, or
    /// came before its entries.
    #[serde(default)]
    pub deletes_seq: u64,
}

/// Metadata takes at least so many times the room when it is unpacked.
pub const METADATA_RATIO: u64 = 4;
/// Of a time.
pub const ROW_BYTES: u64 = 8;

impl PartInfo {
    /// About what it is unpacked. Lines and times are counted; where they are short and metadata
    /// is long, only what it takes on disk tells.
    pub fn raw_bytes(&self) -> u64 {
        let of_rows = self.line_bytes.saturating_add(self.entries.saturating_mul(ROW_BYTES));
        of_rows.max(self.disk_bytes.saturating_mul(METADATA_RATIO))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    generation: u64,
    pub next_part: u64,
    /// Segments with lower numbers are in parts.
    pub wal_floor: u64,
    pub parts: Vec<PartInfo>,
    /// As of the end of the last sealed segment.
    pub positions: BTreeMap<String, String>,
    /// Files that were moved to the quarantine folder and why.
    #[serde(default)]
    pub quarantined: Vec<String>,
    /// How far the clock is believed; earlier versions did not say.
    #[serde(default)]
    pub(super) clock: Option<Trust>,
}

impl Default for Manifest {
    fn default() -> Self {
        Manifest {
            version: VERSION,
            generation: 0,
            next_part: 1,
            wal_floor: 1,
            parts: Vec::new(),
            positions: BTreeMap::new(),
            quarantined: Vec::new(),
            clock: None,
        }
    }
}

impl Kept for Manifest {
    const NAMES: [&'static str; 2] = ["manifest", "manifest-copy"];
    const VERSION: u32 = VERSION;

    fn version(&self) -> u32 {
        self.version
    }
    fn generation(&self) -> u64 {
        self.generation
    }
    fn set_generation(&mut self, to: u64) {
        self.generation = to;
    }
}

impl Manifest {
    /// How far a start believes the clock. Where the list does not say, as far as the times at
    /// which parts were written, or their entries where these are older: the clock may have been
    /// wrong then.
    pub(super) fn trust(&self, now_ns: i64) -> Trust {
        let written = self.parts.iter().map(|info| info.created_ns.min(info.last_ns));
        self.clock.unwrap_or_else(|| Trust::new(written.max(), now_ns))
    }

    /// Returns once the manifest is on disk. After an error the old one still counts.
    pub fn save(&mut self, files: &dyn Files, folder: &Path) -> Result<(), StoreError> {
        kept::save(self, files, folder)
    }
}
