//! Errors, limits, lines, listings and the loop.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::script::{INTERVAL, SECOND, Script, group, open, record, rule, shown, tick};
use crate::alert::listing::{Health, StateName};
use crate::alert::rule::Rule;
use crate::clock::SimClock;
use crate::model::{Alert, MatchOp, TENANT_DEFAULT};

#[test]
fn a_failing_query_freezes_alerts_and_is_told_after_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, at| {
        if (20..120).contains(&at) { Err("timeout".to_owned()) } else { Ok(vec![("api", 1.0)]) }
    });
    let rules = vec![rule("Bad", 300 * SECOND, 0)];
    let (ruler, metrics) = open(folder.path(), vec![group("g", rules)], &script, &clock);
    assert_eq!(shown(&tick(&ruler, &clock, 10)), ["Bad api 10-"]);
    for at in (20..80).step_by(10) {
        assert_eq!(tick(&ruler, &clock, at), []);
    }
    let listed = &ruler.list_rules(TENANT_DEFAULT).groups[0].rules[0];
    assert_eq!((listed.health, listed.last_error.as_str()), (Health::Err, "timeout"));
    assert_eq!(listed.state, Some(StateName::Firing));
    let told = tick(&ruler, &clock, 80);
    assert_eq!(shown(&told), ["RuleEvalFailing none 80-"]);
    assert_eq!(told[0].labels.get("rule"), Some("Bad"));
    assert_eq!(shown(&tick(&ruler, &clock, 120)), ["Bad api 10-", "RuleEvalFailing none 80-120"]);
    assert!(metrics.render().contains("rule_evaluation_failures_total{rule_group=\"g\"} 7"));
}

#[test]
fn a_storm_is_limited_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, at| {
        let all = vec![("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)];
        Ok(if at == 10 {
            vec![("a", 1.0)]
        } else if at < 40 {
            all
        } else {
            vec![]
        })
    });
    let mut limited = group("g", vec![rule("Bad", 300 * SECOND, 0)]);
    limited.limit = 2;
    let (ruler, _) = open(folder.path(), vec![limited], &script, &clock);
    assert_eq!(shown(&tick(&ruler, &clock, 10)), ["Bad a 10-"]);
    assert_eq!(shown(&tick(&ruler, &clock, 20)), ["Bad d 20-", "RuleLimitExceeded none 20-"]);
    assert_eq!(tick(&ruler, &clock, 30), []);
    assert_eq!(
        shown(&tick(&ruler, &clock, 40)),
        ["Bad a 10-40", "Bad d 20-40", "RuleLimitExceeded none 20-40"]
    );
}

#[test]
fn alerts_carry_their_lines_and_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, _| Ok(vec![("api", 3.0)]));
    let rules = vec![rule("Bad", 300 * SECOND, 0)];
    let (ruler, _) = open(folder.path(), vec![group("g", rules)], &script, &clock);
    let sent = tick(&ruler, &clock, 1000);
    let [alert] = sent.as_slice() else { panic!("one alert, not {sent:?}") };
    assert_eq!((alert.count, alert.samples.len(), alert.value), (7, 5, 3.0));
    assert_eq!(alert.annotations.get("summary"), Some("something is wrong"));
    assert_eq!(alert.labels.get("severity"), Some("warning"));
    assert_eq!(alert.window_start_ns, 700 * SECOND + 1);
    assert_eq!(alert.window_end_ns, 1000 * SECOND + 1);
    assert!(alert.generator_url.starts_with("https://logs.test/?query="));
    assert!(alert.generator_url.ends_with("&start=700000000001&end=1000000000001"));
    // The lines are those of the alert's own series.
    let asked = script.evidence_asked.lock();
    let last = asked[0].0.matchers.last().unwrap();
    assert_eq!(
        (last.name.as_str(), last.op, last.value.as_str()),
        ("service_name", MatchOp::Eq, "api")
    );
}

#[test]
fn series_that_collapse_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, _| Ok(vec![("a", 1.0), ("b", 1.0)]));
    let mut bad = rule("Bad", 300 * SECOND, 0);
    let fixed = crate::alert::text::RuleText::parse("same").unwrap();
    bad.labels.push(("service_name".to_owned(), fixed));
    let (ruler, _) = open(folder.path(), vec![group("g", vec![bad])], &script, &clock);
    assert_eq!(tick(&ruler, &clock, 10), []);
    let error = &ruler.list_rules(TENANT_DEFAULT).groups[0].rules[0].last_error;
    assert!(error.starts_with("two series have the labels"), "{error}");
}

#[test]
fn absence_waits_for_history() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(1000 * SECOND);
    let script = Script::new(|_, _| Ok(vec![("api", 1.0)]));
    let mut absent: Rule = rule("Gone", 60 * SECOND, 0);
    absent.look.absent_reach_ns = 60 * SECOND;
    let groups = || vec![group("g", vec![absent.clone()])];
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    assert_eq!(tick(&ruler, &clock, 1010), []);
    assert_eq!(ruler.list_rules(TENANT_DEFAULT).groups[0].rules[0].health, Health::Unknown);
    drop(ruler);
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    assert_eq!(tick(&ruler, &clock, 1050), []);
    assert_eq!(shown(&tick(&ruler, &clock, 1060)), ["Gone api 1060-"]);
}

#[test]
fn recorded_series_and_alerts_are_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, _| Ok(vec![("api", 2.5)]));
    let rules = vec![record("service:errors:rate5m"), rule("Bad", 60 * SECOND, 60 * SECOND)];
    let (ruler, metrics) = open(folder.path(), vec![group("g", rules)], &script, &clock);
    tick(&ruler, &clock, 10);
    let text = metrics.render();
    for line in [
        "service:errors:rate5m{service_name=\"api\"} 2.5",
        "ALERTS{alertname=\"Bad\",alertstate=\"pending\",service_name=\"api\",severity=\"warning\"} 1",
        "ALERTS_FOR_STATE{alertname=\"Bad\",service_name=\"api\",severity=\"warning\"} 10",
        "alerts{severity=\"warning\",state=\"pending\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn lists_as_prometheus_does() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, _| Ok(vec![("api", 5.0)]));
    let rules = vec![rule("Bad", 60 * SECOND, 120 * SECOND), record("r")];
    let (ruler, _) = open(folder.path(), vec![group("g", rules)], &script, &clock);
    tick(&ruler, &clock, 10);
    let mut listed = serde_json::to_value(ruler.list_rules(TENANT_DEFAULT)).unwrap();
    let group = &mut listed["groups"][0];
    assert_eq!(group["interval"], 10.0);
    assert_eq!(group["file"], "rules.yaml");
    assert_eq!(group["lastEvaluation"], "1970-01-01T00:00:10Z");
    group["rules"][0]["evaluationTime"] = 0.into();
    assert_eq!(
        group["rules"][0],
        serde_json::json!({
            "state": "pending", "name": "Bad", "query": "count(Bad)", "duration": 120.0,
            "keepFiringFor": 0.0, "labels": {"severity": "warning"},
            "annotations": {"summary": "something is wrong"},
            "alerts": [{
                "labels": {"alertname": "Bad", "service_name": "api", "severity": "warning"},
                "annotations": {"summary": "something is wrong"},
                "state": "pending", "activeAt": "1970-01-01T00:00:10Z", "value": "5e+00",
            }],
            "health": "ok", "lastError": "", "type": "alerting",
            "lastEvaluation": "1970-01-01T00:00:10Z", "evaluationTime": 0,
        })
    );
    assert_eq!(group["rules"][1]["type"], "recording");
    assert_eq!(ruler.list_alerts(TENANT_DEFAULT).alerts.len(), 1);
}

async fn next(alerts: &mut mpsc::Receiver<Vec<Alert>>) -> Vec<String> {
    let batch = tokio::time::timeout(Duration::from_secs(20), alerts.recv()).await;
    shown(&batch.expect("an alert in time").expect("the engine runs"))
}

#[tokio::test]
async fn runs_on_the_clock_until_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(1000 * SECOND);
    let script = Script::new(|rule, at| {
        Ok(if rule == "New" || at < 1050 { vec![("api", 1.0)] } else { vec![] })
    });
    let rules = vec![rule("Old", 300 * SECOND, 0)];
    let (ruler, _) = open(folder.path(), vec![group("g", rules)], &script, &clock);
    let (alerts, mut sent) = mpsc::channel(8);
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let task = tokio::spawn(ruler.clone().run(alerts, shutdown));
    assert!(next(&mut sent).await[0].starts_with("Old api 99"));
    // A jump of an hour: one pass, at the newest slot.
    clock.advance(Duration::from_secs(3600));
    let resolved = next(&mut sent).await;
    assert!(resolved[0].starts_with("Old api 99") && !resolved[0].ends_with('-'), "{resolved:?}");
    // A reload takes effect without waiting for the clock, and ends what it removes.
    ruler.reload(super::script::file(vec![group("g2", vec![rule_new()])]));
    let mut seen = next(&mut sent).await;
    while !seen.iter().any(|alert| alert.starts_with("New api")) {
        clock.advance(Duration::from_nanos(INTERVAL.unsigned_abs()));
        seen = next(&mut sent).await;
    }
    stop.send(()).unwrap();
    task.await.unwrap();
    assert!(sent.recv().await.is_none());
}

fn rule_new() -> Rule {
    rule("New", 300 * SECOND, 0)
}
