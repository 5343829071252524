//! Random operations on the store and on a plain model of it must look the same.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::keep::restored;
use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, Matcher, TimeRange, Timestamp};
use crate::store::files::faulty::{FaultyFiles, Unsynced};
use crate::store::read::{Cancel, LogRead, MemoryLogs, Order};
use crate::store::{NewDelete, Store, StoreOptions, StreamRetention};

#[derive(Debug, Clone)]
enum Op {
    Append(Vec<(usize, i64, String, bool)>),
    Flush,
    Reopen,
    Compact,
    /// Power is cut with nothing closed.
    Crash,
    /// A snapshot is taken and the work goes on in its copy.
    Restore,
    /// Entries of an app whose line holds a text, before a time.
    Delete(usize, String, i64),
    CarryOut,
    /// One app is past its time.
    Retain,
}

const APPS: [&str; 4] = ["a", "b", "c", "d"];

fn op() -> impl Strategy<Value = Op> {
    let hour = 3_600_000_000_000i64;
    let entry = (0..APPS.len(), -6i64..6, 0i64..4, "[ab ]{0,5}|x{30}", any::<bool>()).prop_map(
        move |(app, hours, ns, line, metadata)| (app, DAY0 + hours * hour + ns, line, metadata),
    );
    prop_oneof![
        6 => prop::collection::vec(entry, 1..30).prop_map(Op::Append),
        2 => Just(Op::Flush),
        1 => Just(Op::Reopen),
        2 => Just(Op::Compact),
        1 => Just(Op::Crash),
        1 => Just(Op::Restore),
        2 => (0..APPS.len(), "[ab]?", -6i64..6)
            .prop_map(move |(app, text, hours)| Op::Delete(app, text, DAY0 + hours * hour)),
        2 => Just(Op::CarryOut),
        1 => Just(Op::Retain),
    ]
}

fn entry(ts: i64, line: &str, metadata: bool) -> Entry {
    let mut entry = Entry::new(Timestamp(ts), line);
    if metadata {
        entry.metadata.push(("detected_level".into(), "info".into()));
    }
    entry
}

fn same(store: &Store, model: &MemoryLogs) {
    assert_eq!(all(store), all(model));
    for (matcher, from, to) in [
        (Matcher::eq("app", "a"), i64::MIN, i64::MAX),
        (Matcher::eq("env", "test"), DAY0, DAY0 + 2),
        (Matcher::eq("app", "b"), DAY0 - 7_200_000_000_000, DAY0 + 1),
    ] {
        let range = TimeRange::new(Timestamp(from), Timestamp(to));
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let mut request = request(vec![matcher.clone()], range);
            request.order = order;
            assert_eq!(collect(store, &request), collect(model, &request));
            request.need_lines = false;
            request.need_metadata = false;
            let (mut ours, mut theirs) = (Collect::default(), Collect::default());
            let stats = store.scan(&request, &mut ours).unwrap();
            let expect = model.scan(&request, &mut theirs).unwrap();
            assert_eq!(ours.lines_bytes, theirs.lines_bytes);
            assert_eq!((stats.rows, stats.streams), (expect.rows, expect.streams));
        }
    }
    if store.deletes(TENANT).iter().any(|status| status.text() != "processed") {
        // Hidden entries still count in what tables tell.
        return;
    }
    let whole = |logs: &dyn LogRead| {
        let mut streams = logs.streams(TENANT, &[], TimeRange::ALL, &Cancel::default()).unwrap();
        streams.iter_mut().for_each(|stats| stats.chunks = 0);
        streams
    };
    assert_eq!(whole(store), whole(model));
    let range = TimeRange::new(Timestamp(DAY0), Timestamp(DAY0 + 3));
    let ours = store.streams(TENANT, &[], range, &Cancel::default()).unwrap();
    let theirs = model.streams(TENANT, &[], range, &Cancel::default()).unwrap();
    assert_eq!(ours.len(), theirs.len());
    for stats in theirs {
        let found = ours.iter().find(|other| other.stream == stats.stream).unwrap();
        // These blocks are few, so their times are looked at.
        assert_eq!(
            (found.entries, found.first, found.last),
            (stats.entries, stats.first, stats.last)
        );
    }
}

/// What the model holds, so that entries can be taken out again.
#[derive(Default)]
struct Kept(Vec<(usize, Entry)>);

impl Kept {
    fn logs(&self) -> MemoryLogs {
        let mut logs = MemoryLogs::default();
        for (app, entry) in &self.0 {
            logs.add(TENANT, &labels(APPS[*app]), entry.clone());
        }
        logs
    }
}

const EXPIRING: usize = 3;

fn settings(files: &FaultyFiles, clock: &SimClock) -> StoreOptions {
    let mut options = options(Arc::new(files.clone()), clock);
    options.delete_cancel_period = Duration::ZERO;
    options.retention.streams = vec![StreamRetention {
        matchers: vec![Matcher::eq("app", APPS[EXPIRING])],
        priority: 1,
        age: Duration::from_secs(86_400),
    }];
    options
}

fn run(ops: Vec<Op>) {
    let clock = SimClock::new(DAY0);
    let mut files = FaultyFiles::default();
    let mut store = open(settings(&files, &clock));
    let mut kept = Kept::default();
    let mut model = MemoryLogs::default();
    for (step, op) in ops.into_iter().enumerate() {
        match op {
            Op::Append(rows) => {
                let before = all(&model).len();
                let mut entries = Vec::new();
                for (app, ts, line, metadata) in &rows {
                    let entry = entry(*ts, line, *metadata);
                    model.add(TENANT, &labels(APPS[*app]), entry.clone());
                    kept.0.push((*app, entry.clone()));
                    entries.push((APPS[*app], entry));
                }
                let position = step.to_string();
                let appended =
                    store.append_blocking(batch(entries, Some(("file:x", &position)))).unwrap();
                assert_eq!(appended.entries as usize, all(&model).len() - before);
                assert_eq!((appended.entries + appended.repeats) as usize, rows.len());
                assert_eq!(store.position("file:x"), Some(position));
            }
            Op::Flush => store.flush().unwrap(),
            Op::Reopen => {
                let positions = store.positions("");
                store.close();
                drop(store);
                store = open(settings(&files, &clock));
                assert_eq!(store.positions(""), positions);
            }
            Op::Crash => {
                let positions = store.positions("");
                let after = files.after_power_cut(Unsynced::Lost);
                store.close();
                drop(store);
                files = after;
                store = open(settings(&files, &clock));
                assert_eq!(store.positions(""), positions);
            }
            Op::Restore => {
                let copy = restored(&store, &files);
                store.close();
                drop(store);
                files = copy;
                store = open(settings(&files, &clock));
            }
            Op::Delete(app, text, end) => {
                let query = format!("{} {text}", APPS[app]);
                let range = TimeRange::new(Timestamp::MIN, Timestamp(end));
                store
                    .request_delete(&NewDelete { tenant: TENANT.to_owned(), query, range })
                    .unwrap();
                kept.0.retain(|(of, entry)| {
                    !(*of == app && range.contains(entry.ts) && entry.line.contains(&text))
                });
                model = kept.logs();
            }
            Op::CarryOut => while store.delete_once().unwrap() {},
            Op::Retain => {
                store.flush().unwrap();
                // In steps that a clock is believed at once.
                for hours in [36, 72] {
                    store.retain_once(Timestamp(DAY0 + hours * 3_600_000_000_000)).unwrap();
                }
                kept.0.retain(|(app, _)| *app != EXPIRING);
                model = kept.logs();
            }
            Op::Compact => while store.compact_once().unwrap().is_some() {},
        }
        same(&store, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_store_is_as_its_model(ops in prop::collection::vec(op(), 1..14)) {
        run(ops);
    }
}
