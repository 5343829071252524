//! Files that a bad disk has changed: never wrong data, never a panic, the rest serves.

use std::path::PathBuf;
use std::sync::Arc;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, TimeRange, Timestamp};
use crate::store::files::faulty::{FaultyFiles, Unsynced};
use crate::store::read::{Cancel, LogRead, ReadError};
use crate::store::{NewDelete, Store};

fn filled(clock: &SimClock) -> FaultyFiles {
    let files = FaultyFiles::default();
    let store = open(options(Arc::new(files.clone()), clock));
    for part in 0..2i64 {
        let entries = (0..12i64).map(|at| {
            let mut entry = Entry::new(
                Timestamp(DAY0 + part * 1000 + at),
                format!("part {part} line {at} id={:08x}", at * 7_654_321),
            );
            entry.metadata.push(("detected_level".into(), "info".into()));
            (["a", "b"][at as usize % 2], entry)
        });
        store.append_blocking(batch(entries.collect(), Some(("x", "1")))).unwrap();
        store.flush().unwrap();
    }
    let range = TimeRange::new(Timestamp(0), Timestamp(DAY0 + 5000));
    let query = "b line 3 ".to_owned();
    store.request_delete(&NewDelete { tenant: TENANT.to_owned(), query, range }).unwrap();
    let entry = Entry::new(Timestamp(DAY0 + 5000), "in the log ahead");
    store.append_blocking(batch(vec![("a", entry)], Some(("x", "2")))).unwrap();
    store.close();
    files.after_power_cut(Unsynced::Lost)
}

fn is_part(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "part")
}

/// Scans with a needle, so that index and filters are read, then without.
fn read_all(store: &Store, good: &[Row]) -> Result<usize, ReadError> {
    let mut found = 0;
    for needle in ["id=", ""] {
        let mut request = request(Vec::new(), TimeRange::ALL);
        if !needle.is_empty() {
            request.hints.substrings = vec![vec![needle.to_owned(), "07".to_owned()]];
        }
        let mut sink = Collect::default();
        store.scan(&request, &mut sink)?;
        assert!(sink.rows.iter().all(|row| good.contains(row)), "only true rows");
        found = sink.rows.len();
    }
    store.streams(TENANT, &[], TimeRange::ALL, &Cancel::default())?;
    Ok(found)
}

fn check(files: &FaultyFiles, clock: &SimClock, good: &[Row], what: &str) {
    let store = open(options(Arc::new(files.clone()), clock));
    let mut failed = 0;
    let found = loop {
        match read_all(&store, good) {
            Ok(found) => break found,
            Err(ReadError::Damaged(_)) => failed += 1,
            Err(error) => panic!("{what}: {error}"),
        }
        assert!(failed < 3, "{what}: damage is moved aside");
    };
    let quarantined = store.status().quarantined.len();
    assert!(found == good.len() || quarantined + failed > 0 || found + 1 == good.len(), "{what}");
    assert!(found + 12 >= good.len(), "{what}: the rest serves");
    let listed = store.deletes(TENANT).len();
    assert!(listed == 1 || quarantined > 0, "{what}: a list that is lost is named");
    // It still works.
    let entry = Entry::new(Timestamp(DAY0 + 6000), "after");
    store.append_blocking(batch(vec![("a", entry)], None)).unwrap();
    store.flush().unwrap();
    let _ = store.compact_once();
}

#[test]
fn a_flipped_bit_in_any_file_is_noticed() {
    let clock = SimClock::new(DAY0);
    let files = filled(&clock);
    let good = all(&*open(options(Arc::new(files.after_power_cut(Unsynced::Lost)), &clock)));
    assert_eq!(good.len(), 23, "two of 25 are hidden");
    let paths: Vec<PathBuf> = files.paths();
    assert_eq!(paths.iter().filter(|path| is_part(path)).count(), 2);
    let mut seed = 7u64;
    for path in paths {
        let mut bytes = 0;
        files.change(&path, |content| bytes = content.len());
        let mut at = 0;
        while at < bytes {
            let damaged = files.after_power_cut(Unsynced::Lost);
            damaged.change(&path, |content| content[at] ^= 1 << (seed % 8));
            check(&damaged, &clock, &good, &format!("{} byte {at}", path.display()));
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            at += 1 + (seed >> 33) as usize % 59;
        }
        for cut in [0, 1, bytes / 2, bytes.saturating_sub(1)] {
            let damaged = files.after_power_cut(Unsynced::Lost);
            damaged.change(&path, |content| content.truncate(cut));
            check(&damaged, &clock, &good, &format!("{} cut at {cut}", path.display()));
        }
    }
}

#[test]
fn both_lists_of_deletes_lost_is_told() {
    let clock = SimClock::new(DAY0);
    let files = filled(&clock);
    for path in files.paths() {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("deletes")) {
            files.change(&path, |content| content.fill(0));
        }
    }
    let store = open(options(Arc::new(files.clone()), &clock));
    assert_eq!(all(&*store).len(), 25);
    assert_eq!(store.status().quarantined, ["deletes: list of delete requests"]);
    assert!(files.paths().contains(&PathBuf::from("/data/quarantine/deletes")));
    // The next request counts for what is there, though numbers were given before.
    let range = TimeRange::new(Timestamp(0), Timestamp(DAY0 + 5000));
    let query = "b line 3 ".to_owned();
    store.request_delete(&NewDelete { tenant: TENANT.to_owned(), query, range }).unwrap();
    assert_eq!(all(&*store).len(), 23);
}

#[test]
fn both_manifests_lost_are_made_anew() {
    let clock = SimClock::new(DAY0);
    let files = filled(&clock);
    let store = open(options(Arc::new(files.clone()), &clock));
    let good = all(&*store);
    store.close();
    for path in files.paths() {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("manifest")) {
            files.change(&path, |content| content.fill(0));
        }
    }
    let store = open(options(Arc::new(files.clone()), &clock));
    assert_eq!(all(&*store), good);
    assert_eq!(store.position("x"), Some("2".to_owned()));
}
