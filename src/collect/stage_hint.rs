//! What sources look for in pipelines that are written into them. Lines of one record must be
//! joined where positions are kept: a pipeline sees one batch at a time, and a position must not
//! move past lines that are still held back.

use crate::config::pipeline::Node;
use crate::config::sources::{RawMultiline, RawMultilineRule};

/// A stage, as far as sources care.
pub trait StageHint {
    /// The rule of a `multiline` stage.
    fn multiline(&self) -> Option<RawMultiline>;
}

impl StageHint for Node {
    fn multiline(&self) -> Option<RawMultiline> {
        let body = self.get("multiline")?;
        if let Some(preset) = body.as_str() {
            return Some(RawMultiline::Preset(preset.to_owned()));
        }
        let text = |key: &str| body.get(key).and_then(Node::scalar);
        Some(RawMultiline::Rule(RawMultilineRule {
            preset: text("preset"),
            firstline: text("firstline"),
            max_lines: text("max_lines").and_then(|lines| lines.parse().ok()),
            max_wait_time: text("max_wait_time"),
        }))
    }
}
