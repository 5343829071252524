//! Sectors that cannot be read, and files that are gone: each costs itself and nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, Matcher, TimeRange, Timestamp};
use crate::store::files::Files;
use crate::store::files::faulty::{FaultyFiles, Unsynced};
use crate::store::read::{LogRead, ReadError};
use crate::store::{NewDelete, Store, StoreError, StoreOptions, StreamRetention};

const DAY_NS: i64 = 86_400_000_000_000;
const LINES: usize = 10;

/// One part with one line of each of two streams for each of four days, and a line in the log
/// ahead.
fn filled(clock: &SimClock) -> FaultyFiles {
    let files = FaultyFiles::default();
    let store = open(options(Arc::new(files.clone()), clock));
    for day in 0..4 {
        put(&store, DAY0 - day * DAY_NS);
        store.flush().unwrap();
    }
    put(&store, DAY0 + 1);
    store.close();
    files.after_power_cut(Unsynced::Kept)
}

fn put(store: &Store, ts: i64) {
    let row = |app: &'static str| (app, Entry::new(Timestamp(ts), format!("{app} at {ts}")));
    store.append_blocking(batch(vec![row("a"), row("b")], Some(("x", "1")))).unwrap();
}

fn scan(store: &Store) -> Result<usize, ReadError> {
    let mut sink = Collect::default();
    store.scan(&request(Vec::new(), TimeRange::ALL), &mut sink)?;
    Ok(sink.rows.len())
}

fn parts(files: &FaultyFiles) -> Vec<PathBuf> {
    let of = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "part");
    files.paths().into_iter().filter(of).collect()
}

fn spoil(files: &FaultyFiles, path: &Path) {
    files.set_bad(path, 0..usize::MAX);
}

#[test]
fn any_file_that_cannot_be_read_costs_itself_alone() {
    let clock = SimClock::new(DAY0);
    let filled = filled(&clock);
    assert_eq!(filled.paths().iter().filter(|path| path.ends_with("lock")).count(), 0);
    for path in filled.paths() {
        let files = filled.after_power_cut(Unsynced::Lost);
        spoil(&files, &path);
        let what = path.display();
        let store = open(options(Arc::new(files.clone()), &clock));
        let mut tries = 0;
        let found = loop {
            match scan(&store) {
                Ok(found) => break found,
                Err(ReadError::Damaged(_)) => tries += 1,
                Err(error) => panic!("{what}: {error}"),
            }
            assert!(tries < 2, "{what}: it is moved aside");
        };
        let list = path.file_name().is_some_and(|name| !name.to_string_lossy().contains('.'));
        assert_eq!(found, if list { LINES } else { LINES - 2 }, "{what}");
        assert_eq!(store.status().quarantined.len(), usize::from(!list), "{what}");
        put(&store, DAY0 + 2);
        store.flush().unwrap();
        assert_eq!(scan(&store).unwrap(), found + 2, "{what}");
    }
}

#[test]
fn a_part_that_cannot_be_read_keeps_no_list_from_being_made_anew() {
    let clock = SimClock::new(DAY0);
    let files = filled(&clock);
    spoil(&files, &parts(&files)[1]);
    for name in ["manifest", "manifest-copy"] {
        spoil(&files, &Path::new("/data").join(name));
    }
    let store = open(options(Arc::new(files.clone()), &clock));
    assert_eq!(scan(&store).unwrap(), LINES - 2);
    assert_eq!(store.status().quarantined.len(), 1);
}

#[test]
fn a_part_that_is_gone_is_named_and_the_rest_serves() {
    let clock = SimClock::new(DAY0);
    let files = filled(&clock);
    let store = open(options(Arc::new(files.clone()), &clock));
    files.remove(&parts(&files)[0]).unwrap();
    assert!(matches!(scan(&store), Err(ReadError::Damaged(_))));
    assert_eq!(scan(&store).unwrap(), LINES - 2);
    assert!(store.status().quarantined[0].contains("missing"));
}

#[test]
fn merging_goes_on_with_other_parts_and_days() {
    let clock = SimClock::new(DAY0);
    let files = filled(&clock);
    let store = open(options(Arc::new(files.clone()), &clock));
    for day in 0..4 {
        put(&store, DAY0 - day * DAY_NS + 7);
        store.flush().unwrap();
    }
    // The oldest day, which is merged first.
    spoil(&files, &parts(&files)[0]);
    let merge_all = || {
        let (mut merged, mut failed) = (0, Vec::new());
        loop {
            match store.compact_once() {
                Ok(Some(_)) => merged += 1,
                Ok(None) => return (merged, failed),
                Err(error) => failed.push(error),
            }
            assert!(failed.len() < 9, "{failed:?}");
        }
    };
    let (merged, failed) = merge_all();
    assert!(matches!(failed[..], [StoreError::Damaged { .. }]), "{failed:?}");
    assert_eq!(merged, 2, "today has too few parts");
    assert_eq!(scan(&store).unwrap(), LINES + 8 - 2);
    assert_eq!(merge_all().0, 0);
    // One that cannot be merged for another reason comes again.
    for at in 10..12 {
        put(&store, DAY0 - 3 * DAY_NS + at);
        put(&store, DAY0 - 2 * DAY_NS + at);
        store.flush().unwrap();
    }
    files.set_failing(Some("2026-11-17"));
    let (merged, failed) = merge_all();
    assert!(matches!(failed[..], [StoreError::Io { .. }]), "{failed:?}");
    assert_eq!(merged, 1);
    files.set_failing(None);
    let (merged, failed) = merge_all();
    assert_eq!((merged, failed.len()), (1, 0));
}

#[test]
fn retention_and_deletes_go_on_behind_a_part_that_cannot_be_read() {
    let clock = SimClock::new(DAY0);
    let files = filled(&clock);
    let mut settings: StoreOptions = options(Arc::new(files.clone()), &clock);
    let matchers = vec![Matcher::eq("app", "a")];
    let age = std::time::Duration::from_secs(86_400 * 2 + 43_200);
    settings.retention.streams = vec![StreamRetention { matchers, priority: 1, age }];
    settings.delete_cancel_period = std::time::Duration::ZERO;
    let store = open(settings);
    spoil(&files, &parts(&files)[0]);
    store.retain_once(Timestamp(DAY0)).unwrap();
    store.retain_once(Timestamp(DAY0 + DAY_NS)).unwrap();
    assert_eq!(store.status().quarantined.len(), 1);
    // Of the day before it one stream is gone.
    assert_eq!(scan(&store).unwrap(), LINES - 2 - 1);

    spoil(&files, &parts(&files)[0]);
    let query = "b".to_owned();
    let range = TimeRange::new(Timestamp(0), Timestamp(DAY0 + DAY_NS));
    store.request_delete(&NewDelete { tenant: TENANT.to_owned(), query, range }).unwrap();
    let mut failed = 0;
    loop {
        match store.delete_once() {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
                failed += 1;
                assert!(failed < 3);
            }
        }
    }
    assert_eq!(store.deletes(TENANT)[0].text(), "processed");
    assert_eq!(store.status().quarantined.len(), 2);
    // Of `a` the two latest days and the log ahead.
    assert_eq!(scan(&store).unwrap(), 3);
}

/// Whatever is cut off or left out of the log ahead is kept elsewhere first.
#[test]
fn damage_in_the_log_ahead_is_never_lost() {
    let clock = SimClock::new(DAY0);
    let wal_of = |files: &FaultyFiles| {
        files.paths().into_iter().find(|path| path.starts_with("/data/wal")).unwrap()
    };
    let made = FaultyFiles::default();
    let store = open(options(Arc::new(made.clone()), &clock));
    (0..3).for_each(|at| put(&store, DAY0 + at));
    store.close();
    let made = made.after_power_cut(Unsynced::Lost);
    let needle = format!("a at {}", DAY0 + 2).into_bytes();
    let holds = |files: &FaultyFiles, needle: &[u8]| {
        let paths = files.paths();
        paths.iter().any(|path| memchr::memmem::find(&files.read(path).unwrap(), needle).is_some())
    };
    let wal = wal_of(&made);
    made.change(&wal, |content| {
        let at = memchr::memmem::rfind(content, &needle).unwrap();
        content[at] = b'A';
    });
    let mut needle = needle;
    needle[0] = b'A';
    let steps = {
        let files = made.after_power_cut(Unsynced::Lost);
        let store = open(options(Arc::new(files.clone()), &clock));
        assert_eq!(scan(&store).unwrap(), 4);
        files.calls()
    };
    for step in 0..=steps {
        let files = made.after_power_cut(Unsynced::Lost);
        files.die_after(step);
        drop(Store::open(options(Arc::new(files.clone()), &clock)));
        for unsynced in [Unsynced::Lost, Unsynced::Half, Unsynced::Kept] {
            let files = files.after_power_cut(unsynced);
            assert!(holds(&files, &needle), "step {step} of {steps} {unsynced:?}");
        }
    }

    // With more behind it, it is damage; and a full disk takes no copy.
    let store = open(options(Arc::new(made.clone()), &clock));
    put(&store, DAY0 + 5);
    store.close();
    let made = made.after_power_cut(Unsynced::Lost);
    let needle = format!("a at {}", DAY0 + 1).into_bytes();
    let first = made.paths().into_iter().find(|path| path.starts_with("/data/wal")).unwrap();
    made.change(&first, |content| {
        let at = memchr::memmem::find(content, &needle).unwrap();
        content[at] = b'X';
    });
    let mut changed = needle;
    changed[0] = b'X';
    made.set_failing(Some("quarantine"));
    let store = open(options(Arc::new(made.clone()), &clock));
    assert_eq!(scan(&store).unwrap(), 4);
    assert_eq!(store.status().quarantined.len(), 1);
    made.set_failing(None);
    store.flush().unwrap();
    assert!(holds(&made, &changed));
    let wal = made.paths().into_iter().filter(|path| path.starts_with("/data/wal")).count();
    assert_eq!(wal, 1, "but not where it would be read again");
}
