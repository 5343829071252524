//! Joins the lines of one record inside one batch; sources do the holding back between batches.

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::{Joining, Stage};
use crate::config::pipeline::Node;
use crate::config::unknown;
use crate::limits::{MULTILINE_BYTES_MAX, MULTILINE_LINES_MAX};
use crate::model::Text;
use crate::text::multiline::{Joiner, MultilineRule, PRESETS, preset};

#[derive(Debug)]
struct Multiline {
    rule: MultilineRule,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let known = ["firstline", "preset", "max_lines", "max_wait_time", "trim_newlines"];
    let (firstline, lines_max, wait_ns) = if let Some(name) = body.as_str() {
        (named(cx, body, name)?, MULTILINE_LINES_MAX, None)
    } else {
        let keys = cx.keys("multiline", body, &known)?;
        let firstline = match (keys.node("preset"), keys.node("firstline")) {
            (Some(node), None) => named(cx, node, node.as_str().unwrap_or_default())?,
            (None, Some(node)) => cx.regex(node)?,
            _ => {
                cx.fault(body, "stage multiline needs firstline or preset");
                return None;
            }
        };
        keys.flag(cx, "trim_newlines", super::super::compile::Flag::On);
        let lines_max = keys.count(cx, "max_lines", 128);
        if lines_max == 0 {
            cx.fault(body, "max_lines must be at least 1");
        }
        (firstline, lines_max.min(MULTILINE_LINES_MAX), keys.duration_ns(cx, "max_wait_time"))
    };
    let wait_ns = wait_ns.and_then(|ns| u64::try_from(ns).ok()).unwrap_or(3_000_000_000);
    let rule = MultilineRule {
        firstline,
        lines_max,
        bytes_max: MULTILINE_BYTES_MAX,
        wait_max: std::time::Duration::from_nanos(wait_ns),
    };
    Some(Box::new(Multiline { rule }))
}

fn named(cx: &mut Compile<'_>, at: &Node, name: &str) -> Option<regex::Regex> {
    match preset(name) {
        Some(pattern) => cx.regex(&Node { value: Node::text(pattern).value, ..at.clone() }),
        None => {
            cx.fault(at, unknown("multiline preset", name, &PRESETS));
            None
        }
    }
}

impl Stage for Multiline {
    fn run(&self, _: &mut Item) {
        // One line alone is complete.
    }

    fn run_all(&self, items: &mut Vec<Item>) {
        let mut joiner = Joiner::default();
        let mut lines: std::collections::VecDeque<Item> = std::collections::VecDeque::new();
        let mut all: Vec<Item> = Vec::with_capacity(items.len());
        let mut give = |lines: &mut std::collections::VecDeque<Item>,
                        joined: crate::text::multiline::Joined| {
            let mut parts = lines.drain(..joined.lines.min(lines.len()));
            let Some(mut first) = parts.next() else { return };
            let mut more = 0usize;
            for part in parts {
                more += 1;
                first.changed |= part.changed;
                first.labels_changed |= part.labels_changed;
            }
            if more > 0 {
                first.set_line(Text::from(joined.text));
            }
            all.push(first);
        };
        for item in items.drain(..).filter(|item| !item.dropped) {
            let line = item.line.clone();
            lines.push_back(item);
            for joined in joiner.push(&self.rule, &line) {
                give(&mut lines, joined);
            }
        }
        if let Some(joined) = joiner.flush() {
            give(&mut lines, joined);
        }
        *items = all;
    }

    fn joining(&self) -> Option<Joining> {
        Some(Joining::Multiline(self.rule.clone()))
    }
}
