//! What recording rules gave last, and the state of alerts, as gauges on `/metrics`.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::memory::Memory;
use super::state::Phase;
use crate::model::Labels;

/// The newest values of one recording rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRule {
    pub name: String,
    pub query: String,
    pub series: Vec<(Labels, f64)>,
}

/// The newest values of all recording rules, by rule id.
#[derive(Debug, Clone, Default)]
pub struct Recorded(Arc<Mutex<BTreeMap<String, RecordedRule>>>);

impl Recorded {
    pub fn set(&self, id: &str, rule: RecordedRule) {
        self.0.lock().insert(id.to_owned(), rule);
    }

    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.0.lock().retain(|id, _| keep(id));
    }
}

/// Renders both kinds of series at each scrape.
#[derive(Debug)]
pub struct RuleSeries {
    pub recorded: Recorded,
    pub memory: Arc<Memory>,
}

impl Collector for RuleSeries {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut by_name: BTreeMap<String, Vec<(Labels, f64)>> = BTreeMap::new();
        for rule in self.recorded.0.lock().values() {
            by_name.entry(rule.name.clone()).or_default().extend(rule.series.iter().cloned());
        }
        for (name, series) in &by_name {
            gauges(&mut encoder, name, "Last value of a recording rule", series)?;
        }
        let (mut states, mut since) = (Vec::new(), Vec::new());
        let mut counts: BTreeMap<Labels, f64> = BTreeMap::new();
        for alert in self.memory.all().values().flat_map(|state| state.alerts.clone()) {
            let name = match alert.phase {
                Phase::Pending => "pending",
                Phase::Firing => "firing",
                Phase::Resolved => continue,
            };
            let severity = alert.labels.get("severity").unwrap_or("none");
            let counted = Labels::from_pairs([("state", name), ("severity", severity)]);
            *counts.entry(counted).or_default() += 1.0;
            states.push((alert.labels.with("alertstate", name), 1.0));
            since.push((alert.labels, alert.active_at_ns as f64 / 1e9));
        }
        let counts: Vec<(Labels, f64)> = counts.into_iter().collect();
        gauges(&mut encoder, "alerts", "Alerts that are pending or firing", &counts)?;
        gauges(&mut encoder, "ALERTS", "Alerts that are pending or firing", &states)?;
        gauges(&mut encoder, "ALERTS_FOR_STATE", "Since when alerts are active", &since)
    }
}

fn gauges(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    series: &[(Labels, f64)],
) -> Result<(), std::fmt::Error> {
    if series.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        let pairs: Vec<(&str, &str)> = labels.iter().collect();
        ConstGauge::new(*value).encode(metric.encode_family(&pairs)?)?;
    }
    Ok(())
}
