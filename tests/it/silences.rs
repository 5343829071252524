//! Silences over Alertmanager's API: made, found, changed, ended; and what is refused.

use serde_json::{Value, json};

use crate::support::{QUIET, Server, http, wait_for};

fn post(server: &Server, silence: &Value) -> (u16, Value) {
    let json_type = [("Content-Type", "application/json")];
    let (status, body) =
        server.post("/api/v2/silences", &json_type, silence.to_string().as_bytes());
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

fn get(server: &Server, path: &str) -> (u16, Value) {
    let (status, body) = server.get(path);
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

fn silence(name: &str) -> Value {
    json!({
        "matchers": [{"name": "alertname", "value": name, "isRegex": false}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2199-01-01T00:00:00.000Z",
        "createdBy": "ann",
        "comment": "known, being worked on",
    })
}

#[test]
fn silences_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(QUIET, &folder.path().join("data"));
    assert_eq!(get(&server, "/api/v2/silences"), (200, json!([])));
    let (status, made) = post(&server, &silence("Disk"));
    assert_eq!(status, 200, "{made}");
    let id = made["silenceID"].as_str().unwrap().to_owned();
    let (status, other) = post(&server, &silence("Memory"));
    assert_eq!(status, 200, "{other}");

    let (status, shown) = get(&server, &format!("/api/v2/silence/{id}"));
    assert_eq!(status, 200);
    assert_eq!(shown["status"]["state"], "active");
    assert_eq!(shown["endsAt"], "2199-01-01T00:00:00.000Z");
    let matcher =
        json!([{"name": "alertname", "value": "Disk", "isRegex": false, "isEqual": true}]);
    assert_eq!(shown["matchers"], matcher);

    let filtered = "/api/v2/silences?filter=alertname%3D%22Disk%22";
    let (_, found) = get(&server, filtered);
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["id"], id.as_str());
    assert_eq!(get(&server, "/api/v2/silences?filter=alertname").0, 400);

    // The same silence with a nearer end keeps its id.
    let mut sooner = silence("Disk");
    sooner["id"] = json!(id);
    sooner["startsAt"] = shown["startsAt"].clone();
    sooner["endsAt"] = json!("2198-01-01T00:00:00Z");
    let (status, changed) = post(&server, &sooner);
    assert_eq!(status, 200, "{changed}");

    server.kill();
    server.restart();
    let id = changed["silenceID"].as_str().unwrap();
    let url = format!("{}/api/v2/silence/{id}", server.url);
    assert_eq!(http("DELETE", &url, &[], b"").0, 200);
    assert_eq!(get(&server, &format!("/api/v2/silence/{id}")).1["status"]["state"], "expired");
    let (_, all) = get(&server, "/api/v2/silences");
    assert_eq!(all[0]["matchers"][0]["value"], "Memory", "active ones come first");
}

#[test]
fn what_is_wrong_with_a_silence_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let without = |field: &str| {
        let mut silence = silence("Disk");
        silence[field] = json!("");
        silence
    };
    for (bad, word) in [
        (without("comment"), "comment"),
        (without("createdBy"), "author"),
        (without("endsAt"), "endsAt"),
        (json!({"matchers": []}), "missing field"),
    ] {
        let (status, told) = post(&server, &bad);
        assert_eq!(status, 400, "{bad}");
        assert!(told.as_str().unwrap().contains(word), "{told}");
    }
    assert_eq!(get(&server, "/api/v2/silence/none").0, 404);
    let url = format!("{}/api/v2/silence/none", server.url);
    assert_eq!(http("DELETE", &url, &[], b"").0, 404);
    assert_eq!(get(&server, "/api/v2/alerts"), (200, json!([])));
    assert_eq!(get(&server, "/api/v2/alerts?active=perhaps").0, 400);
    assert_eq!(get(&server, "/api/v2/alerts/groups"), (200, json!([])));
    assert_eq!(get(&server, "/api/v2/status").1["cluster"]["status"], "disabled");
    assert!(get(&server, "/api/v2/receivers").1.is_array());
}

#[test]
fn alerts_of_others_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let json_type = [("Content-Type", "application/json")];
    let send =
        |alerts: &Value| server.post("/api/v2/alerts", &json_type, alerts.to_string().as_bytes());
    // As Prometheus sends it: with an end to come.
    let firing = json!({
        "labels": {"alertname": "DiskFull", "severity": "warning", "host": "db1"},
        "annotations": {"summary": "97 % used"},
        "startsAt": "2026-11-21T10:00:00Z",
        "endsAt": "2199-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
    });
    assert_eq!(send(&json!([firing])), (200, String::new()));
    let shown = wait_for("the alert", || {
        let (_, shown) = get(&server, "/api/v2/alerts");
        (shown.as_array()?.len() == 1).then_some(shown)
    });
    assert_eq!(shown[0]["labels"], firing["labels"]);
    assert_eq!(shown[0]["annotations"], firing["annotations"]);
    assert_eq!(shown[0]["startsAt"], "2026-11-21T10:00:00.000Z");
    assert_eq!(shown[0]["status"]["state"], "active");
    let mut over = firing.clone();
    over["endsAt"] = json!("2026-11-21T10:05:00Z");
    assert_eq!(send(&json!([over])).0, 200);
    wait_for("its end", || {
        let (_, shown) = get(&server, "/api/v2/alerts");
        shown.as_array()?.is_empty().then_some(())
    });
    let (status, told) = send(&json!([{"labels": {}}]));
    assert_eq!((status, told.trim()), (400, "\"at least one label pair required\""));
    assert_eq!(send(&json!({"labels": {}})).0, 400);
}
