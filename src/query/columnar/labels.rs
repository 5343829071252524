//! Filters on labels, over columns.

use crate::model::{Labels, MatchOp};
use crate::store::read::{ReadError, Seek};

use super::plan::{Stages, Test, Tree};
use super::rows::{Metadata, ShapeRows};
use super::scope::{Program, Source};
use super::{MAYBE, Mask, NO, Verdict, YES};

/// Whether an error that a line has got before changes what a filter says.
fn sees_errors(stages: &Stages, tree: &Tree<(Option<Source>, usize)>) -> bool {
    let mut sees = false;
    tree.each(&mut |(_, test)| sees |= stages.tests.get(*test).is_none_or(Test::sees_errors));
    sees
}

/// Where values are read from.
pub struct Run<'a, 'r> {
    pub stream: &'a Labels,
    pub metadata: &'a Metadata<'r>,
    pub rows: &'a ShapeRows<'r>,
}

impl Run<'_, '_> {
    pub fn stream_value(&self, at: usize) -> &str {
        self.stream.iter().nth(at).map_or("", |(_, value)| value)
    }

    fn leaf(
        &self,
        test: &Test,
        source: Option<Source>,
        empty_is_absent: bool,
    ) -> Result<Mask, ReadError> {
        Ok(match source {
            None => Mask::All(test.verdict(None)),
            Some(Source::Empty) => Mask::All(test.verdict(Some(""))),
            Some(Source::Stream(at)) => Mask::All(test.verdict(Some(self.stream_value(at)))),
            Some(Source::Hole(hole)) => {
                Mask::Rows(self.rows.values(hole)?.verdicts(test, empty_is_absent))
            }
            Some(Source::Metadata(at)) => {
                let Some(column) = self.metadata.columns.get(at) else {
                    return Ok(Mask::All(MAYBE));
                };
                let known: Vec<Verdict> =
                    column.values.iter().map(|value| test.verdict(Some(value))).collect();
                let verdict = |at: usize| {
                    let code = column.codes.get(self.rows.row(at)).and_then(|c| c.checked_sub(1));
                    code.and_then(|code| known.get(code as usize)).copied().unwrap_or(MAYBE)
                };
                Mask::Rows((0..self.rows.len()).map(verdict).collect())
            }
        })
    }

    fn tree(
        &self,
        stages: &Stages,
        tree: &Tree<(Option<Source>, usize)>,
        empty_is_absent: bool,
    ) -> Result<Mask, ReadError> {
        match tree {
            Tree::Leaf((source, test)) => match stages.tests.get(*test) {
                Some(test) => self.leaf(test, *source, empty_is_absent),
                None => Ok(Mask::All(MAYBE)),
            },
            Tree::And(left, right) => {
                let left = self.tree(stages, left, empty_is_absent)?;
                if left == Mask::All(NO) {
                    return Ok(left);
                }
                let passes = self.tree(stages, right, empty_is_absent)?;
                let sees = sees_errors(stages, right);
                Ok(if sees { left.then(passes) } else { left.and(passes) })
            }
            Tree::Or(left, right) => {
                let left = self.tree(stages, left, empty_is_absent)?;
                if left == Mask::All(YES) {
                    return Ok(left);
                }
                Ok(left.or(self.tree(stages, right, empty_is_absent)?))
            }
        }
    }

    /// Leaves rows of which a label has a value it must have, as far as that is found without
    /// reading values; begins with what is known of the rows already.
    pub(super) fn sought(
        &self,
        stages: &Stages,
        program: &Program,
        known: Mask,
    ) -> Result<Mask, ReadError> {
        let mut mask = known;
        let mut trees: Vec<&Tree<(Option<Source>, usize)>> = program.filters.iter().collect();
        while let Some(tree) = trees.pop() {
            match tree {
                Tree::And(left, right) => trees.extend([&**left, &**right]),
                Tree::Leaf((Some(Source::Hole(hole)), test)) => {
                    let Some(Test::Text(matcher)) = stages.tests.get(*test) else { continue };
                    // Parsers put a space in place of what was no text in the line.
                    let as_it_stands = !matcher.value.is_empty() && !matcher.value.contains(' ');
                    if matcher.op == MatchOp::Eq
                        && as_it_stands
                        && let Some(found) = self.rows.seek(*hole, Seek::Equals(&matcher.value))?
                    {
                        mask = mask.and(found);
                        if mask.is_no() {
                            break;
                        }
                    }
                }
                Tree::Leaf(_) | Tree::Or(..) => {}
            }
        }
        Ok(mask)
    }

    /// What all filters of a program say; begins with what is known of the rows already.
    pub(super) fn filtered(
        &self,
        stages: &Stages,
        program: &Program,
        known: Mask,
    ) -> Result<Mask, ReadError> {
        let mut mask = known;
        for tree in &program.filters {
            if mask.is_no() {
                return Ok(Mask::All(NO));
            }
            let passes = self.tree(stages, tree, program.empty_is_absent)?;
            let sees = sees_errors(stages, tree);
            mask = if sees { mask.then(passes) } else { mask.and(passes) };
        }
        Ok(mask)
    }
}
