//! Named groups of a regular expression become values.

use regex::Regex;

use super::super::compile::{Compile, Flag};
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::model::Labels;

#[derive(Debug)]
struct RegexStage {
    expression: Regex,
    /// Group number and name.
    groups: Vec<(usize, String)>,
    source: Option<String>,
    labels: Flag,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let (expression, source, labels) = if body.as_str().is_some() {
        (body, None, Flag::Off)
    } else {
        let keys = cx.keys("regex", body, &["expression", "source", "labels_from_groups"])?;
        let labels = keys.flag(cx, "labels_from_groups", Flag::Off);
        (keys.required(cx, "expression")?, keys.source(cx), labels)
    };
    let regex = cx.regex(expression)?;
    let groups: Vec<(usize, String)> = regex
        .capture_names()
        .enumerate()
        .filter_map(|(at, name)| Some((at, name?.to_owned())))
        .collect();
    if groups.is_empty() {
        cx.fault(expression, "the expression has no named group; write (?P<name>...)");
    }
    Some(Box::new(RegexStage { expression: regex, groups, source, labels }))
}

impl Stage for RegexStage {
    fn run(&self, item: &mut Item) {
        let Some(text) = item.input(self.source.as_deref()) else { return };
        let Some(found) = self.expression.captures(&text) else { return };
        for (at, name) in &self.groups {
            // A group that took no part is the empty text, as in Go.
            let range = found.get(*at).map_or(0..0, |group| group.range());
            let value = text.slice(range);
            if self.labels.is_on() && Labels::is_valid_name(name) {
                item.set_label(name, value.clone());
            }
            item.extracted.set(name, value);
        }
    }
}
