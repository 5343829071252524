//! The tree of a LogQL query. Spans are byte ranges of the query's text; they do not take part
//! in comparison, so that parse -> print -> parse can be checked for identity.

use crate::model::{MatchOp, Matcher};

/// A byte range of the query. All spans compare equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Span {}

#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    Log(LogExpr),
    Metric(MetricExpr),
}

/// `{selector} | stage | stage`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogExpr {
    pub matchers: Vec<Matcher>,
    pub stages: Vec<Stage>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    pub kind: StageKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum StageKind {
    LineFilter(LineFilter),
    /// `| json` when empty, else `| json a="x.y", b` (a bare name is its own path).
    Json {
        fields: Vec<FieldPath>,
    },
    Logfmt {
        strict: bool,
        keep_empty: bool,
        fields: Vec<FieldPath>,
    },
    Regexp {
        pattern: String,
    },
    Pattern {
        pattern: String,
    },
    Unpack,
    Decolorize,
    LabelFilter(LabelFilter),
    LineFormat {
        template: String,
    },
    LabelFormat {
        assignments: Vec<LabelAssignment>,
    },
    Drop {
        targets: Vec<LabelTarget>,
    },
    Keep {
        targets: Vec<LabelTarget>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Match,
    /// `!~`
    NotMatch,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

/// `|= "a" or "b" or ip("10.0.0.0/8")`. Under a negated operator: none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFilter {
    pub op: LineOp,
    /// At least one.
    pub operands: Vec<LineOperand>,
}

impl LineFilter {
    /// The operands that count; at least one. In `|= "a" or ""` the empty operand does not; alone
    /// it lets every line through. An empty pattern is no such thing: it matches the empty line.
    pub fn alternatives(&self) -> Vec<&LineOperand> {
        let drops_blank =
            self.operands.len() > 1 && matches!(self.op, LineOp::Contains | LineOp::Match);
        let is_blank = |operand: &LineOperand| {
            drops_blank && matches!(operand, LineOperand::Text(text) if text.is_empty())
        };
        let counted: Vec<_> = self.operands.iter().filter(|operand| !is_blank(operand)).collect();
        if counted.is_empty() { self.operands.iter().take(1).collect() } else { counted }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineOperand {
    Text(String),
    Ip(String),
}

/// `label="path"`; a bare `label` has itself as path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    pub label: String,
    pub path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    Eq,
    Neq,
    Gt,
    Gte,
    Lt,
    Lte,
}

#[derive(Debug, Clone, PartialEq)]
pub enum LabelFilter {
    Text(Matcher),
    Number {
        name: String,
        op: CompareOp,
        value: f64,
    },
    /// Nanoseconds, and how the literal is printed.
    Duration {
        name: String,
        op: CompareOp,
        ns: i64,
        literal: String,
    },
    Bytes {
        name: String,
        op: CompareOp,
        bytes: u64,
        literal: String,
    },
    /// `op` is `Eq` or `Neq`.
    Ip {
        name: String,
        op: MatchOp,
        pattern: String,
    },
    And(Box<LabelFilter>, Box<LabelFilter>),
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelAssignment {
    pub label: String,
    pub value: AssignedValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssignedValue {
    /// `dst=src`
    Rename(String),
    /// `dst="{{.src}}"`
    Template(String),
}

/// A name, or a matcher, in `drop` and `keep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelTarget {
    Name(String),
    Matcher(Matcher),
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetricExpr {
    pub kind: MetricKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum MetricKind {
    Range(Box<RangeAggregation>),
    Vector(Box<VectorAggregation>),
    Binary(Box<BinaryExpr>),
    Number(f64),
    /// `vector(1)`
    VectorOf(f64),
    LabelReplace(Box<LabelReplace>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RangeOp {
    Rate,
    RateCounter,
    CountOverTime,
    BytesRate,
    BytesOverTime,
    AvgOverTime,
    SumOverTime,
    MinOverTime,
    MaxOverTime,
    StdvarOverTime,
    StddevOverTime,
    QuantileOverTime,
    FirstOverTime,
    LastOverTime,
    AbsentOverTime,
}

/// `op(param, {..} | stages | unwrap x | filters [range] offset o) by (g)`.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeAggregation {
    pub op: RangeOp,
    /// Only `quantile_over_time`.
    pub param: Option<f64>,
    pub log: LogExpr,
    pub unwrap: Option<Unwrap>,
    pub range_ns: i64,
    pub offset_ns: i64,
    pub grouping: Option<Grouping>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Unwrap {
    pub label: String,
    pub conversion: Option<Conversion>,
    /// Label filters behind the unwrap.
    pub filters: Vec<LabelFilter>,
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conversion {
    /// `duration(x)`
    Duration,
    /// `duration_seconds(x)`
    DurationSeconds,
    Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grouping {
    pub without: bool,
    pub labels: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VectorOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    Sort,
    SortDesc,
    ApproxTopk,
}

#[derive(Debug, Clone, PartialEq)]
pub struct VectorAggregation {
    pub op: VectorOp,
    /// Only topk, bottomk and approx_topk.
    pub param: Option<u64>,
    pub expr: MetricExpr,
    pub grouping: Option<Grouping>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Eq,
    Neq,
    Gt,
    Gte,
    Lt,
    Lte,
    And,
    Or,
    Unless,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BinaryExpr {
    pub op: BinaryOp,
    pub left: MetricExpr,
    pub right: MetricExpr,
    /// `bool` behind a comparison.
    pub return_bool: bool,
    pub matching: Option<VectorMatching>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorMatching {
    /// `on` when true, `ignoring` when false.
    pub on: bool,
    pub labels: Vec<String>,
    pub group: Option<GroupSide>,
    /// The labels in `group_left(..)`.
    pub include: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupSide {
    Left,
    Right,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LabelReplace {
    pub expr: MetricExpr,
    pub dst: String,
    pub replacement: String,
    pub src: String,
    pub pattern: String,
}
