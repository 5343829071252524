//! `| unpack`: takes lines out of the JSON that Promtail's pack stage put around them.

use super::errors;
use super::json::string_piece;
use super::json_scan::{self as scan, Kind, Value};
use super::names::ROOT;
use super::parser::{Guards, Step};
use super::row::Row;

const ENTRY: &str = "_entry";

/// The parser.
#[derive(Debug, Clone, Default)]
pub struct Unpack {
    pub(super) guards: Guards,
}

impl Unpack {
    pub(super) fn run(&self, row: &mut Row<'_>) -> Step {
        row.with_line(|row, line| self.extract(row, line))
    }

    fn extract(&self, row: &mut Row<'_>, line: &str) -> Step {
        match line.as_bytes().first() {
            None => return Step::Keep,
            Some(b'{') => {}
            Some(_) => {
                row.set_error(errors::JSON, "expecting json object(6), but it is not");
                return Step::Keep;
            }
        }
        let mut entry: Option<Value> = None;
        let mut labels: Vec<(u32, Value)> = Vec::new();
        let mut scratch = std::mem::take(&mut row.state.scratch);
        let result: Result<(), &'static str> =
            scan::each_member(line, 0, scan::Commas::Needed, &mut scratch, &mut |key, value| {
                let value = value?;
                if value.kind != Kind::String {
                    return Ok(());
                }
                if key == ENTRY {
                    entry = Some(value);
                    return Ok(());
                }
                let name = row.state.names.of_key(ROOT, key);
                let name = row.parsed_name(name);
                if row.wants(name) {
                    labels.push((name, value));
                }
                Ok(())
            });
        row.state.scratch = scratch;
        if let Err(message) = result {
            row.set_error(errors::JSON, message);
            return Step::Keep;
        }
        let Some(entry) = entry else { return Step::Keep };
        let packed = row.line;
        let body = line.get(entry.start..entry.end).unwrap_or_default();
        let mut unpacked = packed.within(entry.start, entry.end);
        if entry.escaped {
            let start = row.state.arena.len();
            if scan::unescape(body, &mut row.state.arena).is_none() {
                row.state.arena.truncate(start);
                row.set_error(errors::JSON, scan::MALFORMED_ESCAPE);
                return Step::Keep;
            }
            unpacked = super::row::Piece {
                source: super::row::Source::Arena,
                start,
                end: row.state.arena.len(),
            };
        }
        for (name, value) in labels {
            let piece = string_piece(row, line, value);
            if !row.set_parsed(name, piece, &self.guards) {
                return Step::Drop;
            }
        }
        row.line = unpacked;
        Step::Keep
    }
}
