//! Replaces what the capture groups of an expression match by a template.

use std::collections::BTreeMap;

use regex::Regex;

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::Stage;
use super::template::{data_of, of_map};
use crate::config::pipeline::Node;
use crate::model::Text;
use crate::text::template::{Template, Value};

#[derive(Debug)]
struct Replace {
    expression: Regex,
    names: Vec<(usize, String)>,
    template: Template,
    source: Option<String>,
}

pub(super) fn compile(cx: &mut Compile<'_>, at: &Node, body: &Node) -> Option<Box<dyn Stage>> {
    let keys = cx.keys("replace", body, &["expression", "source", "replace"])?;
    let node = keys.required(cx, "expression")?;
    let expression = cx.regex(node)?;
    if expression.captures_len() == 1 {
        cx.warn(
            node,
            "the expression has no capture group, so replace changes nothing; put ( ) around what is to be replaced",
        );
    }
    let empty = Node { value: Node::text("").value, ..at.clone() };
    let template = cx.template(keys.node("replace").unwrap_or(&empty))?;
    let names = expression
        .capture_names()
        .enumerate()
        .filter_map(|(at, name)| Some((at, name?.to_owned())))
        .collect();
    let source = keys.source(cx);
    Some(Box::new(Replace { expression, names, template, source }))
}

impl Stage for Replace {
    fn run(&self, item: &mut Item) {
        let Some(input) = item.input(self.source.as_deref()) else { return };
        if !self.expression.is_match(&input) {
            return;
        }
        let mut data: BTreeMap<String, Value> = data_of(item);
        let mut result = String::with_capacity(input.len());
        let mut done = 0;
        let mut replaced: Vec<(String, Text)> = Vec::new();
        for (nth, found) in self.expression.captures_iter(&input).enumerate() {
            for at in 1..found.len() {
                let Some(group) = found.get(at) else { continue };
                let value = input.slice(group.range());
                data.insert("Value".to_owned(), Value::Str(value));
                let Ok(text) = self.template.render(&of_map(&data)) else { return };
                // A group inside one that is already replaced has nothing left to replace.
                if done <= group.start() {
                    result.push_str(input.get(done..group.start()).unwrap_or_default());
                    result.push_str(&text);
                    done = group.end();
                }
                if nth == 0
                    && let Some((_, name)) = self.names.iter().find(|(own, _)| *own == at)
                {
                    replaced.push((name.clone(), Text::from(text)));
                }
            }
        }
        result.push_str(input.get(done..).unwrap_or_default());
        match &self.source {
            Some(name) => item.extracted.set(name, Text::from(result)),
            None => item.set_line(Text::from(result)),
        }
        for (name, text) in replaced {
            item.extracted.set(&name, text);
        }
    }
}
