//! Turns frozen heads into parts, on a thread of its own. A head stays where queries see it
//! until its parts are in the manifest; then both change places at once, and only then are its
//! WAL segments removed.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::compact::relieve;
use super::error::StoreError;
use super::head::StreamRows;
use super::manifest::PartInfo;
use super::options::IDLE_AFTER;
use super::part::{About, Part, PartWriter, part_name};
use super::replay::drop_segment;
use super::state::HeadUnit;
use super::store::Shared;
use super::writer::Job;
use crate::model::Timestamp;

const DAY_NS: i64 = 86_400_000_000_000;
/// A head with entries of more days than this (clocks gone wrong, old files read in) puts the
/// oldest of them together, so that it does not become thousands of parts.
const DAYS_MAX: usize = 16;
/// A smaller share of a head is not sealed before its time.
const IDLE_SHARE: u64 = 4;
/// How often the age of the head is looked at.
const TICK: Duration = IDLE_AFTER;

#[derive(Debug, Default)]
struct Signals {
    woken: bool,
    failures: u64,
}

#[derive(Debug, Default)]
pub(super) struct Sealer {
    signals: Mutex<Signals>,
    wake: Condvar,
    settled: Condvar,
    /// The same, for those who wait without a thread.
    room: Notify,
}

impl Sealer {
    pub fn wake(&self) {
        self.signals.lock().woken = true;
        self.wake.notify_one();
    }

    pub fn failures(&self) -> u64 {
        self.signals.lock().failures
    }

    fn settle(&self, failed: bool) {
        self.signals.lock().failures += u64::from(failed);
        self.settled.notify_all();
        self.room.notify_waiters();
    }

    /// Resolves when a seal was tried.
    pub fn settled(&self) -> Notified<'_> {
        self.room.notified()
    }
}

/// The day of a time, as folders are named.
pub(super) fn day_name(ts: Timestamp) -> String {
    ts.to_datetime().format("%Y-%m-%d").to_string()
}

pub(super) fn run(shared: &Shared) {
    let mut worked = false;
    while !shared.closing.load(Ordering::Relaxed) {
        let oldest = shared.state.read().sealing.first().cloned();
        let failed = match oldest {
            Some(unit) => {
                worked = true;
                // Merging that fails must not keep heads from being sealed.
                if catch_unwind(AssertUnwindSafe(|| relieve(shared))).is_err() {
                    tracing::error!("merging parts panicked; sealing goes on");
                }
                // Whatever the index does, the head must stay and be tried again.
                let sealed = catch_unwind(AssertUnwindSafe(|| seal(shared, &unit)))
                    .unwrap_or_else(|_| Err(StoreError::Index("it panicked".to_owned())));
                let failed = sealed.is_err();
                shared.note_seal(sealed.err());
                shared.sealer.settle(failed);
                failed
            }
            None => false,
        };
        let more = !failed && !shared.state.read().sealing.is_empty();
        if !more {
            let mut signals = shared.sealer.signals.lock();
            let mut idle = false;
            if failed {
                shared.sealer.wake.wait_for(&mut signals, shared.options.thresholds.seal_retry);
            } else if !signals.woken {
                idle = shared.sealer.wake.wait_for(&mut signals, TICK).timed_out();
            }
            signals.woken = false;
            drop(signals);
            if idle && std::mem::take(&mut worked) {
                (shared.options.idle)();
            }
            freeze_when_old(shared);
        }
    }
    shared.sealer.settle(true);
}

pub(super) fn freeze_when_old(shared: &Shared) {
    let unit = shared.state.read().active.clone();
    let thresholds = &shared.options.thresholds;
    let now_ns = shared.options.clock.now_ns();
    let reaches =
        |ns: i64, most: Duration| u128::try_from(ns).is_ok_and(|ns| ns >= most.as_nanos());
    let is_old = reaches(unit.age_ns(now_ns), thresholds.seal_after);
    let is_left = || {
        unit.head.totals().bytes >= thresholds.head_bytes_max / IDLE_SHARE
            && reaches(unit.idle_ns(now_ns), thresholds.seal_idle)
    };
    if !unit.head.is_empty() && (is_old || is_left()) {
        // A closed queue means that the store is closing.
        let _ = shared.queue.push(Job::Freeze { answer: None }, u64::MAX);
    }
}

/// Waits until every head with a segment up to `last` is sealed, or more seals have failed than
/// `failures`.
pub(super) fn wait_sealed(shared: &Shared, last: u64, failures: u64) -> Result<(), StoreError> {
    loop {
        if shared.state.read().sealing.iter().all(|unit| unit.last_segment() > last) {
            return Ok(());
        }
        let mut signals = shared.sealer.signals.lock();
        if signals.failures > failures {
            let why = shared.degraded.seal.lock().clone();
            return Err(StoreError::Seal(why.unwrap_or_else(|| "the store is closed".to_owned())));
        }
        shared.sealer.settled.wait_for(&mut signals, Duration::from_millis(50));
    }
}

/// Waits until another head may be frozen, or more seals have failed than `failures`.
pub(super) fn wait_for_room(shared: &Shared, failures: u64) {
    let heads_max = shared.options.thresholds.sealing_heads_max;
    loop {
        let mut signals = shared.sealer.signals.lock();
        if signals.failures > failures || shared.state.read().sealing.len() <= heads_max {
            return;
        }
        shared.sealer.settled.wait_for(&mut signals, Duration::from_millis(50));
    }
}

fn seal(shared: &Shared, unit: &Arc<HeadUnit>) -> Result<(), StoreError> {
    // Where only the manifest could not be replaced, the parts are there; making them again with
    // every try would fill the disk.
    let written = unit.written.lock().clone();
    let infos = match written {
        Some(infos) => infos,
        None => {
            let infos = write_parts(shared, unit)?;
            *unit.written.lock() = Some(infos.clone());
            infos
        }
    };
    commit(shared, unit, infos)
}

fn write_parts(shared: &Shared, unit: &HeadUnit) -> Result<Vec<PartInfo>, StoreError> {
    let streams = unit.head.all_rows();
    let mut infos: Vec<PartInfo> = Vec::new();
    for days in day_groups(&streams) {
        match write_part(shared, unit, &streams, days) {
            Ok(info) => infos.push(info),
            Err(error) => {
                // They are made again with the next try; a full disk needs their room till then.
                for info in infos {
                    let path = shared.parts_folder().join(&info.day).join(part_name(info.id));
                    let _ = shared.files.remove(&path);
                }
                return Err(error);
            }
        }
    }
    Ok(infos)
}

/// Days as (first, last), both inclusive, in order.
fn day_groups(streams: &[StreamRows]) -> Vec<(i64, i64)> {
    let mut days = BTreeSet::new();
    for stream in streams {
        let mut refs = stream.refs.as_slice();
        while let Some(first) = refs.first() {
            let day = first.ts.0.div_euclid(DAY_NS);
            days.insert(day);
            let next = refs.partition_point(|entry| entry.ts.0.div_euclid(DAY_NS) <= day);
            refs = refs.get(next..).unwrap_or_default();
        }
    }
    let days: Vec<i64> = days.into_iter().collect();
    let together = days.len().saturating_sub(DAYS_MAX - 1);
    let (old, new) = days.split_at(if together > 1 { together } else { 0 });
    let mut groups = Vec::new();
    if let (Some(first), Some(last)) = (old.first(), old.last()) {
        groups.push((*first, *last));
    }
    groups.extend(new.iter().map(|day| (*day, *day)));
    groups
}

fn write_part(
    shared: &Shared,
    unit: &HeadUnit,
    streams: &[StreamRows],
    days: (i64, i64),
) -> Result<PartInfo, StoreError> {
    let id = shared.next_part_id();
    let about = About {
        id,
        day: day_name(Timestamp(days.1.saturating_mul(DAY_NS))),
        created_ns: shared.options.clock.now_ns(),
        level: 0,
        order: id,
        replaces: Vec::new(),
        wal_segment: unit.last_segment(),
        block_bytes: shared.options.thresholds.block_bytes,
    };
    let writer = PartWriter::create(&shared.files, &shared.parts_folder(), about)?;
    fill_part(writer, streams, days)
}

fn fill_part(
    mut writer: PartWriter,
    streams: &[StreamRows],
    days: (i64, i64),
) -> Result<PartInfo, StoreError> {
    let written = streams.iter().try_for_each(|stream| {
        let day_of = |ts: Timestamp| ts.0.div_euclid(DAY_NS);
        let from = stream.refs.partition_point(|entry| day_of(entry.ts) < days.0);
        let to = stream.refs.partition_point(|entry| day_of(entry.ts) <= days.1);
        let refs = stream.refs.get(from..to).unwrap_or_default();
        if refs.is_empty() {
            return Ok(());
        }
        writer.start_stream(&stream.tenant, &stream.meta);
        refs.iter().try_for_each(|entry| {
            let view = stream.entry(*entry);
            writer.push(entry.ts, view.line, view.metadata())
        })
    });
    match written {
        Ok(()) => writer.finish(),
        Err(error) => {
            writer.abandon();
            Err(error)
        }
    }
}

fn commit(
    shared: &Shared,
    unit: &Arc<HeadUnit>,
    mut infos: Vec<PartInfo>,
) -> Result<(), StoreError> {
    // A delete request seals the head before it counts, so those that count by now came before
    // these entries.
    let deletes_seq = shared.deletes.lock().last_seq();
    infos.iter_mut().for_each(|info| info.deletes_seq = deletes_seq);
    let parts: Vec<Arc<Part>> = infos
        .iter()
        .map(|info| Part::new(&shared.files, &shared.parts_folder(), info.clone()))
        .collect();
    let floor = unit.last_segment() + 1;
    // When saving fails it is not known which manifest a crash would leave, so the parts must
    // stay; if they are not listed in the end, the next start removes them.
    shared.change_parts(
        |manifest| {
            manifest.parts.extend(infos);
            manifest.positions.clone_from(&unit.positions.lock());
            manifest.wal_floor = floor;
        },
        |state| {
            state.sealing.retain(|other| !Arc::ptr_eq(other, unit));
            let mut all = state.parts.as_ref().clone();
            all.extend(parts);
            state.parts = Arc::new(all);
        },
    )?;
    for segment in unit.segments.lock().iter() {
        // One that stays is removed at the next start.
        let _ = drop_segment(shared, *segment);
    }
    Ok(())
}
