//! What the engine must know of a rule's expression besides its answer: which lines it looks
//! at, how far back, and whether a late evaluation still makes sense.

use crate::model::{Labels, MatchOp, Matcher, TimeRange, Timestamp};
use crate::query::syntax::ast::{
    AssignedValue, BinaryOp, LabelFilter, LogExpr, MetricExpr, MetricKind, RangeAggregation,
    RangeOp, Span, Stage, StageKind,
};

/// The `service_name` of our own logs. Rules do not see them, or a rule whose text is logged
/// would fire on itself; a selector that names it with `=` asks for them on purpose.
pub const OWN_SERVICE: &str = "stockade";

const SERVICE_LABEL: &str = "service_name";

/// What was found out about an expression.
#[derive(Debug, Clone)]
pub struct Look {
    /// The lines that show why the rule fires; `None` for rules about absence and for numbers.
    pub evidence: Option<EvidenceQuery>,
    /// How far back the first selector looks; 0 without one.
    pub range_ns: i64,
    /// How far back any selector looks, its offset included.
    pub reach_ns: i64,
    /// Whether more lines can only make the rule more true. Only such a rule may be evaluated
    /// for a moment in the past: the others would fire on lines that have not come in yet.
    pub counts_events: bool,
    /// How much history `absent_over_time` needs before its answer means anything; else 0.
    pub absent_reach_ns: i64,
}

/// A log query with its window.
#[derive(Debug, Clone)]
pub struct EvidenceQuery {
    log: LogExpr,
    range_ns: i64,
    offset_ns: i64,
    /// Labels that the expression makes up after counting; lines do not carry them.
    made_up: Vec<String>,
}

impl EvidenceQuery {
    /// The window `(at - range, at]` as a half-open range.
    pub fn window(&self, at: Timestamp) -> TimeRange {
        let end = at.saturating_add_ns(self.offset_ns.saturating_neg());
        TimeRange::new(
            end.saturating_add_ns(1_i64.saturating_sub(self.range_ns)),
            end.saturating_add_ns(1),
        )
    }

    /// The log query as the rule has it.
    pub fn log(&self) -> &LogExpr {
        &self.log
    }

    /// The log query for the lines of one series.
    pub fn narrowed(&self, series: &Labels) -> LogExpr {
        let mut log = self.log.clone();
        for (name, value) in series.iter() {
            if self.made_up.iter().any(|made_up| made_up == name) {
                continue;
            }
            let matcher = Matcher::eq(name, value);
            // The store can skip whole streams by this one label, which every stream has.
            if name == SERVICE_LABEL && !sets_label(&log, name) {
                log.matchers.push(matcher);
            } else {
                let kind = StageKind::LabelFilter(LabelFilter::Text(matcher));
                log.stages.push(Stage { kind, span: Span::default() });
            }
        }
        log
    }
}

fn sets_label(log: &LogExpr, name: &str) -> bool {
    log.stages.iter().any(|stage| match &stage.kind {
        StageKind::LabelFormat { assignments } => assignments.iter().any(|assignment| {
            assignment.label == name
                || matches!(&assignment.value, AssignedValue::Rename(from) if from == name)
        }),
        StageKind::Drop { .. } | StageKind::Keep { .. } => true,
        _ => false,
    })
}

/// Adds `service_name!="stockade"` to every selector that does not ask for our own logs.
pub fn exclude_own_logs(expr: &mut MetricExpr) {
    each_range_mut(expr, &mut |range| {
        let by_name =
            |matcher: &Matcher| matcher.name == SERVICE_LABEL && matcher.op == MatchOp::Eq;
        if !range.log.matchers.iter().any(by_name) {
            range.log.matchers.push(Matcher::text(SERVICE_LABEL, MatchOp::Neq, OWN_SERVICE));
        }
    });
}

/// Whether any selector asks for our own logs.
pub fn looks_at_own_logs(expr: &MetricExpr) -> bool {
    expr.log_exprs()
        .iter()
        .any(|log| log.matchers.contains(&Matcher::eq(SERVICE_LABEL, OWN_SERVICE)))
}

pub fn look(expr: &MetricExpr) -> Look {
    let mut first: Option<RangeAggregation> = None;
    let mut reach_ns = 0_i64;
    let mut absent_reach_ns = 0_i64;
    for range in expr.range_aggregations() {
        first.get_or_insert_with(|| range.clone());
        let back_ns = range.range_ns.saturating_add(range.offset_ns.max(0));
        reach_ns = reach_ns.max(back_ns);
        if range.op == RangeOp::AbsentOverTime {
            absent_reach_ns = absent_reach_ns.max(back_ns);
        }
    }
    let mut made_up = Vec::new();
    collect_made_up(expr, &mut made_up);
    let about_absence = absent_reach_ns > 0 || has_unless(expr);
    Look {
        range_ns: first.as_ref().map_or(0, |range| range.range_ns),
        reach_ns,
        counts_events: first.is_some() && !about_absence && !wants_little(expr),
        absent_reach_ns,
        evidence: first
            .filter(|range| range.op != RangeOp::AbsentOverTime)
            .map(|range| evidence_query(range, made_up)),
    }
}

fn evidence_query(range: RangeAggregation, made_up: Vec<String>) -> EvidenceQuery {
    let mut log = range.log;
    for filter in range.unwrap.into_iter().flat_map(|unwrap| unwrap.filters) {
        log.stages.push(Stage { kind: StageKind::LabelFilter(filter), span: Span::default() });
    }
    EvidenceQuery { log, range_ns: range.range_ns, offset_ns: range.offset_ns, made_up }
}

/// Whether a comparison is true for small values.
fn wants_little(expr: &MetricExpr) -> bool {
    match &expr.kind {
        MetricKind::Binary(binary) => {
            let number_first = matches!(binary.left.kind, MetricKind::Number(_));
            let little = match binary.op {
                BinaryOp::Lt | BinaryOp::Lte => !number_first,
                BinaryOp::Gt | BinaryOp::Gte => number_first,
                BinaryOp::Eq | BinaryOp::Neq => true,
                _ => false,
            };
            little || wants_little(&binary.left) || wants_little(&binary.right)
        }
        MetricKind::Vector(vector) => wants_little(&vector.expr),
        MetricKind::LabelReplace(replace) => wants_little(&replace.expr),
        MetricKind::Range(_) | MetricKind::Number(_) | MetricKind::VectorOf(_) => false,
    }
}

fn has_unless(expr: &MetricExpr) -> bool {
    match &expr.kind {
        MetricKind::Binary(binary) => {
            binary.op == BinaryOp::Unless || has_unless(&binary.left) || has_unless(&binary.right)
        }
        MetricKind::Vector(vector) => has_unless(&vector.expr),
        MetricKind::LabelReplace(replace) => has_unless(&replace.expr),
        MetricKind::Range(_) | MetricKind::Number(_) | MetricKind::VectorOf(_) => false,
    }
}

fn collect_made_up(expr: &MetricExpr, made_up: &mut Vec<String>) {
    match &expr.kind {
        MetricKind::Binary(binary) => {
            collect_made_up(&binary.left, made_up);
            collect_made_up(&binary.right, made_up);
        }
        MetricKind::Vector(vector) => collect_made_up(&vector.expr, made_up),
        MetricKind::LabelReplace(replace) => {
            made_up.push(replace.dst.clone());
            collect_made_up(&replace.expr, made_up);
        }
        MetricKind::Range(_) | MetricKind::Number(_) | MetricKind::VectorOf(_) => {}
    }
}

fn each_range_mut(expr: &mut MetricExpr, visit: &mut dyn FnMut(&mut RangeAggregation)) {
    match &mut expr.kind {
        MetricKind::Range(range) => visit(range),
        MetricKind::Vector(vector) => each_range_mut(&mut vector.expr, visit),
        MetricKind::Binary(binary) => {
            each_range_mut(&mut binary.left, visit);
            each_range_mut(&mut binary.right, visit);
        }
        MetricKind::LabelReplace(replace) => each_range_mut(&mut replace.expr, visit),
        MetricKind::Number(_) | MetricKind::VectorOf(_) => {}
    }
}
