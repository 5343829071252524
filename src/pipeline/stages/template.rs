//! A Go template over everything extracted sets a value.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::model::Text;
use crate::text::template::{Template, Value};

#[derive(Debug)]
struct TemplateStage {
    source: String,
    template: Template,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let keys = cx.keys("template", body, &["source", "template"])?;
    keys.required(cx, "source")?;
    let source = keys.source(cx)?;
    let node = keys.required(cx, "template")?;
    let template = cx.template(node)?;
    Some(Box::new(TemplateStage { source, template }))
}

/// All that is extracted, as texts.
pub(super) fn data_of(item: &Item) -> BTreeMap<String, Value> {
    item.extracted
        .all()
        .into_iter()
        .filter_map(|(name, value)| Some((name, Value::Str(value.text()?))))
        .collect()
}

pub(super) fn of_map(data: &BTreeMap<String, Value>) -> Value {
    Value::Map(Arc::new(data.clone()))
}

impl Stage for TemplateStage {
    fn run(&self, item: &mut Item) {
        let mut data = data_of(item);
        if let Some(value) = data.get(&self.source).cloned() {
            data.insert("Value".to_owned(), value);
        }
        data.insert("Entry".to_owned(), Value::Str(item.line.clone()));
        match self.template.render(&Value::Map(Arc::new(data))) {
            Ok(text) if text.is_empty() => item.extracted.remove(&self.source),
            Ok(text) => item.extracted.set(&self.source, Text::from(text)),
            // A value the template cannot work on stays as it is.
            Err(_) => {}
        }
    }
}
