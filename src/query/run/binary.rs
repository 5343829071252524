//! `a / on (x) group_left b`, `a and b`, `a > bool 5`.

use std::collections::{HashMap, HashSet};

use crate::model::Labels;
use crate::query::error::QueryError;
use crate::query::syntax::ast::{BinaryOp, GroupSide, VectorMatching};

use super::vectors::{LabelIds, Value, Vectors};

/// What a comparison does with a sample that fails it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The sample vanishes; one that holds keeps its value.
    Filter,
    /// `bool`: the value becomes 0 or 1.
    Bool,
}

/// The value of a sample behind an operator, or `None` when a comparison filters it out.
/// `kept` is the value that a filter lets through.
fn merge(op: BinaryOp, comparison: Comparison, left: f64, right: f64, kept: f64) -> Option<f64> {
    // Set operators never come here; they choose series, not values.
    let value = op.apply(left, right)?;
    if !op.is_comparison() || comparison == Comparison::Bool {
        return Some(value);
    }
    (value != 0.0).then_some(kept)
}

pub fn binary(
    op: BinaryOp,
    comparison: Comparison,
    matching: Option<&VectorMatching>,
    left: Value,
    right: Value,
) -> Result<Value, QueryError> {
    let is_set_operation = matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless);
    let literal = |side: &str| {
        let text = format!("unexpected literal for {side} leg of logical/set binary operation");
        Err(QueryError::Invalid(text))
    };
    Ok(match (left, right) {
        (Value::Scalar(_), _) if is_set_operation => return literal("left"),
        (_, Value::Scalar(_)) if is_set_operation => return literal("right"),
        (Value::Scalar(left), Value::Scalar(right)) => {
            Value::Scalar(op.apply(left, right).unwrap_or(f64::NAN))
        }
        (Value::Vectors(vectors), Value::Scalar(right)) => {
            Value::Vectors(each(vectors, |left| merge(op, comparison, left, right, left)))
        }
        (Value::Scalar(left), Value::Vectors(vectors)) => {
            Value::Vectors(each(vectors, |right| merge(op, comparison, left, right, right)))
        }
        (Value::Vectors(left), Value::Vectors(right)) if is_set_operation => {
            Value::Vectors(set_operation(op, matching, left, right))
        }
        (Value::Vectors(left), Value::Vectors(right)) => {
            Value::Vectors(matched(op, comparison, matching, left, right)?)
        }
    })
}

fn each(vectors: Vectors, value: impl Fn(f64) -> Option<f64>) -> Vectors {
    let steps = vectors.steps.into_iter().map(|samples| {
        samples.into_iter().filter_map(|(id, old)| Some((id, value(old)?))).collect()
    });
    Vectors { steps: steps.collect(), labels: vectors.labels }
}

/// The labels by which two samples match.
fn signature(labels: &Labels, matching: Option<&VectorMatching>) -> Labels {
    let Some(matching) = matching else { return labels.clone() };
    let listed = |name: &str| matching.labels.iter().any(|listed| listed == name);
    Labels::of_series(labels.iter().filter(|(name, _)| listed(name) == matching.on))
}

struct Signatures {
    left: Vec<u32>,
    right: Vec<u32>,
}

impl Signatures {
    fn new(matching: Option<&VectorMatching>, left: &Vectors, right: &Vectors) -> Self {
        let mut ids = LabelIds::default();
        let mut number = |vectors: &Vectors| -> Vec<u32> {
            vectors.labels.iter().map(|labels| ids.id(signature(labels, matching))).collect()
        };
        Signatures { left: number(left), right: number(right) }
    }
}

fn at(ids: &[u32], id: u32) -> u32 {
    ids.get(id as usize).copied().unwrap_or(u32::MAX)
}

fn set_operation(
    op: BinaryOp,
    matching: Option<&VectorMatching>,
    left: Vectors,
    right: Vectors,
) -> Vectors {
    let signatures = Signatures::new(matching, &left, &right);
    let offset = u32::try_from(left.labels.len()).unwrap_or(u32::MAX);
    let mut seen: HashSet<u32> = HashSet::new();
    let mut labels = left.labels;
    let rights = right.steps;
    let steps = left.steps.into_iter().zip(rights).map(|(left, right)| {
        seen.clear();
        if op == BinaryOp::Or {
            seen.extend(left.iter().map(|(id, _)| at(&signatures.left, *id)));
            let mut all = left;
            all.extend(
                right
                    .into_iter()
                    .filter(|(id, _)| !seen.contains(&at(&signatures.right, *id)))
                    .map(|(id, value)| (id + offset, value)),
            );
            return all;
        }
        seen.extend(right.iter().map(|(id, _)| at(&signatures.right, *id)));
        let mut kept = left;
        kept.retain(|(id, _)| seen.contains(&at(&signatures.left, *id)) == (op == BinaryOp::And));
        kept
    });
    let steps = steps.collect();
    labels.extend(right.labels);
    Vectors { labels, steps }
}

const MANY_TO_MANY: &str =
    "many-to-many matching not allowed: matching labels must be unique on one side";

fn matched(
    op: BinaryOp,
    comparison: Comparison,
    matching: Option<&VectorMatching>,
    left: Vectors,
    right: Vectors,
) -> Result<Vectors, QueryError> {
    let group = matching.and_then(|matching| matching.group);
    let swapped = group == Some(GroupSide::Right);
    // From here on `many` may match one of `one` several times, if a group says so.
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let signatures = Signatures::new(matching, &many, &one);
    let mut ids = LabelIds::default();
    let mut result_ids: HashMap<(u32, u32), u32> = HashMap::new();
    let mut one_by_signature: HashMap<u32, (u32, f64)> = HashMap::new();
    let mut used: HashSet<(u32, u32)> = HashSet::new();
    let mut steps = Vec::with_capacity(many.steps.len());
    for (many_samples, one_samples) in many.steps.iter().zip(&one.steps) {
        one_by_signature.clear();
        used.clear();
        for &(id, value) in one_samples {
            let signature = at(&signatures.right, id);
            if one_by_signature.insert(signature, (id, value)).is_some() {
                let side = if swapped { "left" } else { "right" };
                let text = format!("found duplicate series on the {side} hand-side;{MANY_TO_MANY}");
                return Err(QueryError::Invalid(text));
            }
        }
        let mut results = Vec::new();
        for &(id, value) in many_samples {
            let signature = at(&signatures.left, id);
            let Some(&(one_id, one_value)) = one_by_signature.get(&signature) else { continue };
            let result_id = *result_ids.entry((id, one_id)).or_insert_with(|| {
                ids.id(result_labels(&many.labels(id), &one.labels(one_id), matching))
            });
            let key = if group.is_some() { (signature, result_id) } else { (signature, 0) };
            if !used.insert(key) {
                let text = if group.is_some() {
                    "multiple matches for labels: grouping labels must ensure unique matches"
                } else {
                    "multiple matches for labels: many-to-one matching must be explicit \
                     (group_left/group_right)"
                };
                return Err(QueryError::Invalid(text.to_owned()));
            }
            let (left, right) = if swapped { (one_value, value) } else { (value, one_value) };
            if let Some(value) = merge(op, comparison, left, right, left) {
                results.push((result_id, value));
            }
        }
        steps.push(results);
    }
    Ok(Vectors { labels: ids.labels, steps })
}

fn result_labels(many: &Labels, one: &Labels, matching: Option<&VectorMatching>) -> Labels {
    let Some(matching) = matching else { return many.clone() };
    if matching.group.is_none() {
        return signature(many, Some(matching));
    }
    matching
        .include
        .iter()
        .fold(many.clone(), |labels, name| labels.with(name, one.get(name).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(samples: &[(&str, f64)]) -> Value {
        let labels = samples.iter().map(|(text, _)| Labels::parse(text).unwrap()).collect();
        let step = (0..).zip(samples).map(|(id, (_, value))| (id, *value)).collect();
        Value::Vectors(Vectors { labels, steps: vec![step] })
    }

    fn show(value: Value) -> Vec<(String, f64)> {
        match value {
            Value::Scalar(value) => vec![("scalar".to_owned(), value)],
            Value::Vectors(vectors) => vectors.steps[0]
                .iter()
                .map(|&(id, v)| (vectors.labels(id).to_string(), v))
                .collect(),
        }
    }

    #[track_caller]
    fn check(
        op: BinaryOp,
        matching: Option<&VectorMatching>,
        left: &[(&str, f64)],
        right: &[(&str, f64)],
        expect: Result<&[(&str, f64)], &str>,
    ) {
        let found = binary(op, Comparison::Filter, matching, vectors(left), vectors(right));
        match (found, expect) {
            (Ok(found), Ok(expect)) => {
                let found = show(found);
                let found: Vec<(&str, f64)> = found.iter().map(|(l, v)| (l.as_str(), *v)).collect();
                assert_eq!(found, expect);
            }
            (Err(found), Err(expect)) => assert!(found.to_string().contains(expect), "{found}"),
            (found, expect) => panic!("{found:?} instead of {expect:?}"),
        }
    }

    fn on(labels: &[&str], group: Option<GroupSide>) -> VectorMatching {
        let labels = labels.iter().map(|l| (*l).to_owned()).collect();
        VectorMatching { on: true, labels, group, include: Vec::new() }
    }

    #[test]
    fn one_to_one() {
        let left = [(r#"{a="1"}"#, 6.0), (r#"{a="2"}"#, 8.0)];
        let right = [(r#"{a="2"}"#, 2.0), (r#"{a="3"}"#, 0.0)];
        check(BinaryOp::Div, None, &left, &right, Ok(&[(r#"{a="2"}"#, 4.0)]));
        check(BinaryOp::Gt, None, &left, &right, Ok(&[(r#"{a="2"}"#, 8.0)]));
        check(BinaryOp::Lt, None, &left, &right, Ok(&[]));
        check(BinaryOp::And, None, &left, &right, Ok(&[(r#"{a="2"}"#, 8.0)]));
        check(BinaryOp::Unless, None, &left, &right, Ok(&[(r#"{a="1"}"#, 6.0)]));
        check(
            BinaryOp::Or,
            None,
            &left,
            &right,
            Ok(&[(r#"{a="1"}"#, 6.0), (r#"{a="2"}"#, 8.0), (r#"{a="3"}"#, 0.0)]),
        );
    }

    #[test]
    fn many_to_one() {
        let many = [(r#"{a="1", b="x"}"#, 6.0), (r#"{a="1", b="y"}"#, 8.0)];
        let one = [(r#"{a="1"}"#, 2.0)];
        let left = Some(GroupSide::Left);
        check(
            BinaryOp::Div,
            Some(&on(&["a"], left)),
            &many,
            &one,
            Ok(&[(r#"{a="1", b="x"}"#, 3.0), (r#"{a="1", b="y"}"#, 4.0)]),
        );
        check(
            BinaryOp::Sub,
            Some(&on(&["a"], Some(GroupSide::Right))),
            &one,
            &many,
            Ok(&[(r#"{a="1", b="x"}"#, -4.0), (r#"{a="1", b="y"}"#, -6.0)]),
        );
        let on_a = on(&["a"], None);
        check(BinaryOp::Div, Some(&on_a), &many, &one, Err("must be explicit"));
        check(BinaryOp::Div, Some(&on_a), &one, &many, Err("found duplicate series"));
    }

    #[test]
    fn scalars() {
        let scalar = |op, left, right| {
            binary(op, Comparison::Filter, None, Value::Scalar(left), Value::Scalar(right)).unwrap()
        };
        assert_eq!(scalar(BinaryOp::Gt, 1.0, 2.0), Value::Scalar(0.0));
        assert_eq!(scalar(BinaryOp::Pow, 2.0, 9.0), Value::Scalar(512.0));
        assert!(matches!(scalar(BinaryOp::Div, 1.0, 0.0), Value::Scalar(v) if v.is_nan()));
        let refused =
            binary(BinaryOp::Or, Comparison::Filter, None, vectors(&[]), Value::Scalar(1.0));
        assert!(refused.is_err());
    }
}
