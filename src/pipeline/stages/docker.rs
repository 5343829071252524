//! Docker's json-file lines: `{"log":"...\n","stream":"stdout","time":"..."}`.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::Stage;
use super::timestamp::rfc3339;
use crate::config::pipeline::Node;
use crate::model::Text;

#[derive(Debug)]
struct Docker;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    log: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    cx.keys("docker", body, &[])?;
    Some(Box::new(Docker))
}

impl Stage for Docker {
    fn run(&self, item: &mut Item) {
        let line = item.line.clone();
        let Ok(parsed) = serde_json::from_str::<Line<'_>>(&line) else { return };
        let Some(log) = parsed.log else { return };
        let output = Text::from(log.strip_suffix('\n').unwrap_or(&log));
        item.extracted.set("output", output.clone());
        item.set_line(output);
        if let Some(stream) = parsed.stream {
            let stream = Text::from(&*stream);
            item.extracted.set("stream", stream.clone());
            item.set_label("stream", stream);
        }
        if let Some(time) = parsed.time {
            if let Some(ts) = rfc3339(&time) {
                item.ts = ts;
            }
            item.extracted.set("timestamp", Text::from(&*time));
        }
    }
}
