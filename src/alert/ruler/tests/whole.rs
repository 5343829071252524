//! Shipped rules, the query engine and the rule engine together.

use std::sync::Arc;

use crate::alert::engine::EngineEvaluate;
use crate::alert::load::GroupDefaults;
use crate::alert::ruler::{Ruler, RulerOptions};
use crate::alert::schedule::Slots;
use crate::alert::shipped::shipped;
use crate::clock::SimClock;
use crate::metrics::Metrics;
use crate::model::{Alert, Entry, Labels, TENANT_DEFAULT, Timestamp};
use crate::query::Engine;
use crate::store::read::MemoryLogs;

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_767_225_600 * SECOND;

/// Evaluates every group at each of its slots for a minute, as the loop would.
fn run_for_a_minute(logs: MemoryLogs) -> Vec<(i64, Alert)> {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(START);
    let options = RulerOptions {
        external_url: "https://logs.test/".to_owned(),
        ..RulerOptions::new(folder.path())
    };
    let evaluate = Arc::new(EngineEvaluate::new(Engine::new(Arc::new(logs))));
    let files = shipped(GroupDefaults::default()).unwrap();
    let ruler = Ruler::open(options, files, evaluate, clock.shared(), &Metrics::default()).unwrap();
    let mut sent = Vec::new();
    for second in 0..60 {
        let now_ns = START + second * SECOND;
        clock.set_ns(now_ns);
        for group in &ruler.rules().groups {
            let newest_ns = Slots::of(group).newest(now_ns);
            if newest_ns > now_ns - SECOND {
                ruler.0.run_group(group, newest_ns, &mut |batch| {
                    sent.extend(batch.into_iter().map(|alert| (second, alert)));
                });
            }
        }
    }
    sent
}

#[test]
fn failed_logins_raise_an_alert_within_seconds_of_a_fresh_start() {
    let mut logs = MemoryLogs::default();
    let labels = Labels::from_pairs([("service_name", "shop-api"), ("container", "shop-api-1")]);
    for second in [10, 11, 12, 13, 14] {
        let line = r#"{"level":"warn","msg":"login failed","user":"<email>"}"#;
        logs.add(TENANT_DEFAULT, &labels, Entry::new(Timestamp(START + second * SECOND), line));
    }
    let other = Labels::from_pairs([("service_name", "other")]);
    let entry = Entry::new(Timestamp(START + 14 * SECOND), "login failed");
    logs.add(TENANT_DEFAULT, &other, entry);

    let sent = run_for_a_minute(logs);
    let names: Vec<&str> = sent.iter().map(|(_, alert)| alert.name()).collect();
    assert_eq!(names, ["AuthFailureSpike"]);
    let (second, alert) = &sent[0];
    assert!((14..=26).contains(second), "after {} s", second - 14);
    assert_eq!(alert.labels.get("category"), Some("security"));
    assert_eq!(alert.labels.get("service_name"), Some("shop-api"));
    assert_eq!((alert.count, alert.samples.len()), (5, 5));
    assert!(alert.samples.iter().all(|sample| sample.line.contains("<email>")));
    assert_eq!(
        alert.annotations.get("runbook_url"),
        Some("https://logs.test/runbooks/AuthFailureSpike")
    );
    assert!(
        alert.generator_url.contains("service_name%3D%22shop-api%22"),
        "{}",
        alert.generator_url
    );
}

#[test]
fn quiet_logs_raise_nothing() {
    let mut logs = MemoryLogs::default();
    let labels = Labels::from_pairs([("service_name", "shop-api")]);
    for second in 0..50 {
        let line = format!(r#"{{"level":"info","msg":"order placed","n":{second},"status":200}}"#);
        logs.add(TENANT_DEFAULT, &labels, Entry::new(Timestamp(START + second * SECOND), line));
    }
    assert_eq!(run_for_a_minute(logs), []);
}

#[test]
fn our_own_log_about_a_rule_does_not_make_it_fire() {
    let mut logs = MemoryLogs::default();
    let labels = Labels::from_pairs([("service_name", "stockade")]);
    for second in 0..50 {
        let line =
            "query took 3ms: {a=`b`} |= `login failed` |~ `panicked at ` no space left on device";
        logs.add(TENANT_DEFAULT, &labels, Entry::new(Timestamp(START + second * SECOND), line));
    }
    assert_eq!(run_for_a_minute(logs), []);
}
