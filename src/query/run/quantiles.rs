//! Quantiles of windows: samples are kept by cell, a window is a stretch of them.

use super::grid::{Cuts, Steps};

/// The samples of one series, with the cells they lie in.
#[derive(Debug, Clone, Default)]
pub struct Buckets {
    samples: Vec<(u32, f64)>,
}

/// When windows overlap so much that samples would be copied more often than this, a tree keeps
/// track of which of them are inside.
const COPIES_MAX: usize = 16;

impl Buckets {
    pub fn add(&mut self, cell: u32, value: f64) {
        self.samples.push((cell, value));
    }

    pub fn append(&mut self, other: &mut Buckets) {
        self.samples.append(&mut other.samples);
    }

    /// The quantile of each window, with linear interpolation.
    pub fn quantiles(self, q: f64, cuts: &Cuts, found: impl FnMut(u32, f64)) {
        let grouped = Grouped::new(self.samples, cuts);
        let mut copies = 0_usize;
        grouped.windows(|_, event| {
            if let Event::Window(low, high) = event {
                copies += high - low;
            }
        });
        if copies <= grouped.values.len().saturating_mul(COPIES_MAX) {
            grouped.by_selection(q, found);
        } else {
            grouped.by_ranks(q, found);
        }
    }
}

/// Samples cell by cell.
struct Grouped {
    values: Vec<f64>,
    /// Where the samples of a cell end, and the steps that see it.
    cells: Vec<(usize, Steps)>,
}

enum Event {
    In(usize),
    Out(usize),
    /// All samples of the step's window, from one place to another.
    Window(usize, usize),
}

impl Grouped {
    fn new(mut samples: Vec<(u32, f64)>, cuts: &Cuts) -> Self {
        if samples.len() > cuts.len() / 4 {
            // Counting is faster than comparing.
            let mut places = vec![0_usize; cuts.len() + 1];
            for (cell, _) in &samples {
                if let Some(count) = places.get_mut(*cell as usize + 1) {
                    *count += 1;
                }
            }
            for at in 1..places.len() {
                places[at] += places[at - 1];
            }
            let mut sorted = vec![(0, 0.0); samples.len()];
            for &(cell, value) in &samples {
                let Some(place) = places.get_mut(cell as usize) else { continue };
                if let Some(slot) = sorted.get_mut(*place) {
                    *slot = (cell, value);
                }
                *place += 1;
            }
            samples = sorted;
        } else {
            samples.sort_by_key(|(cell, _)| *cell);
        }
        let mut grouped = Grouped { values: Vec::with_capacity(samples.len()), cells: Vec::new() };
        for cell in samples.chunk_by(|a, b| a.0 == b.0) {
            let Some(steps) = cell.first().and_then(|(at, _)| cuts.steps(*at)) else { continue };
            grouped.values.extend(cell.iter().map(|(_, value)| *value));
            grouped.cells.push((grouped.values.len(), steps));
        }
        grouped
    }

    /// Slides a window over the cells.
    fn windows(&self, mut step: impl FnMut(u32, Event)) {
        let cell = |at: usize| self.cells.get(at);
        let end_of = |at: usize| at.checked_sub(1).and_then(cell).map_or(0, |(end, _)| *end);
        let (mut low, mut high) = (0, 0);
        let mut at = 0;
        loop {
            while let Some((end, steps)) = cell(high)
                && steps.first <= at
            {
                (end_of(high)..*end).for_each(|sample| step(at, Event::In(sample)));
                high += 1;
            }
            while low < high
                && let Some((end, steps)) = cell(low)
                && steps.end <= at
            {
                (end_of(low)..*end).for_each(|sample| step(at, Event::Out(sample)));
                low += 1;
            }
            if low < high {
                step(at, Event::Window(end_of(low), end_of(high)));
                at += 1;
            } else {
                match cell(high) {
                    Some((_, steps)) => at = steps.first.max(at),
                    None => return,
                }
            }
        }
    }

    /// Looks for the wanted ranks in a copy of each window.
    fn by_selection(&self, q: f64, mut found: impl FnMut(u32, f64)) {
        let mut copy: Vec<f64> = Vec::new();
        self.windows(|at, event| {
            let Event::Window(low, high) = event else { return };
            copy.clear();
            copy.extend_from_slice(self.values.get(low..high).unwrap_or_default());
            found(at, selected(q, &mut copy));
        });
    }

    fn by_ranks(&self, q: f64, mut found: impl FnMut(u32, f64)) {
        let value = |at: usize| self.values.get(at).copied().unwrap_or(f64::NAN);
        let mut by_value: Vec<usize> = (0..self.values.len()).collect();
        by_value.sort_by(|&a, &b| compare(&value(a), &value(b)));
        let mut rank = vec![0; by_value.len()];
        for (at, &sample) in by_value.iter().enumerate() {
            if let Some(rank) = rank.get_mut(sample) {
                *rank = at;
            }
        }
        let mut inside = Ranks::new(by_value.len());
        let rank_of = |sample: usize| rank.get(sample).copied().unwrap_or(0);
        self.windows(|step, event| match event {
            Event::In(at) => inside.change(rank_of(at), 1),
            Event::Out(at) => inside.change(rank_of(at), -1),
            Event::Window(low, high) => {
                let nth = |n: usize| {
                    by_value.get(inside.nth(n)).map_or(f64::NAN, |&sample| value(sample))
                };
                let ranks = match ranks(q, high - low) {
                    Ok(ranks) => ranks,
                    Err(outside) => return found(step, outside),
                };
                found(step, ranks.between(nth(ranks.lower), nth(ranks.upper)));
            }
        });
    }
}

/// NaN sorts before all numbers.
fn compare(a: &f64, b: &f64) -> std::cmp::Ordering {
    b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b))
}

/// Between which ranks a quantile lies.
#[derive(Clone, Copy)]
struct Between {
    lower: usize,
    upper: usize,
    weight: f64,
}

impl Between {
    fn between(self, lower: f64, upper: f64) -> f64 {
        lower * (1.0 - self.weight) + upper * self.weight
    }
}

/// Where to look, or the value of a quantile that is none.
fn ranks(q: f64, count: usize) -> Result<Between, f64> {
    if q < 0.0 {
        return Err(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return Err(f64::INFINITY);
    }
    let rank = q * (count as f64 - 1.0);
    let lower = rank.floor().max(0.0) as usize;
    let upper = (lower + 1).min(count.saturating_sub(1));
    Ok(Between { lower, upper, weight: rank - rank.floor() })
}

fn selected(q: f64, values: &mut [f64]) -> f64 {
    let ranks = match ranks(q, values.len()) {
        Ok(ranks) if ranks.lower < values.len() => ranks,
        Ok(_) => return f64::NAN,
        Err(outside) => return outside,
    };
    let (_, lower, behind) = values.select_nth_unstable_by(ranks.lower, compare);
    let lower = *lower;
    let next = || behind.iter().copied().min_by(compare).unwrap_or(lower);
    let upper = if ranks.upper == ranks.lower { lower } else { next() };
    ranks.between(lower, upper)
}

/// Which ranks are in the window: a Fenwick tree, so that the n-th is found in logarithmic time.
struct Ranks {
    tree: Vec<i32>,
}

impl Ranks {
    fn new(len: usize) -> Self {
        Ranks { tree: vec![0; len + 1] }
    }

    fn change(&mut self, rank: usize, by: i32) {
        let mut at = rank + 1;
        while let Some(node) = self.tree.get_mut(at) {
            *node += by;
            at += at & at.wrapping_neg();
        }
    }

    /// The rank of the n-th smallest inside, from zero.
    fn nth(&self, n: usize) -> usize {
        let mut left = i32::try_from(n).unwrap_or(i32::MAX);
        let mut at = 0;
        let mut stride = self.tree.len().next_power_of_two();
        while stride > 0 {
            if let Some(&node) = self.tree.get(at + stride)
                && node <= left
            {
                at += stride;
                left -= node;
            }
            stride /= 2;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::run::grid::{Grid, Lattice, Windows};

    fn cuts(count: usize, range_ns: i64) -> Cuts {
        let windows = Windows::new(Grid { start_ns: 10, step_ns: 10, count }, range_ns, 0);
        Cuts::new(&windows, Lattice::Own)
    }

    fn buckets(cuts: &Cuts, samples: &[(i64, f64)]) -> Buckets {
        let mut list = Buckets::default();
        let mut segments = Vec::new();
        for &(ns, value) in samples {
            cuts.segments(1, |_| ns, &mut segments);
            segments.iter().for_each(|segment| list.add(segment.cell, value));
        }
        list
    }

    #[track_caller]
    fn check_quantile(q: f64, samples: &[(i64, f64)], expect: &[(u32, f64)]) {
        let cuts = cuts(3, 20);
        let mut found = Vec::new();
        buckets(&cuts, samples).quantiles(q, &cuts, |step, value| found.push((step, value)));
        assert_eq!(found, expect);
    }

    #[test]
    fn quantiles_of_sliding_windows() {
        let samples = [(5, 1.0), (3, 3.0), (15, 2.0), (25, 10.0)];
        check_quantile(0.5, &samples, &[(0, 2.0), (1, 2.0), (2, 6.0)]);
        check_quantile(0.0, &samples, &[(0, 1.0), (1, 1.0), (2, 2.0)]);
        check_quantile(1.0, &samples, &[(0, 3.0), (1, 3.0), (2, 10.0)]);
        check_quantile(2.0, &samples[..1], &[(0, f64::INFINITY), (1, f64::INFINITY)]);
        check_quantile(0.5, &[], &[]);
    }

    proptest! {
        #[test]
        fn both_ways_agree(
            samples in prop::collection::vec((-20_i64..150, -5_i32..5), 0..200),
            range in 1_i64..60, q in 0.0_f64..1.0,
        ) {
            let samples: Vec<(i64, f64)> =
                samples.into_iter().map(|(ns, value)| (ns, f64::from(value))).collect();
            let cuts = cuts(12, range);
            let grouped = Grouped::new(buckets(&cuts, &samples).samples, &cuts);
            let (mut one, mut other) = (Vec::new(), Vec::new());
            grouped.by_selection(q, |step, value| one.push((step, value)));
            grouped.by_ranks(q, |step, value| other.push((step, value)));
            prop_assert_eq!(one, other);
        }
    }
}
