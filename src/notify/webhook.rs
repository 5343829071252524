//! Generic webhooks: Alertmanager's body, version 4, with the lines and counts added. A
//! Discord address gets what Discord understands.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value as Json, json};
use sha2::Sha256;

use super::data::common;
use super::deliver::Request;
use super::discord;
use super::escape::guard_json;
use super::integration::{HttpSettings, SecretSource, timeout};
use super::outbox::Job;
use super::slack::Surroundings;
use super::state::fingerprint;
use crate::config::notify::{RawWebhook, Secret};
use crate::model::{Alert, Labels, Timestamp};

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Webhook {
    pub send_resolved: bool,
    url: SecretSource,
    http: HttpSettings,
    timeout: Duration,
    alerts_max: usize,
    hmac: Option<SecretSource>,
}

impl Webhook {
    pub fn build(raw: &RawWebhook, url: SecretSource, http: HttpSettings) -> Webhook {
        Webhook {
            send_resolved: raw.send_resolved.unwrap_or(true),
            url,
            http,
            timeout: timeout(raw.timeout.as_ref(), TIMEOUT),
            alerts_max: raw.max_alerts,
            hmac: SecretSource::of(raw.hmac_secret.as_ref(), raw.hmac_secret_file.as_deref()),
        }
    }

    pub fn request(&self, job: &Job, around: &Surroundings) -> Result<Request, String> {
        let url = self.url.read()?;
        let mut body = if discord::is_discord(&url.0) {
            discord::body(job, around)
        } else {
            self.body(job, around)
        };
        guard_json(&mut body, around.guard);
        let body = body.to_string();
        let mut headers = self.http.headers()?;
        headers.push(("X-Stockade-Event-Id".to_owned(), Secret(event_id(job))));
        if let Some(source) = &self.hmac {
            let key = source.read()?;
            let mut mac = Hmac::<Sha256>::new_from_slice(key.0.as_bytes())
                .map_err(|_| "the hmac secret cannot be used".to_owned())?;
            mac.update(body.as_bytes());
            let hex: String =
                mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
            headers.push(("X-Stockade-Signature".to_owned(), Secret(format!("sha256={hex}"))));
        }
        Ok(Request { url, headers, body, timeout: self.timeout })
    }

    fn body(&self, job: &Job, around: &Surroundings) -> Json {
        let shown = match self.alerts_max {
            0 => job.alerts.as_slice(),
            max => job.alerts.get(..max).unwrap_or(&job.alerts),
        };
        let is_firing = job.alerts.iter().any(|alert| !alert.is_resolved());
        json!({
            "version": "4",
            "groupKey": job.group_key,
            "truncatedAlerts": job.alerts.len() - shown.len() + job.more,
            "status": if is_firing { "firing" } else { "resolved" },
            "receiver": job.receiver,
            "groupLabels": job.group_labels,
            "commonLabels": pairs(&common(&job.alerts, |alert| &alert.labels)),
            "commonAnnotations": pairs(&common(&job.alerts, |alert| &alert.annotations)),
            "externalURL": around.external_url,
            "notification_reason": job.reason.as_str(),
            "eventId": event_id(job),
            "alerts": shown.iter().map(|alert| one(alert)).collect::<Vec<_>>(),
        })
    }
}

/// The same for each attempt of a message, so that repeats can be told apart from news.
fn event_id(job: &Job) -> String {
    format!("{}-{}", job.id, job.first_at_ns)
}

fn pairs(labels: &Labels) -> Map<String, Json> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn one(alert: &Alert) -> Json {
    let time = |ns: i64| Timestamp(ns).to_string();
    let samples = alert.samples.iter();
    let samples: Vec<Json> =
        samples.map(|sample| json!({ "time": time(sample.ts_ns), "line": sample.line })).collect();
    json!({
        "status": if alert.is_resolved() { "resolved" } else { "firing" },
        "labels": pairs(&alert.labels),
        "annotations": pairs(&alert.annotations),
        "startsAt": time(alert.starts_at_ns),
        "endsAt": alert.ends_at_ns.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), time),
        "generatorURL": alert.generator_url,
        "fingerprint": fingerprint(&alert.labels),
        "value": alert.value,
        "count": alert.count,
        "samples": samples,
    })
}
