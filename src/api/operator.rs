//! What Loki tells its operators: services, rings, the limits of a tenant, the level of the log.
//! One process stands for all of Loki's, so every ring has one member.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::params::Params;
use super::query::json_value;
use super::{Api, shown_config};
use crate::collect::push::otlp::INDEX_LABELS;
use crate::config::Span;
use crate::model::Timestamp;

/// Loki's pages of members, one for each of its parts.
const RINGS: [&str; 6] = [
    "/ring",
    "/distributor/ring",
    "/ruler/ring",
    "/compactor/ring",
    "/scheduler/ring",
    "/indexgateway/ring",
];

const SERVICES: [&str; 6] = ["server", "store", "ingester", "querier", "ruler", "notifier"];

pub fn routes() -> Router<Arc<Api>> {
    let mut router = Router::new()
        .route("/services", get(services))
        .route("/log_level", get(log_level).post(set_log_level))
        .route("/config/tenant/v1/limits", get(tenant_limits))
        .route("/loki/api/v1/drilldown-limits", get(drilldown_limits));
    for path in RINGS {
        router = router.route(path, get(ring));
    }
    router
}

async fn services(State(api): State<Arc<Api>>) -> String {
    let state = if api.control.ready().is_ok() { "Running" } else { "Failed" };
    SERVICES.iter().fold(String::new(), |mut text, name| {
        let _ = writeln!(text, "{name} => {state}");
        text
    })
}

async fn ring(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let now = Timestamp(api.clock.now_ns());
    let state = if api.control.ready().is_ok() { "ACTIVE" } else { "UNHEALTHY" };
    let wants_json = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("application/json"));
    if wants_json {
        return json_value(&json!({
            "shards": [{
                "id": "stockade",
                "state": state,
                "address": "",
                "timestamp": now.to_string(),
                "registered_timestamp": Timestamp(api.started_at_ns).to_string(),
                "read_only": false,
                "read_only_updated_timestamp": "0001-01-01T00:00:00Z",
                "zone": "",
                "tokens": [],
            }],
            "now": now.to_string(),
        }));
    }
    let page = format!(
        "<!DOCTYPE html>\n<title>Ring Status</title>\n<h1>Ring Status</h1>\n<p>Current time: {now}</p>\n<table><tr><th>Instance ID</th><th>State</th></tr><tr><td>stockade</td><td>{state}</td></tr></table>\n"
    );
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

async fn log_level(State(api): State<Arc<Api>>) -> Response {
    let level = api.control.log_level();
    json_value(&json!({"message": format!("Current log level is {level}")}))
}

async fn set_log_level(State(api): State<Arc<Api>>, params: Params) -> Response {
    let level = params.get("log_level").unwrap_or_default();
    match api.control.set_log_level(level) {
        Ok(()) => json_value(&json!({
            "status": "success",
            "message": format!("Log level set to {level}"),
        })),
        Err(reason) => {
            let body = json!({"status": "failed", "message": reason});
            (StatusCode::BAD_REQUEST, json_value(&body)).into_response()
        }
    }
}

/// The limits that clients may know, in Loki's order.
fn published(api: &Api) -> Value {
    let limits = api.limits.load();
    let span = |span: Span| format!("{span:?}");
    json!({
        "discover_log_levels": limits.discover_log_levels,
        "discover_service_name": limits.discover_service_name,
        "log_level_fields": limits.log_level_fields,
        "max_entries_limit_per_query": limits.max_entries_limit_per_query,
        "max_line_size_truncate": limits.max_line_size_truncate,
        "max_query_bytes_read": format!("{}B", limits.max_query_bytes_read.bytes()),
        "max_query_length": span(limits.max_query_length),
        "max_query_lookback": span(limits.max_query_lookback),
        "max_query_range": span(limits.max_query_range),
        "max_query_series": limits.max_query_series,
        "metric_aggregation_enabled": false,
        "otlp_config": {
            "resource_attributes": {
                "attributes_config": [{
                    "action": "index_label",
                    "attributes": INDEX_LABELS,
                }],
            },
        },
        "pattern_persistence_enabled": true,
        "query_timeout": span(limits.query_timeout),
        "retention_period": span(api.retention_period),
        "volume_enabled": limits.volume_enabled,
        "volume_max_series": limits.volume_max_series,
    })
}

/// What Grafana's Logs Drilldown asks before it draws anything.
async fn drilldown_limits(State(api): State<Arc<Api>>) -> Response {
    json_value(&json!({
        "limits": published(&api),
        "pattern_ingester_enabled": true,
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// These and all others, as YAML.
async fn tenant_limits(State(api): State<Arc<Api>>) -> Response {
    let mut limits = shown_config::limits(&api.limits.load());
    if let (Value::Object(all), Value::Object(published)) = (&mut limits, published(&api)) {
        all.extend(published);
    }
    let text = shown_config::yaml(&limits, "");
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
