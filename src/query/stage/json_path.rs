//! `| json a="x.y[0]", b="h[\"k\"]"`: labels from paths.

use crate::query::syntax::ast::FieldPath;
use crate::query::syntax::path::{PathStep, json_path};

use super::compile::Pinned;
use super::errors;
use super::json::string_piece;
use super::json_scan::{self as scan, Kind, Value};
use super::names::NameId;
use super::parser::Step;
use super::row::{Piece, Row, Source};

/// Steps of one path; deeper ones are a mistake.
const STEPS_MAX: usize = 64;

fn parse_path(path: &str) -> Result<Vec<PathStep>, String> {
    let steps =
        json_path(path).map_err(|fault| format!("cannot parse expression [{path}]: {fault}"))?;
    if steps.len() > STEPS_MAX {
        return Err(format!("cannot parse expression [{path}]: more than {STEPS_MAX} steps"));
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
        } else if is_loose_key(line.as_bytes()) {
            walk.broken = Some(scan::MALFORMED);
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

/// A line that begins with a key outside of any object.
fn is_loose_key(line: &[u8]) -> bool {
    scan::string_end(line, 1)
        .and_then(|(end, _)| scan::next_token(line, end + 1))
        .is_some_and(|(_, next)| next == b':')
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
        let result =
            scan::each_member(line, at, scan::Commas::Optional, &mut scratch, &mut |key, value| {
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
                    // A broken value matters only to who wants it as it is.
                    Err(_) if below.iter().all(|&field| self.step(field, depth + 1).is_some()) => {
                        Ok(())
                    }
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
