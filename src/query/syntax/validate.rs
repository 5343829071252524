//! What a whole query must fulfil, besides being well-formed.

use super::ast::{Expr, LogExpr};
use super::error::ParseError;

const NO_MATCHER: &str = "queries require at least one regexp or equality matcher that does not \
    have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, \
    but app=~\".+\" will";

/// Every selector must hold a matcher that keeps streams out: `{}` would read everything.
pub(super) fn query(text: &str, expr: &Expr) -> Result<(), ParseError> {
    expr.log_exprs().into_iter().try_for_each(|log| selector(text, log))
}

fn selector(text: &str, log: &LogExpr) -> Result<(), ParseError> {
    if log.matchers.iter().all(|matcher| matcher.matches_empty()) {
        return Err(ParseError::new(text, log.span, NO_MATCHER));
    }
    Ok(())
}
