//! A scan shared among threads gives what one thread gives, and ends as one.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, Matcher, TimeRange, Timestamp};
use crate::store::Store;
use crate::store::files::faulty::FaultyFiles;
use crate::store::read::*;

const WORKERS: usize = 3;

fn open_shared() -> Arc<Store> {
    let clock = SimClock::new(DAY0);
    let mut options = options(Arc::new(FaultyFiles::default()), &clock);
    options.thresholds.scan_workers = WORKERS;
    open(options)
}

/// Keeps results of parts.
#[derive(Default)]
struct Keeping {
    rows: Vec<Row>,
    begun: Option<(PartKey, Vec<Row>)>,
    kept: HashMap<PartKey, Vec<Row>>,
    reused: usize,
    joined: usize,
}

impl RowSink for Keeping {
    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        let mut collect = Collect::default();
        collect.rows(stream, rows)?;
        match &mut self.begun {
            Some((_, of_part)) => of_part.extend(collect.rows),
            None => self.rows.extend(collect.rows),
        }
        Ok(Flow::Continue)
    }

    fn fork(&self) -> Option<Box<dyn ForkedSink>> {
        Some(Box::new(Collect::default()))
    }

    fn join(&mut self, fork: Box<dyn ForkedSink>) -> Result<(), ReadError> {
        let collect = fork.into_any().downcast::<Collect>().unwrap();
        self.joined += 1;
        match &mut self.begun {
            Some((_, of_part)) => of_part.extend(collect.rows),
            None => self.rows.extend(collect.rows),
        }
        Ok(())
    }

    fn begin_part(&mut self, part: PartKey) -> bool {
        assert!(self.begun.is_none(), "one part at a time");
        if let Some(kept) = self.kept.get(&part) {
            self.rows.extend_from_slice(kept);
            self.reused += 1;
            return false;
        }
        self.begun = Some((part, Vec::new()));
        true
    }

    fn end_part(&mut self, part: PartKey) {
        let (begun, rows) = self.begun.take().unwrap();
        assert_eq!(begun, part);
        self.rows.extend_from_slice(&rows);
        self.kept.insert(part, rows);
    }
}

impl ForkedSink for Collect {
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

fn check(parts: &[Vec<(usize, i64, u32)>], sealed: usize, from: i64, to: i64) {
    let store = open_shared();
    for (at, rows) in parts.iter().enumerate() {
        let entries = rows.iter().map(|(app, ts, number)| {
            let line = format!("level=info number={number} of the part {at}");
            (["a", "b", "c"][*app], Entry::new(Timestamp(DAY0 + ts), line))
        });
        store.append_blocking(batch(entries.collect(), None)).unwrap();
        if at < sealed {
            store.flush().unwrap();
        }
    }
    let range = TimeRange::new(Timestamp(DAY0 + from), Timestamp(DAY0 + to));
    for (range, matcher, needle) in [
        (TimeRange::ALL, Matcher::eq("env", "test"), ""),
        (range, Matcher::eq("env", "test"), ""),
        (range, Matcher::eq("app", "b"), ""),
        (TimeRange::ALL, Matcher::eq("env", "test"), "number=17 "),
        (TimeRange::ALL, Matcher::eq("env", "test"), "nowhere"),
    ] {
        for order in [Order::Any, Order::NewestFirst, Order::OldestFirst] {
            let mut request = request(vec![matcher.clone()], range);
            request.order = order;
            if !needle.is_empty() {
                request.hints.substrings = vec![vec![needle.to_owned()]];
            }
            let mut alone = Collect::default();
            let expect = store.scan(&request, &mut alone).unwrap();
            alone.rows.sort();
            let mut kept = HashMap::new();
            for round in 0..2 {
                let mut sink = Keeping { kept, ..Keeping::default() };
                let stats = store.scan(&request, &mut sink).unwrap();
                assert!(sink.begun.is_none());
                sink.rows.sort();
                assert_eq!(sink.rows, alone.rows, "round {round}");
                if round == 0 {
                    assert_eq!(stats, expect);
                } else {
                    assert_eq!(sink.reused, sink.kept.len());
                }
                kept = sink.kept;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn many_threads_give_what_one_gives(
        parts in prop::collection::vec(
            prop::collection::vec((0usize..3, 0i64..1000, 0u32..40), 1..250), 1..5),
        sealed in 0usize..5,
        from in -10i64..1000,
        rows in 1i64..1000,
    ) {
        check(&parts, sealed, from, from + rows);
    }
}

/// A store with a part of many blocks and some more in memory.
fn filled() -> (Arc<Store>, u64) {
    let store = open_shared();
    for part in 0..2i64 {
        let entries = (0..400i64).map(|at| {
            let line = format!("line {at} of part {part}, long enough for a few in a block");
            ("a", Entry::new(Timestamp(DAY0 + part * 1000 + at), line))
        });
        store.append_blocking(batch(entries.collect(), None)).unwrap();
        if part == 0 {
            store.flush().unwrap();
        }
    }
    let stats = store.scan(&request(Vec::new(), TimeRange::ALL), &mut Collect::default()).unwrap();
    assert!(stats.blocks > 20);
    (store, stats.blocks)
}

#[test]
fn results_of_whole_parts_are_kept_and_of_pieces_not() {
    let (store, _) = filled();
    let mut sink = Keeping::default();
    store.scan(&request(Vec::new(), TimeRange::ALL), &mut sink).unwrap();
    assert_eq!(sink.kept.values().map(Vec::len).collect::<Vec<_>>(), [400]);
    assert!(sink.joined >= 2, "forks of the part and of the head are apart");
    let mut piece = Keeping::default();
    let range = TimeRange::new(Timestamp(DAY0 + 1), Timestamp::MAX);
    store.scan(&request(Vec::new(), range), &mut piece).unwrap();
    assert!(piece.kept.is_empty());
    assert_eq!(piece.rows.len(), 799);
    let again = &mut Keeping { kept: sink.kept, ..Keeping::default() };
    let stats = store.scan(&request(Vec::new(), TimeRange::ALL), again).unwrap();
    assert_eq!((stats.rows, again.rows.len()), (400, 800));
}

/// What a fork does with the rows it is given.
type Act = Arc<dyn Fn() -> Result<Flow, ReadError> + Send + Sync>;

struct Acting {
    act: Act,
    ended: usize,
}

impl RowSink for Acting {
    fn rows(&mut self, _: &StreamMeta, _: &dyn Rows) -> Result<Flow, ReadError> {
        (self.act)()
    }
    fn fork(&self) -> Option<Box<dyn ForkedSink>> {
        Some(Box::new(Acting { act: self.act.clone(), ended: 0 }))
    }
    fn end_part(&mut self, _: PartKey) {
        self.ended += 1;
    }
}

impl ForkedSink for Acting {
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// How a scan with such a sink ends, how often it was given rows, and how many parts it had.
fn run(
    store: &Store,
    request: &ScanRequest,
    act: impl Fn(u64) -> Result<Flow, ReadError> + Send + Sync + 'static,
) -> (Result<ScanStats, ReadError>, u64, usize) {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    let act: Act = Arc::new(move || act(counted.fetch_add(1, Ordering::SeqCst)));
    let mut sink = Acting { act, ended: 0 };
    let ended = store.scan(request, &mut sink);
    (ended, calls.load(Ordering::SeqCst), sink.ended)
}

#[test]
fn all_threads_end_with_the_scan() {
    let (store, blocks) = filled();
    let wanted = request(Vec::new(), TimeRange::ALL);
    let in_flight = 1..=WORKERS as u64;

    let cancel = wanted.cancel.clone();
    let (ended, calls, parts) = run(&store, &wanted, move |_| {
        cancel.cancel();
        Ok(Flow::Continue)
    });
    assert!(matches!(ended, Err(ReadError::Cancelled)));
    assert!(in_flight.contains(&calls), "{calls}");
    assert_eq!(parts, 0);

    let mut wanted = request(Vec::new(), TimeRange::ALL);
    wanted.bytes_max = 1500;
    let (ended, calls, parts) = run(&store, &wanted, |_| Ok(Flow::Continue));
    assert!(matches!(ended, Err(ReadError::Budget { bytes_max: 1500 })));
    assert!(calls < blocks && parts == 0);

    let wanted = request(Vec::new(), TimeRange::ALL);
    let (ended, _, parts) = run(&store, &wanted, |at| {
        if at == 5 { Err(ReadError::Sink("five".to_owned())) } else { Ok(Flow::Continue) }
    });
    assert!(matches!(ended, Err(ReadError::Sink(text)) if text == "five"));
    assert_eq!(parts, 0);

    let (ended, calls, parts) =
        run(&store, &wanted, |at| Ok(if at == 5 { Flow::Stop } else { Flow::Continue }));
    assert!(ended.unwrap().rows < 800);
    assert!(calls <= 5 + WORKERS as u64);
    assert_eq!(parts, 0);

    let (ended, _, _) = run(&store, &wanted, |at| {
        assert!(at != 5, "a sink with a fault");
        Ok(Flow::Continue)
    });
    assert!(matches!(ended, Err(ReadError::Sink(text)) if text.contains("panicked")));

    let (ended, _, parts) = run(&store, &wanted, |_| Ok(Flow::Continue));
    assert_eq!((ended.unwrap().rows, parts), (800, 1));
    // Waits for the helpers.
    store.close();
    let (ended, _, _) = run(&store, &wanted, |_| Ok(Flow::Continue));
    assert_eq!(ended.unwrap().rows, 800);
}

#[test]
fn many_scans_at_once_get_along() {
    let (store, _) = filled();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let mut sink = Keeping::default();
                    let stats =
                        store.scan(&request(Vec::new(), TimeRange::ALL), &mut sink).unwrap();
                    assert_eq!((stats.rows, sink.rows.len()), (800, 800));
                }
            });
        }
    });
}
