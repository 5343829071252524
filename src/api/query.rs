//! `query`, `query_range`, the legacy query and `format_query`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::access::Tenant;
use super::error::{ApiError, CLIENT_CLOSED};
use super::params::Params;
use super::{Api, encode, language};
use crate::model::{TimeRange, Timestamp};
use crate::query::syntax::{self, Expr};
use crate::query::{
    Categorize, Direction, InstantQuery, QueryContext, QueryError, QueryLimits, QueryResult,
    RangeQuery,
};
use crate::store::read::{Cancel, ReadError};

const CATEGORIZE_HEADER: &str = "X-Loki-Response-Encoding-Flags";

/// What a client says of the form of an answer. Loki gives all flags back, known or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncodingFlags(Vec<String>);

/// Flags given back; the rest of a header that names more is left out.
const FLAGS_MAX: usize = 16;

impl EncodingFlags {
    pub fn of(headers: &HeaderMap) -> EncodingFlags {
        let value = headers.get(CATEGORIZE_HEADER).and_then(|value| value.to_str().ok());
        let flags = value.into_iter().flat_map(|value| value.split(','));
        let flags = flags.map(|flag| flag.trim().to_owned()).filter(|flag| !flag.is_empty());
        EncodingFlags(flags.take(FLAGS_MAX).collect())
    }

    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether stream labels, metadata and parsed labels are to be told apart.
    pub fn categorize(&self) -> Categorize {
        let is_wanted = self.0.iter().any(|flag| flag == "categorize-labels");
        if is_wanted { Categorize::Yes } else { Categorize::No }
    }
}

/// The limits of configuration as the engine wants them: 0 there means none.
pub fn query_limits(api: &Api) -> QueryLimits {
    let limits = api.limits.load();
    let or_max = |number: usize| if number == 0 { usize::MAX } else { number };
    let bytes = limits.max_query_bytes_read.bytes();
    QueryLimits {
        entries_max: or_max(limits.max_entries_limit_per_query),
        series_max: or_max(limits.max_query_series),
        bytes_max: if bytes == 0 { u64::MAX } else { bytes },
        length_ns_max: limits.max_query_length.ns(),
        timeout: timeout(limits.query_timeout.duration()),
        ..QueryLimits::default()
    }
}

/// 0 is no limit, as in Loki; a day stands for it, so that nothing runs for ever.
fn timeout(configured: Duration) -> Duration {
    if configured.is_zero() { Duration::from_secs(24 * 3600) } else { configured }
}

/// Sets the flag when the client is gone and the handler's future is dropped.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs blocking query work off the async threads: in turn, with a time limit, and cancelled
/// when the client goes away.
pub async fn blocking<T: Send + 'static>(
    api: &Arc<Api>,
    tenant: String,
    kind: &str,
    work: impl FnOnce(&Api, &QueryContext) -> Result<T, QueryError> + Send + 'static,
) -> Result<T, ApiError> {
    let began = Instant::now();
    let limits = query_limits(api);
    let timeout = limits.timeout;
    let cancel = Cancel::default();
    let _guard = CancelOnDrop(cancel.clone());
    let context = QueryContext { tenant, cancel: cancel.clone(), limits };
    let slots = api.query_slots.clone();
    let permit = tokio::time::timeout(timeout, slots.acquire_owned())
        .await
        .map_err(|_| ApiError::too_many("too many outstanding requests", 1))?
        .map_err(|_| ApiError::unavailable("the server is stopping", 1))?;
    let mut task = tokio::task::spawn_blocking({
        let api = api.clone();
        move || {
            let _permit = permit;
            work(&api, &context)
        }
    });
    let outcome = match tokio::time::timeout(timeout, &mut task).await {
        Ok(joined) => joined,
        Err(_) => {
            cancel.cancel();
            // The scan looks at the flag between blocks; a moment later the work is over.
            let _ = tokio::time::timeout(Duration::from_secs(5), task).await;
            return Err(timed_out(timeout));
        }
    };
    api.counted.query_secs.observe(&[kind], began.elapsed().as_secs_f64());
    match outcome {
        Ok(result) => result.map_err(|error| refuse(error, timeout)),
        Err(error) => Err(ApiError::internal("the query failed", &error)),
    }
}

fn timed_out(timeout: Duration) -> ApiError {
    ApiError::new(
        StatusCode::GATEWAY_TIMEOUT,
        format!(
            "request timed out after {} s: narrow the time range or the selector, or raise query_timeout",
            timeout.as_secs()
        ),
    )
}

fn refuse(error: QueryError, timeout: Duration) -> ApiError {
    match error {
        QueryError::Parse(error) => error.into(),
        QueryError::Invalid(message)
        | QueryError::Limit(message)
        | QueryError::Pipeline(message) => ApiError::bad_request(message),
        QueryError::Timeout { .. } => timed_out(timeout),
        QueryError::Cancelled | QueryError::Read(ReadError::Cancelled) => ApiError::new(
            StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::BAD_REQUEST),
            "the client went away",
        ),
        QueryError::Read(error @ (ReadError::Budget { .. } | ReadError::Sink(_))) => {
            ApiError::bad_request(error.to_string())
        }
        QueryError::Read(error) => ApiError::internal("reading the store failed", &error),
        QueryError::Internal(message) => ApiError::internal("the query failed", &message),
    }
}

pub fn json_body(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], body).into_response()
}

/// The same for answers that are put together as values.
pub fn json_value(value: &impl serde::Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => json_body(text + "\n"),
        Err(error) => ApiError::internal("writing the answer failed", &error).into_response(),
    }
}

fn parse(query: &str) -> Result<Expr, ApiError> {
    Ok(language::query(query)?)
}

pub fn check_limit(limit: usize, expr: &Expr, limits: &QueryLimits) -> Result<(), ApiError> {
    if matches!(expr, Expr::Log(_)) && limit > limits.entries_max {
        return Err(ApiError::bad_request(format!(
            "max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {})",
            limits.entries_max
        )));
    }
    Ok(())
}

/// Loki's checks on the span of a query; gives the range cut to how far back queries may look.
pub fn check_range(api: &Api, range: TimeRange, now: Timestamp) -> Result<TimeRange, ApiError> {
    let limits = api.limits.load();
    let length_max = limits.max_query_length.ns();
    let length = range.end.0.saturating_sub(range.start.0);
    if length_max > 0 && length > length_max {
        let shown = crate::text::units::format_go_duration(length);
        return Err(ApiError::bad_request(format!(
            "the query time range exceeds the limit (query length: {shown}, limit: {:?})",
            limits.max_query_length
        )));
    }
    let lookback = limits.max_query_lookback.ns();
    if lookback > 0 {
        let oldest = now.saturating_add_ns(-lookback);
        return Ok(TimeRange::new(range.start.max(oldest), range.end.max(oldest)));
    }
    Ok(range)
}

fn check_windows(api: &Api, expr: &Expr) -> Result<(), ApiError> {
    let range_max = api.limits.load().max_query_range.ns();
    if range_max > 0
        && let Expr::Metric(metric) = expr
        && metric.max_window() > range_max
    {
        return Err(ApiError::bad_request(
            "the range in brackets exceeds max_query_range; shorten it",
        ));
    }
    Ok(())
}

pub async fn range(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let query = range_query(&api, &params, parse)?;
    let flags = EncodingFlags::of(&headers);
    let result =
        blocking(&api, tenant, "range", move |api, context| api.engine.range(&query, context))
            .await?;
    Ok(json_body(encode::query_result(&result, &flags)))
}

/// Reads the parameters and refuses what is wrong with them in Loki's order.
fn range_query(
    api: &Api,
    params: &Params,
    parse: impl FnOnce(&str) -> Result<Expr, ApiError>,
) -> Result<RangeQuery, ApiError> {
    let now = Timestamp(api.clock.now_ns());
    let range = params.range(now)?;
    let limit = params.positive("limit", 100)?;
    let direction = params.direction()?;
    let step_ns = params.check_points(range)?;
    let interval_ns = params.interval_ns()?;
    let expr = parse(params.query()?)?;
    check_limit(limit, &expr, &query_limits(api))?;
    check_windows(api, &expr)?;
    let range = check_range(api, range, now)?;
    Ok(RangeQuery {
        expr,
        start: range.start,
        end: range.end,
        step_ns,
        interval_ns,
        limit,
        direction,
    })
}

pub async fn instant(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let at = params.time("time", Timestamp(api.clock.now_ns()))?;
    let limit = params.positive("limit", 100)?;
    let direction = params.direction()?;
    let expr = parse(params.query()?)?;
    if matches!(expr, Expr::Log(_)) {
        return Err(ApiError::bad_request(
            "log queries are not supported as an instant query type, please change your query to a range query type",
        ));
    }
    check_windows(&api, &expr)?;
    let query = InstantQuery { expr, at, limit, direction };
    let flags = EncodingFlags::of(&headers);
    let result =
        blocking(&api, tenant, "instant", move |api, context| api.engine.instant(&query, context))
            .await?;
    Ok(json_body(encode::query_result(&result, &flags)))
}

/// `/api/prom/query`: streams with their labels as text, plus a `regexp` parameter.
pub async fn legacy(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let query = range_query(&api, &params, |text| {
        let expr = match params.get("regexp") {
            Some(regexp) => parse(&format!("{text} |~ {}", crate::model::quote(regexp)))?,
            None => parse(text)?,
        };
        // Loki's words, code and all: its own clients know them.
        match expr {
            Expr::Metric(_) => Err(ApiError::bad_request(
                "rpc error: code = Code(400) desc = legacy endpoints only support streams result type",
            )),
            Expr::Log(_) => Ok(expr),
        }
    })?;
    let result =
        blocking(&api, tenant, "legacy", move |api, context| api.engine.range(&query, context))
            .await?;
    let categorize = EncodingFlags::of(&headers).categorize();
    Ok(json_body(encode::legacy_streams(&result, categorize)))
}

/// For tails: the newest `limit` entries of a range, however long it is.
pub fn history(
    api: &Api,
    expr: Expr,
    range: TimeRange,
    limit: usize,
    context: &QueryContext,
) -> Result<QueryResult, QueryError> {
    let limits = QueryLimits { length_ns_max: 0, ..context.limits };
    let context =
        QueryContext { tenant: context.tenant.clone(), cancel: context.cancel.clone(), limits };
    let query = RangeQuery {
        expr,
        start: range.start,
        end: range.end,
        step_ns: 1_000_000_000,
        interval_ns: 0,
        limit,
        direction: Direction::Backward,
    };
    api.engine.range(&query, &context)
}

pub async fn format(params: Params) -> Response {
    let query = params.get("query").unwrap_or_default();
    match language::query(query) {
        Ok(expr) => json_value(&json!({"status": "success", "data": syntax::pretty(&expr)})),
        Err(error) => {
            let body = json!({"status": "invalid-query", "error": error.loki()});
            (StatusCode::BAD_REQUEST, json_value(&body)).into_response()
        }
    }
}
