//! What the store counts about itself.

use crate::metrics::{Counters as Family, Gauges, Metrics};

use super::error::AppendError;

pub(super) struct Counters {
    entries: Family,
    repeats: Family,
    refused: Family,
    quarantined: Family,
    deleted: Family,
    merged_blocks: Family,
    seal_waits: Family,
    crowd: Gauges,
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
            deleted: metrics.counters(
                "stockade_store_deleted_entries",
                "Entries removed from parts before their day went",
                &["reason"],
            ),
            merged_blocks: metrics.counters(
                "stockade_store_merged_blocks",
                "Blocks that went into merged parts: taken over as they were, or read",
                &["how"],
            ),
            seal_waits: metrics.counters(
                "stockade_store_seal_waits",
                "Times a head waited because a day had too many small parts",
                &[],
            ),
            crowd: metrics.gauges(
                "stockade_store_day_parts",
                "Small parts of the day that has most of them",
                &[],
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

    pub fn deleted(&self, entries: u64) {
        self.deleted.add(&["request"], entries);
    }

    pub fn expired(&self, entries: u64) {
        self.deleted.add(&["retention"], entries);
    }

    pub fn merged(&self, copied: u64, read: u64) {
        self.merged_blocks.add(&["copied"], copied);
        self.merged_blocks.add(&["read"], read);
    }

    pub fn seal_waited(&self) {
        self.seal_waits.add(&[], 1);
    }

    pub fn crowd(&self, parts: usize) {
        self.crowd.set(&[], parts as i64);
    }

    pub fn quarantined(&self, kind: &str) {
        self.quarantined.add(&[kind], 1);
    }
}
