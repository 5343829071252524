//! LogQL scripts: `load` lines, then queries with the answers they must give.
//!
//! ```text
//! load {app="api"}                  lines of a stream follow, indented: time and text
//!   10s first line
//!   20s [trace=ab,user=x] second    structured metadata in brackets
//!   30s "tab\there"                 a Go string when the text is in double quotes
//! log {app="api"} |= "first"        newest first; `log forward`, `log limit 2` likewise
//!   10s {app="api"} first line      all labels merged, then the line
//! instant 60s count_over_time({app="api"}[1m])
//!   {app="api"} 3
//! range 0s 60s 30s rate({app="api"}[30s])
//!   {app="api"} 30s=0.1 60s=0
//! fail {app="api"} | json a=        the message must hold the text below
//!   parse error
//! clear
//! ```
//!
//! Blank lines and lines that start with `#` are skipped.

use std::sync::Arc;

use crate::model::{Entry, Labels, TENANT_DEFAULT, Timestamp, unquote};
use crate::query::syntax::{self, ast::Expr};
use crate::query::{
    Categorize, Direction, Engine, InstantQuery, QueryContext, QueryData, QueryError, QueryLimits,
    RangeQuery, group_streams,
};
use crate::store::read::{Cancel, MemoryLogs};
use crate::text::units;

/// A command with the indented lines below it.
struct Block<'a> {
    line: usize,
    head: &'a str,
    body: Vec<&'a str>,
}

/// Runs a script; gives one message for each answer that is not the expected one.
pub fn run(name: &str, text: &str) -> Vec<String> {
    let mut logs = MemoryLogs::default();
    let mut failures = Vec::new();
    for block in blocks(text) {
        let result = match block.head.split_once(' ').unwrap_or((block.head, "")) {
            ("load", labels) => load(&mut logs, labels, &block.body),
            ("clear", _) => {
                logs = MemoryLogs::default();
                Ok(())
            }
            (command, rest) => check(&logs, command, rest, &block.body),
        };
        if let Err(message) = result {
            failures.push(format!("{name}:{}: {}\n{message}", block.line, block.head));
        }
    }
    failures
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_prefix("  ") {
            Some(body) => blocks.last_mut().expect("a command before its lines").body.push(body),
            None => blocks.push(Block { line: at + 1, head: line, body: Vec::new() }),
        }
    }
    blocks
}

fn time(text: &str) -> Result<Timestamp, String> {
    let ns = units::parse_go_duration(text).ok_or_else(|| format!("{text:?} is no time"))?;
    Ok(Timestamp(ns))
}

fn load(logs: &mut MemoryLogs, labels: &str, lines: &[&str]) -> Result<(), String> {
    let labels = Labels::parse(labels).map_err(|error| error.to_string())?;
    for line in lines {
        let (ts, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (metadata, text) = match rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((metadata, text)) if metadata.contains('=') => (metadata, text),
            _ => ("", rest),
        };
        let text = match text.strip_prefix('"').and_then(unquote) {
            Some((unquoted, used)) if used + 1 == text.len() => unquoted,
            _ => text.to_owned(),
        };
        let mut entry = Entry::new(time(ts)?, text);
        for pair in metadata.split(',').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("metadata is name=value")?;
            entry.metadata.push((name.into(), value.into()));
        }
        logs.add(TENANT_DEFAULT, &labels, entry);
    }
    Ok(())
}

fn check(logs: &MemoryLogs, command: &str, rest: &str, expect: &[&str]) -> Result<(), String> {
    let context = QueryContext {
        tenant: TENANT_DEFAULT.to_owned(),
        cancel: Cancel::default(),
        limits: QueryLimits::default(),
    };
    let engine = Engine::new(Arc::new(logs.clone()));
    let answer = answer(&engine, &context, command, rest)?;
    if command == "fail" {
        let expect = expect.join("\n");
        return match answer {
            Err(error) if error.to_string().contains(&expect) => Ok(()),
            Err(error) => Err(format!("  fails with: {error}")),
            Ok(found) => Err(format!("  gives:\n{}", indented(&found))),
        };
    }
    let found = answer.map_err(|error| format!("  fails with: {error}"))?;
    if found == expect {
        return Ok(());
    }
    let expect: Vec<String> = expect.iter().map(|line| (*line).to_owned()).collect();
    Err(format!("  gives:\n{}  instead of:\n{}", indented(&found), indented(&expect)))
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("    {line}\n")).collect()
}

type Answer = Result<Vec<String>, QueryError>;

fn answer(
    engine: &Engine,
    context: &QueryContext,
    command: &str,
    rest: &str,
) -> Result<Answer, String> {
    let mut words = rest;
    let mut word = || {
        let (word, after) = words.split_once(' ').unwrap_or((words, ""));
        words = after;
        word
    };
    Ok(match command {
        "instant" => {
            let at = time(word())?;
            parse(words).and_then(|expr| {
                let limit = 100;
                let query = InstantQuery { expr, at, limit, direction: Direction::Backward };
                engine.instant(&query, context).map(|result| show(result.data))
            })
        }
        "range" => {
            let (start, end) = (time(word())?, time(word())?);
            let step_ns = time(word())?.0;
            parse(words).and_then(|expr| {
                let query = RangeQuery {
                    expr,
                    start,
                    end,
                    step_ns,
                    interval_ns: 0,
                    limit: 100,
                    direction: Direction::Backward,
                };
                engine.range(&query, context).map(|result| show(result.data))
            })
        }
        "log" | "fail" => {
            let mut query = rest;
            let mut direction = Direction::Backward;
            let mut limit = 100;
            if let Some(after) = query.strip_prefix("forward ") {
                direction = Direction::Forward;
                query = after;
            }
            if let Some((number, after)) =
                query.strip_prefix("limit ").and_then(|rest| rest.split_once(' '))
            {
                limit = number.parse().map_err(|_| "limit is a number")?;
                query = after;
            }
            parse(query).and_then(|expr| {
                let is_metric = matches!(expr, Expr::Metric(_));
                let query = RangeQuery {
                    expr,
                    start: Timestamp(0),
                    end: Timestamp(if is_metric { 120_000_000_000 } else { 3_600_000_000_000 }),
                    step_ns: 60_000_000_000,
                    interval_ns: 0,
                    limit,
                    direction,
                };
                engine.range(&query, context).map(|result| show(result.data))
            })
        }
        other => return Err(format!("unknown command {other:?}")),
    })
}

fn parse(query: &str) -> Result<Expr, QueryError> {
    Ok(syntax::parse(query)?)
}

fn secs(ts: Timestamp) -> String {
    let secs = ts.as_secs_f64();
    format!("{secs}s")
}

fn show_labels(labels: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={}", crate::model::quote(value)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

fn show(data: QueryData) -> Vec<String> {
    match data {
        QueryData::Streams(rows) => rows
            .iter()
            .map(|row| {
                let groups = group_streams(std::slice::from_ref(row), Categorize::No);
                let labels = show_labels(&groups[0].labels);
                let line = if row.line.contains(['\n', '\t']) {
                    crate::model::quote(&row.line)
                } else {
                    row.line.clone()
                };
                format!("{} {labels} {line}", secs(row.ts)).trim_end().to_owned()
            })
            .collect(),
        QueryData::Matrix(series) => series
            .iter()
            .map(|series| {
                let points: Vec<String> = series
                    .points
                    .iter()
                    .map(|(ts, value)| format!("{}={}", secs(*ts), number(*value)))
                    .collect();
                format!("{} {}", series.labels, points.join(" "))
            })
            .collect(),
        QueryData::Vector(samples) => samples
            .iter()
            .map(|sample| format!("{} {}", sample.labels, number(sample.value)))
            .collect(),
        QueryData::Scalar(_, value) => vec![number(value)],
    }
}

/// Nine digits: enough to tell right from wrong, few enough to write down.
fn number(value: f64) -> String {
    if value.is_finite() {
        let rounded = (value * 1e9).round() / 1e9;
        format!("{rounded}")
    } else {
        units::format_sample(value)
    }
}
