//! Our own query: lines as NDJSON without a cap, in bounded memory, to be taken up again with a
//! token. The last line of an answer sums it up.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::access::Tenant;
use super::error::ApiError;
use super::params::Params;
use super::{Api, encode, language, query};
use crate::limits;
use crate::model::{TimeRange, Timestamp};
use crate::query::syntax::{Expr, LogExpr};
use crate::query::{Direction, LogRow, Page, PageQuery, QueryStats, Ties, plain};

/// Where an answer goes on. Everything is in it, so it holds across restarts.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Token {
    /// Version of the form.
    v: u8,
    forward: bool,
    start: i64,
    end: i64,
    /// Which query it belongs to.
    of: u64,
}

impl Token {
    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn read(text: &str) -> Option<Token> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice::<Token>(&bytes).ok().filter(|token| token.v == 1)
    }
}

/// The log query of a request: `query` in LogQL, or `q` in plain words.
pub fn log_query(params: &Params) -> Result<LogExpr, ApiError> {
    let expr = any_query(params)?;
    match expr {
        Expr::Log(log) => Ok(log),
        Expr::Metric(_) => Err(ApiError::bad_request(
            "this query yields numbers, not lines; ask /loki/api/v1/query_range",
        )),
    }
}

pub fn any_query(params: &Params) -> Result<Expr, ApiError> {
    let text = match (params.get("query"), params.get("q")) {
        (Some(query), _) => query.to_owned(),
        (None, Some(words)) if words.len() > limits::QUERY_BYTES_MAX / 4 => {
            return Err(ApiError::bad_request("q is too long"));
        }
        (None, Some(words)) => plain::to_logql(words),
        (None, None) => {
            return Err(ApiError::bad_request(
                "give a LogQL query in \"query\", or words to find in \"q\"",
            ));
        }
    };
    language::query(&text).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// An answer on its way.
struct Running {
    api: Arc<Api>,
    tenant: String,
    log: Arc<LogExpr>,
    of: u64,
    direction: Direction,
    /// The range that was asked for, to look for lines elsewhere when it has none.
    whole: TimeRange,
    rest: Option<TimeRange>,
    /// How many lines may still come.
    left: usize,
    lines: usize,
    stats: QueryStats,
    /// Read before the answer begins, so that a query that fails at once has a status of its own.
    ready: Option<Page>,
    ended: bool,
}

pub async fn query(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Result<Response, ApiError> {
    let log = log_query(&params)?;
    let now = Timestamp(api.clock.now_ns());
    let mut direction = params.direction()?;
    let of = xxh3_64(format!("{tenant}\n{}", Expr::Log(log.clone())).as_bytes());
    let mut range = params.range(now)?;
    if let Some(page) = params.get("page") {
        let token = Token::read(page)
            .ok_or_else(|| ApiError::bad_request("page is not a token of an earlier answer"))?;
        if token.of != of {
            return Err(ApiError::bad_request("page belongs to another query"));
        }
        range = TimeRange::new(Timestamp(token.start), Timestamp(token.end));
        direction = if token.forward { Direction::Forward } else { Direction::Backward };
    }
    let lookback = api.limits.load().max_query_lookback.ns();
    if lookback > 0 {
        let oldest = now.saturating_add_ns(-lookback);
        range = TimeRange::new(range.start.max(oldest), range.end.max(oldest));
    }
    let left = match params.get("limit") {
        None => usize::MAX,
        Some(_) => params.positive("limit", 1)?,
    };
    let mut running = Running {
        api,
        tenant,
        log: Arc::new(log),
        of,
        direction,
        whole: range,
        rest: (range.start < range.end).then_some(range),
        left,
        lines: 0,
        stats: QueryStats::default(),
        ready: None,
        ended: false,
    };
    running.ready = running.read().await?;
    let body = stream::unfold(running, |mut running| async move {
        let chunk = running.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), running))
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson; charset=utf-8")];
    // Compression asks once more after the end.
    Ok((headers, Body::from_stream(body.fuse())).into_response())
}

impl Running {
    /// The next page; `None` at the end of the range or of the limit.
    async fn read(&mut self) -> Result<Option<Page>, ApiError> {
        let Some(range) = self.rest.filter(|_| self.left > 0) else { return Ok(None) };
        let (log, direction) = (self.log.clone(), self.direction);
        let lines_max = self.left.min(limits::EXPORT_PAGE_LINES);
        let page =
            query::blocking(&self.api, self.tenant.clone(), "export", move |api, context| {
                let query = PageQuery {
                    log: &log,
                    range,
                    direction,
                    lines_max,
                    bytes_max: limits::EXPORT_PAGE_BYTES,
                    ties: Ties::Whole,
                    stream: None,
                };
                api.engine.page(&query, context)
            })
            .await?;
        self.rest = page.rest;
        // Where the limit ended the page, what may still come does not fit an instant more.
        let is_full = lines_max == self.left && page.rest.is_some();
        self.left = if is_full { 0 } else { self.left.saturating_sub(page.rows.len()) };
        self.lines += page.rows.len();
        self.stats.rows_matched += page.stats.rows_matched;
        self.stats.duration_ns += page.stats.duration_ns;
        let (sum, scan) = (&mut self.stats.scan, &page.stats.scan);
        // Every page reads the same streams.
        let streams = sum.streams.max(scan.streams);
        sum.add(scan);
        sum.streams = streams;
        Ok(Some(page))
    }

    async fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        let page = match self.ready.take() {
            Some(page) => Some(page),
            None => match self.read().await {
                Ok(page) => page,
                Err(error) => {
                    // The status is long sent; whoever reads the last line knows. The rest of the
                    // range can be asked for again.
                    self.ended = true;
                    let told = json!({"error": error.message, "status": error.status.as_u16(),
                        "next": self.token()});
                    return Some(format!("{told}\n"));
                }
            },
        };
        match page {
            Some(page) => {
                let mut out = String::with_capacity(page.rows.len() * 200);
                for row in &page.rows {
                    write_row(&mut out, row);
                    out.push('\n');
                }
                Some(out)
            }
            None => {
                self.ended = true;
                let summary = self.summary().await;
                Some(format!("{summary}\n"))
            }
        }
    }

    fn token(&self) -> Option<String> {
        let rest = self.rest?;
        let forward = self.direction == Direction::Forward;
        let token = Token { v: 1, forward, start: rest.start.0, end: rest.end.0, of: self.of };
        Some(token.write())
    }

    async fn summary(&mut self) -> Value {
        let mut summary =
            json!({"lines": self.lines, "next": self.token(), "stats": stats(&self.stats)});
        if self.lines == 0 {
            let (log, range) = (self.log.clone(), self.whole);
            let found =
                query::blocking(&self.api, self.tenant.clone(), "nearest", move |api, context| {
                    api.engine.nearest(&log, range, context)
                })
                .await;
            if let Ok(nearest) = found {
                summary["nearest"] = super::stockade_around::nearest_json(&nearest);
            }
        }
        json!({ "summary": summary })
    }
}

pub fn stats(stats: &QueryStats) -> Value {
    let scan = &stats.scan;
    json!({
        "duration_ms": stats.duration_ns / 1_000_000,
        "streams": scan.streams,
        "parts_read": scan.parts,
        "parts_left_out": scan.parts_pruned,
        "blocks_read": scan.blocks,
        "blocks_left_out": scan.blocks_pruned,
        "lines_read": scan.rows,
        "lines_matched": stats.rows_matched,
        "bytes_read": scan.bytes,
        "bytes_read_from_disk": scan.bytes_compressed,
    })
}

/// One line: `{"timestamp":"<ns>","line":...,"labels":{},"metadata":{},"parsed":{}}`.
pub fn write_row(out: &mut String, row: &LogRow) {
    let _ = write!(out, "{{\"timestamp\":\"{}\",\"line\":", row.ts.0);
    encode::string(out, &row.line);
    out.push_str(",\"labels\":");
    encode::labels(out, &row.stream);
    for (name, pairs) in [("metadata", &row.metadata), ("parsed", &row.parsed)] {
        if !pairs.is_empty() {
            let _ = write!(out, ",\"{name}\":");
            encode::pairs(out, pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        }
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_nonsense_does_not() {
        let token = Token { v: 1, forward: true, start: -5, end: i64::MAX, of: u64::MAX };
        assert_eq!(Token::read(&token.write()), Some(token));
        let old = Token { v: 2, forward: true, start: 0, end: 1, of: 0 };
        for text in ["", "x", "e30", &old.write()] {
            assert_eq!(Token::read(text), None, "{text:?}");
        }
    }
}
