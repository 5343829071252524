//! Parts that are moved aside: whatever happens meanwhile, they are somewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, Timestamp};
use crate::store::Store;
use crate::store::files::Files;
use crate::store::files::faulty::{FaultyFiles, Unsynced};

fn put(store: &Store, at: i64) {
    let entry = Entry::new(Timestamp(DAY0 + at), format!("line {at}"));
    store.append_blocking(batch(vec![("a", entry)], None)).unwrap();
    store.flush().unwrap();
}

fn parts(files: &FaultyFiles) -> Vec<PathBuf> {
    let of = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "part");
    files.paths().into_iter().filter(of).collect()
}

fn in_quarantine(files: &FaultyFiles) -> usize {
    files.paths().iter().filter(|path| path.starts_with("/data/quarantine")).count()
}

/// Two parts, the first of them with a changed byte, and its content.
fn damaged(clock: &SimClock) -> (FaultyFiles, Vec<u8>) {
    let files = FaultyFiles::default();
    let store = open(options(Arc::new(files.clone()), clock));
    put(&store, 1);
    put(&store, 2);
    store.close();
    let first = parts(&files).remove(0);
    files.change(&first, |content| content[20] ^= 1);
    let content = files.read(&first).unwrap();
    (files.after_power_cut(Unsynced::Lost), content)
}

fn holds(files: &FaultyFiles, content: &[u8]) -> bool {
    files.paths().iter().any(|path| files.read(path).is_ok_and(|found| found == content))
}

#[test]
fn a_power_cut_while_a_part_is_moved_aside_removes_nothing() {
    let clock = SimClock::new(DAY0);
    let (damaged, content) = damaged(&clock);
    let scan = |store: &Store| {
        let wanted = request(Vec::new(), crate::model::TimeRange::ALL);
        crate::store::read::LogRead::scan(store, &wanted, &mut Collect::default()).is_ok()
    };
    let steps = {
        let files = damaged.after_power_cut(Unsynced::Lost);
        let store = open(options(Arc::new(files.clone()), &clock));
        let at_start = files.calls();
        assert!(!scan(&store));
        assert!(scan(&store));
        assert_eq!((all(&*store).len(), in_quarantine(&files)), (1, 1));
        files.calls() - at_start
    };
    assert!(steps > 5, "{steps}");
    let mut found_aside = 0;
    for step in 0..=steps {
        for unsynced in [Unsynced::Lost, Unsynced::Half, Unsynced::Kept] {
            let files = damaged.after_power_cut(Unsynced::Lost);
            let store = open(options(Arc::new(files.clone()), &clock));
            files.die_after(step);
            scan(&store);
            store.close();
            drop(store);
            let files = files.after_power_cut(unsynced);
            let store = open(options(Arc::new(files.clone()), &clock));
            let what = format!("step {step} of {steps} {unsynced:?}");
            assert!(holds(&files, &content), "{what}");
            scan(&store);
            assert_eq!(all(&*store).len(), 1, "{what}");
            assert_eq!(store.status().quarantined.len(), 1, "{what}");
            found_aside += in_quarantine(&files);
        }
    }
    assert_eq!(found_aside, (steps as usize + 1) * 3);
}

#[test]
fn a_part_that_cannot_be_moved_is_moved_at_the_next_start() {
    let clock = SimClock::new(DAY0);
    let (files, content) = damaged(&clock);
    let store = open(options(Arc::new(files.clone()), &clock));
    files.set_failing(Some("quarantine"));
    let wanted = request(Vec::new(), crate::model::TimeRange::ALL);
    let scan = || crate::store::read::LogRead::scan(&*store, &wanted, &mut Collect::default());
    assert!(scan().is_err());
    assert!(scan().is_ok(), "the rest serves");
    store.close();
    files.set_failing(None);
    let files = files.after_power_cut(Unsynced::Lost);
    let store = open(options(Arc::new(files.clone()), &clock));
    assert!(holds(&files, &content));
    assert_eq!((all(&*store).len(), in_quarantine(&files)), (1, 1));
    assert_eq!(store.status().quarantined.len(), 1);
}

#[test]
fn an_older_second_list_removes_no_newer_part() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(options(Arc::new(files.clone()), &clock));
    put(&store, 1);
    files.set_failing(Some("manifest-copy"));
    put(&store, 2);
    files.set_failing(None);
    store.close();
    drop(store);
    let newest = parts(&files).pop().unwrap();
    let content = files.read(&newest).unwrap();
    files.change(Path::new("/data/manifest"), |content| content.fill(0));
    let settings = || options(Arc::new(files.clone()), &clock);
    let store = open(settings());
    assert!(holds(&files, &content));
    assert_eq!((all(&*store).len(), in_quarantine(&files)), (1, 1));
    let named = store.status().quarantined;
    assert!(named.len() == 1 && named[0].contains("older list"), "{named:?}");
    // Its number is not given again.
    put(&store, 3);
    assert!(parts(&files).iter().all(|path| path.file_name() != newest.file_name()));
    store.close();
    drop(store);
    assert_eq!(open(settings()).status().quarantined, named);
}

#[test]
fn a_start_writes_the_copy_anew_that_is_not_whole() {
    for list in ["manifest", "deletes"] {
        for lost in ["", "-copy"] {
            let clock = SimClock::new(DAY0);
            let files = FaultyFiles::default();
            let settings = || options(Arc::new(files.clone()), &clock);
            let store = open(settings());
            put(&store, 1);
            let range = crate::model::TimeRange::ALL;
            let (tenant, query) = (TENANT.to_owned(), "b".to_owned());
            store.request_delete(&crate::store::NewDelete { tenant, query, range }).unwrap();
            store.close();
            drop(store);
            let [first, second] =
                [list.to_owned(), format!("{list}-copy")].map(|name| Path::new("/data").join(name));
            let path = Path::new("/data").join(format!("{list}{lost}"));
            let whole = files.read(&path).unwrap();
            files.change(&path, |content| content.truncate(9));
            open(settings()).close();
            assert_eq!(files.read(&path).unwrap(), whole, "{list}{lost}");
            assert_eq!(files.read(&first).unwrap(), files.read(&second).unwrap());
        }
    }
}

#[test]
fn a_backup_takes_no_damage_along() {
    let clock = SimClock::new(DAY0);
    let (files, content) = damaged(&clock);
    let store = open(options(Arc::new(files.clone()), &clock));
    let refused = store.snapshot();
    assert!(refused.is_err_and(|error| error.to_string().contains("again without it")));
    assert!(holds(&files, &content));
    assert_eq!(store.status().quarantined.len(), 1);
    let restored = super::keep::restored(&store, &files);
    let other = open(options(Arc::new(restored), &clock));
    assert_eq!(all(&*other), all(&*store));
}

/// What is acknowledged before anything else happens is there after a power cut: so are the
/// folders it is in.
#[test]
fn the_folders_of_a_new_store_last() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(options(Arc::new(files.clone()), &clock));
    let entry = Entry::new(Timestamp(DAY0), "first");
    store.append_blocking(batch(vec![("a", entry)], None)).unwrap();
    let files = files.after_power_cut(Unsynced::Lost);
    let store = open(options(Arc::new(files), &clock));
    assert_eq!(all(&*store).len(), 1);
}
