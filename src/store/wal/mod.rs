//! The write-ahead log: what is acknowledged is here until a part holds it.

mod read;
mod record;
mod segment;

pub use read::{End, replay};
pub use record::{EntryView, Record};
pub use segment::{Segment, segment_name, segment_number};
