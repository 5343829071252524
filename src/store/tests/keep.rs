//! Retention by stream, merging without unpacking, back-pressure, snapshots.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::support::*;
use crate::clock::SimClock;
use crate::metrics::Metrics;
use crate::model::{Entry, Matcher, Timestamp};
use crate::store::files::faulty::FaultyFiles;
use crate::store::files::{Files, replace};
use crate::store::{RealFiles, Store, StoreOptions, StreamRetention};

const DAY_NS: i64 = 86_400_000_000_000;

fn days(count: u64) -> Duration {
    Duration::from_secs(86_400 * count)
}

fn apps(store: &Store) -> Vec<String> {
    let mut apps: Vec<String> = all(store).into_iter().map(|row| row.2).collect();
    apps.sort();
    apps
}

#[test]
fn streams_are_kept_as_long_as_their_selector_says() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let mut options = options(Arc::new(files.clone()), &clock);
    let rule = |app: &str, priority, age| StreamRetention {
        matchers: vec![Matcher::eq("app", app)],
        priority,
        age,
    };
    options.retention.age = days(10);
    options.retention.streams =
        vec![rule("short", 1, days(2)), rule("long", 1, days(2)), rule("long", 2, days(30))];
    let store = open(options);
    for day in 0..3i64 {
        let ts = Timestamp(DAY0 - day * DAY_NS);
        let row = |app: &'static str| (app, Entry::new(ts, format!("{app} {day}")));
        store.append_blocking(batch(vec![row("short"), row("long"), row("rest")], None)).unwrap();
    }
    store.flush().unwrap();
    let at = |day: u64| Timestamp(DAY0 + DAY_NS * day as i64 + 1);
    assert_eq!(store.retain_once(Timestamp(DAY0)).unwrap().removed_entries, 0);

    let retained = store.retain_once(at(0)).unwrap();
    assert_eq!((retained.rewritten_parts, retained.removed_entries), (1, 1));
    let all_but = |gone: &[&str]| -> Vec<String> {
        let every = ["long", "rest", "short"]
            .into_iter()
            .flat_map(|app| (0..3).map(move |day| format!("{app} {day}")));
        every.filter(|line| !gone.contains(&line.as_str())).collect()
    };
    assert_eq!(apps(&store), all_but(&["short 2"]));
    store.retain_once(at(2)).unwrap();
    assert_eq!(apps(&store), all_but(&["short 0", "short 1", "short 2"]));
    assert_eq!(store.retain_once(at(2)).unwrap(), Default::default(), "nothing is done twice");
    // A clock is believed as it goes from day to day.
    let go_on = |from: u64, to: u64| {
        for day in from..=to {
            store.retain_once(at(day)).unwrap();
        }
    };
    go_on(3, 10);
    assert_eq!(apps(&store), ["long 0", "long 1", "long 2"]);
    go_on(11, 29);
    assert_eq!(apps(&store), ["long 0"]);
    // The last of a day goes with the folder of the day.
    assert_eq!(store.retain_once(at(30)).unwrap().removed_parts, 1);
    assert_eq!(files.list(Path::new("/data/parts")).unwrap(), []);
}

#[test]
fn blocks_that_need_no_merging_are_taken_over_as_they_are() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(options(Arc::new(files.clone()), &clock));
    for part in 0..5i64 {
        // Two streams one after the other in time, and a third that all parts have at once.
        let entries = (0..100i64).flat_map(|at| {
            let ts = part * 1000 + at;
            let line = format!("part{part} line {ts} id={:016x}", ts * 0x9e37_79b9_7f4a);
            let common = format!("common {part} {at}");
            [
                ("a", Entry::new(Timestamp(DAY0 + ts), line.clone())),
                ("b", Entry::new(Timestamp(DAY0 + ts), line)),
                ("c", Entry::new(Timestamp(DAY0 + at), common)),
            ]
        });
        store.append_blocking(batch(entries.collect(), None)).unwrap();
        store.flush().unwrap();
    }
    let before = all(&*store);
    let stored = |files: &FaultyFiles| -> u64 {
        let sizes = files.paths().into_iter().filter(|path| path.starts_with("/data/parts"));
        sizes.map(|path| files.read(&path).unwrap().len() as u64).sum()
    };
    let bytes = stored(&files);
    let compacted = store.compact_once().unwrap().unwrap();
    assert_eq!((compacted.parts, compacted.entries, compacted.repeats), (5, 1500, 0));
    assert!(compacted.blocks_copied > 20, "{compacted:?}");
    assert!(compacted.blocks_read > 5, "{compacted:?}");
    assert_eq!(compacted.bytes_before, bytes);
    assert_eq!(all(&*store), before);
    // Tokens and filters came along.
    for needle in
        ["part3", "line 2050", "id=", "common 4", &format!("{:016x}", 3050 * 0x9e37_79b9_7f4a_i64)]
    {
        let mut wanted = request(Vec::new(), crate::model::TimeRange::ALL);
        wanted.hints.substrings = vec![vec![needle.to_owned()]];
        let holds = |row: &&Row| row.2.contains(needle);
        let found = collect(&*store, &wanted).iter().filter(holds).count();
        assert_eq!(found, before.iter().filter(holds).count(), "{needle}");
        assert!(found > 0, "{needle}");
    }
    store.close();
    drop(store);
    let store = open(options(Arc::new(files), &clock));
    assert_eq!(all(&*store), before);
}

/// As OTLP has it: the line is short, and what there is to know is in the attributes.
#[test]
fn metadata_counts_like_lines() {
    let clock = SimClock::new(DAY0);
    let store = open(options(Arc::new(FaultyFiles::default()), &clock));
    let id =
        |at: i64| format!("{:032x}", (at as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 << 60));
    for part in 0..5i64 {
        let entries = (0..100i64).map(|at| {
            let at = part * 1000 + at;
            let mut entry = Entry::new(Timestamp(DAY0 + at), "");
            entry.metadata.push(("trace_id".into(), id(at).as_str().into()));
            ("a", entry)
        });
        store.append_blocking(batch(entries.collect(), None)).unwrap();
        if part == 4 {
            // Read from the head as from parts.
            check_budget(&store);
        }
        store.flush().unwrap();
    }
    check_budget(&store);
    let before = all(&*store);
    let compacted = store.compact_once().unwrap().unwrap();
    assert_eq!((compacted.parts, compacted.entries), (5, 500));
    assert!(compacted.blocks_copied > compacted.blocks_read, "{compacted:?}");
    assert_eq!(all(&*store), before);
}

#[track_caller]
fn check_budget(store: &Store) {
    use crate::store::read::{LogRead, ReadError};
    for (need_metadata, bytes_max, fits) in
        [(false, 3000, true), (true, 3000, false), (true, 1_000_000, true)]
    {
        let mut wanted = request(Vec::new(), crate::model::TimeRange::ALL);
        (wanted.need_metadata, wanted.bytes_max) = (need_metadata, bytes_max);
        match store.scan(&wanted, &mut Collect::default()) {
            Ok(stats) => assert!(fits && stats.bytes == 0, "bytes of lines are told alone"),
            Err(error) => assert!(!fits && matches!(error, ReadError::Budget { .. }), "{error}"),
        }
    }
}

#[test]
fn parts_do_not_pile_up_however_often_heads_are_sealed() {
    let clock = SimClock::new(DAY0);
    let metrics = Metrics::default();
    let mut options = options(Arc::new(FaultyFiles::default()), &clock);
    options.metrics = metrics.clone();
    options.thresholds.day_parts_max = 5;
    let store = open(options);
    for part in 0..30i64 {
        let entry = Entry::new(Timestamp(DAY0 + part), format!("line {part}"));
        store.append_blocking(batch(vec![("a", entry)], None)).unwrap();
        store.flush().unwrap();
        assert!(store.status().parts <= 6, "{}", store.status().parts);
    }
    assert_eq!(all(&*store).len(), 30);
    let told = metrics.render();
    let value = |name: &str| {
        let line = told.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse::<i64>().ok()
    };
    let waits = value("stockade_store_seal_waits_total");
    assert!(waits.is_some_and(|waits| waits >= 4), "{waits:?}\n{told}");
    assert!(value("stockade_store_day_parts").is_some_and(|parts| parts <= 6), "{told}");
}

/// A snapshot as files elsewhere, as a backup has it.
pub fn restored(store: &Store, from: &dyn Files) -> FaultyFiles {
    let snapshot = store.snapshot().unwrap();
    let files = FaultyFiles::default();
    let data = Path::new("/data");
    for (path, name) in &snapshot.parts {
        let folder = data.join(name).parent().unwrap().to_owned();
        files.create_folder(&folder).unwrap();
        replace(&files, &data.join(name), &from.read(path).unwrap()).unwrap();
        folder.ancestors().for_each(|folder| files.sync_folder(folder).unwrap());
    }
    for (name, bytes) in &snapshot.lists {
        replace(&files, &data.join(name), bytes).unwrap();
    }
    files
}

#[test]
fn a_snapshot_holds_all_that_was_acknowledged() {
    let clock = SimClock::new(DAY0);
    let folder = tempfile::tempdir().unwrap();
    let mut on_disk = StoreOptions::new(folder.path(), clock.shared(), &Metrics::default());
    on_disk.retention.disk_free_stop_bytes = 0;
    let store = open(on_disk);
    let entry = |at: i64| ("a", Entry::new(Timestamp(DAY0 + at), format!("line {at}")));
    store.append_blocking(batch(vec![entry(1)], Some(("s", "1")))).unwrap();
    store.flush().unwrap();
    store.append_blocking(batch(vec![entry(2)], Some(("s", "2")))).unwrap();
    let files = restored(&store, &RealFiles);
    store.append_blocking(batch(vec![entry(3)], Some(("s", "3")))).unwrap();
    let other = open(options(Arc::new(files), &clock));
    assert_eq!(apps(&other), ["line 1", "line 2"]);
    assert_eq!(other.position("s").as_deref(), Some("2"));
    other.append_blocking(batch(vec![entry(4)], None)).unwrap();
    other.flush().unwrap();
    assert_eq!((apps(&other).len(), apps(&store).len()), (3, 3));
}
