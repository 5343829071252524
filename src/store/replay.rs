//! Brings what is in the WAL back into heads at a start. Goes segment by segment and hands full
//! heads to the sealer on its way, so that a large WAL needs no more memory than usual work.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::StoreError;
use super::files::replace;
use super::repeats::Repeats;
use super::seal;
use super::state::HeadUnit;
use super::store::Shared;
use super::wal::{self, Record, segment_name};

/// How far a start has come with reading the WAL.
#[derive(Debug, Default)]
pub struct OpenProgress {
    total: AtomicU64,
    done: AtomicU64,
}

impl OpenProgress {
    pub fn percent(&self) -> u64 {
        let total = self.total.load(Ordering::Relaxed);
        let done = self.done.load(Ordering::Relaxed).min(total);
        (done * 100).checked_div(total).unwrap_or(0)
    }

    fn start(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    fn finish(&self) {
        self.done.store(self.total.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Replays segments in their order. Gives whether there was anything in them.
pub(super) fn replay(
    shared: &Arc<Shared>,
    repeats: &mut Repeats,
    segments: &[u64],
) -> Result<bool, StoreError> {
    let folder = shared.wal_folder();
    let progress = &shared.options.progress;
    progress.start(shared.wal_bytes().max(1));
    let mut any = false;
    for number in segments {
        let unit = shared.state.read().active.clone();
        let head = unit.head.totals();
        if shared.options.thresholds.are_reached(head.bytes, head.memory_bytes) {
            freeze(shared, repeats, &unit);
        }
        let records = read(shared, &folder, *number)?;
        {
            let mut positions = shared.positions.write();
            for walk in records.iter().filter_map(Record::walk) {
                positions.apply(&walk.positions);
            }
        }
        any |= !records.is_empty();
        shared.state.read().active.segments.lock().push(*number);
        repeats.replay(shared, &records, &|bytes| progress.add(bytes));
    }
    progress.finish();
    Ok(any)
}

/// Gives the head to the sealer, as the writer does, and waits until there is room for the next.
/// Where sealing fails it goes on: a start must not hang because the disk is full.
fn freeze(shared: &Arc<Shared>, repeats: &mut Repeats, unit: &Arc<HeadUnit>) {
    repeats.note_frozen(shared, &unit.head, shared.options.clock.now_ns());
    *unit.positions.lock() = shared.positions.read().snapshot();
    {
        let mut state = shared.state.write();
        state.active = HeadUnit::empty();
        state.sealing.push(unit.clone());
    }
    let failures = shared.sealer.failures();
    shared.sealer.wake();
    seal::wait_for_room(shared, failures);
}

fn read(shared: &Shared, folder: &Path, number: u64) -> Result<Vec<Record>, StoreError> {
    let path = folder.join(segment_name(number));
    let found = wal::replay(&*shared.files, &path).map_err(StoreError::io(&path))?;
    if !found.torn.is_empty() {
        tracing::warn!(
            path = %path.display(),
            bytes = found.torn.len(),
            "cut off the torn end of the log ahead"
        );
    }
    let damaged = found.damaged.iter().chain((!found.torn.is_empty()).then_some(&found.torn));
    for (at, bytes) in damaged.enumerate() {
        // Kept for whoever wants to look; nothing of it was acknowledged if it is a tail.
        let quarantine = shared.options.data_dir.join("quarantine");
        let kept = quarantine.join(format!("{number:012}-{at}.wal"));
        if let Err(error) = replace(&*shared.files, &kept, bytes) {
            tracing::warn!(path = %kept.display(), %error, "damaged record not kept");
        }
    }
    if !found.damaged.is_empty() {
        shared.counters.quarantined("wal");
        let records = found.damaged.len();
        let what = format!("{}: {records} damaged records", segment_name(number));
        shared.manifest.lock().quarantined.push(what);
        tracing::error!(
            path = %path.display(),
            records,
            "left out damaged records of the log ahead"
        );
    }
    Ok(found.records)
}
