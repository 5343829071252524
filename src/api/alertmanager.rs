//! Alertmanager's API, version 2: silences, alerts and what holds them back, receivers. amtool,
//! Grafana and Karma speak it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::SecondsFormat;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::params::Params;
use super::{Api, shown_config};
use crate::model::{Labels, MatchOp, Matcher};
use crate::notify::{
    AlertView, NewSilence, NotifyError, Silence, SilenceMatcher, SilenceState, parse_matchers,
};
use crate::text::re2;

/// How long a firing alert is shown to last when nobody tells of it again, as in Alertmanager.
const RESOLVE_AFTER_NS: i64 = 5 * 60 * 1_000_000_000;

/// A refusal as Alertmanager words it: the reason as a JSON text.
pub fn refuse(status: StatusCode, reason: &str) -> Response {
    (status, Json(Value::from(reason))).into_response()
}

pub fn bad(reason: impl std::fmt::Display) -> Response {
    refuse(StatusCode::BAD_REQUEST, &reason.to_string())
}

fn failed(error: &NotifyError) -> Response {
    let status = match error {
        NotifyError::NoSilence(_) => StatusCode::NOT_FOUND,
        NotifyError::Silence(_) => StatusCode::BAD_REQUEST,
        NotifyError::Durable(_) => {
            tracing::error!(%error, "the silence could not be stored");
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(status, &error.to_string())
}

fn time(ns: i64) -> String {
    chrono::DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub fn parse_time(name: &str, text: &str) -> Result<i64, String> {
    chrono::DateTime::parse_from_rfc3339(text)
        .ok()
        .and_then(|time| time.timestamp_nanos_opt())
        .ok_or_else(|| format!("{name} {text:?} is not a time in RFC 3339"))
}

/// All `filter` parameters together.
fn filters(params: &Params) -> Result<Vec<Matcher>, String> {
    let mut matchers = Vec::new();
    for text in params.all(&["filter"]) {
        matchers.extend(parse_matchers(text)?);
    }
    Ok(matchers)
}

/// Alertmanager's rule: an empty value asks whether there is such a label at all.
fn fits<'a>(matchers: &[Matcher], value: impl Fn(&str) -> Option<&'a str>) -> bool {
    matchers.iter().all(|matcher| {
        let found = value(&matcher.name);
        let is_negative = matches!(matcher.op, MatchOp::Neq | MatchOp::Nre);
        (matcher.value.is_empty() && is_negative == found.is_some())
            || matcher.matches(found.unwrap_or_default())
    })
}

fn shown_silence(silence: &Silence, now_ns: i64) -> Value {
    let state = match silence.state(now_ns) {
        SilenceState::Pending => "pending",
        SilenceState::Active => "active",
        SilenceState::Expired => "expired",
    };
    json!({
        "id": silence.id,
        "status": {"state": state},
        "updatedAt": time(silence.updated_at_ns),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": time(silence.ends_at_ns),
        "matchers": silence.matchers,
        "startsAt": time(silence.starts_at_ns),
    })
}

/// Active ones first, those that end soon before others; then those to come; then the past.
fn order(silence: &Silence, now_ns: i64) -> (u8, i64) {
    match silence.state(now_ns) {
        SilenceState::Active => (0, silence.ends_at_ns),
        SilenceState::Pending => (1, silence.starts_at_ns),
        SilenceState::Expired => (2, -silence.ends_at_ns),
    }
}

pub async fn silences(State(api): State<Arc<Api>>, params: Params) -> Response {
    let wanted = match filters(&params) {
        Ok(wanted) => wanted,
        Err(reason) => return bad(reason),
    };
    let now_ns = api.clock.now_ns();
    let mut silences = api.notifier.silences();
    silences.retain(|silence| {
        fits(&wanted, |name| {
            let matcher = silence.matchers.iter().find(|matcher| matcher.name == name)?;
            Some(matcher.value.as_str())
        })
    });
    silences.sort_by_key(|silence| order(silence, now_ns));
    let shown: Vec<Value> = silences.iter().map(|one| shown_silence(one, now_ns)).collect();
    Json(shown).into_response()
}

/// A silence as clients post it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<PostedMatcher>,
    starts_at: String,
    ends_at: String,
    created_by: String,
    comment: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: String,
    value: String,
    is_regex: bool,
    /// Clients from before there were negative matchers leave it out.
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl Posted {
    /// Texts pass redaction like everything else that is stored.
    fn read(self, redact: impl Fn(&str) -> String) -> Result<NewSilence, String> {
        let matchers = self.matchers.into_iter().map(|matcher| SilenceMatcher {
            name: matcher.name,
            value: redact(&matcher.value),
            is_regex: matcher.is_regex,
            is_equal: matcher.is_equal,
        });
        Ok(NewSilence {
            id: self.id.filter(|id| !id.is_empty()),
            matchers: matchers.collect(),
            starts_at_ns: parse_time("startsAt", &self.starts_at)?,
            ends_at_ns: parse_time("endsAt", &self.ends_at)?,
            created_by: redact(&self.created_by),
            comment: redact(&self.comment),
        })
    }
}

pub async fn put_silence(State(api): State<Arc<Api>>, body: Bytes) -> Response {
    let posted: Posted = match serde_json::from_slice(&body) {
        Ok(posted) => posted,
        Err(error) => return bad(format!("the silence cannot be read: {error}")),
    };
    let wanted = match posted.read(|text| api.ingest.redact_text(text)) {
        Ok(wanted) => wanted,
        Err(reason) => return bad(reason),
    };
    // It is on disk before it is told: that blocks.
    let notifier = api.notifier.clone();
    match tokio::task::spawn_blocking(move || notifier.put_silence(wanted)).await {
        Ok(Ok(id)) => Json(json!({"silenceID": id})).into_response(),
        Ok(Err(error)) => failed(&error),
        Err(error) => ApiError::internal("storing the silence failed", &error).into_response(),
    }
}

pub async fn silence(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Response {
    match api.notifier.silence(&id) {
        Some(silence) => Json(shown_silence(&silence, api.clock.now_ns())).into_response(),
        None => failed(&NotifyError::NoSilence(id)),
    }
}

pub async fn expire_silence(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Response {
    let notifier = api.notifier.clone();
    match tokio::task::spawn_blocking(move || notifier.expire_silence(&id)).await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(error)) => failed(&error),
        Err(error) => ApiError::internal("ending the silence failed", &error).into_response(),
    }
}

fn map(labels: &Labels) -> BTreeMap<&str, &str> {
    labels.iter().collect()
}

fn shown_alert(view: &AlertView) -> Value {
    let suppressed = !view.silenced_by.is_empty() || !view.inhibited_by.is_empty();
    let receivers: Vec<Value> = view.receivers.iter().map(|name| json!({"name": name})).collect();
    json!({
        "annotations": map(&view.alert.annotations),
        "endsAt": time(view.alert.ends_at_ns.unwrap_or(view.heard_at_ns + RESOLVE_AFTER_NS)),
        "fingerprint": view.fingerprint,
        "receivers": receivers,
        "startsAt": time(view.alert.starts_at_ns),
        "status": {
            "inhibitedBy": view.inhibited_by,
            "mutedBy": [],
            "silencedBy": view.silenced_by,
            "state": if suppressed { "suppressed" } else { "active" },
        },
        "updatedAt": time(view.heard_at_ns),
        "generatorURL": view.alert.generator_url,
        "labels": map(&view.alert.labels),
    })
}

/// What the parameters of a list of alerts let through.
struct Wanted {
    matchers: Vec<Matcher>,
    active: bool,
    silenced: bool,
    inhibited: bool,
    receiver: Option<regex::Regex>,
}

impl Wanted {
    fn read(params: &Params) -> Result<Wanted, String> {
        let flag = |name: &str| match params.get(name) {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(format!("{name} must be true or false, not {other:?}")),
        };
        Ok(Wanted {
            matchers: filters(params)?,
            active: flag("active")?,
            silenced: flag("silenced")?,
            inhibited: flag("inhibited")?,
            receiver: params.get("receiver").map(re2::compile_anchored).transpose()?,
        })
    }

    fn has(&self, view: &AlertView) -> bool {
        let suppressed = !view.silenced_by.is_empty() || !view.inhibited_by.is_empty();
        let receiver = |regex: &regex::Regex| view.receivers.iter().any(|r| regex.is_match(r));
        !view.alert.is_resolved()
            && (self.active || suppressed)
            && (self.silenced || view.silenced_by.is_empty())
            && (self.inhibited || view.inhibited_by.is_empty())
            && self.receiver.as_ref().is_none_or(receiver)
            && fits(&self.matchers, |name| view.alert.labels.get(name))
    }
}

pub async fn alerts(State(api): State<Arc<Api>>, params: Params) -> Response {
    let wanted = match Wanted::read(&params) {
        Ok(wanted) => wanted,
        Err(reason) => return bad(reason),
    };
    let mut views = api.notifier.alerts();
    views.retain(|view| wanted.has(view));
    views.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
    Json(views.iter().map(shown_alert).collect::<Vec<_>>()).into_response()
}

/// Alerts under the groups in which they are told.
pub async fn groups(State(api): State<Arc<Api>>, params: Params) -> Response {
    let wanted = match Wanted::read(&params) {
        Ok(wanted) => wanted,
        Err(reason) => return bad(reason),
    };
    let views: BTreeMap<String, AlertView> = api
        .notifier
        .alerts()
        .into_iter()
        .filter(|view| wanted.has(view))
        .map(|view| (view.fingerprint.clone(), view))
        .collect();
    let mut groups = api.notifier.groups();
    groups.sort_by(|a, b| (&a.labels, &a.receiver).cmp(&(&b.labels, &b.receiver)));
    let mut shown = Vec::new();
    for group in &groups {
        let members = group.fingerprints.iter().filter_map(|id| views.get(id));
        let alerts: Vec<Value> = members.map(shown_alert).collect();
        let receiver = wanted.receiver.as_ref();
        if alerts.is_empty() || receiver.is_some_and(|regex| !regex.is_match(&group.receiver)) {
            continue;
        }
        shown.push(json!({
            "alerts": alerts,
            "labels": map(&group.labels),
            "receiver": {"name": group.receiver},
        }));
    }
    Json(shown).into_response()
}

pub async fn receivers(State(api): State<Arc<Api>>) -> Json<Value> {
    let names = api.notifier.receivers();
    Json(names.into_iter().map(|name| json!({"name": name})).collect())
}

pub async fn status(State(api): State<Arc<Api>>) -> Json<Value> {
    Json(json!({
        // One process, no peers: what Alertmanager says when it is not clustered.
        "cluster": {"peers": [], "status": "disabled"},
        "config": {"original": shown_config::hide(&api.control.config())},
        "uptime": time(api.started_at_ns),
        "versionInfo": {
            "branch": "stockade",
            "buildDate": "",
            "buildUser": "stockade",
            "goVersion": "",
            "revision": "stockade",
            "version": env!("CARGO_PKG_VERSION"),
        },
    }))
}
