//! Labels, series, statistics, volumes, detected fields: what Grafana asks beside queries.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::access::Tenant;
use super::error::ApiError;
use super::params::Params;
use super::query::{blocking, check_limit, check_range, json_body, json_value, query_limits};
use super::{Api, encode, language, stats};
use crate::model::{Matcher, TimeRange, Timestamp};
use crate::query::syntax::Expr;
use crate::query::{
    FieldQuery, PatternQuery, QueryStats, Volume, VolumeBy, VolumeQuery, VolumeSeries,
};

type Answer = Result<Response, ApiError>;

fn range(api: &Api, params: &Params) -> Result<TimeRange, ApiError> {
    let now = Timestamp(api.clock.now_ns());
    let range = check_range(api, params.range(now)?, now)?;
    // Loki's metadata ranges include their end.
    Ok(TimeRange::new(range.start, range.end.saturating_add_ns(1)))
}

/// The selector in `query`; none when it is absent.
fn matchers(params: &Params) -> Result<Vec<Matcher>, ApiError> {
    match params.get("query") {
        None => Ok(Vec::new()),
        Some(text) => Ok(language::selector(text)?),
    }
}

fn success(data: &impl serde::Serialize) -> Response {
    json_value(&json!({"status": "success", "data": data}))
}

pub async fn labels(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Answer {
    let (range, matchers) = (range(&api, &params)?, matchers(&params)?);
    let names = blocking(&api, tenant, "labels", move |api, context| {
        api.engine.labels(&matchers, range, context)
    })
    .await?;
    Ok(success(&names))
}

pub async fn label_values(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    Path(name): Path<String>,
    params: Params,
) -> Answer {
    let (range, matchers) = (range(&api, &params)?, matchers(&params)?);
    let values = blocking(&api, tenant, "label_values", move |api, context| {
        api.engine.label_values(&name, &matchers, range, context)
    })
    .await?;
    Ok(success(&values))
}

pub async fn series(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Answer {
    let range = range(&api, &params)?;
    let selectors = language::selectors(params.all(&["match[]", "match"]))?;
    // `{}` alone means all series; beside others it is a mistake.
    if selectors.len() > 1 && selectors.iter().any(Vec::is_empty) {
        return Err(ApiError::bad_request("0 matchers in group: {}"));
    }
    let series = blocking(&api, tenant, "series", move |api, context| {
        api.engine.series(&selectors, range, context)
    })
    .await?;
    let mut out = String::from("{\"status\":\"success\",\"data\":[");
    for (at, labels) in series.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        encode::labels(&mut out, labels);
    }
    out.push_str("]}\n");
    Ok(json_body(out))
}

pub async fn index_stats(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Answer {
    params.positive("limit", 100)?;
    params.direction()?;
    params.check_points(params.range(Timestamp(api.clock.now_ns()))?)?;
    params.interval_ns()?;
    let (matchers, range) = (language::selector(params.query()?)?, range(&api, &params)?);
    let stats = blocking(&api, tenant, "index_stats", move |api, context| {
        api.engine.index_stats(&matchers, range, context)
    })
    .await?;
    Ok(json_value(&json!({
        "streams": stats.streams,
        "chunks": stats.chunks,
        "bytes": stats.bytes,
        "entries": stats.entries,
    })))
}

fn volume_query(api: &Api, params: &Params) -> Result<VolumeQuery, ApiError> {
    let limits = api.limits.load();
    if !limits.volume_enabled {
        return Err(ApiError::not_found("volume_enabled is off"));
    }
    let by = match params.get("aggregateBy") {
        None | Some("series") => VolumeBy::Series,
        Some("labels") => VolumeBy::Labels,
        Some(_) => return Err(ApiError::bad_request("invalid aggregation option")),
    };
    let limit = match params.get("limit") {
        Some("0") => 100,
        _ => params.positive("limit", 100)?,
    };
    params.direction()?;
    let target_labels = params.get("targetLabels").map_or_else(Vec::new, |names| {
        names.split(',').map(|name| name.trim().to_owned()).filter(|n| !n.is_empty()).collect()
    });
    Ok(VolumeQuery {
        matchers: language::selector_or_all(params.query()?)?,
        range: range(api, params)?,
        limit: limit.min(limits.volume_max_series),
        target_labels,
        by,
    })
}

fn volume_labels(out: &mut String, labels: &[(String, String)]) {
    out.push_str("{\"metric\":");
    encode::pairs(out, labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
}

pub async fn volume(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Answer {
    params.time("time", Timestamp(0))?;
    let query = volume_query(&api, &params)?;
    let end = Timestamp(query.range.end.0 - 1);
    let volumes: Vec<Volume> =
        blocking(&api, tenant, "volume", move |api, context| api.engine.volume(&query, context))
            .await?;
    let mut out =
        String::from("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[");
    for (at, volume) in volumes.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        volume_labels(&mut out, &volume.labels);
        out.push_str(",\"value\":");
        encode::point(&mut out, end, volume.bytes as f64);
        out.push('}');
    }
    let _ = writeln!(out, "],\"stats\":{}}}}}", stats::stats(&QueryStats::default(), 0));
    Ok(json_body(out))
}

pub async fn volume_range(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Answer {
    let step_ns = params.check_points(params.range(Timestamp(api.clock.now_ns()))?)?;
    params.interval_ns()?;
    let query = volume_query(&api, &params)?;
    let series: Vec<VolumeSeries> = blocking(&api, tenant, "volume", move |api, context| {
        api.engine.volume_range(&query, step_ns, context)
    })
    .await?;
    let mut out =
        String::from("{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[");
    for (at, one) in series.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        volume_labels(&mut out, &one.labels);
        out.push_str(",\"values\":[");
        for (at, (ts, bytes)) in one.points.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            encode::point(&mut out, *ts, *bytes as f64);
        }
        out.push_str("]}");
    }
    let _ = writeln!(out, "],\"stats\":{}}}}}", stats::stats(&QueryStats::default(), 0));
    Ok(json_body(out))
}

fn field_query(api: &Api, params: &Params) -> Result<FieldQuery, ApiError> {
    let limit = match params.get("limit") {
        Some(_) => params.positive("limit", 1000)?,
        None => params.positive("field_limit", 1000)?,
    };
    let line_limit = params.positive("line_limit", 100)?;
    params.check_points(params.range(Timestamp(api.clock.now_ns()))?)?;
    let log = language::log(params.query()?)?;
    check_limit(line_limit, &Expr::Log(log.clone()), &query_limits(api))?;
    Ok(FieldQuery { log, range: range(api, params)?, line_limit, field_limit: limit })
}

pub async fn detected_fields(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Answer {
    let query = field_query(&api, &params)?;
    let limit = query.field_limit;
    let fields = blocking(&api, tenant, "detected_fields", move |api, context| {
        api.engine.detected_fields(&query, context)
    })
    .await?;
    if fields.is_empty() {
        return Ok(json_value(&json!({})));
    }
    let fields: Vec<Value> = fields
        .iter()
        .take(limit)
        .map(|field| {
            let parsers: Vec<&str> = field.parsers.iter().map(|p| p.as_str()).collect();
            let mut shown = json!({
                "label": field.label,
                "type": field.kind.as_str(),
                "cardinality": field.cardinality,
                "parsers": if parsers.is_empty() { Value::Null } else { json!(parsers) },
            });
            if !field.json_path.is_empty() {
                shown["jsonPath"] = json!(field.json_path);
            }
            shown
        })
        .collect();
    Ok(json_value(&json!({"fields": fields, "limit": limit})))
}

pub async fn detected_field_values(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    Path(name): Path<String>,
    params: Params,
) -> Answer {
    let query = field_query(&api, &params)?;
    let limit = query.field_limit;
    let values = blocking(&api, tenant, "detected_fields", move |api, context| {
        api.engine.detected_field_values(&name, &query, context)
    })
    .await?;
    if values.is_empty() {
        return Ok(json_value(&json!({})));
    }
    Ok(json_value(&json!({"values": values, "limit": limit})))
}

pub async fn detected_labels(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Answer {
    let (range, matchers) = (range(&api, &params)?, matchers(&params)?);
    let labels = blocking(&api, tenant, "detected_labels", move |api, context| {
        api.engine.detected_labels(&matchers, range, context)
    })
    .await?;
    let labels: Vec<Value> = labels
        .iter()
        .map(|label| json!({"label": label.label, "cardinality": label.cardinality}))
        .collect();
    if labels.is_empty() {
        return Ok(json_value(&json!({})));
    }
    Ok(json_value(&json!({"detectedLabels": labels})))
}

/// Patterns given at most.
const PATTERNS_MAX: usize = 300;

pub async fn patterns(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    params: Params,
) -> Answer {
    let log = language::log(params.query()?)?;
    let range = params.range(Timestamp(api.clock.now_ns()))?;
    let step_ns = params.check_points(range)?;
    let query = PatternQuery { log, range, step_ns, limit: PATTERNS_MAX };
    let patterns = blocking(&api, tenant, "patterns", move |api, context| {
        api.engine.patterns(&query, context)
    })
    .await?;
    let data: Vec<Value> = patterns
        .iter()
        .map(|pattern| {
            let samples: Vec<Value> = pattern
                .samples
                .iter()
                .map(|(ts, count)| json!([ts.0.div_euclid(1_000_000_000), count]))
                .collect();
            json!({"pattern": pattern.pattern, "level": pattern.level, "samples": samples})
        })
        .collect();
    Ok(success(&data))
}
