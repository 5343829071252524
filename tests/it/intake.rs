//! The same outcomes for every way in: Loki's two, OTLP's two, `_bulk`, JSON lines.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::{QUIET, Server, files_with, http_whole, now_ns};

/// A way to push lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    LokiJson,
    LokiProto,
    OtlpJson,
    OtlpProto,
    Bulk,
    Lines,
}

const WAYS: [Way; 6] =
    [Way::LokiJson, Way::LokiProto, Way::OtlpJson, Way::OtlpProto, Way::Bulk, Way::Lines];

/// A protobuf message of length-delimited fields.
fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (field, payload) in fields {
        out.push((field << 3) | 2);
        varint(&mut out, payload.len() as u64);
        out.extend_from_slice(payload);
    }
    out
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

impl Way {
    fn path(self) -> &'static str {
        match self {
            Way::LokiJson | Way::LokiProto => "/loki/api/v1/push",
            Way::OtlpJson | Way::OtlpProto => "/otlp/v1/logs",
            Way::Bulk => "/web/_bulk",
            Way::Lines => "/stockade/api/v1/push/jsonline",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Way::LokiJson | Way::OtlpJson => "application/json",
            Way::LokiProto | Way::OtlpProto => "application/x-protobuf",
            Way::Bulk | Way::Lines => "application/x-ndjson",
        }
    }

    /// Lines of one service, with an attribute `note` each.
    fn body(self, service: &str, lines: &[(i64, &str)]) -> Vec<u8> {
        match self {
            Way::LokiJson => {
                let values: Vec<Value> = lines
                    .iter()
                    .map(|(ts, line)| json!([ts.to_string(), line, {"note": line}]))
                    .collect();
                let stream = json!({"service_name": service});
                json!({"streams": [{"stream": stream, "values": values}]}).to_string().into_bytes()
            }
            Way::LokiProto => {
                let mut stream =
                    message(&[(1, format!("{{service_name=\"{service}\"}}").as_bytes())]);
                for (ts, line) in lines {
                    let mut time = vec![1 << 3];
                    varint(&mut time, (ts / 1_000_000_000) as u64);
                    time.push(2 << 3);
                    varint(&mut time, (ts % 1_000_000_000) as u64);
                    let pair = message(&[(1, b"note"), (2, line.as_bytes())]);
                    let entry = message(&[(1, &time), (2, line.as_bytes()), (3, &pair)]);
                    stream.extend(message(&[(2, &entry)]));
                }
                snap::raw::Encoder::new().compress_vec(&message(&[(1, &stream)])).unwrap()
            }
            Way::OtlpJson => {
                let records: Vec<Value> = lines
                    .iter()
                    .map(|(ts, line)| {
                        json!({"timeUnixNano": ts.to_string(), "body": {"stringValue": line},
                            "attributes": [{"key": "note", "value": {"stringValue": line}}]})
                    })
                    .collect();
                let attributes =
                    json!([{"key": "service.name", "value": {"stringValue": service}}]);
                json!({"resourceLogs": [{"resource": {"attributes": attributes},
                    "scopeLogs": [{"logRecords": records}]}]})
                .to_string()
                .into_bytes()
            }
            Way::OtlpProto => {
                let text = |text: &str| message(&[(1, text.as_bytes())]);
                let pair =
                    |key: &str, value: &str| message(&[(1, key.as_bytes()), (2, &text(value))]);
                let mut scope_logs = Vec::new();
                for (ts, line) in lines {
                    let mut record = vec![(1 << 3) | 1];
                    record.extend_from_slice(&ts.to_le_bytes());
                    record.extend(message(&[(5, &text(line)), (6, &pair("note", line))]));
                    scope_logs.extend(message(&[(2, &record)]));
                }
                let resource = message(&[(1, &pair("service.name", service))]);
                message(&[(1, &message(&[(1, &resource), (2, &scope_logs)]))])
            }
            Way::Bulk | Way::Lines => {
                let mut out = String::new();
                for (ts, line) in lines {
                    if self == Way::Bulk {
                        out.push_str("{\"create\":{}}\n");
                    }
                    let document = json!({"@timestamp": ts, "message": line, "note": line,
                        "service": {"name": service}});
                    out.push_str(&format!("{document}\n"));
                }
                out.into_bytes()
            }
        }
    }

    fn send(
        self,
        server: &Server,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> (u16, Option<String>, String) {
        let mut all = vec![("Content-Type", self.content_type())];
        all.extend_from_slice(headers);
        let url = format!("{}{}", server.url, self.path());
        let (status, headers, body) = http_whole("POST", &url, &all, body);
        let retry = headers.get("Retry-After").map(|v| v.to_str().unwrap().to_owned());
        (status, retry, String::from_utf8_lossy(&body).into_owned())
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

const STRICT: &str = "\
sources: []
alerts: {rules: []}
limits: {max_line_size: 200}
";

#[test]
fn outcomes_are_the_same_whichever_way_lines_come() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(STRICT, &folder.path().join("data"));
    let now = now_ns();
    let long = "x".repeat(300);
    for way in WAYS {
        let service = format!("{way:?}");
        let send = |body: &[u8], headers: &[(&str, &str)]| way.send(&server, body, headers);

        let (status, _, answer) = send(&way.body(&service, &[(now, "one"), (now + 1, "two")]), &[]);
        let fine = match way {
            Way::OtlpJson | Way::OtlpProto | Way::Bulk => 200,
            _ => 204,
        };
        assert_eq!(status, fine, "{way:?}: {answer}");
        match way {
            Way::OtlpJson => assert_eq!(answer, "{}"),
            Way::Bulk => {
                let answer: Value = serde_json::from_str(&answer).unwrap();
                assert_eq!(
                    (&answer["errors"], &answer["items"][1]["create"]["status"]),
                    (&json!(false), &json!(201))
                );
            }
            _ => assert_eq!(answer, ""),
        }

        if way != Way::LokiProto {
            let (status, ..) = send(
                &gzip(&way.body(&service, &[(now + 2, "zipped")])),
                &[("Content-Encoding", "gzip")],
            );
            assert_eq!(status, fine, "{way:?} gzip");
        } else {
            assert_eq!(send(&way.body(&service, &[(now + 2, "zipped")]), &[]).0, fine);
        }

        // What fits is stored, and the answer says what did not.
        let mixed =
            [(1_000_000_000_000_000_000, "old"), (now + 3, long.as_str()), (now + 4, "fits")];
        let (status, _, answer) = send(&way.body(&service, &mixed), &[]);
        match way {
            Way::OtlpJson | Way::OtlpProto => {
                assert_eq!(status, 200, "{answer}");
                assert!(
                    answer.contains("timestamp too old") && answer.contains("max entry size"),
                    "{answer}"
                );
                if way == Way::OtlpJson {
                    assert!(answer.contains(r#""rejectedLogRecords":"2""#), "{answer}");
                }
            }
            Way::Bulk => {
                assert_eq!(status, 200);
                let answer: Value = serde_json::from_str(&answer).unwrap();
                assert_eq!(answer["errors"], true);
                let item = |at: usize| &answer["items"][at]["create"];
                assert_eq!((&item(0)["status"], &item(2)["status"]), (&json!(400), &json!(201)));
                assert!(item(1)["error"]["reason"].as_str().unwrap().contains("max entry size"));
            }
            Way::Lines => {
                assert_eq!(status, 400);
                let answer: Value = serde_json::from_str(&answer).unwrap();
                assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(1), &json!(2)));
                assert_eq!(answer["errors"][1]["line"], 2);
            }
            Way::LokiJson | Way::LokiProto => {
                assert_eq!(status, 400);
                assert!(
                    answer.contains("timestamp too old") && answer.contains("max entry size"),
                    "{answer}"
                );
            }
        }
        let (status, _, answer) = send(&way.body(&service, &[(1_000_000_000, "old")]), &[]);
        assert_eq!(status, if way == Way::Bulk { 200 } else { 400 }, "{way:?}: {answer}");

        // Bodies that are no such thing.
        let (status, _, answer) = send(b"\xff\xfe nonsense", &[]);
        assert_eq!(status, 400, "{way:?}: {answer}");
        let empty: &[u8] = match way {
            Way::LokiJson => b"{\"streams\":[]}",
            Way::LokiProto => &[0],
            Way::OtlpJson => b"{}",
            _ => b"",
        };
        let expect = match way {
            Way::LokiJson | Way::LokiProto | Way::Lines => 422,
            Way::OtlpJson | Way::OtlpProto => 200,
            Way::Bulk => 400,
        };
        assert_eq!(send(empty, &[]).0, expect, "{way:?} empty");
        let (status, _, answer) = send(b"x", &[("Content-Encoding", "br")]);
        assert_eq!(status, 400, "{way:?}");
        assert!(answer.contains("not supported"), "{answer}");

        let lines = server.lines(&format!("{{service_name=\"{service}\"}} | note=~\".+\""));
        assert_eq!(lines, ["one", "two", "zipped", "fits"], "{way:?}");
    }

    let otlp = |content_type: &str| {
        let headers = [("Content-Type", content_type)];
        http_whole("POST", &format!("{}/v1/logs", server.url), &headers, b"x").0
    };
    assert_eq!(otlp("text/plain"), 415);
    let bomb = gzip(&vec![b' '; 300 << 20]);
    for way in [Way::OtlpJson, Way::Bulk] {
        assert_eq!(way.send(&server, &bomb, &[("Content-Encoding", "gzip")]).0, 413, "{way:?}");
    }
    assert!(server.is_running());
}

#[test]
fn rate_limits_say_when_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = "sources: []\nalerts: {rules: []}\nlimits: {ingestion_rate_mb: 0.000001}\n";
    let server = Server::start(config, &folder.path().join("data"));
    for way in WAYS {
        let body = way.body("s", &[(now_ns(), "a line that is longer than a byte a second")]);
        let (status, retry, answer) = way.send(&server, &body, &[]);
        assert_eq!((status, retry.as_deref()), (429, Some("1")), "{way:?}: {answer}");
        assert!(answer.contains("ingestion rate limit exceeded"), "{answer}");
        if way == Way::Bulk {
            assert!(answer.contains("es_rejected_execution_exception"), "{answer}");
        }
        if way == Way::OtlpJson {
            assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["code"], 8);
        }
    }
    assert!(server.metric("rejected_lines_total{reason=\"rate_limited\"}").unwrap() >= 6.0);
}

#[test]
fn nothing_gets_past_redaction() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(QUIET, &data);
    let secret = "jane.roe@posteo.de";
    for (at, way) in WAYS.into_iter().enumerate() {
        let line = format!("mail from {secret}");
        let service = format!("{way:?} {secret}");
        let service = if way == Way::LokiProto { "LokiProto".to_owned() } else { service };
        let body = way.body(&service, &[(now_ns() + at as i64, &line)]);
        assert!(matches!(way.send(&server, &body, &[]).0, 200 | 204), "{way:?}");
    }
    let lines = server.lines(r#"{service_name=~".+"}"#);
    assert_eq!(lines, ["mail from <email>"; 6]);
    assert_eq!(server.post("/flush", &[], b"").0, 204);
    server.stop();
    assert_eq!(files_with(&data, &[secret]), Vec::<String>::new());
}

#[test]
fn shippers_of_elasticsearch_are_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let get = |path: &str, accept: &str| {
        let url = format!("{}{path}", server.url);
        let (status, headers, body) = http_whole("GET", &url, &[("Accept", accept)], b"");
        let product = headers.get("X-Elastic-Product").map(|v| v.to_str().unwrap().to_owned());
        (status, product, String::from_utf8(body).unwrap())
    };
    for (path, accept, part) in [
        ("/", "application/json", r#""number":"8."#),
        ("/elasticsearch/", "*/*", r#""number":"8."#),
        ("/_license", "*/*", r#""status":"active""#),
        ("/elasticsearch/_license", "*/*", r#""type":"basic""#),
        ("/_cluster/health", "*/*", r#""status":"green""#),
        ("/_xpack", "*/*", r#""ilm":{"available":false"#),
        ("/_template/filebeat", "*/*", "{}"),
        ("/elasticsearch/_index_template/x", "*/*", "{}"),
    ] {
        let (status, product, body) = get(path, accept);
        assert_eq!((status, product.as_deref()), (200, Some("Elasticsearch")), "{path}");
        assert!(body.contains(part), "{path}: {body}");
    }
    let (status, product, body) = get("/", "text/html,application/xhtml+xml,*/*");
    assert_eq!((status, product), (200, None));
    assert!(body.contains("<!doctype html>"));

    // As Fluent Bit and Filebeat write it: daily index, ECS, an id of the client's.
    let document = json!({"@timestamp": chrono::Utc::now().to_rfc3339(), "message": "GET /cart",
        "log": {"level": "error"}, "host": {"name": "web-1"}, "http": {"response": {"status_code": 500}}});
    let body =
        format!("{}\n{document}\n", json!({"index": {"_index": "logs-2026.11.21", "_id": "abc"}}));
    let (status, answer) = server.post("/elasticsearch/_bulk?filter_path=x", &[], body.as_bytes());
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains(r#""_id":"abc""#) && answer.contains(r#""_index":"logs-2026.11.21""#));
    let query = r#"{index="logs-2026.11.21", host="web-1"} | detected_level="error" | http_response_status_code="500""#;
    assert_eq!(server.lines(query), ["GET /cart"]);

    // VictoriaLogs' way in, with its arguments.
    let path = "/insert/jsonline?_stream_fields=app&_msg_field=text&_time_field=when";
    let line = json!({"app": "cron", "text": "done", "when": now_ns(), "took": 3}).to_string();
    assert_eq!(server.post(path, &[], line.as_bytes()).0, 204);
    assert_eq!(server.lines(r#"{app="cron"} | took=3"#), ["done"]);
}
