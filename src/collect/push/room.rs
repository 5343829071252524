//! How much one body may become: a body of nothing but empty entries, streams or pairs would
//! otherwise take thirty times its size, and one that is compressed thousands of times.

use std::cell::Cell;

use super::PushError;
use crate::limits::{PUSH_ENTRIES_MAX, PUSH_PAIRS_MAX};

/// What one body may still have.
#[derive(Debug)]
pub(super) struct Room {
    entries: Cell<usize>,
    pairs: Cell<usize>,
}

impl Default for Room {
    fn default() -> Self {
        Room { entries: Cell::new(PUSH_ENTRIES_MAX), pairs: Cell::new(PUSH_PAIRS_MAX) }
    }
}

#[cfg(test)]
impl Room {
    pub fn of(entries: usize, pairs: usize) -> Room {
        Room { entries: Cell::new(entries), pairs: Cell::new(pairs) }
    }
}

fn take(left: &Cell<usize>, count: usize) -> Option<()> {
    left.set(left.get().checked_sub(count)?);
    Some(())
}

impl Room {
    /// For entries, and for streams, which take memory without entries too.
    pub fn entries(&self, count: usize) -> Result<(), PushError> {
        take(&self.entries, count)
            .ok_or(PushError::TooManyEntries { entries_max: PUSH_ENTRIES_MAX })
    }

    /// For names and values of metadata and of labels.
    pub fn pairs(&self, count: usize) -> Result<(), PushError> {
        take(&self.pairs, count).ok_or(PushError::TooMany { entries_max: PUSH_PAIRS_MAX })
    }
}
