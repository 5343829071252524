//! A value becomes the line.

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;

#[derive(Debug)]
struct Output {
    source: String,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let source = match body.as_str() {
        Some(source) => source.to_owned(),
        None => {
            let keys = cx.keys("output", body, &["source"])?;
            keys.required(cx, "source")?;
            keys.source(cx)?
        }
    };
    Some(Box::new(Output { source }))
}

impl Stage for Output {
    fn run(&self, item: &mut Item) {
        if let Some(text) = item.extracted.text(&self.source) {
            item.set_line(text);
        }
    }
}
