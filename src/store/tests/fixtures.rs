//! Data directories written by earlier versions stay readable. Each folder of `tests/fixtures`
//! is one, with `lines.jsonl` beside it: every entry that was put in.
//!
//! A new set is made by the version that is to be remembered:
//! `STOCKADE_FIXTURE=tests/fixtures/store-vN cargo test --lib store::tests::fixtures`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::support::{DAY0, all, collect, options, request};
use crate::clock::SimClock;
use crate::model::{Batch, Entry, Labels, Matcher, Position, TimeRange, Timestamp};
use crate::redact::Redacted;
use crate::store::read::LogRead;
use crate::store::{RealFiles, Store};

const HOUR_NS: i64 = 3_600_000_000_000;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Line {
    tenant: String,
    labels: Vec<(String, String)>,
    ts: i64,
    line: String,
    metadata: Vec<(String, String)>,
}

/// Lines of the kinds that are written down differently: JSON, logfmt, access logs, plain words,
/// ids, text beyond ASCII, empty ones.
fn text(at: u64) -> String {
    let id = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    match at % 8 {
        0 => format!(
            r#"{{"ts":"2026-11-20T{:02}:00:00Z","level":"info","msg":"request done","status":{},"ms":{}.{}}}"#,
            at % 24,
            200 + at % 5,
            at % 900,
            at % 10
        ),
        1 => format!("level=warn msg=\"slow query\" ms={} trace={id:016x} ok=true", at * 7),
        2 => format!(
            "10.0.{}.{} - - \"GET /users/{at} HTTP/1.1\" {} {}",
            at % 7,
            at % 13,
            200 + at % 300,
            at * 31
        ),
        3 => {
            format!("sshd[{}]: Accepted publickey for user{} port {}", at % 999, at % 5, at % 9999)
        }
        4 => format!("stra\u{df}e {at} \u{1f600} na\u{ef}ve \u{4f60}\u{597d}"),
        5 => String::new(),
        6 => format!(
            "java.lang.IllegalStateException: {at}\n\tat com.example.Main.run(Main.java:{at})"
        ),
        _ => format!("worker {} took {:032x}", at % 3, u128::from(id) << 32),
    }
}

fn line(at: u64, ts: i64) -> Line {
    let app = ["api", "db", "web"][at as usize % 3];
    let metadata = match at % 4 {
        0 => vec![("detected_level".to_owned(), "info".to_owned())],
        1 => vec![
            ("trace_id".to_owned(), format!("{:032x}", u128::from(at) * 77_777)),
            ("pod".to_owned(), format!("pod-{}", at % 3)),
        ],
        _ => Vec::new(),
    };
    Line {
        tenant: if at.is_multiple_of(11) { "other" } else { "fake" }.to_owned(),
        labels: vec![("app".to_owned(), app.to_owned()), ("env".to_owned(), "test".to_owned())],
        ts,
        line: text(at),
        metadata,
    }
}

fn batches(lines: &[Line], position: &str) -> Vec<Redacted<Batch>> {
    ["fake", "other"]
        .map(|tenant| {
            let mut batch = Batch::new(tenant);
            for line in lines.iter().filter(|line| line.tenant == tenant) {
                let labels =
                    Labels::from_pairs(line.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
                let mut entry = Entry::new(Timestamp(line.ts), line.line.as_str());
                let pairs = line.metadata.iter();
                entry.metadata.extend(pairs.map(|(n, v)| (n.as_str().into(), v.as_str().into())));
                batch.push(&labels, entry);
            }
            let position = Position { source: "file:x".into(), value: position.into() };
            batch.positions.push(position);
            Redacted::for_test(batch)
        })
        .into()
}

fn open(folder: &Path) -> Arc<Store> {
    let clock = SimClock::new(DAY0 + 12 * HOUR_NS);
    let mut options = options(Arc::new(RealFiles), &clock);
    options.data_dir = folder.to_owned();
    options.thresholds.block_bytes = 16 * 1024;
    Store::open(options).unwrap()
}

/// Two days, parts fresh and merged, and a log ahead with more.
fn write(folder: &Path) {
    assert!(!folder.exists(), "{} is there already", folder.display());
    let store = open(folder);
    let mut lines = Vec::new();
    for step in 0..6u64 {
        let from = (step % 3) as i64 * HOUR_NS - i64::from(step == 5) * 24 * HOUR_NS;
        let added: Vec<Line> = (0..120)
            .map(|at| line(step * 1000 + at, DAY0 + from + at as i64 * 1_000_003))
            .collect();
        for batch in batches(&added, &step.to_string()) {
            store.append_blocking(batch).unwrap();
        }
        lines.extend(added);
        if step < 5 {
            store.flush().unwrap();
        }
        if step == 3 {
            assert!(store.compact_once().unwrap().is_some());
        }
    }
    store.close();
    fs::remove_file(folder.join("lock")).unwrap();
    lines.sort();
    let text: String =
        lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect();
    fs::write(folder.join("lines.jsonl"), text).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn sets() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("store-v"))
        .collect();
    found.sort();
    found
}

#[test]
fn directories_of_earlier_versions_are_read() {
    if let Some(folder) = std::env::var_os("STOCKADE_FIXTURE") {
        write(Path::new(&folder));
    }
    let sets = sets();
    assert!(!sets.is_empty());
    for set in sets {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("data");
        copy(&set, &folder);
        let text = fs::read_to_string(set.join("lines.jsonl")).unwrap();
        let expect: Vec<Line> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert!(expect.len() >= 720);
        let store = open(&folder);
        let check = |store: &Store, what: &str| {
            for tenant in ["fake", "other"] {
                let mut wanted: Vec<_> = expect
                    .iter()
                    .filter(|line| line.tenant == tenant)
                    .map(|l| {
                        let pairs = l.labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
                        let labels = Labels::from_pairs(pairs).to_string();
                        (labels, l.ts, l.line.clone(), l.metadata.clone())
                    })
                    .collect();
                wanted.sort();
                let mut request = request(Vec::new(), TimeRange::ALL);
                request.tenant = tenant.to_owned();
                assert!(collect(store, &request) == wanted, "{} {what}", set.display());
            }
        };
        check(&store, "as it was");
        assert_eq!(store.position("file:x").as_deref(), Some("5"));
        assert_eq!(store.status().quarantined, Vec::<String>::new());
        // Its index and filters answer too.
        let mut narrow = request(vec![Matcher::eq("env", "test")], TimeRange::ALL);
        narrow.hints.substrings = vec![vec!["publickey".to_owned()]];
        let found = collect(&*store, &narrow);
        let holds = |rows: &[super::support::Row]| {
            rows.iter().filter(|row| row.2.contains("publickey")).count()
        };
        assert_eq!(holds(&found), holds(&all(&*store)));
        narrow.hints.substrings = vec![vec!["nowhere in it".to_owned()]];
        let mut sink = super::support::Collect::default();
        let stats = store.scan(&narrow, &mut sink).unwrap();
        assert!(stats.blocks_pruned > 0, "{}", set.display());

        // What this version makes of it: sealed, merged, opened again.
        store.flush().unwrap();
        while store.compact_once().unwrap().is_some() {}
        check(&store, "merged");
        store.close();
        drop(store);
        check(&open(&folder), "opened again");
    }
}
