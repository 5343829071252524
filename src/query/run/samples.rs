//! Aggregates that need every sample of a window with its time: the rate of a counter.

use super::grid::Windows;

/// The samples of one series.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    samples: Vec<(i64, f64)>,
    unsorted: bool,
}

impl Samples {
    /// Adds the samples of another share of the rows.
    pub fn append(&mut self, other: Samples) {
        other.samples.into_iter().for_each(|(ns, value)| self.add(ns, value));
    }

    pub fn add(&mut self, ns: i64, value: f64) {
        self.unsorted |= self.samples.last().is_some_and(|(last, _)| ns < *last);
        self.samples.push((ns, value));
    }

    /// Calls back with step and the samples of its window, as places in the sorted list.
    fn slide(&mut self, windows: &Windows, mut step: impl FnMut(u32, usize, usize, &[(i64, f64)])) {
        if self.unsorted {
            self.samples.sort_by_key(|(ns, _)| *ns);
        }
        let all = &self.samples;
        let (mut low, mut high) = (0, 0);
        for at in 0..windows.grid.count {
            let end_ns = windows.end_ns(at);
            let start_ns = end_ns.saturating_sub(windows.range_ns);
            while let Some((ns, _)) = all.get(high)
                && *ns <= end_ns
            {
                high += 1;
            }
            while low < high && all.get(low).is_some_and(|(ns, _)| *ns <= start_ns) {
                low += 1;
            }
            if low < high {
                step(at as u32, low, high, all);
            }
        }
    }

    /// The rate of a counter per second: resets are made up for, and the ends extrapolated.
    pub fn counter_rates(mut self, windows: &Windows, mut found: impl FnMut(u32, f64)) {
        if self.unsorted {
            self.samples.sort_by_key(|(ns, _)| *ns);
            self.unsorted = false;
        }
        // What resets have taken away up to each sample.
        let mut lost = Vec::with_capacity(self.samples.len());
        let mut sum = 0.0;
        let mut before = f64::NEG_INFINITY;
        for &(_, value) in &self.samples {
            if value < before {
                sum += before;
            }
            lost.push(sum);
            before = value;
        }
        let range_ns = windows.range_ns;
        self.slide(windows, |step, low, high, all| {
            let (Some(first), Some(last)) = (all.get(low), all.get(high - 1)) else { return };
            let lost_inside = match (lost.get(low), lost.get(high - 1)) {
                (Some(start), Some(end)) => end - start,
                _ => 0.0,
            };
            let end_ns = windows.end_ns(step as usize);
            let count = high - low;
            found(step, extrapolated_rate(*first, *last, count, lost_inside, end_ns, range_ns));
        });
    }
}

/// Prometheus' extrapolation: what a counter would have grown over the whole window.
fn extrapolated_rate(
    first: (i64, f64),
    last: (i64, f64),
    count: usize,
    lost: f64,
    end_ns: i64,
    range_ns: i64,
) -> f64 {
    if count < 2 {
        return 0.0;
    }
    let secs = |ns: i64| ns as f64 / 1e9;
    let increase = last.1 - first.1 + lost;
    let sampled = secs(last.0 - first.0);
    let between = sampled / (count as f64 - 1.0);
    let threshold = between * 1.1;
    let mut to_start = secs(first.0 - (end_ns - range_ns));
    let mut to_end = secs(end_ns - last.0);
    if to_start >= threshold {
        to_start = between / 2.0;
    }
    // A counter does not begin below zero.
    if increase > 0.0 && first.1 >= 0.0 {
        to_start = to_start.min(sampled * (first.1 / increase));
    }
    if to_end >= threshold {
        to_end = between / 2.0;
    }
    increase * ((sampled + to_start + to_end) / sampled) / secs(range_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::run::grid::Grid;

    #[test]
    fn counters() {
        let secs = |n: i64| n * 1_000_000_000;
        let grid = Grid { start_ns: secs(60), step_ns: secs(60), count: 1 };
        let rate = |samples: &[(i64, f64)]| {
            let mut list = Samples::default();
            samples.iter().for_each(|&(ns, value)| list.add(ns, value));
            let mut found = Vec::new();
            list.counter_rates(&Windows::new(grid, secs(60), 0), |_, value| found.push(value));
            found
        };
        assert_eq!(rate(&[(secs(10), 5.0)]), [0.0]);
        let steady = rate(&[(secs(15), 15.0), (secs(30), 30.0), (secs(45), 45.0)]);
        assert!((steady[0] - 1.0).abs() < 1e-9, "{steady:?}");
        let reset = rate(&[(secs(15), 100.0), (secs(30), 10.0), (secs(45), 25.0)]);
        assert!((reset[0] - 25.0 * (60.0 / 30.0) / 60.0).abs() < 1e-9, "{reset:?}");
    }
}
