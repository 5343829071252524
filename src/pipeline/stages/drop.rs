//! Drops entries that meet all given conditions.

use std::sync::atomic::{AtomicU64, Ordering};

use regex::Regex;

use super::super::compile::{Compile, texts};
use super::super::item::Item;
use super::super::run::Stage;
use super::sampling::Sampler;
use crate::clock::SharedClock;
use crate::config::pipeline::Node;
use crate::metrics::Counters;

const KEYS: [&str; 9] = [
    "source",
    "separator",
    "expression",
    "value",
    "older_than",
    "longer_than",
    "drop_counter_reason",
    "reason",
    "keep_ratio",
];

#[derive(Debug)]
enum Test {
    /// All of these names have a value.
    Present(Vec<String>),
    /// The values joined, or the line when there are no sources.
    Matches {
        sources: Vec<String>,
        separator: String,
        regex: Regex,
    },
    Equals {
        sources: Vec<String>,
        separator: String,
        value: String,
    },
}

struct Drop {
    test: Option<Test>,
    older_than_ns: Option<i64>,
    longer_than: Option<usize>,
    keep: Option<Sampler>,
    reason: String,
    clock: SharedClock,
    dropped: Counters,
    count: AtomicU64,
}

impl std::fmt::Debug for Drop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drop").field("test", &self.test).finish_non_exhaustive()
    }
}

pub(super) fn compile(cx: &mut Compile<'_>, at: &Node, body: &Node) -> Option<Box<dyn Stage>> {
    let keys = cx.keys("drop", body, &KEYS)?;
    let mut sources = keys.node("source").map(|node| texts(cx, node)).unwrap_or_default();
    if let [one] = sources.as_slice() {
        sources = one.split(',').map(|name| name.trim().to_owned()).collect();
        sources.retain(|name| !name.is_empty());
    }
    let separator = keys.text(cx, "separator").filter(|s| !s.is_empty()).unwrap_or(";".to_owned());
    let value = keys.text(cx, "value").filter(|value| !value.is_empty());
    let test = match (keys.node("expression"), value) {
        (Some(_), Some(_)) => {
            cx.fault(at, "stage drop takes expression or value, not both");
            return None;
        }
        (Some(node), None) => Some(Test::Matches { sources, separator, regex: cx.regex(node)? }),
        (None, Some(_)) if sources.is_empty() => {
            cx.fault(at, "stage drop with value needs a source");
            return None;
        }
        (None, Some(value)) => Some(Test::Equals { sources, separator, value }),
        (None, None) if sources.is_empty() => None,
        (None, None) => Some(Test::Present(sources)),
    };
    let older_than_ns = keys.duration_ns(cx, "older_than");
    let longer_than = keys.bytes(cx, "longer_than");
    let keep = keys.number(cx, "keep_ratio").and_then(|ratio| Sampler::new(cx, at, ratio));
    let reason = keys
        .text(cx, "drop_counter_reason")
        .or_else(|| keys.text(cx, "reason"))
        .unwrap_or_else(|| "drop_stage".to_owned());
    let native = keys.any(&["drop_counter_reason", "reason", "keep_ratio"]).is_some();
    if test.is_none() && older_than_ns.is_none() && longer_than.is_none() && !native {
        cx.fault(
            at,
            "stage drop needs source, expression, value, older_than or longer_than; to drop everything give a reason",
        );
    }
    Some(Box::new(Drop {
        test,
        older_than_ns,
        longer_than,
        keep,
        reason,
        clock: cx.setup.clock.clone(),
        dropped: cx.setup.metrics.dropped.clone(),
        count: AtomicU64::new(0),
    }))
}

/// The values that are there, joined.
fn joined(item: &Item, sources: &[String], separator: &str) -> String {
    let values: Vec<_> = sources.iter().filter_map(|name| item.extracted.text(name)).collect();
    let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
    values.join(separator)
}

impl Drop {
    fn hits(&self, item: &Item) -> bool {
        if self.longer_than.is_some_and(|bytes| item.line.len() <= bytes) {
            return false;
        }
        if let Some(age_ns) = self.older_than_ns
            && item.ts.0 >= self.clock.now_ns().saturating_sub(age_ns)
        {
            return false;
        }
        match &self.test {
            None => true,
            Some(Test::Present(sources)) => {
                sources.iter().all(|name| item.extracted.get(name).is_some())
            }
            Some(Test::Matches { sources, regex, .. }) if sources.is_empty() => {
                regex.is_match(&item.line)
            }
            Some(Test::Matches { sources, separator, regex }) => {
                regex.is_match(&joined(item, sources, separator))
            }
            Some(Test::Equals { sources, separator, value }) => {
                joined(item, sources, separator) == *value
            }
        }
    }
}

impl Stage for Drop {
    fn run(&self, item: &mut Item) {
        if !self.hits(item) {
            return;
        }
        let nth = self.count.fetch_add(1, Ordering::Relaxed);
        if self.keep.as_ref().is_some_and(|keep| keep.keeps(nth)) {
            return;
        }
        item.dropped = true;
        self.dropped.add(&[&self.reason], 1);
    }
}
