//! Keeps a share of the entries, evenly spread.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::metrics::Counters;

/// Chooses a share of a sequence.
#[derive(Debug)]
pub(super) struct Sampler {
    ratio: f64,
}

impl Sampler {
    pub fn new(cx: &mut Compile<'_>, at: &Node, ratio: f64) -> Option<Sampler> {
        if (0.0..=1.0).contains(&ratio) {
            Some(Sampler { ratio })
        } else {
            cx.fault(at, format!("the share {ratio} must be between 0 and 1"));
            None
        }
    }

    /// Whether the nth of a sequence is kept: where the sum of shares passes a whole number.
    pub fn keeps(&self, nth: u64) -> bool {
        let before = (nth as f64 * self.ratio).floor();
        ((nth + 1) as f64 * self.ratio).floor() > before
    }
}

#[derive(Debug)]
struct Sampling {
    sampler: Sampler,
    reason: String,
    dropped: Counters,
    count: AtomicU64,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let keys = cx.keys("sampling", body, &["rate", "drop_counter_reason"])?;
    let at = keys.required(cx, "rate")?;
    let rate = keys.number(cx, "rate")?;
    let sampler = Sampler::new(cx, at, rate)?;
    let reason =
        keys.text(cx, "drop_counter_reason").unwrap_or_else(|| "sampling_stage".to_owned());
    let dropped = cx.setup.metrics.dropped.clone();
    Some(Box::new(Sampling { sampler, reason, dropped, count: AtomicU64::new(0) }))
}

impl Stage for Sampling {
    fn run(&self, item: &mut Item) {
        if !self.sampler.keeps(self.count.fetch_add(1, Ordering::Relaxed)) {
            item.dropped = true;
            self.dropped.add(&[&self.reason], 1);
        }
    }
}
