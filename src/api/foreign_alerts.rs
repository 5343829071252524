//! Alerts that others send (`POST /api/v2/alerts`): Prometheus, Loki's ruler, scripts. They go the
//! way of our own: routes, groups, silences, receivers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Api;
use super::alertmanager::{bad, parse_time, refuse};
use crate::limits;
use crate::model::{Alert, Labels};

/// How long a sender waits for room before it is told to come again.
const ROOM_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: Option<String>,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
}

/// Go's time that stands for none.
fn is_set(text: &str) -> bool {
    !text.is_empty() && !text.starts_with("0001-01-01T00:00:00")
}

impl Posted {
    /// Texts pass redaction like everything else that is stored or told.
    fn read(self, now_ns: i64, redact: &impl Fn(&str) -> String) -> Result<Alert, String> {
        let time = |name: &str, text: Option<String>| {
            text.filter(|text| is_set(text)).map(|text| parse_time(name, &text)).transpose()
        };
        let starts = time("startsAt", self.starts_at)?;
        let ends = time("endsAt", self.ends_at)?;
        // Alertmanager's defaults.
        let starts_at_ns = starts.unwrap_or_else(|| ends.map_or(now_ns, |end| end.min(now_ns)));
        if ends.is_some_and(|end| end < starts_at_ns) {
            return Err("start time must be before end time".to_owned());
        }
        let pairs = |map: BTreeMap<String, String>| {
            Labels::from_pairs(map.into_iter().map(|(name, value)| (name, redact(&value))))
        };
        if let Some(name) = self.labels.keys().find(|name| !Labels::is_valid_name(name)) {
            return Err(format!("invalid label name {name:?}"));
        }
        let labels = pairs(self.labels);
        if labels.is_empty() {
            return Err("at least one label pair required".to_owned());
        }
        Ok(Alert {
            labels,
            annotations: pairs(self.annotations),
            starts_at_ns,
            // An end to come is when the sender gives up, not when the alert is over.
            ends_at_ns: ends.filter(|end| *end <= now_ns),
            value: 0.0,
            expr: String::new(),
            window_start_ns: starts_at_ns,
            window_end_ns: now_ns,
            count: 0,
            samples: Vec::new(),
            generator_url: redact(&self.generator_url),
        })
    }
}

/// Takes what is in order; Alertmanager too says what is wrong with the rest.
pub async fn put(State(api): State<Arc<Api>>, body: Bytes) -> Response {
    let posted: Vec<Posted> = match serde_json::from_slice(&body) {
        Ok(posted) => posted,
        Err(error) => return bad(format!("the alerts cannot be read: {error}")),
    };
    if posted.len() > limits::NOTIFY_ALERTS_MAX {
        return bad(format!("{} alerts at once; send fewer", posted.len()));
    }
    let now_ns = api.clock.now_ns();
    let redact = |text: &str| api.ingest.redact_text(text);
    let (mut alerts, mut faults) = (Vec::new(), Vec::new());
    for one in posted {
        match one.read(now_ns, &redact) {
            Ok(alert) => alerts.push(alert),
            Err(fault) => faults.push(fault),
        }
    }
    if !alerts.is_empty() {
        let sent = api.notifier.alerts_in().send_timeout(alerts, ROOM_WAIT).await;
        if sent.is_err() {
            let reason = "too many alerts are under way; send these again in a moment";
            return refuse(StatusCode::SERVICE_UNAVAILABLE, reason);
        }
    }
    match faults.first() {
        Some(_) => bad(faults.join("; ")),
        None => StatusCode::OK.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_132_800 * 1_000_000_000;

    #[track_caller]
    fn check(json: &str, expect: Result<(i64, Option<i64>), &str>) {
        let posted: Posted = serde_json::from_str(json).unwrap();
        let found = posted.read(NOW, &|text: &str| text.to_owned());
        let found = found.map(|alert| (alert.starts_at_ns, alert.ends_at_ns));
        assert_eq!(found, expect.map_err(str::to_owned), "{json}");
    }

    #[test]
    fn times_of_alerts() {
        let s = 1_000_000_000;
        check(r#"{"labels":{"alertname":"A"}}"#, Ok((NOW, None)));
        check(
            r#"{"labels":{"a":"b"},"startsAt":"1970-01-01T00:00:01Z","endsAt":"0001-01-01T00:00:00Z"}"#,
            Ok((s, None)),
        );
        check(
            r#"{"labels":{"a":"b"},"startsAt":"1970-01-01T00:00:01Z","endsAt":"1970-01-01T00:00:02Z"}"#,
            Ok((s, Some(2 * s))),
        );
        check(
            r#"{"labels":{"a":"b"},"startsAt":"1970-01-01T00:00:01Z","endsAt":"2100-01-01T00:00:00Z"}"#,
            Ok((s, None)),
        );
        check(
            r#"{"labels":{"a":"b"},"startsAt":"1970-01-01T00:00:02Z","endsAt":"1970-01-01T00:00:01Z"}"#,
            Err("start time must be before end time"),
        );
        check(r#"{"labels":{}}"#, Err("at least one label pair required"));
        check(r#"{"labels":{"a":""}}"#, Err("at least one label pair required"));
        check(r#"{"labels":{"a b":"c"}}"#, Err("invalid label name \"a b\""));
    }
}
