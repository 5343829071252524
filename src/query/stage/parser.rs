//! What parsers have in common: labels that contradict a filter further on end the line.

use super::label_filter::LabelFilter;
use super::names::NameId;
use super::row::{Piece, Row};

/// Whether a line goes on to the next stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Keep,
    Drop,
}

impl Step {
    pub fn keep_if(kept: bool) -> Step {
        if kept { Step::Keep } else { Step::Drop }
    }
}

/// Filters behind a parser that decide by one label alone, which no stage in between changes.
/// As soon as the parser sets that label, they can be asked.
#[derive(Debug, Clone, Default)]
pub struct Guards(pub(super) Vec<(NameId, LabelFilter)>);

impl Row<'_> {
    /// Sets a label; `false` when a guard refuses it.
    pub(super) fn set_parsed(&mut self, name: NameId, value: Piece, guards: &Guards) -> bool {
        self.set(name, value);
        guards
            .0
            .iter()
            .filter(|(guarded, _)| *guarded == name)
            .all(|(_, filter)| !filter.refuses(self.text(value)))
    }

    /// Whether a parser should set this label: somebody needs it and it is not there yet.
    pub(super) fn wants(&self, name: NameId) -> bool {
        self.state.names.is_wanted(name) && !self.is_set(name)
    }
}
