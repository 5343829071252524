//! Removes ANSI escape sequences from the line.

use std::sync::LazyLock;

use regex::Regex;

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::model::Text;

/// Control sequences (colors, cursor), operating system commands (titles, links) and two-byte
/// escapes.
static ESCAPES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])").ok()
});

#[derive(Debug)]
struct Decolorize;

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    cx.keys("decolorize", body, &[])?;
    Some(Box::new(Decolorize))
}

impl Stage for Decolorize {
    fn run(&self, item: &mut Item) {
        if memchr::memchr(0x1b, item.line.as_bytes()).is_none() {
            return;
        }
        let Some(escapes) = ESCAPES.as_ref() else { return };
        let clean = Text::from(escapes.replace_all(&item.line, "").into_owned());
        item.set_line(clean);
    }
}
