//! Where lines are kept: WAL, head, parts, compaction, retention.

pub mod read;
