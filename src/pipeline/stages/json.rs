//! Reads values out of a JSON object: promtail's `expressions`, or `{name: path}` directly.

use super::super::compile::{Compile, Flag};
use super::super::format;
use super::super::item::Item;
use super::super::json_path::JsonPath;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::metrics::Counters;

const KEYS: [&str; 3] = ["expressions", "source", "drop_malformed"];

#[derive(Debug)]
struct Json {
    fields: Vec<(String, JsonPath)>,
    source: Option<String>,
    drop_malformed: Flag,
    dropped: Counters,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let pairs = body.map().unwrap_or_default();
    let promtail = pairs.iter().any(|(name, _)| name.as_str().is_some_and(|n| KEYS.contains(&n)))
        || body.is_null();
    let (expressions, source, drop_malformed) = if promtail {
        let keys = cx.keys("json", body, &KEYS)?;
        let drop_malformed = keys.flag(cx, "drop_malformed", Flag::Off);
        (keys.required(cx, "expressions")?, keys.source(cx), drop_malformed)
    } else {
        (body, None, Flag::Off)
    };
    let mapping = cx.mapping("json", expressions);
    if mapping.is_empty() {
        cx.fault(expressions, "stage json needs at least one expression");
    }
    let mut fields = Vec::new();
    for (name, path, at) in mapping {
        match JsonPath::parse(&path) {
            Ok(path) => fields.push((name, path)),
            Err((offset, message)) => {
                cx.fault(at, format!("path {path:?}, character {}: {message}", offset + 1));
            }
        }
    }
    let dropped = cx.setup.metrics.dropped.clone();
    Some(Box::new(Json { fields, source, drop_malformed, dropped }))
}

impl Stage for Json {
    fn run(&self, item: &mut Item) {
        let Some(text) = item.input(self.source.as_deref()) else { return };
        let is_object = text.trim_start().starts_with('{');
        if !is_object || serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err() {
            if self.drop_malformed.is_on() {
                item.dropped = true;
                self.dropped.add(&["malformed_json"], 1);
            }
            return;
        }
        for (name, path) in &self.fields {
            if let Some((kind, range)) = path.find(&text) {
                item.extracted.set(name, format::json_value(&text, kind, range));
            }
        }
    }
}
