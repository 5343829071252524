//! What is kept, and for how long.

use serde::Deserialize;

use super::Spanned;
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
    /// Streams that are kept for another time, in Loki's words.
    pub retention_stream: Vec<RetentionStream>,
    /// Time in which a delete request can be taken back; it is carried out afterwards.
    pub delete_request_cancel_period: Span,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionStream {
    /// `{namespace="dev"}`
    pub selector: Spanned<String>,
    /// Of several selectors that mean a stream the highest counts.
    #[serde(default)]
    pub priority: i32,
    pub period: Spanned<Span>,
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            period: Span::hours(90 * 24),
            max_size: Size::default(),
            min_free_disk: Size::mib(1024),
            stop_free_disk: Size::mib(128),
            retention_stream: Vec::new(),
            delete_request_cancel_period: Span::hours(24),
        }
    }
}
