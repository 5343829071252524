//! The metrics that users define in `metrics` stages. They live as long as the process, so that
//! a reload of the configuration does not set them back; series are bounded and expire.

use std::collections::BTreeMap;
use std::fmt;

use hashbrown::HashMap;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::clock::SharedClock;
use crate::limits::CUSTOM_SERIES_MAX;
use crate::model::Labels;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram { buckets: Vec<f64> },
}

/// What a metric is called and how it behaves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    pub name: String,
    pub help: String,
    pub kind: Kind,
    pub idle_max_ns: i64,
}

enum Number {
    Plain(f64),
    Histogram(Histogram),
}

struct Series {
    number: Number,
    touched_ns: i64,
}

struct Family {
    definition: Definition,
    series: HashMap<Labels, Series>,
    clock: SharedClock,
}

/// How an observation changes a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    Add(f64),
    Set(f64),
    Observe(f64),
}

#[derive(Default)]
pub(crate) struct CustomMetrics {
    families: Mutex<BTreeMap<String, Family>>,
}

impl CustomMetrics {
    /// Makes a metric known; one that is known under the same name and kind goes on counting.
    pub fn define(&self, definition: &Definition, clock: &SharedClock) {
        let mut families = self.families.lock();
        match families.get_mut(&definition.name) {
            Some(family) if family.definition.kind == definition.kind => {
                family.definition = definition.clone();
            }
            _ => {
                let family = Family {
                    definition: definition.clone(),
                    series: HashMap::new(),
                    clock: clock.clone(),
                };
                families.insert(definition.name.clone(), family);
            }
        }
    }

    /// Changes one series. New ones beyond the limit are not counted, so that a label with many
    /// values cannot eat the memory.
    pub fn change(&self, name: &str, labels: &Labels, change: Change) {
        let mut families = self.families.lock();
        let Some(family) = families.get_mut(name) else { return };
        let now_ns = family.clock.now_ns();
        if !family.series.contains_key(labels) {
            if family.series.len() >= CUSTOM_SERIES_MAX {
                expire(family, now_ns);
                if family.series.len() >= CUSTOM_SERIES_MAX {
                    return;
                }
            }
            let number = match &family.definition.kind {
                Kind::Histogram { buckets } => {
                    Number::Histogram(Histogram::new(buckets.iter().copied()))
                }
                Kind::Counter | Kind::Gauge => Number::Plain(0.0),
            };
            family.series.insert(labels.clone(), Series { number, touched_ns: now_ns });
        }
        let Some(series) = family.series.get_mut(labels) else { return };
        series.touched_ns = now_ns;
        match (&mut series.number, change) {
            (Number::Plain(number), Change::Add(by)) => *number += by,
            (Number::Plain(number), Change::Set(to)) => *number = to,
            (Number::Histogram(histogram), Change::Observe(value)) => histogram.observe(value),
            (Number::Plain(_), Change::Observe(_)) | (Number::Histogram(_), _) => {}
        }
    }
}

fn expire(family: &mut Family, now_ns: i64) {
    let idle_max_ns = family.definition.idle_max_ns;
    family.series.retain(|_, series| now_ns.saturating_sub(series.touched_ns) <= idle_max_ns);
}

impl fmt::Debug for CustomMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomMetrics")
    }
}

impl Collector for CustomMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for family in self.families.lock().values_mut() {
            let now_ns = family.clock.now_ns();
            expire(family, now_ns);
            if family.series.is_empty() {
                continue;
            }
            // The text format adds `_total` to counters. A user's counter keeps its name, so one
            // that does not end in it is shown without a type.
            let (name, kind) = match &family.definition.kind {
                Kind::Counter => match family.definition.name.strip_suffix("_total") {
                    Some(short) => (short, MetricType::Counter),
                    None => (family.definition.name.as_str(), MetricType::Unknown),
                },
                Kind::Gauge => (family.definition.name.as_str(), MetricType::Gauge),
                Kind::Histogram { .. } => (family.definition.name.as_str(), MetricType::Histogram),
            };
            let mut sorted: Vec<(&Labels, &Series)> = family.series.iter().collect();
            sorted.sort_by_key(|(labels, _)| *labels);
            let mut metric =
                encoder.encode_descriptor(name, &family.definition.help, None, kind)?;
            for (labels, series) in sorted {
                let labels: Vec<(String, String)> =
                    labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                encode_series(metric.encode_family(&labels)?, kind, series)?;
            }
        }
        Ok(())
    }
}

fn encode_series(mut metric: MetricEncoder<'_>, kind: MetricType, series: &Series) -> fmt::Result {
    match (&series.number, kind) {
        (Number::Histogram(histogram), _) => histogram.encode(metric),
        (Number::Plain(number), MetricType::Counter) => {
            metric.encode_counter::<Vec<(String, String)>, f64, f64>(number, None)
        }
        (Number::Plain(number), _) => ConstGauge::new(*number).encode(metric),
    }
}
