//! Loki's ruler API: rule groups as YAML, state as Prometheus JSON.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::access::Tenant;
use super::error::ApiError;
use super::params::Params;
use super::{Api, language};

/// Loki's words for what is not there; Grafana tells them from other faults.
const NO_GROUPS: &str = "no rule groups found";
const NO_GROUP: &str = "group does not exist";
const NO_NAMESPACE: &str = "group namespace does not exist";

fn yaml(text: Option<String>, missing: &str) -> Result<Response, ApiError> {
    let text = text.ok_or_else(|| ApiError::not_found(missing))?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], text).into_response())
}

fn accepted() -> Response {
    let body = json!({"status": "success", "data": null, "errorType": "", "error": ""});
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

pub async fn list_all(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
) -> Result<Response, ApiError> {
    yaml(api.control.rule_groups(&tenant, None, None), NO_GROUPS)
}

pub async fn list(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    Path(namespace): Path<String>,
) -> Result<Response, ApiError> {
    yaml(api.control.rule_groups(&tenant, Some(&namespace), None), NO_GROUPS)
}

pub async fn show(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    Path((namespace, group)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    yaml(api.control.rule_groups(&tenant, Some(&namespace), Some(&group)), NO_GROUP)
}

pub async fn put(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    Path(namespace): Path<String>,
    body: String,
) -> Result<Response, ApiError> {
    language::aside(|| api.control.put_rule_group(&tenant, &namespace, &body))
        .map_err(ApiError::bad_request)?;
    Ok(accepted())
}

fn delete(
    api: &Api,
    tenant: &str,
    namespace: &str,
    group: Option<&str>,
) -> Result<Response, ApiError> {
    match language::aside(|| api.control.delete_rule_group(tenant, namespace, group)) {
        Ok(true) => Ok(accepted()),
        Ok(false) if group.is_none() => Err(ApiError::not_found(NO_NAMESPACE)),
        Ok(false) => Err(ApiError::not_found(NO_GROUP)),
        Err(reason) => Err(ApiError::bad_request(reason)),
    }
}

pub async fn delete_namespace(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    Path(namespace): Path<String>,
) -> Result<Response, ApiError> {
    delete(&api, &tenant, &namespace, None)
}

pub async fn delete_group(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    Path((namespace, group)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    delete(&api, &tenant, &namespace, Some(&group))
}

fn envelope(data: &Value) -> Json<Value> {
    Json(json!({"status": "success", "data": data, "errorType": "", "error": ""}))
}

/// Keeps the groups and rules that the filters of Prometheus' API name.
fn filter_groups(data: &mut Value, params: &Params) -> Result<(), ApiError> {
    let kind = match params.get("type") {
        None => None,
        Some("alert") => Some("alerting"),
        Some("record") => Some("recording"),
        Some(other) => {
            return Err(ApiError::bad_request(
                json!({"status": "error", "data": null, "errorType": "bad_data",
                    "error": format!("not supported value {other:?}")})
                .to_string(),
            ));
        }
    };
    let names = |singular: &'static str, plural: &'static str| -> Vec<String> {
        params.all(&[singular, plural]).map(ToOwned::to_owned).collect()
    };
    let (files, groups, rules) = (
        names("file", "file[]"),
        names("rule_group", "rule_group[]"),
        names("rule_name", "rule_name[]"),
    );
    let fits = |list: &[String], value: &Value| {
        list.is_empty() || value.as_str().is_some_and(|v| list.iter().any(|l| l == v))
    };
    let Some(all) = data.get_mut("groups").and_then(Value::as_array_mut) else { return Ok(()) };
    all.retain_mut(|group| {
        if !fits(&files, &group["file"]) || !fits(&groups, &group["name"]) {
            return false;
        }
        if let Some(list) = group.get_mut("rules").and_then(Value::as_array_mut) {
            list.retain(|rule| {
                fits(&rules, &rule["name"]) && kind.is_none_or(|k| rule["type"].as_str() == Some(k))
            });
            return !list.is_empty();
        }
        true
    });
    Ok(())
}

pub async fn prometheus_rules(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let mut data = api.control.rules(&tenant);
    filter_groups(&mut data, &params)?;
    Ok(envelope(&data))
}

pub async fn prometheus_alerts(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
) -> Json<Value> {
    envelope(&api.control.alerts(&tenant))
}

/// What to do about an alert of a shipped rule; notifications link here.
pub async fn runbook(Path(alert): Path<String>) -> Result<Response, ApiError> {
    let text = crate::alert::runbook(&alert)
        .ok_or_else(|| ApiError::not_found(format!("there is no runbook for {alert:?}")))?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response())
}
