//! Brings what is in the WAL back into heads at a start. Goes segment by segment and hands full
//! heads to the sealer on its way, so that a large WAL needs no more memory than usual work.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{StoreError, is_unreadable};
use super::files::{move_file, replace};
use super::repeats::Repeats;
use super::seal;
use super::state::HeadUnit;
use super::store::Shared;
use super::wal::{self, End, Record, segment_name};

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
        let is_last = segments.last() == Some(number);
        let end = if is_last { End::MayBeTorn } else { End::IsWhole };
        let records = read(shared, &folder, *number, end)?;
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

fn read(shared: &Shared, folder: &Path, number: u64, end: End) -> Result<Vec<Record>, StoreError> {
    let path = folder.join(segment_name(number));
    let found = match wal::replay(&*shared.files, &path, end) {
        Ok(found) => found,
        Err(error) if is_unreadable(&error) => {
            move_aside(shared, number)?;
            note_damage(shared, format!("{}: {error}", segment_name(number)));
            return Ok(Vec::new());
        }
        Err(error) => return Err(StoreError::io(&path)(error)),
    };
    let mut kept = Ok(());
    let torn = (!found.torn.is_empty()).then_some(&found.torn);
    for (at, bytes) in found.damaged.iter().chain(torn).enumerate() {
        // Kept for whoever wants to look; nothing of it was acknowledged if it is a tail.
        let name = format!("{number:012}-{at}.wal");
        let to = shared.options.data_dir.join("quarantine").join(name);
        kept = kept.and(replace(&*shared.files, &to, bytes));
    }
    match kept {
        Ok(()) if found.end < found.bytes => {
            let bytes = found.bytes - found.end;
            tracing::warn!(path = %path.display(), bytes, "cut off the end of the log ahead");
            shared.files.truncate(&path, found.end).map_err(StoreError::io(&path))?;
        }
        Ok(()) => {}
        // A full disk, perhaps: the segment stays as it is, now and when it is in parts.
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "damaged records not kept elsewhere");
            if !found.damaged.is_empty() {
                shared.damaged_segments.lock().insert(number);
            }
        }
    }
    if !found.damaged.is_empty() {
        let pieces = found.damaged.len();
        note_damage(shared, format!("{}: damage at {pieces} places", segment_name(number)));
    }
    Ok(found.records)
}

/// Named once, however often a start finds it.
fn note_damage(shared: &Shared, what: String) {
    shared.counters.quarantined("wal");
    tracing::error!(what, "the log ahead is damaged; what could be read of it is there");
    let mut manifest = shared.manifest.lock();
    if !manifest.quarantined.contains(&what) {
        manifest.quarantined.push(what);
    }
}

/// Moves a whole segment to the quarantine folder.
fn move_aside(shared: &Shared, number: u64) -> Result<(), StoreError> {
    let name = segment_name(number);
    let from = shared.wal_folder().join(&name);
    let to = shared.options.data_dir.join("quarantine").join(&name);
    move_file(&*shared.files, &from, &to).map_err(StoreError::io(&from))
}

/// A segment that is in parts goes, unless damage in it could not be kept elsewhere.
pub(super) fn drop_segment(shared: &Shared, number: u64) -> Result<(), StoreError> {
    if shared.damaged_segments.lock().remove(&number) {
        return move_aside(shared, number);
    }
    let path = shared.wal_folder().join(segment_name(number));
    shared.files.remove(&path).map_err(StoreError::io(&path))
}
