//! A disk without room, a clock that jumps, a WAL larger than memory: nothing is lost, and all
//! goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, Timestamp};
use crate::store::files::Files;
use crate::store::files::faulty::{FaultyFiles, Unsynced};
use crate::store::{AppendError, Store};

const DAY_NS: i64 = 86_400_000_000_000;

fn send(store: &Store, at: i64, line: &str) -> Result<u64, AppendError> {
    let entry = Entry::new(Timestamp(DAY0 + at), line);
    let position = at.to_string();
    let sent = store.append_blocking(batch(vec![("a", entry)], Some(("file:x", &position))));
    sent.map(|appended| appended.entries)
}

fn line(at: i64) -> String {
    format!("line {at} with words enough to need some room: {:064x}", at * 7919)
}

fn lines(store: &Store) -> Vec<i64> {
    all(store).iter().map(|row| row.1 - DAY0).collect()
}

fn files_of(files: &FaultyFiles, folder: &str) -> usize {
    files.paths().iter().filter(|path| path.starts_with(folder)).count()
}

#[test]
fn sealing_into_a_full_disk_goes_on_when_there_is_room() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(options(Arc::new(files.clone()), &clock));
    let mut sent = 0i64;
    let (mut by_seal, mut by_append) = (0, 0);
    for room in (0..4000).step_by(137) {
        for _ in 0..20 {
            assert_eq!(send(&store, sent, &line(sent)).unwrap(), 1);
            sent += 1;
        }
        let used: u64 = {
            let paths = files.paths();
            paths.iter().map(|path| files.read(path).unwrap().len() as u64).sum()
        };
        files.set_capacity(Some(used + room));
        if store.flush().is_err() {
            by_seal += 1;
            assert_eq!(lines(&store), (0..sent).collect::<Vec<i64>>(), "room {room}");
            match send(&store, sent, &line(sent)) {
                Ok(_) => sent += 1,
                Err(error) => {
                    assert!(matches!(error, AppendError::DiskFull | AppendError::Full), "{error}");
                    by_append += 1;
                }
            }
        }
        // Room comes back, and nobody does anything about it.
        files.set_capacity(None);
        while store.flush().is_err() {}
        assert!(store.status().is_ready(), "room {room}: {:?}", store.status().degraded);
        assert_eq!(lines(&store), (0..sent).collect::<Vec<i64>>(), "room {room}");
        // No try has left anything behind.
        assert_eq!(files_of(&files, "/data/parts"), store.status().parts as usize, "room {room}");
        assert_eq!(files_of(&files, "/data/wal"), 1, "room {room}");
    }
    assert!(by_seal > 5 && by_append > 0, "{by_seal} {by_append}");
    let store = open(options(Arc::new(files.after_power_cut(Unsynced::Lost)), &clock));
    assert_eq!(lines(&store), (0..sent).collect::<Vec<i64>>());
    assert_eq!(store.position("file:x"), Some((sent - 1).to_string()));
}

#[test]
fn taking_in_stops_before_the_disk_is_full_and_starts_again() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let mut options = options(Arc::new(files.clone()), &clock);
    options.retention.disk_free_stop_bytes = 100_000;
    let store = open(options);
    send(&store, 0, "one").unwrap();
    files.set_capacity(Some(90_000));
    assert!(matches!(send(&store, 1, "two"), Err(AppendError::DiskFull)));
    let why = store.status().degraded.unwrap();
    assert!(why.contains("disk is full"), "{why}");
    // What is there can still be sealed.
    store.flush().unwrap();
    files.set_capacity(Some(300_000));
    send(&store, 1, "two").unwrap();
    assert!(store.status().is_ready());
    assert_eq!(lines(&store), [0, 1]);
}

#[test]
fn a_clock_that_jumps_loses_nothing() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let mut options = options(Arc::new(files.clone()), &clock);
    options.retention.age = Duration::from_secs(2 * 86_400);
    let store = open(options.clone());
    let look = |at: i64| {
        clock.set_ns(at);
        store.retain_once(Timestamp(at)).unwrap().removed_parts
    };
    send(&store, 0, "before").unwrap();
    store.flush().unwrap();
    assert_eq!(look(DAY0), 0);
    // To 2040 and back, and to 1970 and back.
    assert_eq!(look(DAY0 + 5000 * DAY_NS), 0);
    send(&store, 1, "in the far future").unwrap();
    store.flush().unwrap();
    assert_eq!(look(DAY0 + 5000 * DAY_NS + 1), 0);
    assert_eq!(look(1), 0);
    send(&store, 2, "in the far past").unwrap();
    store.flush().unwrap();
    assert_eq!(look(DAY0 + DAY_NS / 2), 0);
    send(&store, 3, "after").unwrap();
    assert_eq!(lines(&store), [0, 1, 2, 3]);
    store.close();
    clock.set_ns(DAY0 + DAY_NS);
    let store = open(options.clone());
    store.flush().unwrap();
    assert_eq!(lines(&store), [0, 1, 2, 3]);
    assert_eq!(store.retain_once(Timestamp(DAY0 + DAY_NS)).unwrap().removed_parts, 0);
}

#[test]
fn a_wal_of_many_segments_is_sealed_on_the_way() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let settings = || options(Arc::new(files.clone()), &clock);
    // Every start goes on in a segment of its own.
    for round in 0..10i64 {
        let store = open(settings());
        for at in round * 30..round * 30 + 30 {
            assert_eq!(send(&store, at, &line(at)).unwrap(), 1);
            // What comes again is in the WAL all the same.
            assert_eq!(send(&store, at / 2, &line(at / 2)).unwrap(), 0);
        }
        store.close();
    }
    let before = {
        let store = open(settings());
        let rows = all(&*store);
        assert_eq!(store.status().parts, 0);
        rows
    };
    assert!(files_of(&files, "/data/wal") > 10);
    let mut small = settings();
    small.thresholds.head_bytes_max = 6000;
    let progress = small.progress.clone();
    let store = open(small);
    assert_eq!(progress.percent(), 100);
    assert!(store.status().parts > 2, "{}", store.status().parts);
    assert_eq!(all(&*store), before);
    assert_eq!(store.position("file:x"), Some((299 / 2).to_string()));
    store.flush().unwrap();
    assert_eq!(all(&*store), before);
}

#[test]
fn a_start_without_room_for_parts_still_comes_up() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let settings = || options(Arc::new(files.clone()), &clock);
    for round in 0..6i64 {
        let store = open(settings());
        for at in 0..60 {
            send(&store, round * 60 + at, &line(at)).unwrap();
        }
        store.close();
    }
    let used: u64 = {
        let paths = files.paths();
        paths.iter().map(|path| files.read(path).unwrap().len() as u64).sum()
    };
    // Room for the next segment of the WAL, but for no part.
    files.set_capacity(Some(used + 40));
    let mut small = settings();
    small.thresholds.head_bytes_max = 3000;
    let store = open(small);
    assert_eq!(lines(&store), (0..360).collect::<Vec<i64>>());
    files.set_capacity(None);
    while store.flush().is_err() {}
    assert_eq!(lines(&store), (0..360).collect::<Vec<i64>>());
    assert_eq!(files_of(&files, "/data/wal"), 1);
}
