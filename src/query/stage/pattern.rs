//! `` | pattern `<ip> - <_> "<method> <path>"` ``: captures become labels.

use crate::text::pattern::Pattern;

use super::compile::Pinned;
use super::names::NameId;
use super::parser::{Guards, Step};
use super::row::Row;

/// A compiled pattern with the labels of its captures.
#[derive(Debug, Clone)]
pub struct PatternParser {
    pattern: Pattern,
    names: Vec<NameId>,
    pub(super) guards: Guards,
}

impl PatternParser {
    pub(super) fn compile(source: &str, pinned: &mut Pinned) -> Result<Self, String> {
        let pattern = Pattern::parse_extractor(source)
            .map_err(|message| format!("invalid pattern parser: {message}"))?;
        let names = pattern.names().iter().map(|name| pinned.id(name)).collect();
        Ok(PatternParser { pattern, names, guards: Guards::default() })
    }

    pub(super) fn run(&self, row: &mut Row<'_>) -> Step {
        row.with_line(|row, line| {
            let mut step = Step::Keep;
            self.pattern.extract(line, &mut |capture, range| {
                let Some(&name) = self.names.get(capture) else { return };
                if step == Step::Drop {
                    return;
                }
                let name = row.parsed_name(name);
                if row.wants(name) {
                    let piece = row.line.within(range.start, range.end);
                    step = Step::keep_if(row.set_parsed(name, piece, &self.guards));
                }
            });
            step
        })
    }
}
