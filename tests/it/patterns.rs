//! Patterns out of lines in memory, out of sealed parts, and out of what was kept of those parts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Server, http};

const CONFIG: &str = "\
sources: []
redaction: {enabled: false, i_understand: true}
retention: {period: 3650d}
limits: {reject_old_samples: false}
alerts: {rules: []}
";

/// Lines by pattern and level, and by step.
type Found = (BTreeMap<(String, String), u64>, BTreeMap<i64, u64>);

fn patterns(server: &Server, query: &str) -> Found {
    let params = [("query", query), ("start", "1795165200"), ("end", "1795168800"), ("step", "60")];
    let params = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    let url = format!("{}/loki/api/v1/patterns?{params}", server.url);
    let (status, body) = http("GET", &url, &[], b"");
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let mut found = Found::default();
    for pattern in answer["data"].as_array().unwrap() {
        let text = |name: &str| pattern[name].as_str().unwrap().to_owned();
        for sample in pattern["samples"].as_array().unwrap() {
            let count = sample[1].as_u64().unwrap();
            *found.0.entry((text("pattern"), text("level"))).or_default() += count;
            if count > 0 {
                *found.1.entry(sample[0].as_i64().unwrap()).or_default() += count;
            }
        }
    }
    found
}

#[test]
fn memory_and_parts_have_the_same_patterns() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(CONFIG, &folder.path().join("data"));
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compat");
    let body = std::fs::read(format!("{here}/dataset.json")).unwrap();
    let headers = [("Content-Type", "application/json")];
    assert_eq!(server.post("/loki/api/v1/push", &headers, &body).0, 204);
    let queries = [
        (r#"{app="api"}"#, 460),
        (r#"{app="auth"}"#, 160),
        (r#"{app="pay"}"#, 120),
        (r#"{app="gap"}"#, 60),
    ];
    let fresh: Vec<Found> = queries.iter().map(|(query, _)| patterns(&server, query)).collect();
    for ((query, lines), found) in queries.iter().zip(&fresh) {
        assert_eq!(found.0.values().sum::<u64>(), *lines, "{query}");
    }
    let (auth, _) = &fresh[1];
    let failed = "Failed password for invalid user <_> from <_> port <_> ssh2";
    assert!(auth.keys().any(|(pattern, _)| pattern == failed), "{auth:?}");
    let api = &fresh[0].0;
    let slow = |pattern: &str| pattern.contains(r#""msg":"slow query""#);
    assert!(api.keys().any(|(pattern, _)| slow(pattern)), "{api:?}");
    assert_eq!(server.post("/flush", &[], b"").0, 204);
    // The second time out of what was kept.
    for place in ["parts", "kept"] {
        for ((query, _), fresh) in queries.iter().zip(&fresh) {
            let found = patterns(&server, query);
            assert_eq!(&found, fresh, "{query} out of {place}");
        }
    }
    // Behind stages as well, line by line.
    let (filtered, _) = patterns(&server, r#"{app="auth"} |= "Failed""#);
    let failed = auth.iter().filter(|((pattern, _), _)| pattern.contains("Failed"));
    assert_eq!(filtered.values().sum::<u64>(), failed.map(|(_, count)| count).sum::<u64>());
}
