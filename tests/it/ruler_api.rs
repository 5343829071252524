//! The ruler's API, request by request, as Loki's clients use it: Grafana, lokitool and others of
//! the family. Statuses and texts are those of a Loki with rules in a writable store.

use serde_json::{Value, json};

use crate::support::{QUIET, Server, http, wait_for};

const GROUP: &str = "\
name: g1
interval: 1s
rules:
    - alert: Always
      expr: vector(3) > 0
      labels:
        severity: page
      annotations:
        summary: '{{ $value }} lines'
    - record: app:lines:rate
      expr: sum(rate({app=\"x\"}[1m]))
";
/// The same as it is told back.
const TOLD: &str = "\
name: \"g1\"
interval: 1s
rules:
    - alert: \"Always\"
      expr: \"vector(3) > 0\"
      labels:
          \"severity\": \"page\"
      annotations:
          \"summary\": \"{{ $value }} lines\"
    - record: \"app:lines:rate\"
      expr: \"sum(rate({app=\\\"x\\\"}[1m]))\"
";
const ACCEPTED: &str = r#"{"status":"success","data":null,"errorType":"","error":""}"#;

fn ask(server: &Server, method: &str, path: &str, body: &str) -> (u16, String) {
    let headers = [("Content-Type", "application/yaml")];
    http(method, &format!("{}{path}", server.url), &headers, body.as_bytes())
}

/// What is told of a group in a list of namespaces.
fn listed(namespace: &str, told: &str) -> String {
    let mut lines = told.lines();
    let first = format!("\"{namespace}\":\n    - {}\n", lines.next().unwrap());
    lines.fold(first, |list, line| list + "      " + line + "\n")
}

#[test]
fn groups_are_made_shown_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(QUIET, &folder.path().join("data"));
    let (missing, none) = ("group does not exist\n", "no rule groups found\n");
    let no_namespace = "group namespace does not exist\n";
    let other = GROUP.replace("name: g1\ninterval: 1s\n", "name: a/b c\n");
    let other_told = TOLD.replace("name: \"g1\"\ninterval: 1s\n", "name: \"a/b c\"\n");
    let (one, two) = (listed("ns", TOLD), listed("o/ns", &other_told));
    for base in ["/loki/api/v1/rules", "/api/prom/rules"] {
        let table: &[(&str, &str, &str, u16, &str)] = &[
            ("GET", "", "", 404, none),
            ("GET", "/ns", "", 404, none),
            ("GET", "/ns/g1", "", 404, missing),
            ("DELETE", "/ns", "", 404, no_namespace),
            ("POST", "/ns", GROUP, 202, ACCEPTED),
            ("GET", "/ns/g1", "", 200, TOLD),
            ("GET", "/ns", "", 200, &one),
            ("GET", "", "", 200, &one),
            ("GET", "/ns/nope", "", 404, missing),
            ("GET", "/nope", "", 404, none),
            // What is told may be sent again, and takes the place of what was.
            ("POST", "/ns", &TOLD.replace("1s", "2s"), 202, ACCEPTED),
            ("GET", "/ns/g1", "", 200, &TOLD.replace("1s", "2s")),
            ("POST", "/ns", TOLD, 202, ACCEPTED),
            // Names with slashes, as clients escape them. What was not written is not told.
            ("POST", "/o%2Fns", &other, 202, ACCEPTED),
            ("GET", "/o%2Fns/a%2Fb%20c", "", 200, &other_told),
            ("GET", "", "", 200, &(one.clone() + &two)),
            ("DELETE", "/o%2Fns/a%2Fb%20c", "", 202, ACCEPTED),
            ("GET", "/o%2Fns", "", 404, none),
            ("DELETE", "/nope", "", 404, no_namespace),
            ("PUT", "/ns", GROUP, 405, ""),
            ("POST", "", GROUP, 405, ""),
            ("DELETE", "/ns/g1", "", 202, ACCEPTED),
            ("GET", "/ns/g1", "", 404, missing),
            ("POST", "/ns", GROUP, 202, ACCEPTED),
            ("DELETE", "/ns", "", 202, ACCEPTED),
            ("GET", "", "", 404, none),
        ];
        for (method, path, body, status, told) in table {
            let answer = ask(&server, method, &format!("{base}{path}"), body);
            assert_eq!(answer, (*status, (*told).to_owned()), "{method} {base}{path}");
        }
    }
    assert!(server.is_running());
}

#[test]
fn groups_with_faults_are_refused_with_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let good = "expr: vector(1)";
    for (rules, words) in [
        (String::new(), "unexpected end of input"),
        ("{{{".to_owned(), "rule group:1"),
        ("- a".to_owned(), "expected mapping"),
        ("rules: []".to_owned(), "missing field `name`"),
        (format!("name: g\nrules: [{{alert: A, record: b, {good}}}]"), "not both"),
        (format!("name: g\nrules: [{{{good}}}]"), "needs \"alert\" or \"record\""),
        ("name: g\nrules: [{alert: A}]".to_owned(), "has no \"expr\""),
        ("name: g\nrules: [{alert: A, expr: 'sum('}]".to_owned(), "parse error at line 1, col 5"),
        ("name: g\nrules: [{alert: A, expr: '{a=\"b\"}'}]".to_owned(), "gives lines"),
        (format!("name: g\nrules: [{{record: a b, {good}}}]"), "is not a metric name"),
        (format!("name: g\nrules: [{{record: a, for: 1m, {good}}}]"), "belongs to alerts"),
        (format!("name: g\nrules: [{{alert: a, labels: {{a-b: x}}, {good}}}]"), "label name"),
        (
            format!("name: g\nrules: [{{alert: a, annotations: {{a: '{{{{ $x'}}, {good}}}]"),
            "template",
        ),
        (format!("name: g\nrules: [{{alert: a, for: abc, {good}}}]"), "not a duration"),
        (format!("name: g\ninterval: xx\nrules: [{{alert: a, {good}}}]"), "not a duration"),
        (format!("name: g\nnome: x\nrules: [{{alert: a, {good}}}]"), "unknown key \"nome\""),
        ("name: g\nrules: [{alert: a, expr: x}, {record: b, expr: y}]".to_owned(), "2:48"),
    ] {
        let (status, told) = ask(&server, "POST", "/loki/api/v1/rules/ns", &rules);
        assert_eq!(status, 400, "{rules}: {told}");
        assert!(told.contains(words), "{rules:?} told {told:?}, not {words:?}");
    }
    assert_eq!(server.get("/loki/api/v1/rules").0, 404, "nothing of it was kept");
}

/// Names of rules by group, and whether that is all there is to say.
fn names(server: &Server, filter: &str) -> Vec<String> {
    let (status, body) = server.get(&format!("/prometheus/api/v1/rules{filter}"));
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&answer["status"], &answer["errorType"], &answer["error"]),
        (&json!("success"), &json!(""), &json!(""))
    );
    let mut names = Vec::new();
    for group in answer["data"]["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            names.push(
                format!("{}/{}/{}", group["file"], group["name"], rule["name"]).replace('"', ""),
            );
        }
    }
    names
}

#[test]
fn state_is_told_as_prometheus_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let quiet = "name: g2\ninterval: 1s\nrules: [{alert: Never, expr: vector(1) > 2}]\n";
    assert_eq!(ask(&server, "POST", "/loki/api/v1/rules/ns", GROUP).0, 202);
    assert_eq!(ask(&server, "POST", "/loki/api/v1/rules/other", quiet).0, 202);
    let (always, record, never) = ("ns/g1/Always", "ns/g1/app:lines:rate", "other/g2/Never");
    for (filter, expect) in [
        ("", vec![always, record, never]),
        ("?type=alert", vec![always, never]),
        ("?type=record", vec![record]),
        ("?file[]=ns", vec![always, record]),
        ("?file[]=ns&file[]=other", vec![always, record, never]),
        ("?rule_group[]=g2", vec![never]),
        ("?rule_name[]=Always&rule_name[]=Never", vec![always, never]),
        ("?type=record&rule_name[]=Always", vec![]),
        ("?rule_name[]=nope", vec![]),
    ] {
        assert_eq!(names(&server, filter), expect, "{filter}");
    }
    let (status, body) = server.get("/prometheus/api/v1/rules?type=x");
    assert_eq!(status, 400);
    let fault: Value = serde_json::from_str(&body).unwrap();
    let expect = json!({"status": "error", "data": null, "errorType": "bad_data", "error": "not supported value \"x\""});
    assert_eq!(fault, expect);

    let alert = wait_for("the alert to fire", || {
        let answer: Value =
            serde_json::from_str(&server.get("/prometheus/api/v1/alerts").1).unwrap();
        let alert = answer["data"]["alerts"].get(0)?.clone();
        (alert["state"] == "firing").then_some(alert)
    });
    assert_eq!(alert["labels"], json!({"alertname": "Always", "severity": "page"}));
    assert_eq!(alert["annotations"], json!({"summary": "3 lines"}));
    assert_eq!(alert["value"], "3e+00");
    assert!(alert["activeAt"].as_str().unwrap().ends_with('Z'));
    let (_, body) = server.get("/prometheus/api/v1/rules?rule_group[]=g1");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let group = &answer["data"]["groups"][0];
    assert_eq!((&group["interval"], &group["limit"]), (&json!(1.0), &json!(0)));
    assert!(group["lastEvaluation"].is_string() && group["evaluationTime"].is_number());
    let (alerting, recording) = (&group["rules"][0], &group["rules"][1]);
    assert_eq!(alerting["state"], "firing");
    assert_eq!((&alerting["type"], &recording["type"]), (&json!("alerting"), &json!("recording")));
    assert_eq!((&alerting["duration"], &alerting["health"]), (&json!(0.0), &json!("ok")));
    assert_eq!(alerting["alerts"][0]["labels"], alert["labels"]);
    assert_eq!((&recording["name"], &recording["labels"]), (&json!("app:lines:rate"), &json!({})));
    assert!(recording.get("alerts").is_none() && recording.get("state").is_none());
}
