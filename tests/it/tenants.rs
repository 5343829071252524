//! Several tenants: apart where one is asked for, together where a query names both.

use serde_json::{Value, json};

use crate::support::{Server, http, now_ns, wait_for};

const CONFIG: &str = "\
server: {multi_tenant: true}
querier: {multi_tenant_queries_enabled: true}
sources: []
alerts: {rules: []}
limits: {discover_service_name: [], discover_log_levels: false}
";

fn push(server: &Server, tenant: &str, labels: &Value, line: &str) -> (u16, String) {
    let body = json!({"streams": [{"stream": labels, "values": [[now_ns().to_string(), line]]}]})
        .to_string();
    let headers = [("Content-Type", "application/json"), ("X-Scope-OrgID", tenant)];
    server.post("/loki/api/v1/push", &headers, body.as_bytes())
}

fn ask(server: &Server, tenant: &str, path: &str, params: &[(&str, &str)]) -> (u16, Value) {
    let params = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    let url = format!("{}{path}?{params}", server.url);
    let (status, body) = http("GET", &url, &[("X-Scope-OrgID", tenant)], b"");
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// Lines with the tenant that they are told to be from, sorted.
fn lines(server: &Server, tenant: &str, query: &str) -> Vec<(String, String)> {
    let (status, found) = ask(server, tenant, "/loki/api/v1/query_range", &[("query", query)]);
    assert_eq!(status, 200, "{found}");
    let mut lines = Vec::new();
    for stream in found["data"]["result"].as_array().unwrap() {
        let whose = stream["stream"]["__tenant_id__"].as_str().unwrap_or_default();
        for value in stream["values"].as_array().unwrap() {
            lines.push((whose.to_owned(), value[1].as_str().unwrap().to_owned()));
        }
    }
    lines.sort();
    lines
}

#[test]
fn queries_name_one_tenant_or_several() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(CONFIG, &folder.path().join("data"));
    assert_eq!(push(&server, "a", &json!({"app": "x"}), "of a").0, 204);
    assert_eq!(push(&server, "b", &json!({"app": "x"}), "of b").0, 204);
    assert_eq!(push(&server, "c", &json!({"app": "x", "__tenant_id__": "z"}), "of c").0, 204);
    let refused = push(&server, "a|b", &json!({"app": "x"}), "of both");
    assert_eq!(refused, (400, "multiple org IDs present\n".to_owned()));
    let pair = |tenant: &str, line: &str| (tenant.to_owned(), line.to_owned());
    for _ in ["head", "parts"] {
        assert_eq!(lines(&server, "a", r#"{app="x"}"#), [pair("", "of a")]);
        assert_eq!(lines(&server, "a|a", r#"{app="x"}"#), [pair("", "of a")]);
        let both = [pair("a", "of a"), pair("b", "of b")];
        assert_eq!(lines(&server, "b|a", r#"{app="x"}"#), both);
        assert_eq!(lines(&server, "a|b", r#"{app="x", __tenant_id__="b"}"#), both[1..]);
        assert_eq!(lines(&server, "a|b", r#"{app="x", __tenant_id__="c"}"#), []);
        assert_eq!(lines(&server, "a|b", r#"{app="x"} | __tenant_id__="a""#), both[..1]);
        let own = r#"{app="x", original___tenant_id__="z"}"#;
        assert_eq!(lines(&server, "a|c", own), [pair("c", "of c")]);
        let counted = r#"sum by (__tenant_id__) (count_over_time({app="x"}[1h]))"#;
        // Twice: what is kept of parts for one question answers no other.
        for tenants in ["a|b", "a", "a|b"] {
            let (_, found) = ask(&server, tenants, "/loki/api/v1/query", &[("query", counted)]);
            let result = found["data"]["result"].as_array().unwrap();
            assert_eq!(result.len(), tenants.split('|').count(), "{found}");
            assert!(result.iter().all(|series| series["value"][1] == "1"), "{found}");
        }
        let (_, names) = ask(&server, "a|b", "/loki/api/v1/labels", &[]);
        assert_eq!(names["data"], json!(["__tenant_id__", "app"]));
        let (_, values) = ask(&server, "a|nobody", "/loki/api/v1/label/__tenant_id__/values", &[]);
        assert_eq!(values["data"], json!(["a", "nobody"]));
        assert_eq!(server.post("/flush", &[], b"").0, 204);
    }
    for (tenant, status) in [("", 401), ("a|..", 400), ("a/b", 400), ("|", 401)] {
        assert_eq!(ask(&server, tenant, "/loki/api/v1/labels", &[]).0, status, "{tenant:?}");
    }
    for path in ["/loki/api/v1/delete", "/loki/api/v1/rules"] {
        assert_eq!(ask(&server, "a|b", path, &[]).0, 400, "{path}");
    }
}

#[test]
fn several_tenants_at_once_must_be_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let config = CONFIG.replace("queries_enabled: true", "queries_enabled: false");
    let server = Server::start(&config, &folder.path().join("data"));
    let (status, told) = ask(&server, "a|b", "/loki/api/v1/labels", &[]);
    assert_eq!(status, 400);
    assert_eq!(told, "tenant ID 'a|b' contains unsupported character '|'\n");
}

#[test]
fn the_tenant_is_a_label_like_others() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(CONFIG, &folder.path().join("data"));
    for tenant in ["a", "b", "c"] {
        let line = format!("level=info who={tenant}");
        assert_eq!(push(&server, tenant, &json!({"app": "x"}), &line).0, 204);
    }
    let whose = |query: &str| -> Vec<String> {
        lines(&server, "a|b|c", query).into_iter().map(|(whose, _)| whose).collect()
    };
    for (query, expect) in [
        // In selectors.
        ("{app=\"x\", __tenant_id__=\"b\"}", vec!["b"]),
        ("{app=\"x\", __tenant_id__!=\"b\"}", vec!["a", "c"]),
        ("{app=\"x\", __tenant_id__=~\"a|c\"}", vec!["a", "c"]),
        ("{app=\"x\", __tenant_id__!~\"a|c\"}", vec!["b"]),
        ("{__tenant_id__=\"c\"}", vec!["c"]),
        ("{__tenant_id__=~\".+\"}", vec!["a", "b", "c"]),
        ("{app=\"x\", __tenant_id__=\"d\"}", vec![]),
        // In pipelines.
        ("{app=\"x\"} | __tenant_id__=\"b\"", vec!["b"]),
        ("{app=\"x\"} | __tenant_id__!=\"b\"", vec!["a", "c"]),
        ("{app=\"x\"} | logfmt | __tenant_id__=~\"b|c\" | who!=\"c\"", vec!["b"]),
        ("{app=\"x\"} | label_format t=__tenant_id__ | t=\"a\"", vec![""]),
        ("{app=\"x\"} | line_format \"{{.__tenant_id__}}\" |= \"c\"", vec!["c"]),
        ("{app=\"x\"} | drop __tenant_id__ | who=\"\"", vec!["", "", ""]),
    ] {
        assert_eq!(whose(query), expect, "{query}");
    }
    let selector = "{app=\"x\", __tenant_id__!=\"b\"}";
    let (_, series) = ask(&server, "a|b|c", "/loki/api/v1/series", &[("match[]", selector)]);
    let expect = json!([{"__tenant_id__": "a", "app": "x"}, {"__tenant_id__": "c", "app": "x"}]);
    assert_eq!(series["data"], expect);
    let counted = "sum by (__tenant_id__) (count_over_time({app=\"x\", __tenant_id__!=\"a\"}[1h]))";
    let (_, found) = ask(&server, "a|b|c", "/loki/api/v1/query", &[("query", counted)]);
    let metrics: Vec<&Value> =
        found["data"]["result"].as_array().unwrap().iter().map(|s| &s["metric"]).collect();
    assert_eq!(metrics, [&json!({"__tenant_id__": "b"}), &json!({"__tenant_id__": "c"})]);
    // Of one tenant alone there is no such label.
    let (_, found) = ask(&server, "b", "/loki/api/v1/query", &[("query", counted)]);
    assert_eq!(found["data"]["result"][0]["metric"], json!({}));
}

/// Rules look at the lines of the tenant who made them, and only he sees and changes them.
#[test]
fn rules_belong_to_tenants() {
    const GROUP: &str = "\
name: g
interval: 1s
rules:
    - alert: Lines
      expr: sum(count_over_time({app=\"x\"}[1h])) > 0
      labels: {tenant: b}
    - record: x:lines
      expr: sum(count_over_time({app=\"x\"}[1h]))
";
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(CONFIG, &folder.path().join("data"));
    let rules = |method: &str, tenant: &str, path: &str, body: &str| {
        let url = format!("{}/loki/api/v1/rules{path}", server.url);
        http(method, &url, &[("X-Scope-OrgID", tenant)], body.as_bytes())
    };
    assert_eq!(rules("POST", "", "/ns", GROUP).0, 401);
    assert_eq!(rules("POST", "a|b", "/ns", GROUP).0, 400);
    for tenant in ["a", "b"] {
        assert_eq!(rules("POST", tenant, "/ns", GROUP).0, 202);
    }
    assert_eq!(push(&server, "a", &json!({"app": "x"}), "of a").0, 204);
    let alerts = |tenant: &str| {
        let (status, found) = ask(&server, tenant, "/prometheus/api/v1/alerts", &[]);
        assert_eq!(status, 200, "{found}");
        found["data"]["alerts"].as_array().unwrap().clone()
    };
    wait_for("the alert of a fires", || {
        alerts("a").first().filter(|alert| alert["state"] == "firing").map(|_| ())
    });
    assert_eq!(alerts("a")[0]["labels"], json!({"alertname": "Lines", "tenant": "a"}));
    let recorded = || {
        let (_, metrics) = http("GET", &format!("{}/metrics", server.url), &[], b"");
        metrics.lines().find(|line| line.starts_with("x:lines{tenant=\"a\"} 1")).map(|_| ())
    };
    wait_for("the series of a is recorded", recorded);
    let group = |tenant: &str| {
        let (_, found) = ask(&server, tenant, "/prometheus/api/v1/rules", &[]);
        found["data"]["groups"].as_array().unwrap().clone()
    };
    wait_for("the rule of b is evaluated", || {
        (group("b")[0]["rules"][0]["health"] == "ok").then_some(())
    });
    assert_eq!(alerts("b"), Vec::<Value>::new());
    // What was written is told back, not the name that was added.
    let (_, told) = rules("GET", "a", "/ns/g", "");
    assert!(told.contains("\"tenant\": \"b\""), "{told}");
    for (method, tenant, path, status) in [
        ("GET", "c", "", 404),
        ("DELETE", "c", "/ns/g", 404),
        ("DELETE", "c", "/ns", 404),
        ("DELETE", "b", "/ns/g", 202),
        ("GET", "b", "/ns", 404),
        ("GET", "a", "/ns/g", 200),
    ] {
        assert_eq!(rules(method, tenant, path, "").0, status, "{method} {tenant} {path}");
    }
    assert_eq!((group("a").len(), group("b").len()), (1, 0));
}
