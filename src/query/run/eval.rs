//! Walks the tree of a metric query.

use crate::limits;
use crate::model::Labels;
use crate::query::error::QueryError;
use crate::query::stage::ERROR;
use crate::query::syntax::ast::{
    AssignedValue, BinaryOp, Grouping, LabelFilter, LabelReplace, MetricExpr, MetricKind,
    RangeAggregation, RangeOp, Stage, StageKind, VectorAggregation, VectorOp,
};
use crate::text::re2;

use super::aggregate::aggregate;
use super::binary::{Comparison, binary};
use super::context::Context;
use super::grid::Grid;
use super::range;
use super::vectors::{Value, Vectors};

pub fn evaluate(
    expr: &MetricExpr,
    grid: Grid,
    context: &mut Context<'_>,
) -> Result<Value, QueryError> {
    let value = match &expr.kind {
        MetricKind::Number(value) => Value::Scalar(*value),
        MetricKind::VectorOf(value) => Value::Vectors(Vectors::constant(*value, grid.count)),
        MetricKind::Range(range) => {
            Value::Vectors(merged(range, range::evaluate(range, None, grid, context)?))
        }
        MetricKind::Vector(vector) => Value::Vectors(vector_aggregation(vector, grid, context)?),
        MetricKind::Binary(expr) => {
            let left = evaluate(&expr.left, grid, context)?;
            // Nothing on the left makes nothing of all operators but "or". Rules rely on it:
            // what compares with a long history costs nothing while all is quiet.
            let nothing = matches!(&left, Value::Vectors(vectors) if vectors.samples() == 0);
            if nothing && expr.op != BinaryOp::Or {
                return Ok(left);
            }
            let right = evaluate(&expr.right, grid, context)?;
            let comparison = if expr.return_bool { Comparison::Bool } else { Comparison::Filter };
            binary(expr.op, comparison, expr.matching.as_ref(), left, right)?
        }
        MetricKind::LabelReplace(replace) => {
            let input = vectors(evaluate(&replace.expr, grid, context)?)?;
            Value::Vectors(label_replace(replace, input)?)
        }
    };
    context.check()?;
    if let Value::Vectors(vectors) = &value
        && vectors.samples() > limits::QUERY_SAMPLES_MAX
    {
        return Err(QueryError::Limit(format!(
            "the query needs more than {} samples at once",
            limits::QUERY_SAMPLES_MAX
        )));
    }
    Ok(value)
}

/// Loki evaluates most range aggregations in pieces. When stages take labels away it puts the
/// pieces together with `sum without ()` or the like, which forgets labels without a value.
fn merged(range: &RangeAggregation, found: Vectors) -> Vectors {
    let about_errors = |filter: &LabelFilter| filter.label_names().contains(&ERROR);
    let op = match range.op {
        RangeOp::CountOverTime
        | RangeOp::Rate
        | RangeOp::BytesOverTime
        | RangeOp::BytesRate
        | RangeOp::SumOverTime => VectorOp::Sum,
        RangeOp::MaxOverTime => VectorOp::Max,
        RangeOp::MinOverTime => VectorOp::Min,
        // Made of sums and counts, which have no errors of an unwrap.
        RangeOp::AvgOverTime
            if !range.unwrap.iter().flat_map(|unwrap| &unwrap.filters).any(about_errors) =>
        {
            VectorOp::Avg
        }
        _ => return found,
    };
    let takes_labels = |stage: &Stage| match &stage.kind {
        StageKind::Drop { .. } | StageKind::Keep { .. } => true,
        StageKind::LabelFormat { assignments } => assignments
            .iter()
            .any(|assignment| matches!(assignment.value, AssignedValue::Rename(_))),
        _ => false,
    };
    let is_merged = match &range.grouping {
        None => range.log.stages.iter().any(takes_labels),
        Some(grouping) => grouping.without || op == VectorOp::Avg,
    };
    let without_nothing = Grouping { without: true, labels: Vec::new() };
    if is_merged { aggregate(op, None, Some(&without_nothing), found) } else { found }
}

fn vectors(value: Value) -> Result<Vectors, QueryError> {
    match value {
        Value::Vectors(vectors) => Ok(vectors),
        Value::Scalar(_) => Err(QueryError::Invalid(
            "a number stands where series are needed; write vector(..) around it".to_owned(),
        )),
    }
}

fn vector_aggregation(
    vector: &VectorAggregation,
    grid: Grid,
    context: &mut Context<'_>,
) -> Result<Vectors, QueryError> {
    let nothing = Grouping::default();
    let grouping = vector.grouping.as_ref();
    let input = match &vector.expr.kind {
        // A sum over sums or counts needs no finer series than its own.
        MetricKind::Range(range)
            if vector.op == VectorOp::Sum
                && range.grouping.is_none()
                && matches!(
                    range.op,
                    RangeOp::BytesOverTime
                        | RangeOp::BytesRate
                        | RangeOp::SumOverTime
                        | RangeOp::Rate
                        | RangeOp::CountOverTime
                ) =>
        {
            let pushed = grouping.unwrap_or(&nothing);
            let input = range::evaluate(range, Some(pushed), grid, context)?;
            context.check()?;
            input
        }
        _ => vectors(evaluate(&vector.expr, grid, context)?)?,
    };
    Ok(aggregate(vector.op, vector.param, grouping, input))
}

fn label_replace(replace: &LabelReplace, input: Vectors) -> Result<Vectors, QueryError> {
    let regex = re2::compile_anchored(&replace.pattern).map_err(|message| {
        QueryError::Invalid(format!("invalid regex in label_replace: {message}"))
    })?;
    let renamed = |labels: &Labels| {
        let source = labels.get(&replace.src).unwrap_or_default();
        let Some(captures) = regex.captures(source) else { return labels.clone() };
        let mut value = String::new();
        captures.expand(&replace.replacement, &mut value);
        labels.with(&replace.dst, &value)
    };
    Ok(Vectors { labels: input.labels.iter().map(renamed).collect(), steps: input.steps })
}

/// Whether the samples of an instant query come in an order that the query asks for.
pub fn is_sorted(expr: &MetricExpr) -> bool {
    match &expr.kind {
        MetricKind::Vector(vector) => {
            matches!(vector.op, VectorOp::Sort | VectorOp::SortDesc) || is_sorted(&vector.expr)
        }
        MetricKind::Binary(binary) => is_sorted(&binary.left) || is_sorted(&binary.right),
        MetricKind::LabelReplace(replace) => is_sorted(&replace.expr),
        MetricKind::Range(_) | MetricKind::Number(_) | MetricKind::VectorOf(_) => false,
    }
}
