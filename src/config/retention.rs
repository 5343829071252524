//! What is kept, and for how long.

use serde::Deserialize;

use super::values::{Size, Span};

/// The first limit that is reached counts; the oldest day goes first.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// `90d` or `2160h`.
    pub period: Span,
    /// Bytes on disk; 0 = no limit.
    pub max_size: Size,
    /// Free space on the disk below which old days are removed.
    pub min_free_disk: Size,
    /// Free space below which nothing is taken in any more, so that sealing, compaction and
    /// removal still have room to work.
    pub stop_free_disk: Size,
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            period: Span::hours(90 * 24),
            max_size: Size::default(),
            min_free_disk: Size::mib(1024),
            stop_free_disk: Size::mib(128),
        }
    }
}
