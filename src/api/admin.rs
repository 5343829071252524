//! Health, metrics, reload: what operators and orchestrators ask.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::params::Params;
use super::{Api, shown_config};

pub async fn ready(State(api): State<Arc<Api>>) -> Response {
    match api.control.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => ApiError::unavailable(reason, 1).into_response(),
    }
}

/// The process answers; says nothing of the store.
pub async fn healthz() -> &'static str {
    "ok\n"
}

pub async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], api.metrics.render()).into_response()
}

pub async fn config(State(api): State<Arc<Api>>) -> String {
    shown_config::whole(&api)
}

pub async fn flush(State(api): State<Arc<Api>>) -> Result<StatusCode, ApiError> {
    match api.control.flush().await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(reason) => Err(ApiError::unavailable(reason, 5)),
    }
}

pub async fn reload(State(api): State<Arc<Api>>) -> Result<String, ApiError> {
    api.control.reload().await.map_err(|reason| {
        ApiError::bad_request(format!("the old configuration stays in force: {reason}"))
    })
}

/// `dir` and `proof`: see `Control::backup`. The answer comes when the backup is whole.
pub async fn backup(
    State(api): State<Arc<Api>>,
    params: Params,
) -> Result<Json<serde_json::Value>, ApiError> {
    let needed = |name: &str| {
        params
            .get(name)
            .map(ToOwned::to_owned)
            .ok_or_else(|| ApiError::bad_request(format!("{name} not set")))
    };
    let (dir, proof) = (needed("dir")?, needed("proof")?);
    api.control.backup(dir.into(), proof).await.map(Json).map_err(ApiError::bad_request)
}

pub async fn buildinfo() -> Json<serde_json::Value> {
    Json(serde_json::json!({
        // The Loki whose API this is; clients switch features on it.
        "version": "3.7.0",
        "revision": "stockade",
        "branch": "stockade",
        "buildUser": "stockade",
        "buildDate": "",
        "goVersion": "",
        "stockadeVersion": env!("CARGO_PKG_VERSION"),
    }))
}

pub async fn status(State(api): State<Arc<Api>>) -> Json<serde_json::Value> {
    Json(api.control.status())
}

pub async fn not_found() -> ApiError {
    ApiError::not_found("404 page not found")
}
