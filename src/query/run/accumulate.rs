//! Aggregates that can be put together from parts: a window is the sum of its cells, so a row is
//! looked at once, however many windows it lies in.

use std::collections::VecDeque;

use super::grid::Steps;

/// Aggregates of this kind need no list of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    Sum,
    Avg,
    Min,
    Max,
    /// Population variance.
    Variance,
    Deviation,
    First,
    Last,
}

/// A part of an aggregate. What the numbers mean depends on the fold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    count: f64,
    value: f64,
    /// Squared differences of a variance.
    spread: f64,
    /// When a first or last value was seen.
    ns: i64,
}

impl Fold {
    pub fn one(self, ns: i64, value: f64) -> Part {
        Part { count: 1.0, value, spread: 0.0, ns }
    }

    /// Puts together two parts, of which `left` was seen first.
    pub fn join(self, left: Part, right: Part) -> Part {
        let count = left.count + right.count;
        let mut joined = Part { count, ..left };
        match self {
            Fold::Sum => joined.value += right.value,
            Fold::Avg => joined.value = mean(left, right, count),
            Fold::Min => joined.value = pick(left.value, right.value, |a, b| b < a),
            Fold::Max => joined.value = pick(left.value, right.value, |a, b| b > a),
            Fold::Variance | Fold::Deviation => {
                let delta = right.value - left.value;
                joined.value = left.value + delta * right.count / count;
                joined.spread =
                    left.spread + right.spread + delta * delta * left.count * right.count / count;
            }
            Fold::First => {
                if right.ns < left.ns {
                    joined = Part { count, ..right };
                }
            }
            Fold::Last => {
                if right.ns >= left.ns {
                    joined = Part { count, ..right };
                }
            }
        }
        joined
    }

    pub fn result(self, part: Part) -> f64 {
        match self {
            Fold::Variance => part.spread / part.count,
            Fold::Deviation => (part.spread / part.count).sqrt(),
            _ => part.value,
        }
    }
}

/// The mean of two means; infinite ones stay what they are instead of turning into NaN.
fn mean(left: Part, right: Part, count: f64) -> f64 {
    if left.value.is_infinite() || right.value.is_infinite() {
        if left.value.is_finite() {
            return right.value;
        }
        if right.value.is_finite() || left.value == right.value {
            return left.value;
        }
        return f64::NAN;
    }
    left.value + (right.value - left.value) * (right.count / count)
}

/// NaN counts only where there is nothing else.
fn pick(left: f64, right: f64, better: fn(f64, f64) -> bool) -> f64 {
    if left.is_nan() || better(left, right) { right } else { left }
}

/// What a series has seen in the times that share their windows.
#[derive(Debug, Clone, Copy)]
struct Cell {
    steps: Steps,
    part: Part,
}

/// The cells of one series.
#[derive(Debug, Clone, Default)]
pub struct Cells {
    cells: Vec<Cell>,
    /// Whether cells came in order, each once.
    unsorted: bool,
    /// Length at which cells that came twice are put together.
    tidy_at: usize,
}

/// Cells before the first tidying.
const TIDY_MIN: usize = 64;

impl Cells {
    /// Adds a sample; gives by how many cells the series grew.
    pub fn add(&mut self, fold: Fold, steps: Steps, ns: i64, value: f64) -> usize {
        let part = fold.one(ns, value);
        if let Some(last) = self.cells.last_mut() {
            if last.steps == steps {
                last.part = fold.join(last.part, part);
                return 0;
            }
            self.unsorted |= steps < last.steps;
        }
        self.cells.push(Cell { steps, part });
        1
    }

    /// Puts cells in order; gives by how many the series shrank. Cheap to call often.
    pub fn tidy(&mut self, fold: Fold) -> usize {
        if !self.unsorted || self.cells.len() < self.tidy_at.max(TIDY_MIN) {
            return 0;
        }
        let before = self.cells.len();
        self.sort(fold);
        self.tidy_at = self.cells.len() * 2;
        before - self.cells.len()
    }

    fn sort(&mut self, fold: Fold) {
        if !self.unsorted {
            return;
        }
        self.cells.sort_by_key(|cell| cell.steps);
        self.cells.dedup_by(|next, kept| {
            let same = next.steps == kept.steps;
            if same {
                kept.part = fold.join(kept.part, next.part);
            }
            same
        });
        self.unsorted = false;
    }

    /// Calls back with step and value for every step whose window holds a sample, in order.
    pub fn windows(mut self, fold: Fold, mut found: impl FnMut(u32, f64)) {
        self.sort(fold);
        let mut window = SlidingWindow::new(fold);
        let mut cells = self.cells.into_iter().peekable();
        let mut step = 0;
        loop {
            while let Some(cell) = cells.next_if(|cell| cell.steps.first <= step) {
                window.push(cell);
            }
            window.expire(step);
            match window.total() {
                Some(part) => {
                    found(step, fold.result(part));
                    step += 1;
                }
                None => match cells.peek() {
                    Some(next) => step = next.steps.first.max(step),
                    None => return,
                },
            }
        }
    }
}

/// A queue that knows the aggregate of what is in it, with about two joins a cell, for
/// aggregates that cannot be undone. The front holds aggregates from each cell to its end.
struct SlidingWindow {
    fold: Fold,
    front: Vec<(u32, Part)>,
    back: VecDeque<Cell>,
    back_total: Option<Part>,
}

impl SlidingWindow {
    fn new(fold: Fold) -> Self {
        SlidingWindow { fold, front: Vec::new(), back: VecDeque::new(), back_total: None }
    }

    fn push(&mut self, cell: Cell) {
        let total = self.back_total.map_or(cell.part, |total| self.fold.join(total, cell.part));
        self.back_total = Some(total);
        self.back.push_back(cell);
    }

    /// Lets go of cells whose last step lies before this one.
    fn expire(&mut self, step: u32) {
        loop {
            if let Some((end, _)) = self.front.last() {
                if *end > step {
                    return;
                }
                self.front.pop();
                continue;
            }
            if self.back.is_empty() {
                return;
            }
            let mut total: Option<Part> = None;
            while let Some(cell) = self.back.pop_back() {
                let joined = total.map_or(cell.part, |total| self.fold.join(cell.part, total));
                total = Some(joined);
                self.front.push((cell.steps.end, joined));
            }
            self.back_total = None;
        }
    }

    fn total(&self) -> Option<Part> {
        match (self.front.last(), self.back_total) {
            (Some((_, front)), Some(back)) => Some(self.fold.join(*front, back)),
            (Some((_, front)), None) => Some(*front),
            (None, back) => back,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Timestamp;
    use crate::query::run::grid::{Grid, Windows};

    fn naive(fold: Fold, values: &[(i64, f64)]) -> f64 {
        let n = values.len() as f64;
        let all = || values.iter().map(|(_, value)| *value);
        let mean = all().sum::<f64>() / n;
        let variance = all().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        match fold {
            Fold::Sum => all().sum(),
            Fold::Avg => mean,
            Fold::Min => all().fold(f64::INFINITY, f64::min),
            Fold::Max => all().fold(f64::NEG_INFINITY, f64::max),
            Fold::Variance => variance,
            Fold::Deviation => variance.sqrt(),
            // Of equal times the first that came, and the last.
            Fold::First => values.iter().min_by_key(|(ns, _)| *ns).map_or(f64::NAN, |v| v.1),
            Fold::Last => values.iter().max_by_key(|(ns, _)| *ns).map_or(f64::NAN, |v| v.1),
        }
    }

    proptest! {
        #[test]
        fn windows_equal_a_naive_walk(
            samples in prop::collection::vec((0_i64..100, -50_i32..50), 0..120),
            step in 1_i64..15, range in 1_i64..50,
        ) {
            for fold in [Fold::Sum, Fold::Avg, Fold::Min, Fold::Max, Fold::Variance,
                Fold::Deviation, Fold::First, Fold::Last] {
                let grid = Grid { start_ns: 0, step_ns: step, count: 9 };
                let mut windows = Windows::new(grid, range, 0);
                let mut cells = Cells::default();
                for &(ns, value) in &samples {
                    if let Some(steps) = windows.steps(Timestamp(ns)) {
                        cells.add(fold, steps, ns, f64::from(value));
                        cells.tidy(fold);
                    }
                }
                let mut found = Vec::new();
                cells.windows(fold, |step, value| found.push((step, value)));
                let mut expect = Vec::new();
                for k in 0..9_u32 {
                    let end = i64::from(k) * step;
                    let inside: Vec<(i64, f64)> = samples
                        .iter()
                        .filter(|(ns, _)| end - range < *ns && *ns <= end)
                        .map(|&(ns, value)| (ns, f64::from(value)))
                        .collect();
                    if !inside.is_empty() {
                        expect.push((k, naive(fold, &inside)));
                    }
                }
                prop_assert_eq!(found.len(), expect.len());
                for (a, b) in found.iter().zip(&expect) {
                    prop_assert_eq!(a.0, b.0);
                    prop_assert!((a.1 - b.1).abs() < 1e-6, "{:?}: {:?} {:?}", fold, a, b);
                }
            }
        }
    }
}
