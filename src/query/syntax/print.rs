//! Trees to text, on one line, in the form in which Loki prints them.

use std::fmt::{self, Display, Formatter};

use crate::model::{MatchOp, Matcher, quote};
use crate::text::units;

use super::ast::{
    AssignedValue, BinaryExpr, Expr, FieldPath, GroupSide, Grouping, LabelAssignment, LabelFilter,
    LabelReplace, LabelTarget, LineFilter, LineOperand, LogExpr, MetricExpr, MetricKind,
    RangeAggregation, Stage, StageKind, Unwrap, VectorAggregation,
};

/// Items with a separator between them.
pub(super) struct Joined<'a, T>(pub &'a [T], pub &'a str);

impl<T: Display> Display for Joined<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(self.1)?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Log(log) => log.fmt(f),
            Expr::Metric(metric) => metric.fmt(f),
        }
    }
}

impl Display for LogExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", Joined(&self.matchers, ", "))?;
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Display for StageKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            StageKind::LineFilter(filter) => filter.fmt(f),
            StageKind::Json { fields } => {
                f.write_str("| json")?;
                write_fields(f, fields)
            }
            StageKind::Logfmt { strict, keep_empty, fields } => {
                f.write_str("| logfmt")?;
                if *strict {
                    f.write_str(" --strict")?;
                }
                if *keep_empty {
                    f.write_str(" --keep-empty")?;
                }
                write_fields(f, fields)
            }
            StageKind::Regexp { pattern } => write!(f, "| regexp {}", quote(pattern)),
            StageKind::Pattern { pattern } => write!(f, "| pattern {}", quote(pattern)),
            StageKind::Unpack => f.write_str("| unpack"),
            StageKind::Decolorize => f.write_str("| decolorize"),
            StageKind::LabelFilter(filter) => write!(f, "| {filter}"),
            StageKind::LineFormat { template } => write!(f, "| line_format {}", quote(template)),
            StageKind::LabelFormat { assignments } => {
                write!(f, "| label_format {}", Joined(assignments, ","))
            }
            StageKind::Drop { targets } => write!(f, "| drop {}", Joined(targets, ",")),
            StageKind::Keep { targets } => write!(f, "| keep {}", Joined(targets, ",")),
        }
    }
}

fn write_fields(f: &mut Formatter<'_>, fields: &[FieldPath]) -> fmt::Result {
    if fields.is_empty() { Ok(()) } else { write!(f, " {}", Joined(fields, ",")) }
}

impl Display for FieldPath {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.label, quote(&self.path))
    }
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.op.as_str(), Joined(&self.operands, " or "))
    }
}

impl Display for LineOperand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LineOperand::Text(text) => f.write_str(&quote(text)),
            LineOperand::Ip(pattern) => write!(f, "ip({})", quote(pattern)),
        }
    }
}

impl Display for LabelAssignment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.value {
            AssignedValue::Rename(source) => write!(f, "{}={source}", self.label),
            AssignedValue::Template(template) => {
                write!(f, "{}={}", self.label, quote(template))
            }
        }
    }
}

impl Display for LabelTarget {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LabelTarget::Name(name) => f.write_str(name),
            LabelTarget::Matcher(matcher) => matcher.fmt(f),
        }
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LabelFilter::Text(matcher) if is_shown_raw(matcher) => {
                write!(f, "{}{}`{}`", matcher.name, matcher.op.as_str(), matcher.value)
            }
            LabelFilter::Text(matcher) => matcher.fmt(f),
            LabelFilter::Number { name, op, value } => {
                write!(f, "{name}{}{}", op.as_str(), units::format_sample(*value))
            }
            LabelFilter::Duration { name, op, literal, .. }
            | LabelFilter::Bytes { name, op, literal, .. } => {
                write!(f, "{name}{}{literal}", op.as_str())
            }
            LabelFilter::Ip { name, op, pattern } => {
                write!(f, "{name}{}ip({})", op.as_str(), quote(pattern))
            }
            LabelFilter::And(left, right) => write!(f, "( {left} , {right} )"),
            LabelFilter::Or(left, right) => write!(f, "( {left} or {right} )"),
        }
    }
}

/// Loki prints the regexes of label filters between backticks, but for those that it turns into
/// plain comparisons: texts, and texts with `.*` around them.
fn is_shown_raw(matcher: &Matcher) -> bool {
    if !matches!(matcher.op, MatchOp::Re | MatchOp::Nre) || matcher.value.contains('`') {
        return false;
    }
    let pattern = matcher.value.strip_prefix("(?i)").unwrap_or(&matcher.value);
    pattern != ".+"
        && pattern.split('|').any(|alternative| {
            let texts: Vec<&str> = alternative.split(".*").collect();
            let is_text = |text: &str| {
                !text.contains(['.', '[', ']', '\\', '+', '?', '{', '}', '^', '$', '*'])
            };
            let texts_given = texts.iter().filter(|text| !text.is_empty()).count();
            texts_given > 1 || !texts.into_iter().all(is_text)
        })
}

impl Display for MetricExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            MetricKind::Range(aggregation) => aggregation.fmt(f),
            MetricKind::Vector(aggregation) => aggregation.fmt(f),
            MetricKind::Binary(binary) => binary.fmt(f),
            MetricKind::Number(value) => f.write_str(&units::format_go_float(*value)),
            MetricKind::VectorOf(value) => write!(f, "vector({})", vector_literal(*value)),
            MetricKind::LabelReplace(replace) => replace.fmt(f),
        }
    }
}

/// Six decimals as in Loki, unless they would change the number.
fn vector_literal(value: f64) -> String {
    let fixed = format!("{value:.6}");
    if fixed.parse() == Ok(value) { fixed } else { units::format_sample(value) }
}

impl Display for RangeAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.op.as_str())?;
        if let Some(param) = self.param {
            write!(f, "{},", units::format_sample(param))?;
        }
        self.log.fmt(f)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
        }
        write!(f, "[{}]", units::format_prometheus_duration(self.range_ns))?;
        if self.offset_ns != 0 {
            write!(f, " offset {}", units::format_go_duration(self.offset_ns))?;
        }
        f.write_str(")")?;
        self.grouping.iter().try_for_each(|grouping| write!(f, " {grouping}"))
    }
}

impl Display for Unwrap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.conversion {
            Some(conversion) => write!(f, "| unwrap {}({})", conversion.as_str(), self.label)?,
            None => write!(f, "| unwrap {}", self.label)?,
        }
        self.filters.iter().try_for_each(|filter| write!(f, " | {filter}"))
    }
}

impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = if self.without { "without" } else { "by" };
        write!(f, "{word} ({})", Joined(&self.labels, ","))
    }
}

impl Display for VectorAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.as_str())?;
        self.grouping.iter().try_for_each(|grouping| write!(f, " {grouping}"))?;
        f.write_str("(")?;
        if let Some(param) = self.param {
            write!(f, "{param},")?;
        }
        write!(f, "{})", self.expr)
    }
}

impl Display for BinaryExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({} {} {})", self.left, operator(self, ","), self.right)
    }
}

/// The operator with its modifiers: `/ on (a,b) group_left (c)`. Like Loki, a space is left
/// where no grouping follows.
pub(super) fn operator(binary: &BinaryExpr, separator: &str) -> String {
    let mut text = binary.op.as_str().to_owned();
    if binary.return_bool {
        text.push_str(" bool");
    }
    let Some(matching) = &binary.matching else { return text };
    let on = if matching.on { "on" } else { "ignoring" };
    text.push_str(&format!(" {on} ({}) ", Joined(&matching.labels, separator)));
    match matching.group {
        Some(GroupSide::Left) => text.push_str("group_left"),
        Some(GroupSide::Right) => text.push_str("group_right"),
        None => {}
    }
    if !matching.include.is_empty() {
        text.push_str(&format!(" ({})", Joined(&matching.include, separator)));
    }
    text
}

impl Display for LabelReplace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "label_replace({},{},{},{},{})",
            self.expr,
            quote(&self.dst),
            quote(&self.replacement),
            quote(&self.src),
            quote(&self.pattern)
        )
    }
}
