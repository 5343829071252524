//! Small values that several sources take: durations, starts, multi-line rules.

use std::time::Duration;

use crate::config::sources::RawMultiline;
use crate::config::{Diagnostic, Spanned};
use crate::limits::LINE_BYTES_MAX;
use crate::text::multiline::{self, MultilineRule};
use crate::text::{re2, units};

/// Lines of one record, unless set.
const MULTILINE_LINES: usize = 1_000;
/// Wait for the next line of a record, unless set.
const MULTILINE_WAIT: Duration = Duration::from_secs(3);

/// `7h`, `1d12h`, `1.5s`.
pub(super) fn duration(file: &str, raw: &Spanned<String>) -> Result<Duration, Diagnostic> {
    parse_duration(&raw.value).ok_or_else(|| {
        let message = format!("{:?} is not a duration; write it like 90s, 12h or 7d", raw.value);
        Diagnostic::at(file, raw, message)
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    let ns = units::parse_prometheus_duration(text).or_else(|| units::parse_go_duration(text))?;
    u64::try_from(ns).ok().map(Duration::from_nanos)
}

/// How much of something seen for the first time is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Beginning,
    End,
    /// This many last lines.
    Tail(u64),
    /// What was written within this time.
    Within(Duration),
}

/// `beginning` or `all`, `end`, `tail N`, or a duration.
pub(super) fn start(file: &str, raw: &Spanned<String>) -> Result<Start, Diagnostic> {
    let text = raw.value.trim();
    let tail = || text.strip_prefix("tail")?.trim().parse().ok().map(Start::Tail);
    match text {
        "beginning" | "all" => Ok(Start::Beginning),
        "end" => Ok(Start::End),
        _ => tail().or_else(|| parse_duration(text).map(Start::Within)).ok_or_else(|| {
            let message = format!(
                "start {text:?} is not known; use beginning, end, \"tail N\" or a duration like 24h"
            );
            Diagnostic::at(file, raw, message)
        }),
    }
}

/// A multi-line rule; `none` is no rule.
pub(super) fn multiline_rule(
    file: &str,
    raw: &Spanned<RawMultiline>,
) -> Result<Option<MultilineRule>, Diagnostic> {
    let fault = |message: String| Diagnostic::at(file, raw, message);
    match &raw.value {
        RawMultiline::Preset(name) if name == "none" => Ok(None),
        RawMultiline::Preset(name) => multiline_preset(name).map(Some).map_err(fault),
        RawMultiline::Rule(rule) => {
            let pattern = match (&rule.firstline, &rule.preset) {
                (Some(pattern), None) => pattern.as_str(),
                (None, Some(name)) => preset_pattern(name).map_err(fault)?,
                _ => return Err(fault("multiline needs either firstline or preset".to_owned())),
            };
            let mut compiled = compile(pattern).map_err(fault)?;
            if let Some(lines) = rule.max_lines {
                compiled.lines_max = lines.max(1);
            }
            if let Some(wait) = &rule.max_wait_time {
                compiled.wait_max = parse_duration(wait)
                    .ok_or_else(|| fault(format!("max_wait_time {wait:?} is not a duration")))?;
            }
            Ok(Some(compiled))
        }
    }
}

/// The rule of a preset, as container labels name it.
pub(super) fn multiline_preset(name: &str) -> Result<MultilineRule, String> {
    compile(preset_pattern(name)?)
}

fn preset_pattern(name: &str) -> Result<&'static str, String> {
    multiline::preset(name).ok_or_else(|| {
        let known = multiline::PRESETS.join(", ");
        format!("unknown multiline preset {name:?}; known: none, {known}")
    })
}

fn compile(pattern: &str) -> Result<MultilineRule, String> {
    Ok(MultilineRule {
        firstline: re2::compile(pattern).map_err(|error| format!("firstline: {error}"))?,
        lines_max: MULTILINE_LINES,
        bytes_max: LINE_BYTES_MAX,
        wait_max: MULTILINE_WAIT,
    })
}
