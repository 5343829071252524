//! Label filters: `status >= 400 and (method="POST" or size > 1MB)`.
//!
//! `and` binds tighter than `or`, but a comma, or nothing at all, takes everything to its right:
//! `a, b or c` is `a and (b or c)`. Dashboards rely on Loki's grammar here.

use crate::limits;
use crate::model::MatchOp;
use crate::text::{convert, units};

use super::ast::{CompareOp, LabelFilter};
use super::parser::{Parsed, Parser};
use super::token::{Symbol, TokenKind, Word};

/// What an operator to the left lets a filter on its right take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Any,
    /// Right of `or`.
    TighterThanOr,
    /// Right of `and`.
    TighterThanAnd,
}

/// A filter and how deep its tree is.
struct Built {
    filter: LabelFilter,
    height: usize,
}

impl Parser<'_> {
    pub fn label_filter(&mut self) -> Parsed<LabelFilter> {
        Ok(self.filter_chain(Binding::Any)?.filter)
    }

    fn filter_chain(&mut self, binding: Binding) -> Parsed<Built> {
        self.nested(|parser| {
            let mut left = parser.filter_operand()?;
            loop {
                let span = parser.span();
                let (is_or, right_binding) = match parser.peek() {
                    TokenKind::Symbol(Symbol::Comma) => (false, Binding::Any),
                    TokenKind::Identifier(_) | TokenKind::Symbol(Symbol::OpenParen) => {
                        let right = parser.filter_chain(Binding::Any)?;
                        left = join(left, right, false);
                        continue;
                    }
                    TokenKind::Word(Word::And) if binding < Binding::TighterThanAnd => {
                        (false, Binding::TighterThanAnd)
                    }
                    TokenKind::Word(Word::Or) if binding < Binding::TighterThanOr => {
                        (true, Binding::TighterThanOr)
                    }
                    _ => return Ok(left),
                };
                parser.advance();
                let right = parser.filter_chain(right_binding)?;
                left = join(left, right, is_or);
                if left.height > limits::QUERY_DEPTH_MAX {
                    return Err(parser.too_deep(span));
                }
            }
        })
    }

    fn filter_operand(&mut self) -> Parsed<Built> {
        if self.eat(Symbol::OpenParen) {
            let inner = self.filter_chain(Binding::Any)?;
            self.expect_in_filter(Symbol::CloseParen)?;
            return Ok(inner);
        }
        let name = self.expect_identifier_or(&["IDENTIFIER", "("])?;
        let filter = self.comparison(name)?;
        Ok(Built { filter, height: 1 })
    }

    fn expect_in_filter(&mut self, symbol: Symbol) -> Parsed<()> {
        if self.eat(symbol) { Ok(()) } else { Err(self.unexpected(&[])) }
    }

    fn comparison(&mut self, name: String) -> Parsed<LabelFilter> {
        let TokenKind::Symbol(symbol) = *self.peek() else { return Err(self.unexpected(&[])) };
        let (text_op, compare_op) = match symbol {
            Symbol::Eq => (Some(MatchOp::Eq), Some(CompareOp::Eq)),
            Symbol::Neq => (Some(MatchOp::Neq), Some(CompareOp::Neq)),
            Symbol::Re => (Some(MatchOp::Re), None),
            Symbol::Nre => (Some(MatchOp::Nre), None),
            Symbol::CmpEq => (None, Some(CompareOp::Eq)),
            Symbol::Gt => (None, Some(CompareOp::Gt)),
            Symbol::Gte => (None, Some(CompareOp::Gte)),
            Symbol::Lt => (None, Some(CompareOp::Lt)),
            Symbol::Lte => (None, Some(CompareOp::Lte)),
            _ => return Err(self.unexpected(&[])),
        };
        self.advance();
        match (text_op, compare_op) {
            (Some(op), None) => Ok(LabelFilter::Text(self.matcher_value(name, op)?)),
            (Some(op), Some(_)) if matches!(self.peek(), TokenKind::String(_)) => {
                Ok(LabelFilter::Text(self.matcher_value(name, op)?))
            }
            (Some(op), Some(_)) if *self.peek() == TokenKind::Word(Word::Ip) => {
                Ok(LabelFilter::Ip { name, op, pattern: self.ip_call()? })
            }
            (_, Some(op)) => self.quantity(name, op),
            (None, None) => Err(self.unexpected(&[])),
        }
    }

    /// A number, duration or size.
    fn quantity(&mut self, name: String, op: CompareOp) -> Parsed<LabelFilter> {
        match *self.peek() {
            TokenKind::DurationNs(ns) => {
                self.advance();
                Ok(LabelFilter::Duration { name, op, ns, literal: units::format_go_duration(ns) })
            }
            TokenKind::Bytes(bytes) => {
                self.advance();
                Ok(LabelFilter::Bytes { name, op, bytes, literal: bytes_literal(bytes) })
            }
            _ => {
                let value = self.signed_number()?;
                Ok(LabelFilter::Number { name, op, value })
            }
        }
    }

    /// `5`, `+5`, `-5`.
    pub fn signed_number(&mut self) -> Parsed<f64> {
        let negative = match self.peek() {
            TokenKind::Symbol(Symbol::Sub) => Some(true),
            TokenKind::Symbol(Symbol::Add) => Some(false),
            _ => None,
        };
        if negative.is_some() {
            self.advance();
        }
        let expected: &[&str] = if negative.is_some() { &["NUMBER"] } else { &[] };
        let value = self.number(expected)?;
        Ok(if negative == Some(true) { -value } else { value })
    }

    pub fn number(&mut self, expected: &[&str]) -> Parsed<f64> {
        let TokenKind::Number(text) = self.peek() else { return Err(self.unexpected(expected)) };
        match convert::number(text) {
            Ok(value) => {
                self.advance();
                Ok(value)
            }
            Err(problem) => {
                let message = format!("unable to parse literal as a float: {problem}");
                Err(self.error(self.span(), message))
            }
        }
    }
}

fn join(left: Built, right: Built, is_or: bool) -> Built {
    let height = left.height.max(right.height) + 1;
    let (left, right) = (Box::new(left.filter), Box::new(right.filter));
    let filter = if is_or { LabelFilter::Or(left, right) } else { LabelFilter::And(left, right) };
    Built { filter, height }
}

/// Loki's form (`1.5kB`) where it says the same number and can be read again, else plain bytes.
pub(super) fn bytes_literal(bytes: u64) -> String {
    if bytes == 0 {
        // `0B` would be the beginning of a binary number.
        return "0kB".to_owned();
    }
    let short = units::format_bytes(bytes).replace(' ', "");
    let same = units::parse_bytes(&short) == Some(bytes);
    if same && !short.ends_with("EB") { short } else { format!("{bytes}B") }
}
