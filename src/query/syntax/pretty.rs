//! Trees to text on several lines, as Loki's formatter breaks them: what fits into 100 columns
//! stays on its line, the rest is opened up by two spaces a level.

use crate::model::quote;
use crate::text::units;

use super::ast::{
    BinaryExpr, Expr, Grouping, LabelReplace, LogExpr, MetricExpr, MetricKind, RangeAggregation,
    Stage, StageKind, Unwrap, VectorAggregation,
};
use super::print::{Joined, operator};

const LINE_COLUMNS_MAX: usize = 100;

/// A query laid out for reading.
pub fn pretty(expr: &Expr) -> String {
    let layout = Layout { columns_max: LINE_COLUMNS_MAX };
    match expr {
        Expr::Log(log) => layout.log(log, 0),
        Expr::Metric(metric) => layout.metric(metric, 0),
    }
}

pub(super) struct Layout {
    pub columns_max: usize,
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

impl Layout {
    fn fits(&self, line: &str) -> bool {
        line.len() <= self.columns_max
    }

    pub fn log(&self, log: &LogExpr, level: usize) -> String {
        let line = log.to_string();
        if self.fits(&line) || log.stages.is_empty() {
            return indent(level) + &line;
        }
        let mut text = format!("{}{{{}}}", indent(level), Joined(&log.matchers, ", "));
        let is_filter = |stage: &Stage| matches!(stage.kind, StageKind::LineFilter(_));
        for stages in log.stages.chunk_by(|a, b| is_filter(a) && is_filter(b)) {
            text.push('\n');
            match stages {
                // Loki's formatter forgets to indent this one.
                [Stage { kind: StageKind::Decolorize, .. }] => text.push_str("| decolorize"),
                _ => text.push_str(&self.filters(stages, level + 1)),
            }
        }
        text
    }

    /// Line filters that follow each other share a line as far as they fit; there may be tens of
    /// thousands of them.
    fn filters(&self, stages: &[Stage], level: usize) -> String {
        let mut text = indent(level);
        let (mut columns, mut shares_line) = (0, true);
        for (at, stage) in stages.iter().enumerate() {
            let shown = stage.to_string();
            columns += shown.len() + usize::from(at > 0);
            if at > 0 {
                shares_line &= columns <= self.columns_max;
                let between = if shares_line { " " } else { &format!("\n{}", indent(level)) };
                text.push_str(between);
            }
            text.push_str(&shown);
        }
        text
    }

    pub fn metric(&self, metric: &MetricExpr, level: usize) -> String {
        let line = metric.to_string();
        match &metric.kind {
            MetricKind::Range(aggregation) if !self.fits(&line) => self.range(aggregation, level),
            MetricKind::Vector(aggregation) if !self.fits(&line) => self.vector(aggregation, level),
            MetricKind::Binary(binary) if !self.fits(&line) => self.binary(binary, level),
            MetricKind::LabelReplace(replace) if !self.fits(&line) => {
                self.label_replace(replace, level)
            }
            _ => indent(level) + &line,
        }
    }

    fn range(&self, aggregation: &RangeAggregation, level: usize) -> String {
        let mut text = format!("{}{}(\n", indent(level), aggregation.op.as_str());
        if let Some(param) = aggregation.param {
            let param = units::format_go_float(param);
            text.push_str(&format!("{}{param},\n", indent(level + 1)));
        }
        text.push_str(&self.log(&aggregation.log, level + 1));
        if let Some(unwrap) = &aggregation.unwrap {
            text.push_str(&self.unwrap(unwrap, level + 2));
        }
        let range = units::format_prometheus_duration(aggregation.range_ns);
        text.push_str(&format!(" [{range}]"));
        if aggregation.offset_ns != 0 {
            text.push_str(&format!(" offset {}", offset(aggregation.offset_ns)));
        }
        text.push_str(&format!("\n{})", indent(level)));
        if let Some(grouping) = &aggregation.grouping {
            text.push_str(&grouped(grouping));
        }
        text
    }

    fn unwrap(&self, unwrap: &Unwrap, level: usize) -> String {
        let bare = Unwrap { filters: Vec::new(), ..unwrap.clone() };
        let mut text = format!("\n{}{bare}", indent(level));
        for filter in &unwrap.filters {
            text.push_str(&format!("\n{}| {filter}", indent(level)));
        }
        text
    }

    fn vector(&self, aggregation: &VectorAggregation, level: usize) -> String {
        let mut text = format!("{}{}", indent(level), aggregation.op.as_str());
        if let Some(grouping) = &aggregation.grouping {
            text.push_str(&grouped(grouping));
        }
        text.push_str("(\n");
        if let Some(param) = aggregation.param {
            text.push_str(&format!("{}{param},\n", indent(level + 1)));
        }
        text.push_str(&self.metric(&aggregation.expr, level + 1));
        text.push_str(&format!("\n{})", indent(level)));
        text
    }

    fn binary(&self, binary: &BinaryExpr, level: usize) -> String {
        let own = binary.op.precedence();
        // On the side that the operator does not lean to, equal precedence needs them too.
        let (left_floor, right_floor) =
            if binary.op.is_right_associative() { (own + 1, own) } else { (own, own + 1) };
        format!(
            "{}\n{}{}\n{}",
            self.leg(&binary.left, left_floor, level + 1),
            indent(level),
            operator(binary, ", "),
            self.leg(&binary.right, right_floor, level + 1)
        )
    }

    /// A leg of an operator. When it is broken into lines it loses the parentheses that the
    /// one-line form always has; they come back where the meaning needs them.
    fn leg(&self, leg: &MetricExpr, floor: u8, level: usize) -> String {
        match &leg.kind {
            MetricKind::Binary(binary)
                if binary.op.precedence() < floor && !self.fits(&leg.to_string()) =>
            {
                format!("{}(\n{}\n{})", indent(level), self.metric(leg, level + 1), indent(level))
            }
            _ => self.metric(leg, level),
        }
    }

    fn label_replace(&self, replace: &LabelReplace, level: usize) -> String {
        let mut text = format!("{}label_replace(\n", indent(level));
        text.push_str(&self.metric(&replace.expr, level + 1));
        for argument in [&replace.dst, &replace.replacement, &replace.src, &replace.pattern] {
            text.push_str(&format!(",\n{}{}", indent(level + 1), quote(argument)));
        }
        text.push_str(&format!("\n{})", indent(level)));
        text
    }
}

/// Prometheus' form is shorter, but has no parts of a millisecond.
fn offset(ns: i64) -> String {
    if ns % 1_000_000 == 0 && ns > 0 {
        units::format_prometheus_duration(ns)
    } else {
        units::format_go_duration(ns)
    }
}

fn grouped(grouping: &Grouping) -> String {
    let word = if grouping.without { "without" } else { "by" };
    format!(" {word} ({})", Joined(&grouping.labels, ", "))
}
