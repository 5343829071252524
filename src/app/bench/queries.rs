//! Queries over what was pushed: medians of wall time as a client sees it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

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

/// Runs every query and gives a table of medians in milliseconds.
pub async fn run(
    base: &str,
    path_prefix: Option<&str>,
    (start_ns, end_ns): (i64, i64),
    runs: usize,
) -> anyhow::Result<String> {
    let url = format!(
        "{}{}/loki/api/v1/query_range",
        base.trim_end_matches('/'),
        path_prefix.unwrap_or_default()
    );
    let client = reqwest::Client::builder().timeout(Duration::from_secs(120)).build()?;
    let trace = a_trace_id(&client, &url, start_ns, end_ns).await?;
    let mut report = String::from("query medians (ms):\n");
    for (name, query, limit) in QUERIES {
        let query = query.replace("TRACE", &trace);
        let mut millis = Vec::with_capacity(runs);
        for _ in 0..runs.max(1) {
            let began = Instant::now();
            ask(&client, &url, &query, start_ns, end_ns, *limit)
                .await
                .with_context(|| query.clone())?;
            millis.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        millis.sort_by(f64::total_cmp);
        let _ = writeln!(report, "  {:<32} {:>9.1}", name, millis[millis.len() / 2]);
    }
    Ok(report)
}

async fn ask(
    client: &reqwest::Client,
    url: &str,
    query: &str,
    start_ns: i64,
    end_ns: i64,
    limit: Option<u32>,
) -> anyhow::Result<String> {
    let step = ((end_ns - start_ns) / 60 / 1_000_000_000).max(1);
    let params: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("query", query)
        .append_pair("start", &start_ns.to_string())
        .append_pair("end", &end_ns.to_string())
        .append_pair("step", &step.to_string())
        .append_pair("limit", &limit.unwrap_or(100).to_string())
        .finish();
    let response = client.get(format!("{url}?{params}")).send().await?;
    let status = response.status();
    let body = response.text().await?;
    if !status.is_success() {
        bail!("the query was refused ({status}): {}", body.trim());
    }
    Ok(body)
}

/// A trace id from the middle of the range, so that finding it is honest work.
async fn a_trace_id(
    client: &reqwest::Client,
    url: &str,
    start_ns: i64,
    end_ns: i64,
) -> anyhow::Result<String> {
    let middle = start_ns + (end_ns - start_ns) / 2;
    let body = ask(client, url, r#"{service="api"}"#, start_ns, middle, Some(1)).await?;
    let mark = "trace_id\\\":\\\"";
    let at = body.find(mark).context("no line with a trace_id was found")? + mark.len();
    Ok(body.get(at..at + 32).context("a cut trace_id")?.to_owned())
}
