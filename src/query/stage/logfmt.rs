//! `| logfmt`: `key=value` pairs become labels.

use std::borrow::Cow;

use crate::query::syntax::ast::FieldPath;
use crate::query::syntax::path::logfmt_key;
use crate::text::logfmt::{Pair, Scanner};

use super::compile::Pinned;
use super::errors;
use super::names::{NO_NAME, NameId, ROOT};
use super::parser::{Guards, Step};
use super::row::{Piece, Row, Source};

/// What a fault in a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    Skip,
    /// `--strict`: parsing ends, the line gets an error.
    Stop,
}

impl Faults {
    fn scanner(self, line: &str) -> Scanner<'_> {
        match self {
            Faults::Skip => Scanner::lenient(line),
            Faults::Stop => Scanner::new(line),
        }
    }
}

/// What happens to keys without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyValues {
    Skip,
    /// `--keep-empty`
    Keep,
}

/// The parser without expressions.
#[derive(Debug, Clone)]
pub struct LogfmtParser {
    pub faults: Faults,
    pub empty: EmptyValues,
    pub(super) guards: Guards,
}

impl LogfmtParser {
    pub(super) fn run(&self, row: &mut Row<'_>) -> Step {
        row.with_line(|row, line| self.extract(row, line))
    }

    fn extract(&self, row: &mut Row<'_>, line: &str) -> Step {
        for pair in self.faults.scanner(line) {
            let (key, value) = match pair {
                Pair::Value { key, value, .. } => (key, value),
                Pair::Empty { key } => (key, Cow::Borrowed("")),
                Pair::Malformed { message } => {
                    if self.faults == Faults::Stop {
                        row.set_error(errors::LOGFMT, &message);
                        return Step::Keep;
                    }
                    continue;
                }
            };
            if value.is_empty() && self.empty == EmptyValues::Skip {
                continue;
            }
            let name = row.state.names.of_key(ROOT, key);
            if name == NO_NAME {
                continue;
            }
            let name = row.parsed_name(name);
            if !row.wants(name) {
                continue;
            }
            let piece = value_piece(row, line, &value);
            if !row.set_parsed(name, piece, &self.guards) {
                return Step::Drop;
            }
            if row.has_all_wanted() {
                break;
            }
        }
        Step::Keep
    }
}

/// The parser with expressions: the last pair of a key wins, a missing one gives an empty label.
#[derive(Debug, Clone)]
pub struct LogfmtFields {
    faults: Faults,
    fields: Vec<(NameId, String)>,
}

impl LogfmtFields {
    pub(super) fn compile(
        fields: &[FieldPath],
        faults: Faults,
        pinned: &mut Pinned,
    ) -> Result<Self, String> {
        let fields = fields
            .iter()
            .map(|field| Ok((pinned.id(&field.label), parse_key(&field.path)?)))
            .collect::<Result<_, String>>()?;
        Ok(LogfmtFields { faults, fields })
    }

    pub(super) fn sets(&self, name: NameId) -> bool {
        self.fields.iter().any(|(field, _)| *field == name)
    }

    pub(super) fn run(&self, row: &mut Row<'_>) -> Step {
        row.with_line(|row, line| self.extract(row, line));
        Step::Keep
    }

    fn extract(&self, row: &mut Row<'_>, line: &str) {
        for (name, _) in &self.fields {
            if !row.is_original(*name) {
                row.set(*name, Piece { source: Source::Arena, start: 0, end: 0 });
            }
        }
        for pair in self.faults.scanner(line) {
            let (key, value) = match pair {
                Pair::Value { key, value, .. } => (key, value),
                Pair::Empty { key } => (key, Cow::Borrowed("")),
                Pair::Malformed { message } => {
                    if self.faults == Faults::Stop {
                        row.set_error(errors::LOGFMT, &message);
                        return;
                    }
                    continue;
                }
            };
            let key = row.state.names.of_key(ROOT, key);
            // What a stage has set already is not taken a second time under another name.
            if row.is_set(key) && !self.sets(key) {
                continue;
            }
            let is_wanted = |wanted: &str| row.state.names.text(key) == wanted;
            // A key that nobody asks for is taken all the same if a field goes by its name.
            let by_name = !self.fields.iter().any(|(_, wanted)| is_wanted(wanted));
            for (name, wanted) in &self.fields {
                if row.state.names.text(key) == wanted || (by_name && *name == key) {
                    let name = row.parsed_name(*name);
                    let piece = value_piece(row, line, &value);
                    row.set(name, piece);
                }
            }
        }
    }
}

fn parse_key(path: &str) -> Result<String, String> {
    logfmt_key(path).map_err(|fault| format!("cannot parse expression [{path}]: {fault}"))
}

fn value_piece(row: &mut Row<'_>, line: &str, value: &str) -> Piece {
    if memchr::memmem::find(value.as_bytes(), b"\xef\xbf\xbd").is_some() {
        return row.keep(&value.replace('\u{fffd}', " "));
    }
    // Values without escapes are pieces of the line; their place tells which.
    let start = (value.as_ptr() as usize).wrapping_sub(line.as_ptr() as usize);
    let end = start.wrapping_add(value.len());
    if line.get(start..end) == Some(value) {
        return row.line.within(start, end);
    }
    row.keep(value)
}
