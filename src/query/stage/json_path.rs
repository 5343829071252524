//! `| json a="x.y[0]", b="h[\"k\"]"`: labels from paths.

use crate::query::syntax::ast::FieldPath;

use super::compile::Pinned;
use super::errors;
use super::json::string_piece;
use super::json_scan::{self as scan, Kind, Value};
use super::names::NameId;
use super::parser::Step;
use super::row::{Piece, Row, Source};

/// Steps of one path; deeper ones are a mistake.
const STEPS_MAX: usize = 64;

/// One step on a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    Key(String),
    Index(usize),
}

/// Reads `a.b[0]["c d"]`.
pub fn parse_path(path: &str) -> Result<Vec<PathStep>, String> {
    let fault =
        |message: &str| Err(format!("cannot parse expression [{path}]: syntax error: {message}"));
    let mut steps = Vec::new();
    let mut rest = path.trim();
    if rest.is_empty() {
        return fault("unexpected $end, expecting FIELD or [");
    }
    let mut expects_key = true;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let inside = inside.trim_start();
            if let Some(quoted) = inside.strip_prefix('"') {
                let Some((key, after)) = quoted.split_once('"') else {
                    return fault("string is not closed");
                };
                steps.push(PathStep::Key(key.to_owned()));
                let Some(after) = after.trim_start().strip_prefix(']') else {
                    return fault("expecting ]");
                };
                rest = after.trim_start();
            } else {
                let Some((index, after)) = inside.split_once(']') else {
                    return fault("expecting ]");
                };
                let Ok(index) = index.trim().parse() else {
                    return fault("cannot use anything but an integer as array index");
                };
                steps.push(PathStep::Index(index));
                rest = after.trim_start();
            }
            expects_key = false;
        } else if let Some(after) = rest.strip_prefix('.') {
            if expects_key {
                return fault("unexpected .");
            }
            rest = after.trim_start();
            if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                return fault("expecting FIELD behind .");
            }
            expects_key = true;
        } else {
            let end =
                rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (key, after) = rest.split_at(end);
            if !expects_key || key.is_empty() || key.starts_with(|c: char| c.is_ascii_digit()) {
                return fault("unexpected character");
            }
            steps.push(PathStep::Key(key.to_owned()));
            rest = after.trim_start();
            expects_key = false;
        }
        if steps.len() > STEPS_MAX {
            return fault("the path is too long");
        }
    }
    if expects_key {
        return fault("unexpected $end");
    }
    Ok(steps)
}

/// The parser with expressions.
#[derive(Debug, Clone)]
pub struct JsonFields {
    fields: Vec<(NameId, Vec<PathStep>)>,
}

/// What a walk finds: fields by index, or how a value on the way is broken.
struct Walk<'a> {
    fields: &'a [(NameId, Vec<PathStep>)],
    found: Vec<Option<Value>>,
    missing: usize,
    broken: Option<&'static str>,
    scratch: String,
}

/// Ends a walk: everything is found, or the text is malformed, which Loki passes over here.
struct End;

impl From<&'static str> for End {
    fn from(_: &'static str) -> Self {
        End
    }
}

impl JsonFields {
    pub(super) fn compile(fields: &[FieldPath], pinned: &mut Pinned) -> Result<Self, String> {
        let fields = fields
            .iter()
            .map(|field| Ok((pinned.id(&field.label), parse_path(&field.path)?)))
            .collect::<Result<_, String>>()?;
        Ok(JsonFields { fields })
    }

    pub(super) fn sets(&self, name: NameId) -> bool {
        self.fields.iter().any(|(field, _)| *field == name)
    }

    pub(super) fn run(&self, row: &mut Row<'_>) -> Step {
        row.with_line(|row, line| self.extract(row, line));
        Step::Keep
    }

    fn extract(&self, row: &mut Row<'_>, line: &str) {
        let Some(first) = line.as_bytes().first() else { return };
        if !matches!(first, b'"' | b'{' | b'[') {
            row.set_error(errors::JSON, "");
            return;
        }
        let mut walk = Walk {
            fields: &self.fields,
            found: vec![None; self.fields.len()],
            missing: self.fields.len(),
            broken: None,
            scratch: std::mem::take(&mut row.state.scratch),
        };
        if matches!(first, b'{' | b'[') {
            let all: Vec<usize> = (0..self.fields.len()).collect();
            // Malformed text ends the search; what was found before stays.
            let _ = walk.descend(line, 0, *first == b'[', &all, 0);
        }
        let Walk { found, broken, scratch, .. } = walk;
        row.state.scratch = scratch;
        if let Some(message) = broken {
            row.set_error(errors::JSON, message);
        }
        let mut missing = Vec::new();
        for (field, value) in self.fields.iter().zip(found) {
            match value {
                Some(value) => {
                    let name = row.parsed_name(field.0);
                    let piece = field_piece(row, line, value);
                    row.set(name, piece);
                }
                None => missing.push(field.0),
            }
        }
        for name in missing {
            if row.value(name).is_none() {
                row.set(name, Piece { source: Source::Arena, start: 0, end: 0 });
            }
        }
    }
}

fn field_piece(row: &mut Row<'_>, line: &str, value: Value) -> Piece {
    match value.kind {
        Kind::Null => Piece { source: Source::Arena, start: 0, end: 0 },
        Kind::Object => row.line.within(value.start, value.end),
        Kind::Array => {
            // Loki resolves escapes in the text of an array too.
            let body = line.get(value.start..value.end).unwrap_or_default();
            string_piece(row, line, Value { escaped: body.contains('\\'), ..value })
        }
        Kind::String | Kind::Number | Kind::Bool => string_piece(row, line, value),
    }
}

impl Walk<'_> {
    /// Looks for the fields of `active`, whose first `depth` steps have matched.
    fn descend(
        &mut self,
        line: &str,
        at: usize,
        is_array: bool,
        active: &[usize],
        depth: usize,
    ) -> Result<(), End> {
        if is_array {
            return self.elements(line, at, active, depth);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = scan::each_member(line, at, &mut scratch, &mut |key, value| {
            let below: Vec<usize> = active
                .iter()
                .copied()
                .filter(
                    |&field| matches!(self.step(field, depth), Some(PathStep::Key(k)) if k == key),
                )
                .collect();
            match value {
                _ if below.is_empty() => Ok(()),
                Ok(value) => self.arrive(line, value, &below, depth + 1),
                Err(message) => {
                    self.broken = Some(message);
                    Err(End)
                }
            }
        });
        self.scratch = scratch;
        result
    }

    fn elements(
        &mut self,
        line: &str,
        at: usize,
        active: &[usize],
        depth: usize,
    ) -> Result<(), End> {
        let bytes = line.as_bytes();
        let Some((start, b'[')) = scan::next_token(bytes, at) else { return Err(End) };
        let mut at = start + 1;
        if matches!(scan::next_token(bytes, at), Some((_, b']'))) {
            return Ok(());
        }
        for index in 0.. {
            let value = scan::value(bytes, at)?;
            let below: Vec<usize> = active
                .iter()
                .copied()
                .filter(|&field| matches!(self.step(field, depth), Some(PathStep::Index(i)) if *i == index))
                .collect();
            if !below.is_empty() {
                self.arrive(line, value, &below, depth + 1)?;
            }
            match scan::next_token(bytes, value.next) {
                Some((comma, b',')) => at = comma + 1,
                Some((_, b']')) => return Ok(()),
                _ => return Err(End),
            }
        }
        Ok(())
    }

    fn step(&self, field: usize, depth: usize) -> Option<&PathStep> {
        // A field that was found keeps its first value.
        if self.found.get(field).is_none_or(Option::is_some) {
            return None;
        }
        self.fields.get(field)?.1.get(depth)
    }

    fn arrive(
        &mut self,
        line: &str,
        value: Value,
        fields: &[usize],
        depth: usize,
    ) -> Result<(), End> {
        let mut deeper = Vec::new();
        for &field in fields {
            let steps = self.fields.get(field).map_or(0, |(_, steps)| steps.len());
            if steps > depth {
                deeper.push(field);
            } else if let Some(found) = self.found.get_mut(field) {
                *found = Some(value);
                self.missing -= 1;
            }
        }
        if self.missing == 0 {
            return Err(End);
        }
        if !deeper.is_empty() && matches!(value.kind, Kind::Object | Kind::Array) {
            self.descend(line, value.start, value.kind == Kind::Array, &deeper, depth)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: &[PathStep]) {
        assert_eq!(parse_path(path).as_deref(), Ok(expect));
    }

    fn key(text: &str) -> PathStep {
        PathStep::Key(text.to_owned())
    }

    #[test]
    fn paths() {
        check("a", &[key("a")]);
        check("a.b[0].c", &[key("a"), key("b"), PathStep::Index(0), key("c")]);
        check(r#"["user.name"]"#, &[key("user.name")]);
        check(r#"a["b c"]["d"]"#, &[key("a"), key("b c"), key("d")]);
        check("[1][2]", &[PathStep::Index(1), PathStep::Index(2)]);
        for bad in ["", "a.", ".a", "a[", "a[x]", "a[1.5]", "a b", "1a", "a..b", "a[\"b]"] {
            assert!(parse_path(bad).is_err(), "{bad:?}");
        }
    }
}
