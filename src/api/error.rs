//! The only place that knows status codes. Bodies are plain text, as Loki's are: Grafana and
//! logcli show them unchanged.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::collect::push::PushError;
use crate::query::syntax::ParseError;

/// What a client gets to see. Causes that are not the client's business are logged instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub status: StatusCode,
    pub message: String,
    pub retry_after_secs: Option<u64>,
}

/// Loki's and nginx' code for "client went away".
pub const CLIENT_CLOSED: u16 = 499;

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        ApiError { status, message: message.into(), retry_after_secs: None }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::NOT_FOUND, message)
    }

    /// For faults of ours: logged with their cause, told without it.
    pub fn internal(context: &'static str, cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "{context}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{context}: {cause}"))
    }

    pub fn unavailable(message: impl Into<String>, retry_after_secs: u64) -> Self {
        ApiError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: message.into(),
            retry_after_secs: Some(retry_after_secs),
        }
    }

    pub fn too_many(message: impl Into<String>, retry_after_secs: u64) -> Self {
        ApiError {
            status: StatusCode::TOO_MANY_REQUESTS,
            message: message.into(),
            retry_after_secs: Some(retry_after_secs),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut message = self.message;
        message.push('\n');
        let mut response = (self.status, message).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(secs) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> Self {
        ApiError::bad_request(error.loki())
    }
}

impl From<PushError> for ApiError {
    fn from(error: PushError) -> Self {
        let status = match &error {
            PushError::TooLarge { .. }
            | PushError::TooMany { .. }
            | PushError::TooManyEntries { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            PushError::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            PushError::NoStreams => StatusCode::UNPROCESSABLE_ENTITY,
            PushError::Encoding(_)
            | PushError::NoContentType
            | PushError::Compression { .. }
            | PushError::Protobuf(_)
            | PushError::Json(_)
            | PushError::Bulk(_)
            | PushError::BadLabels(_)
            | PushError::Labels { .. } => StatusCode::BAD_REQUEST,
        };
        ApiError::new(status, error.to_string())
    }
}
