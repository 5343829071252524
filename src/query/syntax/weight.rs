//! How much a query has to do with each line. A query of the longest length has room for
//! thousands of stages, captures and names, with which a line takes a second: what nobody writes
//! is refused before it is run.

use super::ast::{
    AssignedValue, Expr, Grouping, LabelFilter, LogExpr, MetricExpr, MetricKind, Stage, StageKind,
};

/// Line filters look for several texts in the time of one other stage, and templates of this
/// many bytes take as long.
const TEXTS_PER_STAGE: usize = 16;
const TEMPLATE_BYTES_PER_STAGE: usize = 64;

/// Stages, captures and names.
pub(super) fn of(expr: &Expr) -> usize {
    match expr {
        Expr::Log(log) => of_log(log),
        Expr::Metric(metric) => of_metric(metric),
    }
}

fn of_log(log: &LogExpr) -> usize {
    log.stages.iter().map(of_stage).sum()
}

fn of_stage(stage: &Stage) -> usize {
    let template = |text: &str| text.len() / TEMPLATE_BYTES_PER_STAGE;
    let inside = match &stage.kind {
        StageKind::LineFilter(filter) => filter.operands.len() / TEXTS_PER_STAGE,
        StageKind::Json { fields } | StageKind::Logfmt { fields, .. } => fields.len(),
        StageKind::Regexp { pattern } => {
            pattern.matches("(?P<").count() + pattern.matches("(?<").count()
        }
        StageKind::Pattern { pattern } => pattern.matches('<').count(),
        StageKind::Unpack | StageKind::Decolorize => 0,
        StageKind::LabelFilter(filter) => of_filter(filter),
        StageKind::LineFormat { template: text } => template(text),
        StageKind::LabelFormat { assignments } => assignments
            .iter()
            .map(|assignment| match &assignment.value {
                AssignedValue::Rename(_) => 1,
                AssignedValue::Template(text) => 1 + template(text),
            })
            .sum(),
        StageKind::Drop { targets } | StageKind::Keep { targets } => targets.len(),
    };
    1 + inside
}

fn of_filter(filter: &LabelFilter) -> usize {
    match filter {
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            of_filter(left) + of_filter(right)
        }
        _ => 1,
    }
}

fn of_grouping(grouping: Option<&Grouping>) -> usize {
    grouping.map_or(0, |grouping| grouping.labels.len())
}

fn of_metric(metric: &MetricExpr) -> usize {
    match &metric.kind {
        MetricKind::Range(range) => {
            let filters = range.unwrap.iter().flat_map(|unwrap| &unwrap.filters);
            of_log(&range.log)
                + filters.map(of_filter).sum::<usize>()
                + of_grouping(range.grouping.as_ref())
        }
        MetricKind::Vector(vector) => {
            of_metric(&vector.expr) + of_grouping(vector.grouping.as_ref())
        }
        MetricKind::Binary(binary) => {
            let names = binary.matching.as_ref().map_or(0, |m| m.labels.len() + m.include.len());
            of_metric(&binary.left) + of_metric(&binary.right) + names
        }
        MetricKind::Number(_) | MetricKind::VectorOf(_) => 0,
        MetricKind::LabelReplace(replace) => of_metric(&replace.expr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use crate::query::syntax;

    #[test]
    fn weights() {
        let s = r#"{app="x"}"#;
        let texts = |n: usize| vec!["\"id\""; n].join(" or ");
        for (query, expect) in [
            (s.to_owned(), 0),
            (format!("{s} |= \"a\" | json | a=\"1\" and b>2 or c<3"), 6),
            (format!("{s} | regexp \"(?P<a>x)(?P<b>y)(z)\" | pattern \"<a> <_> <b>\""), 7),
            (format!("{s} | json a, b=\"c\" | keep a, b | drop c"), 8),
            (format!("{s} |= {}", texts(1_600)), 101),
            (format!("{s} | line_format \"{}\"", "x".repeat(640)), 11),
            (format!("{s} | label_format a=b, c=\"{}\"", "x".repeat(64)), 4),
            (format!("sum by (a, b) (rate({s} | json [1m])) / on(a) sum(rate({s}[1m]))"), 4),
            (format!("avg_over_time({s} | unwrap x | y>1 [1m]) by (a)"), 2),
            ("1 + 1".to_owned(), 0),
        ] {
            assert_eq!(of(&syntax::parse(&query).unwrap()), expect, "{query}");
        }
        let stages = |n: usize| syntax::parse(&(s.to_owned() + &" | json".repeat(n)));
        assert!(stages(limits::QUERY_WEIGHT_MAX).is_ok());
        let told = stages(limits::QUERY_WEIGHT_MAX + 1).unwrap_err().loki();
        assert!(told.starts_with("the query has 1001 stages, captures and names"), "{told}");
    }
}
