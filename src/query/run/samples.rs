//! Aggregates that need every sample of a window: quantiles, and the rate of a counter.

use super::grid::Windows;

/// The samples of one series.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    samples: Vec<(i64, f64)>,
    unsorted: bool,
}

impl Samples {
    pub fn add(&mut self, ns: i64, value: f64) {
        self.unsorted |= self.samples.last().is_some_and(|(last, _)| ns < *last);
        self.samples.push((ns, value));
    }

    /// Calls back with step and the samples of its window, as places in the sorted list; `slide`
    /// hears of each sample as it comes in and goes out.
    fn slide(&mut self, windows: &Windows, mut step: impl FnMut(u32, Slide, &[(i64, f64)])) {
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
                step(at as u32, Slide::In(high), all);
                high += 1;
            }
            while low < high && all.get(low).is_some_and(|(ns, _)| *ns <= start_ns) {
                step(at as u32, Slide::Out(low), all);
                low += 1;
            }
            if low < high {
                step(at as u32, Slide::Window(low, high), all);
            }
        }
    }

    /// The quantile of each window, with linear interpolation.
    pub fn quantiles(mut self, windows: &Windows, q: f64, mut found: impl FnMut(u32, f64)) {
        if self.unsorted {
            self.samples.sort_by_key(|(ns, _)| *ns);
            self.unsorted = false;
        }
        let mut by_value: Vec<usize> = (0..self.samples.len()).collect();
        let value = |samples: &[(i64, f64)], at: usize| {
            samples.get(at).map_or(f64::NAN, |(_, value)| *value)
        };
        // NaN sorts before all numbers.
        by_value.sort_by(|&a, &b| {
            let (a, b) = (value(&self.samples, a), value(&self.samples, b));
            b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(&b))
        });
        let mut rank = vec![0; by_value.len()];
        for (at, &sample) in by_value.iter().enumerate() {
            if let Some(rank) = rank.get_mut(sample) {
                *rank = at;
            }
        }
        let mut inside = Ranks::new(by_value.len());
        let rank_of = |sample: usize| rank.get(sample).copied().unwrap_or(0);
        self.slide(windows, |step, event, all| match event {
            Slide::In(at) => inside.change(rank_of(at), 1),
            Slide::Out(at) => inside.change(rank_of(at), -1),
            Slide::Window(low, high) => {
                let nth = |n: usize| {
                    by_value.get(inside.nth(n)).map_or(f64::NAN, |&sample| value(all, sample))
                };
                found(step, interpolate(q, high - low, nth));
            }
        });
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
        self.slide(windows, |step, event, all| {
            let Slide::Window(low, high) = event else { return };
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

enum Slide {
    In(usize),
    Out(usize),
    Window(usize, usize),
}

fn interpolate(q: f64, count: usize, nth: impl Fn(usize) -> f64) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (count as f64 - 1.0);
    let lower = rank.floor().max(0.0) as usize;
    let upper = (lower + 1).min(count.saturating_sub(1));
    let weight = rank - rank.floor();
    nth(lower) * (1.0 - weight) + nth(upper) * weight
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
    use super::*;
    use crate::query::run::grid::Grid;

    fn windows(count: usize, range_ns: i64) -> Windows {
        Windows::new(Grid { start_ns: 10, step_ns: 10, count }, range_ns, 0)
    }

    #[track_caller]
    fn check_quantile(q: f64, samples: &[(i64, f64)], expect: &[(u32, f64)]) {
        let mut list = Samples::default();
        samples.iter().for_each(|&(ns, value)| list.add(ns, value));
        let mut found = Vec::new();
        list.quantiles(&windows(3, 20), q, |step, value| found.push((step, value)));
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
