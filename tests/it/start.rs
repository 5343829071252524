//! A start with much in the WAL: the port answers from the first moment, and nothing is lost.

use serde_json::json;

use crate::support::{QUIET, Server, now_ns};

const PUSHES: usize = 20;
const LINES: usize = 1000;

fn push(server: &Server, base: i64, at: usize) -> (u16, String) {
    let lines: Vec<(i64, String)> = (0..LINES)
        .map(|n| at * LINES + n)
        .map(|n| (base + n as i64 * 1000, format!("line {n:08} {:0900}", n * 31)))
        .collect();
    server.push_lines(json!({"job": "start", "part": (at % 3).to_string()}), &lines)
}

fn stored(server: &Server) -> String {
    let query = "sum%28count_over_time%28%7Bjob%3D%22start%22%7D%5B1h%5D%29%29";
    let (status, body) = server.get(&format!("/loki/api/v1/query?query={query}"));
    assert_eq!(status, 200, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    answer["data"]["result"][0]["value"][1].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_port_answers_while_the_wal_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    // A budget that keeps everything in one head, so that all of it is in the WAL.
    let config = QUIET.replace("limits: {", "limits: {memory_budget: 4GB, ");
    let mut server = Server::start(&config, &folder.path().join("data"));
    let base = now_ns() - 60_000_000_000;
    for at in 0..PUSHES {
        let (status, body) = push(&server, base, at);
        assert_eq!(status, 204, "{body}");
    }
    let wanted = (PUSHES * LINES).to_string();
    assert_eq!(stored(&server), wanted);
    server.kill();

    // The same records again and again, as a client leaves them that never gets an answer.
    let wal = server.data.join("wal");
    let first = std::fs::read_dir(&wal).unwrap().next().unwrap().unwrap().path();
    assert!(first.metadata().unwrap().len() > (PUSHES * LINES * 900) as u64);
    for number in 1000..1010 {
        std::fs::copy(&first, wal.join(format!("{number:012}.wal"))).unwrap();
    }

    server.begin();
    let (status, text) = server.get("/ready");
    assert_eq!(status, 503, "{text}");
    assert!(text.starts_with("replaying the WAL: "), "{text}");
    assert_eq!(server.get("/healthz").0, 200);
    let (status, text) = push(&server, base, PUSHES);
    assert_eq!(status, 503, "{text}");
    assert!(text.starts_with("the server is starting (replaying the WAL: "), "{text}");
    let (status, text) = server.get("/loki/api/v1/labels");
    assert_eq!(status, 503, "{text}");

    server.wait_ready();
    assert_eq!(stored(&server), wanted);
    assert_eq!(push(&server, base, PUSHES).0, 204);
    assert_eq!(stored(&server), ((PUSHES + 1) * LINES).to_string());
    server.stop();
}
