//! The one place that every request passes: who asks, for which tenant, and how it went.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::error::ApiError;
use crate::model::TENANT_DEFAULT;
use crate::query::TENANT_SEPARATOR;

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

/// Routes that only read lines: they may be asked for several tenants at once.
const QUERY_ROUTES: [&str; 16] = [
    "/loki/api/v1/query",
    "/loki/api/v1/label",
    "/loki/api/v1/series",
    "/loki/api/v1/index/",
    "/loki/api/v1/detected_",
    "/loki/api/v1/patterns",
    "/loki/api/v1/format_query",
    "/loki/api/v1/drilldown-limits",
    "/loki/api/v1/status/",
    "/api/prom/query",
    "/api/prom/label",
    "/api/prom/series",
    "/stockade/api/v1/query",
    "/stockade/api/v1/context",
    "/stockade/api/v1/nearest",
    "/stockade/api/v1/explain",
];

/// Tenants that a query may name: each is a scan of its own.
const TENANTS_MAX: usize = 64;

/// The tenant of a request, or several with `|` between them; put there by `pass`.
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
    let several = api.multi_tenant_queries && id.contains(TENANT_SEPARATOR);
    if !several {
        check(&id)?;
        return Ok(id);
    }
    let tenants: BTreeSet<&str> =
        id.split(TENANT_SEPARATOR).filter(|tenant| !tenant.is_empty()).collect();
    if tenants.is_empty() {
        check("")?;
    }
    tenants.iter().try_for_each(|tenant| check(tenant))?;
    if tenants.len() > TENANTS_MAX {
        return Err(ApiError::bad_request(format!(
            "{} tenants are asked at once; at most {TENANTS_MAX} can be",
            tenants.len()
        )));
    }
    if tenants.len() > 1 && !QUERY_ROUTES.iter().any(|prefix| route.starts_with(prefix)) {
        return Err(ApiError::bad_request("multiple org IDs present"));
    }
    let tenants: Vec<&str> = tenants.into_iter().collect();
    Ok(tenants.join("|"))
}

/// Whether this is the name of one tenant.
fn check(id: &str) -> Result<(), ApiError> {
    if id.is_empty() {
        return Err(ApiError::new(axum::http::StatusCode::UNAUTHORIZED, "no org id"));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
    if let Some(c) = id.chars().find(|c| !legal(*c)) {
        return Err(ApiError::bad_request(format!(
            "tenant ID '{id}' contains unsupported character '{c}'"
        )));
    }
    if id.len() > 150 {
        return Err(ApiError::bad_request("tenant ID is too long: max 150 characters"));
    }
    if id == "." || id == ".." {
        return Err(ApiError::bad_request("tenant ID is '.' or '..'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tenants() {
        for (id, fault) in [
            ("a-b_c.d!*'()", None),
            ("", Some("no org id")),
            ("a|b", Some("tenant ID 'a|b' contains unsupported character '|'")),
            ("..", Some("tenant ID is '.' or '..'")),
            ("é", Some("tenant ID 'é' contains unsupported character 'é'")),
        ] {
            let told = check(id).err().map(|error| error.message);
            assert_eq!(told.as_deref(), fault, "{id}");
        }
        assert!(check(&"x".repeat(150)).is_ok() && check(&"x".repeat(151)).is_err());
    }
}
