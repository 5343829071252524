//! Selectors and pipelines: `{app="api"} |= "x" | json | status >= 500`.

use crate::model::{MatchOp, Matcher};
use crate::text::re2;

use super::ast::{
    AssignedValue, Conversion, FieldPath, LabelAssignment, LabelTarget, LineFilter, LineOp,
    LineOperand, LogExpr, Span, Stage, StageKind, Unwrap,
};
use super::check;
use super::parser::{Parsed, Parser};
use super::token::{Flag, Symbol, TokenKind, Word};

impl Parser<'_> {
    /// `{a="b", c=~"d"}`; empty braces are left to the validation of the whole query.
    pub fn selector(&mut self) -> Parsed<LogExpr> {
        let start = self.span();
        self.require(Symbol::OpenBrace)?;
        let mut matchers = Vec::new();
        if !self.eat(Symbol::CloseBrace) {
            let mut first = true;
            matchers = self.list(|parser| {
                let expected: &[&str] = if first { &["IDENTIFIER", "}"] } else { &["IDENTIFIER"] };
                first = false;
                parser.matcher(expected)
            })?;
            if !self.eat(Symbol::CloseBrace) {
                return Err(self.unexpected(&["}", ","]));
            }
        }
        Ok(LogExpr { matchers, stages: Vec::new(), span: self.span_from(start) })
    }

    fn matcher(&mut self, expected: &[&str]) -> Parsed<Matcher> {
        let name = self.expect_identifier_or(expected)?;
        let op = match self.peek() {
            TokenKind::Symbol(Symbol::Eq) => MatchOp::Eq,
            TokenKind::Symbol(Symbol::Neq) => MatchOp::Neq,
            TokenKind::Symbol(Symbol::Re) => MatchOp::Re,
            TokenKind::Symbol(Symbol::Nre) => MatchOp::Nre,
            _ => return Err(self.unexpected(&["=", "=~", "!~", "!="])),
        };
        self.advance();
        self.matcher_value(name, op)
    }

    /// The string behind `name op`.
    pub fn matcher_value(&mut self, name: String, op: MatchOp) -> Parsed<Matcher> {
        let span = self.span();
        let value = self.expect_string()?;
        match op {
            MatchOp::Eq | MatchOp::Neq => Ok(Matcher::text(name, op, value)),
            MatchOp::Re | MatchOp::Nre => {
                let regex = self
                    .regexes
                    .take(&value)
                    .and_then(|()| re2::compile_anchored(&value))
                    .map_err(|problem| self.error(span, problem))?;
                Ok(Matcher::regex(name, op, value, regex))
            }
        }
    }

    /// A selector and its stages, up to the first token that starts no stage. `| unwrap` is left
    /// to the range aggregation.
    pub fn log_expr(&mut self) -> Parsed<LogExpr> {
        let mut log = self.selector()?;
        self.stages(&mut log)?;
        Ok(log)
    }

    pub fn stages(&mut self, log: &mut LogExpr) -> Parsed<()> {
        loop {
            let start = self.span();
            if let Some(op) = self.line_op() {
                self.advance();
                self.line_filter(op, start, log)?;
            } else if *self.peek() == TokenKind::Symbol(Symbol::Pipe)
                && *self.peek_at(1) != TokenKind::Word(Word::Unwrap)
            {
                self.advance();
                let kind = self.stage()?;
                let span = self.span_from(start);
                check::stage(&kind, &mut self.regexes).map_err(|problem| match problem {
                    check::Problem::InStage(text) => self.stage_error(span, text),
                    check::Problem::Plain(text) => self.error(span, text),
                })?;
                log.stages.push(Stage { kind, span });
            } else {
                return Ok(());
            }
            log.span = self.span_from(log.span);
        }
    }

    fn line_op(&self) -> Option<LineOp> {
        let TokenKind::Symbol(symbol) = self.peek() else { return None };
        Some(match symbol {
            Symbol::PipeExact => LineOp::Contains,
            Symbol::PipeMatch => LineOp::Match,
            Symbol::PipePattern => LineOp::Pattern,
            Symbol::Neq => LineOp::NotContains,
            Symbol::Nre => LineOp::NotMatch,
            Symbol::NotPattern => LineOp::NotPattern,
            _ => return None,
        })
    }

    /// `"a" or "b" or ip("c")` behind the operator. Under a negated operator each operand
    /// becomes a filter of its own: none of them may be in the line.
    fn line_filter(&mut self, op: LineOp, operator: Span, log: &mut LogExpr) -> Parsed<()> {
        let mut filters: Vec<Stage> = Vec::new();
        let mut start = operator;
        loop {
            let operand = self.line_operand()?;
            let span = self.span_from(start);
            let one = LineFilter { op, operands: vec![operand] };
            check::line_filter(&one, &mut self.regexes)
                .map_err(|problem| self.stage_error(span, problem))?;
            match filters.last_mut() {
                Some(Stage { kind: StageKind::LineFilter(filter), span: whole })
                    if !op.is_negated() =>
                {
                    filter.operands.extend(one.operands);
                    whole.end = span.end;
                }
                _ => filters.push(Stage { kind: StageKind::LineFilter(one), span }),
            }
            if !self.eat_word(Word::Or) {
                break;
            }
            start = self.span();
        }
        log.stages.append(&mut filters);
        Ok(())
    }

    fn line_operand(&mut self) -> Parsed<LineOperand> {
        if *self.peek() == TokenKind::Word(Word::Ip) {
            return Ok(LineOperand::Ip(self.ip_call()?));
        }
        Ok(LineOperand::Text(self.expect_string_or(&["STRING", "ip"])?))
    }

    /// `ip("10.0.0.0/8")`
    pub fn ip_call(&mut self) -> Parsed<String> {
        self.advance();
        self.require(Symbol::OpenParen)?;
        let pattern = self.expect_string()?;
        self.require(Symbol::CloseParen)?;
        Ok(pattern)
    }

    /// What stands behind a pipe.
    fn stage(&mut self) -> Parsed<StageKind> {
        let word = match self.peek() {
            TokenKind::Word(word) => *word,
            TokenKind::Identifier(_) | TokenKind::Symbol(Symbol::OpenParen) => {
                return Ok(StageKind::LabelFilter(self.label_filter()?));
            }
            _ => return Err(self.unexpected(&[])),
        };
        match word {
            Word::Json => {
                self.advance();
                Ok(StageKind::Json { fields: self.field_paths()? })
            }
            Word::Logfmt => {
                self.advance();
                self.logfmt()
            }
            Word::Regexp => {
                self.advance();
                Ok(StageKind::Regexp { pattern: self.expect_string()? })
            }
            Word::Pattern => {
                self.advance();
                Ok(StageKind::Pattern { pattern: self.expect_string()? })
            }
            Word::Unpack => {
                self.advance();
                Ok(StageKind::Unpack)
            }
            Word::Decolorize => {
                self.advance();
                Ok(StageKind::Decolorize)
            }
            Word::LineFormat => {
                self.advance();
                Ok(StageKind::LineFormat { template: self.expect_string()? })
            }
            Word::LabelFormat => {
                self.advance();
                Ok(StageKind::LabelFormat { assignments: self.list(Self::assignment)? })
            }
            Word::Drop => {
                self.advance();
                Ok(StageKind::Drop { targets: self.list(Self::label_target)? })
            }
            Word::Keep => {
                self.advance();
                Ok(StageKind::Keep { targets: self.list(Self::label_target)? })
            }
            _ => Err(self.unexpected(&[])),
        }
    }

    fn logfmt(&mut self) -> Parsed<StageKind> {
        let (mut strict, mut keep_empty) = (false, false);
        while let TokenKind::Flag(flag) = self.peek() {
            match flag {
                Flag::Strict => strict = true,
                Flag::KeepEmpty => keep_empty = true,
            }
            self.advance();
        }
        Ok(StageKind::Logfmt { strict, keep_empty, fields: self.field_paths()? })
    }

    /// `a="x.y", b`, or nothing.
    fn field_paths(&mut self) -> Parsed<Vec<FieldPath>> {
        if !matches!(self.peek(), TokenKind::Identifier(_)) {
            return Ok(Vec::new());
        }
        self.list(|parser| {
            let label = parser.expect_identifier()?;
            let path = if parser.eat(Symbol::Eq) { parser.expect_string()? } else { label.clone() };
            Ok(FieldPath { label, path })
        })
    }

    fn assignment(&mut self) -> Parsed<LabelAssignment> {
        let label = self.expect_identifier()?;
        self.require(Symbol::Eq)?;
        let value = match self.peek() {
            TokenKind::Identifier(source) => AssignedValue::Rename(source.clone()),
            TokenKind::String(template) => AssignedValue::Template(template.clone()),
            _ => return Err(self.unexpected(&["IDENTIFIER", "STRING"])),
        };
        self.advance();
        Ok(LabelAssignment { label, value })
    }

    fn label_target(&mut self) -> Parsed<LabelTarget> {
        let is_matcher = matches!(
            self.peek_at(1),
            TokenKind::Symbol(Symbol::Eq | Symbol::Neq | Symbol::Re | Symbol::Nre)
        );
        // `| drop a != "x"`: the operator belongs to the target, as in Loki's grammar.
        if is_matcher {
            return Ok(LabelTarget::Matcher(self.matcher(&["IDENTIFIER"])?));
        }
        Ok(LabelTarget::Name(self.expect_identifier()?))
    }

    /// `| unwrap x`, `| unwrap bytes(x)`, and the label filters behind it.
    pub fn unwrap_stage(&mut self) -> Parsed<Unwrap> {
        let start = self.span();
        self.require(Symbol::Pipe)?;
        self.advance();
        let conversion = match self.peek() {
            TokenKind::Word(Word::BytesConversion) => Some(Conversion::Bytes),
            TokenKind::Word(Word::DurationConversion) => Some(Conversion::Duration),
            TokenKind::Word(Word::DurationSecondsConversion) => Some(Conversion::DurationSeconds),
            _ => None,
        };
        let label = if conversion.is_some() {
            self.advance();
            self.require(Symbol::OpenParen)?;
            let label = self.expect_identifier()?;
            self.require(Symbol::CloseParen)?;
            label
        } else {
            self.expect_identifier_or(&[])?
        };
        let mut filters = Vec::new();
        while self.eat(Symbol::Pipe) {
            let filter_start = self.span();
            let filter = self.label_filter()?;
            check::label_filter(&filter)
                .map_err(|problem| self.stage_error(self.span_from(filter_start), problem))?;
            filters.push(filter);
        }
        Ok(Unwrap { label, conversion, filters, span: self.span_from(start) })
    }
}
