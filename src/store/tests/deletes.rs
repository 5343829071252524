//! Delete requests: hidden at once, gone from disk in the end, and nothing else is touched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, Matcher, TimeRange, Timestamp};
use crate::store::block::{BlockBuf, Wanted};
use crate::store::files::Files;
use crate::store::files::faulty::{FaultyFiles, Unsynced};
use crate::store::part::Opened;
use crate::store::read::{Cancel, LogRead, Rows, StreamMeta};
use crate::store::read::{Flow, ReadError, RowSink};
use crate::store::{DeleteError, DeleteState, NewDelete, Store, StoreOptions};

const SECRET: &str = "topsecretword";
const HOUR_NS: i64 = 3_600_000_000_000;

fn settings(files: &FaultyFiles, clock: &SimClock) -> StoreOptions {
    let mut options = options(Arc::new(files.clone()), clock);
    options.thresholds.sealing_heads_max = 100;
    options.delete_cancel_period = Duration::ZERO;
    options
}

fn delete(query: &str, from: i64, to: i64) -> NewDelete {
    NewDelete {
        tenant: TENANT.to_owned(),
        query: query.to_owned(),
        range: TimeRange::new(Timestamp(from), Timestamp(to)),
    }
}

fn line(at: i64) -> String {
    if at % 5 == 2 {
        format!("user {at} has {SECRET} {at:08x}")
    } else {
        format!("line {at} id={at:08x}")
    }
}

/// Parts and a head, with lines of two streams; every fifth of `a` holds the secret.
fn fill(store: &Store, parts: i64) {
    for part in 0..=parts {
        let entries = (0..40i64).flat_map(|at| {
            let at = part * 40 + at;
            let ts = Timestamp(DAY0 - HOUR_NS + at * 1_000_000);
            [("a", Entry::new(ts, line(at))), ("b", Entry::new(ts, format!("other {at}")))]
        });
        store.append_blocking(batch(entries.collect(), None)).unwrap();
        if part < parts {
            store.flush().unwrap();
        }
    }
}

fn carry_out(store: &Store) {
    while store.delete_once().unwrap() {}
}

/// Every file, raw, and every block of every part, unpacked.
fn disk_holds(files: &FaultyFiles, needle: &str) -> Vec<String> {
    let holds = |bytes: &[u8]| memchr::memmem::find(bytes, needle.as_bytes()).is_some();
    let mut found = Vec::new();
    for path in files.paths() {
        if holds(&files.read(&path).unwrap()) {
            found.push(path.display().to_string());
        }
        if path.extension().is_some_and(|kind| kind == "part") {
            let opened = Opened::open(files, &path).unwrap();
            let (mut stored, mut block) = (Vec::new(), BlockBuf::new().unwrap());
            for row in &opened.table.blocks {
                opened.read_block(row, Wanted::WHOLE, &mut stored, &mut block).unwrap();
                for at in 0..block.rows() {
                    if holds(block.line(at).as_bytes()) {
                        found.push(format!("{} row {at}", path.display()));
                    }
                }
            }
        }
    }
    found
}

#[test]
fn lines_are_hidden_at_once_and_gone_from_disk_in_the_end() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let mut options = settings(&files, &clock);
    options.delete_cancel_period = Duration::from_secs(3600);
    let store = open(options.clone());
    fill(&store, 3);
    let before = all(&*store);
    let expect: Vec<Row> = before.iter().filter(|row| !row.2.contains(SECRET)).cloned().collect();
    assert_eq!((before.len(), expect.len()), (320, 320 - 32));
    assert!(!disk_holds(&files, SECRET).is_empty());

    let asked = delete(&format!("a {SECRET}"), i64::MIN, DAY0);
    let id = store.request_delete(&asked).unwrap();
    assert_eq!(store.request_delete(&asked).unwrap(), id, "sent again it is the same");
    assert_eq!(all(&*store), expect);
    let status = &store.deletes(TENANT)[0];
    assert_eq!((status.text().as_str(), status.request.parts), ("received", 4));
    assert_eq!(store.deletes("other"), []);

    // Not before its time, whatever else happens; a start does not bring them back.
    carry_out(&store);
    while store.compact_once().unwrap().is_some() {}
    assert_eq!(all(&*store), expect);
    assert!(!disk_holds(&files, SECRET).is_empty());
    store.close();
    drop(store);
    let store = open(options);
    assert_eq!(all(&*store), expect);

    clock.advance(Duration::from_secs(3601));
    assert!(store.delete_once().unwrap());
    carry_out(&store);
    let status = &store.deletes(TENANT)[0];
    assert_eq!(status.request.state, DeleteState::Processed);
    assert_eq!(status.text(), "processed");
    assert_eq!(all(&*store), expect);
    assert_eq!(disk_holds(&files, SECRET), Vec::<String>::new());
    assert_eq!(blocks_with(&*store, SECRET), 0, "nor in an index");
    assert!(blocks_with(&*store, "other") > 0, "the index of the others stays");
    assert!(matches!(store.cancel_delete(TENANT, &id, true), Err(DeleteError::InProcess)));
}

fn blocks_with(store: &dyn LogRead, needle: &str) -> u64 {
    let mut request = request(Vec::new(), TimeRange::ALL);
    request.hints.substrings = vec![vec![needle.to_owned()]];
    store.scan(&request, &mut Collect::default()).unwrap().blocks
}

#[test]
fn progress_is_seen_part_by_part() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(settings(&files, &clock));
    fill(&store, 3);
    store.request_delete(&delete(&format!("a {SECRET}"), i64::MIN, DAY0)).unwrap();
    let mut seen = vec![store.deletes(TENANT)[0].text()];
    while store.delete_once().unwrap() {
        seen.push(store.deletes(TENANT)[0].text());
    }
    seen.push(store.deletes(TENANT)[0].text());
    seen.dedup();
    let steps = ["received", "25% Complete", "50% Complete", "75% Complete"];
    assert_eq!(seen[..4], steps);
    assert_eq!(seen.last().unwrap(), "processed");
}

#[test]
fn a_request_can_be_taken_back_in_time() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let mut options = settings(&files, &clock);
    options.delete_cancel_period = Duration::from_secs(60);
    let store = open(options);
    fill(&store, 1);
    let before = all(&*store);
    store.flush().unwrap();
    let asked = delete("a", DAY0 - HOUR_NS, DAY0);
    let id = store.request_delete(&asked).unwrap();
    assert_eq!(all(&*store).len(), 80);
    // A whole stream that is hidden is not listed either.
    assert_eq!(store.streams(TENANT, &[], TimeRange::ALL, &Cancel::default()).unwrap().len(), 1);
    assert!(matches!(store.cancel_delete(TENANT, "nope", false), Err(DeleteError::NotFound)));
    assert!(matches!(store.cancel_delete("other", &id, false), Err(DeleteError::NotFound)));
    store.cancel_delete(TENANT, &id, false).unwrap();
    assert_eq!(all(&*store), before);
    assert_eq!(store.deletes(TENANT), []);

    let id = store.request_delete(&asked).unwrap();
    clock.advance(Duration::from_secs(60));
    let late = store.cancel_delete(TENANT, &id, false);
    assert!(matches!(late, Err(DeleteError::PastDeadline(_))));
    assert!(store.delete_once().unwrap());
    store.cancel_delete(TENANT, &id, true).unwrap();
    let rest = all(&*store).len();
    assert!(rest > 80 && rest < before.len(), "{rest}");
    let wrong = store.request_delete(&delete("", 0, 1));
    assert!(matches!(wrong, Err(DeleteError::Query(_))));
}

#[test]
fn what_comes_later_stays_even_with_times_of_before() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(settings(&files, &clock));
    fill(&store, 1);
    let first = line(2);
    let ts = Timestamp(DAY0 - HOUR_NS + 2_000_000);
    store.request_delete(&delete(&format!("a {SECRET}"), i64::MIN, DAY0)).unwrap();
    let count = |store: &Store| all(store).iter().filter(|row| row.2.contains(SECRET)).count();
    assert_eq!(count(&store), 0);
    // The same line once more, and one like it: both came after the request.
    let again = Entry::new(ts, first.as_str());
    let like_it = Entry::new(Timestamp(ts.0 + 7), format!("new {SECRET}"));
    let appended = store.append_blocking(batch(vec![("a", again), ("a", like_it)], None)).unwrap();
    assert_eq!((appended.entries, appended.repeats), (2, 0));
    assert_eq!(count(&store), 2);
    store.flush().unwrap();
    while store.compact_once().unwrap().is_some() {}
    assert_eq!(count(&store), 2);
    carry_out(&store);
    while store.compact_once().unwrap().is_some() {}
    assert_eq!(count(&store), 2);
    assert_eq!(store.deletes(TENANT)[0].text(), "processed");
}

#[test]
fn a_part_of_which_nothing_is_left_goes() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(settings(&files, &clock));
    fill(&store, 2);
    for app in ["a", "b"] {
        store.request_delete(&delete(app, i64::MIN, DAY0)).unwrap();
    }
    assert_eq!(all(&*store).len(), 0);
    carry_out(&store);
    assert_eq!(store.status().parts, 0);
    assert!(files.list(Path::new("/data/parts")).unwrap().is_empty(), "its day is gone too");
    assert!(store.deletes(TENANT).iter().all(|status| status.text() == "processed"));
}

/// A query that began before sees what it began with, and the file goes after it.
#[test]
fn queries_under_way_end_well() {
    struct During<'a>(&'a Store, usize);
    impl RowSink for During<'_> {
        fn rows(&mut self, _: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
            if self.1 == 0 {
                carry_out(self.0);
                assert_eq!(self.0.deletes(TENANT)[0].request.state, DeleteState::Received);
            }
            self.1 += rows.len();
            Ok(Flow::Continue)
        }
    }
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(settings(&files, &clock));
    fill(&store, 1);
    store.request_delete(&delete(&format!("a {SECRET}"), i64::MIN, DAY0)).unwrap();
    let mut during = During(&store, 0);
    let wanted = request(vec![Matcher::eq("app", "a")], TimeRange::ALL);
    store.scan(&wanted, &mut during).unwrap();
    assert_eq!(during.1, 64);
    carry_out(&store);
    assert_eq!(store.deletes(TENANT)[0].text(), "processed");
    assert_eq!(disk_holds(&files, SECRET), Vec::<String>::new());
}

/// Gives whether the request was acknowledged.
fn work(store: &Store) -> bool {
    let asked = delete(&format!("a {SECRET}"), i64::MIN, DAY0);
    if store.request_delete(&asked).is_err() {
        return false;
    }
    while let Ok(true) = store.delete_once() {}
    while let Ok(Some(_)) = store.compact_once() {}
    true
}

#[test]
fn a_power_cut_at_any_step_brings_nothing_back_and_takes_nothing_else() {
    let clock = SimClock::new(DAY0);
    let filled = FaultyFiles::default();
    let store = open(settings(&filled, &clock));
    fill(&store, 4);
    let before = all(&*store);
    store.close();
    drop(store);
    let filled = filled.after_power_cut(Unsynced::Lost);
    let steps = {
        let files = filled.after_power_cut(Unsynced::Lost);
        let store = open(settings(&files, &clock));
        let at_start = files.calls();
        assert!(work(&store));
        assert_eq!(disk_holds(&files, SECRET), Vec::<String>::new());
        files.calls() - at_start
    };
    assert!(steps > 40, "{steps}");
    let expect: Vec<Row> = before.iter().filter(|row| !row.2.contains(SECRET)).cloned().collect();
    for step in 0..steps {
        let files = filled.after_power_cut(Unsynced::Lost);
        let store = open(settings(&files, &clock));
        files.die_after(step);
        let acknowledged = work(&store);
        store.close();
        drop(store);
        let unsynced = [Unsynced::Lost, Unsynced::Half, Unsynced::Kept][step as usize % 3];
        let files = files.after_power_cut(unsynced);
        let store = open(settings(&files, &clock));
        let rows = all(&*store);
        let is_hidden = rows == expect;
        assert!(is_hidden || (!acknowledged && rows == before), "step {step} of {steps}");
        assert_eq!(store.status().quarantined, Vec::<String>::new());
        // What was not acknowledged is sent again.
        assert!(work(&store), "step {step}");
        assert_eq!(all(&*store), expect, "step {step}");
        assert_eq!(disk_holds(&files, SECRET), Vec::<String>::new(), "step {step}");
    }
}
