//! Work that takes long, or fails, while other work waits: the other goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, Matcher, TimeRange, Timestamp};
use crate::store::files::Files;
use crate::store::files::faulty::{FaultyFiles, Unsynced};
use crate::store::{NewDelete, Store, StoreError, StreamRetention};

/// What waits for ever is told from what is slow by this.
const FOR_EVER: Duration = Duration::from_secs(60);

fn put(store: &Store, at: i64) {
    let entry = Entry::new(Timestamp(DAY0 + at), format!("line {at} {:064x}", at * 7919));
    store.append_blocking(batch(vec![("a", entry)], None)).unwrap();
}

fn seal(store: &Store, parts: std::ops::Range<i64>) {
    for at in parts {
        put(store, at);
        store.flush().unwrap();
    }
}

fn part_files(files: &FaultyFiles) -> usize {
    files.paths().iter().filter(|path| path.starts_with("/data/parts")).count()
}

/// Whether the work ends while somebody else merges.
fn ends_while_merging(store: &Arc<Store>, work: impl FnOnce(&Store) + Send + 'static) -> bool {
    let merging = store.shared.compacting.lock();
    let (done, waits) = mpsc::channel();
    let other = store.clone();
    let thread = std::thread::spawn(move || {
        work(&other);
        let _ = done.send(());
    });
    let ended = waits.recv_timeout(FOR_EVER).is_ok();
    drop(merging);
    thread.join().unwrap();
    ended
}

#[test]
fn heads_are_sealed_while_somebody_else_merges() {
    let clock = SimClock::new(DAY0);
    let mut options = options(Arc::new(FaultyFiles::default()), &clock);
    options.thresholds.day_parts_max = 2;
    options.thresholds.relieve_wait = Duration::from_millis(1);
    let store = open(options);
    assert!(ends_while_merging(&store, |store| seal(store, 0..6)));
    assert_eq!(store.status().parts, 6);
    seal(&store, 6..7);
    assert!(store.status().parts <= 3);
    assert_eq!(all(&*store).len(), 7);
}

#[test]
fn parts_are_looked_at_while_somebody_else_merges() {
    let clock = SimClock::new(DAY0);
    let mut options = options(Arc::new(FaultyFiles::default()), &clock);
    let matchers = vec![Matcher::eq("app", "a")];
    let age = Duration::from_secs(86_400);
    options.retention.streams = vec![StreamRetention { matchers, priority: 1, age }];
    options.delete_cancel_period = Duration::ZERO;
    let store = open(options);
    seal(&store, 0..3);
    let range = TimeRange::new(Timestamp(0), Timestamp(DAY0 + 10));
    let (tenant, query) = (TENANT.to_owned(), "a nowhere".to_owned());
    store.request_delete(&NewDelete { tenant, query, range }).unwrap();
    assert!(ends_while_merging(&store, |store| {
        while store.delete_once().unwrap() {}
        assert_eq!(store.deletes(TENANT)[0].text(), "processed");
        store.retain_once(Timestamp(DAY0)).unwrap();
    }));
}

#[test]
fn a_flush_ends_though_more_and_more_is_frozen() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let mut options = options(Arc::new(files.clone()), &clock);
    options.thresholds.sealing_heads_max = 100;
    let store = open(options);
    put(&store, 0);
    let (flushed, is_flushed) = mpsc::channel();
    let is_flushed = Mutex::new(is_flushed);
    let (heads, late) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let (in_hook, told_late) = (Arc::downgrade(&store), late.clone());
    files.on_create(move |path| {
        let Some(store) = in_hook.upgrade() else { return };
        if path.extension().is_none_or(|kind| kind != "tmp") || !path.starts_with("/data/parts") {
            return;
        }
        // With each head that is sealed another one is frozen; the second waits for the flush.
        let head = heads.fetch_add(1, Ordering::Relaxed) as i64;
        if head < 3 {
            put(&store, head + 1);
            let (answer, frozen) = tokio::sync::oneshot::channel();
            let job = crate::store::writer::Job::Freeze { answer: Some(answer) };
            store.shared.queue.push(job, u64::MAX).unwrap();
            frozen.blocking_recv().unwrap().unwrap();
        }
        if head == 1 && is_flushed.lock().recv_timeout(FOR_EVER).is_err() {
            told_late.fetch_add(1, Ordering::Relaxed);
        }
    });
    store.flush().unwrap();
    flushed.send(()).unwrap();
    store.flush().unwrap();
    assert_eq!(late.load(Ordering::Relaxed), 0);
    assert!(all(&*store).len() >= 2);
}

#[test]
fn a_merge_that_fails_at_any_step_leaves_nothing() {
    let clock = SimClock::new(DAY0);
    let filled = FaultyFiles::default();
    let store = open(options(Arc::new(filled.clone()), &clock));
    seal(&store, 0..5);
    let before = all(&*store);
    store.close();
    let filled = filled.after_power_cut(Unsynced::Lost);
    let opened = || {
        let files = filled.after_power_cut(Unsynced::Lost);
        (open(options(Arc::new(files.clone()), &clock)), files)
    };
    let steps = {
        let (store, files) = opened();
        let at_start = files.calls();
        store.compact_once().unwrap().unwrap();
        files.calls() - at_start
    };
    assert!(steps > 10, "{steps}");
    let mut failures = 0;
    for step in 0..steps {
        let (store, files) = opened();
        files.fail_one_after(step);
        let failed = store.compact_once().is_err();
        let left = || part_files(&files) - store.status().parts as usize;
        // What may be listed after a crash stays until a list is saved.
        assert!(left() <= 1, "step {step} of {steps}");
        put(&store, 100);
        store.flush().unwrap();
        // An input that could not be removed is left to the next start.
        assert!(!failed || left() == 0, "step {step} of {steps}");
        failures += usize::from(failed);
        store.close();
        let files = files.after_power_cut(Unsynced::Lost);
        let store = open(options(Arc::new(files.clone()), &clock));
        assert_eq!(all(&*store).len(), before.len() + 1, "step {step}");
        assert_eq!(part_files(&files), store.status().parts as usize, "step {step}");
    }
    assert!(failures > 10, "{failures}");
}

#[test]
fn merges_that_cannot_be_listed_do_not_fill_the_disk() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(options(Arc::new(files.clone()), &clock));
    seal(&store, 0..5);
    files.set_failing(Some("manifest"));
    for _ in 0..10 {
        // A day that failed is left alone once.
        assert!(!matches!(store.compact_once(), Ok(Some(_))));
    }
    assert!(part_files(&files) <= 6, "{}", part_files(&files));
    files.set_failing(None);
    while store.compact_once().is_err() {}
    while store.compact_once().unwrap().is_some() {}
    assert_eq!((part_files(&files), store.status().parts), (1, 1));
    assert_eq!(all(&*store).len(), 5);
}

#[test]
fn a_merge_leaves_the_last_room_to_heads() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let mut options = options(Arc::new(files.clone()), &clock);
    options.retention.disk_free_stop_bytes = 1000;
    let store = open(options);
    seal(&store, 0..5);
    let sizes = files.list(Path::new("/data/parts/2026-11-20")).unwrap();
    let inputs: u64 = sizes.iter().map(|file| file.bytes).sum();
    let paths = files.paths();
    let used: u64 = paths.iter().map(|path| files.read(path).unwrap().len() as u64).sum();
    files.set_capacity(Some(used + 1000 + inputs - 1));
    let refused = store.compact_once();
    assert!(matches!(refused, Err(StoreError::NoRoom { .. })), "{refused:?}");
    assert_eq!(part_files(&files), 5);
    files.set_capacity(Some(used + 1000 + inputs));
    assert!(store.compact_once().unwrap().is_none(), "others come first");
    assert_eq!(store.compact_once().unwrap().unwrap().parts, 5);
}
