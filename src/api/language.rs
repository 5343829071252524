//! Queries and selectors out of requests. Parsing compiles regexes, which takes a hostile query a
//! second: meanwhile the other requests of the thread go on elsewhere.

use tokio::runtime::{Handle, RuntimeFlavor};

use super::error::ApiError;
use crate::limits;
use crate::model::{MatchOp, Matcher};
use crate::query::syntax::{self, Expr, LogExpr, ParseError};
use crate::text::re2::Budget;

/// Texts up to this length without a regex are parsed in no time.
const SHORT_BYTES: usize = 4096;

/// Does work that may take long where it holds up nobody.
pub fn aside<T>(work: impl FnOnce() -> T) -> T {
    let has_others =
        Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
    if has_others { tokio::task::block_in_place(work) } else { work() }
}

fn parse<T>(
    text: &str,
    parser: impl FnOnce(&str) -> Result<T, ParseError>,
) -> Result<T, ParseError> {
    let is_quick = text.len() <= SHORT_BYTES && !text.contains('~') && !text.contains("regexp");
    if is_quick { parser(text) } else { aside(|| parser(text)) }
}

pub fn query(text: &str) -> Result<Expr, ParseError> {
    parse(text, syntax::parse)
}

pub fn log(text: &str) -> Result<LogExpr, ParseError> {
    parse(text, syntax::parse_log)
}

pub fn selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    parse(text, syntax::parse_selector)
}

pub fn selector_or_all(text: &str) -> Result<Vec<Matcher>, ParseError> {
    parse(text, syntax::parse_selector_or_all)
}

/// Selectors of one request. Their regexes together may cost what those of one query may.
pub fn selectors<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let mut found = Vec::new();
    let mut regexes = Budget::default();
    for text in texts {
        if found.len() == limits::SELECTORS_MAX {
            let message = format!("more than {} selectors; ask in parts", limits::SELECTORS_MAX);
            return Err(ApiError::bad_request(message));
        }
        let matchers = selector_or_all(text)?;
        for matcher in &matchers {
            if matches!(matcher.op, MatchOp::Re | MatchOp::Nre) {
                regexes.take(&matcher.value).map_err(ApiError::bad_request)?;
            }
        }
        found.push(matchers);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_share_what_regexes_may_cost() {
        let told = |texts: &[String]| selectors(texts.iter().map(String::as_str)).map(|s| s.len());
        let plain = vec![r#"{a="b"}"#.to_owned(); limits::SELECTORS_MAX];
        assert_eq!(told(&plain), Ok(limits::SELECTORS_MAX));
        let more = [plain, vec!["{}".to_owned()]].concat();
        assert!(told(&more).unwrap_err().message.contains("selectors; ask in parts"));
        let heavy = r"{a=~`\pL{50}`}".to_owned();
        assert_eq!(told(std::slice::from_ref(&heavy)), Ok(1));
        let told = told(&vec![heavy; limits::SELECTORS_MAX]).unwrap_err().message;
        assert_eq!(told, "error parsing regexp: expression too large");
    }
}
