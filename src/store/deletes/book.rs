//! The list of delete requests on disk.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::model::{TimeRange, Timestamp};
use crate::store::error::StoreError;
use crate::store::files::{Files, move_file};
use crate::store::kept::{self, Kept, Loaded};

const VERSION: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeleteState {
    /// Its rows are hidden.
    Received,
    /// Its rows are gone from disk.
    Processed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRequest {
    /// What clients call it.
    pub id: String,
    /// Grows from request to request.
    pub seq: u64,
    pub tenant: String,
    pub query: String,
    pub start_ns: i64,
    /// Inclusive.
    pub end_ns: i64,
    pub created_ns: i64,
    pub state: DeleteState,
    /// Parts that it concerned when it came.
    pub parts: u64,
}

impl DeleteRequest {
    pub fn range(&self) -> TimeRange {
        TimeRange::new(Timestamp(self.start_ns), Timestamp(self.end_ns.saturating_add(1)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Book {
    version: u32,
    generation: u64,
    pub next_seq: u64,
    /// Oldest first.
    pub requests: Vec<DeleteRequest>,
}

impl Default for Book {
    fn default() -> Self {
        Book { version: VERSION, generation: 0, next_seq: 1, requests: Vec::new() }
    }
}

impl Kept for Book {
    const NAMES: [&'static str; 2] = ["deletes", "deletes-copy"];
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

impl Book {
    pub fn last_seq(&self) -> u64 {
        self.next_seq.saturating_sub(1)
    }

    pub fn waiting(&self) -> impl Iterator<Item = &DeleteRequest> {
        self.requests.iter().filter(|request| request.state == DeleteState::Received)
    }

    pub fn save(&mut self, files: &dyn Files, folder: &Path) -> Result<(), StoreError> {
        // What is done is kept for a look, not for ever.
        let done = self.requests.len() - self.waiting().count();
        let mut too_many = done.saturating_sub(limits::DELETES_DONE_MAX);
        self.requests.retain(|request| {
            let goes = too_many > 0 && request.state == DeleteState::Processed;
            too_many -= usize::from(goes);
            !goes
        });
        kept::save(self, files, folder)
    }
}

/// The list as it is on disk, and what is wrong when both copies are damaged: they are then
/// moved to the quarantine folder, and what they hid is seen again until it is asked for anew.
pub(in crate::store) fn load(
    files: &Arc<dyn Files>,
    folder: &Path,
) -> Result<(Book, Option<String>), StoreError> {
    match kept::load::<Book>(&**files, folder)? {
        Loaded::Good(book, copies) => {
            kept::mend(&book, copies, &**files, folder);
            Ok((book, None))
        }
        Loaded::Missing => Ok((Book::default(), None)),
        Loaded::Damaged => {
            for name in Book::NAMES {
                let (from, to) = (folder.join(name), folder.join("quarantine").join(name));
                match move_file(&**files, &from, &to) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(StoreError::io(&from)(error));
                    }
                    _ => {}
                }
            }
            tracing::error!(
                "the list of delete requests was damaged and is in the quarantine folder; send requests that were not carried out again"
            );
            Ok((Book::default(), Some("deletes: list of delete requests".to_owned())))
        }
    }
}
