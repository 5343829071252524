//! Fields found in lines: what `| json` or `| logfmt` would make labels of.

use std::collections::{BTreeMap, BTreeSet};

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
        } else if value.parse::<f64>().is_ok() {
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
        let fields = self.fields(query, context)?;
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
            .fields(query, context)?
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
        context: &QueryContext,
    ) -> Result<BTreeMap<String, Field>, QueryError> {
        let mut running = self.running(context);
        let limit = query.line_limit.min(context.limits.entries_max);
        let rows =
            log::evaluate(&query.log, query.range, limit, Direction::Backward, &mut running)?;
        let mut finder = Finder::new(query.field_limit)?;
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
            let metadata = row.metadata.iter().map(|(name, value)| (name, value));
            if let Some(parsed) = worker.run(row.ts, &row.line, metadata)
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
        if field.json_path.is_empty() {
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

/// The keys that lead to the value which became this label.
fn json_path(line: &str, label: &str) -> Vec<String> {
    let label = label.strip_suffix("_extracted").unwrap_or(label);
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(line) else {
        return Vec::new();
    };
    find_path(&object, "", label).unwrap_or_default()
}

fn find_path(
    object: &serde_json::Map<String, serde_json::Value>,
    prefix: &str,
    label: &str,
) -> Option<Vec<String>> {
    for (key, value) in object {
        let part: String =
            key.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let starts_with_digit = part.starts_with(|c: char| c.is_ascii_digit());
        let name = match prefix {
            "" if starts_with_digit => format!("_{part}"),
            "" => part,
            _ => format!("{prefix}_{part}"),
        };
        match value {
            serde_json::Value::Object(inner) if label.starts_with(&name) => {
                if let Some(mut path) = find_path(inner, &name, label) {
                    path.insert(0, key.clone());
                    return Some(path);
                }
            }
            _ if name == label => return Some(vec![key.clone()]),
            _ => {}
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
    }
}
