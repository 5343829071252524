//! Answers that a Grafana Loki 3.7 gave to the same data and queries, case by case. Series are
//! compared without regard to order, values to 1e-9, entries of equal time in any order.

use serde_json::{Map, Value};

use crate::support::{Server, http};

const START: i64 = 1_795_165_200;
const END: i64 = 1_795_168_800;

/// Cases that may differ, each with the reason.
const DIFFERENT: &[(&str, &str)] = &[
    (r#"{app!="api",env="prod"}"#, OTHER_DATA),
    (
        r#"sum by (app) (count_over_time({env="prod"}[10m])) unless sum by (app) (count_over_time({app="api"}[10m]))"#,
        OTHER_DATA,
    ),
    (r#"sum(bytes_rate({env="prod"}[10m])) by (app)"#, OTHER_DATA),
    ("/loki/api/v1/label/level/values", OTHER_DATA),
    (
        "1 + 1",
        "Loki gives the time of an instant scalar in milliseconds; Prometheus and we in seconds",
    ),
    ("2 ^ 3 ^ 2", "the same"),
    ("10 - 2 * 3", "the same"),
    (
        r#"topk(3, sum by (user) (count_over_time({app="auth"} | regexp "for (?:invalid user )?(?P<user>\\S+) from" [1h])))"#,
        "Loki takes groups out of a map with no order, so that which of equal values it keeps \
         differs from one time to the next; ours are in the order of labels",
    ),
];

const OTHER_DATA: &str = "the recorded server held lines of other streams as well";

const CONFIG: &str = "\
sources: []
redaction: {enabled: false, i_understand: true}
retention: {period: 3650d}
limits:
  reject_old_samples: false
  max_entries_limit_per_query: 5000
  max_query_series: 100000
  discover_service_name: []
  discover_log_levels: false
  ingestion_rate_mb: 0
alerts: {rules: []}
";

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn ask(server: &Server, kind: &str, query: &str, options: &Map<String, Value>) -> (u16, String) {
    let mut params: Vec<(String, String)> = Vec::new();
    let is_error = options.contains_key("_err");
    let plain = ["/format_query", "/buildinfo", "/ready"].iter().any(|end| query.ends_with(end));
    let path = match kind {
        "I" => {
            params.push(("query".into(), query.into()));
            params.push(("time".into(), END.to_string()));
            "/loki/api/v1/query"
        }
        "L" | "M" => {
            params.push(("query".into(), query.into()));
            "/loki/api/v1/query_range"
        }
        _ => query,
    };
    if (kind == "X" && (is_error || !plain)) || kind == "L" || kind == "M" {
        params.push(("start".into(), START.to_string()));
        params.push(("end".into(), END.to_string()));
    }
    if kind == "M" && !options.contains_key("nostep") {
        params.push(("step".into(), "300s".into()));
    }
    for (name, value) in options.iter().filter(|(n, _)| !n.starts_with('_') && *n != "nostep") {
        params.retain(|(n, _)| n != name);
        match value {
            Value::Array(values) => {
                params.extend(values.iter().map(|v| (name.clone(), text(v))));
            }
            value => params.push((name.clone(), text(value))),
        }
    }
    let query: String =
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&params).finish();
    let categorized = [("X-Loki-Response-Encoding-Flags", "categorize-labels")];
    let headers = if options.contains_key("_cat") { &categorized[..] } else { &[] };
    http("GET", &format!("{}{path}?{query}", server.url), headers, b"")
}

/// Order-free form of an answer.
pub fn canon(answer: &Value) -> Value {
    let data = &answer["data"];
    if let Some(result) = data["result"].as_array() {
        let mut result = result.clone();
        for series in &mut result {
            if let Some(values) = series.get_mut("values").and_then(Value::as_array_mut)
                && data["resultType"] == "streams"
            {
                let mut from = 0;
                while from < values.len() {
                    let same = values[from..].iter().take_while(|v| v[0] == values[from][0]);
                    let to = from + same.count();
                    values[from..to].sort_by_key(ToString::to_string);
                    from = to;
                }
            }
        }
        if result.first().is_some_and(Value::is_object) {
            let key = |v: &Value| sorted(v.get("metric").unwrap_or(&v["stream"])).to_string();
            result.sort_by_key(key);
        }
        return serde_json::json!({"status": answer["status"], "type": data["resultType"],
            "flags": data["encodingFlags"], "result": result});
    }
    if let Some(list) = data.as_array() {
        let mut list: Vec<Value> = list.iter().map(sorted).collect();
        list.sort_by_key(ToString::to_string);
        return serde_json::json!({"status": answer["status"], "data": list});
    }
    answer.clone()
}

/// The same value with the keys of every object sorted.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<(String, Value)> =
                map.iter().map(|(n, v)| (n.clone(), sorted(v))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn near(a: &Value, b: &Value) -> bool {
    let number = |v: &Value| v.as_f64().or_else(|| v.as_str()?.parse::<f64>().ok());
    match (number(a), number(b)) {
        (Some(x), Some(y)) => {
            (x.is_nan() && y.is_nan())
                || x == y
                || (x - y).abs() <= (1e-9 * x.abs().max(y.abs())).max(1e-12)
        }
        _ => a == b,
    }
}

pub fn same(want: &Value, given: &Value, path: &str) -> Result<(), String> {
    match (want, given) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys()) {
                let (Some(x), Some(y)) = (a.get(name), b.get(name)) else {
                    return Err(format!("{path}.{name} is on one side only"));
                };
                same(x, y, &format!("{path}.{name}"))?;
            }
            Ok(())
        }
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                return Err(format!("{path}: {} items wanted, {} given", a.len(), b.len()));
            }
            a.iter()
                .zip(b)
                .enumerate()
                .try_for_each(|(at, (x, y))| same(x, y, &format!("{path}[{at}]")))
        }
        _ if path.contains(".value") && near(want, given) => Ok(()),
        _ if want == given => Ok(()),
        _ => Err(format!("{path}: wanted {want}, given {given}")),
    }
}

/// What a loose case compares: structure and names, numbers left out.
pub fn names(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(name, _)| !["stats", "limit", "cardinality"].contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), names(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(|v| sorted(&names(v))).collect();
            list.sort_by_key(ToString::to_string);
            list.into()
        }
        Value::Number(_) => "#".into(),
        Value::String(text)
            if !text.is_empty()
                && text.replacen('.', "", 1).bytes().all(|b| b.is_ascii_digit()) =>
        {
            "#".into()
        }
        other => other.clone(),
    }
}

fn compare(case: &Value, want: (u64, &str), given: (u16, &str)) -> Result<(), String> {
    let options = case[2].as_object().unwrap();
    let short: String = given.1.chars().take(200).collect();
    if want.0 != u64::from(given.0) {
        return Err(format!("status {} wanted, {} given: {short}", want.0, given.0));
    }
    if options.contains_key("_err") || want.0 >= 400 {
        let silent = given.1.trim().is_empty() && !want.1.trim().is_empty();
        return if silent { Err("an error without a message".into()) } else { Ok(()) };
    }
    if options.contains_key("_keys") {
        return Ok(());
    }
    let Ok(wanted) = serde_json::from_str::<Value>(want.1) else {
        let equal = want.1.trim() == given.1.trim();
        return if equal { Ok(()) } else { Err(format!("wanted {}, given {short}", want.1)) };
    };
    let answer: Value =
        serde_json::from_str(given.1).map_err(|error| format!("not JSON ({error}): {short}"))?;
    if options.contains_key("_loose") {
        return same(&names(&wanted), &names(&answer), "");
    }
    same(&canon(&wanted), &canon(&answer), "")
}

/// Pushes data sets and asks every case, once out of memory and once out of sealed parts.
fn check(datasets: &[&str], expected: &str, different: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(CONFIG, &folder.path().join("data"));
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compat");
    for dataset in datasets {
        let dataset = std::fs::read(format!("{here}/{dataset}")).unwrap();
        let headers = [("Content-Type", "application/json")];
        let (status, body) = server.post("/loki/api/v1/push", &headers, &dataset);
        assert_eq!(status, 204, "{body}");
    }
    let expected = std::fs::read_to_string(format!("{here}/{expected}")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&expected).unwrap();
    let mut faults = Vec::new();
    for place in ["head", "parts"] {
        for case in &cases {
            let request = &case["case"];
            let query = request[1].as_str().unwrap();
            let options = request[2].as_object().unwrap();
            let (status, body) = ask(&server, request[0].as_str().unwrap(), query, options);
            let want = (case["status"].as_u64().unwrap(), case["body"].as_str().unwrap());
            if different.iter().any(|(known, reason)| *known == query && !reason.is_empty()) {
                assert!(status < 500, "{query}: {body}");
                continue;
            }
            if let Err(reason) = compare(request, want, (status, &body)) {
                faults.push(format!("{place}: {request}\n    {reason}"));
            }
        }
        assert_eq!(server.post("/flush", &[], b"").0, 204);
    }
    let total = cases.len() * 2;
    assert!(faults.is_empty(), "{} of {total} differ\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn answers_are_lokis() {
    check(&["dataset.json"], "expected.json", DIFFERENT);
}

/// One construct of the language at a time, over lines that are awkward on purpose.
#[test]
fn answers_about_awkward_lines_are_lokis() {
    check(&["awkward.json"], "awkward-expected.json", &[]);
}

/// What stages do to each other: cases that a generator made out of the grammar, and some written
/// down because of what it found.
#[test]
fn answers_to_generated_queries_are_lokis() {
    check(&["dataset.json", "awkward.json"], "language-expected.json", &[]);
}

/// Patterns of small sets of lines, each set about one thing that can be got wrong.
#[test]
fn patterns_are_lokis() {
    check(&["patterns.json"], "patterns-expected.json", &[]);
}
