//! Fields found in lines: what `| json` or `| logfmt` would make labels of.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits;
use crate::model::{Labels, TimeRange};
use crate::query::engine::{Engine, QueryContext};
use crate::query::error::QueryError;
use crate::query::result::LogRow;
use crate::query::run::log::{self, Direction};
use crate::query::stage::{Category, ERROR, ERROR_DETAILS, Pipeline, Worker};
use crate::query::syntax::ast::{LogExpr, Span, Stage, StageKind};
use crate::text::units;

#[derive(Debug, Clone)]
pub struct FieldQuery {
    pub log: LogExpr,
    pub range: TimeRange,
    /// The newest lines that are looked at.
    pub line_limit: usize,
    pub field_limit: usize,
}

/// What the values of a field look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Int,
    Float,
    Boolean,
    Duration,
    Bytes,
    String,
}

impl FieldKind {
    pub fn as_str(self) -> &'static str {
        match self {
            FieldKind::Int => "int",
            FieldKind::Float => "float",
            FieldKind::Boolean => "boolean",
            FieldKind::Duration => "duration",
            FieldKind::Bytes => "bytes",
            FieldKind::String => "string",
        }
    }

    pub fn of(value: &str) -> FieldKind {
        let is_bool = matches!(
            value,
            "t" | "T" | "TRUE" | "true" | "True" | "f" | "F" | "FALSE" | "false" | "False"
        );
        if value.parse::<i64>().is_ok() {
            FieldKind::Int
        } else if is_go_float(value) {
            FieldKind::Float
        } else if is_bool {
            FieldKind::Boolean
        } else if units::parse_go_duration(value).is_some() {
            FieldKind::Duration
        } else if units::parse_bytes(value).is_some() {
            FieldKind::Bytes
        } else {
            FieldKind::String
        }
    }
}

/// Whether Go's `ParseFloat` takes it: underscores between digits are fine, numbers that do not
/// fit are not.
fn is_go_float(value: &str) -> bool {
    let number = if value.contains('_') {
        let bytes = value.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let between = |(at, _): (usize, &str)| at > 0 && digit(at - 1) && digit(at + 1);
        if !value.match_indices('_').all(between) {
            return false;
        }
        value.replace('_', "").parse::<f64>()
    } else {
        value.parse::<f64>()
    };
    number
        .is_ok_and(|number| !number.is_infinite() || !value.contains(|c: char| c.is_ascii_digit()))
}

/// The parser that finds a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldParser {
    Json,
    Logfmt,
}

impl FieldParser {
    pub fn as_str(self) -> &'static str {
        match self {
            FieldParser::Json => "json",
            FieldParser::Logfmt => "logfmt",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectedField {
    pub label: String,
    pub kind: FieldKind,
    pub cardinality: u64,
    /// Empty for structured metadata, which needs no parser.
    pub parsers: Vec<FieldParser>,
    /// Keys on the way to the value, for JSON.
    pub json_path: Vec<String>,
}

/// Fields that are looked at while the values of one of them are asked for.
const FIELDS_MAX: usize = 10_000;

#[derive(Debug)]
struct Field {
    kind: FieldKind,
    values: BTreeSet<String>,
    parsers: BTreeSet<FieldParser>,
    json_path: Vec<String>,
}

impl Engine {
    /// Fields of the newest lines, sorted by name.
    pub fn detected_fields(
        &self,
        query: &FieldQuery,
        context: &QueryContext,
    ) -> Result<Vec<DetectedField>, QueryError> {
        let fields = self.fields(query, query.field_limit, context)?;
        Ok(fields
            .into_iter()
            .map(|(label, field)| DetectedField {
                label,
                kind: field.kind,
                cardinality: field.values.len() as u64,
                parsers: field.parsers.into_iter().collect(),
                json_path: field.json_path,
            })
            .collect())
    }

    /// Values of one field in the newest lines, sorted.
    pub fn detected_field_values(
        &self,
        field: &str,
        query: &FieldQuery,
        context: &QueryContext,
    ) -> Result<Vec<String>, QueryError> {
        let mut values: Vec<String> = self
            .fields(query, FIELDS_MAX, context)?
            .remove(field)
            .map(|field| {
                let parsed = !field.parsers.is_empty();
                let shown = |value| if parsed { shown_size(value) } else { value };
                field.values.into_iter().map(shown).collect::<BTreeSet<_>>().into_iter().collect()
            })
            .unwrap_or_default();
        values.truncate(query.field_limit);
        Ok(values)
    }

    fn fields(
        &self,
        query: &FieldQuery,
        fields_max: usize,
        context: &QueryContext,
    ) -> Result<BTreeMap<String, Field>, QueryError> {
        let mut running = self.running(context);
        let limit = query.line_limit.min(context.limits.entries_max);
        let rows =
            log::evaluate(&query.log, query.range, limit, Direction::Backward, &mut running)?;
        let mut finder = Finder::new(fields_max)?;
        // Stream by stream, as Loki looks at them: the last value seen decides the kind.
        let mut rows = rows;
        rows.sort_by(|a, b| a.stream.cmp(&b.stream));
        for row in &rows {
            finder.row(row);
        }
        Ok(finder.fields)
    }
}

struct Finder {
    json: Worker,
    logfmt: Worker,
    stream: Option<Labels>,
    fields: BTreeMap<String, Field>,
    limit: usize,
}

impl Finder {
    fn new(limit: usize) -> Result<Self, QueryError> {
        let worker = |kind: StageKind| {
            Pipeline::compile(&[Stage { kind, span: Span::default() }])
                .map(|pipeline| pipeline.worker())
                .map_err(|error| QueryError::Internal(error.to_string()))
        };
        let logfmt = StageKind::Logfmt { strict: false, keep_empty: false, fields: Vec::new() };
        Ok(Finder {
            json: worker(StageKind::Json { fields: Vec::new() })?,
            logfmt: worker(logfmt)?,
            stream: None,
            fields: BTreeMap::new(),
            limit,
        })
    }

    fn row(&mut self, row: &LogRow) {
        for (name, value) in &row.metadata {
            self.add(name, value, None, Vec::new());
        }
        if self.stream.as_ref() != Some(&row.stream) {
            self.json.set_stream(&row.stream);
            self.logfmt.set_stream(&row.stream);
            self.stream = Some(row.stream.clone());
        }
        let mut found: Vec<(String, String)> = row.parsed.clone();
        let mut parser = None;
        for (candidate, worker) in
            [(FieldParser::Json, &mut self.json), (FieldParser::Logfmt, &mut self.logfmt)]
        {
            // Without the metadata: a field keeps its name beside a label of the same name there.
            if let Some(parsed) = worker.run(row.ts, &row.line, std::iter::empty::<(&str, &str)>())
                && parsed.error().is_none()
            {
                found.extend(parsed.category(Category::Parsed));
                parser = Some(candidate);
                break;
            }
        }
        for (name, value) in found {
            if name != ERROR && name != ERROR_DETAILS {
                let path = match parser {
                    Some(FieldParser::Json) => json_path(&row.line, &name),
                    Some(FieldParser::Logfmt) | None => Vec::new(),
                };
                self.add(&name, &value, parser, path);
            }
        }
    }

    fn add(&mut self, name: &str, value: &str, parser: Option<FieldParser>, path: Vec<String>) {
        if !self.fields.contains_key(name) && self.fields.len() >= self.limit {
            return;
        }
        let field = self.fields.entry(name.to_owned()).or_insert_with(|| Field {
            kind: FieldKind::of(value),
            values: BTreeSet::new(),
            parsers: BTreeSet::new(),
            json_path: Vec::new(),
        });
        field.kind = FieldKind::of(value);
        field.values.insert(value.to_owned());
        field.parsers.extend(parser);
        if !path.is_empty() {
            field.json_path = path;
        }
    }
}

/// A size in the form that a query takes: `12KB` is `12kB` there.
fn shown_size(value: String) -> String {
    let unit = value.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len();
    match units::parse_bytes(&value) {
        Some(bytes) if unit < value.len() => units::format_bytes(bytes).replacen(' ', "", 1),
        _ => value,
    }
}

/// The members of an object in their order; values are not looked into, so that numbers which
/// fit no type do no harm.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Each)
    }
}

/// The keys that lead to the value which became this label.
fn json_path(line: &str, label: &str) -> Vec<String> {
    let label = label.strip_suffix("_extracted").unwrap_or(label);
    find_path(line, "", label, limits::QUERY_DEPTH_MAX).unwrap_or_default()
}

fn find_path(object: &str, prefix: &str, label: &str, deeper: usize) -> Option<Vec<String>> {
    let deeper = deeper.checked_sub(1)?;
    let members: Members<'_> = serde_json::from_str(object).ok()?;
    for (key, value) in members.0 {
        let part: String =
            key.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let starts_with_digit = part.starts_with(|c: char| c.is_ascii_digit());
        let name = match prefix {
            "" if starts_with_digit => format!("_{part}"),
            "" => part,
            _ => format!("{prefix}_{part}"),
        };
        if value.get().starts_with('{') {
            if label.starts_with(&name)
                && let Some(mut path) = find_path(value.get(), &name, label, deeper)
            {
                path.insert(0, key);
                return Some(path);
            }
        } else if name == label {
            return Some(vec![key]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_values() {
        for (value, kind) in [
            ("12", FieldKind::Int),
            ("-1.5", FieldKind::Float),
            ("true", FieldKind::Boolean),
            ("1m3s", FieldKind::Duration),
            ("1_000", FieldKind::Float),
            ("1e400", FieldKind::String),
            ("10KB", FieldKind::Bytes),
            ("GET", FieldKind::String),
        ] {
            assert_eq!(FieldKind::of(value), kind, "{value}");
        }
    }

    #[test]
    fn paths_of_labels() {
        let line = r#"{"a":1,"http":{"headers":{"x-id":"7"}},"1st":2}"#;
        assert_eq!(json_path(line, "http_headers_x_id"), ["http", "headers", "x-id"]);
        assert_eq!(json_path(line, "_1st"), ["1st"]);
        assert_eq!(json_path(line, "a_extracted"), ["a"]);
        assert!(json_path(line, "zzz").is_empty());
        assert_eq!(json_path(r#"{"n":1e400,"a_b":1,"a":{"b":2}}"#, "a_b"), ["a_b"]);
        assert_eq!(json_path(r#"{"s":"\ud800","a":{"b":2},"a_b":1}"#, "a_b"), ["a", "b"]);
    }
}
