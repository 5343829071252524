//! Loki's API for delete requests.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::access::Tenant;
use super::error::ApiError;
use super::params::Params;
use super::{Api, DeleteAsked, DeleteFailure};
use crate::limits;
use crate::model::{TimeRange, Timestamp};
use crate::text::units;

const MAX_INTERVAL_NS: i64 = 24 * 3600 * 1_000_000_000;

impl From<DeleteFailure> for ApiError {
    fn from(failure: DeleteFailure) -> ApiError {
        match failure {
            DeleteFailure::NotFound(message) => ApiError::not_found(message),
            DeleteFailure::Refused(message) => ApiError::bad_request(message),
            DeleteFailure::Storage(message) => ApiError::unavailable(message, 5),
        }
    }
}

/// Whole seconds of at most ten digits, or RFC 3339: narrower than for queries, as in Loki,
/// since a wrong unit would delete something else.
fn time(text: &str) -> Option<Timestamp> {
    if text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Timestamp::from_secs);
    }
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    time.timestamp_nanos_opt().map(Timestamp)
}

fn asked(params: &Params, tenant: String, now: Timestamp) -> Result<DeleteAsked, ApiError> {
    let bad = |text: &str| ApiError::bad_request(text);
    let query = params.get("query").ok_or_else(|| bad("query not set"))?;
    if query.len() > limits::QUERY_BYTES_MAX {
        let (bytes, bytes_max) = (query.len(), limits::QUERY_BYTES_MAX);
        return Err(ApiError::bad_request(format!(
            "the query has {bytes} bytes, at most {bytes_max} are read"
        )));
    }
    let read = |name: &str, text: &str| {
        time(text).ok_or_else(|| {
            ApiError::bad_request(format!(
                "invalid {name} time: require unix seconds or RFC3339 format"
            ))
        })
    };
    let start = params.get("start").ok_or_else(|| bad("start time not set"))?;
    let start = read("start", start)?;
    let end = params.get("end").map_or(Ok(now), |text| read("end", text))?;
    if end > now {
        return Err(bad("deletes in the future are not allowed"));
    }
    if start >= end {
        return Err(bad("start time can't be greater than or equal to end time"));
    }
    // Loki cuts requests into such pieces. Here nothing has to be cut; a value that cannot be
    // one is a mistake all the same.
    if let Some(interval) = params.get("max_interval") {
        let interval = units::parse_go_duration(interval)
            .ok_or_else(|| bad("invalid max_interval: valid time units are 's', 'm', 'h'"))?;
        if interval > MAX_INTERVAL_NS {
            return Err(bad("max_interval can't be greater than 24h0m0s"));
        }
    }
    // The end is meant with all of its last moment.
    let range = TimeRange::new(start, Timestamp(end.0.saturating_add(1)));
    Ok(DeleteAsked { tenant, query: query.to_owned(), range })
}

pub async fn request(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Result<Response, ApiError> {
    let asked = asked(&params, tenant, Timestamp(api.clock.now_ns()))?;
    let id = api.control.request_delete(asked).await?;
    Ok((StatusCode::NO_CONTENT, [("X-Delete-Request-ID", id)]).into_response())
}

/// Seconds, with a fraction only where there is one.
fn seconds(ts: Timestamp) -> Value {
    let ms = ts.0.div_euclid(1_000_000);
    if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) }
}

pub async fn list(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
) -> Json<Vec<Value>> {
    let shown = api.control.deletes(&tenant).into_iter().map(|request| {
        json!({
            "request_id": request.id,
            "start_time": seconds(request.start),
            "end_time": seconds(request.end),
            "query": request.query,
            "status": request.status,
            "created_at": seconds(request.created),
            "user_id": tenant,
        })
    });
    Json(shown.collect())
}

pub async fn cancel(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Result<StatusCode, ApiError> {
    let id = params.get("request_id").unwrap_or_default().to_owned();
    let force = params.get("force") == Some("true");
    api.control.cancel_delete(tenant, id, force).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_must_be_clear() {
        let now = Timestamp::from_secs(1_795_132_800);
        let check = |query: &str| {
            asked(&Params::from_query(query), "fake".to_owned(), now)
                .map(|asked| (asked.range.start.0, asked.range.end.0))
                .map_err(|error| error.message)
        };
        let s = 1_000_000_000;
        assert_eq!(check("query={a=%22b%22}&start=10&end=20"), Ok((10 * s, 20 * s + 1)));
        assert_eq!(check("query={}&start=1970-01-01T00:00:01Z"), Ok((s, now.0 + 1)));
        for (query, why) in [
            ("start=1", "query not set"),
            ("query={}", "start time not set"),
            ("query={}&start=x", "invalid start time: require unix seconds or RFC3339 format"),
            ("query={}&start=1795132800000", "invalid start time: require unix seconds"),
            ("query={}&start=1&end=2.5", "invalid end time"),
            ("query={}&start=1&end=1795132801", "deletes in the future are not allowed"),
            ("query={}&start=1&max_interval=x", "invalid max_interval: valid time units"),
            ("query={}&start=1&max_interval=25h", "max_interval can't be greater than 24h0m0s"),
            ("query={}&start=5&end=4", "start time can't be greater than or equal to end time"),
        ] {
            let told = check(query).unwrap_err();
            assert!(told.starts_with(why), "{query}: {told}");
        }
    }
}
