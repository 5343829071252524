//! Pushes: bounded bodies in, Loki's answers out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Extension;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::access::Tenant;
use super::error::ApiError;
use super::{Api, PushBody, PushFailure, PushOutcome};
use crate::collect::push::{Format, PushError, Shape};
use crate::limits;

/// Room made for a body before any of it has come.
const STATED_BYTES_MAX: usize = 1 << 20;

pub async fn loki(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let (parts, body) = request.into_parts();
    let format = Format::from_content_type(header_text(&parts.headers, header::CONTENT_TYPE))?;
    let encoding = header_text(&parts.headers, header::CONTENT_ENCODING).map(ToOwned::to_owned);
    let body = read_body(body, limits::PUSH_BODY_BYTES_MAX).await?;
    let shape = Shape::Loki(format);
    match api.ingest.push(PushBody { tenant, shape, encoding, body }).await {
        Ok(PushOutcome::Stored | PushOutcome::Items(_)) => Ok(StatusCode::NO_CONTENT),
        Ok(PushOutcome::Partly { message, .. }) => Err(ApiError::bad_request(message)),
        Err(failure) => Err(refuse(failure)),
    }
}

pub fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

pub fn refuse(failure: PushFailure) -> ApiError {
    match failure {
        PushFailure::Body(error) => error.into(),
        PushFailure::Limited(message) => ApiError::too_many(message, 1),
        PushFailure::Busy(message) => ApiError::too_many(message, 1),
        PushFailure::Storage(message) => ApiError::unavailable(message, 5),
    }
}

/// Bytes of all bodies in memory, from the first that arrives until the last reference is gone.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// A body, counted among those in memory for as long as it lives.
#[derive(Default)]
struct Counted {
    whole: Vec<u8>,
    counted: usize,
}

impl Counted {
    /// Makes sure of room for so many bytes in all; false when others hold it.
    fn reserve(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.counted);
        let held = HELD.fetch_add(more, Ordering::Relaxed) + more;
        self.counted += more;
        held <= limits::PUSH_BYTES_IN_FLIGHT_MAX
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        HELD.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.whole
    }
}

/// Reads a body up to a limit; a body that states a larger length is refused unread.
pub async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::from(PushError::TooLarge { bytes_max, when: "" });
    let stated = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if stated > bytes_max {
        return Err(too_large());
    }
    let mut chunks = body.into_data_stream();
    // What is stated is not believed before it comes: an idle connection holds little.
    let mut body = Counted::default();
    body.whole.reserve_exact(stated.min(STATED_BYTES_MAX));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::bad_request(format!("the body ended before it was complete: {error}"))
        })?;
        let bytes = body.whole.len() + chunk.len();
        if bytes > bytes_max {
            return Err(too_large());
        }
        if !body.reserve(bytes) {
            return Err(ApiError::too_many(
                "the pushes under way take all memory that is meant for them; send this one again in a moment",
                1,
            ));
        }
        body.whole.extend_from_slice(&chunk);
    }
    Ok(Bytes::from_owner(body))
}
