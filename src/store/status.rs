//! What the store says about itself, for the status page and the readiness probe.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::store::Store;
use crate::model::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StoreStatus {
    /// Parts and WAL.
    pub disk_bytes: u64,
    pub free_bytes: Option<u64>,
    pub parts: u64,
    pub part_bytes: u64,
    pub wal_bytes: u64,
    /// Bytes of lines in parts, before compression.
    pub line_bytes: u64,
    /// In heads and parts; streams and repeats that are in several parts count more than once.
    pub entries: u64,
    pub head_entries: u64,
    pub head_bytes: u64,
    pub head_streams: u64,
    /// Heads that wait to become parts.
    pub sealing: u64,
    /// Bytes that wait for the WAL.
    pub queued_bytes: u64,
    pub oldest_ns: Option<i64>,
    pub newest_ns: Option<i64>,
    pub last_compaction_ns: Option<i64>,
    /// Damaged files and what is wrong with them.
    pub quarantined: Vec<String>,
    /// Why batches are refused or not sealed; `None` when all is well.
    pub degraded: Option<String>,
}

impl StoreStatus {
    pub fn is_ready(&self) -> bool {
        self.degraded.is_none()
    }
}

impl Store {
    pub fn status(&self) -> StoreStatus {
        let shared = &self.shared;
        let snapshot = shared.state.read().clone();
        let mut status = StoreStatus {
            sealing: snapshot.sealing.len() as u64,
            queued_bytes: shared.queue.bytes(),
            wal_bytes: shared.wal_bytes(),
            free_bytes: shared.files.free_bytes(&shared.options.data_dir).ok(),
            parts: snapshot.parts.len() as u64,
            quarantined: shared.manifest.lock().quarantined.clone(),
            ..StoreStatus::default()
        };
        let mut note = |first: i64, last: i64| {
            status.oldest_ns = Some(status.oldest_ns.map_or(first, |oldest| oldest.min(first)));
            status.newest_ns = Some(status.newest_ns.map_or(last, |newest| newest.max(last)));
        };
        let mut totals = Vec::new();
        for unit in snapshot.heads() {
            let head = unit.head.totals();
            if let Some((Timestamp(first), Timestamp(last))) = head.span {
                note(first, last);
            }
            totals.push(head);
        }
        snapshot.parts.iter().for_each(|part| note(part.info.first_ns, part.info.last_ns));
        for head in totals {
            status.head_entries += head.entries;
            status.head_bytes += head.bytes;
            status.head_streams = status.head_streams.max(head.streams);
        }
        for part in snapshot.parts.iter() {
            status.part_bytes += part.info.disk_bytes;
            status.line_bytes += part.info.line_bytes;
            status.entries += part.info.entries;
        }
        status.entries += status.head_entries;
        status.disk_bytes = status.part_bytes + status.wal_bytes;
        let last_compaction_ns = shared.last_compaction_ns.load(Ordering::Relaxed);
        status.last_compaction_ns = (last_compaction_ns != 0).then_some(last_compaction_ns);
        shared.forget_full_disk();
        status.degraded =
            shared.degraded.wal.lock().clone().or_else(|| shared.degraded.seal.lock().clone());
        status
    }
}
