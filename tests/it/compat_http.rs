//! Requests of all kinds, wrong ones above all, and what a Grafana Loki 3.7 with the same data
//! answered: status, kind of body, and the text of every refusal.

use serde_json::{Map, Value};

use crate::compat::{canon, names, same, sorted};
use crate::support::{PATIENCE, Server};

/// As Loki's defaults, but for what the recorded server had turned off.
const CONFIG: &str = "\
sources: []
redaction: {enabled: false, i_understand: true}
retention: {period: 3650d}
limits:
  reject_old_samples: false
  discover_service_name: []
  discover_log_levels: false
alerts: {rules: []}
";

struct Client {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
}

struct Answer {
    status: u16,
    kind: String,
    body: String,
}

impl Client {
    fn new(url: &str) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            client: reqwest::Client::builder().timeout(PATIENCE).build().unwrap(),
            url: url.to_owned(),
        }
    }

    fn ask(&self, case: &Value) -> Answer {
        let mut params = form_urlencoded::Serializer::new(String::new());
        for pair in case["params"].as_array().into_iter().flatten() {
            params.append_pair(pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        }
        let params = params.finish();
        let method = case["method"].as_str().unwrap().parse().unwrap();
        let mut url = format!("{}{}", self.url, case["path"].as_str().unwrap());
        let is_form = case["form"] == true;
        if !is_form && !params.is_empty() {
            url = format!("{url}?{params}");
        }
        let mut request = self.client.request(method, url);
        if is_form {
            let kind = "application/x-www-form-urlencoded";
            request = request.header("Content-Type", kind).body(params);
        }
        for (name, value) in case["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap());
        }
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let kind = response.headers().get("content-type");
            let kind = kind.map_or("", |kind| kind.to_str().unwrap());
            Answer {
                status: response.status().as_u16(),
                kind: kind.split(';').next().unwrap_or_default().to_owned(),
                body: response.text().await.unwrap(),
            }
        })
    }
}

/// Without what no two servers have in common: statistics, and the order of sets.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(name, _)| *name != "stats")
            .map(|(name, value)| {
                let mut value = plain(value);
                let is_set = ["fields", "detectedLabels", "values", "parsers", "streams"]
                    .contains(&name.as_str());
                // Points of a series have an order; they are pairs.
                if let Some(list) = value.as_array_mut().filter(|_| is_set)
                    && !list.iter().any(Value::is_array)
                {
                    list.sort_by_key(|item| sorted(item).to_string());
                }
                (name.clone(), value)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn compare(case: &Value, given: &Answer) -> Result<(), String> {
    let short: String = given.body.chars().take(300).collect();
    let status = case["status"].as_u64().unwrap();
    if status != u64::from(given.status) {
        return Err(format!("status {status} wanted, {} given: {short}", given.status));
    }
    let kind = case["type"].as_str().unwrap_or_default();
    if kind != given.kind {
        return Err(format!("{kind:?} wanted, {:?} given", given.kind));
    }
    let wanted = case["body"].as_str().unwrap();
    if status >= 400 || kind != "application/json" {
        let equal = wanted.trim() == given.body.trim();
        return if equal { Ok(()) } else { Err(format!("wanted {wanted}\n    given  {short}")) };
    }
    let wanted: Value = serde_json::from_str(wanted).unwrap();
    let found: Value =
        serde_json::from_str(&given.body).map_err(|error| format!("{error}: {short}"))?;
    // Empty lists that Loki leaves out.
    if wanted == serde_json::json!({"status": "success"}) {
        let is_empty = found["data"].as_array().is_some_and(Vec::is_empty);
        return if is_empty { Ok(()) } else { Err(format!("nothing wanted, given {short}")) };
    }
    let (wanted, found) = (plain(&wanted), plain(&found));
    if case["path"].as_str().unwrap().contains("/index/") {
        // Loki's sizes are those of its chunks.
        return same(&names(&wanted), &names(&found), "");
    }
    same(&canon(&wanted), &canon(&found), "")
}

/// Loki gives two answers to a log query with `interval`: of lines in its chunks, as recorded here,
/// it reads on until there are `limit`; of recent ones, as recorded in `expected.json`, it leaves
/// out some of the first `limit`. We do the second, wherever the lines are.
fn is_known_to_differ(case: &Value) -> bool {
    let has = |name: &str, values: &[&str]| {
        case["params"].as_array().into_iter().flatten().any(|param| {
            param[0] == name && values.iter().any(|value| param[1].as_str() == Some(value))
        })
    };
    case["status"] == 200 && has("query", &["{app=\"api\"}"]) && has("interval", &["10", "1m"])
}

#[test]
fn requests_are_answered_as_by_loki() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(CONFIG, &folder.path().join("data"));
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compat");
    for dataset in ["dataset.json", "awkward.json"] {
        let body = std::fs::read(format!("{here}/{dataset}")).unwrap();
        let headers = [("Content-Type", "application/json")];
        assert_eq!(server.post("/loki/api/v1/push", &headers, &body).0, 204);
    }
    let cases = std::fs::read_to_string(format!("{here}/http-expected.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
    let client = Client::new(&server.url);
    let mut faults = Vec::new();
    for place in ["head", "parts"] {
        for case in &cases {
            let compared = compare(case, &client.ask(case));
            if is_known_to_differ(case) {
                assert!(compared.is_err(), "{case} is no known difference any more");
                continue;
            }
            if let Err(reason) = compared {
                let Value::Object(mut shown) = case.clone() else { continue };
                shown.remove("body");
                faults.push(format!("{place}: {}\n    {reason}", Value::Object(shown)));
            }
        }
        assert_eq!(server.post("/flush", &[], b"").0, 204);
    }
    let total = cases.len() * 2;
    assert!(faults.is_empty(), "{} of {total} differ\n{}", faults.len(), faults.join("\n"));
}
