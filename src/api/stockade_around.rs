//! What stands around a line of a stream, and where the nearest lines are when a range has none.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::access::Tenant;
use super::error::ApiError;
use super::params::Params;
use super::stockade_query::{any_query, write_row};
use super::{Api, query};
use crate::limits;
use crate::model::{Labels, Matcher, TimeRange, Timestamp};
use crate::query::syntax::LogExpr;
use crate::query::syntax::ast::Span;
use crate::query::{Direction, LogRow, Nearest, PageQuery, QueryContext, QueryError, Ties};

const LINES_DEFAULT: u32 = 10;

/// `labels` names the stream exactly, `ts` the line; `before` and `after` count lines.
pub async fn context(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Result<Response, ApiError> {
    let text = params.get("labels").or_else(|| params.get("stream")).ok_or_else(|| {
        ApiError::bad_request("give the labels of the stream: labels={name=\"value\", ...}")
    })?;
    let labels =
        Labels::parse(text).map_err(|error| ApiError::bad_request(format!("labels: {error}")))?;
    if params.get("ts").is_none() {
        return Err(ApiError::bad_request("give the time of the line in ts, in nanoseconds"));
    }
    let ts = params.time("ts", Timestamp(0))?;
    let count = |name: &str| -> Result<usize, ApiError> {
        let count: u32 = params.number(name, LINES_DEFAULT)?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX).min(limits::CONTEXT_LINES_MAX))
    };
    let (before, after) = (count("before")?, count("after")?);
    let found = query::blocking(&api, tenant, "context", move |api, context| {
        around(api, &labels, ts, before, after, context)
    })
    .await?;
    let mut out = String::from("{\"status\":\"success\",\"data\":{");
    for (at, (name, rows)) in ["before", "at", "after"].iter().zip(&found).enumerate() {
        out.push_str(if at > 0 { ",\"" } else { "\"" });
        out.push_str(name);
        out.push_str("\":[");
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write_row(&mut out, row);
        }
        out.push(']');
    }
    out.push_str("}}\n");
    Ok(query::json_body(out))
}

/// Lines before an instant, at it and after it, each oldest first. All lines of the instant
/// itself belong together: which of them was meant, and which came before it, stays visible.
fn around(
    api: &Api,
    labels: &Labels,
    ts: Timestamp,
    before: usize,
    after: usize,
    context: &QueryContext,
) -> Result<[Vec<LogRow>; 3], QueryError> {
    let matchers = labels.iter().map(|(name, value)| Matcher::eq(name, value)).collect();
    let log = LogExpr { matchers, stages: Vec::new(), span: Span::default() };
    let read = |range, direction, lines_max| -> Result<Vec<LogRow>, QueryError> {
        if lines_max == 0 {
            return Ok(Vec::new());
        }
        let query = PageQuery {
            log: &log,
            range,
            direction,
            lines_max,
            bytes_max: limits::EXPORT_PAGE_BYTES,
            ties: Ties::Cut,
            stream: Some(labels),
        };
        Ok(api.engine.page(&query, context)?.rows)
    };
    let next = ts.saturating_add_ns(1);
    let mut earlier = read(TimeRange::new(Timestamp::MIN, ts), Direction::Backward, before)?;
    earlier.reverse();
    let instant = TimeRange::new(ts, next);
    let at = read(instant, Direction::Forward, limits::CONTEXT_LINES_MAX)?;
    let later = read(TimeRange::new(next, Timestamp::MAX), Direction::Forward, after)?;
    Ok([earlier, at, later])
}

pub async fn nearest(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Result<Response, ApiError> {
    let expr = any_query(&params)?;
    let now = Timestamp(api.clock.now_ns());
    let range = params.range(now)?;
    let Some(log) = expr.log_exprs().first().map(|log| (*log).clone()) else {
        return Err(ApiError::bad_request("this query reads no lines"));
    };
    let found = query::blocking(&api, tenant, "nearest", move |api, context| {
        api.engine.nearest(&log, range, context)
    })
    .await?;
    let body = json!({"status": "success", "data": nearest_json(&found)});
    Ok(query::json_body(format!("{body}\n")))
}

/// Times as text, as everywhere: JSON numbers cannot hold nanoseconds.
pub fn nearest_json(nearest: &Nearest) -> Value {
    json!({
        "before": nearest.before.map(|ts| ts.0.to_string()),
        "after": nearest.after.map(|ts| ts.0.to_string()),
        "matches": if nearest.passes_stages { "query" } else { "streams" },
    })
}
