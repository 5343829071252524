//! What goes away and why: too old, too much, or too little space left. The decision is made
//! from the list of parts alone.

use std::sync::Arc;

use super::error::StoreError;
use super::manifest::PartInfo;
use super::options::Retention;
use super::part::Part;
use super::seal::day_name;
use super::store::Store;
use super::trust::Believed;
use crate::model::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Age,
    Bytes,
    FreeDisk,
}

/// What a run of retention did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    pub removed_parts: usize,
    pub removed_bytes: u64,
    pub removed_entries: u64,
}

/// Which parts go, oldest day first.
fn choose(
    parts: &[PartInfo],
    retention: &Retention,
    Believed { now_ns, latest_ns, .. }: Believed,
    other_bytes: u64,
    free_bytes: u64,
) -> Vec<(u64, Reason)> {
    let age_ns = i64::try_from(retention.age.as_nanos()).unwrap_or(i64::MAX);
    let oldest_ns = now_ns.saturating_sub(age_ns);
    let today = day_name(Timestamp(latest_ns));
    let mut total: u64 = parts.iter().map(|info| info.disk_bytes).sum::<u64>() + other_bytes;
    let mut free = free_bytes;
    let mut sorted: Vec<&PartInfo> = parts.iter().collect();
    sorted.sort_by(|a, b| (&a.day, a.last_ns, a.id).cmp(&(&b.day, b.last_ns, b.id)));
    let mut gone = Vec::new();
    for info in sorted {
        let reason = if info.last_ns < oldest_ns {
            Reason::Age
        } else if retention.bytes_max.is_some_and(|bytes_max| total > bytes_max) {
            Reason::Bytes
        } else if free < retention.disk_free_min_bytes && info.day < today {
            // Something else may be filling the disk; what came in today is kept all the same.
            Reason::FreeDisk
        } else {
            continue;
        };
        total = total.saturating_sub(info.disk_bytes);
        free = free.saturating_add(info.disk_bytes);
        gone.push((info.id, reason));
    }
    gone
}

impl Store {
    /// Removes what is past its time or does not fit, as seen at `now`.
    pub fn retain_once(&self, now: Timestamp) -> Result<Retained, StoreError> {
        let shared = &self.shared;
        let folder = &shared.options.data_dir;
        let free_bytes = shared.files.free_bytes(folder).map_err(StoreError::io(folder))?;
        let wal_bytes = shared.wal_bytes();
        let infos = shared.manifest.lock().parts.clone();
        let retention = &shared.options.retention;
        let believed = shared.trust.lock().look(now.0);
        if believed.newly_doubted {
            tracing::warn!(
                clock = %now,
                last_seen = %Timestamp(believed.latest_ns),
                "the clock is more than two days ahead of what was seen last; nothing is removed \
                 because of its age until the clock has gone on evenly for a day"
            );
        }
        let gone = choose(&infos, retention, believed, wal_bytes, free_bytes);
        if gone.is_empty() {
            return Ok(Retained::default());
        }
        let is_gone = |id: u64| gone.iter().any(|(other, _)| *other == id);
        let mut removed: Vec<Arc<Part>> = Vec::new();
        shared.change_parts(
            |manifest| manifest.parts.retain(|info| !is_gone(info.id)),
            |state| {
                let (out, rest): (Vec<Arc<Part>>, Vec<Arc<Part>>) =
                    state.parts.iter().cloned().partition(|part| is_gone(part.info.id));
                removed = out;
                state.parts = Arc::new(rest);
            },
        )?;
        let mut retained = Retained::default();
        for part in removed {
            shared.cache.forget(part.info.id);
            retained.removed_parts += 1;
            retained.removed_bytes += part.info.disk_bytes;
            retained.removed_entries += part.info.entries;
            part.doom();
        }
        for reason in [Reason::Age, Reason::Bytes, Reason::FreeDisk] {
            let parts = gone.iter().filter(|(_, other)| *other == reason).count();
            if parts > 0 {
                tracing::info!(?reason, parts, "removed old parts");
            }
        }
        Ok(retained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const DAY_NS: i64 = 86_400_000_000_000;
    const NOW: i64 = 1_795_132_800_000_000_000 + DAY_NS / 2;

    fn parts() -> Vec<PartInfo> {
        (0..4)
            .map(|days_ago| PartInfo {
                id: 10 - days_ago,
                day: day_name(Timestamp(NOW - days_ago as i64 * DAY_NS)),
                created_ns: 0,
                level: 0,
                order: 0,
                first_ns: NOW - days_ago as i64 * DAY_NS - 1000,
                last_ns: NOW - days_ago as i64 * DAY_NS,
                entries: 1,
                streams: 1,
                line_bytes: 1000,
                disk_bytes: 100,
            })
            .collect()
    }

    fn believed(now_ns: i64) -> Believed {
        Believed { now_ns, latest_ns: now_ns, newly_doubted: false }
    }

    #[track_caller]
    fn check(retention: &Retention, free: u64, expect: &[(u64, Reason)]) {
        assert_eq!(choose(&parts(), retention, believed(NOW), 50, free), expect);
    }

    #[test]
    fn the_first_limit_reached_counts() {
        let keep = Retention {
            age: Duration::from_secs(86_400 * 90),
            bytes_max: None,
            disk_free_min_bytes: 0,
            disk_free_stop_bytes: 0,
        };
        check(&keep, 0, &[]);
        let age = Retention { age: Duration::from_secs(86_400 * 2), ..keep.clone() };
        check(&age, 0, &[(7, Reason::Age)]);
        let age = Retention { age: Duration::from_secs(86_400 * 2 - 1), ..keep.clone() };
        check(&age, 0, &[(7, Reason::Age), (8, Reason::Age)]);
        let bytes = Retention { bytes_max: Some(250), ..age.clone() };
        check(&bytes, 0, &[(7, Reason::Age), (8, Reason::Age)]);
        let bytes = Retention { bytes_max: Some(249), ..age };
        check(&bytes, 0, &[(7, Reason::Age), (8, Reason::Age), (9, Reason::Bytes)]);
        let bytes = Retention { bytes_max: Some(0), ..keep.clone() };
        assert_eq!(choose(&parts(), &bytes, believed(NOW), 0, 0).len(), 4);
        let free = Retention { disk_free_min_bytes: 1000, ..keep };
        check(&free, 1000, &[]);
        check(&free, 850, &[(7, Reason::FreeDisk), (8, Reason::FreeDisk)]);
        let old: Vec<(u64, Reason)> = [7, 8, 9].map(|id| (id, Reason::FreeDisk)).into();
        check(&free, 0, &old);
    }
}
