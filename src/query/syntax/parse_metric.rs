//! Metric queries: `sum by (level) (rate({app="api"}[5m])) > 10`.

use crate::limits;
use crate::text::re2;

use super::ast::{
    BinaryExpr, BinaryOp, Expr, GroupSide, Grouping, LabelReplace, LogExpr, MetricExpr, MetricKind,
    RangeAggregation, RangeOp, Span, Unwrap, VectorAggregation, VectorMatching, VectorOp,
};
use super::parser::{Parsed, Parser};
use super::token::{Symbol, TokenKind, Word};

/// An expression, and how deep its tree is.
struct Operand {
    expr: Expr,
    height: usize,
    span: Span,
}

impl Operand {
    fn metric(kind: MetricKind, height: usize, span: Span) -> Self {
        Operand { expr: Expr::Metric(MetricExpr { kind, span }), height, span }
    }
}

impl Parser<'_> {
    pub fn expr(&mut self) -> Parsed<Expr> {
        Ok(self.binary(0)?.expr)
    }

    /// An expression of operators that bind tighter than `floor`.
    fn binary(&mut self, floor: u8) -> Parsed<Operand> {
        self.nested(|parser| {
            let mut left = parser.operand()?;
            while let Some(op) = parser.peek().binary_op() {
                let precedence = op.precedence();
                if precedence <= floor {
                    break;
                }
                let op_span = parser.span();
                parser.advance();
                let (return_bool, matching) = parser.modifiers()?;
                let right_floor =
                    if op.is_right_associative() { precedence - 1 } else { precedence };
                let right = parser.binary(right_floor)?;
                left = parser.combine(op, op_span, (return_bool, matching), left, right)?;
            }
            Ok(left)
        })
    }

    fn combine(
        &self,
        op: BinaryOp,
        op_span: Span,
        (return_bool, matching): (bool, Option<VectorMatching>),
        left: Operand,
        right: Operand,
    ) -> Parsed<Operand> {
        let span = Span { start: left.span.start, end: right.span.end };
        let height = left.height.max(right.height) + 1;
        let leg = |side: &str, operand: Operand| match operand.expr {
            Expr::Metric(metric) => Ok(metric),
            Expr::Log(_) => Err(self.error(
                operand.span,
                format!(
                    "unexpected type for {side} leg of binary operation ({}): a log query",
                    op.as_str()
                ),
            )),
        };
        let (left, right) = (leg("left", left)?, leg("right", right)?);
        if op.is_set() {
            for (side, metric) in [("left", &left), ("right", &right)] {
                if let MetricKind::Number(value) = metric.kind {
                    return Err(self.error(
                        metric.span,
                        format!(
                            "unexpected literal for {side} leg of logical/set binary operation \
                             ({}): {value:.6}",
                            op.as_str()
                        ),
                    ));
                }
            }
        }
        // Numbers are worked out at once: `1 + 1` is 2.
        if let (MetricKind::Number(a), MetricKind::Number(b)) = (&left.kind, &right.kind)
            && let Some(value) = op.apply(*a, *b)
        {
            return Ok(Operand::metric(MetricKind::Number(value), 1, span));
        }
        if height > limits::QUERY_DEPTH_MAX {
            return Err(self.too_deep(op_span));
        }
        let binary = BinaryExpr { op, left, right, return_bool, matching };
        Ok(Operand::metric(MetricKind::Binary(Box::new(binary)), height, span))
    }

    /// `bool on (a) group_left (b)`, all optional.
    fn modifiers(&mut self) -> Parsed<(bool, Option<VectorMatching>)> {
        let return_bool = self.eat_word(Word::Bool);
        let on = match self.peek() {
            TokenKind::Word(Word::On) => true,
            TokenKind::Word(Word::Ignoring) => false,
            _ => return Ok((return_bool, None)),
        };
        self.advance();
        let labels = self.label_list()?;
        let group = match self.peek() {
            TokenKind::Word(Word::GroupLeft) => Some(GroupSide::Left),
            TokenKind::Word(Word::GroupRight) => Some(GroupSide::Right),
            _ => None,
        };
        let mut include = Vec::new();
        if group.is_some() {
            self.advance();
            // A parenthesis may also open the right leg; labels or nothing inside decide.
            let is_list = matches!(
                (self.peek(), self.peek_at(1), self.peek_at(2)),
                (
                    TokenKind::Symbol(Symbol::OpenParen),
                    TokenKind::Identifier(_),
                    TokenKind::Symbol(Symbol::CloseParen | Symbol::Comma)
                ) | (
                    TokenKind::Symbol(Symbol::OpenParen),
                    TokenKind::Symbol(Symbol::CloseParen),
                    _
                )
            );
            if is_list {
                include = self.label_list()?;
            }
        }
        // Ignoring nothing is how vectors match anyway.
        let is_default = !on && labels.is_empty() && group.is_none();
        let matching = (!is_default).then_some(VectorMatching { on, labels, group, include });
        Ok((return_bool, matching))
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let start = self.span();
        match *self.peek() {
            TokenKind::Symbol(Symbol::OpenBrace) => {
                let log = self.log_expr()?;
                if *self.peek() == TokenKind::Symbol(Symbol::Pipe) {
                    // Only `| unwrap` is left unread, and it belongs into range aggregations.
                    self.advance();
                    return Err(self.unexpected(&[]));
                }
                let span = log.span;
                Ok(Operand { expr: Expr::Log(log), height: 1, span })
            }
            TokenKind::Symbol(Symbol::OpenParen) => {
                self.advance();
                let mut inner = self.binary(0)?;
                self.close_paren()?;
                inner.span = self.span_from(start);
                Ok(inner)
            }
            TokenKind::Number(_) | TokenKind::Symbol(Symbol::Add | Symbol::Sub) => {
                let value = self.signed_number()?;
                Ok(Operand::metric(MetricKind::Number(value), 1, self.span_from(start)))
            }
            TokenKind::Word(Word::Vector) => {
                self.advance();
                self.require(Symbol::OpenParen)?;
                let value = self.number(&["NUMBER"])?;
                self.require(Symbol::CloseParen)?;
                Ok(Operand::metric(MetricKind::VectorOf(value), 1, self.span_from(start)))
            }
            TokenKind::Word(Word::LabelReplace) => self.label_replace(start),
            TokenKind::RangeOp(op) => self.range_aggregation(op, start),
            TokenKind::VectorOp(op) => self.vector_aggregation(op, start),
            _ => Err(self.unexpected(&[])),
        }
    }

    fn close_paren(&mut self) -> Parsed<()> {
        if self.eat(Symbol::CloseParen) { Ok(()) } else { Err(self.unexpected(&[])) }
    }

    /// An argument that must be a metric query.
    fn metric_argument(&mut self) -> Parsed<(MetricExpr, usize)> {
        let operand = self.binary(0)?;
        match operand.expr {
            Expr::Metric(metric) => Ok((metric, operand.height)),
            Expr::Log(_) => Err(self.unexpected(&[])),
        }
    }

    fn vector_aggregation(&mut self, op: VectorOp, start: Span) -> Parsed<Operand> {
        self.advance();
        let mut grouping = self.grouping()?;
        self.require(Symbol::OpenParen)?;
        let param = match (self.peek(), self.peek_at(1)) {
            (TokenKind::Number(text), TokenKind::Symbol(Symbol::Comma)) => {
                let param = (text.clone(), self.span());
                self.advance();
                self.advance();
                Some(param)
            }
            _ => None,
        };
        let (expr, height) = self.metric_argument()?;
        self.close_paren()?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let param = self.vector_param(op, param, start)?;
        if op == VectorOp::ApproxTopk && grouping.is_some() {
            return Err(self.error(start, "grouping not allowed for approx_topk aggregation"));
        }
        let is_sort = matches!(op, VectorOp::Sort | VectorOp::SortDesc);
        if is_sort && grouping.as_ref().is_some_and(|grouping| !grouping.labels.is_empty()) {
            return Err(self.error(start, "sort and sort_desc doesn't allow grouping by "));
        }
        // To group by nothing is what happens without grouping.
        let grouping = grouping.filter(|g| g.without || !g.labels.is_empty());
        let aggregation = VectorAggregation { op, param, expr, grouping };
        let kind = MetricKind::Vector(Box::new(aggregation));
        Ok(Operand::metric(kind, height + 1, self.span_from(start)))
    }

    fn vector_param(
        &self,
        op: VectorOp,
        param: Option<(String, Span)>,
        start: Span,
    ) -> Parsed<Option<u64>> {
        let name = op.as_str();
        match (op.takes_param(), param) {
            (false, None) => Ok(None),
            (false, Some((text, span))) => {
                Err(self.error(span, format!("unsupported parameter for operation {name}({text},")))
            }
            (true, None) => {
                Err(self.error(start, format!("parameter required for operation {name}")))
            }
            (true, Some((text, span))) => match text.parse::<i64>() {
                Ok(value) if value > 0 => Ok(Some(value.unsigned_abs())),
                Ok(_) => Err(self.error(
                    span,
                    format!("invalid parameter (must be greater than 0) {name}({text}"),
                )),
                Err(_) => Err(self.error(span, format!("invalid parameter {name}({text},"))),
            },
        }
    }

    /// `by (a, b)`, `without (a)` or nothing.
    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = match self.peek() {
            TokenKind::Word(Word::By) => false,
            TokenKind::Word(Word::Without) => true,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(Grouping { without, labels: self.label_list()? }))
    }

    fn range_aggregation(&mut self, op: RangeOp, start: Span) -> Parsed<Operand> {
        self.advance();
        let name = op.as_str();
        self.require(Symbol::OpenParen)?;
        let mut param = None;
        if let TokenKind::Number(text) = self.peek() {
            let (text, span) = (text.clone(), self.span());
            let value = self.number(&[])?;
            self.require(Symbol::Comma)?;
            if op != RangeOp::QuantileOverTime {
                return Err(self
                    .error(span, format!("parameter {text} not supported for operation {name}")));
            }
            param = Some(value);
        }
        let expected: &[&str] = if param.is_some() { &["{", "("] } else { &["NUMBER", "{", "("] };
        let range = self.log_range(expected)?;
        self.close_paren()?;
        let grouping = self.grouping()?;
        let problem = if op == RangeOp::QuantileOverTime && param.is_none() {
            Some(format!("parameter required for operation {name}"))
        } else if grouping.is_some() && !op.allows_grouping() {
            Some(format!("grouping not allowed for {name} aggregation"))
        } else if range.unwrap.is_some() && !op.allows_unwrap() {
            Some(format!("invalid aggregation {name} with unwrap"))
        } else if range.unwrap.is_none() && op.needs_unwrap() {
            Some(format!("invalid aggregation {name} without unwrap"))
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(self.error(start, problem));
        }
        let LogRange { log, unwrap, range_ns, offset_ns } = range;
        let aggregation =
            RangeAggregation { op, param, log, unwrap, range_ns, offset_ns, grouping };
        Ok(Operand::metric(MetricKind::Range(Box::new(aggregation)), 1, self.span_from(start)))
    }

    /// A log query with a range. The range may stand behind the selector, behind the stages or
    /// behind parentheses around both, but only in one of these places.
    fn log_range(&mut self, expected: &[&str]) -> Parsed<LogRange> {
        if *self.peek() == TokenKind::Symbol(Symbol::OpenParen) {
            return self.nested(|parser| parser.parenthesized_range());
        }
        if *self.peek() != TokenKind::Symbol(Symbol::OpenBrace) {
            return Err(self.unexpected(expected));
        }
        let mut log = self.selector()?;
        if matches!(self.peek(), TokenKind::RangeNs(_)) {
            let (range_ns, offset_ns) = self.range_and_offset()?;
            self.stages(&mut log)?;
            let unwrap = self.optional_unwrap()?;
            return Ok(LogRange { log, unwrap, range_ns, offset_ns });
        }
        self.stages(&mut log)?;
        let unwrap = self.optional_unwrap()?;
        let (range_ns, offset_ns) = self.range_and_offset()?;
        Ok(LogRange { log, unwrap, range_ns, offset_ns })
    }

    /// `( .. [5m] )` or `( .. )[5m]`.
    fn parenthesized_range(&mut self) -> Parsed<LogRange> {
        self.require(Symbol::OpenParen)?;
        if *self.peek() == TokenKind::Symbol(Symbol::OpenParen) {
            let inner = self.nested(|parser| parser.parenthesized_range())?;
            self.close_paren()?;
            return Ok(inner);
        }
        let mut log = self.selector()?;
        if matches!(self.peek(), TokenKind::RangeNs(_)) {
            let (range_ns, offset_ns) = self.range_and_offset()?;
            self.stages(&mut log)?;
            let unwrap = self.optional_unwrap()?;
            self.close_paren()?;
            return Ok(LogRange { log, unwrap, range_ns, offset_ns });
        }
        self.stages(&mut log)?;
        let mut unwrap = self.optional_unwrap()?;
        if matches!(self.peek(), TokenKind::RangeNs(_)) {
            let (range_ns, offset_ns) = self.range_and_offset()?;
            self.close_paren()?;
            return Ok(LogRange { log, unwrap, range_ns, offset_ns });
        }
        self.close_paren()?;
        let (range_ns, offset_ns) = self.range_and_offset()?;
        if log.stages.is_empty() && unwrap.is_none() {
            unwrap = self.optional_unwrap()?;
        }
        Ok(LogRange { log, unwrap, range_ns, offset_ns })
    }

    fn optional_unwrap(&mut self) -> Parsed<Option<Unwrap>> {
        let found = *self.peek() == TokenKind::Symbol(Symbol::Pipe)
            && *self.peek_at(1) == TokenKind::Word(Word::Unwrap);
        if found { Ok(Some(self.unwrap_stage()?)) } else { Ok(None) }
    }

    /// `[5m]` and `offset 1h`.
    fn range_and_offset(&mut self) -> Parsed<(i64, i64)> {
        let TokenKind::RangeNs(range_ns) = *self.peek() else { return Err(self.unexpected(&[])) };
        self.advance();
        if !self.eat_word(Word::Offset) {
            return Ok((range_ns, 0));
        }
        let TokenKind::DurationNs(offset_ns) = *self.peek() else {
            return Err(self.unexpected(&["DURATION"]));
        };
        self.advance();
        Ok((range_ns, offset_ns))
    }

    fn label_replace(&mut self, start: Span) -> Parsed<Operand> {
        self.advance();
        self.require(Symbol::OpenParen)?;
        let (expr, height) = self.metric_argument()?;
        self.require(Symbol::Comma)?;
        let dst = self.expect_string()?;
        self.require(Symbol::Comma)?;
        let replacement = self.expect_string()?;
        self.require(Symbol::Comma)?;
        let src = self.expect_string()?;
        self.require(Symbol::Comma)?;
        let pattern_span = self.span();
        let pattern = self.expect_string()?;
        self.require(Symbol::CloseParen)?;
        self.regexes.take(&pattern).and_then(|()| re2::compile(&pattern)).map_err(|problem| {
            self.error(pattern_span, format!("invalid regex in label_replace: {problem}"))
        })?;
        let replace = LabelReplace { expr, dst, replacement, src, pattern };
        let kind = MetricKind::LabelReplace(Box::new(replace));
        Ok(Operand::metric(kind, height + 1, self.span_from(start)))
    }
}

struct LogRange {
    log: LogExpr,
    unwrap: Option<Unwrap>,
    range_ns: i64,
    offset_ns: i64,
}
