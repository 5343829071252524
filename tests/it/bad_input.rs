//! Bad input: a clear error, nothing accepted is lost, the process stays up.

use std::io::Write as _;
use std::process::Command;

use serde_json::json;

use crate::support::{QUIET, Server, now_ns, real_part, wait_for};

#[track_caller]
fn refused(answer: &(u16, String), status: u16, words: &str) {
    assert_eq!(answer.0, status, "{}", answer.1);
    assert!(answer.1.contains(words), "{:?} lacks {words:?}", answer.1);
}

#[test]
fn broken_bodies() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(QUIET, &folder.path().join("data"));
    let push =
        |headers: &[(&str, &str)], body: &[u8]| server.post("/loki/api/v1/push", headers, body);
    let proto = [("Content-Type", "application/x-protobuf")];
    let json_type = [("Content-Type", "application/json")];
    refused(&push(&[], b"{}"), 400, "no media type");
    refused(&push(&proto, b"\xff\xff\xff"), 400, "snappy");
    let valid_snappy = snap::raw::Encoder::new().compress_vec(b"\x0a\xff\xff").unwrap();
    refused(&push(&proto, &valid_snappy), 400, "protobuf");
    refused(&push(&json_type, b"{\"streams\": ["), 400, "JSON");
    refused(&push(&json_type, b"{\"streams\": []}"), 422, "at least one valid stream");
    refused(&push(&[json_type[0], ("Content-Encoding", "br")], b"x"), 400, "not supported");

    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..300 {
        bomb.write_all(&zeros).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let gzip = [json_type[0], ("Content-Encoding", "gzip")];
    refused(&push(&gzip, &bomb), 413, "after decompression");

    let now = now_ns();
    let long = "x".repeat(10 << 20);
    let body = json!({"streams": [{"stream": {"a": "1"},
        "values": [[now.to_string(), long], [now.to_string(), "short"]]}]});
    refused(&server.push_json(&body), 400, "max entry size");
    assert_eq!(server.lines(r#"{a="1"}"#), ["short"], "what fits is stored");

    let mut body =
        format!(r#"{{"streams":[{{"stream":{{"a":"2"}},"values":[["{now}","bad "#).into_bytes();
    body.extend_from_slice(b"\xff\xfe utf-8\"]]}]}");
    assert_eq!(push(&json_type, &body).0, 204);
    let lines = server.lines(r#"{a="2"}"#);
    assert_eq!(lines, ["bad \u{fffd}\u{fffd} utf-8"]);
    assert!(server.is_running());
}

#[test]
fn malformed_queries() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(QUIET, &folder.path().join("data"));
    let deep = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let long = format!("{{a=\"{}\"}}", "x".repeat(130 << 10));
    let chain = vec!["vector(1)"; 10_000].join("+");
    for query in
        ["{", "{a=~\"(\"}", "{}", "sum(", &deep, &long, &chain, "{a=\"b\"} |~ \"(a{1000}){1000}\""]
    {
        let encoded: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = server.post("/loki/api/v1/query_range", &headers, encoded.as_bytes());
        refused(&answer, 400, "");
        assert!(!answer.1.trim().is_empty());
    }
    for path in [
        "/loki/api/v1/query_range?query={a=\"b\"}&limit=0",
        "/loki/api/v1/query_range?query={a=\"b\"}&limit=6000",
        "/loki/api/v1/query_range?query={a=\"b\"}&direction=sideways",
        "/loki/api/v1/query_range?query={a=\"b\"}&start=2&end=1",
        "/loki/api/v1/query_range?query={a=\"b\"}&start=yesterday",
        "/loki/api/v1/query?query={a=\"b\"}",
        "/loki/api/v1/tail?query={a=\"b\"}",
    ] {
        refused(&server.get(path), 400, "");
    }
    assert!(server.is_running());
}

#[test]
fn bad_configuration_names_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stockade.yaml");
    for (text, words) in [
        (
            "limits:\n  max_line_sise: 1\n",
            ":2:3: unknown key \"max_line_sise\"; did you mean \"max_line_size\"?",
        ),
        ("retention:\n  period: soon\n", "\"soon\" is not a duration"),
        (
            "data_dir: ${STOCKADE_NOT_SET}\n",
            ":1:11: environment variable STOCKADE_NOT_SET is not set",
        ),
        ("redaction: {enabled: false}\n", "i_understand"),
        ("sources: [{filse: {}}]\n", "did you mean \"files\"?"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output =
            crate::support::binary().args(["check", "--config"]).arg(&file).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{text}");
        assert!(told.contains(words), "{text:?} told {told:?}, not {words:?}");
    }
}

#[test]
fn a_bad_reload_keeps_the_old_set() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(QUIET, &data);
    let file = data.with_extension("yaml");
    std::fs::write(&file, "limits: {max_line_sise: 1}\n").unwrap();
    let answer = server.post("/-/reload", &[], b"");
    refused(&answer, 400, "did you mean \"max_line_size\"?");
    assert_eq!(server.push_lines(json!({"a": "1"}), &[(now_ns(), "as before".into())]).0, 204);
    std::fs::write(&file, QUIET.replace("limits: {", "limits: {max_line_size: 10B, ")).unwrap();
    assert_eq!(server.post("/-/reload", &[], b"").0, 200);
    let answer = server.push_lines(json!({"a": "1"}), &[(now_ns(), "longer than ten".into())]);
    refused(&answer, 400, "max entry size '10' bytes");
    std::fs::write(&file, QUIET).unwrap();
    server.hang_up();
    wait_for("the reload by signal", || {
        let line = [(now_ns(), "longer than ten".to_owned())];
        (server.push_lines(json!({"a": "1"}), &line).0 == 204).then_some(())
    });
}

/// A small file system of its own, so that "disk full" is real.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &std::path::Path) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).unwrap();
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(at)
            .output()
            .ok()?;
        output.status.success().then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("small");
    let disk = SmallDisk::mount(&at);
    if !real_part("the right to mount a tmpfs", disk.is_some()) {
        return;
    }
    let config = format!("{QUIET}retention: {{min_free_disk: 0, stop_free_disk: 2MB}}\n");
    let mut server = Server::start(&config, &at.join("data"));
    let ballast = at.join("ballast");
    std::fs::write(&ballast, vec![0u8; 17 << 20]).unwrap();
    let base = now_ns();
    let mut accepted: Vec<String> = Vec::new();
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut refusal = None;
    for batch in 0..400i64 {
        let lines: Vec<(i64, String)> = (0..100)
            .map(|n| {
                let noise: String = (0..16)
                    .map(|_| {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        format!("{random:016x}")
                    })
                    .collect();
                (base + batch * 100 + n, format!("{:06} {noise}", batch * 100 + n))
            })
            .collect();
        let (status, body) = server.push_lines(json!({"job": "full"}), &lines);
        match status {
            204 => accepted.extend(lines.into_iter().map(|(_, line)| line)),
            _ => {
                refusal = Some((status, body));
                break;
            }
        }
    }
    let (status, body) = refusal.expect("the disk was never full");
    assert!(status == 503 || status == 429, "{status} {body}");
    assert!(body.contains("disk") || body.contains("space"), "{body}");
    assert!(server.is_running());
    assert_eq!(server.lines(r#"{job="full"}"#), accepted, "nothing accepted is lost");
    std::fs::remove_file(&ballast).unwrap();
    let late = [(base + 1_000_000, "after the flood".to_owned())];
    wait_for("pushes to be accepted again", || {
        (server.push_lines(json!({"job": "full"}), &late).0 == 204).then_some(())
    });
    accepted.push("after the flood".to_owned());
    assert_eq!(server.lines(r#"{job="full"}"#), accepted);
    server.kill();
    server.restart();
    assert_eq!(server.lines(r#"{job="full"}"#), accepted);
}

#[test]
fn an_unreadable_socket_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    std::fs::write(&socket, "not a socket").unwrap();
    let config = format!(
        "sources: [{{docker: {{host: 'unix://{}'}}}}]\nalerts: {{rules: []}}\n",
        socket.display()
    );
    let mut server = Server::start(&config, &folder.path().join("data"));
    let status = wait_for("the source to say what is wrong", || {
        let (_, status) = server.get("/stockade/api/v1/status");
        status.contains("docker.sock").then_some(status)
    });
    assert!(!status.is_empty());
    assert_eq!(server.push_lines(json!({"a": "1"}), &[(now_ns(), "fine".into())]).0, 204);
    assert!(server.is_running());
}
