//! LogQL text to tree and back. Pure: knows nothing of stores or time.

pub mod ast;
pub mod path;

mod check;
mod error;
mod lexer;
mod names;
mod parse_filter;
mod parse_log;
mod parse_metric;
mod parser;
mod pretty;
mod print;
mod token;
mod validate;
mod walk;
mod weight;

#[cfg(test)]
mod tests;

use crate::model::Matcher;

pub use ast::{Expr, LogExpr};
pub use error::{Fault, ParseError};
pub use pretty::pretty;

use ast::Span;
use parser::Parser;

/// Parses and validates a query.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    let expr = parse_unvalidated(query)?;
    validate::query(query, &expr)?;
    Ok(expr)
}

/// Parses a log query; a metric query is an error.
pub fn parse_log(query: &str) -> Result<LogExpr, ParseError> {
    match parse(query)? {
        Expr::Log(log) => Ok(log),
        Expr::Metric(metric) => {
            let error = ParseError::new(query, metric.span, "only log selector is supported");
            Err(error.of(Fault::Kind))
        }
    }
}

/// Parses a selector `{a="b"}`; a pipeline behind it is an error.
pub fn parse_selector(query: &str) -> Result<Vec<Matcher>, ParseError> {
    selector_of(query, parse(query)?)
}

/// Like `parse_selector`, but `{}` stands for all streams.
pub fn parse_selector_or_all(query: &str) -> Result<Vec<Matcher>, ParseError> {
    let matchers = selector_of(query, parse_unvalidated(query)?)?;
    if matchers.is_empty() { Ok(matchers) } else { parse_selector(query) }
}

fn parse_unvalidated(query: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(query)?;
    let expr = parser.expr()?;
    parser.expect_end()?;
    Ok(expr)
}

fn selector_of(query: &str, expr: Expr) -> Result<Vec<Matcher>, ParseError> {
    match expr {
        Expr::Log(log) if log.stages.is_empty() => Ok(log.matchers),
        _ => {
            let whole = Span { start: 0, end: query.len() as u32 };
            let error = ParseError::new(query, whole, "only label matchers are supported");
            Err(error.of(Fault::Kind))
        }
    }
}
