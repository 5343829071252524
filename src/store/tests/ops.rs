//! Operation: locking, tails, retention, back-pressure, reading while writing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::support::*;
use crate::clock::SimClock;
use crate::metrics::Metrics;
use crate::model::{Entry, Matcher, TimeRange, Timestamp};
use crate::store::files::faulty::FaultyFiles;
use crate::store::read::{Flow, LogRead, ReadError, RowSink, Rows, StreamMeta};
use crate::store::seal::freeze_when_old;
use crate::store::{AppendError, Store, StoreError, StoreOptions};

const DAY_NS: i64 = 86_400_000_000_000;

fn entry(ts: i64, line: &str) -> Entry {
    Entry::new(Timestamp(ts), line)
}

#[test]
fn a_folder_has_one_owner_and_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(DAY0);
    let options = || {
        let mut options = StoreOptions::new(folder.path(), clock.shared(), &Metrics::default());
        options.retention.disk_free_stop_bytes = 0;
        options
    };
    let store = open(options());
    assert!(matches!(Store::open(options()), Err(StoreError::Locked { .. })));
    store.append_blocking(batch(vec![("a", entry(DAY0, "one"))], Some(("s", "1")))).unwrap();
    store.flush().unwrap();
    store.append_blocking(batch(vec![("a", entry(DAY0 + 1, "two"))], Some(("s", "")))).unwrap();
    assert_eq!(store.position("s"), None);
    store.close();
    let closed = store.append_blocking(batch(vec![("a", entry(DAY0, "x"))], None));
    assert!(matches!(closed, Err(AppendError::Closed)));
    assert!(matches!(store.flush(), Err(StoreError::Closed)));
    drop(store);
    let store = open(options());
    let lines: Vec<String> = all(&*store).into_iter().map(|row| row.2).collect();
    assert_eq!(lines, ["one", "two"]);
    let status = store.status();
    assert_eq!((status.parts, status.head_entries, status.entries), (1, 1, 2));
    assert!(status.disk_bytes > 0 && status.is_ready());
}

#[test]
fn tails_get_what_was_stored() {
    let clock = SimClock::new(DAY0);
    let store = open(options(Arc::new(FaultyFiles::default()), &clock));
    let mut tail = store.subscribe();
    let one = || ("a", entry(DAY0, "one"));
    store.append_blocking(batch(vec![one()], Some(("s", "1")))).unwrap();
    let first = tail.try_recv().unwrap();
    assert_eq!((first.entries(), first.positions.len(), first.skipped), (1, 0, 0));
    let appended =
        store.append_blocking(batch(vec![one(), ("b", entry(DAY0, "two")), one()], None)).unwrap();
    assert_eq!((appended.entries, appended.repeats), (1, 2));
    let second = tail.try_recv().unwrap();
    assert_eq!(second.streams.len(), 1);
    assert_eq!(second.streams[0].entries[0].line, "two");
    store.append_blocking(batch(vec![one()], None)).unwrap();
    assert!(tail.try_recv().is_err());
}

#[test]
fn old_days_go_and_scans_that_read_them_end_well() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let mut options = options(Arc::new(files.clone()), &clock);
    options.retention.age = Duration::from_secs(2 * 86_400);
    let store = open(options);
    for day in 0..3i64 {
        let entries = (0..50).map(|at| ("a", entry(DAY0 - day * DAY_NS + at, "a line of a day")));
        store.append_blocking(batch(entries.collect(), None)).unwrap();
    }
    store.flush().unwrap();
    assert_eq!(store.status().parts, 3);
    assert_eq!(store.retain_once(Timestamp(DAY0)).unwrap().removed_parts, 0);

    struct During<'a>(&'a Store, usize);
    impl RowSink for During<'_> {
        fn rows(&mut self, _: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
            if self.1 == 0 {
                let retained = self.0.retain_once(Timestamp(DAY0 + DAY_NS + 1000)).unwrap();
                assert_eq!((retained.removed_parts, retained.removed_entries), (2, 100));
            }
            self.1 += rows.len();
            Ok(Flow::Continue)
        }
    }
    let mut during = During(&store, 0);
    store.scan(&request(Vec::new(), TimeRange::ALL), &mut during).unwrap();
    assert_eq!(during.1, 150);
    assert_eq!(all(&*store).len(), 50);
    let parts = files.paths().iter().filter(|path| path.starts_with("/data/parts")).count();
    assert_eq!(parts, 1);
}

#[test]
fn old_heads_are_sealed_and_positions_alone_do_not_pile_up() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let mut options = options(Arc::new(files.clone()), &clock);
    options.thresholds.head_bytes_max = 2000;
    let store = open(options.clone());
    for at in 0..400 {
        let position = format!("{at:050}");
        let append = || store.append_blocking(batch(Vec::new(), Some(("file:x", &position))));
        while let Err(error) = append() {
            assert!(matches!(error, AppendError::Full));
            std::thread::yield_now();
        }
    }
    store.flush().unwrap();
    let wal: Vec<_> =
        files.paths().into_iter().filter(|path| path.starts_with("/data/wal")).collect();
    assert_eq!(wal.len(), 1, "{wal:?}");
    assert_eq!(store.status().parts, 0);
    store.close();
    let store = open(options);
    assert_eq!(store.position("file:x"), Some(format!("{:050}", 399)));
}

#[test]
fn a_scan_stops_when_told() {
    let clock = SimClock::new(DAY0);
    let store = open(options(Arc::new(FaultyFiles::default()), &clock));
    for part in 0..3 {
        let entries = (0..40).map(|at| ("a", entry(DAY0 + part * 100 + at, "0123456789")));
        store.append_blocking(batch(entries.collect(), None)).unwrap();
        if part < 2 {
            store.flush().unwrap();
        }
    }
    let mut wanted = request(vec![Matcher::eq("app", "a")], TimeRange::ALL);
    wanted.bytes_max = 500;
    let stopped = store.scan(&wanted, &mut Collect::default());
    assert!(matches!(stopped, Err(ReadError::Budget { bytes_max: 500 })));
    wanted.bytes_max = u64::MAX;
    wanted.cancel.cancel();
    assert!(matches!(store.scan(&wanted, &mut Collect::default()), Err(ReadError::Cancelled)));

    struct From(Timestamp, Collect);
    impl RowSink for From {
        fn wants(&mut self, _: Timestamp, last: Timestamp) -> bool {
            last >= self.0
        }
        fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
            self.1.rows(stream, rows)
        }
    }
    let mut sink = From(Timestamp(DAY0 + 200), Collect::default());
    let stats = store.scan(&request(Vec::new(), TimeRange::ALL), &mut sink).unwrap();
    assert_eq!((sink.1.rows.len(), stats.parts_pruned), (40, 2));
}

#[test]
fn each_entry_is_seen_once_while_parts_change() {
    let clock = SimClock::new(DAY0);
    let mut options = options(Arc::new(FaultyFiles::default()), &clock);
    options.thresholds.head_bytes_max = 3000;
    let store = open(options);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (store, done) = (&store, &done);
        scope.spawn(move || {
            for at in 0..400i64 {
                let line = format!("{at:030}");
                let append =
                    || store.append_blocking(batch(vec![("a", entry(DAY0 + at, &line))], None));
                while let Err(error) = append() {
                    assert!(matches!(error, AppendError::Full));
                    std::thread::yield_now();
                }
                if at % 60 == 59 {
                    store.compact_once().unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
        let mut before = 0;
        loop {
            let last = done.load(Ordering::Acquire);
            let rows = all(&**store);
            let lines: Vec<i64> = rows.iter().map(|row| row.1 - DAY0).collect();
            assert_eq!(lines, (0..lines.len() as i64).collect::<Vec<i64>>());
            assert!(lines.len() >= before);
            before = lines.len();
            if last {
                break;
            }
        }
        assert_eq!(before, 400);
    });
}

#[test]
fn a_head_that_is_left_alone_is_sealed_once_it_is_large_enough() {
    let clock = SimClock::new(DAY0);
    let mut options = options(Arc::new(FaultyFiles::default()), &clock);
    options.thresholds.head_bytes_max = 4000;
    let store = open(options);
    let in_head = || store.shared.state.read().active.head.totals().entries;
    let push = |ts: i64, bytes: usize| {
        let line = "x".repeat(bytes);
        let entry = Entry::new(Timestamp(DAY0 + ts), line);
        store.append_blocking(batch(vec![("a", entry)], None)).unwrap();
    };
    push(0, 900);
    clock.advance(Duration::from_secs(5));
    freeze_when_old(&store.shared);
    push(1, 300);
    assert_eq!(in_head(), 2, "too small");
    clock.advance(Duration::from_secs(4));
    freeze_when_old(&store.shared);
    push(2, 10);
    assert_eq!(in_head(), 3, "too soon");
    clock.advance(Duration::from_secs(5));
    freeze_when_old(&store.shared);
    push(3, 10);
    assert_eq!(in_head(), 1);
    assert_eq!(all(&*store).len(), 4);
}
