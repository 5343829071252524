//! Counters, gauges and histograms from what was extracted, shown beside our own metrics.

use std::sync::Arc;

use super::super::compile::{Compile, Flag};
use super::super::custom::{Change, CustomMetrics, Definition, Kind};
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::config::unknown;
use crate::limits::CUSTOM_BUCKETS_MAX;
use crate::model::{Labels, Text};
use crate::text::units;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Inc,
    Dec,
    Add,
    Sub,
    Set,
    Observe,
}

#[derive(Debug)]
struct Metric {
    name: String,
    source: String,
    action: Action,
    /// Only values like this count.
    value: Option<String>,
    match_all: Flag,
    count_bytes: Flag,
}

#[derive(Debug)]
struct Metrics {
    metrics: Vec<Metric>,
    custom: Arc<CustomMetrics>,
}

/// promtail's buckets, which are the Prometheus client's.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const IDLE_MAX_NS: i64 = 300_000_000_000;
const KEYS: [&str; 6] = ["type", "description", "source", "prefix", "max_idle_duration", "config"];

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let Some(pairs) = body.map().filter(|pairs| !pairs.is_empty()) else {
        cx.fault(body, "stage metrics takes a map of metric names");
        return None;
    };
    let mut metrics = Vec::new();
    for (name, definition) in pairs {
        metrics.extend(metric(cx, name, definition));
    }
    Some(Box::new(Metrics { metrics, custom: Arc::clone(&cx.setup.metrics.custom) }))
}

fn metric(cx: &mut Compile<'_>, name: &Node, body: &Node) -> Option<Metric> {
    let short = name.scalar().unwrap_or_default();
    let keys = cx.keys("metrics", body, &KEYS)?;
    let type_node = keys.required(cx, "type")?;
    let kind_name = type_node.scalar().unwrap_or_default().to_ascii_lowercase();
    let prefix = keys.text(cx, "prefix").filter(|prefix| !prefix.is_empty());
    let full = format!("{}{short}", prefix.as_deref().unwrap_or("promtail_custom_"));
    if !Labels::is_valid_name(&full.replace(':', "_")) {
        cx.fault(name, format!("metric name {full:?} is not valid"));
        return None;
    }
    let help = keys.text(cx, "description").unwrap_or_default();
    let idle_max_ns = keys.duration_ns(cx, "max_idle_duration").unwrap_or(IDLE_MAX_NS);
    let source = keys.text(cx, "source").unwrap_or_else(|| short.clone());
    let empty = Node::default();
    let config_node = keys.node("config").unwrap_or(&empty);
    let (kind, actions): (Kind, &[(&str, Action)]) = match kind_name.as_str() {
        "counter" => (Kind::Counter, &[("inc", Action::Inc), ("add", Action::Add)]),
        "gauge" => (
            Kind::Gauge,
            &[
                ("set", Action::Set),
                ("inc", Action::Inc),
                ("dec", Action::Dec),
                ("add", Action::Add),
                ("sub", Action::Sub),
            ],
        ),
        "histogram" => (Kind::Histogram { buckets: buckets(cx, config_node) }, &[]),
        _ => {
            let known = ["counter", "gauge", "histogram"];
            cx.fault(type_node, unknown("metric type", &kind_name, &known));
            return None;
        }
    };
    let known: &[&str] = match kind {
        Kind::Counter => &["action", "value", "match_all", "count_entry_bytes"],
        Kind::Gauge => &["action", "value"],
        Kind::Histogram { .. } => &["buckets", "value"],
    };
    let config = cx.keys("metrics", config_node, known)?;
    let action = if actions.is_empty() {
        Action::Observe
    } else {
        let names: Vec<&str> = actions.iter().map(|(name, _)| *name).collect();
        let given = config.text(cx, "action").unwrap_or_default().to_ascii_lowercase();
        match actions.iter().find(|(name, _)| *name == given) {
            Some((_, action)) => *action,
            None => {
                let at = config.node("action").unwrap_or(body);
                cx.fault(at, unknown("action", &given, &names));
                return None;
            }
        }
    };
    let value = config.text(cx, "value").filter(|value| !value.is_empty());
    let match_all = config.flag(cx, "match_all", Flag::Off);
    let count_bytes = config.flag(cx, "count_entry_bytes", Flag::Off);
    if match_all.is_on() && value.is_some() {
        cx.fault(body, "a counter with match_all can have no value");
    }
    if count_bytes.is_on() && (!match_all.is_on() || action != Action::Add) {
        cx.fault(body, "count_entry_bytes needs match_all: true and action: add");
    }
    if cx.errors.is_empty() {
        let definition = Definition { name: full.clone(), help, kind, idle_max_ns };
        cx.setup.metrics.custom.define(&definition, &cx.setup.clock);
    }
    Some(Metric { name: full, source, action, value, match_all, count_bytes })
}

fn buckets(cx: &mut Compile<'_>, config: &Node) -> Vec<f64> {
    let Some(list) = config.get("buckets").filter(|node| !node.is_null()) else {
        return BUCKETS.to_vec();
    };
    let mut buckets: Vec<f64> = list
        .list()
        .unwrap_or_default()
        .iter()
        .filter_map(|node| node.scalar()?.parse().ok())
        .filter(|bound: &f64| !bound.is_nan())
        .collect();
    let rising = buckets.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    if buckets.len() != list.list().map_or(0, <[Node]>::len)
        || !rising
        || buckets.is_empty()
        || buckets.len() > CUSTOM_BUCKETS_MAX
    {
        cx.fault(
            list,
            format!("buckets must be a rising list of at most {CUSTOM_BUCKETS_MAX} numbers"),
        );
        buckets = BUCKETS.to_vec();
    }
    buckets
}

/// A number, or a duration in seconds.
fn number(text: &str) -> Option<f64> {
    text.parse::<f64>()
        .ok()
        .or_else(|| units::parse_go_duration(text).map(|ns| ns as f64 / 1e9))
        .filter(|number| number.is_finite())
}

impl Metric {
    fn change(&self, item: &Item) -> Option<Change> {
        let line_bytes = item.line.len() as f64;
        let text: Option<Text> = if self.match_all.is_on() {
            None
        } else {
            let text = item.extracted.text(&self.source)?;
            if self.value.as_deref().is_some_and(|value| text != value) {
                return None;
            }
            Some(match text.as_str() {
                "true" if self.action != Action::Inc => Text::from_static("1"),
                "false" if self.action != Action::Inc => Text::from_static("0"),
                _ => text,
            })
        };
        let amount = || match &text {
            None if self.count_bytes.is_on() => Some(line_bytes),
            None => None,
            Some(text) => number(text),
        };
        Some(match self.action {
            Action::Inc => Change::Add(1.0),
            Action::Dec => Change::Add(-1.0),
            Action::Add => Change::Add(amount()?),
            Action::Sub => Change::Add(-amount()?),
            Action::Set => Change::Set(amount()?),
            Action::Observe => Change::Observe(amount()?),
        })
    }
}

impl Stage for Metrics {
    fn run(&self, item: &mut Item) {
        let mut labels = None;
        for metric in &self.metrics {
            let Some(change) = metric.change(item) else { continue };
            let labels = labels.get_or_insert_with(|| item.vetted_labels());
            self.custom.change(&metric.name, labels, change);
        }
    }
}
