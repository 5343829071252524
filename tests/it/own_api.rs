//! Beyond Loki: lines without a cap, lines around a line, plain words, explanations, and where the
//! nearest lines are.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::support::{QUIET, Server, http_whole, now_ns};

const SEC: i64 = 1_000_000_000;

fn ask(server: &Server, path: &str, params: &[(&str, &str)]) -> (u16, String) {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(params);
    server.get(&format!("/stockade/api/v1/{path}?{}", query.finish()))
}

/// The rows of an NDJSON answer, and its last line.
fn export(server: &Server, params: &[(&str, &str)]) -> (Vec<(i64, String)>, Value) {
    let (status, body) = ask(server, "query", params);
    assert_eq!(status, 200, "{body}");
    let mut lines: Vec<Value> =
        body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap()["summary"].take();
    let rows = lines
        .iter()
        .map(|row| {
            let ts = row["timestamp"].as_str().unwrap().parse().unwrap();
            (ts, row["line"].as_str().unwrap().to_owned())
        })
        .collect();
    (rows, summary)
}

#[test]
fn pages_lose_and_repeat_nothing_even_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(QUIET, &folder.path().join("data"));
    let start = now_ns() - 3600 * SEC;
    // Three streams, 40 lines of each at every one of 15 instants: pages end inside of all of them.
    let mut pushed: Vec<(i64, String)> = Vec::new();
    for stream in 0..3 {
        let lines: Vec<(i64, String)> =
            (0..600).map(|n| (start + n / 40 * SEC, format!("stream {stream} line {n}"))).collect();
        assert_eq!(server.push_lines(json!({"app": "a", "n": stream.to_string()}), &lines).0, 204);
        pushed.extend(lines);
        if stream == 1 {
            assert_eq!(server.post("/flush", &[], b"").0, 204);
        }
    }
    pushed.sort();
    let (from, to) = (start.to_string(), (start + 60 * SEC).to_string());
    for direction in ["forward", "backward"] {
        for limit in ["100", "250", "1"] {
            let mut found = Vec::new();
            let mut page = String::new();
            let mut pages = 0;
            loop {
                let mut params = vec![
                    ("query", r#"{app="a"} |= "line""#),
                    ("start", &from),
                    ("end", &to),
                    ("direction", direction),
                    ("limit", limit),
                ];
                if !page.is_empty() {
                    params.push(("page", &page));
                }
                let (rows, summary) = export(&server, &params);
                let times: Vec<i64> = rows.iter().map(|(ts, _)| *ts).collect();
                let ordered = if direction == "forward" {
                    times.is_sorted()
                } else {
                    times.iter().rev().is_sorted()
                };
                // Whether more lines follow shows on the last page, which may be empty.
                assert!(
                    ordered && (!rows.is_empty() || summary["next"].is_null()),
                    "{direction} {limit}"
                );
                assert_eq!(summary["lines"], rows.len());
                found.extend(rows);
                pages += 1;
                if pages == 2 && limit == "250" && direction == "forward" {
                    server.kill();
                    server.restart();
                }
                if pages == 3 {
                    assert_eq!(server.post("/flush", &[], b"").0, 204);
                }
                match summary["next"].as_str() {
                    Some(next) => page = next.to_owned(),
                    None => break,
                }
            }
            assert!(pages > 5, "{pages} pages");
            found.sort();
            assert_eq!(found, pushed, "{direction} {limit}");
        }
    }
    // A token is of one query, and nonsense is none.
    let (_, summary) =
        export(&server, &[("query", r#"{app="a"}"#), ("limit", "10"), ("start", &from)]);
    let token = summary["next"].as_str().unwrap();
    let other = ask(&server, "query", &[("query", r#"{app="b"}"#), ("page", token)]);
    assert!(other.0 == 400 && other.1.contains("another query"), "{other:?}");
    assert_eq!(ask(&server, "query", &[("query", r#"{app="a"}"#), ("page", "x")]).0, 400);
}

#[test]
fn exports_have_no_cap_and_come_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let start = now_ns() - 600 * SEC;
    for chunk in 0..6i64 {
        let lines: Vec<(i64, String)> = (0..10_000)
            .map(|n| (start + (chunk * 10_000 + n) * 1000, format!("n {}", chunk * 10_000 + n)))
            .collect();
        assert_eq!(server.push_lines(json!({"app": "big"}), &lines).0, 204);
    }
    let url = format!(
        "{}/stockade/api/v1/query?query=%7Bapp%3D%22big%22%7D&direction=forward",
        server.url
    );
    let (status, headers, body) = http_whole("GET", &url, &[("Accept-Encoding", "gzip")], b"");
    assert_eq!((status, headers["content-encoding"].to_str().unwrap()), (200, "gzip"));
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    // Two pages inside: a page holds 50,000 lines.
    assert_eq!(text.lines().count(), 60_001);
    for (expected, line) in text.lines().take(60_000).enumerate() {
        let row: Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["line"], format!("n {expected}"));
    }
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["summary"]["lines"], &last["summary"]["next"]),
        (&json!(60_000), &Value::Null)
    );
    assert!(last["summary"]["stats"]["lines_matched"].as_u64().unwrap() >= 60_000);

    let (status, body) = ask(&server, "query", &[("query", r#"rate({app="big"}[1m])"#)]);
    assert!(status == 400 && body.contains("numbers"), "{body}");
    assert_eq!(ask(&server, "query", &[("query", "{app=")]).0, 400);
    assert_eq!(ask(&server, "query", &[]).0, 400);
}

#[test]
fn lines_around_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let base = now_ns() - 600 * SEC;
    // Lines 10 to 14 share their time.
    let at = |n: i64| base + if (10..15).contains(&n) { 10 } else { n } * SEC;
    let lines: Vec<(i64, String)> = (0..30).map(|n| (at(n), format!("line {n}"))).collect();
    let labels = json!({"app": "a", "service_name": "a"});
    assert_eq!(server.push_lines(labels, &lines[..12]).0, 204);
    assert_eq!(server.post("/flush", &[], b"").0, 204);
    let labels = json!({"app": "a", "service_name": "a"});
    assert_eq!(server.push_lines(labels, &lines[12..]).0, 204);
    // A stream with one label more is another stream.
    let noise = json!({"app": "a", "service_name": "a", "pod": "x"});
    assert_eq!(server.push_lines(noise, &[(at(9) + 1, "noise".to_owned())]).0, 204);
    let ts = at(10).to_string();
    let labels = r#"{app="a", service_name="a"}"#;
    let (status, body) = ask(
        &server,
        "context",
        &[("labels", labels), ("ts", &ts), ("before", "3"), ("after", "2")],
    );
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let shown = |part: &str| -> Vec<String> {
        let rows = answer["data"][part].as_array().unwrap();
        rows.iter().map(|row| row["line"].as_str().unwrap().replace("line ", "")).collect()
    };
    assert_eq!(shown("before"), ["7", "8", "9"]);
    assert_eq!(shown("at"), ["10", "11", "12", "13", "14"]);
    assert_eq!(shown("after"), ["15", "16"]);
    for params in [vec![("ts", "1")], vec![("labels", labels)], vec![("labels", "{"), ("ts", "1")]]
    {
        assert_eq!(ask(&server, "context", &params).0, 400, "{params:?}");
    }
}

#[test]
fn plain_words_and_the_nearest_lines() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let now = now_ns();
    let lines = [
        (now - 7200 * SEC, r#"{"level":"error","msg":"Payment timeout","user":"bo"}"#.to_owned()),
        (now - 7100 * SEC, "level=info msg=\"payment fine\" user=bo".to_owned()),
    ];
    assert_eq!(server.push_lines(json!({"app": "shop"}), &lines).0, 204);
    let from = (now - 8000 * SEC).to_string();
    for (words, expect) in [
        ("payment", 2),
        ("PAYMENT -timeout", 1),
        ("\"payment timeout\"", 1),
        ("level:error", 1),
        ("-level:error", 1),
        ("user:bo", 2),
        ("user:bo fine", 1),
        ("service:shop", 2),
        ("service:other", 0),
    ] {
        let (rows, _) = export(&server, &[("q", words), ("start", &from)]);
        assert_eq!(rows.len(), expect, "{words}");
    }
    // The last hour has nothing: the summary and `nearest` say where something is.
    let (rows, summary) = export(&server, &[("q", "timeout")]);
    assert_eq!(rows.len(), 0);
    let expect = json!({"before": lines[0].0.to_string(), "after": null, "matches": "query"});
    assert_eq!(summary["nearest"], expect);
    let (end, start) = ((now - 7150 * SEC).to_string(), (now - 7160 * SEC).to_string());
    let (status, body) =
        ask(&server, "nearest", &[("q", "payment"), ("start", &start), ("end", &end)]);
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let expect = json!({"before": lines[0].0.to_string(), "after": lines[1].0.to_string(), "matches": "query"});
    assert_eq!(answer["data"], expect);
}

#[test]
fn explanations_say_what_was_read_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let now = now_ns();
    let lines: Vec<(i64, String)> =
        (0..1000).map(|n| (now - n * 1000, format!("word{} in a line", n % 7))).collect();
    assert_eq!(server.push_lines(json!({"app": "a"}), &lines).0, 204);
    assert_eq!(server.post("/flush", &[], b"").0, 204);
    let explain = |query: &str| -> Value {
        let (status, body) = ask(&server, "explain", &[("query", query)]);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["data"].take()
    };
    let found = explain(r#"{app="a"} |= "word3" | logfmt"#);
    assert_eq!(found["kind"], "lines");
    assert_eq!(found["selections"][0]["hints"]["any_of_each"], json!([["word3"]]));
    assert_eq!(found["selections"][0]["stages"][1], "| logfmt");
    assert!(found["stats"]["blocks_read"].as_u64().unwrap() >= 1, "{found}");
    assert!(found["phases_ms"]["read_and_evaluate"].as_f64().unwrap() > 0.0);
    assert!(!found["advice"].as_array().unwrap().is_empty());
    // A word that is nowhere: the index alone answers.
    let found = explain(r#"sum(count_over_time({app="a"} |= "nowhere" [5m]))"#);
    assert_eq!(found["kind"], "numbers");
    assert_eq!(
        (&found["stats"]["blocks_read"], &found["stats"]["lines_read"]),
        (&json!(0), &json!(0))
    );
    assert!(
        found["stats"]["blocks_left_out"].as_u64().unwrap()
            + found["stats"]["parts_left_out"].as_u64().unwrap()
            >= 1
    );
    let found = explain(r#"{app="none"}"#);
    assert!(found["advice"][0].as_str().unwrap().contains("no stream matches"));
}

#[test]
fn the_configuration_is_shown_with_defaults_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let config = "\
sources: []
alerts: {rules: []}
limits: {max_line_size: 1KB}
notify:
  route: {receiver: team}
  receivers:
    - name: team
      slack_configs:
        - api_url: http://127.0.0.1:9/services/T0/B0/abcdefgh
          channel: '#team'
      webhook_configs:
        - url: http://127.0.0.1:9/hook
          http_config: {basic_auth: {username: me, password: hunter2}}
";
    let server = Server::start(config, &folder.path().join("data"));
    let (status, told) = server.get("/config");
    assert_eq!(status, 200);
    for words in [
        "max_line_size: 1024B",
        "query_timeout: 1m",
        "multi_tenant: false",
        "channel: '#team'",
        "username: me",
        "api_url: <secret>",
        "period: 90d",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let (_, alertmanager) = server.get("/api/v2/status");
    let (status, limits) = server.get("/config/tenant/v1/limits");
    assert!(status == 200 && limits.contains("max_line_size: 1024B"), "{limits}");
    assert!(limits.contains("retention_period: 90d") && limits.contains("ingestion_rate_mb: 0.0"));
    for text in [&told, &alertmanager, &limits] {
        for secret in ["abcdefgh", "hunter2"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
