//! Pruning by the value of a label never leaves out a row that can have it.

use std::sync::Arc;

use proptest::prelude::*;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, Labels, TimeRange, Timestamp};
use crate::redact::Redacted;
use crate::store::Store;
use crate::store::files::faulty::FaultyFiles;
use crate::store::read::{FieldHint, LogRead};

#[derive(Debug, Clone)]
struct Wanted {
    stream: usize,
    line: String,
    metadata: Option<(&'static str, &'static str)>,
}

const VALUES: [&str; 5] = ["alpha", "beta7", "1234", "a.b", "x"];
const NAMES: [&str; 3] = ["user", "trace", "app"];

fn row() -> impl Strategy<Value = Wanted> {
    let value = || prop::sample::select(VALUES.to_vec());
    let name = || prop::sample::select(NAMES.to_vec());
    let line = prop_oneof![
        4 => "[a-z]{3,9}".prop_map(|word| format!("nothing here but {word}")),
        2 => (name(), value()).prop_map(|(name, value)| format!("{name}={value} other=1")),
        2 => (name(), value()).prop_map(|(name, value)| format!(r#"{{"{name}":"{value}"}}"#)),
        1 => (name(), value()).prop_map(|(name, value)| {
            let escaped: String =
                value.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
            format!(r#"{{"{name}":"{escaped}"}}"#)
        }),
    ];
    let metadata = prop::option::weighted(0.1, (name(), value()));
    (0usize..3, line, metadata).prop_map(|(stream, line, metadata)| Wanted {
        stream,
        line,
        metadata,
    })
}

/// Whether a row has the label in any of the ways there are.
fn has(row: &Row, name: &str, value: &str) -> bool {
    let (labels, _, line, metadata) = row;
    let json = serde_json::from_str::<serde_json::Value>(line).ok();
    labels.contains(&format!("{name}=\"{value}\""))
        || metadata.iter().any(|(n, v)| n == name && v == value)
        || line.contains(value)
        || json.is_some_and(|json| json[name] == value)
}

fn store_of(parts: &[Vec<Wanted>]) -> Arc<Store> {
    let clock = SimClock::new(DAY0);
    let mut options = options(Arc::new(FaultyFiles::default()), &clock);
    options.thresholds.block_bytes = 200;
    let store = open(options);
    for (at, rows) in parts.iter().enumerate() {
        let mut batch = crate::model::Batch::new(TENANT);
        for (row, wanted) in rows.iter().enumerate() {
            let labels = match wanted.stream {
                0 => Labels::from_pairs([("job", "a")]),
                1 => Labels::from_pairs([("job", "b"), ("user", "alpha")]),
                _ => Labels::from_pairs([("job", "c"), ("app", "x")]),
            };
            let ts = Timestamp(DAY0 + (at * 1000 + row) as i64);
            let mut entry = Entry::new(ts, wanted.line.as_str());
            entry.metadata.extend(wanted.metadata.map(|(n, v)| (n.into(), v.into())));
            batch.push(&labels, entry);
        }
        store.append_blocking(Redacted::for_test(batch)).unwrap();
        store.flush().unwrap();
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_scan_for_a_label_finds_all(
        parts in prop::collection::vec(prop::collection::vec(row(), 1..40), 1..4),
        compact in any::<bool>(),
    ) {
        let store = store_of(&parts);
        if compact {
            while store.compact_once().unwrap().is_some() {}
        }
        let everything = all(&*store);
        for name in NAMES {
            for value in VALUES {
                let mut request = request(Vec::new(), TimeRange::ALL);
                request.hints.fields =
                    vec![FieldHint { name: name.to_owned(), value: value.to_owned() }];
                let found: Vec<Row> = collect(&*store, &request)
                    .into_iter()
                    .filter(|row| has(row, name, value))
                    .collect();
                let expect: Vec<Row> =
                    everything.iter().filter(|row| has(row, name, value)).cloned().collect();
                prop_assert_eq!(found, expect, "{} {}", name, value);
            }
        }
    }
}

/// How many blocks a scan for a label reads.
fn blocks_read(store: &Store, name: &str, value: &str) -> u64 {
    let mut request = request(Vec::new(), TimeRange::ALL);
    request.hints.fields = vec![FieldHint { name: name.to_owned(), value: value.to_owned() }];
    store.scan(&request, &mut Collect::default()).unwrap().blocks
}

#[test]
fn blocks_without_the_value_are_not_read() {
    let plain = |at: usize| Wanted {
        stream: 0,
        line: format!(r#"{{"user":"u{at}","status":200}}"#),
        metadata: None,
    };
    let rows: Vec<Wanted> = (0..100).map(plain).collect();
    let store = store_of(std::slice::from_ref(&rows));
    let blocks = blocks_read(&store, "status", "200");
    assert!(blocks > 10);
    assert_eq!(blocks_read(&store, "status", "500"), 0);
    assert!((1..=3).contains(&blocks_read(&store, "user", "u57")));
    // What a stream, metadata or an escape may say is looked at.
    let mut with_more = rows.clone();
    with_more[50].metadata = Some(("trace", "beta7"));
    with_more[99].line = r#"{"user":"\u0061lpha"}"#.to_owned();
    let store = store_of(&[with_more]);
    assert_eq!(blocks_read(&store, "trace", "gamma"), 2);
    assert_eq!(blocks_read(&store, "status", "500"), 1);
    let of_stream = rows.into_iter().map(|row| Wanted { stream: 1, ..row }).collect();
    let store = store_of(&[of_stream]);
    assert_eq!(blocks_read(&store, "user", "gamma"), blocks);
    assert_eq!(blocks_read(&store, "status", "gamma"), 0);
}
