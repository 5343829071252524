//! Our own counters, in Prometheus text format. Each room registers what it counts when it is
//! built; there is no global registry, so two servers in one test process do not mix.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

type LabelSet = Vec<(String, String)>;

/// Hands out counters and renders them. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

#[derive(Clone)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// A counter with label values chosen at run time. The rendered name gets `_total` added.
#[derive(Clone, Debug)]
pub struct Counters(&'static [&'static str], Family<LabelSet, Counter<u64, AtomicU64>>);

/// A gauge with label values chosen at run time.
#[derive(Clone, Debug)]
pub struct Gauges(&'static [&'static str], Family<LabelSet, Gauge<i64, AtomicI64>>);

/// A histogram with label values chosen at run time.
#[derive(Clone)]
pub struct Histograms(&'static [&'static str], Family<LabelSet, Histogram, Buckets>);

fn label_set(names: &[&str], values: &[&str]) -> LabelSet {
    debug_assert_eq!(names.len(), values.len(), "label names and values go in pairs");
    names.iter().zip(values).map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

impl Metrics {
    /// `name` without `_total`, `help` without a full stop.
    pub fn counters(&self, name: &str, help: &str, labels: &'static [&'static str]) -> Counters {
        let family = Family::default();
        self.registry.lock().register(name, help, family.clone());
        Counters(labels, family)
    }

    pub fn gauges(&self, name: &str, help: &str, labels: &'static [&'static str]) -> Gauges {
        let family = Family::default();
        self.registry.lock().register(name, help, family.clone());
        Gauges(labels, family)
    }

    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
    ) -> Histograms {
        let family = Family::new_with_constructor(Buckets(buckets));
        self.registry.lock().register(name, help, family.clone());
        Histograms(labels, family)
    }

    /// For series whose names and labels are known at run time only; made anew at each rendering.
    pub fn collector(&self, collector: Box<dyn Collector>) {
        self.registry.lock().register_collector(collector);
    }

    /// All metrics in OpenMetrics text, which Prometheus reads as its own.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry.lock());
        text
    }
}

impl Counters {
    pub fn add(&self, values: &[&str], by: u64) {
        self.1.get_or_create(&label_set(self.0, values)).inc_by(by);
    }

    /// The counter itself, to keep where adding is hot.
    pub fn with(&self, values: &[&str]) -> Counter<u64, AtomicU64> {
        self.1.get_or_create(&label_set(self.0, values)).clone()
    }

    pub fn get(&self, values: &[&str]) -> u64 {
        self.1.get_or_create(&label_set(self.0, values)).get()
    }
}

impl Gauges {
    pub fn set(&self, values: &[&str], to: i64) {
        self.1.get_or_create(&label_set(self.0, values)).set(to);
    }

    pub fn get(&self, values: &[&str]) -> i64 {
        self.1.get_or_create(&label_set(self.0, values)).get()
    }

    pub fn remove(&self, values: &[&str]) {
        self.1.remove(&label_set(self.0, values));
    }
}

impl Histograms {
    pub fn observe(&self, values: &[&str], value: f64) {
        self.1.get_or_create(&label_set(self.0, values)).observe(value);
    }
}
