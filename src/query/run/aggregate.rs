//! `sum by (a) (..)`, `topk(3, ..)`, `sort(..)`: aggregation over the series of a step.

use crate::model::Labels;
use crate::query::syntax::ast::{Grouping, VectorOp};

use super::vectors::{LabelIds, Vectors};

/// The labels by which a grouping keeps a series apart.
pub fn group_labels(labels: &Labels, grouping: &Grouping) -> Labels {
    let listed = |name: &str| grouping.labels.iter().any(|listed| listed == name);
    let kept = labels.iter().filter(|(name, _)| listed(name) != grouping.without);
    // What `by` names is kept even if it is empty; `without` keeps what says something.
    if grouping.without { Labels::from_pairs(kept) } else { Labels::of_series(kept) }
}

/// Aggregates each step.
pub fn aggregate(
    op: VectorOp,
    param: Option<u64>,
    grouping: Option<&Grouping>,
    input: Vectors,
) -> Vectors {
    let by_nothing = Grouping::default();
    let grouping = grouping.unwrap_or(&by_nothing);
    let mut ids = LabelIds::default();
    let group_of: Vec<u32> =
        input.labels.iter().map(|labels| ids.id(group_labels(labels, grouping))).collect();
    let group = |id: u32| group_of.get(id as usize).copied().unwrap_or(0);
    match op {
        VectorOp::Topk | VectorOp::ApproxTopk | VectorOp::Bottomk => {
            let order = if op == VectorOp::Bottomk { Order::Ascending } else { Order::Descending };
            let kept = usize::try_from(param.unwrap_or(1)).unwrap_or(usize::MAX);
            select(input, order, kept, ids.labels.len(), group)
        }
        VectorOp::Sort => select(input, Order::Ascending, usize::MAX, ids.labels.len(), group),
        VectorOp::SortDesc => select(input, Order::Descending, usize::MAX, ids.labels.len(), group),
        _ => {
            let mut groups: Vec<Option<Group>> = vec![None; ids.labels.len()];
            let steps = input
                .steps
                .iter()
                .map(|samples| {
                    groups.fill(None);
                    for &(id, value) in samples {
                        if let Some(slot) = groups.get_mut(group(id) as usize) {
                            match slot {
                                Some(group) => group.add(op, value),
                                None => *slot = Some(Group::new(value)),
                            }
                        }
                    }
                    let found = (0..).zip(&groups);
                    found.filter_map(|(id, group)| Some((id, (*group)?.result(op)))).collect()
                })
                .collect();
            Vectors { labels: ids.labels, steps }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Group {
    count: f64,
    value: f64,
    mean: f64,
    spread: f64,
}

impl Group {
    fn new(value: f64) -> Self {
        Group { count: 1.0, value, mean: value, spread: 0.0 }
    }

    fn add(&mut self, op: VectorOp, value: f64) {
        self.count += 1.0;
        match op {
            VectorOp::Sum => self.value += value,
            VectorOp::Max if self.value < value || self.value.is_nan() => self.value = value,
            VectorOp::Min if self.value > value || self.value.is_nan() => self.value = value,
            VectorOp::Avg => {
                let keeps_infinity = self.mean.is_infinite()
                    && !value.is_nan()
                    && (value.is_finite() || value == self.mean);
                if !keeps_infinity {
                    self.mean += (value - self.mean) / self.count;
                }
            }
            VectorOp::Stddev | VectorOp::Stdvar => {
                let delta = value - self.mean;
                self.mean += delta / self.count;
                self.spread += delta * (value - self.mean);
            }
            _ => {}
        }
    }

    fn result(&self, op: VectorOp) -> f64 {
        match op {
            VectorOp::Avg => self.mean,
            VectorOp::Count => self.count,
            VectorOp::Stddev => (self.spread / self.count).sqrt(),
            VectorOp::Stdvar => self.spread / self.count,
            _ => self.value,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

/// Sorts the samples of each group by value and keeps the first ones. NaN comes last, equal
/// values are ordered by labels.
fn select(
    input: Vectors,
    order: Order,
    kept: usize,
    groups: usize,
    group: impl Fn(u32) -> u32,
) -> Vectors {
    let mut by_labels: Vec<u32> = (0..).take(input.labels.len()).collect();
    by_labels.sort_by(|&a, &b| input.labels.get(a as usize).cmp(&input.labels.get(b as usize)));
    let mut rank = vec![0_usize; by_labels.len()];
    for (at, &id) in by_labels.iter().enumerate() {
        if let Some(rank) = rank.get_mut(id as usize) {
            *rank = at;
        }
    }
    let rank_of = |id: u32| rank.get(id as usize).copied().unwrap_or(0);
    let mut taken = vec![0_usize; groups];
    let steps = input
        .steps
        .into_iter()
        .map(|mut samples| {
            samples.sort_by(|&(a_id, a), &(b_id, b)| {
                let by_value = match order {
                    Order::Ascending => a.total_cmp(&b),
                    Order::Descending => b.total_cmp(&a),
                };
                let numbers = a.is_nan().cmp(&b.is_nan());
                let equal = a == b;
                let by_value = if equal { std::cmp::Ordering::Equal } else { by_value };
                group(a_id)
                    .cmp(&group(b_id))
                    .then(numbers)
                    .then(by_value)
                    .then_with(|| rank_of(a_id).cmp(&rank_of(b_id)))
            });
            if kept == usize::MAX {
                return samples;
            }
            taken.fill(0);
            samples.retain(|&(id, _)| {
                let Some(taken) = taken.get_mut(group(id) as usize) else { return false };
                *taken += 1;
                *taken <= kept
            });
            samples
        })
        .collect();
    Vectors { labels: input.labels, steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(samples: &[(&str, &str, f64)]) -> Vectors {
        let labels = samples.iter().map(|(a, b, _)| Labels::from_pairs([("a", *a), ("b", *b)]));
        let step = (0..).zip(samples).map(|(id, sample)| (id, sample.2)).collect();
        Vectors { labels: labels.collect(), steps: vec![step] }
    }

    #[track_caller]
    fn check(op: VectorOp, param: Option<u64>, by: Option<&[&str]>, expect: &[(&str, f64)]) {
        let data = input(&[("1", "x", 4.0), ("1", "y", 2.0), ("2", "x", 9.0)]);
        let grouping = by.map(|labels| Grouping {
            without: false,
            labels: labels.iter().map(|l| (*l).to_owned()).collect(),
        });
        let found = aggregate(op, param, grouping.as_ref(), data);
        let shown: Vec<(String, f64)> =
            found.steps[0].iter().map(|&(id, v)| (found.labels(id).to_string(), v)).collect();
        let shown: Vec<(&str, f64)> = shown.iter().map(|(l, v)| (l.as_str(), *v)).collect();
        assert_eq!(shown, expect);
    }

    #[test]
    fn groups_and_operations() {
        check(VectorOp::Sum, None, None, &[("{}", 15.0)]);
        check(VectorOp::Sum, None, Some(&["a"]), &[(r#"{a="1"}"#, 6.0), (r#"{a="2"}"#, 9.0)]);
        check(VectorOp::Avg, None, Some(&["b"]), &[(r#"{b="x"}"#, 6.5), (r#"{b="y"}"#, 2.0)]);
        check(VectorOp::Count, None, None, &[("{}", 3.0)]);
        check(VectorOp::Min, None, None, &[("{}", 2.0)]);
        check(VectorOp::Max, None, None, &[("{}", 9.0)]);
        check(VectorOp::Stdvar, None, Some(&["a"]), &[(r#"{a="1"}"#, 1.0), (r#"{a="2"}"#, 0.0)]);
        check(VectorOp::Topk, Some(1), None, &[(r#"{a="2", b="x"}"#, 9.0)]);
        check(
            VectorOp::Topk,
            Some(1),
            Some(&["a"]),
            &[(r#"{a="1", b="x"}"#, 4.0), (r#"{a="2", b="x"}"#, 9.0)],
        );
        check(VectorOp::Bottomk, Some(1), None, &[(r#"{a="1", b="y"}"#, 2.0)]);
    }

    #[test]
    fn nan_sorts_last_and_loses_against_numbers() {
        let data = input(&[("1", "x", f64::NAN), ("2", "x", 1.0), ("3", "x", 2.0)]);
        let sorted = aggregate(VectorOp::SortDesc, None, None, data.clone());
        let order: Vec<u32> = sorted.steps[0].iter().map(|(id, _)| *id).collect();
        assert_eq!(order, [2, 1, 0]);
        let most = aggregate(VectorOp::Max, None, None, data);
        assert_eq!(most.steps[0], [(0, 2.0)]);
    }
}
