//! As much of Elasticsearch as shippers need: `_bulk`, and true answers to what they ask before
//! they send (Filebeat, Logstash, Vector, Fluent Bit). Everything stands under `/elasticsearch` as
//! well, for clients that want a base path of their own.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use super::access::Tenant;
use super::error::ApiError;
use super::intake::{field_names, take};
use super::{Api, PushOutcome};
use crate::collect::push::{FaultKind, Item, Shape};

/// The version that is announced: the one whose `_bulk` this is. Beats refuse servers that are
/// older than they are unless told otherwise (`allow_older_versions`, on by default).
const VERSION: &str = "8.17.0";

pub fn routes() -> Router<Arc<Api>> {
    let mut router = Router::new();
    for prefix in ["", "/elasticsearch"] {
        let at = |path: &str| format!("{prefix}{path}");
        router = router
            .route(&at("/_bulk"), post(bulk).put(bulk))
            .route(&at("/{index}/_bulk"), post(bulk_of).put(bulk_of))
            .route(&at("/_license"), get(license))
            .route(&at("/_xpack"), get(xpack))
            .route(&at("/_cluster/health"), get(health))
            .route(&at("/_nodes/http"), get(nodes))
            .route(&at("/_ilm/policy/{name}"), any(managed))
            .route(&at("/_template/{name}"), any(managed))
            .route(&at("/_index_template/{name}"), any(managed))
            .route(&at("/_component_template/{name}"), any(managed))
            .route(&at("/_data_stream/{name}"), any(managed))
            .route(&at("/_ingest/pipeline/{name}"), any(managed));
    }
    router
        .route("/elasticsearch", get(async || info()))
        .route("/elasticsearch/", get(async || info()))
        .route("/elasticsearch/{index}", any(managed))
}

/// Whether a request for `/` wants the cluster and not the page: clients ask for JSON.
pub fn is_asked(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("json") && !accepts.contains("html"))
}

/// Official clients talk to nothing that does not carry this header.
fn answer(status: StatusCode, body: &Value) -> Response {
    let product = [("X-Elastic-Product", HeaderValue::from_static("Elasticsearch"))];
    (status, product, Json(body)).into_response()
}

pub fn info() -> Response {
    answer(
        StatusCode::OK,
        &json!({
            "name": "stockade",
            "cluster_name": "stockade",
            "cluster_uuid": "c3RvY2thZGUtc3RvY2thZGU",
            "version": {
                "number": VERSION,
                "build_flavor": "default",
                "build_type": "docker",
                "build_hash": "stockade",
                "build_date": "2024-12-12T00:00:00.000000000Z",
                "build_snapshot": false,
                "lucene_version": "9.12.0",
                "minimum_wire_compatibility_version": "7.17.0",
                "minimum_index_compatibility_version": "7.0.0",
            },
            "tagline": "You Know, for Search",
        }),
    )
}

async fn license() -> Response {
    answer(
        StatusCode::OK,
        &json!({"license": {"status": "active", "uid": "stockade", "type": "basic", "mode": "basic"}}),
    )
}

/// Index lifecycles are off: retention is ours, so that Filebeat sets none up.
async fn xpack() -> Response {
    let features = json!({
        "ilm": {"available": false, "enabled": false},
        "security": {"available": false, "enabled": false},
    });
    let license = json!({"uid": "stockade", "type": "basic", "mode": "basic", "status": "active"});
    answer(StatusCode::OK, &json!({"features": features, "license": license}))
}

async fn health(State(api): State<Arc<Api>>) -> Response {
    let (status, color) = match api.control.ready() {
        Ok(()) => (StatusCode::OK, "green"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "red"),
    };
    let body = json!({"cluster_name": "stockade", "status": color, "timed_out": false,
        "number_of_nodes": 1, "number_of_data_nodes": 1});
    answer(status, &body)
}

async fn nodes() -> Response {
    answer(StatusCode::OK, &json!({"cluster_name": "stockade", "nodes": {}}))
}

/// Templates, lifecycles, pipelines and indexes: there is nothing to set up here, so what a client
/// looks for is there, and what it puts is acknowledged.
async fn managed(request: Request) -> Response {
    let body = match request.method().as_str() {
        "GET" | "HEAD" => json!({}),
        _ => json!({"acknowledged": true}),
    };
    answer(StatusCode::OK, &body)
}

async fn bulk(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Response {
    run(&api, tenant, None, request).await
}

async fn bulk_of(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<Tenant>,
    Path(index): Path<String>,
    request: Request,
) -> Response {
    run(&api, tenant, Some(index), request).await
}

async fn run(
    api: &Api,
    Tenant(tenant): Tenant,
    index: Option<String>,
    request: Request,
) -> Response {
    let began = Instant::now();
    let shape = Shape::Bulk { index, names: field_names(&request) };
    match take(api, tenant, shape, request).await {
        Ok(PushOutcome::Items(items)) => answer(StatusCode::OK, &results(&items, began)),
        Ok(PushOutcome::Stored | PushOutcome::Partly { .. }) => {
            answer(StatusCode::OK, &results(&[], began))
        }
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &ApiError) -> Response {
    let kind = match error.status {
        StatusCode::TOO_MANY_REQUESTS => "es_rejected_execution_exception",
        StatusCode::SERVICE_UNAVAILABLE => "cluster_block_exception",
        StatusCode::PAYLOAD_TOO_LARGE => "circuit_breaking_exception",
        _ => "illegal_argument_exception",
    };
    let cause = json!({"type": kind, "reason": error.message});
    let mut told = json!({"root_cause": [cause]});
    told["type"] = cause["type"].clone();
    told["reason"] = cause["reason"].clone();
    let mut response =
        answer(error.status, &json!({"error": told, "status": error.status.as_u16()}));
    if let Some(secs) = error.retry_after_secs {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}

/// One result an item, in their order: what a client repeats, drops or counts.
fn results(items: &[Item], began: Instant) -> Value {
    let mut told = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let mut result = json!({"_index": item.index});
        // An id of ours is good for nothing but logs of clients; lines have none.
        result["_id"] = if item.id.is_empty() { format!("{at}") } else { item.id.clone() }.into();
        match &item.fault {
            None => {
                result["_version"] = 1.into();
                result["result"] = "created".into();
                result["_shards"] = json!({"total": 1, "successful": 1, "failed": 0});
                result["status"] = 201.into();
            }
            Some(fault) => {
                let kind = match fault.kind {
                    FaultKind::Malformed => "document_parsing_exception",
                    FaultKind::Unsupported => "action_request_validation_exception",
                    FaultKind::Limit => "illegal_argument_exception",
                };
                result["status"] = 400.into();
                result["error"] = json!({"type": kind, "reason": fault.reason});
            }
        }
        told.push(json!({item.action: result}));
    }
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    json!({
        "took": took,
        "errors": items.iter().any(|item| item.fault.is_some()),
        "items": told,
    })
}
