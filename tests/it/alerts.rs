//! From pushed lines to Slack, over an outage of Slack and a kill of the server.

use serde_json::json;

use crate::support::{Server, Slack, now_ns, wait_for};

const CONFIG: &str = "sources: []\n";

fn push_failures(server: &Server, service: &str) {
    let now = now_ns();
    let lines: Vec<(i64, String)> = (0..8)
        .map(|n| (now + n, format!(r#"{{"level":"warn","msg":"login failed","attempt":{n}}}"#)))
        .collect();
    assert_eq!(server.push_lines(json!({"service_name": service}), &lines).0, 204);
}

#[test]
fn an_outage_of_slack_loses_no_alert_and_repeats_none() {
    let folder = tempfile::tempdir().unwrap();
    let slack = Slack::start();
    slack.answer_with(500, "down");
    let data = folder.path().join("data");
    let mut server = Server::start_with(CONFIG, &data, &[("SLACK_WEBHOOK_URL", &slack.url)]);
    push_failures(&server, "login");
    wait_for("a refused attempt", || {
        let (_, text) = server.get("/metrics");
        text.lines()
            .any(|l| l.starts_with("notifications_total{") && l.contains("retried"))
            .then_some(())
    });
    server.kill();
    slack.answer_with(200, "ok");
    server.restart();
    let message = wait_for("the message", || slack.messages().into_iter().next());
    assert!(message.contains("login failed"), "{message}");
    assert!(message.contains("AuthFailureSpike"), "{message}");
    server.stop();
    server.restart();
    // Another cause gets its own message; the first is not told again.
    push_failures(&server, "shop");
    wait_for("the second message", || slack.messages().into_iter().find(|m| m.contains("shop")));
    let first =
        slack.messages().iter().filter(|m| m.contains("login") && !m.contains("shop")).count();
    assert_eq!(first, 1, "{:#?}", slack.messages());
}

#[test]
fn rules_over_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(CONFIG, &data);
    let group = "name: ours\nrules:\n  - alert: Boom\n    expr: sum(count_over_time({app=\"a\"} |= \"boom\" [1m])) > 0\n    labels: {severity: info}\n";
    let answer = server.post("/loki/api/v1/rules/mine", &[], group.as_bytes());
    assert_eq!(answer.0, 202, "{}", answer.1);
    let bad = group.replace("sum(", "sum((");
    assert_eq!(server.post("/loki/api/v1/rules/mine", &[], bad.as_bytes()).0, 400);
    server.kill();
    server.restart();
    let (status, listed) = server.get("/loki/api/v1/rules/mine/ours");
    assert_eq!(status, 200);
    assert!(listed.contains("Boom"), "{listed}");
    let (_, rules) = server.get("/prometheus/api/v1/rules?rule_name[]=Boom");
    let rules: serde_json::Value = serde_json::from_str(&rules).unwrap();
    assert_eq!(rules["data"]["groups"][0]["rules"][0]["name"], "Boom");
    assert_eq!(server.push_lines(json!({"app": "a"}), &[(now_ns(), "boom".into())]).0, 204);
    wait_for("the alert", || {
        let (_, alerts) = server.get("/prometheus/api/v1/alerts");
        alerts.contains("\"Boom\"").then_some(())
    });
    let delete =
        |path: &str| crate::support::http("DELETE", &format!("{}{path}", server.url), &[], b"").0;
    assert_eq!(delete("/loki/api/v1/rules/mine/ours"), 202);
    assert_eq!(server.get("/loki/api/v1/rules/mine").0, 404);
}
