//! Evaluating stages over lines that are kept as shapes and columns, without building them.
//!
//! What a stage does to a shape is worked out once a shape, what it does to a value once a
//! distinct value. Whatever cannot be proven equal to reading the line is left to the pipeline
//! of `stage`, row by row: a mask says of each row whether it passes, fails, or must be read.

mod identity;
mod labels;
mod lines;
mod needle;
mod plan;
mod rows;
mod scope;
mod values;

pub use identity::{Groups, Identified};
pub use labels::Run;
pub use lines::LineMasks;
pub use plan::Plan;
pub use rows::{Metadata, ShapeRows, split};

pub use scope::{Program, Programs};
pub use values::Values;

use std::sync::Arc;

use crate::store::read::ReadError;

/// What is known of a row.
pub type Verdict = u8;
/// The row is dropped.
pub const NO: Verdict = 0;
/// The row passes.
pub const YES: Verdict = 1;
/// Only the line can tell.
pub const MAYBE: Verdict = 2;

/// So few rows are not worth columns.
const FEW: usize = 4;

/// Verdicts on the rows of a run that share a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    All(Verdict),
    Rows(Vec<Verdict>),
}

impl Mask {
    pub fn at(&self, row: usize) -> Verdict {
        match self {
            Mask::All(verdict) => *verdict,
            Mask::Rows(rows) => rows.get(row).copied().unwrap_or(MAYBE),
        }
    }

    pub fn is_no(&self) -> bool {
        match self {
            Mask::All(verdict) => *verdict == NO,
            Mask::Rows(rows) => rows.iter().all(|verdict| *verdict == NO),
        }
    }

    /// Whether next to no row is left.
    fn is_few(&self) -> bool {
        match self {
            Mask::All(_) => false,
            Mask::Rows(rows) => rows.iter().filter(|verdict| **verdict != NO).count() <= FEW,
        }
    }

    /// Rows that pass must be read to be sure.
    fn doubted(self) -> Mask {
        let doubted = |verdict| if verdict == YES { MAYBE } else { verdict };
        match self {
            Mask::All(verdict) => Mask::All(doubted(verdict)),
            Mask::Rows(mut rows) => {
                rows.iter_mut().for_each(|verdict| *verdict = doubted(*verdict));
                Mask::Rows(rows)
            }
        }
    }

    pub fn has_maybe(&self) -> bool {
        match self {
            Mask::All(verdict) => *verdict == MAYBE,
            Mask::Rows(rows) => rows.contains(&MAYBE),
        }
    }

    /// Rows that pass are dropped after all.
    pub fn without_yes(self) -> Mask {
        let without = |verdict| if verdict == YES { NO } else { verdict };
        match self {
            Mask::All(verdict) => Mask::All(without(verdict)),
            Mask::Rows(mut rows) => {
                rows.iter_mut().for_each(|verdict| *verdict = without(*verdict));
                Mask::Rows(rows)
            }
        }
    }

    /// Rows that can still pass.
    fn possible(self) -> Mask {
        match self {
            Mask::All(verdict) => Mask::All(verdict.min(YES)),
            Mask::Rows(mut rows) => {
                rows.iter_mut().for_each(|verdict| *verdict = (*verdict).min(YES));
                Mask::Rows(rows)
            }
        }
    }

    fn merge(self, other: Mask, merge: impl Fn(Verdict, Verdict) -> Verdict) -> Mask {
        match (self, other) {
            (Mask::All(a), Mask::All(b)) => Mask::All(merge(a, b)),
            (Mask::Rows(mut rows), Mask::All(all)) | (Mask::All(all), Mask::Rows(mut rows)) => {
                rows.iter_mut().for_each(|verdict| *verdict = merge(*verdict, all));
                Mask::Rows(rows)
            }
            (Mask::Rows(mut rows), Mask::Rows(others)) => {
                rows.iter_mut().zip(others).for_each(|(a, b)| *a = merge(*a, b));
                Mask::Rows(rows)
            }
        }
    }

    /// Both must pass.
    pub fn and(self, other: Mask) -> Mask {
        match (&self, &other) {
            (Mask::All(NO), _) | (_, Mask::All(YES)) => self,
            (_, Mask::All(NO)) | (Mask::All(YES), _) => other,
            _ => self.merge(other, |a, b| if a == NO || b == NO { NO } else { a.max(b) }),
        }
    }

    /// Both must pass, of which the other looks at errors: it says nothing of rows that may have
    /// one.
    pub fn then(self, other: Mask) -> Mask {
        self.merge_ordered(other, |a, b| if a == YES { b } else { a })
    }

    fn merge_ordered(self, other: Mask, merge: impl Fn(Verdict, Verdict) -> Verdict) -> Mask {
        match (self, other) {
            (Mask::All(all), Mask::Rows(rows)) => {
                Mask::Rows(rows.into_iter().map(|verdict| merge(all, verdict)).collect())
            }
            (mask, other) => mask.merge(other, merge),
        }
    }

    /// One must pass. A row of which one half cannot be told must be read.
    pub fn or(self, other: Mask) -> Mask {
        self.merge(other, Ord::max)
    }

    /// One passing is enough, whatever the other is.
    pub fn any(self, other: Mask) -> Mask {
        self.merge(other, |a, b| if a == YES || b == YES { YES } else { a.max(b) })
    }

    pub fn not(self) -> Mask {
        let not = |verdict| match verdict {
            NO => YES,
            YES => NO,
            other => other,
        };
        match self {
            Mask::All(verdict) => Mask::All(not(verdict)),
            Mask::Rows(mut rows) => {
                rows.iter_mut().for_each(|verdict| *verdict = not(*verdict));
                Mask::Rows(rows)
            }
        }
    }
}

/// What the stages say of rows that share a shape and the kind of metadata they have. The
/// program is missing where lines must be read.
pub type Judged = (Option<Arc<Program>>, Mask);

/// Goes through the label stages. `lines` is what filters on the line say; rows of which they
/// cannot tell are taken to pass them.
pub fn judge(
    plan: &Plan,
    programs: &mut Programs,
    run: &Run<'_, '_>,
    lines: &Mask,
) -> Result<Vec<Judged>, ReadError> {
    let mut found = Vec::new();
    let shape = run.rows.shape.map(|shape| (shape, scope::fingerprint(shape)));
    for (kind, inside) in run.metadata.classes(run.rows) {
        let mask = inside.and(lines.clone().possible());
        if mask.is_no() {
            continue;
        }
        let program =
            kind.and_then(|kind| programs.get(&plan.0, run.stream, run.metadata, kind, shape));
        let Some(program) = program else {
            found.push((None, mask));
            continue;
        };
        let mask = run.sought(&plan.0, &program, mask)?;
        if mask.is_no() {
            continue;
        }
        if mask.is_few() {
            // A line or two are read sooner than columns.
            found.push((None, mask.doubted()));
            continue;
        }
        let mut is_clean = true;
        for hole in &program.holes {
            is_clean &= !run.rows.values(*hole)?.holds_replacement();
        }
        if is_clean {
            let mask = run.filtered(&plan.0, &program, mask)?;
            found.push((Some(program), mask));
        } else {
            found.push((None, mask));
        }
    }
    Ok(found)
}
