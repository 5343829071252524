//! The files of the store at one moment, held so that they can be copied while the store goes
//! on. How they are laid out in a backup and checked is the business of app.

use std::path::PathBuf;
use std::sync::Arc;

use super::deletes::Book;
use super::error::StoreError;
use super::kept::{self, Kept};
use super::manifest::Manifest;
use super::part::{Part, part_name};
use super::store::Store;

/// Everything that was acknowledged before it was made. Parts are immutable and stay on disk as
/// long as this lives.
pub struct Snapshot {
    /// Where a part lies, and its name below the data directory.
    pub parts: Vec<(PathBuf, PathBuf)>,
    /// Lists by their name below the data directory.
    pub lists: Vec<(PathBuf, Vec<u8>)>,
    pub entries: u64,
    _held: Arc<Vec<Arc<Part>>>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}

/// Names in a data directory that are not copied as they lie there: this module knows what of
/// them belongs into a backup.
pub const STORE_NAMES: [&str; 8] = [
    "lock",
    "wal",
    "parts",
    "quarantine",
    Manifest::NAMES[0],
    Manifest::NAMES[1],
    Book::NAMES[0],
    Book::NAMES[1],
];

/// Lies in a data directory while a backup is copied into it.
pub const RESTORING: &str = super::recover::RESTORING;

impl Store {
    /// A backup that is as damaged as the store is found out when it is needed.
    fn check_part(&self, part: &Arc<Part>) -> Result<(), StoreError> {
        let shared = &self.shared;
        match shared.cache.open(part).and_then(|opened| opened.check()) {
            Err(error) if error.is_damage() => {
                let what = format!(
                    "{error}; it was moved to the quarantine folder, take the backup again without it"
                );
                shared.note_fault(part, error);
                Err(StoreError::Backup { path: part.path().to_owned(), what })
            }
            checked => checked,
        }
    }

    /// Seals the head, so that no log ahead is needed, and holds what there is then. Blocks, so
    /// not for async code.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.flush()?;
        let shared = &self.shared;
        // The list of delete requests first: one that is carried out meanwhile is then carried
        // out again, never forgotten.
        let deletes = shared.deletes.lock().clone();
        let (manifest, parts) = {
            let manifest = shared.manifest.lock();
            (manifest.clone(), shared.state.read().parts.clone())
        };
        for part in parts.iter() {
            self.check_part(part)?;
        }
        let folder = &shared.options.data_dir;
        let encoded = |name: &str, bytes: std::io::Result<Vec<u8>>| {
            bytes
                .map(|bytes| (PathBuf::from(name), bytes))
                .map_err(StoreError::io(&folder.join(name)))
        };
        let mut lists = Vec::new();
        for name in Manifest::NAMES {
            lists.push(encoded(name, kept::encode(&manifest))?);
        }
        for name in Book::NAMES {
            lists.push(encoded(name, kept::encode(&deletes))?);
        }
        let below = |part: &Arc<Part>| {
            PathBuf::from("parts").join(&part.info.day).join(part_name(part.info.id))
        };
        Ok(Snapshot {
            parts: parts.iter().map(|part| (part.path().to_owned(), below(part))).collect(),
            lists,
            entries: parts.iter().map(|part| part.info.entries).sum(),
            _held: parts,
        })
    }
}
