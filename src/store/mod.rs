//! Where lines are kept: WAL, head, parts, compaction, retention.

pub mod read;

mod counters;
mod error;
mod files;
mod head;
mod manifest;
mod options;
mod part;
mod repeats;
mod scan;
mod seal;
mod state;
#[allow(clippy::module_inception, reason = "the folder is the room, the file the type")]
mod store;
mod tail;
mod varint;
mod wal;
mod writer;

pub use error::{AppendError, StoreError};
pub use files::{Files, RealFiles};
pub use options::{Retention, StoreOptions, Thresholds};
pub use store::Store;
pub use tail::TailBatch;
pub use writer::Appended;
