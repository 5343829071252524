//! The one place that every request passes: who asks, for which tenant, and how it went.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::error::ApiError;
use crate::model::TENANT_DEFAULT;

const TENANT_HEADER: &str = "X-Scope-OrgID";

/// Routes that read or write lines; the rest is the server's own.
const TENANT_ROUTES: [&str; 11] = [
    "/loki/api/v1/",
    "/api/prom/",
    "/prometheus/",
    "/otlp/",
    "/v1/logs",
    "/insert/",
    "/stockade/api/v1/push/",
    "/stockade/api/v1/query",
    "/stockade/api/v1/context",
    "/stockade/api/v1/nearest",
    "/stockade/api/v1/explain",
];

/// The tenant of a request, put there by `pass`.
#[derive(Debug, Clone)]
pub struct Tenant(pub String);

pub async fn pass(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let response = match tenant(&api, request.headers(), &route, request.uri().query()) {
        Ok(tenant) => {
            request.extensions_mut().insert(Tenant(tenant));
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    api.counted.requests.add(&[&route, response.status().as_str()], 1);
    response
}

/// With tenants off the header is ignored, as in Loki. A tail may name its tenant in the URL: a
/// browser cannot give a WebSocket headers of its own.
fn tenant(
    api: &Api,
    headers: &HeaderMap,
    route: &str,
    url_query: Option<&str>,
) -> Result<String, ApiError> {
    let needs_tenant =
        TENANT_ROUTES.iter().any(|prefix| route.starts_with(prefix)) || route.ends_with("/_bulk");
    if !api.multi_tenant || !needs_tenant || route.ends_with("/buildinfo") {
        return Ok(TENANT_DEFAULT.to_owned());
    }
    let mut id = headers
        .get(TENANT_HEADER)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    if id.is_empty() && route.ends_with("/tail") {
        let mut params = form_urlencoded::parse(url_query.unwrap_or_default().as_bytes());
        let named = params.find(|(name, _)| name.eq_ignore_ascii_case(TENANT_HEADER));
        id = named.map(|(_, value)| value.into_owned()).unwrap_or_default();
    }
    if id.is_empty() {
        return Err(ApiError::new(axum::http::StatusCode::UNAUTHORIZED, "no org id"));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
    if id.len() > 150 || id == "." || id == ".." || !id.chars().all(legal) {
        return Err(ApiError::bad_request(format!(
            "tenant ID {id:?} is not valid: use at most 150 letters, digits and ! - _ . * ' ( )"
        )));
    }
    Ok(id)
}
