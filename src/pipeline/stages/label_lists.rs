//! Removes listed labels, or all others.

use super::super::compile::{Compile, texts};
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::model::Text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Listed,
    Others,
}

#[derive(Debug)]
struct LabelList {
    names: Vec<String>,
    keep: Keep,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node, keep: Keep) -> Option<Box<dyn Stage>> {
    // The successor of promtail writes `values: [...]`.
    let list = body.get("values").unwrap_or(body);
    if list.is_null() {
        cx.fault(body, "this stage needs a list of label names");
        return None;
    }
    let names = texts(cx, list);
    if names.is_empty() {
        cx.fault(list, "this stage needs at least one label name");
    }
    Some(Box::new(LabelList { names, keep }))
}

impl Stage for LabelList {
    fn run(&self, item: &mut Item) {
        match self.keep {
            Keep::Others => {
                for name in &self.names {
                    item.set_label(name, Text::default());
                }
            }
            Keep::Listed => {
                let labels = item.labels();
                for (name, _) in labels.iter() {
                    if !self.names.iter().any(|own| own == name) {
                        item.set_label(name, Text::default());
                    }
                }
            }
        }
    }
}
