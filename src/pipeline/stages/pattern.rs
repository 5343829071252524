//! LogQL patterns: `<ip> - <_> "<method> <path>"`.

use super::super::compile::{Compile, Flag};
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::model::{Labels, Text};
use crate::text::pattern::Pattern;

#[derive(Debug)]
struct PatternStage {
    pattern: Pattern,
    source: Option<String>,
    labels: Flag,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let (at, source, labels) = if body.as_str().is_some() {
        (body, None, Flag::Off)
    } else {
        let keys = cx.keys("pattern", body, &["pattern", "source", "labels_from_groups"])?;
        let labels = keys.flag(cx, "labels_from_groups", Flag::Off);
        (keys.required(cx, "pattern")?, keys.source(cx), labels)
    };
    match Pattern::parse_extractor(&at.scalar().unwrap_or_default()) {
        Ok(pattern) => Some(Box::new(PatternStage { pattern, source, labels })),
        Err(message) => {
            cx.fault(at, format!("pattern: {message}"));
            None
        }
    }
}

impl Stage for PatternStage {
    fn run(&self, item: &mut Item) {
        let Some(text) = item.input(self.source.as_deref()) else { return };
        let mut found: Vec<(usize, Text)> = Vec::new();
        self.pattern.extract(&text, &mut |at, range| found.push((at, text.slice(range))));
        for (at, value) in found {
            let Some(name) = self.pattern.names().get(at) else { continue };
            if self.labels.is_on() && Labels::is_valid_name(name) {
                item.set_label(name, value.clone());
            }
            item.extracted.set(name, value);
        }
    }
}
