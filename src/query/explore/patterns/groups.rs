//! Rows that are sure to have the same pattern, put together before any line is built: those of
//! one shape that differ in numbers alone. A line is built for the first of them, and for each
//! that differs in a place where none did before.

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::lines::{Cell, Lines};
use super::miner::{LEVEL, Level, Miner, Source, holds_together};
use super::tokens::{MESSAGE_KEYS, Reading, Tokens, is_variable, parts_tokens};
use crate::limits;
use crate::model::Timestamp;
use crate::store::read::{
    Column, Format, HoleKind, ReadError, Rows, Shape, Shaped, StreamMeta, WHOLE,
};

/// Rows of one shape and level that differ in numbers alone.
struct Group {
    /// Where the first of them has its values.
    first_place: usize,
    lines: Lines,
    /// Holes in which some numbers have been the same in all rows so far.
    watched: Vec<Watched>,
}

struct Watched {
    hole: usize,
    /// A bit for each number of the value that was seen to differ.
    differ: u128,
}

/// What became of the rows that have the same key.
enum Kind {
    Group(Group),
    /// They differ in so much that each is looked at.
    Loose,
    /// Too short, too long, or without a message.
    Nothing,
}

/// A hole that tells rows of a shape apart.
struct Telling<'a> {
    column: Column<'a>,
    /// The value is one token, however many spaces it holds.
    whole: bool,
    /// Of a dictionary what each value says.
    keys: Vec<u64>,
}

impl<'a> Telling<'a> {
    fn of(column: Column<'a>, whole: bool) -> Telling<'a> {
        let keys = match column {
            Column::Dictionary { values, .. } => {
                values.iter().map(|value| value_key(value, whole)).collect()
            }
            _ => Vec::new(),
        };
        Telling { column, whole, keys }
    }

    fn text(&self, place: usize) -> &'a str {
        match self.column {
            Column::Dictionary { values, codes } => {
                let code = codes.get(place).copied().map_or(0, usize::from);
                values.get(code).copied().unwrap_or_default()
            }
            Column::Texts { text, ends } => {
                let end = |at: usize| ends.get(at).copied().unwrap_or_default() as usize;
                let start = place.checked_sub(1).map_or(0, end);
                text.get(start..end(place)).unwrap_or_default()
            }
            Column::Integers(_) | Column::Decimals { .. } => "",
        }
    }

    /// What the value says but for its numbers.
    fn key(&self, place: usize) -> u64 {
        match self.column {
            Column::Dictionary { codes, .. } => {
                let code = codes.get(place).copied().map_or(0, usize::from);
                self.keys.get(code).copied().unwrap_or_default()
            }
            Column::Texts { .. } => value_key(self.text(place), self.whole),
            Column::Integers(_) | Column::Decimals { .. } => 0,
        }
    }

    /// Which of its numbers differ from those at another place, given that the keys are the same.
    fn difference(&self, a: usize, b: usize) -> u128 {
        match self.column {
            Column::Integers(numbers) | Column::Decimals { numbers, .. } => {
                u128::from(numbers.get(a) != numbers.get(b))
            }
            Column::Dictionary { codes, .. } if codes.get(a) == codes.get(b) => 0,
            _ => {
                let (a, b) = (self.text(a), self.text(b));
                if a == b {
                    return 0;
                }
                if self.whole {
                    return 1;
                }
                let pairs = numbers(a).zip(numbers(b)).enumerate();
                let differ = pairs.filter(|(_, (a, b))| a != b);
                differ.fold(0, |bits, (at, _)| bits | 1 << at.min(127))
            }
        }
    }

    /// The bits that `difference` can give.
    fn all(&self, place: usize) -> u128 {
        let count = match self.column {
            Column::Integers(_) | Column::Decimals { .. } => 1,
            _ if self.whole => usize::from(has_digit(self.text(place))),
            _ => numbers(self.text(place)).count(),
        };
        1_u128.checked_shl(count as u32).map_or(u128::MAX, |bit| bit - 1)
    }
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Pieces of a text that are tokens or parts of them, and what stands between.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let len = rest.iter().position(|byte| parts_tokens(*byte)).unwrap_or(rest.len()).max(1);
        let piece = text.get(at..at + len);
        at += len;
        piece
    })
}

/// Not those with other scripts: there may be punctuation in them.
fn is_number(piece: &str) -> bool {
    has_digit(piece) && piece.is_ascii()
}

fn numbers(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter(|piece| is_number(piece))
}

/// The same for values that differ in numbers alone.
fn value_key(text: &str, whole: bool) -> u64 {
    if whole {
        return if has_digit(text) { 0 } else { xxh3_64(text.as_bytes()) };
    }
    if !has_digit(text) {
        return xxh3_64(text.as_bytes());
    }
    let mut key = 1_u64;
    for piece in pieces(text) {
        let own = match piece.as_bytes() {
            [byte] if !byte.is_ascii_digit() => u64::from(*byte),
            _ if is_number(piece) => 0,
            bytes => xxh3_64(bytes),
        };
        key = (key.rotate_left(7) ^ own).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    key
}

/// How rows of a shape are looked at.
enum Way<'a> {
    /// The values that tell them apart; the message alone where that is all there is to read.
    Columns {
        telling: Vec<Telling<'a>>,
        is_message: bool,
    },
    Nothing,
}

fn way<'a>(
    shaped: &'a dyn Shaped,
    at: usize,
    shape: &Shape,
    reading: Reading,
) -> Result<Way<'a>, ReadError> {
    if reading == Reading::Json && shape.format == Format::Json {
        let mut message = None;
        for key in MESSAGE_KEYS {
            let first = shape.holes.iter().position(|hole| hole.path == [key]);
            let text = first.filter(|first| {
                shape.holes.get(*first).is_some_and(|hole| hole.kind == HoleKind::String)
            });
            message = message.or(text);
        }
        let Some(hole) = message else { return Ok(Way::Nothing) };
        let telling = vec![Telling::of(shaped.column(at, hole)?, false)];
        return Ok(Way::Columns { telling, is_message: true });
    }
    // Lines that are read in another way than they were shaped differ as texts do.
    let whole = reading == Reading::Logfmt && shape.format == Format::Logfmt;
    let mut telling = Vec::new();
    for (place, hole) in shape.holes.iter().enumerate() {
        if !(whole && hole.path.iter().any(|key| is_variable(key))) {
            telling.push(Telling::of(shaped.column(at, place)?, whole));
        }
    }
    Ok(Way::Columns { telling, is_message: false })
}

/// Reads lines of one stream out of one block.
struct Block<'a> {
    stream: &'a StreamMeta,
    rows: &'a dyn Rows,
    step_ms: i64,
    reading: Reading,
    miner: &'a mut Miner,
    /// Room for a line, its tokens, and what is made of those.
    line: String,
    tokens: Tokens,
    scratch: Vec<u8>,
}

/// Counts the rows of one stream out of one block.
pub fn mine(
    stream: &StreamMeta,
    rows: &dyn Rows,
    step_ms: i64,
    miner: &mut Miner,
) -> Result<(), ReadError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut line = String::new();
    match rows.shaped() {
        Some(shaped) => shaped.line_into(0, &mut line)?,
        None => {
            rows.load_lines()?;
            line.push_str(rows.line(0));
        }
    }
    let reading = miner.reading(stream.id, rows.ts(0), &line);
    let (tokens, scratch) = (Tokens::default(), Vec::new());
    let mut block = Block { stream, rows, step_ms, reading, miner, line, tokens, scratch };
    match rows.shaped() {
        Some(shaped) => block.mine_shaped(shaped),
        None => (0..rows.len()).try_for_each(|row| {
            block.line.clear();
            block.line.push_str(rows.line(row));
            block.add_row(row);
            Ok(())
        }),
    }
}

impl Block<'_> {
    fn level(&self, row: usize) -> Level {
        let mut entries = (0..self.rows.metadata_len(row)).map(|at| self.rows.metadata(row, at));
        Level::of(entries.find(|(name, _)| *name == LEVEL).map(|(_, value)| value))
    }

    fn source(&self, level: Level) -> Source {
        Source { stream: self.stream.id, reading: self.reading, level }
    }

    /// The row whose line was built.
    fn add_row(&mut self, row: usize) {
        if !self.tokens.read(&self.line, self.reading) {
            return;
        }
        let (ts, source) = (self.rows.ts(row), self.source(self.level(row)));
        let cell = Cell::of(ts, self.step_ms);
        self.miner.add_line(source, &self.tokens, ts, cell, &mut self.scratch);
    }

    fn add_shaped_row(&mut self, shaped: &dyn Shaped, row: usize) -> Result<(), ReadError> {
        self.line.clear();
        shaped.line_into(row, &mut self.line)?;
        self.add_row(row);
        Ok(())
    }

    /// Reads the tokens of a row; `false` when it belongs to no pattern.
    fn read(
        &mut self,
        shaped: &dyn Shaped,
        row: usize,
        message: Option<&str>,
    ) -> Result<bool, ReadError> {
        if let Some(message) = message {
            return Ok(self.tokens.read_text(message));
        }
        self.line.clear();
        shaped.line_into(row, &mut self.line)?;
        Ok(self.tokens.read(&self.line, self.reading))
    }

    fn mine_shaped(&mut self, shaped: &dyn Shaped) -> Result<(), ReadError> {
        let mut kinds: HashMap<(u16, Level, u64), Kind> = HashMap::new();
        // By shape: how its rows are looked at, and the place of its next row.
        let mut ways: Vec<Option<(Way<'_>, usize)>> = Vec::new();
        ways.resize_with(shaped.shapes().len(), || None);
        let mut clock = Clock { step_ms: self.step_ms, now: None };
        for (row, &shape) in shaped.shape_ids().iter().enumerate() {
            let at = usize::from(shape);
            let known = if shape == WHOLE { None } else { ways.get_mut(at) };
            let (Some(slot), Some(found)) = (known, shaped.shapes().get(at)) else {
                self.add_shaped_row(shaped, row)?;
                continue;
            };
            let (way, next) = match slot {
                Some(way) => way,
                None => {
                    slot.insert((way(shaped, at, found, self.reading)?, shaped.first_place(at)))
                }
            };
            let place = *next;
            *next += 1;
            let (telling, is_message) = match way {
                Way::Nothing => continue,
                Way::Columns { telling, is_message } => (&telling[..], *is_message),
            };
            let key = telling.iter().fold(0, |key: u64, hole| {
                (key.rotate_left(5) ^ hole.key(place)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            });
            let level = self.level(row);
            let (ts, count) = (self.rows.ts(row), kinds.len());
            let message = telling.first().filter(|_| is_message).map(|message| message.text(place));
            match kinds.get_mut(&(shape, level, key)) {
                Some(Kind::Group(group)) => {
                    if group.watch(telling, place) && self.read(shaped, row, message)? {
                        group.lines.differ |= group.lines.tokens.difference(&self.tokens);
                    }
                    group.lines.last = ts;
                    group.lines.counts.add(clock.cell(ts));
                }
                Some(Kind::Loose) => self.add_shaped_row(shaped, row)?,
                Some(Kind::Nothing) => {}
                None if count >= limits::PATTERN_GROUPS_MAX => self.add_shaped_row(shaped, row)?,
                None => {
                    let kind = if !self.read(shaped, row, message)? {
                        Kind::Nothing
                    } else if !holds_together(&self.tokens) {
                        self.add_shaped_row(shaped, row)?;
                        Kind::Loose
                    } else {
                        let mut lines = Lines::new(&self.tokens, ts);
                        lines.counts.add(clock.cell(ts));
                        Kind::Group(Group::new(telling, place, lines))
                    };
                    kinds.insert((shape, level, key), kind);
                }
            }
        }
        let mut groups: Vec<(Level, Lines)> = Vec::new();
        for ((_, level, _), kind) in kinds {
            if let Kind::Group(group) = kind {
                groups.push((level, group.lines));
            }
        }
        groups.sort_unstable_by(|(_, a), (_, b)| (a.first, &a.tokens).cmp(&(b.first, &b.tokens)));
        for (level, lines) in groups {
            let source = self.source(level);
            self.miner.add(source, lines, &mut self.scratch);
        }
        Ok(())
    }
}

impl Group {
    fn new(telling: &[Telling<'_>], place: usize, lines: Lines) -> Group {
        let watched = telling.iter().enumerate().filter(|(_, hole)| hole.all(place) != 0);
        let watched = watched.map(|(hole, _)| Watched { hole, differ: 0 }).collect();
        Group { first_place: place, lines, watched }
    }

    /// Whether a row differs from the first in a number that was the same before.
    fn watch(&mut self, telling: &[Telling<'_>], place: usize) -> bool {
        let first = self.first_place;
        let mut is_new = false;
        self.watched.retain_mut(|watched| {
            let Some(hole) = telling.get(watched.hole) else { return false };
            let differ = watched.differ | hole.difference(first, place);
            if differ == watched.differ {
                return true;
            }
            is_new = true;
            watched.differ = differ;
            differ != hole.all(first)
        });
        is_new
    }
}

/// Cells of times that come in order.
struct Clock {
    step_ms: i64,
    /// From when until when in nanoseconds the cell is the same.
    now: Option<(i64, i64, Cell)>,
}

impl Clock {
    fn cell(&mut self, ts: Timestamp) -> Cell {
        match self.now {
            Some((from, until, cell)) if (from..until).contains(&ts.0) => cell,
            _ => {
                let cell = Cell::of(ts, self.step_ms);
                let from = super::lines::floor(ts.0, SAMPLE_NS);
                self.now = Some((from, from.saturating_add(SAMPLE_NS), cell));
                cell
            }
        }
    }
}

const SAMPLE_NS: i64 = super::lines::SAMPLE_MS * 1_000_000;
