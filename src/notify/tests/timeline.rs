//! Grouping, repeating, resolving, silences, inhibition, mute windows.

use super::rig::{Rig, SECOND_NS, START_NS, alert, settings};
use crate::model::Labels;
use crate::notify::{NewSilence, SilenceMatcher};

const SIMPLE: &str = "
route: {receiver: web, group_by: [service], group_wait: 10s, group_interval: 60s, repeat_interval: 5m}
receivers: [{name: web, webhook_configs: [{url: 'http://h/x'}]}]
";

fn silence(name: &str, value: &str, from_secs: i64, to_secs: i64) -> NewSilence {
    NewSilence {
        id: None,
        matchers: vec![SilenceMatcher {
            name: name.to_owned(),
            value: value.to_owned(),
            is_regex: false,
            is_equal: true,
        }],
        starts_at_ns: START_NS + from_secs * SECOND_NS,
        ends_at_ns: START_NS + to_secs * SECOND_NS,
        created_by: "ann".to_owned(),
        comment: "deploy".to_owned(),
    }
}

#[tokio::test]
async fn groups_and_repeats() {
    let mut rig = Rig::new(SIMPLE);
    rig.fire("A", &[("service", "api")]);
    rig.until(5).await;
    rig.fire("B", &[("service", "api")]);
    rig.fire("C", &[("service", "db")]);
    rig.until(30).await;
    rig.fire("D", &[("service", "api")]);
    rig.until(100).await;
    rig.expect(&["10 web first +A B", "15 web first +C", "70 web new +A B D"]);
    // Told again and again by the rule engine: nothing new.
    rig.give(alert("A", &[("service", "api")], START_NS));
    rig.until(369).await;
    rig.expect(&["315 web repeat +C"]);
    rig.until(370).await;
    rig.expect(&["370 web repeat +A B D"]);
}

#[tokio::test]
async fn tells_the_end() {
    let mut rig = Rig::new(SIMPLE);
    rig.fire("A", &[]);
    rig.fire("B", &[]);
    rig.until(20).await;
    rig.resolve("A", &[], 0);
    rig.until(71).await;
    rig.resolve("B", &[], 0);
    rig.until(200).await;
    rig.expect(&["10 web first +A B", "70 web some over +B -A", "130 web all over -B"]);
    // The rule engine repeats the end for a while.
    rig.resolve("B", &[], 0);
    rig.until(900).await;
    rig.expect(&[]);
    // Back again is news.
    rig.fire("A", &[]);
    rig.until(1000).await;
    rig.expect(&["910 web first +A"]);
}

#[tokio::test]
async fn events_inside_the_wait_are_told() {
    for send_resolved in [true, false] {
        let yaml = SIMPLE
            .replace("'http://h/x'", &format!("'http://h/x', send_resolved: {send_resolved}"));
        let mut rig = Rig::new(&yaml);
        rig.fire("A", &[]);
        rig.until(3).await;
        rig.resolve("A", &[], 0);
        rig.until(200).await;
        rig.expect(&["10 web first -A"]);
        rig.resolve("A", &[], 0);
        rig.until(400).await;
        rig.expect(&[]);
    }
}

#[tokio::test]
async fn without_send_resolved_a_return_is_told() {
    let mut rig = Rig::new(&SIMPLE.replace("'http://h/x'", "'http://h/x', send_resolved: false"));
    rig.fire("A", &[]);
    rig.fire("B", &[]);
    rig.until(20).await;
    rig.resolve("A", &[], 0);
    rig.until(80).await;
    rig.fire("A", &[]);
    rig.until(200).await;
    rig.expect(&["10 web first +A B", "130 web new +A B"]);
}

#[tokio::test]
async fn critical_news_does_not_wait_for_the_tick() {
    let mut rig = Rig::new(SIMPLE);
    rig.fire("A", &[]);
    rig.until(15).await;
    rig.fire("B", &[("severity", "critical")]);
    rig.until(60).await;
    rig.expect(&["10 web first +A", "25 web new +A B"]);
}

#[tokio::test]
async fn silences_hold_back_and_let_go() {
    let mut rig = Rig::new(SIMPLE);
    let id = rig.handle.put_silence(silence("alertname", "A", 0, 1000)).unwrap();
    rig.fire("A", &[]);
    rig.until(300).await;
    rig.expect(&[]);
    assert_eq!(rig.handle.alerts()[0].silenced_by, std::slice::from_ref(&id));
    rig.handle.expire_silence(&id).unwrap();
    rig.until(400).await;
    rig.expect(&["310 web first +A"]);
    // Someone knows of it by now, so its end is told even under a new silence.
    rig.handle.put_silence(silence("alertname", "A", 400, 5000)).unwrap();
    rig.resolve("A", &[], 0);
    rig.until(500).await;
    rig.expect(&["430 web all over -A"]);
}

#[tokio::test]
async fn what_ends_under_a_silence_is_never_told() {
    let mut rig = Rig::new(SIMPLE);
    rig.handle.put_silence(silence("alertname", "A", 0, 100)).unwrap();
    rig.fire("A", &[]);
    rig.until(50).await;
    rig.resolve("A", &[], 0);
    rig.until(500).await;
    rig.expect(&[]);
}

#[tokio::test]
async fn inhibition_hides_the_lesser() {
    let yaml = format!(
        "{SIMPLE}
inhibit_rules:
- {{source_matchers: ['severity=critical'], target_matchers: ['severity=warning'], equal: [host]}}"
    );
    let mut rig = Rig::new(&yaml);
    rig.fire("W", &[("severity", "warning"), ("host", "a"), ("service", "w")]);
    rig.fire("X", &[("severity", "warning"), ("host", "b"), ("service", "x")]);
    rig.until(5).await;
    rig.fire("C", &[("severity", "critical"), ("host", "a"), ("service", "c")]);
    rig.until(20).await;
    rig.expect(&["10 web first +X", "15 web first +C"]);
    // The state of hiding lives through a restart: nothing leaks.
    let mut rig = rig.restart();
    rig.until(100).await;
    rig.expect(&[]);
    rig.resolve("C", &[("severity", "critical"), ("host", "a"), ("service", "c")], 5);
    rig.until(150).await;
    rig.expect(&["130 web first +W", "135 web all over -C"]);
}

#[tokio::test]
async fn routes_by_labels() {
    let mut rig = Rig::new(
        "
route:
  receiver: rest
  group_wait: 1s
  routes:
  - {match: {team: a}, receiver: a, continue: true}
  - {matchers: ['team=~a|b'], receiver: b, routes: [{match_re: {sub: 'x.*'}, receiver: c}]}
receivers:
- {name: rest, webhook_configs: [{url: 'http://h/x'}]}
- {name: a, webhook_configs: [{url: 'http://h/x'}]}
- {name: b, webhook_configs: [{url: 'http://h/x'}]}
- {name: c, webhook_configs: [{url: 'http://h/x'}]}
",
    );
    rig.fire("A", &[("team", "a")]);
    rig.fire("B", &[("team", "b"), ("sub", "xy")]);
    rig.fire("Z", &[("team", "z")]);
    rig.until(2).await;
    let mut log = std::mem::take(&mut rig.log);
    log.sort();
    assert_eq!(log, ["1 a first +A", "1 b first +A", "1 c first +B", "1 rest first +Z"]);
    let steps = rig.handle.explain(&Labels::from_pairs([("team", "a")]));
    assert_eq!(steps[1].receiver, "b");
    assert_eq!(
        steps[1].timeline,
        "first message after 1s, news of the group every 5m, repeated after 4h"
    );
}

#[tokio::test]
async fn mute_windows_hold_and_then_tell_once() {
    // The clock starts at 22:13:20.
    let yaml = SIMPLE.replace(
        "repeat_interval: 5m}",
        "repeat_interval: 5m, routes: [{mute_time_intervals: [night]}]}",
    ) + "time_intervals: [{name: night, time_intervals: [{times: [{start_time: '22:00', end_time: '22:20'}]}]}]";
    let mut rig = Rig::new(&yaml);
    rig.fire("A", &[]);
    rig.until(399).await;
    rig.expect(&[]);
    rig.until(600).await;
    rig.expect(&["430 web first +A"]);
}

#[tokio::test]
async fn reload_tells_nobody_twice() {
    let mut rig = Rig::new(SIMPLE);
    rig.fire("A", &[("service", "api")]);
    rig.until(20).await;
    rig.expect(&["10 web first +A"]);
    // Other groups, same receiver.
    rig.handle.reload(settings(&SIMPLE.replace("[service]", "[alertname]")));
    rig.until(120).await;
    rig.expect(&[]);
    // Another receiver hears of it for the first time.
    rig.handle.reload(settings(&SIMPLE.replace(": web,", ": other,")));
    rig.until(200).await;
    rig.expect(&["130 other first +A"]);
}

#[tokio::test]
async fn a_silent_configuration_only_keeps_alerts() {
    let mut rig = Rig::new("route: {receiver: none}\nreceivers: [{name: none}]");
    rig.fire("A", &[]);
    rig.until(100).await;
    rig.expect(&[]);
    assert_eq!(rig.handle.alerts().len(), 1);
    rig.resolve("A", &[], 0);
    rig.until(10_000).await;
    assert!(rig.handle.alerts().is_empty());
}
