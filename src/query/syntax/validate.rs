//! What a whole query must fulfil, besides being well-formed.

use super::ast::{Expr, LogExpr, Span};
use super::error::{Fault, ParseError};
use super::weight;
use crate::limits;

const NO_MATCHER: &str = "queries require at least one regexp or equality matcher that does not \
    have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, \
    but app=~\".+\" will";

/// Every selector must hold a matcher that keeps streams out: `{}` would read everything. And the
/// query must not be too heavy to be run.
pub(super) fn query(text: &str, expr: &Expr) -> Result<(), ParseError> {
    expr.log_exprs().into_iter().try_for_each(|log| selector(text, log))?;
    let (weight, weight_max) = (weight::of(expr), limits::QUERY_WEIGHT_MAX);
    if weight > weight_max {
        let whole = Span { start: 0, end: text.len() as u32 };
        let told = format!(
            "the query has {weight} stages, captures and names; at most {weight_max} are run"
        );
        return Err(ParseError::new(text, whole, told).of(Fault::Kind));
    }
    Ok(())
}

fn selector(text: &str, log: &LogExpr) -> Result<(), ParseError> {
    if log.matchers.iter().all(|matcher| matcher.matches_empty()) {
        return Err(ParseError::new(text, log.span, NO_MATCHER));
    }
    Ok(())
}
