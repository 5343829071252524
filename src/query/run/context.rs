//! What all parts of a running query share.

use std::sync::Arc;
use std::time::Instant;

use crate::query::error::QueryError;
use crate::query::result::QueryStats;
use crate::store::read::{Cancel, LogRead, RowSink, ScanRequest};

use super::cache::ResultCache;
use super::memory::Memory;

/// Rows between two looks at the clock. A hostile query may take a long time with each.
pub const ROWS_PER_LOOK: usize = 32;

/// A running query: where it reads, until when, and what it has cost so far.
pub struct Context<'a> {
    pub reader: &'a dyn LogRead,
    pub tenant: &'a str,
    pub cancel: Cancel,
    pub deadline: Option<Instant>,
    pub timeout_ms: u64,
    pub bytes_max: u64,
    /// Results of sealed parts, if they are kept.
    pub cache: Option<Arc<ResultCache>>,
    pub memory: Arc<Memory>,
    pub stats: QueryStats,
}

impl Context<'_> {
    pub fn bytes_left(&self) -> u64 {
        self.bytes_max.saturating_sub(self.stats.scan.bytes)
    }

    pub fn check(&self) -> Result<(), QueryError> {
        if self.cancel.is_cancelled() {
            return Err(QueryError::Cancelled);
        }
        if self.is_late() {
            return Err(QueryError::Timeout { limit_ms: self.timeout_ms });
        }
        Ok(())
    }

    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() > deadline)
    }

    pub fn scan(
        &mut self,
        request: &ScanRequest,
        sink: &mut dyn RowSink,
    ) -> Result<(), QueryError> {
        self.check()?;
        let stats = self.reader.scan(request, sink)?;
        self.stats.add(&stats);
        self.check()
    }
}
