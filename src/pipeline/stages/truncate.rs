//! Cuts long lines, labels, metadata and values: `{rules: [{limit, suffix, source_type, sources}]}`.

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::metrics::Counters;
use crate::model::Text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Line,
    Label,
    Metadata,
    Extracted,
}

#[derive(Debug)]
struct Rule {
    bytes_max: usize,
    suffix: String,
    target: Target,
    sources: Vec<String>,
}

#[derive(Debug)]
struct Truncate {
    rules: Vec<Rule>,
    truncated: Counters,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let mut rules = Vec::new();
    match body.get("rules").or_else(|| body.get("rule")).and_then(Node::list) {
        Some(nodes) => {
            cx.keys("truncate", body, &["rules", "rule"])?;
            for node in nodes {
                rules.extend(rule(cx, node));
            }
        }
        None => rules.extend(rule(cx, body)),
    }
    Some(Box::new(Truncate { rules, truncated: cx.setup.metrics.truncated.clone() }))
}

fn rule(cx: &mut Compile<'_>, node: &Node) -> Option<Rule> {
    let keys = cx.keys("truncate", node, &["limit", "suffix", "source_type", "sources"])?;
    keys.required(cx, "limit")?;
    let limit = keys.bytes(cx, "limit")?;
    let suffix = keys.text(cx, "suffix").unwrap_or_default();
    let sources = keys.names(cx, "sources");
    let target = match keys.text(cx, "source_type").as_deref() {
        None | Some("line") => Target::Line,
        Some("label") => Target::Label,
        Some("structured_metadata") => Target::Metadata,
        Some("extracted") => Target::Extracted,
        Some(_) => {
            cx.fault(node, "source_type must be line, label, structured_metadata or extracted");
            return None;
        }
    };
    if limit == 0 || suffix.len() >= limit {
        cx.fault(node, "limit must be above 0 and longer than the suffix");
        return None;
    }
    Some(Rule { bytes_max: limit, suffix, target, sources })
}

impl Rule {
    /// The text cut on a character boundary, when it is too long.
    fn cut(&self, text: &str) -> Option<Text> {
        if text.len() <= self.bytes_max {
            return None;
        }
        let end = text.floor_char_boundary(self.bytes_max.saturating_sub(self.suffix.len()));
        Some(Text::from(format!("{}{}", text.get(..end).unwrap_or_default(), self.suffix)))
    }

    fn covers(&self, name: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|source| source == name)
    }
}

impl Stage for Truncate {
    fn run(&self, item: &mut Item) {
        for rule in &self.rules {
            match rule.target {
                Target::Line => {
                    if let Some(cut) = rule.cut(&item.line) {
                        item.set_line(cut);
                        self.truncated.add(&["line"], 1);
                    }
                }
                Target::Label => {
                    let labels = item.labels();
                    for (name, value) in labels.iter().filter(|(name, _)| rule.covers(name)) {
                        if let Some(cut) = rule.cut(value) {
                            item.set_label(name, cut);
                            self.truncated.add(&["label"], 1);
                        }
                    }
                }
                Target::Metadata => {
                    for (name, value) in item.metadata.clone() {
                        if let Some(cut) = rule.cut(&value).filter(|_| rule.covers(&name)) {
                            item.set_metadata(name, cut);
                            self.truncated.add(&["structured_metadata"], 1);
                        }
                    }
                }
                Target::Extracted => {
                    for (name, value) in item.extracted.all() {
                        let cut = value.text().and_then(|text| rule.cut(&text));
                        if let Some(cut) = cut.filter(|_| rule.covers(&name)) {
                            item.extracted.set(&name, cut);
                            self.truncated.add(&["extracted"], 1);
                        }
                    }
                }
            }
        }
    }
}
