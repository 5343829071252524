//! The nouns that all rooms share. No I/O, no async, no configuration.

mod alert;
mod entry;
mod labels;
mod matcher;
mod quote;
mod recent;
mod text;
mod time;

pub use alert::{Alert, AlertState, SampleLine};
pub use entry::{Batch, Changes, Entry, Metadata, Position, StreamBatch, TENANT_DEFAULT};
pub use labels::{Labels, LabelsError, StreamId};
pub use matcher::{MatchOp, Matcher};
pub use quote::{quote, unquote};
pub use recent::Recent;
pub use text::Text;
pub use time::{TimeRange, Timestamp};
