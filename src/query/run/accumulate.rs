//! Aggregates that can be put together from parts: a window is the sum of its cells, so a row is
//! looked at once, however many windows it lies in.

use std::collections::VecDeque;

use super::grid::{Cuts, Steps};

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
    /// Squared differences of a variance; what rounding has taken from a sum.
    spread: f64,
    /// When a first or last value was seen.
    ns: i64,
}

impl Part {
    const EMPTY: Part = Part { count: 0.0, value: 0.0, spread: 0.0, ns: 0 };
}

impl Fold {
    /// So many samples of value one.
    pub fn ones(self, count: usize) -> Part {
        let count = count as f64;
        Part { count, value: count, spread: 0.0, ns: 0 }
    }

    pub fn one(self, ns: i64, value: f64) -> Part {
        Part { count: 1.0, value, spread: 0.0, ns }
    }

    /// Puts together two parts, of which `left` was seen first.
    pub fn join(self, left: Part, right: Part) -> Part {
        let count = left.count + right.count;
        let mut joined = Part { count, ..left };
        match self {
            Fold::Sum => {
                let (sum, lost) = add_exactly(left.value, right.value);
                joined.value = sum;
                joined.spread = left.spread + right.spread + lost;
            }
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
            Fold::Sum if part.value.is_finite() => part.value + part.spread,
            Fold::Variance => part.spread / part.count,
            Fold::Deviation => (part.spread / part.count).sqrt(),
            _ => part.value,
        }
    }
}

/// A sum and what rounding took from it. Sums carry both along, so that the order in which
/// threads come upon blocks does not show in the result.
fn add_exactly(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    if !sum.is_finite() {
        return (sum, 0.0);
    }
    let right_part = sum - left;
    (sum, (left - (sum - right_part)) + (right - right_part))
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

/// What a series has seen in a cell.
#[derive(Debug, Clone, Copy)]
struct Cell {
    at: u32,
    part: Part,
}

/// The cells of one series: a list while there are few of them, else a table without gaps.
#[derive(Debug, Clone)]
pub struct Cells {
    layout: Layout,
}

#[derive(Debug, Clone)]
enum Layout {
    Sparse {
        cells: Vec<Cell>,
        /// Whether cells came out of order, or one twice.
        unsorted: bool,
        /// Length at which cells that came twice are put together.
        tidy_at: usize,
    },
    Dense {
        first: u32,
        parts: Vec<Part>,
        /// Cells that hold something.
        used: usize,
    },
}

/// Cells before the first tidying.
const TIDY_MIN: usize = 16;
/// A table may have so many slots for each cell that holds something.
const SLOTS_PER_CELL: usize = 4;

impl Default for Cells {
    fn default() -> Self {
        Cells::sparse(Vec::new(), TIDY_MIN)
    }
}

impl Cells {
    fn sparse(cells: Vec<Cell>, tidy_at: usize) -> Self {
        Cells { layout: Layout::Sparse { cells, unsorted: false, tidy_at } }
    }

    /// Adds a sample; gives by how many slots the series grew.
    pub fn add(&mut self, fold: Fold, at: u32, ns: i64, value: f64) -> isize {
        self.add_part(fold, at, fold.one(ns, value))
    }

    pub fn add_part(&mut self, fold: Fold, at: u32, part: Part) -> isize {
        match &mut self.layout {
            Layout::Dense { first, parts, used } => {
                match parts.get_mut(at.wrapping_sub(*first) as usize) {
                    Some(slot) if slot.count > 0.0 => *slot = fold.join(*slot, part),
                    Some(slot) => {
                        *slot = part;
                        *used += 1;
                    }
                    None => return self.widen(at, part),
                }
                0
            }
            Layout::Sparse { cells, unsorted, tidy_at } => {
                if let Some(last) = cells.last_mut() {
                    if last.at == at {
                        last.part = fold.join(last.part, part);
                        return 0;
                    }
                    *unsorted |= at < last.at;
                }
                cells.push(Cell { at, part });
                if cells.len() >= *tidy_at { 1 + self.tidy(fold) } else { 1 }
            }
        }
    }

    /// What the cells take in memory, in slots.
    pub fn slots(&self) -> usize {
        match &self.layout {
            Layout::Sparse { cells, .. } => cells.len(),
            Layout::Dense { parts, .. } => parts.len(),
        }
    }

    fn grown(&self, before: usize) -> isize {
        self.slots() as isize - before as isize
    }

    /// Makes a table long enough for one more cell, or a list of it if it would be mostly empty.
    fn widen(&mut self, at: u32, part: Part) -> isize {
        let before = self.slots();
        let Layout::Dense { first, parts, used } = &mut self.layout else { return 0 };
        let end = first.saturating_add(parts.len() as u32);
        let slots = end.max(at.saturating_add(1)) - at.min(*first);
        if slots as usize > (*used + TIDY_MIN) * 2 * SLOTS_PER_CELL {
            let mut cells = self.take();
            cells.push(Cell { at, part });
            cells.sort_by_key(|cell| cell.at);
            let tidy_at = cells.len() * 2;
            *self = Cells::sparse(cells, tidy_at);
            return self.grown(before);
        }
        *used += 1;
        if at < *first {
            // Leave room: blocks may come newest first.
            let front = ((*first - at) as usize).max(parts.len() / 2).min(*first as usize);
            let mut wider = vec![Part::EMPTY; front + parts.len()];
            if let Some(behind) = wider.get_mut(front..) {
                behind.copy_from_slice(parts);
            }
            *first -= front as u32;
            *parts = wider;
        } else {
            parts.resize((at - *first) as usize + 1, Part::EMPTY);
        }
        let slot = at - *first;
        if let Some(slot) = parts.get_mut(slot as usize) {
            *slot = part;
        }
        self.grown(before)
    }

    /// Puts the cells of a list in order, and makes a table of it if they lie close together.
    fn tidy(&mut self, fold: Fold) -> isize {
        let before = self.slots();
        self.sort(fold);
        if let Layout::Sparse { cells, tidy_at, .. } = &mut self.layout {
            *tidy_at = (cells.len() * 2).max(TIDY_MIN);
            if let (Some(first), Some(last)) = (cells.first(), cells.last())
                && cells.len() >= TIDY_MIN / 2
                && ((last.at - first.at) as usize) < cells.len() * SLOTS_PER_CELL
            {
                let mut parts = vec![Part::EMPTY; (last.at - first.at) as usize + 1];
                for cell in cells.iter() {
                    if let Some(slot) = parts.get_mut((cell.at - first.at) as usize) {
                        *slot = cell.part;
                    }
                }
                let (first, used) = (first.at, cells.len());
                self.layout = Layout::Dense { first, parts, used };
            }
        }
        self.grown(before)
    }

    fn sort(&mut self, fold: Fold) {
        let Layout::Sparse { cells, unsorted, .. } = &mut self.layout else { return };
        if !*unsorted {
            return;
        }
        cells.sort_by_key(|cell| cell.at);
        cells.dedup_by(|next, kept| {
            let same = next.at == kept.at;
            if same {
                kept.part = fold.join(kept.part, next.part);
            }
            same
        });
        *unsorted = false;
    }

    fn take(&mut self) -> Vec<Cell> {
        match std::mem::take(self).layout {
            Layout::Sparse { cells, .. } => cells,
            Layout::Dense { first, parts, .. } => (first..)
                .zip(parts)
                .filter(|(_, part)| part.count > 0.0)
                .map(|(at, part)| Cell { at, part })
                .collect(),
        }
    }

    /// All cells in order.
    pub fn into_parts(mut self, fold: Fold) -> impl Iterator<Item = (u32, Part)> {
        self.sort(fold);
        self.take().into_iter().map(|cell| (cell.at, cell.part))
    }

    /// Calls back with step and value for every step whose window holds a sample, in order.
    pub fn windows(self, fold: Fold, cuts: &Cuts, mut found: impl FnMut(u32, f64)) {
        let mut window = SlidingWindow::new(fold);
        let cells = self.into_parts(fold).filter_map(|(at, part)| Some((cuts.steps(at)?, part)));
        let mut cells = cells.map(|(steps, part)| Seen { steps, part }).peekable();
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

/// A cell, and the steps that see it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    steps: Steps,
    part: Part,
}

/// A queue that knows the aggregate of what is in it, with about two joins a cell, for
/// aggregates that cannot be undone. The front holds aggregates from each cell to its end.
struct SlidingWindow {
    fold: Fold,
    front: Vec<(u32, Part)>,
    back: VecDeque<Seen>,
    back_total: Option<Part>,
}

impl SlidingWindow {
    fn new(fold: Fold) -> Self {
        SlidingWindow { fold, front: Vec::new(), back: VecDeque::new(), back_total: None }
    }

    fn push(&mut self, cell: Seen) {
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
    use crate::query::run::grid::{Grid, Lattice, Windows};

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
            samples in prop::collection::vec((0_i64..100, -50_i32..50), 0..200),
            step in 1_i64..15, range in 1_i64..50,
        ) {
            for fold in [Fold::Sum, Fold::Avg, Fold::Min, Fold::Max, Fold::Variance,
                Fold::Deviation, Fold::First, Fold::Last] {
                let grid = Grid { start_ns: 0, step_ns: step, count: 9 };
                let cuts = Cuts::new(&Windows::new(grid, range, 0), Lattice::Own);
                let mut cells = [Cells::default(), Cells::default()];
                let mut slots = 0;
                let mut segments = Vec::new();
                for (at, &(ns, value)) in samples.iter().enumerate() {
                    cuts.segments(1, |_| ns, &mut segments);
                    if let Some(segment) = segments.first() {
                        // In two halves: the second is put to the first in the end.
                        let half = &mut cells[at * 2 / samples.len()];
                        slots += half.add(fold, segment.cell, ns, f64::from(value));
                    }
                }
                prop_assert_eq!(slots, cells.iter().map(|half| half.slots() as isize).sum::<isize>());
                let [mut cells, second] = cells;
                for (at, part) in second.into_parts(fold) {
                    cells.add_part(fold, at, part);
                }
                let mut found = Vec::new();
                cells.windows(fold, &cuts, |step, value| found.push((step, value)));
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
