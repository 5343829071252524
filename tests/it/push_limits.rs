//! What is refused of a push, in Loki's words, and that one tenant's limits hold up no other.

use serde_json::{Value, json};

use crate::support::{Server, now_ns};

const CONFIG: &str = "\
sources: []
alerts: {rules: []}
limits: {max_line_size: 1KB, max_label_name_length: 20, max_label_value_length: 30, \
         max_label_names_per_series: 3, max_structured_metadata_size: 50B, \
         max_structured_metadata_entries_count: 2}
";

const DAY_NS: i64 = 86_400_000_000_000;

fn stream(labels: Value, values: Value) -> Value {
    json!({"stream": labels, "values": values})
}

#[test]
fn what_is_refused_is_named_as_loki_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(CONFIG, &folder.path().join("data"));
    let now = now_ns();
    let at = |ts: i64| ts.to_string();
    let app = || json!({"app": "x"});
    let named = "'{app=\"x\", service_name=\"x\"}'";
    let old = format!("entry for stream {named} has timestamp too old: ");
    let fits = json!([at(now), "fits"]);
    let long = "v".repeat(31);
    for (what, streams, words) in [
        ("line_too_long", vec![stream(app(), json!([[at(now), "y".repeat(1025)], fits]))],
            vec![format!("max entry size '1024' bytes exceeded for stream {named} while adding an entry with length '1025' bytes\n")]),
        ("greater_than_max_sample_age", vec![stream(app(), json!([[at(now - 8 * DAY_NS), "y"], fits]))],
            vec![old.clone(), ", oldest acceptable timestamp is: ".to_owned()]),
        ("the same, many times", vec![stream(app(), json!([[at(now - 8 * DAY_NS), "y"], [at(now - 8 * DAY_NS), "z"], fits]))],
            vec![format!("2 errors like: {old}")]),
        ("too_far_in_future", vec![stream(app(), json!([[at(now + DAY_NS), "y"], fits]))],
            vec![format!("entry for stream {named} has timestamp too new: ")]),
        ("label_name_too_long", vec![stream(json!({"n23456789012345678901": "x", "app": "x"}), json!([fits])), stream(app(), json!([fits]))],
            vec!["stream '{app=\"x\", n23456789012345678901=\"x\", service_name=\"x\"}' has label name too long: 'n23456789012345678901'\n".to_owned()]),
        ("label_value_too_long", vec![stream(json!({"b": long, "app": "x"}), json!([fits])), stream(app(), json!([fits]))],
            vec![format!("stream '{{app=\"x\", b=\"{long}\", service_name=\"x\"}}' has label value too long: '{long}'\n")]),
        ("max_label_names_per_series", vec![stream(json!({"a": "1", "b": "2", "c": "3", "d": "4"}), json!([fits])), stream(app(), json!([fits]))],
            vec!["entry for stream '{a=\"1\", b=\"2\", c=\"3\", d=\"4\", service_name=\"unknown_service\"}' has 4 label names; limit 3\n".to_owned()]),
        ("structured_metadata_too_large", vec![stream(app(), json!([[at(now), "y", {"k": "v".repeat(60)}], fits]))],
            vec![format!("stream {named} has structured metadata too large: '61' bytes, limit: '50' bytes. Please see `limits_config.max_structured_metadata_size`")]),
        ("structured_metadata_too_many", vec![stream(app(), json!([[at(now), "y", {"a": "1", "b": "2", "c": "3"}], fits]))],
            vec![format!("stream {named} has too many structured metadata labels: '3', limit: '2'. Please see `limits_config.max_structured_metadata_entries_count`")]),
        ("several", vec![stream(app(), json!([[at(now - 8 * DAY_NS), "y"], [at(now + DAY_NS), "y"], fits]))],
            vec![format!("1 errors like: {old}"), "; 1 errors like: entry for stream".to_owned()]),
    ] {
        let (status, told) = server.push_json(&json!({"streams": streams}));
        assert_eq!(status, 400, "{what}: {told}");
        for words in words {
            assert!(told.contains(&words), "{what}: {told:?} lacks {words:?}");
        }
    }
    // Each push but for what was refused is there, and is so once.
    assert_eq!(server.lines("{app=\"x\"}"), ["fits"]);
    for (labels, words) in [
        (json!({"a-b": "x"}), "couldn't parse labels: label name \"a-b\" is not valid"),
        (json!({"": "x"}), "couldn't parse labels: label name \"\" is not valid"),
    ] {
        let (status, told) = server.push_json(&json!({"streams": [stream(labels, json!([fits]))]}));
        assert_eq!(status, 400);
        assert!(told.starts_with(words), "{told}");
    }
    // Without labels, or with empty ones alone, a stream is that of an unknown service.
    let bare =
        [stream(json!({}), json!([fits])), stream(json!({"a": ""}), json!([[at(now), "too"]]))];
    assert_eq!(server.push_json(&json!({"streams": bare})).0, 204);
    assert_eq!(server.lines("{service_name=\"unknown_service\"}").len(), 2);
}

#[test]
fn a_tenant_over_its_rate_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let config = "\
server: {multi_tenant: true}
sources: []
alerts: {rules: []}
limits: {ingestion_rate_mb: 0.000001, ingestion_burst_size_mb: 0.01}
";
    let server = Server::start(config, &folder.path().join("data"));
    let push = |tenant: &str, bytes: usize| {
        let line = json!([now_ns().to_string(), "x".repeat(bytes)]);
        let body = json!({"streams": [stream(json!({"app": "x"}), json!([line]))]}).to_string();
        let headers = [("Content-Type", "application/json"), ("X-Scope-OrgID", tenant)];
        server.post("/loki/api/v1/push", &headers, body.as_bytes())
    };
    assert_eq!(push("a", 9_000).0, 204);
    let (status, told) = push("a", 9_000);
    assert_eq!(status, 429);
    let words = "ingestion rate limit exceeded for user a (limit: 1.048576 bytes/sec) while attempting to ingest '1' lines totaling '9000' bytes";
    assert!(told.starts_with(words), "{told}");
    for tenant in ["b", "c"] {
        assert_eq!(push(tenant, 9_000).0, 204, "{tenant}");
        assert_eq!(push(tenant, 9_000).0, 429, "{tenant}");
    }
}
