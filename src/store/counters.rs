//! What the store counts about itself.

use crate::metrics::{Counters as Family, Metrics};

use super::error::AppendError;

pub(super) struct Counters {
    entries: Family,
    repeats: Family,
    refused: Family,
    quarantined: Family,
}

impl Counters {
    pub fn new(metrics: &Metrics) -> Counters {
        Counters {
            entries: metrics.counters("stockade_store_entries", "Entries stored", &[]),
            repeats: metrics.counters(
                "stockade_store_repeats",
                "Exact repeats of stored entries that were left out",
                &[],
            ),
            refused: metrics.counters(
                "stockade_store_refused_batches",
                "Batches that were not taken, by reason",
                &["reason"],
            ),
            quarantined: metrics.counters(
                "stockade_store_quarantined",
                "Damaged files that were moved to the quarantine folder",
                &["kind"],
            ),
        }
    }

    pub fn appended(&self, entries: u64, repeats: u64) {
        self.entries.add(&[], entries);
        self.repeats.add(&[], repeats);
    }

    pub fn refused(&self, error: &AppendError) {
        let reason = match error {
            AppendError::Full => "full",
            AppendError::DiskFull => "disk_full",
            AppendError::Io(_) => "io",
            AppendError::TooLarge { .. } => "too_large",
            AppendError::Closed => "closed",
        };
        self.refused.add(&[reason], 1);
    }

    pub fn quarantined(&self, kind: &str) {
        self.quarantined.add(&[kind], 1);
    }
}
