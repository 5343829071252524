//! What goes away and why: too old, too much, or too little space left. For whole parts the
//! decision is made from the list of parts alone; streams that are kept for another time than
//! the rest are looked up in the tables of the parts.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::error::StoreError;
use super::manifest::PartInfo;
use super::merge::{LeaveOut, Merged, noted};
use super::options::{Retention, StreamRetention};
use super::part::{Part, Table};
use super::seal::day_name;
use super::store::Store;
use super::trust::Believed;
use crate::model::{Labels, Timestamp};

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
    /// Parts that went on without some of their streams.
    pub rewritten_parts: usize,
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
    let (today, now) = (day_name(Timestamp(latest_ns)), day_name(Timestamp(now_ns)));
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
        } else if free < retention.disk_free_min_bytes && info.day < today && info.day != now {
            // Something else may be filling the disk; what came in today is kept all the same,
            // also when the clock was ahead once.
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

/// When, after a time, the next part or the next streams in one may be past their time.
fn next_loss(parts: &[PartInfo], ages: &[Duration], after_ns: i64) -> Option<i64> {
    let losses = parts.iter().flat_map(|info| {
        ages.iter().map(|age| info.last_ns.saturating_add(ns(*age)).saturating_add(1))
    });
    losses.filter(|at_ns| *at_ns > after_ns).min()
}

/// How long a stream is kept.
fn age_of(retention: &Retention, labels: &Labels) -> Duration {
    let means = |rule: &&StreamRetention| {
        rule.matchers.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or_default()))
    };
    let of_stream = retention.streams.iter().filter(means);
    of_stream
        .min_by_key(|rule| (Reverse(rule.priority), rule.age))
        .map_or(retention.age, |rule| rule.age)
}

fn ns(age: Duration) -> i64 {
    i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)
}

/// What retention by stream makes of a part.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expired {
    /// Numbers of the streams in the part.
    streams: HashSet<u32>,
    all: bool,
    /// When the next stream is past its time.
    next_ns: Option<i64>,
}

/// A stream counts as old as the newest entry of the part, so that all that are kept equally
/// long go at once and the part is written anew once for each length of time.
fn expired(retention: &Retention, info: &PartInfo, table: &Table, now_ns: i64) -> Expired {
    let mut found = Expired { all: true, ..Expired::default() };
    for (stream, at) in table.streams.iter().zip(0u32..) {
        let until_ns = info.last_ns.saturating_add(ns(age_of(retention, &stream.meta.labels)));
        if until_ns < now_ns {
            found.streams.insert(at);
        } else {
            found.all = false;
            found.next_ns = Some(found.next_ns.map_or(until_ns, |next| next.min(until_ns)));
        }
    }
    found
}

impl Store {
    /// Removes what is past its time or does not fit, as seen at `now`. Whole parts go first;
    /// parts of which only some streams are past their time are written anew without them.
    pub fn retain_once(&self, now: Timestamp) -> Result<Retained, StoreError> {
        let shared = &self.shared;
        let folder = &shared.options.data_dir;
        let free_bytes = shared.files.free_bytes(folder).map_err(StoreError::io(folder))?;
        let wal_bytes = shared.wal_bytes();
        let infos = shared.manifest.lock().parts.clone();
        // A part can go unread when not even the stream that is kept longest needs it.
        let mut retention = shared.options.retention.clone();
        let mut ages: Vec<Duration> = retention.streams.iter().map(|rule| rule.age).collect();
        ages.push(retention.age);
        retention.age = ages.iter().copied().max().unwrap_or(retention.age);
        let (believed, trust) = {
            let mut trust = shared.trust.lock();
            (trust.look(now.0, |after_ns| next_loss(&infos, &ages, after_ns)), *trust)
        };
        // Saved with the next change; a start that knows less just doubts a little longer.
        shared.manifest.lock().clock = Some(trust);
        if believed.newly_doubted {
            tracing::warn!(
                clock = %now,
                last_seen = %Timestamp(believed.latest_ns),
                "the clock is more than two days ahead of what was seen last; nothing is removed \
                 because of its age until the clock has gone on evenly for a day, and then little \
                 by little; set the clock right if it is wrong"
            );
        }
        if believed.stepped {
            tracing::warn!(
                clock = %now,
                believed = %Timestamp(believed.now_ns),
                "the clock is far ahead of what was seen before; days are removed one by one \
                 because of their age, set the clock right if it is wrong"
            );
        }
        let gone = choose(&infos, &retention, believed, wal_bytes, free_bytes);
        let mut retained = Retained::default();
        if !gone.is_empty() {
            let ids: Vec<u64> = gone.iter().map(|(id, _)| *id).collect();
            self.remove_parts(&ids, &mut retained)?;
        }
        for reason in [Reason::Age, Reason::Bytes, Reason::FreeDisk] {
            let parts = gone.iter().filter(|(_, other)| *other == reason).count();
            if parts > 0 {
                tracing::info!(?reason, parts, "removed old parts");
            }
        }
        if !shared.options.retention.streams.is_empty() {
            self.retain_streams(Timestamp(believed.now_ns), &mut retained)?;
        }
        Ok(retained)
    }

    fn remove_parts(&self, ids: &[u64], retained: &mut Retained) -> Result<(), StoreError> {
        let shared = &self.shared;
        let mut removed: Vec<Arc<Part>> = Vec::new();
        shared.change_parts(
            |manifest| manifest.parts.retain(|info| !ids.contains(&info.id)),
            |state| {
                let (out, rest): (Vec<Arc<Part>>, Vec<Arc<Part>>) =
                    state.parts.iter().cloned().partition(|part| ids.contains(&part.info.id));
                removed = out;
                state.parts = Arc::new(rest);
            },
        )?;
        for part in removed {
            shared.cache.forget(part.info.id);
            retained.removed_parts += 1;
            retained.removed_bytes += part.info.disk_bytes;
            retained.removed_entries += part.info.entries;
            part.doom();
        }
        Ok(())
    }

    fn retain_streams(&self, now: Timestamp, retained: &mut Retained) -> Result<(), StoreError> {
        let shared = &self.shared;
        let parts = shared.state.read().parts.clone();
        shared.expiry.lock().retain(|id, _| parts.iter().any(|part| part.info.id == *id));
        let mut gone = Vec::new();
        let mut failed = None;
        for part in parts.iter() {
            match self.retain_streams_of(part, now, retained) {
                Ok(true) => gone.push(part.info.id),
                Ok(false) => {}
                // It was moved aside and named; the others are looked at all the same.
                Err(error) if error.is_damage() => {}
                // What can go helps all the same, perhaps against this very error.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if !gone.is_empty() {
            tracing::info!(reason = ?Reason::Age, parts = gone.len(), "removed old parts");
            self.remove_parts(&gone, retained)?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Gives whether all of the part is past its time.
    fn retain_streams_of(
        &self,
        part: &Arc<Part>,
        now: Timestamp,
        retained: &mut Retained,
    ) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let id = part.info.id;
        if shared.expiry.lock().get(&id).is_some_and(|next_ns| *next_ns >= now.0) {
            return Ok(false);
        }
        let opened = shared.cache.open(part).map_err(|error| noted(shared, part, error))?;
        let found = expired(&shared.options.retention, &part.info, &opened.table, now.0);
        drop(opened);
        if found.all {
            return Ok(true);
        }
        if found.streams.is_empty() {
            shared.expiry.lock().extend(found.next_ns.map(|next_ns| (id, next_ns)));
            return Ok(false);
        }
        let streams = found.streams.len();
        let leave_out = LeaveOut { streams: found.streams, ..LeaveOut::default() };
        let merged = self.rewrite(part, leave_out, 0, &|| true)?;
        let Some(Merged { left_out: entries, .. }) = merged else { return Ok(false) };
        retained.rewritten_parts += 1;
        retained.removed_entries += entries;
        shared.counters.expired(entries);
        tracing::info!(
            part = id,
            day = part.info.day,
            streams,
            entries,
            "removed streams that are past their time"
        );
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Matcher;

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
                deletes_seq: 0,
            })
            .collect()
    }

    fn believed(now_ns: i64) -> Believed {
        Believed { now_ns, latest_ns: now_ns, newly_doubted: false, stepped: false }
    }

    #[track_caller]
    fn check(retention: &Retention, free: u64, expect: &[(u64, Reason)]) {
        assert_eq!(choose(&parts(), retention, believed(NOW), 50, free), expect);
    }

    #[test]
    fn the_highest_priority_counts_for_a_stream() {
        let rule = |app: &str, priority, days: u64| StreamRetention {
            matchers: vec![Matcher::eq("app", app)],
            priority,
            age: Duration::from_secs(86_400 * days),
        };
        let retention = Retention {
            streams: vec![rule("a", 1, 7), rule("a", 2, 30), rule("b", 1, 7), rule("b", 1, 3)],
            ..Retention::default()
        };
        for (app, days) in [("a", 30), ("b", 3), ("c", 90)] {
            let labels = Labels::from_pairs([("app", app)]);
            assert_eq!(age_of(&retention, &labels), Duration::from_secs(86_400 * days), "{app}");
        }
    }

    #[test]
    fn the_first_limit_reached_counts() {
        let keep = Retention {
            age: Duration::from_secs(86_400 * 90),
            streams: Vec::new(),
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
        // What came in today stays also when a later time was believed once.
        let later = Believed { latest_ns: NOW + 365 * DAY_NS, ..believed(NOW) };
        assert_eq!(choose(&parts(), &free, later, 50, 0), old);
    }
}
