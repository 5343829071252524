//! Pushes that are not Loki's: OTLP logs and JSON lines. The same road behind them, each with
//! the answers that its own clients understand.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use axum::{Extension, Json, Router};
use serde_json::json;

use super::access::Tenant;
use super::error::ApiError;
use super::push::{header_text, read_body, refuse};
use super::{Api, PushBody, PushOutcome};
use crate::collect::push::otlp::{self, Encoding};
use crate::collect::push::{FieldNames, Item, Shape};
use crate::limits;

/// Faults named one by one in an answer; the others are counted.
const FAULTS_TOLD: usize = 100;

pub fn routes() -> Router<Arc<Api>> {
    let lines = || -> MethodRouter<Arc<Api>> { post(json_lines) };
    Router::new()
        .route("/otlp/v1/logs", post(otlp_logs))
        .route("/v1/logs", post(otlp_logs))
        .route("/stockade/api/v1/push/jsonline", lines())
        .route("/insert/jsonline", lines())
}

/// gRPC's numbers for what went wrong, as OTLP wants them in the body.
fn grpc_code(status: StatusCode) -> u8 {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => 8,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::INTERNAL_SERVER_ERROR => 13,
        _ => 3,
    }
}

fn otlp_answer(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let content_type = HeaderValue::from_static(encoding.content_type());
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn otlp_refusal(encoding: Encoding, error: &ApiError) -> Response {
    // A client gives up on 500; a fault of ours is worth another try.
    let status = match error.status {
        StatusCode::INTERNAL_SERVER_ERROR => StatusCode::SERVICE_UNAVAILABLE,
        other => other,
    };
    let body = otlp::status(encoding, grpc_code(status), &error.message);
    let mut response = otlp_answer(status, encoding, body);
    if let Some(secs) = error.retry_after_secs {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}

async fn otlp_logs(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    request: Request,
) -> Response {
    let content_type = header_text(request.headers(), header::CONTENT_TYPE).map(ToOwned::to_owned);
    let encoding = match Encoding::from_content_type(content_type.as_deref()) {
        Ok(encoding) => encoding,
        Err(error) => return otlp_refusal(Encoding::Protobuf, &error.into()),
    };
    match take(&api, tenant, Shape::Otlp(encoding), request).await {
        // Nothing of it can be stored: then it is a bad request, which clients do not repeat.
        Ok(PushOutcome::Partly { accepted: 0, message, .. }) => {
            otlp_refusal(encoding, &ApiError::bad_request(message))
        }
        Ok(PushOutcome::Partly { rejected, message, .. }) => {
            let body = otlp::partial_success(encoding, Some((rejected, &message)));
            otlp_answer(StatusCode::OK, encoding, body)
        }
        Ok(PushOutcome::Stored | PushOutcome::Items(_)) => {
            otlp_answer(StatusCode::OK, encoding, otlp::partial_success(encoding, None))
        }
        Err(error) => otlp_refusal(encoding, &error),
    }
}

/// Reads a body and brings it in.
pub async fn take(
    api: &Api,
    tenant: String,
    shape: Shape,
    request: Request,
) -> Result<PushOutcome, ApiError> {
    let (parts, body) = request.into_parts();
    let encoding = header_text(&parts.headers, header::CONTENT_ENCODING).map(ToOwned::to_owned);
    let body = read_body(body, limits::PUSH_BODY_BYTES_MAX).await?;
    let push = PushBody { tenant, shape, encoding, body };
    api.ingest.push(push).await.map_err(refuse)
}

/// Which fields are what, from query arguments and VictoriaLogs' headers.
pub fn field_names(request: &Request) -> FieldNames {
    let mut names = FieldNames::default();
    let mut set = |name: &str, value: &str| match name {
        "_msg_field" => names.message = FieldNames::list(value),
        "_time_field" => names.time = FieldNames::list(value),
        "_stream_fields" => names.stream = FieldNames::list(value),
        "ignore_fields" => names.ignore = FieldNames::list(value),
        "extra_fields" => {
            let pairs = FieldNames::list(value);
            names.extra = pairs
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
        }
        _ => {}
    };
    for (header, name) in [
        ("VL-Msg-Field", "_msg_field"),
        ("VL-Time-Field", "_time_field"),
        ("VL-Stream-Fields", "_stream_fields"),
        ("VL-Ignore-Fields", "ignore_fields"),
        ("VL-Extra-Fields", "extra_fields"),
    ] {
        if let Some(value) = request.headers().get(header).and_then(|value| value.to_str().ok()) {
            set(name, value);
        }
    }
    let query = request.uri().query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        set(&name, &value);
    }
    names
}

async fn json_lines(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    request: Request,
) -> Result<Response, ApiError> {
    let shape = Shape::JsonLines(field_names(&request));
    Ok(match take(&api, tenant, shape, request).await? {
        PushOutcome::Items(items) => lines_answer(&items),
        PushOutcome::Stored => StatusCode::NO_CONTENT.into_response(),
        PushOutcome::Partly { message, .. } => ApiError::bad_request(message).into_response(),
    })
}

/// 204 when all lines are in; else 400 with what is wrong with which line. The others are in,
/// and a client that drops the body after a 400 does the right thing.
fn lines_answer(items: &[Item]) -> Response {
    let faulty: Vec<&Item> = items.iter().filter(|item| item.fault.is_some()).collect();
    if faulty.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let told: Vec<_> = faulty
        .iter()
        .take(FAULTS_TOLD)
        .filter_map(|item| {
            let fault = item.fault.as_ref()?;
            Some(json!({"line": item.line, "error": fault.reason}))
        })
        .collect();
    let body = json!({
        "accepted": items.len() - faulty.len(),
        "rejected": faulty.len(),
        "errors": told,
    });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
