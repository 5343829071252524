//! The write-ahead log: what is acknowledged is here until a part holds it.

mod record;
mod segment;

pub use record::{EntryView, Record};
pub use segment::{Segment, replay, segment_name, segment_number};
