//! Reads the stages of a pipeline: which stage a name means, its keys, and every fault with its
//! place.

use regex::Regex;

use crate::clock::SharedClock;
use crate::config::pipeline::{Node, NodeValue};
use crate::config::{Diagnostic, unknown};
use crate::limits::{PIPELINE_DEPTH_MAX, PIPELINE_STAGES_MAX};
use crate::text::template::{Functions, Template};
use crate::text::{re2, units};

use super::Library;
use super::counters::PipelineMetrics;
use super::run::Step;
use super::stages;

/// What pipelines are compiled with.
#[derive(Clone)]
pub struct Setup {
    pub metrics: PipelineMetrics,
    pub clock: SharedClock,
    pub library: Library,
}

/// One file's compilation; faults are collected, so that a user sees all of them at once.
pub(crate) struct Compile<'a> {
    file: String,
    pub setup: &'a Setup,
    pub errors: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
    depth: usize,
    stages: usize,
}

impl<'a> Compile<'a> {
    pub fn new(file: &str, setup: &'a Setup) -> Self {
        Compile {
            file: file.to_owned(),
            setup,
            errors: Vec::new(),
            warnings: Vec::new(),
            depth: 0,
            stages: 0,
        }
    }

    pub fn fault(&mut self, at: &Node, message: impl Into<String>) {
        self.errors.push(at.fault(&self.file, message));
    }

    pub fn warn(&mut self, at: &Node, message: impl Into<String>) {
        self.warnings.push(at.fault(&self.file, message));
    }

    /// The stages of a list; a null is an empty list.
    pub fn steps(&mut self, list: &Node) -> Vec<Step> {
        if list.is_null() {
            return Vec::new();
        }
        let Some(nodes) = list.list() else {
            self.fault(list, format!("stages must be a list, not {}", list.kind()));
            return Vec::new();
        };
        self.depth += 1;
        let mut steps = Vec::new();
        if self.depth > PIPELINE_DEPTH_MAX {
            self.fault(
                list,
                format!("stages are nested more than {PIPELINE_DEPTH_MAX} deep, or a pipeline includes itself"),
            );
        } else {
            for node in nodes {
                self.stages += 1;
                if self.stages > PIPELINE_STAGES_MAX {
                    self.fault(
                        node,
                        format!("a pipeline has at most {PIPELINE_STAGES_MAX} stages"),
                    );
                    break;
                }
                steps.extend(self.step(node));
            }
        }
        self.depth -= 1;
        steps
    }

    /// The stages of a pipeline of the library, whose places lie in another file.
    pub fn included(&mut self, at: &Node, name: &str) -> Vec<Step> {
        let library = &self.setup.library;
        let Some((file, stages)) = library.get(name) else {
            let mut known: Vec<&str> = stages::parse::FORMATS.to_vec();
            known.extend(library.names());
            self.fault(at, unknown("pipeline", name, &known));
            return Vec::new();
        };
        let own = std::mem::replace(&mut self.file, file.to_owned());
        let steps = self.steps(stages);
        self.file = own;
        steps
    }

    fn step(&mut self, node: &Node) -> Vec<Step> {
        if let Some(name) = node.as_str() {
            // `- decolorize` is a stage without keys.
            let empty = Node { value: NodeValue::Null, ..node.clone() };
            return stages::compile(self, name, node, &empty);
        }
        let pairs = node.map().unwrap_or_default();
        match pairs {
            [(name, body)] => match name.as_str() {
                Some(stage) if stage != "when" && stage != "do" => {
                    stages::compile(self, stage, name, body)
                }
                _ => stages::compile(self, "when", name, node),
            },
            [(first, _), (second, _)]
                if [first, second].iter().any(|name| name.as_str() == Some("when")) =>
            {
                stages::compile(self, "when", first, node)
            }
            [] => {
                self.fault(
                    node,
                    format!(
                        "a stage is a map of one key, such as `- json: {{...}}`, not {}",
                        node.kind()
                    ),
                );
                Vec::new()
            }
            [_, (second, _), ..] => {
                self.fault(second, "a stage has one key; begin the next stage with `- `");
                Vec::new()
            }
        }
    }

    pub fn regex(&mut self, at: &Node) -> Option<Regex> {
        let Some(pattern) = at.scalar() else {
            self.fault(at, format!("expected a regular expression, not {}", at.kind()));
            return None;
        };
        match re2::compile(&pattern) {
            Ok(regex) => Some(regex),
            Err(error) => {
                self.fault(at, format!("regular expression does not compile: {error}"));
                None
            }
        }
    }

    pub fn template(&mut self, at: &Node) -> Option<Template> {
        let Some(text) = at.scalar() else {
            self.fault(at, format!("expected a template, not {}", at.kind()));
            return None;
        };
        match Template::parse(&text, Functions::Promtail) {
            Ok(template) => Some(template),
            Err(error) => {
                self.fault(at, format!("template: {error} (offset {})", error.offset));
                None
            }
        }
    }

    /// The keys of a stage; unknown ones are faults.
    pub fn keys<'n>(&mut self, stage: &str, body: &'n Node, known: &[&str]) -> Option<Keys<'n>> {
        let pairs = match &body.value {
            NodeValue::Null => &[],
            NodeValue::Map(pairs) => pairs.as_slice(),
            _ => {
                self.fault(body, format!("stage {stage} takes a map of keys, not {}", body.kind()));
                return None;
            }
        };
        let mut good = true;
        for (name, _) in pairs {
            let given = name.scalar().unwrap_or_default();
            if !known.contains(&given.as_str()) {
                self.fault(name, unknown("key", &given, known));
                good = false;
            }
        }
        good.then_some(Keys { stage: stage.to_owned(), body, pairs })
    }

    /// `name: source` pairs, where an empty source means the name itself; also a plain list of names.
    pub fn mapping<'n>(&mut self, stage: &str, node: &'n Node) -> Vec<(String, String, &'n Node)> {
        let mut all = Vec::new();
        match &node.value {
            NodeValue::Map(pairs) => {
                for (name, source) in pairs {
                    let Some(name_text) = name.scalar() else { continue };
                    let source =
                        if source.is_null() { Some(String::new()) } else { source.scalar() };
                    match source {
                        Some(source) if source.is_empty() => {
                            all.push((name_text.clone(), name_text, name));
                        }
                        Some(source) => all.push((name_text, source, name)),
                        None => self.fault(name, format!("{name_text:?} must name a source")),
                    }
                }
            }
            NodeValue::List(items) => {
                for item in items {
                    match item.scalar() {
                        Some(name) => all.push((name.clone(), name, item)),
                        None => self.fault(item, format!("expected a name, not {}", item.kind())),
                    }
                }
            }
            NodeValue::Text(name) => all.push((name.clone(), name.clone(), node)),
            _ => self.fault(
                node,
                format!("stage {stage} takes a map or a list of names, not {}", node.kind()),
            ),
        }
        all
    }
}

/// The keys of one stage.
pub(crate) struct Keys<'n> {
    stage: String,
    body: &'n Node,
    pairs: &'n [(Node, Node)],
}

impl<'n> Keys<'n> {
    pub fn node(&self, key: &str) -> Option<&'n Node> {
        self.pairs
            .iter()
            .find(|(name, _)| name.as_str() == Some(key))
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
    }

    /// The first of several spellings that is given.
    pub fn any(&self, keys: &[&str]) -> Option<&'n Node> {
        keys.iter().find_map(|key| self.node(key))
    }

    pub fn required(&self, cx: &mut Compile<'_>, key: &str) -> Option<&'n Node> {
        let node = self.node(key);
        if node.is_none() {
            cx.fault(self.body, format!("stage {} needs the key {key:?}", self.stage));
        }
        node
    }

    pub fn text(&self, cx: &mut Compile<'_>, key: &str) -> Option<String> {
        let node = self.node(key)?;
        let text = node.scalar();
        if text.is_none() {
            cx.fault(node, format!("{key} must be a text, not {}", node.kind()));
        }
        text
    }

    /// Like `text`, but an empty text is a fault.
    pub fn source(&self, cx: &mut Compile<'_>) -> Option<String> {
        let text = self.text(cx, "source")?;
        if text.is_empty() {
            cx.fault(self.body, "source must not be empty; leave it out to read the line");
        }
        Some(text)
    }

    pub fn flag(&self, cx: &mut Compile<'_>, key: &str, default: Flag) -> Flag {
        match self.node(key).map(|node| (node, &node.value)) {
            None => default,
            Some((_, NodeValue::Bool(true))) => Flag::On,
            Some((_, NodeValue::Bool(false))) => Flag::Off,
            Some((_, NodeValue::Text(word))) if matches!(word.as_str(), "y" | "yes" | "on") => {
                Flag::On
            }
            Some((_, NodeValue::Text(word))) if matches!(word.as_str(), "n" | "no" | "off") => {
                Flag::Off
            }
            Some((node, _)) => {
                cx.fault(node, format!("{key} must be true or false"));
                default
            }
        }
    }

    pub fn number(&self, cx: &mut Compile<'_>, key: &str) -> Option<f64> {
        let node = self.node(key)?;
        let number = node.scalar().and_then(|text| text.parse::<f64>().ok());
        if number.is_none() {
            cx.fault(node, format!("{key} must be a number"));
        }
        number
    }

    pub fn count(&self, cx: &mut Compile<'_>, key: &str, default: usize) -> usize {
        match self.node(key).map(|node| (node, &node.value)) {
            None => default,
            Some((_, NodeValue::Int(n))) if usize::try_from(*n).is_ok() => {
                usize::try_from(*n).unwrap_or(default)
            }
            Some((node, _)) => {
                cx.fault(node, format!("{key} must be a whole number"));
                default
            }
        }
    }

    /// `5m`, `1h30m`, also `7d`; in nanoseconds.
    pub fn duration_ns(&self, cx: &mut Compile<'_>, key: &str) -> Option<i64> {
        let node = self.node(key)?;
        let text = node.scalar().unwrap_or_default();
        let ns = units::parse_go_duration(&text)
            .or_else(|| units::parse_prometheus_duration(&text))
            .filter(|ns| *ns > 0);
        if ns.is_none() {
            cx.fault(node, format!("{key} must be a duration such as 5m or 24h"));
        }
        ns
    }

    /// `8kb`, `1MB`, plain bytes; units count by 1024, as in promtail.
    pub fn bytes(&self, cx: &mut Compile<'_>, key: &str) -> Option<usize> {
        let node = self.node(key)?;
        let bytes = node.scalar().as_deref().and_then(base2_bytes);
        if bytes.is_none() {
            cx.fault(node, format!("{key} must be a size such as 8kb"));
        }
        bytes
    }

    pub fn names(&self, cx: &mut Compile<'_>, key: &str) -> Vec<String> {
        let Some(node) = self.node(key) else { return Vec::new() };
        texts(cx, node)
    }
}

/// A setting that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    On,
    Off,
}

impl Flag {
    pub fn is_on(self) -> bool {
        self == Flag::On
    }
}

/// A list of texts, or one.
pub(crate) fn texts(cx: &mut Compile<'_>, node: &Node) -> Vec<String> {
    match &node.value {
        NodeValue::List(items) => {
            let mut all = Vec::new();
            for item in items {
                match item.scalar() {
                    Some(text) => all.push(text),
                    None => cx.fault(item, format!("expected a text, not {}", item.kind())),
                }
            }
            all
        }
        _ => match node.scalar() {
            Some(text) => vec![text],
            None => {
                cx.fault(node, format!("expected a list of texts, not {}", node.kind()));
                Vec::new()
            }
        },
    }
}

fn base2_bytes(text: &str) -> Option<usize> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?;
    let number: f64 = digits.trim().parse().ok()?;
    let scale: u64 = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    let bytes = number * scale as f64;
    // A negative or huge number saturates in the cast; neither makes sense as a size.
    (0.0..1e15).contains(&bytes).then_some(bytes as usize)
}
