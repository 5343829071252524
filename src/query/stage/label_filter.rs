//! `| status >= 500 and level = "error"`: keeps or drops a line by its labels.

use crate::model::{MatchOp, Matcher};
use crate::query::syntax::ast::{CompareOp, LabelFilter as Syntax};
use crate::text::{convert, re2, units};

use super::compile::Pinned;
use super::errors;
use super::ip::IpFilter;
use super::names::NameId;
use super::row::{ERROR, Row};

/// A compiled label filter.
#[derive(Debug, Clone)]
pub enum LabelFilter {
    Text { name: NameId, is_error: bool, matcher: Matcher },
    Value { name: NameId, test: ValueTest },
    Ip { name: NameId, negated: bool, filter: IpFilter },
    And(Box<LabelFilter>, Box<LabelFilter>),
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// A comparison of a label's value as a number of some kind.
#[derive(Debug, Clone)]
pub enum ValueTest {
    Number(CompareOp, f64),
    Duration(CompareOp, i64),
    Bytes(CompareOp, u64),
}

impl ValueTest {
    /// Loki hands queries on as text, in which sizes have two digits at most and powers of 1000:
    /// it compares with 1.5kB where `1.5KiB` is written.
    pub(in crate::query) fn bytes(op: CompareOp, bytes: u64) -> Self {
        let shown = units::format_bytes(bytes);
        ValueTest::Bytes(op, units::parse_bytes(&shown).unwrap_or(bytes))
    }

    pub(in crate::query) fn test(&self, text: &str) -> Result<bool, String> {
        Ok(match self {
            ValueTest::Number(op, want) => compare(*op, &convert::number(text)?, want),
            ValueTest::Duration(op, want) => compare(*op, &convert::duration_ns(text)?, want),
            ValueTest::Bytes(op, want) => compare(*op, &convert::bytes(text)?, want),
        })
    }
}

fn compare<T: PartialOrd>(op: CompareOp, left: &T, right: &T) -> bool {
    match op {
        CompareOp::Eq => left == right,
        CompareOp::Neq => left != right,
        CompareOp::Gt => left > right,
        CompareOp::Gte => left >= right,
        CompareOp::Lt => left < right,
        CompareOp::Lte => left <= right,
    }
}

/// What a filter of text tests. An empty regex finds something in every value, as a variable of a
/// dashboard that is left empty must; with any other the whole value has to match.
pub(in crate::query) fn text_matcher(written: &Matcher) -> Matcher {
    if !written.value.is_empty() || !matches!(written.op, MatchOp::Re | MatchOp::Nre) {
        return written.clone();
    }
    match re2::compile("") {
        Ok(anything) => Matcher::regex(&*written.name, written.op, "", anything),
        Err(_) => written.clone(),
    }
}

impl LabelFilter {
    pub(in crate::query) fn compile(syntax: &Syntax, pinned: &mut Pinned) -> Result<Self, String> {
        let mut value = |name: &str, test| LabelFilter::Value { name: pinned.id(name), test };
        Ok(match syntax {
            Syntax::Text(matcher) => LabelFilter::Text {
                name: pinned.id(&matcher.name),
                is_error: matcher.name == ERROR,
                matcher: text_matcher(matcher),
            },
            Syntax::Number { name, op, value: want } => value(name, ValueTest::Number(*op, *want)),
            Syntax::Duration { name, op, ns, .. } => value(name, ValueTest::Duration(*op, *ns)),
            Syntax::Bytes { name, op, bytes, .. } => value(name, ValueTest::bytes(*op, *bytes)),
            Syntax::Ip { name, op, pattern } => LabelFilter::Ip {
                name: pinned.id(name),
                negated: *op == MatchOp::Neq,
                filter: IpFilter::parse(pattern)?,
            },
            Syntax::And(left, right) => LabelFilter::And(
                Box::new(LabelFilter::compile(left, pinned)?),
                Box::new(LabelFilter::compile(right, pinned)?),
            ),
            Syntax::Or(left, right) => LabelFilter::Or(
                Box::new(LabelFilter::compile(left, pinned)?),
                Box::new(LabelFilter::compile(right, pinned)?),
            ),
        })
    }

    /// Whether the line stays. A value that cannot be converted lets the line pass with an
    /// error, so that it is not lost unnoticed.
    pub(in crate::query) fn keeps(&self, row: &mut Row<'_>) -> bool {
        match self {
            LabelFilter::Text { is_error: true, matcher, .. } => {
                matcher.matches(row.error().unwrap_or_default())
            }
            LabelFilter::Text { name, matcher, .. } => {
                matcher.matches(row.value(*name).unwrap_or_default())
            }
            LabelFilter::Value { name, test } => {
                let Some(value) = row.value(*name) else { return false };
                match test.test(value) {
                    Ok(kept) => kept,
                    Err(details) => {
                        if row.error().is_none() {
                            row.set_error(errors::LABEL_FILTER, &details);
                        }
                        true
                    }
                }
            }
            LabelFilter::Ip { name, negated, filter } => {
                // Only string filters can act on lines with an error.
                row.error().is_some()
                    || row.value(*name).is_some_and(|value| filter.matches(value) != *negated)
            }
            LabelFilter::And(left, right) => {
                let left = left.keeps(row);
                right.keeps(row) && left
            }
            LabelFilter::Or(left, right) => left.keeps(row) || right.keeps(row),
        }
    }

    /// Whether this value of the label is sure to fail, whatever else the line holds.
    pub(super) fn refuses(&self, value: &str) -> bool {
        match self {
            LabelFilter::Text { is_error: true, .. } | LabelFilter::Ip { .. } => false,
            LabelFilter::Text { matcher, .. } => !matcher.matches(value),
            LabelFilter::Value { test, .. } => test.test(value) == Ok(false),
            LabelFilter::And(left, right) => left.refuses(value) || right.refuses(value),
            LabelFilter::Or(left, right) => left.refuses(value) && right.refuses(value),
        }
    }

    /// The one label this filter is about, if it is about one alone.
    pub(super) fn only_name(&self) -> Option<NameId> {
        match self {
            LabelFilter::Text { is_error: true, .. } => None,
            LabelFilter::Text { name, .. }
            | LabelFilter::Value { name, .. }
            | LabelFilter::Ip { name, .. } => Some(*name),
            LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
                left.only_name().filter(|name| right.only_name() == Some(*name))
            }
        }
    }

    /// The filters that all must hold.
    pub(super) fn conjuncts(&self) -> Vec<&LabelFilter> {
        match self {
            LabelFilter::And(left, right) => {
                let mut all = left.conjuncts();
                all.extend(right.conjuncts());
                all
            }
            other => vec![other],
        }
    }
}
