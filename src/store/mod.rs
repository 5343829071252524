//! Where lines are kept: WAL, head, parts, compaction, retention.

pub mod read;

pub mod backup;

mod block;
mod compact;
mod counters;
mod deletes;
mod error;
mod files;
mod filter;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod head;
mod head_stream;
mod kept;
mod manifest;
mod merge;
mod options;
mod part;
mod recover;
mod repeats;
mod replay;
mod retain;
mod scan;
mod seal;
mod short;
#[cfg(feature = "bench")]
mod sizes;
mod state;
pub mod status;
#[allow(clippy::module_inception, reason = "the folder is the room, the file the type")]
mod store;
mod tail;
mod tokens;
mod trust;
mod varint;
mod wal;
mod writer;

pub use compact::Compacted;
pub use deletes::{
    DeleteError, DeleteRequest, DeleteState, DeleteStatus, Language, NewDelete, RowFilter,
    RowWorker, Selection,
};
pub use error::{AppendError, StoreError};
pub use files::{Files, RealFiles};
pub use options::{Retention, StoreOptions, StreamRetention, Thresholds};
pub use replay::OpenProgress;
pub use retain::Retained;
#[cfg(feature = "bench")]
pub use sizes::Sizes;
pub use status::StoreStatus;
pub use store::Store;
pub use tail::TailBatch;
pub use writer::Appended;

#[cfg(test)]
mod tests;
