//! Token buckets: how many lines a second may pass.

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::super::compile::{Compile, Flag};
use super::super::item::Item;
use super::super::run::Stage;
use crate::clock::SharedClock;
use crate::config::pipeline::Node;
use crate::metrics::Counters;

const KEYS: [&str; 7] =
    ["rate", "burst", "drop", "by_label_name", "max_distinct_labels", "per", "over"];
/// The least number of buckets kept, as in promtail.
const DISTINCT_MIN: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled_ns: i64,
}

#[derive(Debug, Default)]
struct Buckets {
    new: HashMap<String, Bucket>,
    /// Buckets that were not used since the last change of generation; when the new generation
    /// is full it becomes the old one, so memory is bounded without scanning.
    old: HashMap<String, Bucket>,
}

struct Limit {
    rate: f64,
    burst: f64,
    per: Vec<String>,
    distinct_max: usize,
    buckets: Mutex<Buckets>,
    clock: SharedClock,
    dropped: Counters,
}

impl std::fmt::Debug for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limit").field("rate", &self.rate).finish_non_exhaustive()
    }
}

pub(super) fn compile(cx: &mut Compile<'_>, at: &Node, body: &Node) -> Option<Box<dyn Stage>> {
    let keys = cx.keys("limit", body, &KEYS)?;
    let node = keys.required(cx, "rate")?;
    let Some(rate) = rate_per_second(&node.scalar().unwrap_or_default()) else {
        cx.fault(node, "rate must be a number of lines a second, such as 500 or 500/s");
        return None;
    };
    let burst = keys.number(cx, "burst").unwrap_or_else(|| rate.max(1.0).ceil());
    if rate <= 0.0 || burst < 1.0 {
        cx.fault(node, "rate must be above 0 and burst at least 1");
    }
    let mut per = keys.names(cx, "per");
    per.extend(keys.text(cx, "by_label_name").filter(|name| !name.is_empty()));
    let native = keys.any(&["per", "over"]).is_some();
    let over = keys.text(cx, "over").unwrap_or_else(|| "drop".to_owned());
    let drop = keys.flag(cx, "drop", if native { Flag::On } else { Flag::Off });
    if over != "drop" {
        cx.fault(at, format!("over: {over:?} is not known; it can only be drop"));
    }
    if !drop.is_on() {
        // Waiting inside a pipeline would hold up every other stream of the source.
        cx.warn(
            at,
            "stage limit without drop: true makes promtail wait; here lines above the rate pass. Set drop: true to enforce it",
        );
        return Some(Box::new(NoLimit));
    }
    let distinct_max = keys.count(cx, "max_distinct_labels", DISTINCT_MIN).max(DISTINCT_MIN);
    Some(Box::new(Limit {
        rate,
        burst,
        per,
        distinct_max,
        buckets: Mutex::default(),
        clock: cx.setup.clock.clone(),
        dropped: cx.setup.metrics.dropped.clone(),
    }))
}

/// `500`, `500/s`, `30000/m`, `100/h`.
fn rate_per_second(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    number.trim().parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| n / seconds)
}

#[derive(Debug)]
struct NoLimit;

impl Stage for NoLimit {
    fn run(&self, _: &mut Item) {}
}

impl Limit {
    fn allows(&self, key: String) -> bool {
        let now_ns = self.clock.now_ns();
        let mut buckets = self.buckets.lock();
        let mut bucket = buckets
            .new
            .get(&key)
            .or_else(|| buckets.old.get(&key))
            .copied()
            .unwrap_or(Bucket { tokens: self.burst, filled_ns: now_ns });
        let passed_ns = now_ns.saturating_sub(bucket.filled_ns).max(0);
        bucket.tokens = (bucket.tokens + passed_ns as f64 / 1e9 * self.rate).min(self.burst);
        bucket.filled_ns = now_ns;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        buckets.new.insert(key, bucket);
        if buckets.new.len() >= self.distinct_max {
            buckets.old = std::mem::take(&mut buckets.new);
        }
        allowed
    }
}

impl Stage for Limit {
    fn run(&self, item: &mut Item) {
        let mut key = String::new();
        for name in &self.per {
            // Lines without the label are not limited, as in promtail.
            let Some(value) = item.label(name) else { return };
            key.push_str(value);
            key.push('\u{0}');
        }
        if !self.allows(key) {
            item.dropped = true;
            self.dropped.add(&["ratelimit_drop_stage"], 1);
        }
    }
}
