//! Labels with fixed values.

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::model::{Labels, Text};

#[derive(Debug)]
struct StaticLabels {
    labels: Vec<(Text, Text)>,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let Some(pairs) = body.map().filter(|pairs| !pairs.is_empty()) else {
        cx.fault(body, "stage static_labels takes a map of names and values");
        return None;
    };
    let mut labels = Vec::new();
    for (name, value) in pairs {
        let name_text = name.scalar().unwrap_or_default();
        if !Labels::is_valid_name(&name_text) {
            cx.fault(name, super::labels::invalid_name(&name_text));
        }
        match value.scalar() {
            Some(value) => labels.push((Text::from(name_text), Text::from(value))),
            None if value.is_null() => {}
            None => cx.fault(value, format!("the value must be a text, not {}", value.kind())),
        }
    }
    Some(Box::new(StaticLabels { labels }))
}

impl Stage for StaticLabels {
    fn run(&self, item: &mut Item) {
        for (name, value) in &self.labels {
            item.set_constant_label(name, value.clone());
        }
    }
}
