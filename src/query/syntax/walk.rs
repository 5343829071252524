//! Ways through the tree. Its depth is bounded by the parser.

use super::ast::{Expr, LabelFilter, LogExpr, MetricExpr, MetricKind, RangeAggregation};

impl Expr {
    /// All log queries in it, from left to right.
    pub fn log_exprs(&self) -> Vec<&LogExpr> {
        match self {
            Expr::Log(log) => vec![log],
            Expr::Metric(metric) => metric.log_exprs(),
        }
    }

    pub fn as_log(&self) -> Option<&LogExpr> {
        match self {
            Expr::Log(log) => Some(log),
            Expr::Metric(_) => None,
        }
    }

    pub fn as_metric(&self) -> Option<&MetricExpr> {
        match self {
            Expr::Log(_) => None,
            Expr::Metric(metric) => Some(metric),
        }
    }
}

impl MetricExpr {
    /// Calls back with this expression and all below it, parents first, left to right.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a MetricExpr)) {
        visit(self);
        match &self.kind {
            MetricKind::Range(_) | MetricKind::Number(_) | MetricKind::VectorOf(_) => {}
            MetricKind::Vector(aggregation) => aggregation.expr.walk(visit),
            MetricKind::LabelReplace(replace) => replace.expr.walk(visit),
            MetricKind::Binary(binary) => {
                binary.left.walk(visit);
                binary.right.walk(visit);
            }
        }
    }

    /// All range aggregations in it, from left to right.
    pub fn range_aggregations(&self) -> Vec<&RangeAggregation> {
        let mut found = Vec::new();
        self.walk(&mut |expr| {
            if let MetricKind::Range(aggregation) = &expr.kind {
                found.push(aggregation.as_ref());
            }
        });
        found
    }

    pub fn log_exprs(&self) -> Vec<&LogExpr> {
        self.range_aggregations().into_iter().map(|aggregation| &aggregation.log).collect()
    }

    /// The largest range in brackets, in nanoseconds; 0 when nothing reads logs.
    pub fn max_window(&self) -> i64 {
        self.range_aggregations().into_iter().map(|range| range.range_ns).max().unwrap_or(0)
    }

    /// How far before the time of evaluation entries are read, ranges and offsets together.
    pub fn max_lookback_ns(&self) -> i64 {
        let reach = |range: &RangeAggregation| range.range_ns.saturating_add(range.offset_ns);
        self.range_aggregations().into_iter().map(reach).max().unwrap_or(0).max(0)
    }
}

impl LabelFilter {
    /// The names of the labels it looks at, from left to right.
    pub fn label_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.walk(&mut |filter| match filter {
            LabelFilter::Text(matcher) => names.push(matcher.name.as_str()),
            LabelFilter::Number { name, .. }
            | LabelFilter::Duration { name, .. }
            | LabelFilter::Bytes { name, .. }
            | LabelFilter::Ip { name, .. } => names.push(name.as_str()),
            LabelFilter::And(..) | LabelFilter::Or(..) => {}
        });
        names
    }

    /// Calls back with this filter and all below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a LabelFilter)) {
        visit(self);
        if let LabelFilter::And(left, right) | LabelFilter::Or(left, right) = self {
            left.walk(visit);
            right.walk(visit);
        }
    }
}
