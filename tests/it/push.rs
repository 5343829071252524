//! Pushes as clients send them, and what comes back out.

use serde_json::{Value, json};

use crate::support::{QUIET, Server, http, now_ns};

#[test]
fn pushed_lines_are_found_and_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(QUIET, &folder.path().join("data"));
    let now = now_ns();
    let lines: Vec<(i64, String)> = (0..1000).map(|n| (now + n, format!("line {n}"))).collect();
    assert_eq!(server.push_lines(json!({"app": "a"}), &lines).0, 204);
    let wanted: Vec<String> = lines.iter().map(|(_, line)| line.clone()).collect();
    assert_eq!(server.lines(r#"{app="a"}"#), wanted);
    server.kill();
    server.restart();
    assert_eq!(server.lines(r#"{app="a"}"#), wanted);
    // A client that got no answer sends the batch again: nothing is stored twice.
    assert_eq!(server.push_lines(json!({"app": "a"}), &lines).0, 204);
    assert_eq!(server.lines(r#"{app="a"}"#), wanted);
    server.stop();
    server.restart();
    assert_eq!(server.lines(r#"{app="a"}"#), wanted);
}

#[test]
fn metadata_levels_and_service_names() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let now = now_ns();
    let (status, body) = server.push_json(&json!({"streams": [{
        "stream": {"app": "shop"},
        "values": [
            [now.to_string(), "level=error msg=x", {"trace.id": "abc"}],
            [(now + 1).to_string(), "all good"],
        ],
    }]}));
    assert_eq!(status, 204, "{body}");
    let level = r#"{service_name="shop"} | detected_level="error" | trace_id="abc""#;
    assert_eq!(server.lines(level), ["level=error msg=x"]);
    assert_eq!(server.lines(r#"{service_name="shop"} | detected_level="unknown""#), ["all good"]);
    let (status, labels) = server.get("/loki/api/v1/labels");
    assert_eq!(status, 200);
    let labels: Value = serde_json::from_str(&labels).unwrap();
    assert_eq!(labels["data"], json!(["app", "service_name"]));
}

#[test]
fn a_push_is_redacted_before_anything_else_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let now = now_ns();
    let secrets = ["ann.smith@example.com", "hunter2secret", "4111111111111111"];
    let (status, body) = server.push_json(&json!({"streams": [{
        "stream": {"app": "a", "owner": secrets[0]},
        "values": [[
            now.to_string(),
            format!(r#"{{"user":"{}","password":"{}","card":{}}}"#, secrets[0], secrets[1], secrets[2]),
            {"mail": secrets[0]},
        ]],
    }]}));
    assert_eq!(status, 204, "{body}");
    let lines = server.lines(r#"{app="a"}"#);
    assert_eq!(lines.len(), 1);
    let (_, series) = server.get("/loki/api/v1/series");
    for secret in secrets {
        assert!(!lines[0].contains(secret), "{}", lines[0]);
        assert!(!series.contains(secret), "{series}");
    }
    serde_json::from_str::<Value>(&lines[0]).expect("JSON stays JSON");
    assert!(server.metric("redactions_total{rule=\"email\"}").unwrap() >= 2.0);
    assert_eq!(server.post("/flush", &[], b"").0, 204);
    assert_eq!(crate::support::files_with(&server.data, &secrets), Vec::<String>::new());
}

#[test]
fn the_page_and_the_probes_answer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let (status, page) = server.get("/");
    assert_eq!(status, 200);
    assert!(page.contains("ui/main.js"));
    for path in ["/ui/main.js", "/ui/style.css", "/ready", "/healthz", "/metrics", "/config"] {
        assert_eq!(server.get(path).0, 200, "{path}");
    }
    assert_eq!(server.get("/nothing").0, 404);
    let (status, _) = http("GET", &format!("{}/loki/api/v1/push", server.url), &[], b"");
    assert_eq!(status, 405);
    let health = crate::support::binary().args(["healthcheck", "--addr", &server.url]).status();
    assert!(health.unwrap().success());
}

#[test]
fn streams_over_the_limits_are_left_out_and_the_rest_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let limits = "limits: {max_global_streams_per_user: 3, per_stream_rate_limit: 100B, \
                  per_stream_rate_limit_burst: 1KB, ";
    let config = QUIET.replace("limits: {", limits);
    let server = Server::start(&config, &folder.path().join("data"));
    let now = now_ns();
    let stream = |app: &str, bytes: usize| json!({"stream": {"app": app}, "values": [[now.to_string(), "x".repeat(bytes)]]});
    let (status, body) = server.push_json(&json!({"streams": [
        stream("a", 10), stream("b", 2000), stream("c", 20), stream("d", 30),
    ]}));
    assert_eq!(status, 429, "{body}");
    assert!(body.contains("per stream rate limit exceeded (limit: 100 bytes/sec)"), "{body}");
    assert!(body.contains("maximum active stream limit exceeded"), "{body}");
    let left_out = server.metric("rejected_lines_total{reason=\"stream_limit\"}");
    assert_eq!(left_out, Some(2.0));
    let lines = server.lines(r#"{app=~".+"}"#);
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [10, 20]);
    // What is sent again is not stored again.
    let again = json!({"streams": [stream("a", 10), stream("c", 20)]});
    assert_eq!(server.push_json(&again).0, 204);
    assert_eq!(server.lines(r#"{app=~".+"}"#).len(), 2);
}
