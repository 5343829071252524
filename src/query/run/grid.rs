//! The points in time at which a metric query is evaluated.

use crate::model::Timestamp;

/// Evenly spaced points in time. An instant query has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub start_ns: i64,
    pub step_ns: i64,
    pub count: usize,
}

impl Grid {
    pub fn instant(at: Timestamp) -> Self {
        Grid { start_ns: at.0, step_ns: 1, count: 1 }
    }

    /// Start is rounded down and end up to multiples of the step, so that a chart that is moved
    /// along shows the same points. A single time between two points shows both.
    pub fn range(start: Timestamp, end: Timestamp, step_ns: i64) -> Self {
        let step_ns = step_ns.max(1);
        let first = start.0.div_euclid(step_ns).saturating_mul(step_ns);
        let rounded = end.0.div_euclid(step_ns) + i64::from(end.0.rem_euclid(step_ns) != 0);
        let last = rounded.saturating_mul(step_ns);
        let count = last.saturating_sub(first).max(0) / step_ns + 1;
        Grid { start_ns: first, step_ns, count: usize::try_from(count).unwrap_or(usize::MAX) }
    }

    pub fn time(&self, step: usize) -> Timestamp {
        let offset = i64::try_from(step).unwrap_or(i64::MAX).saturating_mul(self.step_ns);
        Timestamp(self.start_ns.saturating_add(offset))
    }

    pub fn last(&self) -> Timestamp {
        self.time(self.count.saturating_sub(1))
    }

    /// The first step at or behind this time; it may lie behind the last one.
    pub fn step_from(&self, ns: i64) -> usize {
        let past = ns.saturating_sub(self.start_ns);
        if past <= 0 {
            return 0;
        }
        let steps = (past - 1) / self.step_ns + 1;
        usize::try_from(steps).unwrap_or(usize::MAX).min(self.count)
    }
}

/// Which steps see a sample: those of whose window `(t - range, t]` it lies in.
#[derive(Debug, Clone)]
pub struct Windows {
    pub grid: Grid,
    pub range_ns: i64,
    offset_ns: i64,
    /// The span around the last sample in which the answer stays the same, and the answer.
    known: (i64, i64, Option<Steps>),
}

/// Steps from `first` up to and without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Steps {
    pub first: u32,
    pub end: u32,
}

impl Windows {
    pub fn new(grid: Grid, range_ns: i64, offset_ns: i64) -> Self {
        Windows { grid, range_ns, offset_ns, known: (1, 0, None) }
    }

    /// The time range, start inclusive and end exclusive, in which samples matter.
    pub fn times(&self) -> crate::model::TimeRange {
        let first = self.grid.start_ns.saturating_sub(self.range_ns);
        let shift = |ns: i64| Timestamp(ns.saturating_sub(self.offset_ns).saturating_add(1));
        crate::model::TimeRange::new(shift(first), shift(self.grid.last().0))
    }

    /// When a step's window ends, in the time of the samples.
    pub fn end_ns(&self, step: usize) -> i64 {
        self.grid.time(step).0.saturating_sub(self.offset_ns)
    }

    pub fn steps(&mut self, ts: Timestamp) -> Option<Steps> {
        let ns = ts.0.saturating_add(self.offset_ns);
        if self.known.0 < ns && ns <= self.known.1 {
            return self.known.2;
        }
        let first = self.grid.step_from(ns);
        let left_ns = ns.saturating_add(self.range_ns);
        let end = self.grid.step_from(left_ns);
        let steps = (first < end).then(|| Steps {
            first: u32::try_from(first).unwrap_or(u32::MAX),
            end: u32::try_from(end).unwrap_or(u32::MAX),
        });
        let edge = |step: usize, back_ns: i64| {
            let after = self.grid.time(step).0.saturating_sub(back_ns);
            let before = if step == 0 { i64::MIN } else { after.saturating_sub(self.grid.step_ns) };
            (before, if step >= self.grid.count { i64::MAX } else { after })
        };
        let (low, high) = edge(first, 0);
        let (low_left, high_left) = edge(end, self.range_ns);
        // Behind the last step the spans have no upper edge, but their lower one is not known.
        let inside = first < self.grid.count && end < self.grid.count;
        self.known =
            if inside { (low.max(low_left), high.min(high_left), steps) } else { (1, 0, None) };
        steps
    }
}

/// Pieces of time whose samples lie in the same windows: cells. A sample is counted in its cell
/// once, however many windows see it.
#[derive(Debug, Clone)]
pub struct Cuts {
    /// Cell `n` ends with `edges[n]` (inclusive) and begins behind the edge before. Nobody sees
    /// the first cell, nor what lies behind the last.
    edges: Vec<i64>,
    /// Which steps see a cell; none in gaps between windows.
    steps: Vec<Option<Steps>>,
}

/// How far a part of the time range may be cut finer than this query needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lattice {
    /// Only where windows of this grid begin and end.
    Own,
    /// Wherever windows of a grid with the same steps that was moved along would begin and end,
    /// so that the cells of both are the same.
    Shared,
}

/// Rows one after the other that lie in the same cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub start: usize,
    pub end: usize,
    pub cell: u32,
}

impl Cuts {
    pub fn new(windows: &Windows, lattice: Lattice) -> Self {
        let mut edges = Vec::with_capacity(2 * windows.grid.count);
        for step in 0..windows.grid.count {
            let end = windows.end_ns(step);
            edges.push(end);
            edges.push(end.saturating_sub(windows.range_ns));
        }
        if lattice == Lattice::Shared {
            let first = windows.end_ns(0);
            let last = windows.end_ns(windows.grid.count.saturating_sub(1));
            let step_ns = windows.grid.step_ns;
            let mut back = step_ns;
            while back < windows.range_ns {
                edges.push(first.saturating_sub(back));
                edges.push(last.saturating_sub(windows.range_ns).saturating_add(back));
                back = back.saturating_add(step_ns);
            }
        }
        edges.sort_unstable();
        edges.dedup();
        let mut windows = windows.clone();
        let steps = edges.iter().map(|edge| windows.steps(Timestamp(*edge))).collect();
        Cuts { edges, steps }
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    pub fn steps(&self, cell: u32) -> Option<Steps> {
        self.steps.get(cell as usize).copied().flatten()
    }

    /// When a cell ends.
    pub fn edge(&self, cell: u32) -> Option<i64> {
        self.edges.get(cell as usize).copied()
    }

    /// The cell that ends at this time.
    pub fn cell_with_edge(&self, edge: i64) -> Option<u32> {
        self.edges.binary_search(&edge).ok().and_then(|at| u32::try_from(at).ok())
    }

    /// Cuts rows, whose times ascend, into cells; rows that nobody sees are left out.
    pub fn segments(&self, len: usize, time: impl Fn(usize) -> i64, out: &mut Vec<Segment>) {
        out.clear();
        let mut row = 0;
        let mut cell = 0;
        while row < len {
            let ns = time(row);
            let left = self.edges.get(cell..).unwrap_or_default();
            cell += left.partition_point(|edge| *edge < ns);
            let Some(&edge) = self.edges.get(cell) else { return };
            // Cells hold few rows compared with a block: look near first.
            let (mut low, mut stride) = (row, 1);
            while low + stride < len && time(low + stride) <= edge {
                low += stride;
                stride *= 2;
            }
            let mut high = (low + stride).min(len);
            while low + 1 < high {
                let middle = low + (high - low) / 2;
                if time(middle) <= edge {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            if self.steps.get(cell).copied().flatten().is_some() {
                out.push(Segment { start: row, end: high, cell: cell as u32 });
            }
            row = high;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn range_queries_are_aligned() {
        let grid = Grid::range(Timestamp(107), Timestamp(197), 30);
        assert_eq!((grid.time(0), grid.last(), grid.count), (Timestamp(90), Timestamp(210), 5));
        let one = Grid::range(Timestamp(107), Timestamp(107), 30);
        assert_eq!((one.time(0), one.count), (Timestamp(90), 2));
        let on_the_point = Grid::range(Timestamp(90), Timestamp(90), 30);
        assert_eq!((on_the_point.time(0), on_the_point.count), (Timestamp(90), 1));
    }

    proptest! {
        #[test]
        fn steps_are_those_whose_window_holds_the_sample(
            start in -50_i64..50, step in 1_i64..20, count in 1_usize..12,
            range in 0_i64..60, offset in -30_i64..30,
            samples in prop::collection::vec(-150_i64..250, 1..40),
        ) {
            let grid = Grid { start_ns: start, step_ns: step, count };
            let mut windows = Windows::new(grid, range, offset);
            for ts in samples {
                let shifted = ts + offset;
                let expect: Vec<u32> = (0..count)
                    .filter(|&k| {
                        let end = grid.time(k).0;
                        end - range < shifted && shifted <= end
                    })
                    .map(|k| k as u32)
                    .collect();
                let found = windows.steps(Timestamp(ts));
                let found: Vec<u32> = found.map_or(Vec::new(), |s| (s.first..s.end).collect());
                prop_assert_eq!(&found, &expect);
                if !expect.is_empty() {
                    prop_assert!(windows.times().contains(Timestamp(ts)));
                }
            }
        }

        #[test]
        fn cells_see_the_steps_of_their_samples(
            start in -50_i64..50, step in 1_i64..20, count in 1_usize..12,
            range in 0_i64..60, offset in -30_i64..30, shared in any::<bool>(),
            samples in prop::collection::vec(-150_i64..250, 1..40),
        ) {
            let mut samples = samples;
            samples.sort_unstable();
            let grid = Grid { start_ns: start, step_ns: step, count };
            let mut windows = Windows::new(grid, range, offset);
            let lattice = if shared { Lattice::Shared } else { Lattice::Own };
            let cuts = Cuts::new(&windows, lattice);
            let mut segments = Vec::new();
            cuts.segments(samples.len(), |row| samples[row], &mut segments);
            let mut found = vec![None; samples.len()];
            for segment in segments {
                for slot in &mut found[segment.start..segment.end] {
                    prop_assert!(slot.is_none());
                    *slot = cuts.steps(segment.cell);
                }
            }
            let expect: Vec<Option<Steps>> =
                samples.iter().map(|ts| windows.steps(Timestamp(*ts))).collect();
            prop_assert_eq!(found, expect);
        }
    }
}
