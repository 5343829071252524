//! Values become structured metadata; a label that is named as source leaves the labels.

use super::super::compile::Compile;
use super::super::item::{Item, metadata_name};
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::model::Text;

#[derive(Debug)]
struct StructuredMetadata {
    fields: Vec<(Text, String)>,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let fields: Vec<_> = cx
        .mapping("structured_metadata", body)
        .into_iter()
        .map(|(name, source, _)| (metadata_name(&name), source))
        .collect();
    if fields.is_empty() {
        cx.fault(body, "stage structured_metadata needs at least one name");
    }
    Some(Box::new(StructuredMetadata { fields }))
}

impl Stage for StructuredMetadata {
    fn run(&self, item: &mut Item) {
        for (name, source) in &self.fields {
            if let Some(value) = item.extracted.text(source) {
                item.set_metadata(name.clone(), value);
            }
            if let Some(value) = item.label(source).map(Text::from) {
                item.set_metadata(name.clone(), value);
                item.set_label(source, Text::default());
            }
        }
    }
}
