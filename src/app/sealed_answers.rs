//! The same answers from parts on disk as from entries in memory: shapes, columns, filters, texts
//! that are looked for among numbers, and threads must make no difference.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::clock::SimClock;
use crate::metrics::Metrics;
use crate::model::{Batch, Entry, Labels, TENANT_DEFAULT, Timestamp};
use crate::query::{Direction, Engine, QueryContext, QueryLimits, RangeQuery, syntax};
use crate::redact::Redacted;
use crate::store::read::{Cancel, MemoryLogs};
use crate::store::{Store, StoreOptions};

const DAY0: i64 = 1_795_132_800_000_000_000;
const SEC: i64 = 1_000_000_000;
const APPS: [&str; 3] = ["a", "b", "c"];

/// Ids come back, and differ in one digit.
fn id(of: u64) -> String {
    format!("{:016x}{:016x}", of.wrapping_mul(0x9e37_79b9_7f4a_7c15), of % 5)
}

fn line(kind: u8, of: u64) -> String {
    let (trace, word) = (id(of), ["deadlock", "done", "läuft"][of as usize % 3]);
    match kind {
        0 => format!(
            r#"{{"msg":"{word}","trace":"{trace}","n":{},"at":"10:{:02}:{:02}"}}"#,
            of * 7,
            of % 60,
            of % 59
        ),
        1 => format!("msg=\"{word}\" job={:08x}-{:04x} took={}ms", of * 77, of % 9, of % 40),
        2 => format!("10.0.{}.{} GET /{word}?id={} {}.5", of % 20, of % 7, of * 13, of % 3),
        3 => format!(r#"{{"msg":"\u0064one","trace":"{trace}","n":"-"}}"#),
        _ => format!("{word} {trace}"),
    }
}

fn queries(of: u64) -> Vec<String> {
    let trace = id(of);
    let mut queries: Vec<String> = [
        &trace[..],
        &trace[3..20],
        &trace[28..],
        "deadlock",
        "nowhere",
        "10.0.3",
        ".3.1 GET",
        "took=7ms",
        &format!("{:08x}-", of * 77),
        &format!("id={} ", of * 13),
        &format!(":{:02}:", of % 60),
        "\"n\":7",
    ]
    .iter()
    .map(|text| format!("{{app=~\".+\"}} |= `{text}`"))
    .collect();
    queries.push(format!("{{app=\"a\"}} | json | trace=\"{trace}\""));
    queries.push(format!("{{app=~\".+\"}} | json | trace=\"{trace}\" or n > 90"));
    queries.push("{app=~\".+\"} | json | n > 40 | msg=\"done\"".to_owned());
    queries.push("{app=~\".+\"} | logfmt | took=\"7ms\"".to_owned());
    queries.push(format!("{{app=~\".+\"}} != \"{}\" |~ \"dead|10\"", &trace[..9]));
    queries.push("{app=\"b\"}".to_owned());
    queries.push(format!("sum by (app) (count_over_time({{app=~\".+\"}} |= \"{trace}\" [7s]))"));
    queries.push(format!(
        "sum by (msg) (count_over_time({{app=~\".+\"}} | json | trace=\"{trace}\" [7s]))"
    ));
    queries
}

struct Both {
    memory: MemoryLogs,
    store: Arc<Store>,
    _folder: tempfile::TempDir,
}

impl Both {
    fn new(workers: usize) -> Both {
        let folder = tempfile::tempdir().unwrap();
        let clock = SimClock::new(DAY0 + 3600 * SEC);
        let mut options = StoreOptions::new(folder.path(), clock.shared(), &Metrics::default());
        options.thresholds.block_bytes = 4096;
        options.thresholds.scan_workers = workers;
        options.retention.disk_free_stop_bytes = 0;
        options.retention.disk_free_min_bytes = 0;
        let store = Store::open(options).unwrap();
        Both { memory: MemoryLogs::default(), store, _folder: folder }
    }

    fn push(&mut self, entries: &[(i64, u8, u64)]) {
        let mut batch = Batch::new(TENANT_DEFAULT);
        for (ts, kind, of) in entries {
            let app = *of as usize % APPS.len();
            let labels = Labels::from_slice(&[("app", APPS[app])]);
            // Streams share no time: which of them is cut by a limit is not said.
            let ts = Timestamp(DAY0 + ts * SEC + app as i64);
            let entry = Entry::new(ts, line(*kind, *of));
            self.memory.add(TENANT_DEFAULT, &labels, entry.clone());
            batch.push(&labels, entry);
        }
        self.store.append_blocking(Redacted::for_test(batch)).unwrap();
    }

    fn check(self, of: u64, limit: usize) {
        let (memory, store) = (Engine::new(Arc::new(self.memory)), Engine::new(self.store.clone()));
        for text in queries(of) {
            for direction in [Direction::Forward, Direction::Backward] {
                let query = RangeQuery {
                    expr: syntax::parse(&text).unwrap(),
                    start: Timestamp(DAY0),
                    end: Timestamp(DAY0 + 60 * SEC),
                    step_ns: 5 * SEC,
                    interval_ns: 0,
                    limit,
                    direction,
                };
                let context = QueryContext {
                    tenant: TENANT_DEFAULT.to_owned(),
                    cancel: Cancel::default(),
                    limits: QueryLimits::default(),
                };
                let expect = memory.range(&query, &context).unwrap().data;
                let found = store.range(&query, &context).unwrap().data;
                assert_eq!(found, expect, "{text} {direction:?}");
            }
        }
        self.store.close();
    }
}

fn any_entries() -> impl Strategy<Value = Vec<(i64, u8, u64)>> {
    // A few kinds at a time, so that there are shapes.
    prop::collection::vec(0u8..5, 1..3)
        .prop_flat_map(|kinds| prop::collection::vec((0i64..60, select(kinds), 0u64..60), 1..200))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn parts_answer_as_memory_does(
        batches in prop::collection::vec((any_entries(), any::<bool>()), 1..4),
        wanted in any::<Index>(),
        limit in select(vec![1usize, 7, 1000]),
        workers in 1usize..4,
    ) {
        let mut both = Both::new(workers);
        for (entries, seal) in &batches {
            both.push(entries);
            if *seal {
                both.store.flush().unwrap();
            }
        }
        let first = &batches[0].0;
        let of = first[wanted.index(first.len())].2;
        both.check(of, limit);
    }
}
