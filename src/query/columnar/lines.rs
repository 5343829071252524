//! Filters on the line, over shapes.

use std::collections::HashMap;
use std::sync::Arc;

use memchr::memmem::Finder;

use crate::store::read::{ReadError, Shape};

use super::needle::Sight;
use super::plan::{Alternative, LineTest, Plan};
use super::rows::ShapeRows;
use super::scope::fingerprint;
use super::{MAYBE, Mask, NO, YES};

/// Shapes whose needles are remembered before the table starts anew.
const SHAPES_MAX: usize = 4096;

/// Filters on the line, and what is known of them about shapes.
#[derive(Debug)]
pub struct LineMasks {
    finders: Vec<Finder<'static>>,
    known: HashMap<u128, Known>,
}

#[derive(Debug)]
struct Known {
    shape: Shape,
    /// By needle.
    sights: Arc<Vec<Sight>>,
}

impl LineMasks {
    pub fn new(plan: &Plan) -> Self {
        let finders = plan.0.needles.iter().map(|needle| Finder::new(needle).into_owned());
        LineMasks { finders: finders.collect(), known: HashMap::new() }
    }

    fn sights(&mut self, plan: &Plan, shape: &Shape) -> Arc<Vec<Sight>> {
        let key = fingerprint(shape);
        if let Some(known) = self.known.get(&key)
            && known.shape == *shape
        {
            return Arc::clone(&known.sights);
        }
        let sights = plan.0.needles.iter().map(|needle| Sight::of(shape, needle)).collect();
        let sights = Arc::new(sights);
        if self.known.len() >= SHAPES_MAX {
            self.known.clear();
        }
        self.known.insert(key, Known { shape: shape.clone(), sights: Arc::clone(&sights) });
        sights
    }

    /// What the filters say of each row.
    pub fn mask(&mut self, plan: &Plan, rows: &ShapeRows<'_>) -> Result<Mask, ReadError> {
        if plan.0.lines.is_empty() {
            return Ok(Mask::All(YES));
        }
        let Some(shape) = rows.shape else { return Ok(Mask::All(MAYBE)) };
        let sights = self.sights(plan, shape);
        let mut mask = Mask::All(YES);
        for test in &plan.0.lines {
            let found = self.found(test, rows, &sights)?;
            mask = mask.and(if test.negated { found.not() } else { found });
            if mask.is_no() {
                return Ok(Mask::All(NO));
            }
        }
        Ok(mask)
    }

    /// Which rows hold what a filter asks for, negated or not.
    fn found(
        &self,
        test: &LineTest,
        rows: &ShapeRows<'_>,
        sights: &[Sight],
    ) -> Result<Mask, ReadError> {
        let holds = |needle: usize| match (sights.get(needle), self.finders.get(needle)) {
            (Some(sight), Some(finder)) => sight.mask(rows, finder),
            _ => Ok(Mask::All(MAYBE)),
        };
        let mut found = Mask::All(NO);
        for alternative in &test.alternatives {
            let one = match alternative {
                Alternative::Contains(needle) => holds(*needle)?,
                Alternative::Holds(groups) => {
                    let mut all = Mask::All(MAYBE);
                    for group in groups {
                        let mut any = Mask::All(NO);
                        for needle in group {
                            any = any.any(holds(*needle)?);
                        }
                        all = all.and(any);
                        if all == Mask::All(NO) {
                            break;
                        }
                    }
                    all
                }
            };
            found = found.any(one);
        }
        Ok(found)
    }

    /// What the filters say of a line.
    pub fn keeps(plan: &Plan, line: &str) -> bool {
        plan.0.lines.iter().all(|test| test.filter.keeps(line))
    }
}
