//! Queries over what was pushed: medians of wall time as a client sees it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::limits;

/// Name, query, and whether it is a log query (with its limit) or a metric query of 60 steps.
const QUERIES: &[(&str, &str, Option<u32>)] = &[
    ("one trace id among all streams", r#"{service=~".+"} |= "TRACE""#, Some(100)),
    ("a word that is nowhere", r#"{service=~".+"} |= "zebrafish""#, Some(100)),
    ("newest 100 of a stream", r#"{service="api",level="error"}"#, Some(100)),
    ("|= deadlock", r#"{service=~".+"} |= "deadlock""#, Some(1000)),
    ("regex", r#"{service=~".+"} |~ "job_id=[0-9a-f]{8}-.*attempt=3""#, Some(100)),
    ("count by service", r#"sum by (service) (count_over_time({env="prod"}[1m]))"#, None),
    ("rate of a word", r#"sum by (service) (rate({env="prod"} |= "error" [1m]))"#, None),
    (
        "json, number filter",
        r#"sum by (status) (count_over_time({service="api"} | json | latency_ms > 500 [1m]))"#,
        None,
    ),
    (
        "json, quantile",
        r#"quantile_over_time(0.95, {service="api"} | json | unwrap latency_ms [1m]) by (path)"#,
        None,
    ),
    (
        "json, topk",
        r#"topk(10, sum by (path) (count_over_time({service="api"} | json [1h])))"#,
        None,
    ),
    ("json, field is a trace id", r#"{service="api"} | json | trace_id="TRACE""#, Some(100)),
    (
        "logfmt, duration",
        r#"sum by (job) (sum_over_time({service="worker"} | logfmt | unwrap duration(duration) [5m]))"#,
        None,
    ),
];

/// A request: what it is called, its path, its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    name: String,
    path: String,
    params: Vec<(String, String)>,
}

/// What was pushed, so that queries find it.
#[derive(Debug, Clone)]
pub struct Pushed {
    pub start_ns: i64,
    pub end_ns: i64,
    /// A trace id from the middle of it, so that finding it is honest work.
    pub trace_id: String,
}

/// The built-in queries, in LogQL.
pub fn built_in() -> Vec<Query> {
    let of = |(name, query, limit): &(&str, &str, Option<u32>)| Query {
        name: (*name).to_owned(),
        path: "/loki/api/v1/query_range".to_owned(),
        params: [
            ("query", (*query).to_owned()),
            ("start", "{start_ns}".to_owned()),
            ("end", "{end_ns}".to_owned()),
            ("step", "{step_s}".to_owned()),
            ("limit", limit.unwrap_or(100).to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
    };
    QUERIES.iter().map(of).collect()
}

/// Reads queries from a file; empty lines and lines that start with `#` are skipped.
pub fn read(path: &Path) -> anyhow::Result<Vec<Query>> {
    let about = || format!("reading queries from {}", path.display());
    let bytes = std::fs::metadata(path).with_context(about)?.len();
    if bytes > limits::RULE_FILE_BYTES_MAX as u64 {
        bail!("{}: {bytes} bytes are too many for a list of queries", path.display());
    }
    parse(&std::fs::read_to_string(path).with_context(about)?)
        .with_context(|| path.display().to_string())
}

fn parse(text: &str) -> anyhow::Result<Vec<Query>> {
    let mut queries = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut fields = line.split('\t').filter(|field| !field.is_empty());
        let (Some(name), Some(path)) = (fields.next(), fields.next()) else {
            bail!("line {}: write a name, a path and KEY=VALUE, parted by tabs", at + 1);
        };
        let params = fields
            .map(|field| {
                let (name, value) = field
                    .split_once('=')
                    .with_context(|| format!("line {}: `{field}` is not KEY=VALUE", at + 1))?;
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect::<anyhow::Result<Vec<(String, String)>>>()?;
        queries.push(Query { name: name.to_owned(), path: path.to_owned(), params });
    }
    if queries.is_empty() {
        bail!("there is no query in it");
    }
    Ok(queries)
}

impl Pushed {
    /// Steps of a sixtieth of the span.
    fn step_secs(&self) -> i64 {
        ((self.end_ns - self.start_ns) / 60 / 1_000_000_000).max(1)
    }

    fn fill(&self, value: &str) -> String {
        value
            .replace("{start_ns}", &self.start_ns.to_string())
            .replace("{end_ns}", &self.end_ns.to_string())
            .replace("{step_s}", &self.step_secs().to_string())
            .replace("TRACE", &self.trace_id)
    }
}

/// Runs every query and gives a table of medians in milliseconds.
pub async fn run(
    base: &str,
    path_prefix: Option<&str>,
    queries: &[Query],
    pushed: &Pushed,
    runs: usize,
) -> anyhow::Result<String> {
    let base = format!("{}{}", base.trim_end_matches('/'), path_prefix.unwrap_or_default());
    let client = reqwest::Client::builder().timeout(Duration::from_secs(120)).build()?;
    let mut report =
        String::from("queries (ms):                            first    median     bytes\n");
    for query in queries {
        let mut millis = Vec::with_capacity(runs);
        let mut bytes = 0;
        for _ in 0..runs.max(1) {
            let began = Instant::now();
            let body = ask(&client, &base, query, pushed)
                .await
                .with_context(|| format!("{}: {:?}", query.name, query.params))?;
            millis.push(began.elapsed().as_secs_f64() * 1000.0);
            bytes = body.len();
        }
        let first = millis.first().copied().unwrap_or_default();
        millis.sort_by(f64::total_cmp);
        let median = millis.get(millis.len() / 2).copied().unwrap_or_default();
        let _ = writeln!(report, "  {:<32} {first:>11.1} {median:>9.1} {bytes:>9}", query.name);
    }
    Ok(report)
}

async fn ask(
    client: &reqwest::Client,
    base: &str,
    query: &Query,
    pushed: &Pushed,
) -> anyhow::Result<String> {
    let mut params = form_urlencoded::Serializer::new(String::new());
    for (name, value) in &query.params {
        params.append_pair(name, &pushed.fill(value));
    }
    let url = format!("{base}{}?{}", query.path, params.finish());
    let response = client.get(url).send().await?;
    let status = response.status();
    let body = response.text().await?;
    if !status.is_success() {
        bail!("the query was refused ({status}): {}", body.trim());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_queries() {
        let pushed = Pushed { start_ns: 0, end_ns: 3_600_000_000_000, trace_id: "abc".to_owned() };
        let queries = parse("# a comment\n\nid\t/select\tquery=TRACE=1\tstep={step_s}s\n").unwrap();
        assert_eq!(queries.len(), 1);
        assert_eq!((queries[0].name.as_str(), queries[0].path.as_str()), ("id", "/select"));
        let filled: Vec<String> =
            queries[0].params.iter().map(|(_, value)| pushed.fill(value)).collect();
        assert_eq!(filled, ["abc=1", "60s"]);
        for (text, error) in [
            ("", "there is no query in it"),
            ("a\n", "line 1: write a name, a path and KEY=VALUE, parted by tabs"),
            ("#\na\t/b\tc\n", "line 2: `c` is not KEY=VALUE"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error);
        }
    }
}
