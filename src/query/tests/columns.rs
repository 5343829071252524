//! Columns against lines: a query over shapes gives what it gives over the same lines read one
//! by one, on one thread or two, with results of parts kept or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use proptest::sample::select;

use super::shapes::ShapedLogs;
use crate::model::{Entry, Labels, TENANT_DEFAULT, Timestamp};
use crate::query::syntax;
use crate::query::{
    Direction, Engine, QueryContext, QueryData, QueryError, QueryLimits, RangeQuery, Series,
};
use crate::store::read::{Cancel, MemoryLogs};

const SEC: i64 = 1_000_000_000;

type Streams = Vec<(Labels, Vec<Entry>)>;

fn context() -> QueryContext {
    QueryContext {
        tenant: TENANT_DEFAULT.to_owned(),
        cancel: Cancel::default(),
        limits: QueryLimits::default(),
    }
}

fn memory(streams: &Streams) -> Engine {
    let mut logs = MemoryLogs::default();
    for (labels, entries) in streams {
        for entry in entries {
            logs.add(TENANT_DEFAULT, labels, entry.clone());
        }
    }
    Engine::new(Arc::new(logs))
}

fn shaped(streams: &Streams, forks: bool) -> (Engine, Arc<ShapedLogs>) {
    let mut logs = ShapedLogs::new(streams.clone(), TENANT_DEFAULT);
    logs.forks = forks;
    let logs = Arc::new(logs);
    (Engine::new(Arc::clone(&logs) as _), logs)
}

fn query(text: &str, start: i64, end: i64, step: i64, direction: Direction) -> RangeQuery {
    RangeQuery {
        expr: syntax::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")),
        start: Timestamp(start * SEC),
        end: Timestamp(end * SEC),
        step_ns: step * SEC,
        interval_ns: 0,
        limit: 7,
        direction,
    }
}

fn same_series(a: &[Series], b: &[Series]) -> bool {
    let close = |x: f64, y: f64| {
        x.to_bits() == y.to_bits()
            || x == y
            || (x - y).abs() <= 1e-9 * x.abs().max(y.abs())
            || (x.is_nan() && y.is_nan())
    };
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            a.labels == b.labels
                && a.points.len() == b.points.len()
                && a.points.iter().zip(&b.points).all(|(a, b)| a.0 == b.0 && close(a.1, b.1))
        })
}

/// Whether two answers say the same. Of several faulty lines any may be the one that is named.
fn same(a: &Result<QueryData, QueryError>, b: &Result<QueryData, QueryError>) -> bool {
    match (a, b) {
        (Ok(QueryData::Matrix(a)), Ok(QueryData::Matrix(b))) => same_series(a, b),
        (Ok(QueryData::Streams(a)), Ok(QueryData::Streams(b))) => a == b,
        (Err(a), Err(b)) => std::mem::discriminant(a) == std::mem::discriminant(b),
        _ => false,
    }
}

fn answer(engine: &Engine, query: &RangeQuery) -> Result<QueryData, QueryError> {
    engine.range(query, &context()).map(|result| result.data)
}

fn json_value() -> impl Strategy<Value = String> {
    select(vec![
        "1",
        "2",
        "-3",
        "0",
        "-0",
        "500",
        "503",
        "1.50",
        "-0.25",
        "0.00",
        "12345678901234567890",
        "1e3",
        "true",
        "false",
        "null",
        "{}",
        "[]",
        "[1,\"]\"]",
        "\"\"",
        "\"x\"",
        "\"500\"",
        "\"error\"",
        "\"1.5s\"",
        "\"250ms\"",
        "\"10KB\"",
        "\"10.0.0.7\"",
        "\"a\\\"b\"",
        "\"\\u0041\"",
        "\"sp ace\"",
        "\"r\u{fffd}p\"",
        "\"é5\"",
        "{\"id\":7}",
        "{\"id\":\"u-9\",\"z\":{\"q\":1.25}}",
    ])
    .prop_map(str::to_owned)
}

fn json_line() -> impl Strategy<Value = String> {
    let key = select(vec![
        "status",
        "level",
        "path",
        "took",
        "a.b",
        "a b",
        "1x",
        "job",
        "trace",
        "status_extracted",
        "job_extracted",
        "user",
        "",
        "size",
        "trace_extracted",
    ]);
    let glue = select(vec![",", ",", ",", " , ", ",\n"]);
    let end = select(vec!["}", "}", "}", "}", "} ", "", ",}", "}x"]);
    (
        prop::collection::vec((key, json_value()), 0..6),
        glue,
        end,
        select(vec!["{", "{", "{ ", " {"]),
    )
        .prop_map(|(pairs, glue, end, start)| {
            let pairs: Vec<String> =
                pairs.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{start}{}{end}", pairs.join(glue))
        })
}

/// Lines as a program writes them: the same keys, few kinds of values.
fn steady_line() -> impl Strategy<Value = String> {
    (0..4_u32, 0..900_u32, select(vec!["/a", "/b", "/c"]), 0..3_u32, any::<bool>()).prop_map(
        |(status, took, path, level, json)| {
            let level = ["info", "warn", "error"][level as usize];
            let status = 200 + status * 100;
            if json {
                format!(
                    r#"{{"level":"{level}","path":"{path}","status":{status},"took":{took},"user":{{"id":{}}},"size":"{took}KB"}}"#,
                    took % 5
                )
            } else {
                format!(
                    "level={level} path={path} status={status} took={took}ms msg=\"job {took} done\" user.id={}",
                    took % 5
                )
            }
        },
    )
}

fn other_line() -> impl Strategy<Value = String> {
    let pair = select(vec![
        "status=500",
        "status=",
        "status=\"\"",
        "level=error",
        "took=1.5s",
        "took=\"2 s\"",
        "job=inner",
        "a.b=1",
        "a-b=2",
        "size=10KB",
        "trace=t1",
        "user",
        "=x",
        "path=\"/a\\n\"",
        "level=\"r\u{fffd}p\"",
        "status_extracted=7",
    ]);
    prop_oneof![
        prop::collection::vec(pair, 0..5).prop_map(|pairs| pairs.join(" ")),
        "[a-c]{1,3} error [0-9]{1,3}-[0-9]{1,2} [a-z0-9]{1,6}",
        select(vec!["", "error", "status=5", "7", "took 5ms from 10.0.0.7", "é1é2"])
            .prop_map(str::to_owned),
    ]
}

fn streams() -> impl Strategy<Value = Streams> {
    let metadata = prop::collection::vec(
        (
            select(vec!["trace", "level", "job", "status", "trace_extracted", "__error__"]),
            select(vec!["m1", "m2", "500", ""]),
        ),
        0..3,
    );
    // Most lines have none; errors that come from outside are rare.
    let metadata = prop_oneof![
        6 => Just(Vec::new()),
        2 => metadata.prop_map(|mut list| {
            list.retain(|(name, _)| *name != "__error__");
            list
        }),
    ];
    let line = prop_oneof![3 => steady_line(), 2 => json_line(), 2 => other_line()];
    let entry = (0..100_i64, line, metadata);
    prop::collection::vec(prop::collection::vec(entry, 0..40), 1..5).prop_map(|streams| {
        let mut counter = 0;
        streams
            .into_iter()
            .enumerate()
            .map(|(at, entries)| {
                let mut labels = vec![("app", "x".to_owned()), ("job", format!("j{}", at % 2))];
                labels.push(("pod", at.to_string()));
                if at == 2 {
                    labels.push(("level", "mine".to_owned()));
                }
                if at == 3 {
                    labels.push(("trace_extracted", "mine".to_owned()));
                }
                let entries = entries.into_iter().map(|(secs, line, metadata)| {
                    counter += 1;
                    // No two alike, so that no order is a matter of chance.
                    let mut entry = Entry::new(Timestamp(secs * SEC + counter), line);
                    for (name, value) in metadata {
                        entry.metadata.push((name.into(), value.into()));
                    }
                    entry
                });
                (Labels::from_pairs(labels), entries.collect())
            })
            .collect()
    })
}

fn stages() -> impl Strategy<Value = String> {
    let line_filter = select(vec![
        "",
        "",
        "",
        "|= \"error\"",
        "!= \"error\"",
        "|= \"status\"",
        "|= \"5\" or \"ms\"",
        "|~ \"error|warn\"",
        "|~ \"status.{1,4}[45]00\"",
        "!~ \"level=(info|warn)\"",
        "|= \"level\\\":\\\"error\\\"\"",
        "|= \"\\\"status\\\":500,\"",
        "|= \"path=/a status=2\"",
        "|> \"<_>took<_>\"",
        "|> \"\" or \"<_>took<_>\"",
        "|= ip(\"10.0.0.0/8\")",
        "|= \"\"",
        "|= \"ms msg\" |= \"job 7\"",
        "|= \"00\" != \"1\"",
        "|= \"/b\\\",\\\"status\\\":3\"",
    ]);
    let parser = select(vec![
        "",
        "| json",
        "| json",
        "| json",
        "| logfmt",
        "| logfmt",
        "| logfmt --keep-empty",
        "| logfmt --strict",
        "| json status, who=\"user.id\"",
        "| json took=\"took\", x=\"a.b\"",
        "| logfmt status, how=\"level\"",
        "| json | logfmt",
        "| label_format z=level | json",
        "| drop level | json",
        "| keep job, status | json",
        "| drop job, trace | json",
        "| regexp \"(?P<status>[0-9]+)\"",
        "| unpack",
        "| json | drop level, took",
        "| json | keep status, job, level",
        "| json | label_format status=took",
        "| json | line_format \"{{.level}}\"",
    ]);
    let filter = select(vec![
        "",
        "",
        "| status >= 300",
        "| status = \"500\"",
        "| level = \"error\"",
        "| level != \"error\"",
        "| took > 100",
        "| took > 200ms",
        "| size > 100KB",
        "| path =~ \"/(a|b)\"",
        "| status >= 300 or level = \"warn\"",
        "| status > 200 and took < 500",
        "| trace = \"m1\"",
        "| user_id = 3",
        "| trace_extracted = \"\"",
        "| job = \"j1\"",
        "| job_extracted = \"inner\"",
        "| __error__ = \"\"",
        "| __error__ = \"\" | status = 500",
        "| __error__ != \"\"",
        "| path = ip(\"10.0.0.7\")",
        "| level !~ \"i.*\" | path != \"\"",
    ]);
    (line_filter, parser, filter.clone(), filter)
        .prop_map(|(line, parser, one, other)| format!("{line} {parser} {one} {other}"))
}

fn metric() -> impl Strategy<Value = String> {
    let group = select(vec![
        "by (job)",
        "by (level)",
        "by (status, path)",
        "by (trace)",
        "by (pod, level, user_id)",
        "by ()",
        "by (took)",
        "by (size, msg)",
        "by (status_extracted)",
        "without (pod)",
        "by (__error__)",
        "",
    ]);
    let unwrap = select(vec![
        "unwrap took",
        "unwrap status",
        "unwrap duration(took)",
        "unwrap bytes(size)",
        "unwrap took | __error__=\"\"",
        "unwrap duration(took) | __error__=\"\" | status >= 300",
        "unwrap took | __error__!=\"\"",
        "unwrap user_id",
        "unwrap trace",
    ]);
    let range = select(vec![3, 5, 10, 10, 17, 30, 200]);
    let plain = select(vec![
        "count_over_time",
        "rate",
        "bytes_over_time",
        "bytes_rate",
        "absent_over_time",
    ]);
    let sum = select(vec!["sum_over_time", "rate"]);
    let other = select(vec![
        "avg_over_time(",
        "max_over_time(",
        "min_over_time(",
        "stddev_over_time(",
        "first_over_time(",
        "last_over_time(",
        "quantile_over_time(0.75, ",
    ]);
    let offset = select(vec!["", "", " offset 7s"]);
    let selector = select(vec!["{app=\"x\"}", "{app=\"x\"}", "{job=\"j0\"}", "{pod=~\"1|2\"}"]);
    (
        select(vec![0, 0, 0, 1, 1, 2, 3]),
        selector,
        stages(),
        unwrap,
        range,
        (plain, sum, other),
        group,
        offset,
    )
        .prop_map(
            |(kind, selector, stages, unwrap, range, (plain, sum, other), group, offset)| match kind
            {
                0 if group.is_empty() => format!("{plain}({selector} {stages} [{range}s]{offset})"),
                0 => format!("sum {group} ({plain}({selector} {stages} [{range}s]{offset}))"),
                1 => format!(
                    "sum {group} ({sum}({selector} {stages} | {unwrap} [{range}s]{offset}))"
                ),
                2 => format!("{other}{selector} {stages} | {unwrap} [{range}s]{offset}) {group}"),
                _ => format!(
                    "topk(2, count {group} ({plain}({selector} {stages} [{range}s]{offset})))"
                ),
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn metric_queries(
        streams in streams(), text in metric(), start in 0..60_i64, length in 0..60_i64,
        step in 1..15_i64, forks in any::<bool>(),
    ) {
        let query = query(&text, start, start + length, step, Direction::Forward);
        let expect = answer(&memory(&streams), &query);
        let (engine, _) = shaped(&streams, forks);
        let found = answer(&engine, &query);
        prop_assert!(same(&found, &expect), "{text}\n{found:?}\ninstead of\n{expect:?}");
        let again = answer(&engine, &query);
        prop_assert!(same(&again, &expect), "again: {text}\n{again:?}\ninstead of\n{expect:?}");
    }

    #[test]
    fn log_queries(
        streams in streams(), stages in stages(), forward in any::<bool>(), start in 0..60_i64,
        length in 0..90_i64,
    ) {
        let direction = if forward { Direction::Forward } else { Direction::Backward };
        let text = format!("{{app=\"x\"}} {stages}");
        let query = query(&text, start, start + length, 1, direction);
        let expect = answer(&memory(&streams), &query);
        let found = answer(&shaped(&streams, false).0, &query);
        prop_assert!(same(&found, &expect), "{text}\n{found:?}\ninstead of\n{expect:?}");
    }

    /// A dashboard that is moved along, with and without results of parts kept.
    #[test]
    fn refreshed_queries(
        streams in streams(), text in metric(), starts in prop::collection::vec(-40..60_i64, 1..4),
        step in 1..15_i64, forks in any::<bool>(),
    ) {
        let (engine, _) = shaped(&streams, forks);
        let (cold, _) = shaped(&streams, false);
        let cold = cold.with_cache_bytes(0);
        for start in starts {
            for length in [160, 0, 163] {
                let query = query(&text, start, start + length, step, Direction::Forward);
                let (found, expect) = (answer(&engine, &query), answer(&cold, &query));
                prop_assert!(same(&found, &expect), "{text}\n{found:?}\ninstead of\n{expect:?}");
            }
        }
    }
}

#[test]
fn parts_are_read_once() {
    let entries =
        (0..50).map(|at| Entry::new(Timestamp(at * SEC + 1), format!("level=info n={at}")));
    let streams = vec![(Labels::from_pairs([("app", "x")]), entries.collect::<Vec<_>>())];
    let (engine, logs) = shaped(&streams, false);
    let read = || logs.parts_read.load(Ordering::Relaxed);
    let text = "sum by (level) (count_over_time({app=\"x\"} | logfmt | n > 10 [20s]))";
    let first = answer(&engine, &query(text, 0, 100, 10, Direction::Forward)).unwrap();
    assert_eq!(read(), 1);
    let QueryData::Matrix(series) = &first else { panic!("no matrix") };
    assert_eq!(series[0].labels.to_string(), r#"{level="info"}"#);
    // Moved along by a step: the same cells.
    let moved = answer(&engine, &query(text, -10, 90, 10, Direction::Forward)).unwrap();
    assert_eq!(read(), 1);
    let QueryData::Matrix(moved) = &moved else { panic!("no matrix") };
    assert_eq!(moved[0].points, series[0].points);
    // Part of the rows, or another way to cut time.
    answer(&engine, &query(text, 45, 90, 10, Direction::Forward)).unwrap();
    answer(&engine, &query(text, 0, 100, 15, Direction::Forward)).unwrap();
    assert_eq!(read(), 3);
    let cold = engine.with_cache_bytes(0);
    answer(&cold, &query(text, 0, 100, 10, Direction::Forward)).unwrap();
    assert_eq!(read(), 4);
}

/// What a row costs, by kind of query. For a look, in a release build:
/// `cargo test --release --lib query::tests::columns::costs -- --nocapture`, with STOCKADE_COSTS=1.
#[test]
fn costs() {
    if std::env::var_os("STOCKADE_COSTS").is_none() {
        return;
    }
    const ROWS: i64 = 200_000;
    let mut seed = 7_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) % below
    };
    let mut streams = Streams::new();
    for pod in 0..20 {
        let entries = (0..ROWS / 20).map(|at| {
            let (path, status, took) = (random(10), random(4), random(840));
            let (id, size) = (random(1 << 30), random(40_000));
            let line = format!(
                r#"{{"level":"info","msg":"request done","method":"GET","path":"/p{path}","status":{},"latency_ms":{took},"trace_id":"{id:032x}","bytes":{size}}}"#,
                200 + status * 100
            );
            Entry::new(Timestamp(at * 3600 * SEC / (ROWS / 20) + 1), line)
        });
        let labels = [("service", "api"), ("pod", &*format!("api-{pod}")), ("env", "prod")];
        let labels = Labels::from_pairs(labels);
        streams.push((labels, entries.collect()));
    }
    let (columns, _) = shaped(&streams, false);
    let columns = columns.with_cache_bytes(0);
    let lines = memory(&streams).with_cache_bytes(0);
    for text in [
        r#"sum by (service) (count_over_time({env="prod"}[1m]))"#,
        r#"sum by (service) (rate({env="prod"} |= "error" [1m]))"#,
        r#"sum by (status) (count_over_time({service="api"} | json | latency_ms > 500 [1m]))"#,
        r#"quantile_over_time(0.95, {service="api"} | json | unwrap latency_ms [1m]) by (path)"#,
        r#"topk(10, sum by (path) (count_over_time({service="api"} | json [1h])))"#,
        r#"sum by (path) (sum_over_time({service="api"} | json | unwrap bytes(bytes) [5m]))"#,
        r#"{service="api"} | json | trace_id="0123456789abcdef0123456789abcdef""#,
        r#"{service="api"} |~ "latency_ms\":8.9,.*bytes\":77""#,
    ] {
        let query = query(text, 0, 3600, 60, Direction::Backward);
        let cost = |engine: &Engine| {
            let mut nanos: Vec<u128> = (0..5)
                .map(|_| {
                    let began = std::time::Instant::now();
                    answer(engine, &query).unwrap();
                    began.elapsed().as_nanos()
                })
                .collect();
            nanos.sort_unstable();
            nanos[0] as f64 / ROWS as f64
        };
        eprintln!("{:>8.1} ns a row, {:>8.1} by line: {text}", cost(&columns), cost(&lines));
    }
}

/// Lines that real programs wrote, and those of Loghub where `STOCKADE_LOGHUB` names its folder.
#[test]
fn real_lines() {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lines")];
    folders.extend(std::env::var_os("STOCKADE_LOGHUB").map(PathBuf::from));
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "log") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() >= 6);
    let mut streams = Streams::new();
    for file in &files {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let entries = text.lines().take(400).enumerate();
        let entries = entries
            .map(|(at, line)| Entry::new(Timestamp(at as i64 * SEC / 5 + 1), line.to_owned()));
        streams.push((Labels::from_pairs([("app", "x"), ("job", &name)]), entries.collect()));
    }
    let (lines, (columns, _)) = (memory(&streams), shaped(&streams, false));
    for text in [
        r#"sum by (job) (count_over_time({app="x"} |= "error" [10s]))"#,
        r#"sum by (job) (count_over_time({app="x"} |= "10" [10s]))"#,
        r#"sum by (job) (bytes_over_time({app="x"} |~ "(?i)fail|warn" [10s]))"#,
        r#"sum by (job) (rate({app="x"} != "INFO" !~ "[0-9]{5}" [10s]))"#,
        r#"sum by (job) (count_over_time({app="x"} |> "<_>: <_>" [10s]))"#,
        r#"sum by (job, level) (count_over_time({app="x"} | logfmt | level != "" [10s]))"#,
        r#"sum by (level, caller) (count_over_time({job="prometheus-json"} | json [10s]))"#,
        r#"sum by (job, __error__) (count_over_time({app="x"} | json [10s]))"#,
        r#"sum by (module) (count_over_time({job="dockerd"} | logfmt | msg =~ "Channel.*" [10s]))"#,
        r#"{job=~"prometheus.*"} | json | logfmt | component="web""#,
        r#"{app="x"} |= " to " |= "1""#,
        r#"{app="x"} |~ "[a-f0-9]{8}" != "0""#,
        r#"{app="x"} |= "from 1""#,
    ] {
        let query = query(text, 0, 90, 10, Direction::Backward);
        assert_eq!(answer(&columns, &query).unwrap(), answer(&lines, &query).unwrap(), "{text}");
    }
}
