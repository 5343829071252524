//! What a query costs and why.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::access::Tenant;
use super::error::ApiError;
use super::params::Params;
use super::stockade_query::{any_query, stats};
use super::{Api, query};
use crate::model::Timestamp;
use crate::query::syntax::{self, Expr};
use crate::query::{Explanation, RangeQuery, Selection};

pub async fn explain(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Result<Response, ApiError> {
    let expr = any_query(&params)?;
    let now = Timestamp(api.clock.now_ns());
    let range = query::check_range(&api, params.range(now)?, now)?;
    let limits = query::query_limits(&api);
    let wanted = RangeQuery {
        step_ns: params.check_points(range)?,
        start: range.start,
        end: range.end,
        interval_ns: 0,
        limit: params.positive("limit", 100)?.min(limits.entries_max),
        direction: params.direction()?,
        expr: expr.clone(),
    };
    let found = query::blocking(&api, tenant, "explain", move |api, context| {
        api.engine.explain(&wanted, context)
    })
    .await?;
    let body = json!({"status": "success", "data": shown(&expr, &found)});
    Ok(query::json_body(format!("{body}\n")))
}

fn shown(expr: &Expr, found: &Explanation) -> Value {
    let millis = |time: std::time::Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let selections: Vec<Value> = found.selections.iter().map(selection).collect();
    json!({
        "query": syntax::pretty(expr),
        "kind": if expr.as_log().is_some() { "lines" } else { "numbers" },
        "selections": selections,
        "stats": stats(&found.stats),
        "results": found.results,
        "phases_ms": {"plan": millis(found.plan_time), "read_and_evaluate": millis(found.run_time)},
        "advice": found.advice,
    })
}

fn selection(selection: &Selection) -> Value {
    let fields: Vec<Value> = selection
        .hints
        .fields
        .iter()
        .map(|field| json!({"name": field.name, "value": field.value}))
        .collect();
    json!({
        "selector": selection.selector,
        "stages": selection.stages,
        "streams": selection.streams,
        "bytes_in_range": selection.bytes_in_range,
        // What blocks are left out by: an "and" of "or"s.
        "hints": {
            "any_of_each": selection.hints.substrings,
            "any_of_each_in_any_case": selection.hints.substrings_ci,
            "fields": fields,
        },
    })
}
