//! Puts the line and some labels into one JSON object, which LogQL's `unpack` takes apart.

use super::super::compile::{Compile, Flag};
use super::super::item::Item;
use super::super::run::Stage;
use crate::clock::SharedClock;
use crate::config::pipeline::Node;
use crate::model::{Text, Timestamp};

struct Pack {
    labels: Vec<String>,
    ingest_timestamp: Flag,
    clock: SharedClock,
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack").field("labels", &self.labels).finish_non_exhaustive()
    }
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let keys = cx.keys("pack", body, &["labels", "ingest_timestamp"])?;
    let mut labels = keys.names(cx, "labels");
    labels.sort();
    labels.dedup();
    let ingest_timestamp = keys.flag(cx, "ingest_timestamp", Flag::On);
    Some(Box::new(Pack { labels, ingest_timestamp, clock: cx.setup.clock.clone() }))
}

impl Stage for Pack {
    fn run(&self, item: &mut Item) {
        let mut packed = serde_json::Map::new();
        for name in &self.labels {
            if let Some(value) = item.extracted.text(name) {
                packed.insert(name.clone(), value.as_str().into());
                item.set_label(name, Text::default());
            }
        }
        packed.insert("_entry".to_owned(), item.line.as_str().into());
        item.set_line(Text::from(serde_json::Value::Object(packed).to_string()));
        if self.ingest_timestamp.is_on() {
            item.ts = Timestamp(self.clock.now_ns());
        }
    }
}
