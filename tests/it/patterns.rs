//! Patterns out of lines in memory, out of sealed parts, and out of what was kept of those parts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Server, http};

const CONFIG: &str = "\
sources: []
redaction: {enabled: false, i_understand: true}
retention: {period: 3650d}
limits: {reject_old_samples: false, discover_log_levels: false}
alerts: {rules: []}
";

/// Samples by pattern.
type Found = BTreeMap<String, Vec<(i64, u64)>>;

fn patterns(server: &Server, query: &str) -> Found {
    let params = [("query", query), ("start", "1795165200"), ("end", "1795168800"), ("step", "60")];
    let params = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    let url = format!("{}/loki/api/v1/patterns?{params}", server.url);
    let (status, body) = http("GET", &url, &[], b"");
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let mut found = Found::default();
    for pattern in answer["data"].as_array().unwrap() {
        let text = pattern["pattern"].as_str().unwrap().to_owned();
        let samples = pattern["samples"].as_array().unwrap();
        let sample = |sample: &Value| (sample[0].as_i64().unwrap(), sample[1].as_u64().unwrap());
        found.insert(text, samples.iter().map(sample).collect());
    }
    found
}

fn totals(found: &Found) -> Vec<(&str, u64)> {
    let total = |samples: &Vec<(i64, u64)>| samples.iter().map(|(_, count)| count).sum();
    found.iter().map(|(pattern, samples)| (pattern.as_str(), total(samples))).collect()
}

#[test]
fn memory_and_parts_have_the_same_patterns() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(CONFIG, &folder.path().join("data"));
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compat");
    let body = std::fs::read(format!("{here}/dataset.json")).unwrap();
    let headers = [("Content-Type", "application/json")];
    assert_eq!(server.post("/loki/api/v1/push", &headers, &body).0, 204);
    // A stream that goes from text to JSON, in two parts.
    let push = |from: i64, line: &dyn Fn(usize) -> String| {
        let line = |n: usize| [format!("{}000000000", from + n as i64 * 5), line(n)];
        let values: Vec<[String; 2]> = (0..50).map(line).collect();
        let body = serde_json::json!({"streams": [{"stream": {"app": "turn"}, "values": values}]});
        let body = body.to_string();
        assert_eq!(server.post("/loki/api/v1/push", &headers, body.as_bytes()).0, 204);
    };
    push(1_795_165_300, &|n| format!("worker {n} is about to start"));
    let queries =
        [r#"{app="api"}"#, r#"{app="auth"}"#, r#"{app="pay"}"#, r#"{app="gap"}"#, r#"{app=~".+"}"#];
    let fresh: Vec<Found> = queries.iter().map(|query| patterns(&server, query)).collect();
    assert_eq!(
        totals(&fresh[1]),
        [
            ("Connection from <_> port 22", 32),
            ("pam_unix(sshd:session): session opened for user root(uid=0)", 34)
        ]
    );
    assert!(!fresh[0].is_empty(), "{fresh:?}");
    assert_eq!(server.post("/flush", &[], b"").0, 204);
    // The second time out of what was kept.
    for place in ["parts", "kept"] {
        for (query, fresh) in queries.iter().zip(&fresh) {
            let found = patterns(&server, query);
            assert_eq!(&found, fresh, "{query} out of {place}");
        }
    }
    // Behind stages as well, line by line.
    let filtered = patterns(&server, r#"{app="auth"} |= "Connection""#);
    assert_eq!(totals(&filtered), [("Connection from <_> port 22", 32)]);

    push(1_795_166_300, &|n| format!(r#"{{"msg":"worker {n} has done its work"}}"#));
    let turned =
        [("worker <_> is about to start", 50), (r#"{"msg":"worker <_> has done its work"}"#, 50)];
    let turned: BTreeMap<&str, u64> = turned.into_iter().collect();
    for place in ["part and memory", "parts", "kept"] {
        // The first line of all says how to read them, in whatever part it is.
        let found = patterns(&server, r#"{app="turn"}"#);
        let found: BTreeMap<&str, u64> = totals(&found).into_iter().collect();
        assert_eq!(found, turned, "out of {place}");
        if place == "part and memory" {
            assert_eq!(server.post("/flush", &[], b"").0, 204);
        }
    }
}
