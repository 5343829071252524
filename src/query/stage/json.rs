//! `| json`: every value of an object becomes a label, nested keys joined by `_`.

use super::errors;
use super::json_scan::{self as scan, Kind, Value};
use super::names::{NO_NAME, NameId, ROOT};
use super::parser::{Guards, Step};
use super::row::{Piece, Row};

/// Objects inside objects: far more than logs hold, and each level reads the text once more.
const DEPTH_MAX: usize = 64;

/// The parser without expressions.
#[derive(Debug, Clone, Default)]
pub struct JsonParser {
    pub(super) guards: Guards,
}

enum Halt {
    Broken(&'static str),
    /// All labels that anybody needs are there.
    Done,
    /// A label contradicts a filter further on.
    Refused,
}

impl From<&'static str> for Halt {
    fn from(message: &'static str) -> Self {
        Halt::Broken(message)
    }
}

impl JsonParser {
    pub(super) fn run(&self, row: &mut Row<'_>) -> Step {
        let result = row.with_line(|row, line| self.object(row, line, 0, ROOT, 0));
        match result {
            Ok(()) | Err(Halt::Done) => Step::Keep,
            Err(Halt::Refused) => Step::Drop,
            Err(Halt::Broken(message)) => {
                row.set_error(errors::JSON, message);
                Step::Keep
            }
        }
    }

    fn object(
        &self,
        row: &mut Row<'_>,
        line: &str,
        at: usize,
        prefix: NameId,
        depth: usize,
    ) -> Result<(), Halt> {
        if depth > DEPTH_MAX {
            return Err(Halt::Broken(scan::TOO_DEEP));
        }
        let mut scratch = std::mem::take(&mut row.state.scratch);
        let result =
            scan::each_member(line, at, scan::Commas::Needed, &mut scratch, &mut |key, value| {
                let value = value?;
                let name = row.state.names.of_key(prefix, key);
                match value.kind {
                    Kind::Object => {
                        let below = if name == NO_NAME { ROOT } else { name };
                        if row.state.names.is_wanted_prefix(below) {
                            self.object(row, line, value.start, below, depth + 1)?;
                        }
                        return Ok(());
                    }
                    Kind::String | Kind::Number | Kind::Bool => {
                        self.leaf(row, line, name, value)?
                    }
                    Kind::Array | Kind::Null => {}
                }
                if row.has_all_wanted() { Err(Halt::Done) } else { Ok(()) }
            });
        row.state.scratch = scratch;
        result
    }

    fn leaf(&self, row: &mut Row<'_>, line: &str, name: NameId, value: Value) -> Result<(), Halt> {
        if name == NO_NAME {
            return Ok(());
        }
        let name = row.parsed_name(name);
        if !row.state.names.is_wanted(name) || row.is_set(name) {
            return Ok(());
        }
        let piece = string_piece(row, line, value);
        if row.set_parsed(name, piece, &self.guards) { Ok(()) } else { Err(Halt::Refused) }
    }
}

/// The text of a string, number or boolean: a piece of the line, or of the arena where escapes
/// had to be resolved. A string with a bad escape counts as empty.
pub(super) fn string_piece(row: &mut Row<'_>, line: &str, value: Value) -> Piece {
    let body = line.get(value.start..value.end).unwrap_or_default();
    let clean = |text: &str| memchr::memmem::find(text.as_bytes(), b"\xef\xbf\xbd").is_none();
    if !value.escaped && (value.kind != Kind::String || clean(body)) {
        return row.line.within(value.start, value.end);
    }
    let start = row.state.arena.len();
    if scan::unescape(body, &mut row.state.arena).is_none() {
        row.state.arena.truncate(start);
    }
    let text = row.state.arena.get(start..).unwrap_or_default();
    if !clean(text) {
        let replaced = text.replace('\u{fffd}', " ");
        row.state.arena.truncate(start);
        row.state.arena.push_str(&replaced);
    }
    Piece { source: super::row::Source::Arena, start, end: row.state.arena.len() }
}
