//! The functions that templates may call, in tables by theme.

mod alerting;
mod basic;
mod math;
mod text;
mod time;

use regex::Regex;

use super::print::{self, Nil};
use super::{Functions, Value};
use crate::limits::TEMPLATE_OUTPUT_BYTES_MAX;
use crate::model::Text;
use crate::text::re2;

/// A function a template may call.
#[derive(Debug)]
pub(super) struct Function {
    pub name: &'static str,
    pub args_min: usize,
    pub args_max: usize,
    /// The first argument is a regex, compiled with the template when it is a literal.
    pub takes_regex: bool,
    pub run: Run,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    Plain(fn(&Env, &[Value]) -> Result<Value, String>),
    And,
    Or,
}

/// What a function sees beside its arguments.
pub(super) struct Env<'a> {
    pub root: &'a Value,
    pub regex: Option<&'a Regex>,
    /// See `Tree::is_strict`.
    pub is_strict: bool,
    /// Whether the last argument is an entry that a map does not have: to Go that is a nil with a
    /// type, and other than no value at all.
    pub nil_in_map: bool,
}

impl Env<'_> {
    fn nil(&self) -> Nil {
        if self.is_strict { Nil::Shown } else { Nil::Hidden }
    }
}

type Outcome = Result<Value, String>;

const ANY: usize = usize::MAX;

const fn function(
    name: &'static str,
    args_min: usize,
    args_max: usize,
    run: fn(&Env, &[Value]) -> Outcome,
) -> Function {
    Function { name, args_min, args_max, takes_regex: false, run: Run::Plain(run) }
}

const fn regex_function(
    name: &'static str,
    args: usize,
    run: fn(&Env, &[Value]) -> Outcome,
) -> Function {
    Function { name, args_min: args, args_max: args, takes_regex: true, run: Run::Plain(run) }
}

/// Finds a function by the name it has in one of the four settings.
pub(super) fn lookup(functions: Functions, name: &str) -> Option<&'static Function> {
    let tables: &[&'static [Function]] = match functions {
        Functions::LogQl => &[text::GO, text::LOKI, text::SPRIG, math::SPRIG, time::LOKI],
        Functions::Promtail => &[
            text::GO,
            text::PROMTAIL,
            text::SPRIG,
            text::SPRIG_MORE,
            math::SPRIG,
            math::SPRIG_MORE,
            time::LOKI,
        ],
        Functions::Rule => &[alerting::RULE, alerting::COMMON],
        Functions::Notification => &[alerting::NOTIFICATION, alerting::COMMON],
    };
    std::iter::once(&basic::BUILTINS)
        .chain(tables)
        .flat_map(|table| table.iter())
        .find(|function| function.name == name)
}

/// What an argument of a LogQL function must be in Go, which checks it before the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    Text,
    Int,
    Time,
}

impl Kind {
    pub fn of(function: &str, at: usize) -> Kind {
        let kinds = match function {
            "Replace" => "sssi",
            "regexReplaceAll" | "regexReplaceAllLiteral" | "replace" | "toDateInZone" => "sss",
            "Trim" | "TrimLeft" | "TrimRight" | "TrimPrefix" | "TrimSuffix" | "count"
            | "contains" | "hasPrefix" | "hasSuffix" | "trimAll" | "trimSuffix" | "trimPrefix"
            | "toDate" => "ss",
            "ToLower" | "ToUpper" | "TrimSpace" | "urldecode" | "urlencode" | "bytes"
            | "duration" | "duration_seconds" | "unixToTime" | "b64dec" | "b64enc" | "lower"
            | "upper" | "title" | "trim" | "fromJson" | "printf" | "date" => "s",
            "alignLeft" | "alignRight" | "trunc" | "indent" | "nindent" | "repeat" => "is",
            "substr" => "iis",
            "round" => ".i",
            "unixEpoch" | "unixEpochMillis" | "unixEpochNanos" => "t",
            _ => "",
        };
        match kinds.as_bytes().get(at) {
            Some(b's') => Kind::Text,
            Some(b'i') => Kind::Int,
            Some(b't') => Kind::Time,
            _ => Kind::Any,
        }
    }

    pub fn takes(self, value: &Value) -> bool {
        match self {
            Kind::Any => true,
            Kind::Text => matches!(value, Value::Str(_)),
            Kind::Int => matches!(value, Value::Int(_)),
            Kind::Time => matches!(value, Value::Time(..)),
        }
    }

    /// Go's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Any => "interface {}",
            Kind::Text => "string",
            Kind::Int => "int",
            Kind::Time => "time.Time",
        }
    }
}

fn wrong_type(at: usize, want: &str, got: &Value) -> String {
    format!("argument {}: expected {want}; got {}", at + 1, got.type_name())
}

/// A text argument. A missing key reads as the empty text.
fn text_arg(args: &[Value], at: usize) -> Result<Text, String> {
    match args.get(at) {
        Some(Value::Str(text)) => Ok(text.clone()),
        None | Some(Value::Nil) => Ok(Text::default()),
        Some(other) => Err(wrong_type(at, "string", other)),
    }
}

fn int_arg(args: &[Value], at: usize) -> Result<i64, String> {
    match args.get(at) {
        Some(Value::Int(number) | Value::Duration(number)) => Ok(*number),
        Some(other) => Err(wrong_type(at, "int", other)),
        None => Err(format!("argument {} is missing", at + 1)),
    }
}

fn list_arg(args: &[Value], at: usize) -> Result<std::sync::Arc<Vec<Value>>, String> {
    match args.get(at).map(Value::shown) {
        Some(Value::List(items)) => Ok(items),
        None | Some(Value::Nil) => Ok(std::sync::Arc::default()),
        Some(other) => Err(wrong_type(at, "list", &other)),
    }
}

/// Sprig's `strval`: any value as text.
fn any_text(args: &[Value], at: usize) -> String {
    args.get(at).map(print::display).unwrap_or_default()
}

/// Replaces what a regex finds. The result, and the work of filling in `by` for each match, are
/// bounded: both grow with text and replacement multiplied.
fn replace_all(regex: &Regex, text: &str, by: &str) -> Outcome {
    const WORK_MAX: usize = 64 * TEMPLATE_OUTPUT_BYTES_MAX;
    if !by.contains('$') {
        return replace_all_literal(regex, text, by);
    }
    let references = by.matches('$').count();
    let (mut out, mut end, mut work) = (String::new(), 0, 0usize);
    for found in regex.captures_iter(text) {
        let Some(whole) = found.get(0) else { continue };
        work += by.len() + references * whole.len();
        if work > WORK_MAX || out.len() > TEMPLATE_OUTPUT_BYTES_MAX {
            return Err("the replaced text is too long".to_owned());
        }
        out.push_str(text.get(end..whole.start()).unwrap_or_default());
        found.expand(by, &mut out);
        end = whole.end();
    }
    out.push_str(text.get(end..).unwrap_or_default());
    Ok(out.into())
}

fn replace_all_literal(regex: &Regex, text: &str, by: &str) -> Outcome {
    let (mut out, mut end) = (String::new(), 0);
    for found in regex.find_iter(text) {
        if out.len() > TEMPLATE_OUTPUT_BYTES_MAX {
            return Err("the replaced text is too long".to_owned());
        }
        out.push_str(text.get(end..found.start()).unwrap_or_default());
        out.push_str(by);
        end = found.end();
    }
    out.push_str(text.get(end..).unwrap_or_default());
    Ok(out.into())
}

/// Runs with the regex of the first argument, compiled with the template or now.
fn with_regex(env: &Env, args: &[Value], run: impl FnOnce(&Regex) -> Outcome) -> Outcome {
    match env.regex {
        Some(regex) => run(regex),
        None => run(&re2::compile(&text_arg(args, 0)?)?),
    }
}
