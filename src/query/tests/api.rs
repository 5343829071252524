//! Limits, live lines and look-ups, as the other rooms use them.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Entry, Labels, Matcher, TENANT_DEFAULT, TimeRange, Timestamp};
use crate::query::syntax::{self, ast::Expr};
use crate::query::*;
use crate::store::read::{Cancel, LogRead, MemoryLogs};

fn sec(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn context() -> QueryContext {
    QueryContext {
        tenant: TENANT_DEFAULT.to_owned(),
        cancel: Cancel::default(),
        limits: QueryLimits::default(),
    }
}

fn engine() -> Engine {
    let mut logs = MemoryLogs::default();
    for (app, env, line, secs) in [
        ("api", "prod", r#"{"status":200,"took":"5ms","http":{"path":"/"}}"#, 10),
        ("api", "prod", r#"{"status":500,"took":"9ms","http":{"path":"/x"}}"#, 20),
        ("api", "dev", "level=info size=10KB", 30),
        ("web", "prod", "plain", 90),
    ] {
        let labels = Labels::from_pairs([("app", app), ("env", env), ("shard", "7")]);
        let mut entry = Entry::new(sec(secs), line);
        entry.metadata.push(("trace".into(), "ab".into()));
        logs.add(TENANT_DEFAULT, &labels, entry);
    }
    Engine::new(Arc::new(logs))
}

fn range(query: &str) -> RangeQuery {
    RangeQuery {
        expr: syntax::parse(query).unwrap(),
        start: sec(0),
        end: sec(120),
        step_ns: 30_000_000_000,
        interval_ns: 0,
        limit: 100,
        direction: Direction::Backward,
    }
}

#[track_caller]
fn check_refused(query: &RangeQuery, limits: QueryLimits, expect: &str) {
    let context = QueryContext { limits, ..context() };
    let error = engine().range(query, &context).unwrap_err();
    assert!(error.to_string().contains(expect), "{error}");
}

#[test]
fn limits_of_queries() {
    let limits = QueryLimits::default;
    let log = range("{app=\"api\"}");
    let metric = range("count_over_time({app=\"api\"}[1m])");
    check_refused(
        &RangeQuery { limit: 6000, ..log.clone() },
        limits(),
        "max entries limit per query exceeded, limit > max_entries_limit_per_query (6000 > 5000)",
    );
    check_refused(
        &RangeQuery { end: sec(-1), ..log.clone() },
        limits(),
        "end timestamp must not be before or equal to start time",
    );
    check_refused(
        &RangeQuery { end: sec(40 * 86400), ..log.clone() },
        limits(),
        "(query length: 960h0m0s, limit: 30d1h)",
    );
    check_refused(&RangeQuery { step_ns: 0, ..metric.clone() }, limits(), "step");
    check_refused(
        &RangeQuery { step_ns: 1_000_000, ..metric.clone() },
        limits(),
        "exceeded maximum resolution",
    );
    check_refused(
        &metric,
        QueryLimits { series_max: 1, ..limits() },
        "maximum number of series (1) reached for a single query",
    );
    check_refused(&log, QueryLimits { bytes_max: 10, ..limits() }, "more than 10 bytes");
    // The limit counts the series of the answer, not those on the way to it.
    let sum = range("sum(sum by (app, env) (count_over_time({app=~\".+\"}[2m])))");
    let one = QueryLimits { series_max: 1, ..limits() };
    assert!(engine().range(&sum, &QueryContext { limits: one, ..context() }).is_ok());
}

#[test]
fn queries_that_need_too_much_memory_end_with_a_message() {
    let labels = Labels::from_pairs([("app", "api")]);
    let mut logs = MemoryLogs::default();
    let filler = "x".repeat(5000);
    for at in 0..2000 {
        let line = format!("request={at} text={filler}");
        logs.add(TENANT_DEFAULT, &labels, Entry::new(sec(at / 20), line));
    }
    let engine = Engine::new(Arc::new(logs)).with_memory_bytes(2 << 20);
    let many = RangeQuery { limit: 1000, ..range("{app=\"api\"}") };
    let few = RangeQuery { limit: 50, ..many.clone() };
    let apart = range("count_over_time({app=\"api\"} | logfmt [1m])");
    let together = range("sum(count_over_time({app=\"api\"} | logfmt [1m]))");
    for _ in 0..3 {
        for query in [&many, &apart] {
            let error = engine.range(query, &context()).unwrap_err().to_string();
            assert!(error.contains("more than 1 MiB of memory"), "{error}");
        }
        // What a query held is free again.
        for query in [&few, &together] {
            assert!(engine.range(query, &context()).is_ok());
        }
    }
}

#[test]
fn queries_end_when_told() {
    let cancelled = context();
    cancelled.cancel.cancel();
    let error = engine().range(&range("{app=\"api\"}"), &cancelled).unwrap_err();
    assert!(matches!(error, QueryError::Cancelled));
    let limits = QueryLimits { timeout: Duration::from_nanos(1), ..QueryLimits::default() };
    let late = QueryContext { limits, ..context() };
    for query in ["{app=\"api\"}", "count_over_time({app=\"api\"}[1m])"] {
        let error = engine().range(&range(query), &late).unwrap_err();
        assert!(matches!(error, QueryError::Timeout { .. }), "{error}");
    }
}

#[test]
fn labels_by_kind_and_together() {
    let QueryData::Streams(rows) =
        engine().range(&range("{env=\"dev\"} | logfmt | drop shard"), &context()).unwrap().data
    else {
        panic!("no streams");
    };
    let split = group_streams(&rows, Categorize::Yes);
    assert_eq!(split[0].labels, [("app", "api"), ("env", "dev")]);
    assert_eq!(split[0].rows[0].metadata, [("trace".to_owned(), "ab".to_owned())]);
    let parsed = &split[0].rows[0].parsed;
    assert_eq!(parsed[0], ("level".to_owned(), "info".to_owned()));
    let merged = group_streams(&rows, Categorize::No);
    let names: Vec<&str> = merged[0].labels.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["app", "env", "level", "size", "trace"]);
}

#[test]
fn intervals_thin_out_lines() {
    let query = RangeQuery { interval_ns: 15_000_000_000, ..range("{app=\"api\"}") };
    let QueryData::Streams(rows) = engine().range(&query, &context()).unwrap().data else {
        panic!("no streams");
    };
    let times: Vec<Timestamp> = rows.iter().map(|row| row.ts).collect();
    assert_eq!(times, [sec(30), sec(10)]);
}

#[test]
fn live_lines() {
    let expr = syntax::parse("{app=\"api\"} |= \"x\" | line_format \"{{.env}}\"").unwrap();
    let mut tail = TailFilter::new(&expr).unwrap();
    let prod = Labels::from_pairs([("app", "api"), ("env", "prod")]);
    let web = Labels::from_pairs([("app", "web")]);
    let row = tail.filter(&prod, &Entry::new(sec(1), "an x")).unwrap();
    assert_eq!((row.line.as_str(), &row.stream), ("prod", &prod));
    assert!(tail.filter(&prod, &Entry::new(sec(1), "none")).is_none());
    assert!(tail.filter(&web, &Entry::new(sec(1), "an x")).is_none());
    assert!(tail.filter(&prod, &Entry::new(sec(2), "x again")).is_some());
    let metric = syntax::parse("rate({app=\"api\"}[1m])").unwrap();
    assert!(TailFilter::new(&metric).is_err());
}

#[test]
fn labels_and_series() {
    let (engine, context) = (engine(), context());
    let whole = TimeRange::new(sec(0), sec(120));
    let api = [Matcher::eq("app", "api")];
    assert_eq!(engine.labels(&api, whole, &context).unwrap(), ["app", "env", "shard"]);
    assert_eq!(engine.label_values("env", &api, whole, &context).unwrap(), ["dev", "prod"]);
    let late = TimeRange::new(sec(60), sec(120));
    assert_eq!(engine.label_values("app", &[], late, &context).unwrap(), ["web"]);
    let selectors = vec![api.to_vec(), vec![Matcher::eq("env", "prod")]];
    assert_eq!(engine.series(&selectors, whole, &context).unwrap().len(), 3);
    let stats = engine.index_stats(&api, whole, &context).unwrap();
    assert_eq!((stats.streams, stats.entries), (2, 3));
    let detected = engine.detected_labels(&[], whole, &context).unwrap();
    let shown: Vec<(&str, u64)> =
        detected.iter().map(|found| (found.label.as_str(), found.cardinality)).collect();
    assert_eq!(shown, [("app", 2), ("env", 2)]);
}

#[test]
fn volumes() {
    let (engine, context) = (engine(), context());
    let query = VolumeQuery {
        matchers: vec![Matcher::eq("env", "prod")],
        range: TimeRange::new(sec(0), sec(120)),
        limit: 10,
        target_labels: vec!["app".to_owned()],
        by: VolumeBy::Series,
    };
    let volumes = engine.volume(&query, &context).unwrap();
    let shown: Vec<(&str, u64)> =
        volumes.iter().map(|volume| (volume.labels[0].1.as_str(), volume.bytes)).collect();
    assert_eq!(shown, [("api", 95), ("web", 5)]);
    let by_label = VolumeQuery { by: VolumeBy::Labels, target_labels: Vec::new(), ..query.clone() };
    let volumes = engine.volume(&by_label, &context).unwrap();
    assert_eq!(volumes.len(), 3);
    assert_eq!(volumes[0].labels, [("app".to_owned(), String::new())]);
    let series = engine.volume_range(&query, 60_000_000_000, &context).unwrap();
    assert_eq!(series[0].points, [(Timestamp::from_millis(59_999), 95)]);
    assert_eq!(series[1].points, [(Timestamp(sec(120).0 - 1), 5)]);
}

#[test]
fn fields_of_lines() {
    let (engine, context) = (engine(), context());
    let Ok(Expr::Log(log)) = syntax::parse("{app=\"api\"}") else { panic!("no log query") };
    let whole = TimeRange::new(sec(0), sec(120));
    let query = FieldQuery { log, range: whole, line_limit: 100, field_limit: 100 };
    let fields = engine.detected_fields(&query, &context).unwrap();
    let shown: Vec<(&str, &str, u64, usize)> = fields
        .iter()
        .map(|f| (f.label.as_str(), f.kind.as_str(), f.cardinality, f.parsers.len()))
        .collect();
    assert_eq!(
        shown,
        [
            ("http_path", "string", 2, 1),
            ("level", "string", 1, 1),
            ("size", "bytes", 1, 1),
            ("status", "int", 2, 1),
            ("took", "duration", 2, 1),
            ("trace", "string", 1, 0),
        ]
    );
    assert_eq!(fields[0].json_path, ["http", "path"]);
    assert_eq!(fields[1].parsers, [FieldParser::Logfmt]);
    let values = engine.detected_field_values("status", &query, &context).unwrap();
    assert_eq!(values, ["200", "500"]);
}

#[test]
fn patterns_count_as_memory_of_the_query() {
    let mut logs = MemoryLogs::default();
    for at in 0..4_000_u32 {
        // Words without digits, so that no two lines are alike.
        let word = |salt: u32| -> String {
            let hash = at.wrapping_mul(2_654_435_761).rotate_left(salt);
            (0..8).map(|place| char::from(b'a' + (hash >> (place * 4) & 15) as u8)).collect()
        };
        let line = format!("{} {} {} {}", word(0), word(7), word(13), word(21));
        let ts = Timestamp(i64::from(at) * 1_000_000_000);
        logs.add(TENANT_DEFAULT, &Labels::from_pairs([("app", "a")]), Entry::new(ts, line));
    }
    let logs: Arc<dyn LogRead> = Arc::new(logs);
    for query in ["{app=\"a\"}", "{app=\"a\"} |~ \".\""] {
        let Ok(Expr::Log(log)) = syntax::parse(query) else {
            panic!("no log query");
        };
        let range = TimeRange::new(sec(0), sec(4_000));
        let query = PatternQuery { log, range, step_ns: 10_000_000_000, limit: 5 };
        let small = Engine::new(logs.clone()).with_memory_bytes(1 << 20);
        for _ in 0..3 {
            let error = small.patterns(&query, &context()).unwrap_err().to_string();
            assert!(error.starts_with("the query needs more than 0 MiB"), "{error}");
        }
        let large = Engine::new(logs.clone()).with_memory_bytes(64 << 20);
        assert_eq!(large.patterns(&query, &context()).unwrap(), []);
    }
}

#[test]
fn patterns_of_lines() {
    let mut logs = MemoryLogs::default();
    let mut add = |app: &str, at: i64, line: String| {
        let ts = Timestamp(at * 1_000_000_000);
        logs.add(TENANT_DEFAULT, &Labels::from_pairs([("app", app)]), Entry::new(ts, line));
    };
    for at in 0..40 {
        add("a", 100 + at, format!("parcel {at} went to Bern"));
        add("b", 100 + at, format!("parcel {at} went to Bern"));
        add("b", 100 + at, format!("parcel {at} was lost on its way"));
    }
    let engine = Engine::new(Arc::new(logs));
    let found = |query: &str, from: i64, to: i64, step: i64| -> Vec<(String, Vec<(i64, u64)>)> {
        let Ok(Expr::Log(log)) = syntax::parse(query) else {
            panic!("no log query");
        };
        let range = TimeRange::new(sec(from), sec(to));
        let query = PatternQuery { log, range, step_ns: step * 1_000_000_000, limit: 5 };
        let found = engine.patterns(&query, &context()).unwrap();
        let samples = |found: &DetectedPattern| {
            found.samples.iter().map(|(at, count)| (at.0 / 1_000_000_000, *count)).collect()
        };
        found.iter().map(|found| (found.pattern.clone(), samples(found))).collect()
    };
    let bern = "parcel <_> went to Bern".to_owned();
    let lost = "parcel <_> was lost on its way".to_owned();
    // Those of several streams are one.
    assert_eq!(
        found("{app=~\"a|b\"}", 0, 200, 20),
        [(bern.clone(), vec![(100, 40), (120, 40)]), (lost.clone(), vec![(100, 20), (120, 20)])]
    );
    // Samples of ten seconds that begin in the range are in it as a whole, others not.
    assert_eq!(
        found("{app=~\"a|b\"}", 101, 131, 1),
        [
            (bern.clone(), vec![(110, 20), (120, 20), (130, 20)]),
            (lost, vec![(110, 10), (120, 10), (130, 10)])
        ]
    );
    assert_eq!(found("{app=\"a\"}", 101, 130, 10), []);
    // Behind stages as well.
    let stages = "{app=~\"a|b\"} |= \"Bern\"";
    assert_eq!(found(stages, 0, 200, 60), [(bern, vec![(60, 40), (120, 40)])]);
}

#[test]
fn long_chains_end_well() {
    let engine = engine();
    for (link, head, count) in [
        (" and a=\"1\"", "{app=\"api\"} | a=\"1\"", 9_000),
        (" or a=\"1\"", "{app=\"api\"} | a=\"1\"", 9_000),
        (" | a=\"1\"", "{app=\"api\"}", 9_000),
        (" |= \"a\"", "{app=\"api\"}", 9_000),
        (" + vector(1)", "vector(1)", 9_000),
        (" or vector(1)", "vector(1)", 9_000),
    ] {
        let query = format!("{head}{}", link.repeat(count));
        // Refused or answered, but the stack holds.
        if let Ok(expr) = syntax::parse(&query) {
            let _ = engine.range(&RangeQuery { expr, ..range("vector(1)") }, &context());
        }
    }
}
