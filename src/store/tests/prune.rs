//! Pruning by tokens and filters never leaves out a line that a plain scan finds.

use std::sync::Arc;

use proptest::prelude::*;
use regex::RegexBuilder;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, TimeRange, Timestamp};
use crate::store::files::faulty::FaultyFiles;
use crate::store::read::{Hints, LogRead};

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "error", "Error", "warn", "GET", "users", "user_id", "timeout", "de", "deadbeef",
            "stra\u{df}e", "\u{212a}elvin", "kelvin", "mi\u{17f}t", "i\u{307}x", "\u{130}x", "a",
        ])
        .prop_map(str::to_owned),
        2 => "[0-9]{1,12}",
        2 => "[0-9a-f]{4,32}",
        1 => "[a-z0-9]{3,12}",
        1 => "[A-Za-z0-9]{60,75}",
        1 => "[a-z]{62,70}",
        1 => "\\PC{0,6}",
    ]
}

fn line() -> impl Strategy<Value = String> {
    prop::collection::vec(
        (word(), prop::sample::select(vec![" ", "", "=", "-", ", \"", "_"])),
        1..8,
    )
    .prop_map(|words| words.into_iter().map(|(word, after)| word + after).collect())
}

/// Substrings of lines, and things that are nearly that.
fn needle(lines: &[String]) -> impl Strategy<Value = String> + use<> {
    let lines = lines.to_vec();
    let cut = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..40).prop_map(
        move |(line, from, chars)| {
            let line = &lines[line.index(lines.len())];
            let all: Vec<char> = line.chars().collect();
            let from = from.index(all.len() + 1);
            all[from..].iter().take(chars).collect::<String>()
        },
    );
    prop_oneof![6 => cut, 1 => word(), 1 => Just(String::new())]
}

fn holds(line: &str, needle: &str) -> bool {
    line.contains(needle)
}

fn holds_ci(line: &str, needle: &str) -> bool {
    RegexBuilder::new(&regex::escape(needle)).case_insensitive(true).build().unwrap().is_match(line)
}

fn case() -> impl Strategy<Value = (Vec<String>, Vec<Vec<String>>, bool)> {
    prop::collection::vec(line(), 1..60).prop_flat_map(|lines| {
        let clause = prop::collection::vec(needle(&lines), 1..3);
        (Just(lines), prop::collection::vec(clause, 8), any::<bool>())
    })
}

fn check(lines: &[String], clauses: &[Vec<String>], compact: bool) {
    let clock = SimClock::new(DAY0);
    let mut options = options(Arc::new(FaultyFiles::default()), &clock);
    options.thresholds.block_bytes = 300;
    if compact {
        // Nothing stays in memory but what is in use.
        options.thresholds.cache_bytes_max = 0;
    }
    let store = open(options);
    for (part, lines) in lines.chunks(lines.len().div_ceil(4)).enumerate() {
        let entries = lines.iter().enumerate().map(|(at, line)| {
            ("a", Entry::new(Timestamp(DAY0 + (part * 1000 + at) as i64), line.as_str()))
        });
        store.append_blocking(batch(entries.collect(), None)).unwrap();
        store.flush().unwrap();
    }
    if compact {
        while store.compact_once().unwrap().is_some() {}
    }
    let everything = all(&*store);
    for (at, clause) in clauses.iter().enumerate() {
        for fold in [false, true] {
            let mut request = request(Vec::new(), TimeRange::ALL);
            let mut clauses = vec![clause.clone()];
            // Some with two clauses.
            clauses.extend((at % 3 == 0).then(|| clauses[0][..1].to_vec()));
            let matches =
                |line: &str| {
                    clause.iter().any(|needle| {
                        if fold { holds_ci(line, needle) } else { holds(line, needle) }
                    }) && (at % 3 != 0
                        || if fold { holds_ci(line, &clause[0]) } else { holds(line, &clause[0]) })
                };
            request.hints = if fold {
                let lower =
                    |clause: &Vec<String>| clause.iter().map(|n| n.to_lowercase()).collect();
                Hints { substrings_ci: clauses.iter().map(lower).collect(), ..Hints::default() }
            } else {
                Hints { substrings: clauses, ..Hints::default() }
            };
            let found: Vec<Row> =
                collect(&*store, &request).into_iter().filter(|row| matches(&row.2)).collect();
            let expect: Vec<Row> =
                everything.iter().filter(|row| matches(&row.2)).cloned().collect();
            assert_eq!(found, expect, "needles {clause:?} fold {fold}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_pruned_scan_finds_all((lines, clauses, compact) in case()) {
        check(&lines, &clauses, compact);
    }
}

/// How many blocks a scan for a needle reads.
fn blocks_read(store: &dyn LogRead, needle: &str) -> u64 {
    let mut request = request(Vec::new(), TimeRange::ALL);
    request.hints.substrings = vec![vec![needle.to_owned()]];
    store.scan(&request, &mut Collect::default()).unwrap().blocks
}

#[test]
fn what_is_absent_is_not_read() {
    let clock = SimClock::new(DAY0);
    let mut options = options(Arc::new(FaultyFiles::default()), &clock);
    options.thresholds.block_bytes = 4000;
    let store = open(options);
    let entries = (0..1000u64).map(|at| {
        let id = at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let line = format!(
            "level=info msg=\"request done\" trace={:016x}{:016x} ip=10.0.{}.{} pod=web-x{}k9",
            id,
            id.rotate_left(17),
            at % 7,
            at % 13,
            at % 17
        );
        ("a", Entry::new(Timestamp(DAY0 + at as i64), line))
    });
    store.append_blocking(batch(entries.collect(), None)).unwrap();
    store.flush().unwrap();
    let blocks = blocks_read(&*store, "");
    assert!(blocks > 20);
    assert_eq!(blocks_read(&*store, "request"), blocks);
    assert_eq!(blocks_read(&*store, "quest do"), blocks);
    for absent in ["timeout", "panic: ", "requests", "\"request failed", "ip=10.0.99."] {
        assert_eq!(blocks_read(&*store, absent), 0, "{absent}");
    }
    let id = 500u64.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let trace = format!("{:016x}{:016x}", id, id.rotate_left(17));
    for needle in [trace.clone(), format!("trace={trace}"), format!("={trace} ip")] {
        assert!((1..=3).contains(&blocks_read(&*store, &needle)), "{needle}");
    }
    assert!(blocks_read(&*store, "0123456789abcdef0123456789abcdef") <= 2);
}
