//! Power cuts at every step: what was acknowledged is there exactly once, and source positions
//! fit the entries.

use std::sync::Arc;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, Timestamp};
use crate::store::files::Files;
use crate::store::files::faulty::{FaultyFiles, Unsynced};
use crate::store::{AppendError, Store, StoreOptions};

const BATCHES: usize = 8;
const HOUR_NS: i64 = 3_600_000_000_000;

fn settings(files: &FaultyFiles, clock: &SimClock) -> StoreOptions {
    let mut options = options(Arc::new(files.clone()), clock);
    // No waiting for a sealer that cannot succeed.
    options.thresholds.sealing_heads_max = 100;
    options
}

fn line(at: usize) -> String {
    format!("line {at} of the test")
}

/// Sends batches, each with the position it advances to; seals and merges in between. Gives the
/// number of acknowledged batches.
fn work(store: &Store) -> usize {
    let mut acknowledged = 0;
    for at in 0..BATCHES {
        let ts = Timestamp(DAY0 - HOUR_NS * 2 + at as i64 * HOUR_NS / 3);
        let entries = vec![("a", Entry::new(ts, line(at))), ("b", Entry::new(ts, line(at)))];
        let position = at.to_string();
        if store.append_blocking(batch(entries, Some(("file:x", &position)))).is_err() {
            break;
        }
        acknowledged = at + 1;
        if at % 2 == 1 && store.flush().is_err() {
            break;
        }
        if at % 4 == 3 {
            while let Ok(Some(_)) = store.compact_once() {}
        }
    }
    acknowledged
}

fn check(files: &FaultyFiles, clock: &SimClock, acknowledged: usize, what: &str) {
    let store = Store::open(settings(files, clock)).unwrap();
    let rows = all(&*store);
    let found = rows.len() / 2;
    assert!(found >= acknowledged, "{what}: {found} of {acknowledged}");
    // One batch may have been written and not acknowledged.
    assert!(found <= acknowledged + 1, "{what}: {found} of {acknowledged}");
    let mut expect: Vec<(String, String)> = (0..found)
        .flat_map(|at| ["a", "b"].map(|app| (labels(app).to_string(), line(at))))
        .collect();
    expect.sort();
    let mut lines: Vec<(String, String)> = rows.into_iter().map(|row| (row.0, row.2)).collect();
    lines.sort();
    assert_eq!(lines, expect, "{what}");
    let position = found.checked_sub(1).map(|last| last.to_string());
    assert_eq!(store.position("file:x"), position, "{what}");
    assert_eq!(store.status().quarantined, Vec::<String>::new(), "{what}");

    // It goes on from there, and what is sent again is left out.
    let ts = Timestamp(DAY0 + 1);
    let again = store.append_blocking(batch(vec![("a", Entry::new(ts, "new"))], None)).unwrap();
    assert_eq!(again.entries, 1);
    store.flush().unwrap();
    assert_eq!(all(&*store).len(), found * 2 + 1, "{what}");
}

#[test]
fn a_power_cut_at_any_step_loses_nothing() {
    let clock = SimClock::new(DAY0);
    let steps = {
        let files = FaultyFiles::default();
        let store = open(settings(&files, &clock));
        assert_eq!(work(&store), BATCHES);
        files.calls()
    };
    assert!(steps > 100, "{steps}");
    for step in 0..steps {
        let files = FaultyFiles::default();
        files.die_after(step);
        let acknowledged = match Store::open(settings(&files, &clock)) {
            Ok(store) => {
                let acknowledged = work(&store);
                store.close();
                acknowledged
            }
            Err(_) => 0,
        };
        let unsynced = [Unsynced::Lost, Unsynced::Half, Unsynced::Kept][step as usize % 3];
        let after = files.after_power_cut(unsynced);
        check(&after, &clock, acknowledged, &format!("step {step} of {steps} {unsynced:?}"));
    }
}

#[test]
fn a_full_disk_is_survived_without_a_restart() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(settings(&files, &clock));
    let send = |at: usize| {
        let entry = Entry::new(Timestamp(DAY0 + at as i64), line(at));
        store.append_blocking(batch(vec![("a", entry)], Some(("file:x", &at.to_string()))))
    };
    send(0).unwrap();
    let used: u64 = {
        let paths = files.paths();
        paths.iter().map(|path| files.read(path).unwrap().len() as u64).sum()
    };
    for room in [0, 1, 7, 8, 20, 60] {
        files.set_capacity(Some(used + room));
        assert!(matches!(send(1), Err(AppendError::DiskFull)), "room {room}");
        assert_eq!(all(&*store).len(), 1);
        assert_eq!(store.position("file:x"), Some("0".to_owned()));
        assert!(!store.status().is_ready());
    }
    files.set_capacity(None);
    send(1).unwrap();
    assert!(store.status().is_ready());
    store.close();
    let store = open(settings(&files.after_power_cut(Unsynced::Lost), &clock));
    assert_eq!(all(&*store).len(), 2);
    assert_eq!(store.position("file:x"), Some("1".to_owned()));
}

#[test]
fn a_failed_sync_acknowledges_nothing() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(settings(&files, &clock));
    let send = |at: usize| {
        let entry = Entry::new(Timestamp(DAY0 + at as i64), line(at));
        store.append_blocking(batch(vec![("a", entry)], None))
    };
    send(0).unwrap();
    files.set_fail_sync(true);
    assert!(matches!(send(1), Err(AppendError::Io(_))));
    assert!(send(1).is_err());
    assert_eq!(all(&*store).len(), 1);
    files.set_fail_sync(false);
    send(1).unwrap();
    send(2).unwrap();
    assert_eq!(all(&*store).len(), 3);
    store.flush().unwrap();
    assert_eq!(store.status().parts, 1);
    store.close();
    for unsynced in [Unsynced::Lost, Unsynced::Kept] {
        let store = open(settings(&files.after_power_cut(unsynced), &clock));
        assert_eq!(all(&*store).len(), 3);
    }
}
