//! Loki's delete API on a running server.

use serde_json::{Value, json};

use crate::support::{QUIET, Server, files_with, http, now_ns, wait_for};

fn ask(server: &Server, method: &str, params: &[(&str, &str)]) -> (u16, String) {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    http(method, &format!("{}/loki/api/v1/delete?{query}", server.url), &[], &[])
}

fn list(server: &Server) -> Vec<Value> {
    let (status, body) = ask(server, "GET", &[]);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn push(server: &Server, app: &str, lines: &[&str]) {
    let now = now_ns() - 5_000_000_000;
    let lines: Vec<(i64, String)> =
        lines.iter().zip(0..).map(|(line, at)| (now + at, line.to_string())).collect();
    assert_eq!(server.push_lines(json!({"app": app}), &lines).0, 204);
}

#[test]
fn deleted_lines_are_hidden_then_gone() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{QUIET}retention: {{delete_request_cancel_period: 0s, min_free_disk: 0, stop_free_disk: 0}}\n"
    );
    let mut server = Server::start(&config, &folder.path().join("data"));
    push(&server, "a", &["keep one", "drop verysecretword", "keep two"]);
    push(&server, "b", &["another line"]);
    let start = (now_ns() / 1_000_000_000 - 3600).to_string();
    let params = [("query", r#"{app="a"} |= "verysecretword""#), ("start", start.as_str())];
    let (status, body) = ask(&server, "POST", &params);
    assert_eq!((status, body.as_str()), (204, ""));
    // Hidden when the answer is there.
    assert_eq!(server.lines(r#"{app="a"}"#), ["keep one", "keep two"]);
    assert_eq!(server.lines(r#"{app=~".+"} |= "secret""#), Vec::<String>::new());
    let listed = &list(&server)[0];
    let id = listed["request_id"].as_str().unwrap();
    assert_eq!(id.len(), 8);
    assert_eq!(listed["user_id"], "fake");
    assert_eq!(listed["start_time"].to_string(), start);

    wait_for("the request to be carried out", || {
        (list(&server)[0]["status"] == "processed").then_some(())
    });
    assert_eq!(list(&server)[0]["query"], r#"{app="a"} |= `***`"#);
    assert_eq!(files_with(&server.data, &["verysecretword"]), Vec::<String>::new());
    let (status, told) = ask(&server, "DELETE", &[("request_id", id)]);
    assert_eq!(status, 400, "{told}");
    assert_eq!(
        server.metric(r#"stockade_store_deleted_entries_total{reason="request"}"#),
        Some(1.0)
    );
    server.kill();
    server.restart();
    assert_eq!(server.lines(r#"{app=~".+"}"#).len(), 3);
}

#[test]
fn a_request_is_taken_back_and_bad_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    push(&server, "a", &["one", "two"]);
    assert_eq!(list(&server), Vec::<Value>::new());
    let start = (now_ns() / 1_000_000_000 - 3600).to_string();
    assert_eq!(ask(&server, "PUT", &[("query", r#"{app="a"}"#), ("start", &start)]).0, 204);
    assert_eq!(server.lines(r#"{app="a"}"#), Vec::<String>::new());
    let listed = &list(&server)[0];
    assert_eq!((&listed["status"], &listed["query"]), (&json!("received"), &json!(r#"{app="a"}"#)));
    let id = listed["request_id"].as_str().unwrap();
    assert_eq!(ask(&server, "DELETE", &[("request_id", "00000000")]).0, 404);
    assert_eq!(ask(&server, "DELETE", &[("request_id", id)]).0, 204);
    assert_eq!(server.lines(r#"{app="a"}"#), ["one", "two"]);
    assert_eq!(list(&server), Vec::<Value>::new());

    for (params, why) in [
        (vec![("start", "1")], "query not set"),
        (vec![("query", "{}"), ("start", "1")], "parse error"),
        (
            vec![("query", r#"rate({app="a"}[1m])"#), ("start", "1")],
            "only log selector is supported",
        ),
        (vec![("query", r#"{app="a"}"#)], "start time not set"),
        (
            vec![("query", r#"{app="a"}"#), ("start", "1"), ("end", "9999999999")],
            "deletes in the future",
        ),
    ] {
        let (status, told) = ask(&server, "POST", &params);
        assert_eq!(status, 400, "{params:?}");
        assert!(told.contains(why), "{params:?}: {told}");
    }
    assert_eq!(list(&server), Vec::<Value>::new());
}
