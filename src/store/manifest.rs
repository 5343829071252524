//! The list of what is in the store: parts, source positions, and where the WAL begins.
//!
//! A change of the store is the replacement of this file; everything before it is preparation
//! that a crash may throw away, everything after it is cleaning up. It is kept twice, so that
//! one damaged copy costs nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::files::{Files, replace};

const NAME: &str = "manifest";
const COPY: &str = "manifest-copy";
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
        }
    }
}

/// What reading the copies gave.
pub enum Loaded {
    /// Neither copy is there: a new store.
    Missing,
    Good(Manifest),
    /// Copies are there, but none can be read.
    Damaged,
}

impl Manifest {
    pub fn load(files: &dyn Files, folder: &Path) -> Result<Loaded, StoreError> {
        let mut best: Option<Manifest> = None;
        let mut seen = false;
        for name in [NAME, COPY] {
            let path = folder.join(name);
            let bytes = match files.read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io(&path)(error)),
            };
            seen = true;
            let Some(manifest) = parse(&bytes) else {
                tracing::error!(path = %path.display(), "a copy of the manifest is damaged");
                continue;
            };
            if manifest.version > VERSION {
                return Err(StoreError::Newer { path, found: manifest.version, known: VERSION });
            }
            if best.as_ref().is_none_or(|best| best.generation < manifest.generation) {
                best = Some(manifest);
            }
        }
        Ok(match best {
            Some(manifest) => Loaded::Good(manifest),
            None if seen => Loaded::Damaged,
            None => Loaded::Missing,
        })
    }

    /// Returns once the manifest is on disk. After an error the old one still counts.
    pub fn save(&mut self, files: &dyn Files, folder: &Path) -> Result<(), StoreError> {
        self.generation += 1;
        let mut bytes = vec![0; 4];
        let path = folder.join(NAME);
        serde_json::to_writer(&mut bytes, self)
            .map_err(|error| StoreError::io(&path)(io::Error::other(error)))?;
        let crc = crc32fast::hash(&bytes[4..]).to_le_bytes();
        bytes[..4].copy_from_slice(&crc);
        replace(files, &path, &bytes).map_err(StoreError::io(&path))?;
        let copy = folder.join(COPY);
        if let Err(error) = replace(files, &copy, &bytes) {
            // The first copy is the one that counts.
            tracing::warn!(path = %copy.display(), %error, "second copy of the manifest not written");
        }
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Option<Manifest> {
    let (crc, body) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(body) {
        return None;
    }
    serde_json::from_slice(body).ok()
}
