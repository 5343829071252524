//! Loki's API from the client's side.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::model::{TimeRange, Timestamp};

pub struct Client {
    http: reqwest::Client,
    base: String,
    tenant: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub ts: Timestamp,
    pub line: String,
    pub labels: BTreeMap<String, String>,
}

/// Entries in the order in which they are printed.
#[derive(Debug, Default)]
pub struct Page(Vec<LogEntry>);

#[derive(Debug)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    pub points: Vec<(f64, String)>,
}

pub enum Answer {
    Streams(Page),
    Matrix(Vec<Series>),
}

#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Streams(Vec<RawStream>),
    Matrix(Vec<RawSeries>),
}

#[derive(Deserialize)]
pub struct RawStream {
    stream: BTreeMap<String, String>,
    values: Vec<RawEntry>,
}

/// `["<ns>", "line"]`, possibly with a third member.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawEntry {
    Plain(String, String),
    Categorized(String, String, serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct RawSeries {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Page {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &LogEntry> {
        self.0.iter()
    }

    pub fn last_ts(&self) -> Option<Timestamp> {
        self.0.last().map(|entry| entry.ts)
    }

    /// The entries of one instant.
    pub fn at(&self, ts: Timestamp) -> Page {
        Page(self.0.iter().filter(|entry| entry.ts == ts).cloned().collect())
    }

    pub fn without(&self, known: &Page) -> Page {
        Page(self.0.iter().filter(|entry| !known.0.contains(entry)).cloned().collect())
    }

    pub fn from_streams(streams: Vec<RawStream>, newest_first: bool) -> anyhow::Result<Page> {
        let mut entries = Vec::new();
        for stream in streams {
            for value in stream.values {
                let (RawEntry::Plain(ts, line) | RawEntry::Categorized(ts, line, _)) = value;
                let ts = Timestamp(ts.parse().context("the server sent a time that is none")?);
                entries.push(LogEntry { ts, line, labels: stream.stream.clone() });
            }
        }
        entries.sort_by_key(|entry| entry.ts);
        if newest_first {
            entries.reverse();
        }
        Ok(Page(entries))
    }
}

impl Client {
    pub fn new(base: &str, tenant: Option<&str>) -> Client {
        // Building fails only without a TLS provider, which main has installed.
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .build()
            .unwrap_or_default();
        Client {
            http,
            base: base.trim_end_matches('/').to_owned(),
            tenant: tenant.map(ToOwned::to_owned),
        }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// `query_range`; the error of the server is passed on in its own words.
    pub async fn range(
        &self,
        query: &str,
        range: TimeRange,
        limit: Option<usize>,
        step: Option<&str>,
        newest_first: bool,
    ) -> anyhow::Result<Answer> {
        let mut params = vec![
            ("query", query.to_owned()),
            ("start", range.start.0.to_string()),
            ("end", range.end.0.to_string()),
            ("direction", if newest_first { "backward" } else { "forward" }.to_owned()),
        ];
        params.extend(limit.map(|limit| ("limit", limit.to_string())));
        params.extend(step.map(|step| ("step", step.to_owned())));
        let body: String =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(&params).finish();
        let mut request = self
            .http
            .post(format!("{}/loki/api/v1/query_range", self.base))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body);
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        let response = request.send().await.map_err(|error| {
            let what = format!("no answer from {}; is the server running? (--addr)", self.base);
            anyhow::Error::new(error.without_url()).context(what)
        })?;
        let status = response.status();
        let text = response.text().await.context("reading the answer")?;
        if !status.is_success() {
            bail!("the server refused the query ({status}): {}", text.trim());
        }
        let envelope: Envelope =
            serde_json::from_str(&text).context("the answer is not Loki's JSON")?;
        Ok(match envelope.data {
            Data::Streams(streams) => Answer::Streams(Page::from_streams(streams, newest_first)?),
            Data::Matrix(series) => Answer::Matrix(
                series
                    .into_iter()
                    .map(|one| Series { labels: one.metric, points: one.values })
                    .collect(),
            ),
        })
    }
}
