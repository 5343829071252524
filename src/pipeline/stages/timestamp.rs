//! The time of an entry from a value.

use std::num::NonZeroUsize;

use parking_lot::Mutex;

use super::super::compile::{Compile, texts};
use super::super::item::Item;
use super::super::run::Stage;
use super::super::times::{Format, Recent};
use crate::clock::SharedClock;
use crate::config::pipeline::Node;
use crate::limits::FUDGE_STREAMS_MAX;
use crate::model::Timestamp;
use crate::text::gotime::Zone;

pub(in crate::pipeline) use super::super::times::rfc3339;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// One nanosecond after the last time of the stream.
    Fudge,
    Skip,
}

struct TimestampStage {
    source: String,
    formats: Vec<Format>,
    zone: Zone,
    on_failure: OnFailure,
    clock: SharedClock,
    last: Mutex<Recent>,
}

impl std::fmt::Debug for TimestampStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimestampStage").field("formats", &self.formats).finish_non_exhaustive()
    }
}

const KEYS: [&str; 7] = [
    "source",
    "format",
    "fallback_formats",
    "location",
    "action_on_failure",
    "action_on_duplicate_timestamp",
    "from",
];

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let keys = cx.keys("timestamp", body, &KEYS)?;
    let from = keys.text(cx, "from");
    let native = from.is_some();
    let source = match from {
        Some(from) => from,
        None => {
            keys.required(cx, "source")?;
            keys.source(cx)?
        }
    };
    let mut formats = Vec::new();
    match keys.node("format") {
        Some(node) => formats.extend(compile_format(cx, node, &node.scalar().unwrap_or_default())),
        None if native => formats.push(Format::Auto),
        None => {
            keys.required(cx, "format");
        }
    }
    if let Some(node) = keys.node("fallback_formats") {
        for text in texts(cx, node) {
            formats.extend(compile_format(cx, node, &text));
        }
    }
    let zone = match (keys.node("location"), keys.text(cx, "location")) {
        (Some(node), Some(name)) => compile_zone(cx, node, &name),
        _ => Zone::Utc,
    };
    let on_failure = match (keys.node("action_on_failure"), keys.text(cx, "action_on_failure")) {
        (_, None) if native => OnFailure::Skip,
        (_, None) => OnFailure::Fudge,
        (_, Some(action)) if action == "fudge" => OnFailure::Fudge,
        (_, Some(action)) if action == "skip" => OnFailure::Skip,
        (node, Some(action)) => {
            let message = crate::config::unknown("action_on_failure", &action, &["fudge", "skip"]);
            cx.fault(node.unwrap_or(body), message);
            OnFailure::Fudge
        }
    };
    // Entries of one time keep their order in our store, so there is nothing to fudge.
    keys.text(cx, "action_on_duplicate_timestamp");
    let streams_max = NonZeroUsize::new(FUDGE_STREAMS_MAX).unwrap_or(NonZeroUsize::MIN);
    Some(Box::new(TimestampStage {
        source,
        formats,
        zone,
        on_failure,
        clock: cx.setup.clock.clone(),
        last: Mutex::new(Recent::new(streams_max)),
    }))
}

fn compile_format(cx: &mut Compile<'_>, at: &Node, text: &str) -> Option<Format> {
    match Format::parse(text) {
        Ok(format) => Some(format),
        Err(message) => {
            cx.fault(at, message);
            None
        }
    }
}

fn compile_zone(cx: &mut Compile<'_>, at: &Node, name: &str) -> Zone {
    if matches!(name, "" | "UTC" | "Etc/UTC") {
        return Zone::Utc;
    }
    let plausible = !name.starts_with('/')
        && !name.contains("..")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b));
    if !plausible {
        cx.fault(
            at,
            format!("location {name:?} is no time zone; write a name such as Europe/Berlin"),
        );
    }
    Zone::Named(name.to_owned())
}

impl Stage for TimestampStage {
    fn run(&self, item: &mut Item) {
        let now = Timestamp(self.clock.now_ns());
        let found = item.extracted.text(&self.source).and_then(|text| {
            self.formats.iter().find_map(|format| format.read(text.trim(), &self.zone, now))
        });
        if let Some(ts) = found {
            item.ts = ts;
        }
        if self.on_failure == OnFailure::Skip {
            return;
        }
        let stream = item.labels().stream_id("");
        let mut last = self.last.lock();
        if found.is_none() {
            let Some(before) = last.get(stream) else { return };
            item.ts = before.saturating_add_ns(1);
        }
        last.put(stream, item.ts);
    }
}
