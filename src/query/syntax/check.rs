//! What the grammar lets through and Loki still refuses, stage by stage.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::text::pattern::Pattern;
use crate::text::re2::{self, Budget};
use crate::text::template::{Functions, Template};

use super::ast::{AssignedValue, FieldPath, LabelAssignment, LabelFilter, LineFilter};
use super::ast::{LineOp, LineOperand, StageKind};
use super::path;

const ERROR_LABEL: &str = "__error__";

/// Loki quotes the stage in most of its messages, and not in those of two parsers.
pub(super) enum Problem {
    InStage(String),
    Plain(String),
}

pub(super) fn stage(kind: &StageKind, regexes: &mut Budget) -> Result<(), Problem> {
    match kind {
        StageKind::Regexp { pattern } => regexp(pattern, regexes)
            .map_err(|problem| Problem::Plain(format!("invalid regexp parser: {problem}"))),
        StageKind::Pattern { pattern } => Pattern::parse_extractor(pattern)
            .map(|_| ())
            .map_err(|problem| Problem::Plain(format!("invalid pattern parser: {problem}"))),
        StageKind::LineFilter(filter) => line_filter(filter, regexes).map_err(Problem::InStage),
        StageKind::Json { fields } => paths(fields, |path| path::json_path(path).map(|_| ())),
        StageKind::Logfmt { fields, .. } => {
            paths(fields, |path| path::logfmt_key(path).map(|_| ()))
        }
        StageKind::LabelFilter(filter) => label_filter(filter).map_err(Problem::InStage),
        StageKind::LineFormat { template } => {
            Template::parse_within(template, Functions::LogQl, regexes).map(|_| ()).map_err(
                |problem| {
                    let problem = problem.unreadable("line", template);
                    Problem::InStage(format!("invalid line template: {problem}"))
                },
            )
        }
        StageKind::LabelFormat { assignments } => {
            label_format(assignments, regexes).map_err(Problem::InStage)
        }
        StageKind::Unpack
        | StageKind::Decolorize
        | StageKind::Drop { .. }
        | StageKind::Keep { .. } => Ok(()),
    }
}

fn regexp(pattern: &str, regexes: &mut Budget) -> Result<(), String> {
    regexes.take(pattern)?;
    let regex = re2::compile(pattern)?;
    if regex.capture_names().flatten().next().is_none() {
        return Err("at least one named capture must be supplied".to_owned());
    }
    Ok(())
}

fn paths(fields: &[FieldPath], parse: impl Fn(&str) -> Result<(), String>) -> Result<(), Problem> {
    for FieldPath { path, .. } in fields {
        parse(path).map_err(|problem| {
            Problem::InStage(format!("cannot parse expression [{path}]: {problem}"))
        })?;
    }
    Ok(())
}

pub(super) fn line_filter(filter: &LineFilter, regexes: &mut Budget) -> Result<(), String> {
    for operand in &filter.operands {
        match (filter.op, operand) {
            (LineOp::Contains | LineOp::NotContains, LineOperand::Ip(pattern)) => {
                ip_pattern(pattern)?;
            }
            (_, LineOperand::Ip(_)) => return Err("ip: invalid operation".to_owned()),
            (LineOp::Contains | LineOp::NotContains, LineOperand::Text(_)) => {}
            (LineOp::Match | LineOp::NotMatch, LineOperand::Text(text)) => {
                regexes.take(text)?;
                re2::compile(text)?;
            }
            (LineOp::Pattern | LineOp::NotPattern, LineOperand::Text(text)) => {
                Pattern::parse_filter(text)?;
            }
        }
    }
    Ok(())
}

/// The depth is bounded by the parser.
pub(super) fn label_filter(filter: &LabelFilter) -> Result<(), String> {
    match filter {
        LabelFilter::Ip { pattern, .. } => ip_pattern(pattern),
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            label_filter(left)?;
            label_filter(right)
        }
        LabelFilter::Text(_)
        | LabelFilter::Number { .. }
        | LabelFilter::Duration { .. }
        | LabelFilter::Bytes { .. } => Ok(()),
    }
}

fn label_format(assignments: &[LabelAssignment], regexes: &mut Budget) -> Result<(), String> {
    let mut seen = HashSet::new();
    for LabelAssignment { label, value } in assignments {
        if label == ERROR_LABEL {
            return Err(format!("{ERROR_LABEL} cannot be formatted"));
        }
        if !seen.insert(label) {
            return Err(format!(
                "multiple label name '{label}' not allowed in a single format operation"
            ));
        }
        if let AssignedValue::Template(template) = value {
            Template::parse_within(template, Functions::LogQl, regexes).map_err(|problem| {
                let problem = problem.unreadable("label", template);
                format!("invalid template for label '{label}': {problem}")
            })?;
        }
    }
    Ok(())
}

/// One address, a network (`10.0.0.0/8`) or a range (`10.0.0.1-10.0.0.9`).
fn ip_pattern(pattern: &str) -> Result<(), String> {
    let is_range = || {
        let (first, last) = pattern.split_once('-')?;
        let first: IpAddr = first.trim().parse().ok()?;
        let last: IpAddr = last.trim().parse().ok()?;
        Some(first.is_ipv4() == last.is_ipv4() && first <= last)
    };
    let valid = pattern.parse::<IpAddr>().is_ok()
        || pattern.parse::<ipnet::IpNet>().is_ok()
        || is_range() == Some(true);
    if valid { Ok(()) } else { Err(format!("ip: invalid pattern: {pattern:?}")) }
}
