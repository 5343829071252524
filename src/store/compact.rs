//! Compaction: small parts of a day become one larger part, sorted anew, with full blocks.
//!
//! The inputs stay as they are until the manifest lists the new part in their place, so a crash
//! at any point leaves either all of them or the new one. Memory is bounded by one block for
//! each input and what a `PartWriter` needs.

use std::collections::HashSet;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3Default;

use super::error::StoreError;
use super::manifest::PartInfo;
use super::part::{About, Cursor, Part, PartWriter};
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
}

/// Chooses the parts of one day to merge: the smallest ones, as many as fit. `None` when there
/// is nothing worth it.
fn choose(parts: &[PartInfo], today: &str, bytes_max: u64, inputs_max: usize) -> Option<Vec<u64>> {
    let mut days: Vec<&str> = parts.iter().map(|info| info.day.as_str()).collect();
    days.sort_unstable();
    days.dedup();
    for day in days {
        let mut of_day: Vec<&PartInfo> = parts.iter().filter(|info| info.day == day).collect();
        of_day.sort_by_key(|info| (info.line_bytes, info.id));
        let over = day < today;
        let (count_min, growth_min) =
            if over { (2, GROWTH_MIN_OVER_TENTHS) } else { (PARTS_MIN, GROWTH_MIN_TENTHS) };
        let mut sum = 0;
        let mut best = 0;
        for (at, info) in of_day.iter().take(inputs_max).enumerate() {
            sum += info.line_bytes;
            if sum > bytes_max {
                break;
            }
            if at + 1 >= count_min && sum * 10 >= info.line_bytes * growth_min {
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
    pub fn compact_once(&self) -> Result<Option<Compacted>, StoreError> {
        let shared = &self.shared;
        let _one_at_a_time = shared.compacting.lock();
        let parts = shared.state.read().parts.clone();
        let infos: Vec<PartInfo> = parts.iter().map(|part| part.info.clone()).collect();
        let thresholds = &shared.options.thresholds;
        let today = day_name(Timestamp(shared.options.clock.now_ns()));
        let chosen =
            choose(&infos, &today, thresholds.part_bytes_max, thresholds.compact_inputs_max);
        let Some(chosen) = chosen else { return Ok(None) };
        let mut inputs: Vec<Arc<Part>> =
            parts.iter().filter(|part| chosen.contains(&part.info.id)).cloned().collect();
        inputs.sort_by_key(|part| (part.info.order, part.info.id));
        drop(parts);
        let (info, repeats) = merge(shared, &inputs)?;
        let compacted = Compacted {
            parts: inputs.len(),
            entries: info.entries,
            repeats,
            bytes_before: inputs.iter().map(|part| part.info.disk_bytes).sum(),
            bytes_after: info.disk_bytes,
        };
        self.replace_parts(&inputs, info)?;
        shared
            .last_compaction_ns
            .store(shared.options.clock.now_ns(), std::sync::atomic::Ordering::Relaxed);
        Ok(Some(compacted))
    }

    fn replace_parts(&self, inputs: &[Arc<Part>], info: PartInfo) -> Result<(), StoreError> {
        let shared = &self.shared;
        let is_input = |id: u64| inputs.iter().any(|part| part.info.id == id);
        let new = Part::new(&shared.files, &shared.parts_folder(), info.clone());
        let mut gone = false;
        shared.change_parts(
            |manifest| {
                let listed = manifest.parts.iter().filter(|info| is_input(info.id)).count();
                // Retention or quarantine took an input meanwhile: its entries must not come
                // back with the new part.
                gone = listed != inputs.len();
                if !gone {
                    manifest.parts.retain(|info| !is_input(info.id));
                    manifest.parts.push(info);
                }
            },
            |state| {
                // The same lock was held since the manifest was changed.
                if inputs.iter().all(|part| state.holds(part.info.id)) {
                    let rest = state.parts.iter().filter(|part| !is_input(part.info.id));
                    let mut all: Vec<Arc<Part>> = rest.cloned().collect();
                    all.push(new.clone());
                    state.parts = Arc::new(all);
                }
            },
        )?;
        if gone {
            new.doom();
            return Ok(());
        }
        for part in inputs {
            shared.cache.forget(part.info.id);
            part.doom();
        }
        Ok(())
    }
}

fn merge(shared: &Shared, inputs: &[Arc<Part>]) -> Result<(PartInfo, u64), StoreError> {
    let mut cursors = Vec::with_capacity(inputs.len());
    let mut wal_segment = 0;
    for part in inputs {
        let opened = shared.cache.open(part).map_err(|error| noted(shared, part, error))?;
        wal_segment = wal_segment.max(opened.table.wal_segment);
        cursors.push(Cursor::new(opened).map_err(|error| noted(shared, part, error))?);
    }
    let about = About {
        id: shared.next_part_id(),
        day: inputs.first().map(|part| part.info.day.clone()).unwrap_or_default(),
        created_ns: inputs.iter().map(|part| part.info.created_ns).max().unwrap_or_default(),
        level: inputs.iter().map(|part| part.info.level).max().unwrap_or_default() + 1,
        order: inputs.iter().map(|part| part.info.order).min().unwrap_or_default(),
        replaces: inputs.iter().map(|part| part.info.id).collect(),
        wal_segment,
        block_bytes: shared.options.thresholds.block_bytes,
    };
    let mut writer = PartWriter::create(&shared.files, &shared.parts_folder(), about)?;
    match merge_rows(shared, inputs, &mut cursors, &mut writer) {
        Ok(repeats) => Ok((writer.finish()?, repeats)),
        Err(error) => {
            writer.abandon();
            Err(error)
        }
    }
}

fn noted(shared: &Shared, part: &Arc<Part>, error: StoreError) -> StoreError {
    if matches!(error, StoreError::Damaged { .. }) {
        let again = StoreError::Damaged { path: part.path().to_owned(), what: error.to_string() };
        shared.note_fault(part, error);
        return again;
    }
    error
}

fn merge_rows(
    shared: &Shared,
    inputs: &[Arc<Part>],
    cursors: &mut [Cursor],
    writer: &mut PartWriter,
) -> Result<u64, StoreError> {
    let mut repeats = 0;
    loop {
        // The least stream any input is at, and who is at it.
        let mut least: Option<(Arc<str>, crate::store::read::StreamMeta)> = None;
        for cursor in cursors.iter() {
            let Some((tenant, meta)) = cursor.stream() else { continue };
            let is_less = least.as_ref().is_none_or(|(other_tenant, other)| {
                (tenant, &meta.labels) < (other_tenant, &other.labels)
            });
            if is_less {
                least = Some((tenant.clone(), meta.clone()));
            }
        }
        let Some((tenant, meta)) = least else { return Ok(repeats) };
        writer.start_stream(&tenant, &meta);
        let at: Vec<(usize, u32)> = cursors
            .iter()
            .enumerate()
            .filter(|(_, cursor)| cursor.stream().is_some_and(|(_, other)| other.id == meta.id))
            .filter_map(|(input, cursor)| Some((input, cursor.stream_at()?)))
            .collect();
        repeats += merge_stream(shared, inputs, cursors, &at, writer)?;
    }
}

/// Merges one stream of the inputs at it, by (time, order of inputs).
fn merge_stream(
    shared: &Shared,
    inputs: &[Arc<Part>],
    cursors: &mut [Cursor],
    at: &[(usize, u32)],
    writer: &mut PartWriter,
) -> Result<u64, StoreError> {
    let mut repeats = 0;
    // Hashes of the entries of the current time; 128 bits, so that equal means the same.
    let mut seen: HashSet<u128> = HashSet::new();
    let mut seen_ts = None;
    loop {
        let next = at
            .iter()
            .filter_map(|(input, stream)| {
                let cursor = cursors.get(*input)?;
                (cursor.stream_at() == Some(*stream)).then(|| (cursor.ts(), *input))
            })
            .min();
        let Some((ts, input)) = next else { return Ok(repeats) };
        let Some(cursor) = cursors.get_mut(input) else { return Ok(repeats) };
        // One part holds no repeats: they were dropped when they came in.
        let mut repeat = false;
        if at.len() > 1 {
            if seen_ts != Some(ts) {
                seen.clear();
                seen_ts = Some(ts);
            }
            repeat = !seen.insert(entry_hash(cursor));
        }
        if repeat {
            repeats += 1;
        } else {
            writer.push(ts, cursor.line(), cursor.metadata())?;
        }
        if let Err(error) = cursor.advance() {
            return Err(inputs.get(input).map_or_else(
                || StoreError::Index(error.to_string()),
                |part| {
                    noted(
                        shared,
                        part,
                        StoreError::Damaged {
                            path: part.path().to_owned(),
                            what: error.to_string(),
                        },
                    )
                },
            ));
        }
    }
}

fn entry_hash(cursor: &Cursor) -> u128 {
    let mut hash = Xxh3Default::new();
    hash.update(cursor.line().as_bytes());
    for (name, value) in cursor.metadata() {
        hash.update(&[0xff]);
        hash.update(name.as_bytes());
        hash.update(&[0xfe]);
        hash.update(value.as_bytes());
    }
    hash.digest128()
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
        }
    }

    #[track_caller]
    fn check(day: &str, sizes: &[u64], expect: Option<&[u64]>) {
        let parts: Vec<PartInfo> =
            sizes.iter().zip(1..).map(|(mb, id)| info(id, day, *mb)).collect();
        let chosen = choose(&parts, "2026-11-20", 512 << 20, 10);
        assert_eq!(chosen.as_deref(), expect);
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
