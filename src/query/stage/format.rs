//! `| line_format "..."` and `| label_format dst=src, dst="..."`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Text, Timestamp};
use crate::query::syntax::ast::{AssignedValue, LabelAssignment};
use crate::text::gotime::Zone;
use crate::text::template::{Functions, Object, Template, Value};

use super::compile::Pinned;
use super::errors;
use super::names::NameId;
use super::row::{ERROR, ERROR_DETAILS, Piece, Row, Source};

const LINE: &str = "__line__";
const TIMESTAMP: &str = "__timestamp__";

/// `| line_format`.
#[derive(Debug, Clone)]
pub struct LineFormat {
    form: Form,
}

/// `{{.label}}` alone needs no template.
#[derive(Debug, Clone)]
enum Form {
    Label(NameId),
    Template(Box<LabelTemplate>),
}

/// A template and the labels that it reads.
#[derive(Debug, Clone)]
struct LabelTemplate {
    template: Template,
    /// How Loki calls it in its errors.
    name: &'static str,
    /// `None` when it takes the labels as a whole.
    fields: Option<Vec<String>>,
}

/// What a template sees: the labels as they were when it began, and line and time.
#[derive(Debug, Default)]
struct View {
    /// All values in one buffer, so that fields are cut out of it without copying.
    text: Text,
    labels: Vec<(String, std::ops::Range<usize>)>,
    line: std::ops::Range<usize>,
    ts: Timestamp,
}

impl View {
    fn value(&self, range: &std::ops::Range<usize>) -> Value {
        Value::Str(self.text.slice(range.clone()))
    }
}

impl Object for View {
    fn field(&self, name: &str) -> Option<Value> {
        match name {
            LINE => Some(self.value(&self.line)),
            TIMESTAMP => Some(Value::Time(self.ts, Zone::Utc)),
            _ => Some(
                self.labels
                    .iter()
                    .find(|(label, _)| label == name)
                    .map_or_else(|| Value::Str(Text::default()), |(_, range)| self.value(range)),
            ),
        }
    }

    fn type_name(&self) -> &'static str {
        "map[string]string"
    }

    fn to_value(&self) -> Value {
        let map: BTreeMap<String, Value> =
            self.labels.iter().map(|(label, range)| (label.clone(), self.value(range))).collect();
        Value::Map(Arc::new(map))
    }
}

impl LabelTemplate {
    fn parse(name: &'static str, source: &str) -> Result<Self, String> {
        let template =
            Template::parse(source, Functions::LogQl).map_err(|error| error.to_string())?;
        Ok(LabelTemplate { template, name, fields: fields_of(source) })
    }
}

/// A picture of the row for templates; `fields` limits it to the labels that are read.
fn view(row: &Row<'_>, fields: Option<&[String]>) -> Value {
    let mut text = String::new();
    let mut labels = Vec::new();
    let mut add = |name: &str, value: &str| {
        if fields.is_none_or(|fields| fields.iter().any(|field| field == name)) {
            let start = text.len();
            text.push_str(value);
            labels.push((name.to_owned(), start..text.len()));
        }
    };
    for (name, _, value) in row.labels() {
        add(row.name(name), value);
    }
    if let Some(error) = row.error() {
        add(ERROR, error);
    }
    if !row.error_details().is_empty() {
        add(ERROR_DETAILS, row.error_details());
    }
    let start = text.len();
    text.push_str(row.line());
    let line = start..text.len();
    Value::Object(Arc::new(View { text: Text::from(text), labels, line, ts: row.ts() }))
}

fn render(row: &mut Row<'_>, template: &LabelTemplate, data: &Value) -> Option<Piece> {
    let start = row.state.arena.len();
    match template.template.render_into(data, &mut row.state.arena) {
        Ok(()) => Some(Piece { source: Source::Arena, start, end: row.state.arena.len() }),
        Err(error) => {
            row.state.arena.truncate(start);
            let details = error.located(template.name, template.template.source());
            row.set_error(errors::TEMPLATE, &details);
            None
        }
    }
}

impl LineFormat {
    pub(super) fn compile(source: &str, pinned: &mut Pinned) -> Result<Self, String> {
        let template = LabelTemplate::parse("line", source)
            .map_err(|message| format!("invalid line template: {message}"))?;
        let form = match single_field(source) {
            Some(label) => Form::Label(pinned.id(label)),
            None => Form::Template(Box::new(template)),
        };
        Ok(LineFormat { form })
    }

    pub(super) fn run(&self, row: &mut Row<'_>) {
        match &self.form {
            Form::Label(name) => {
                let empty = Piece { source: Source::Arena, start: 0, end: 0 };
                row.line = row.piece(*name).unwrap_or(empty);
                // Parsers read the line from the arena or from the stored text alone.
                if row.line.source == Source::Stream {
                    let value = row.line().to_owned();
                    row.line = row.keep(&value);
                }
            }
            Form::Template(template) => {
                let data = view(row, template.fields.as_deref());
                if let Some(line) = render(row, template, &data) {
                    row.line = line;
                }
            }
        }
    }
}

/// `| label_format`.
#[derive(Debug, Clone)]
pub struct LabelFormat {
    assignments: Vec<(NameId, Assigned)>,
    /// What all templates together read.
    fields: Option<Vec<String>>,
}

#[derive(Debug, Clone)]
enum Assigned {
    Rename(NameId),
    Template(Box<LabelTemplate>),
}

impl LabelFormat {
    pub(super) fn compile(syntax: &[LabelAssignment], pinned: &mut Pinned) -> Result<Self, String> {
        let mut assignments: Vec<(NameId, Assigned)> = Vec::new();
        let mut fields = Some(Vec::new());
        for LabelAssignment { label, value } in syntax {
            if label == ERROR {
                return Err(format!("{ERROR} cannot be formatted"));
            }
            let name = pinned.id(label);
            if assignments.iter().any(|(known, _)| *known == name) {
                return Err(format!(
                    "multiple label name '{label}' not allowed in a single format operation"
                ));
            }
            let assigned = match value {
                AssignedValue::Rename(from) => Assigned::Rename(pinned.id(from)),
                AssignedValue::Template(source) => {
                    let template = LabelTemplate::parse("label", source).map_err(|message| {
                        format!("invalid template for label '{label}': {message}")
                    })?;
                    fields = match (fields, &template.fields) {
                        (Some(mut all), Some(more)) => {
                            all.extend(more.iter().cloned());
                            Some(all)
                        }
                        _ => None,
                    };
                    Assigned::Template(Box::new(template))
                }
            };
            assignments.push((name, assigned));
        }
        Ok(LabelFormat { assignments, fields })
    }

    /// Whether it gives or takes this label.
    pub(super) fn touches(&self, name: NameId) -> bool {
        self.assignments.iter().any(|(to, assigned)| {
            *to == name || matches!(assigned, Assigned::Rename(from) if *from == name)
        })
    }

    pub(super) fn run(&self, row: &mut Row<'_>) {
        // All templates see the labels as they were at the first one.
        let mut data = None;
        for (name, assigned) in &self.assignments {
            match assigned {
                // To Loki a label that takes its own name is gone.
                Assigned::Rename(from) => {
                    if let Some(value) = row.piece(*from) {
                        row.set(*name, value);
                        row.remove(*from);
                    }
                }
                Assigned::Template(template) => {
                    let data = data.get_or_insert_with(|| view(row, self.fields.as_deref()));
                    if let Some(value) = render(row, template, data) {
                        row.set(*name, value);
                    }
                }
            }
        }
    }
}

/// The label of `{{.label}}`, when the template is nothing else.
fn single_field(source: &str) -> Option<&str> {
    let inside = source.strip_prefix("{{")?.strip_suffix("}}")?;
    let name = inside.trim().strip_prefix('.')?;
    let is_name = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !matches!(name, LINE | TIMESTAMP);
    is_name.then_some(name)
}

/// What stands in front of a dot.
#[derive(PartialEq, Eq)]
enum Before {
    Other,
    /// A label.
    Field,
    /// What is no label: a number, what a function or parentheses give, and fields of it.
    Value,
}

/// The labels a template may read: every `.name` outside of strings. `None` when a bare `.` or a
/// variable could hand on the labels as a whole. Too many names do no harm, too few would.
pub(super) fn fields_of(source: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = source;
    while let Some(open) = rest.find("{{") {
        let inside = rest.get(open + 2..)?;
        let mut chars = inside.char_indices().peekable();
        let mut end = inside.len();
        let mut before = Before::Other;
        while let Some((at, c)) = chars.next() {
            match c {
                '"' | '`' | '\'' => {
                    while let Some((_, inner)) = chars.next() {
                        if inner == '\\' && c != '`' {
                            chars.next();
                        } else if inner == c {
                            break;
                        }
                    }
                }
                '}' if inside.get(at..at + 2) == Some("}}") => {
                    end = at + 2;
                    break;
                }
                '$' => return None,
                '.' if before == Before::Value => {}
                '.' => {
                    let name: String = inside
                        .get(at + 1..)?
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect();
                    if name.is_empty() {
                        return None;
                    }
                    if !name.starts_with(|c: char| c.is_ascii_digit()) {
                        fields.push(name);
                    }
                    before = Before::Field;
                }
                ')' => before = Before::Value,
                c if c.is_alphanumeric() || c == '_' => {
                    if before == Before::Other {
                        before = Before::Value;
                    }
                }
                _ => before = Before::Other,
            }
        }
        rest = inside.get(end..)?;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expect: Option<&[&str]>) {
        let expect = expect.map(|names| names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(fields_of(source), expect, "{source}");
    }

    #[test]
    fn labels_that_templates_read() {
        check("plain . text", Some(&[]));
        check("{{.a}} {{ .b | lower }}", Some(&["a", "b"]));
        check(r#"{{ date "2006.01" .ts }}{{ if .x }}1.5{{ end }}"#, Some(&["ts", "x"]));
        check(r#"{{ replace "}}.q" "." .p }}"#, Some(&["p"]));
        check("{{ add 1.5 .n }}", Some(&["n"]));
        check(
            "{{ (fromJson .a).b.c }} {{ __timestamp__.Unix }} {{ .d.e }}",
            Some(&["a", "d", "e"]),
        );
        check("{{ range $k, $v := . }}{{$k}}{{end}}", None);
        check("{{ . }}", None);
        check(r#"{{ index . "a" }}"#, None);
    }

    #[test]
    fn one_label_alone_needs_no_template() {
        assert_eq!(single_field("{{ .msg }}"), Some("msg"));
        assert_eq!(single_field("{{.a.b}}"), None);
        assert_eq!(single_field("{{.a}}{{.b}}"), None);
        assert_eq!(single_field("x{{.a}}"), None);
    }
}
