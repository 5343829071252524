//! Where lines are kept: WAL, head, parts, compaction, retention.

pub mod read;

mod block;
mod compact;
mod counters;
mod error;
mod files;
mod filter;
mod head;
mod manifest;
mod options;
mod part;
mod recover;
mod repeats;
mod retain;
mod scan;
mod seal;
#[cfg(feature = "bench")]
mod sizes;
mod state;
pub mod status;
#[allow(clippy::module_inception, reason = "the folder is the room, the file the type")]
mod store;
mod tail;
mod tokens;
mod varint;
mod wal;
mod writer;

pub use compact::Compacted;
pub use error::{AppendError, StoreError};
pub use files::{Files, RealFiles};
pub use options::{Retention, StoreOptions, Thresholds};
pub use retain::Retained;
#[cfg(feature = "bench")]
pub use sizes::Sizes;
pub use status::StoreStatus;
pub use store::Store;
pub use tail::TailBatch;
pub use writer::Appended;

#[cfg(test)]
mod tests;
