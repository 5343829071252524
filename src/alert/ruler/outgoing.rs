//! From the state of an alert to what the notifier gets: lines that show why, and links.

use std::fmt::Write;

use super::Inner;
use crate::alert::rule::{Group, Rule};
use crate::alert::state::{ActiveAlert, Phase, RuleState, Shown};
use crate::alert::text::cut;
use crate::limits::{ALERT_SAMPLE_BYTES_MAX, ALERT_SAMPLE_LINES_MAX, RULE_EVIDENCE_MAX};
use crate::model::{Alert, TimeRange, Timestamp};

impl Inner {
    /// Looks up the lines behind the alerts that are about to be told.
    pub(super) fn show(
        &self,
        (group, rule): (&Group, &Rule),
        state: &mut RuleState,
        (now_ns, resend_ns): (i64, i64),
        at: Timestamp,
    ) {
        let mut budget = RULE_EVIDENCE_MAX;
        for alert in &mut state.alerts {
            if alert.phase != Phase::Firing || !alert.is_due(now_ns, resend_ns) {
                continue;
            }
            let window = rule.look.evidence.as_ref().map(|evidence| evidence.window(at));
            let range = window
                .unwrap_or_else(|| TimeRange::new(at.saturating_add_ns(-rule.look.reach_ns), at));
            let shown = Shown {
                window_start_ns: range.start.0,
                window_end_ns: range.end.0,
                generator_url: self.link(&rule.query, range),
                ..Shown::default()
            };
            let Some(evidence) = &rule.look.evidence else {
                alert.shown = shown;
                continue;
            };
            if budget == 0 {
                alert.shown = shown;
                continue;
            }
            budget -= 1;
            let log = evidence.narrowed(&alert.series);
            let found = self.evaluate.evidence(&group.tenant, &log, range, ALERT_SAMPLE_LINES_MAX);
            match found {
                Ok(found) => {
                    let mut samples = found.lines;
                    samples.truncate(ALERT_SAMPLE_LINES_MAX);
                    for sample in &mut samples {
                        sample.line = cut(std::mem::take(&mut sample.line), ALERT_SAMPLE_BYTES_MAX);
                    }
                    // The link shows the lines of this alert, not the numbers of all.
                    let generator_url = self.link(&log.to_string(), range);
                    alert.shown = Shown { count: found.count, samples, generator_url, ..shown };
                }
                // An alert without its lines is better than none.
                Err(error) => {
                    tracing::debug!(rule = %rule.name, %error, "the lines behind an alert could not be read");
                    alert.shown = shown;
                }
            }
        }
    }

    pub(super) fn outgoing(&self, alert: &ActiveAlert, query: &str) -> Alert {
        Alert {
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            starts_at_ns: alert.fired_at_ns.unwrap_or(alert.active_at_ns),
            ends_at_ns: alert.resolved_at_ns,
            value: alert.value,
            expr: query.to_owned(),
            window_start_ns: alert.shown.window_start_ns,
            window_end_ns: alert.shown.window_end_ns,
            count: alert.shown.count,
            samples: alert.shown.samples.clone(),
            generator_url: alert.shown.generator_url.clone(),
        }
    }

    fn link(&self, query: &str, range: TimeRange) -> String {
        let base = &self.around.external_url;
        format!("{base}/?query={}&start={}&end={}", escaped(query), range.start.0, range.end.0)
    }
}

/// Percent-encoding of everything but unreserved characters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
