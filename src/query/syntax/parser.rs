//! The cursor over the tokens that all parts of the grammar share.

use crate::limits;
use crate::text::re2::Budget;

use super::ast::Span;
use super::error::{Fault, ParseError};
use super::lexer;
use super::token::{Symbol, Token, TokenKind, Word};

pub(super) type Parsed<T> = Result<T, ParseError>;

pub(super) struct Parser<'a> {
    query: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// What the regexes of the whole query may still come to.
    pub regexes: Budget,
}

impl<'a> Parser<'a> {
    pub fn new(query: &'a str) -> Parsed<Self> {
        if query.len() >= limits::QUERY_BYTES_MAX {
            let message =
                format!("input size too long ({} > {})", query.len(), limits::QUERY_BYTES_MAX);
            return Err(ParseError::new(query, Span::default(), message));
        }
        Ok(Parser {
            query,
            tokens: lexer::tokenize(query),
            at: 0,
            depth: 0,
            regexes: Budget::default(),
        })
    }

    /// The token at the cursor; the last one, `End` or a fault, is never passed.
    pub fn peek(&self) -> &TokenKind {
        self.peek_at(0)
    }

    pub fn peek_at(&self, ahead: usize) -> &TokenKind {
        self.tokens.get(self.at + ahead).or(self.tokens.last()).map_or(&TokenKind::End, |t| &t.kind)
    }

    pub fn span(&self) -> Span {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(Span::default(), |t| t.span)
    }

    /// From the start of `from` to the end of the last token taken.
    pub fn span_from(&self, from: Span) -> Span {
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        Span { start: from.start, end: last.map_or(from.end, |t| t.span.end.max(from.end)) }
    }

    pub fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    /// Takes the symbol if it is next.
    pub fn eat(&mut self, symbol: Symbol) -> bool {
        let found = *self.peek() == TokenKind::Symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub fn eat_word(&mut self, word: Word) -> bool {
        let found = *self.peek() == TokenKind::Word(word);
        if found {
            self.advance();
        }
        found
    }

    pub fn require(&mut self, symbol: Symbol) -> Parsed<()> {
        if self.eat(symbol) { Ok(()) } else { Err(self.unexpected(&[symbol.as_str()])) }
    }

    pub fn expect_string(&mut self) -> Parsed<String> {
        self.expect_string_or(&["STRING"])
    }

    pub fn expect_string_or(&mut self, expected: &[&str]) -> Parsed<String> {
        match self.peek() {
            TokenKind::String(text) => {
                let text = text.clone();
                self.advance();
                Ok(text)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    pub fn expect_identifier(&mut self) -> Parsed<String> {
        self.expect_identifier_or(&["IDENTIFIER"])
    }

    pub fn expect_identifier_or(&mut self, expected: &[&str]) -> Parsed<String> {
        match self.peek() {
            TokenKind::Identifier(name) => {
                let name = name.clone();
                self.advance();
                Ok(name)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    pub fn expect_end(&mut self) -> Parsed<()> {
        match self.peek() {
            TokenKind::End => Ok(()),
            _ => Err(self.unexpected(&[])),
        }
    }

    /// The message that Loki gives for the token at the cursor. Loki names what it expected
    /// only when that is at most four things; an empty list names nothing.
    pub fn unexpected(&self, expected: &[&str]) -> ParseError {
        let token = self.peek();
        if let TokenKind::Fault(message) = token {
            return self.error(self.span(), message.clone()).of(Fault::Grammar);
        }
        let mut message = format!("syntax error: unexpected {}", token.shown());
        for (index, name) in expected.iter().enumerate() {
            message.push_str(if index == 0 { ", expecting " } else { " or " });
            message.push_str(name);
        }
        self.error(self.span(), message).of(Fault::Grammar)
    }

    pub fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.query, span, message)
    }

    /// A fault of a stage, in Loki's words: with the stage as written.
    pub fn stage_error(&self, span: Span, problem: impl std::fmt::Display) -> ParseError {
        let written =
            self.query.get(span.start as usize..span.end as usize).unwrap_or_default().trim_end();
        self.error(span, format!("stage '{written}' : {problem}"))
    }

    /// Runs a part of the grammar one level deeper; too deep is an error, not a stack overflow.
    pub fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= limits::QUERY_DEPTH_MAX {
            return Err(self.too_deep(self.span()));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    pub fn too_deep(&self, span: Span) -> ParseError {
        self.error(
            span,
            format!(
                "query is nested too deeply: more than {} levels of parentheses or operators",
                limits::QUERY_DEPTH_MAX
            ),
        )
    }

    /// `a, b, c` with at least one item.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(Symbol::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `(a, b)`; may be empty.
    pub fn label_list(&mut self) -> Parsed<Vec<String>> {
        self.require(Symbol::OpenParen)?;
        if self.eat(Symbol::CloseParen) {
            return Ok(Vec::new());
        }
        let mut first = true;
        let labels = self.list(|parser| {
            let expected: &[&str] = if first { &["IDENTIFIER", ")"] } else { &["IDENTIFIER"] };
            first = false;
            parser.expect_identifier_or(expected)
        })?;
        if !self.eat(Symbol::CloseParen) {
            return Err(self.unexpected(&[")", ","]));
        }
        Ok(labels)
    }
}
