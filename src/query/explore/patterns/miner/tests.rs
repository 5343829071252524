use super::*;
use crate::model::Timestamp;

const STREAM: StreamId = StreamId(1);
const STEP_MS: i64 = 60_000;

/// Lines a second apart from `from` on.
fn mined(from: i64, lines: &[String], level: &str) -> Miner {
    let mut miner = Miner::default();
    let (mut tokens, mut scratch) = (Tokens::default(), Vec::new());
    for (at, line) in lines.iter().enumerate() {
        let ts = Timestamp::from_secs(from + at as i64);
        let reading = miner.reading_by_any(STREAM, ts, line);
        if tokens.read(line, reading) {
            let source = Source { stream: STREAM, reading, level: Level::of(Some(level)) };
            let cell = Cell::of(ts, STEP_MS);
            miner.add_line(source, &tokens, ts, cell, &mut scratch);
        }
    }
    miner
}

fn told(miner: Miner) -> Vec<(String, u64)> {
    let found = miner.finish(STEP_MS, 300);
    found.into_iter().map(|p| (p.pattern.clone(), p.total())).collect()
}

fn repeated(count: usize, line: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(line).collect()
}

#[track_caller]
fn check(lines: &[String], expect: &[(&str, u64)]) {
    let expect: Vec<(String, u64)> = expect.iter().map(|(p, n)| ((*p).to_owned(), *n)).collect();
    assert_eq!(told(mined(0, lines, "info")), expect);
    // The same in parts that come in any order.
    let cut = lines.len() / 3;
    let (first, rest) = lines.split_at(cut);
    let mut both = mined(cut as i64, rest, "info");
    both.append(mined(0, first, "info"));
    assert_eq!(told(both), expect, "in parts");
}

#[test]
fn lines_that_differ_in_numbers_are_one_pattern() {
    let mut lines = repeated(40, |n| format!("Failed password from 10.0.0.{n} port {}", n % 7));
    lines.extend(repeated(50, |_| "session opened for user root(uid=0)".to_owned()));
    lines.extend(repeated(29, |n| format!("seen too seldom to be told {n}")));
    check(
        &lines,
        &[("session opened for user root(uid=0)", 50), ("Failed password from <_> port <_>", 40)],
    );
}

#[test]
fn of_many_words_in_one_place_the_first_have_patterns_of_their_own() {
    let names: Vec<String> = (b'a'..b'v').map(|c| char::from(c).to_string().repeat(3)).collect();
    let lines =
        repeated(names.len() * 40, |n| format!("user {} logged in", names[n % names.len()]));
    let found = told(mined(0, &lines, "info"));
    // Fourteen, and one way for all others.
    assert_eq!(found.len(), 15, "{found:?}");
    assert_eq!(found[0], ("user <_> logged in".to_owned(), (names.len() as u64 - 14) * 40));
    for (name, (pattern, count)) in names.iter().zip(&found[1..]) {
        assert_eq!((pattern.as_str(), *count), (format!("user {name} logged in").as_str(), 40));
    }
    check(&lines, &found.iter().map(|(p, n)| (p.as_str(), *n)).collect::<Vec<_>>());
}

#[test]
fn levels_are_told_apart() {
    let line = |n: usize| format!("pump {n} is running hot");
    let mut miner = mined(0, &repeated(40, line), "info");
    miner.append(mined(0, &repeated(35, line), "WARN"));
    miner.append(mined(0, &repeated(31, line), "odd"));
    let found = miner.finish(STEP_MS, 300);
    let found: Vec<(&str, u64)> = found.iter().map(|p| (p.level.as_str(), p.total())).collect();
    assert_eq!(found, [("info", 40), ("warn", 35), ("unknown", 31)]);
}

#[test]
fn the_oldest_of_too_many_kinds_goes() {
    let word = |n: usize| -> String {
        let digits = format!("{n:03}");
        digits.bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
    };
    // Each has a number of tokens and a first word of its own, so none joins another.
    let kind = |n: usize| format!("{} is{} here", word(n), " so".repeat(1 + n / 12));
    let mut lines = repeated(31, |_| kind(0));
    lines.extend((1..=300).flat_map(|n| repeated(30, |_| kind(n))));
    let found = told(mined(0, &lines, "info"));
    assert_eq!(found.len(), 300);
    assert!(!found.iter().any(|(pattern, _)| *pattern == kind(0)));
}

#[test]
fn steps_between_have_zeros_but_not_between_hours() {
    let mut miner = mined(1_000, &repeated(20, |n| format!("gate {n} was opened")), "info");
    for from in [1_200, 20_000] {
        let more = repeated(20, |n| format!("gate {n} was opened"));
        miner.append(mined(from, &more, "info"));
    }
    let found = miner.clone().finish(STEP_MS, 10);
    let at = |secs: i64, count: u64| (Timestamp::from_secs(secs), count);
    assert_eq!(
        found[0].samples,
        [at(960, 20), at(1020, 0), at(1080, 0), at(1140, 0), at(1200, 20), at(19_980, 20)]
    );
}

#[test]
fn streams_of_several_formats_are_named() {
    let json = repeated(5, |n| format!(r#"{{"msg":"parcel {n} is on its way"}}"#));
    let text = repeated(5, |n| format!("parcel {n} is on its way"));
    let mut miner = mined(100, &json, "info");
    assert_eq!(miner.ambiguous(), Readings::new());
    miner.append(mined(0, &text, "info"));
    assert_eq!(miner.ambiguous(), Readings::from([(STREAM, Reading::Text)]));
}

#[test]
fn hours_begin_with_samples_where_steps_do_not() {
    let step_ms = 14_000;
    let mut counts = super::super::lines::Counts::default();
    for secs in [1_795_292_400, 1_795_295_820, 1_795_296_000, 1_795_296_030] {
        counts.add(Cell::of(Timestamp::from_secs(secs), step_ms));
    }
    let mut steps = Vec::new();
    counts.each(step_ms, 1000, |at, count| steps.push((at / 1000, count)));
    let zeros = steps.iter().filter(|(_, count)| *count == 0).count();
    assert_eq!(steps.len() - zeros, 4);
    // All between the two of the first hour, and one in the second.
    assert_eq!(zeros, (1_795_295_810 - 1_795_292_394) / 14 - 1 + 1);
    assert!(!steps.contains(&(1_795_295_978, 0)));
}
