//! Compaction: small parts of a day become one larger part, sorted anew, with full blocks.
//!
//! The inputs stay as they are until the manifest lists the new part in their place, so a crash
//! at any point leaves either all of them or the new one. How parts are put together, and in
//! how much memory, is in `merge`.
//!
//! A day should have few parts. When parts come faster than they are merged, the thread that
//! seals heads merges before it makes another one (`relieve`); heads then wait, and when too
//! many wait, batches are refused until there is room again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::deletes::Hidden;
use super::error::StoreError;
use super::manifest::PartInfo;
use super::merge::{Input, LeaveOut, Merged, merge};
use super::options::Thresholds;
use super::part::{About, Part};
use super::seal::day_name;
use super::store::{Shared, Store};
use crate::model::Timestamp;

/// So many parts of a day that goes on are worth a merge.
const PARTS_MIN: usize = 4;
/// A merge must make something this much larger than its largest input, in tenths, or the same
/// bytes are written again and again.
const GROWTH_MIN_TENTHS: u64 = 17;
/// The same for a day that is over, whose parts are merged for the last time.
const GROWTH_MIN_OVER_TENTHS: u64 = 11;

/// What a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    pub parts: usize,
    pub entries: u64,
    pub repeats: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// Blocks that were taken over as they are, and those that were read.
    pub blocks_copied: u64,
    pub blocks_read: u64,
}

/// Chooses among all parts: those that a waiting delete request means must not be mixed with
/// those that came after it.
fn choose_of(shared: &Shared, parts: &[Arc<Part>], hidden: &Hidden) -> Option<Vec<u64>> {
    let failed = shared.failed_days.lock();
    let mut groups: BTreeMap<Vec<u64>, Vec<PartInfo>> = BTreeMap::new();
    for part in parts.iter().filter(|part| !failed.contains(&part.info.day)) {
        groups.entry(hidden.exempt(&part.info)).or_default().push(part.info.clone());
    }
    let today = day_name(Timestamp(shared.options.clock.now_ns()));
    groups.values().find_map(|infos| choose(infos, &today, &shared.options.thresholds))
}

/// Small parts of the day that has most of them.
fn crowd(parts: &[Arc<Part>], part_bytes_max: u64) -> usize {
    let mut days: BTreeMap<&str, usize> = BTreeMap::new();
    for part in parts.iter().filter(|part| part.info.raw_bytes() < part_bytes_max / 2) {
        *days.entry(&part.info.day).or_default() += 1;
    }
    days.into_values().max().unwrap_or_default()
}

/// Before another head is sealed: merges parts while a day has too many small ones.
pub(super) fn relieve(shared: &Shared) {
    let thresholds = &shared.options.thresholds;
    let mut waited = false;
    loop {
        let crowd = crowd(&shared.state.read().parts, thresholds.part_bytes_max);
        shared.counters.crowd(crowd);
        if crowd <= thresholds.day_parts_max || shared.closing.load(Ordering::Relaxed) {
            break;
        }
        if !waited {
            waited = true;
            shared.counters.seal_waited();
            tracing::warn!(
                parts = crowd,
                parts_max = thresholds.day_parts_max,
                "a day has too many small parts; merging them before the next is made, batches may be refused meanwhile"
            );
        }
        // Somebody else may be at it for minutes; one more small part does less harm than heads
        // that wait so long.
        let Some(alone) = shared.compacting.try_lock_for(thresholds.relieve_wait) else { break };
        match compact(shared, &alone) {
            Ok(Some(_)) => {}
            // Nothing can be merged, so waiting would not help.
            Ok(None) => break,
            // The part was moved aside.
            Err(error) if error.is_damage() => tracing::error!(%error, "merging parts failed"),
            Err(error) => {
                tracing::error!(%error, "merging parts failed");
                break;
            }
        }
    }
}

/// Chooses the parts of one day to merge: the smallest ones, as many as fit. `None` when there
/// is nothing worth it.
fn choose(parts: &[PartInfo], today: &str, thresholds: &Thresholds) -> Option<Vec<u64>> {
    let mut days: Vec<&str> = parts.iter().map(|info| info.day.as_str()).collect();
    days.sort_unstable();
    days.dedup();
    for day in days {
        let mut of_day: Vec<&PartInfo> = parts.iter().filter(|info| info.day == day).collect();
        of_day.sort_by_key(|info| (info.raw_bytes(), info.id));
        let over = day < today;
        let (count_min, growth_min) =
            if over { (2, GROWTH_MIN_OVER_TENTHS) } else { (PARTS_MIN, GROWTH_MIN_TENTHS) };
        let (mut sum, mut streams) = (0u64, 0u64);
        let mut best = 0;
        for (at, info) in of_day.iter().take(thresholds.compact_inputs_max).enumerate() {
            let bytes = info.raw_bytes();
            sum = sum.saturating_add(bytes);
            streams = streams.saturating_add(info.streams);
            if sum > thresholds.part_bytes_max || streams > thresholds.compact_streams_max {
                break;
            }
            let grown = sum.saturating_mul(10) >= bytes.saturating_mul(growth_min);
            if at + 1 >= count_min && grown {
                best = at + 1;
            }
        }
        if best > 0 {
            return Some(of_day.iter().take(best).map(|info| info.id).collect());
        }
    }
    None
}

impl Store {
    /// Merges parts once; `None` when nothing is worth a merge. Call it again until then. One
    /// call at a time works, others wait for it.
    ///
    /// After an error other days are merged; that day comes again once nothing is left to do.
    pub fn compact_once(&self) -> Result<Option<Compacted>, StoreError> {
        let alone = self.shared.compacting.lock();
        compact(&self.shared, &alone)
    }

    /// Replaces a part by one without the rows that are to go, and with it all that delete
    /// requests up to `deletes_seq` mean. `None` when that came to nothing:
    /// the part is gone, or `still` says at the end that it is not wanted any more. Waits while
    /// other parts are merged or replaced.
    pub(super) fn rewrite(
        &self,
        part: &Arc<Part>,
        leave_out: LeaveOut,
        deletes_seq: u64,
        still: &dyn Fn() -> bool,
    ) -> Result<Option<Merged>, StoreError> {
        let shared = &self.shared;
        let alone = shared.compacting.lock();
        // It may have gone while nobody held the lock, and more may be known of it.
        let parts = shared.state.read().parts.clone();
        let Some(part) = parts.iter().find(|other| other.info.id == part.info.id) else {
            return Ok(None);
        };
        let input = Input { leave_out, ..Input::new(shared, part)? };
        let deletes_seq = deletes_seq.max(part.info.deletes_seq);
        rewrite(shared, vec![input], deletes_seq, still, &alone)
    }
}

/// Held by whoever merges or replaces parts, so that memory is taken once.
type Alone<'a> = MutexGuard<'a, ()>;

fn compact(shared: &Shared, alone: &Alone<'_>) -> Result<Option<Compacted>, StoreError> {
    let (parts, hidden) = {
        let state = shared.state.read();
        (state.parts.clone(), state.hidden.clone())
    };
    let Some(chosen) = choose_of(shared, &parts, &hidden) else {
        shared.failed_days.lock().clear();
        return Ok(None);
    };
    let mut inputs: Vec<Arc<Part>> =
        parts.iter().filter(|part| chosen.contains(&part.info.id)).cloned().collect();
    inputs.sort_by_key(|part| (part.info.order, part.info.id));
    drop(parts);
    let compacted = merge_parts(shared, &inputs, alone);
    if compacted.is_err() {
        let days = inputs.iter().map(|part| part.info.day.clone());
        shared.failed_days.lock().extend(days);
    }
    compacted.map(Some)
}

fn merge_parts(
    shared: &Shared,
    inputs: &[Arc<Part>],
    alone: &Alone<'_>,
) -> Result<Compacted, StoreError> {
    // Requests up to the least of these mean none of the rows; later ones all of them alike.
    let deletes_seq = inputs.iter().map(|part| part.info.deletes_seq).min().unwrap_or_default();
    let opened: Vec<Input> =
        inputs.iter().map(|part| Input::new(shared, part)).collect::<Result<_, _>>()?;
    let merged = rewrite(shared, opened, deletes_seq, &|| true, alone)?.unwrap_or_default();
    let info = merged.info.as_ref();
    let compacted = Compacted {
        parts: inputs.len(),
        entries: info.map_or(0, |info| info.entries),
        repeats: merged.repeats,
        bytes_before: inputs.iter().map(|part| part.info.disk_bytes).sum(),
        bytes_after: info.map_or(0, |info| info.disk_bytes),
        blocks_copied: merged.blocks_copied,
        blocks_read: merged.blocks_read,
    };
    shared.counters.merged(compacted.blocks_copied, compacted.blocks_read);
    let now_ns = shared.options.clock.now_ns();
    shared.last_compaction_ns.store(now_ns, Ordering::Relaxed);
    Ok(compacted)
}

/// The last free space is for sealing heads, and what a merge that failed has left goes first.
fn check_room(shared: &Shared, inputs: &[Arc<Part>]) -> Result<(), StoreError> {
    if !shared.unlisted.lock().is_empty() {
        shared.change_parts(|_| {}, |_| {})?;
    }
    let folder = &shared.options.data_dir;
    let free_bytes = shared.files.free_bytes(folder).map_err(StoreError::io(folder))?;
    let needed_bytes = inputs
        .iter()
        .map(|part| part.info.disk_bytes)
        .fold(shared.options.retention.disk_free_stop_bytes, u64::saturating_add);
    if free_bytes < needed_bytes {
        return Err(StoreError::NoRoom { path: folder.clone(), free_bytes, needed_bytes });
    }
    Ok(())
}

fn rewrite(
    shared: &Shared,
    inputs: Vec<Input>,
    deletes_seq: u64,
    still: &dyn Fn() -> bool,
    _alone: &Alone<'_>,
) -> Result<Option<Merged>, StoreError> {
    let parts: Vec<Arc<Part>> = inputs.iter().map(|input| input.part.clone()).collect();
    check_room(shared, &parts)?;
    let infos = || parts.iter().map(|part| &part.info);
    let wal_segment = inputs.iter().map(|input| input.opened.table.wal_segment).max();
    let about = About {
        id: shared.next_part_id(),
        day: infos().map(|info| info.day.clone()).next().unwrap_or_default(),
        created_ns: infos().map(|info| info.created_ns).max().unwrap_or_default(),
        level: infos().map(|info| info.level).max().unwrap_or_default() + 1,
        order: infos().map(|info| info.order).min().unwrap_or_default(),
        replaces: infos().map(|info| info.id).collect(),
        wal_segment: wal_segment.unwrap_or_default(),
        block_bytes: shared.options.thresholds.block_bytes,
    };
    let mut merged = merge(shared, inputs, about)?;
    if let Some(info) = &mut merged.info {
        info.deletes_seq = deletes_seq;
    }
    let replaced = replace_parts(shared, &parts, merged.info.clone(), still)?;
    Ok(replaced.then_some(merged))
}

fn replace_parts(
    shared: &Shared,
    inputs: &[Arc<Part>],
    info: Option<PartInfo>,
    still: &dyn Fn() -> bool,
) -> Result<bool, StoreError> {
    let is_input = |id: u64| inputs.iter().any(|part| part.info.id == id);
    let new = info.map(|info| Part::new(&shared.files, &shared.parts_folder(), info));
    let gone = Cell::new(false);
    let changed = shared.change_parts(
        |manifest| {
            let listed = manifest.parts.iter().filter(|info| is_input(info.id)).count();
            // Retention or quarantine took an input meanwhile: its entries must not come
            // back with the new part.
            gone.set(listed != inputs.len() || !still());
            if !gone.get() {
                manifest.parts.retain(|info| !is_input(info.id));
                manifest.parts.extend(new.iter().map(|part| part.info.clone()));
            }
        },
        |state| {
            // The same lock was held since the manifest was changed.
            if !gone.get() {
                let rest = state.parts.iter().filter(|part| !is_input(part.info.id));
                let mut all: Vec<Arc<Part>> = rest.cloned().collect();
                all.extend(new.clone());
                state.parts = Arc::new(all);
            }
        },
    );
    if let Err(error) = changed {
        // Which manifest a crash would leave is not known, so the part stays until one is saved.
        shared.unlisted.lock().extend(new);
        return Err(error);
    }
    if gone.get() {
        new.iter().for_each(|part| part.doom());
        return Ok(false);
    }
    for part in inputs {
        shared.cache.forget(part.info.id);
        shared.leaving.lock().push(part.watch());
        part.doom();
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(id: u64, day: &str, mb: u64) -> PartInfo {
        PartInfo {
            id,
            day: day.to_owned(),
            created_ns: 0,
            level: 0,
            order: id,
            first_ns: 0,
            last_ns: 0,
            entries: 1,
            streams: 1,
            line_bytes: mb << 20,
            disk_bytes: mb << 17,
            deletes_seq: 0,
        }
    }

    #[track_caller]
    fn check(day: &str, sizes: &[u64], expect: Option<&[u64]>) {
        let parts: Vec<PartInfo> =
            sizes.iter().zip(1..).map(|(mb, id)| info(id, day, *mb)).collect();
        let chosen = choose(&parts, "2026-11-20", &Thresholds::default());
        assert_eq!(chosen.as_deref(), expect);
    }

    /// Parts as (megabytes of lines, of the file, thousands of streams).
    #[track_caller]
    fn check_shapes(day: &str, shapes: &[(u64, u64, u64)], expect: Option<usize>) {
        let with = |((lines, disk, streams), id): (&(u64, u64, u64), u64)| PartInfo {
            disk_bytes: disk << 20,
            streams: streams * 1000,
            ..info(id, day, *lines)
        };
        let parts: Vec<PartInfo> = shapes.iter().zip(1..).map(with).collect();
        let chosen = choose(&parts, "2026-11-20", &Thresholds::default());
        assert_eq!(chosen.map(|ids| ids.len()), expect, "{shapes:?}");
    }

    #[test]
    fn metadata_counts_where_lines_are_short() {
        let today = "2026-11-20";
        check_shapes(today, &[(0, 1, 1), (0, 1, 1), (0, 1, 1)], None);
        check_shapes(today, &[(0, 1, 1), (0, 1, 1), (0, 1, 1), (0, 1, 1)], Some(4));
        // The same bytes are not written again and again.
        check_shapes(today, &[(0, 40, 1), (0, 1, 1), (0, 1, 1), (0, 1, 1)], None);
        check_shapes(today, &[(0, 100, 1), (0, 100, 1), (0, 100, 1), (0, 100, 1)], None);
    }

    #[test]
    fn tables_of_all_inputs_fit_in_memory() {
        let before = "2026-11-19";
        check_shapes(before, &[(9, 1, 60), (9, 1, 60), (9, 1, 60)], Some(2));
        check_shapes(before, &[(9, 1, 60), (9, 1, 80)], None);
        check_shapes("2026-11-20", &[(9, 1, 60); 4], None);
    }

    #[test]
    fn chooses_small_parts() {
        check("2026-11-20", &[64, 64, 64], None);
        check("2026-11-20", &[64, 64, 64, 64], Some(&[1, 2, 3, 4]));
        check("2026-11-20", &[512, 1, 1, 1, 1], Some(&[2, 3, 4, 5]));
        check("2026-11-20", &[500, 1, 1, 1], None);
        check("2026-11-20", &[200, 200, 200, 200], None);
        check("2026-11-19", &[64, 64], Some(&[1, 2]));
        check("2026-11-19", &[300, 300], None);
        check("2026-11-19", &[400, 1], None);
        check("2026-11-19", &[500, 20, 1], None);
        check("2026-11-19", &[500, 10, 9], Some(&[3, 2]));
        check("2026-11-19", &[1], None);
    }
}
