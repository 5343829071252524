//! Values become labels.

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::model::Labels as LabelSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Extracted,
    Metadata,
}

#[derive(Debug)]
struct Labels {
    labels: Vec<(String, String)>,
    from: From,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let from = match body.get("source_type").map(|node| (node, node.as_str())) {
        None | Some((_, Some("extracted"))) => From::Extracted,
        Some((_, Some("structured_metadata"))) => From::Metadata,
        // A label may be called source_type too.
        Some(_) => From::Extracted,
    };
    let mut labels = Vec::new();
    for (name, source, at) in cx.mapping("labels", body) {
        if name == "source_type" && matches!(source.as_str(), "extracted" | "structured_metadata") {
            continue;
        }
        if !LabelSet::is_valid_name(&name) {
            cx.fault(at, invalid_name(&name));
        }
        labels.push((name, source));
    }
    if labels.is_empty() {
        cx.fault(body, "stage labels needs at least one label");
    }
    Some(Box::new(Labels { labels, from }))
}

pub(super) fn invalid_name(name: &str) -> String {
    format!(
        "label name {name:?} is not valid: use letters, digits and '_', not starting with a digit"
    )
}

impl Stage for Labels {
    fn run(&self, item: &mut Item) {
        for (name, source) in &self.labels {
            let value = match self.from {
                From::Extracted => item.extracted.text(source),
                From::Metadata => item.metadata(source).cloned(),
            };
            if let Some(value) = value {
                item.set_label(name, value);
            }
        }
    }
}
