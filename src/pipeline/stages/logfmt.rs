//! Reads `key=value` pairs: promtail's `mapping`, or `{name: key}` directly.

use super::super::compile::Compile;
use super::super::format::share;
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::text::logfmt::{Pair, Scanner};

const KEYS: [&str; 2] = ["mapping", "source"];

#[derive(Debug)]
struct Logfmt {
    /// Key in the line, name to set.
    fields: Vec<(String, String)>,
    source: Option<String>,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let pairs = body.map().unwrap_or_default();
    let promtail = pairs.iter().any(|(name, _)| name.as_str().is_some_and(|n| KEYS.contains(&n)))
        || body.is_null();
    let (mapping, source) = if promtail {
        let keys = cx.keys("logfmt", body, &KEYS)?;
        (keys.required(cx, "mapping")?, keys.source(cx))
    } else {
        (body, None)
    };
    let fields: Vec<_> =
        cx.mapping("logfmt", mapping).into_iter().map(|(name, key, _)| (key, name)).collect();
    if fields.is_empty() {
        cx.fault(mapping, "stage logfmt needs at least one mapping");
    }
    Some(Box::new(Logfmt { fields, source }))
}

impl Stage for Logfmt {
    fn run(&self, item: &mut Item) {
        let Some(text) = item.input(self.source.as_deref()) else { return };
        for pair in Scanner::new(&text) {
            if let Pair::Value { key, value, .. } = pair {
                for (_, name) in self.fields.iter().filter(|(own, _)| own == key) {
                    item.extracted.set(name, share(&text, &value));
                }
            }
        }
    }
}
