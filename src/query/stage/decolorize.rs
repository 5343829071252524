//! `| decolorize`: removes ANSI escape sequences.

use std::sync::LazyLock;

use regex::Regex;

use super::row::{Piece, Row, Source};

/// The sequences that the stripansi tools agree on.
static SEQUENCE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        "[\u{1b}\u{9b}][\\[\\]()#;?]*",
        "(?:(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\u{7})",
        "|(?:(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-ntqry=><~]))",
    ))
    .ok()
});

pub(super) fn run(row: &mut Row<'_>) {
    let Some(sequence) = SEQUENCE.as_ref() else { return };
    let first = memchr::memchr2(0x1b, 0xc2, row.line().as_bytes());
    if first.is_none() {
        return;
    }
    let plain = row.with_line(|row, line| {
        if !sequence.is_match(line) {
            return None;
        }
        let start = row.state.arena.len();
        let mut kept = 0;
        for found in sequence.find_iter(line) {
            row.state.arena.push_str(line.get(kept..found.start()).unwrap_or_default());
            kept = found.end();
        }
        row.state.arena.push_str(line.get(kept..).unwrap_or_default());
        Some(Piece { source: Source::Arena, start, end: row.state.arena.len() })
    });
    if let Some(plain) = plain {
        row.line = plain;
    }
}
