//! Lines of Kubernetes' container runtimes: `<time> <stdout|stderr> <P|F> <content>`. Partial
//! lines (`P`) are put together inside one batch; the source holds back the rest.

use super::super::compile::{Compile, Flag};
use super::super::item::Item;
use super::super::run::{Joining, Stage};
use super::timestamp::rfc3339;
use crate::config::pipeline::Node;
use crate::limits::LINE_BYTES_MAX;
use crate::metrics::Counters;
use crate::model::{Text, Timestamp};

#[derive(Debug)]
struct Cri {
    line_bytes_max: usize,
    truncated: Counters,
}

#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    time: &'a str,
    stream: &'a str,
    partial: bool,
    content: &'a str,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let known = ["max_partial_lines", "max_partial_line_size", "max_partial_line_size_truncate"];
    let keys = cx.keys("cri", body, &known)?;
    // Streams do not share a buffer here, so a limit on their number has nothing to bound.
    keys.count(cx, "max_partial_lines", 100);
    let size = keys.bytes(cx, "max_partial_line_size").filter(|size| *size > 0);
    let cut = keys.flag(cx, "max_partial_line_size_truncate", Flag::Off);
    let line_bytes_max = size.filter(|_| cut.is_on()).unwrap_or(LINE_BYTES_MAX).min(LINE_BYTES_MAX);
    Some(Box::new(Cri { line_bytes_max, truncated: cx.setup.metrics.truncated.clone() }))
}

fn parse(line: &str) -> Option<Parts<'_>> {
    let (time, rest) = line.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    if !matches!(stream, "stdout" | "stderr") {
        return None;
    }
    let (tags, content) = rest.split_once(' ').unwrap_or((rest, ""));
    // More tags may follow, separated by colons.
    let partial = match tags.split(':').next()? {
        "P" => true,
        "F" => false,
        _ => return None,
    };
    Some(Parts { time, stream, partial, content })
}

impl Stage for Cri {
    fn run(&self, item: &mut Item) {
        let line = item.line.clone();
        let Some(parts) = parse(&line) else { return };
        let content = Text::from(parts.content);
        item.extracted.set("flags", Text::from(if parts.partial { "P" } else { "F" }));
        item.extracted.set("stream", Text::from(parts.stream));
        item.extracted.set("content", content.clone());
        item.extracted.set("time", Text::from(parts.time));
        item.set_label("stream", Text::from(parts.stream));
        if let Some(ts) = rfc3339(parts.time) {
            item.ts = ts;
        }
        item.set_line(content);
    }

    fn run_all(&self, items: &mut Vec<Item>) {
        /// The first part of an unfinished line: which entry, its time, its text so far.
        struct Held {
            at: usize,
            ts: Timestamp,
            text: String,
        }
        let mut held: [(&str, Option<Held>); 2] = [("stdout", None), ("stderr", None)];
        for at in 0..items.len() {
            let Some(item) = items.get_mut(at).filter(|item| !item.dropped) else { continue };
            let line = item.line.clone();
            let Some(parts) = parse(&line) else { continue };
            self.run(item);
            let Some((_, slot)) = held.iter_mut().find(|(stream, _)| *stream == parts.stream)
            else {
                continue;
            };
            match slot {
                None if parts.partial => {
                    *slot = Some(Held { at, ts: item.ts, text: parts.content.to_owned() });
                }
                None => {}
                Some(first) => {
                    let mut room = self.line_bytes_max.saturating_sub(first.text.len());
                    if room < parts.content.len() {
                        self.truncated.add(&["line"], 1);
                        room = parts.content.floor_char_boundary(room);
                    }
                    first.text.push_str(parts.content.get(..room).unwrap_or(parts.content));
                    item.dropped = true;
                    let whole = !parts.partial;
                    let (at, ts) = (first.at, first.ts);
                    if let Some(start) = items.get_mut(at).filter(|_| whole) {
                        start.ts = ts;
                        start.set_line(Text::from(std::mem::take(&mut first.text)));
                        *slot = None;
                    }
                }
            }
        }
        for (_, rest) in held {
            if let Some(rest) = rest
                && let Some(start) = items.get_mut(rest.at)
            {
                start.set_line(Text::from(rest.text));
            }
        }
        items.retain(|item| !item.dropped);
    }

    fn joining(&self) -> Option<Joining> {
        Some(Joining::Cri)
    }
}
