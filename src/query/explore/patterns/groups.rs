//! Rows that are sure to have the same pattern, put together before any line is built: those of
//! one shape, with the same message where the shape has one.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use xxhash_rust::xxh3::xxh3_64;

use super::miner::{Counts, Miner};
use super::tokens::{MESSAGE_KEYS, varies};
use super::{LEVEL, LEVEL_UNKNOWN};
use crate::store::read::{Column, Format, ReadError, Rows, Shaped, StreamMeta, WHOLE};

/// Groups of one piece of a block; rows beyond them are looked at one by one.
const GROUPS_MAX: usize = 4096;

/// Rows with the same shape and message.
struct Group {
    first: usize,
    last: usize,
    /// By level, by step; few of each, so a list that is searched from its end.
    counts: Vec<(u16, i64, u64)>,
}

/// The levels of a piece of a block, each once.
#[derive(Default)]
struct Levels(Vec<String>);

impl Levels {
    fn place(&mut self, level: &str) -> u16 {
        let at = match self.0.iter().position(|known| known == level) {
            Some(at) => at,
            None if self.0.len() < usize::from(u16::MAX) => {
                self.0.push(level.to_owned());
                self.0.len() - 1
            }
            None => 0,
        };
        at as u16
    }
}

fn level<'a>(stream: &'a StreamMeta, rows: &'a dyn Rows, row: usize) -> &'a str {
    if let Some(level) = stream.labels.get(LEVEL) {
        return level;
    }
    let mut metadata = (0..rows.metadata_len(row)).map(|at| rows.metadata(row, at));
    metadata.find(|(name, _)| *name == LEVEL).map_or(LEVEL_UNKNOWN, |(_, value)| value)
}

/// A column that tells rows of a shape apart.
enum Telling<'a> {
    /// What each of a few values says, and for each place which one.
    Few(Vec<u64>, &'a [u16]),
    Many {
        text: &'a str,
        ends: &'a [u32],
    },
}

impl<'a> Telling<'a> {
    /// `None` for columns of numbers, and those of which all values say the same.
    fn of(column: Column<'a>) -> Option<Telling<'a>> {
        match column {
            Column::Dictionary { values, codes } => {
                let keys: Vec<u64> = values.iter().map(|text| words_key(text)).collect();
                let differ = keys.iter().any(|key| Some(key) != keys.first());
                differ.then_some(Telling::Few(keys, codes))
            }
            Column::Texts { text, ends } => Some(Telling::Many { text, ends }),
            Column::Integers(_) | Column::Decimals { .. } => None,
        }
    }

    fn key(&self, place: usize) -> u64 {
        match self {
            Telling::Few(keys, codes) => {
                let code = codes.get(place).copied().unwrap_or_default();
                keys.get(usize::from(code)).copied().unwrap_or_default()
            }
            Telling::Many { text, ends } => {
                let end = |at: usize| ends.get(at).copied().unwrap_or_default() as usize;
                let start = place.checked_sub(1).map_or(0, end);
                text.get(start..end(place)).map_or(0, words_key)
            }
        }
    }
}

/// The same for messages that differ in words with digits alone.
fn words_key(text: &str) -> u64 {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        hash.update(if varies(word) { b"0" } else { word.as_bytes() });
    }
    hash.digest()
}

/// The message of a JSON or logfmt line; of a text all that is not a number.
fn telling<'a>(shaped: &'a dyn Shaped, shape: usize) -> Result<Vec<Telling<'a>>, ReadError> {
    let mut columns = Vec::new();
    let Some(found) = shaped.shapes().get(shape) else { return Ok(columns) };
    for (at, hole) in found.holes.iter().enumerate() {
        let is_wanted = found.format == Format::Text
            || matches!(&hole.path[..], [key] if MESSAGE_KEYS.contains(&key.as_str()));
        if is_wanted {
            columns.extend(Telling::of(shaped.column(shape, at)?));
        }
    }
    Ok(columns)
}

/// Counts the rows of one stream out of one block.
pub fn mine(
    stream: &StreamMeta,
    rows: &dyn Rows,
    step_ns: i64,
    miner: &mut Miner,
) -> Result<(), ReadError> {
    let step = |row: usize| rows.ts(row).0.div_euclid(step_ns).saturating_mul(step_ns);
    let Some(shaped) = rows.shaped() else {
        return mine_lines(stream, rows, step, miner);
    };
    let mut levels = Levels::default();
    let mut groups: HashMap<(u16, u64), Group> = HashMap::new();
    // By shape: what tells its rows apart, and the place of its next row.
    let mut shapes: HashMap<u16, (Vec<Telling<'_>>, usize)> = HashMap::new();
    let mut line = String::new();
    for (row, &shape) in shaped.shape_ids().iter().enumerate() {
        let key = if shape == WHOLE {
            line.clear();
            shaped.line_into(row, &mut line)?;
            (WHOLE, xxh3_64(line.as_bytes()))
        } else {
            let (columns, place) = match shapes.entry(shape) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let at = usize::from(shape);
                    new.insert((telling(shaped, at)?, shaped.first_place(at)))
                }
            };
            let key =
                columns.iter().fold(0, |key: u64, column| key.rotate_left(5) ^ column.key(*place));
            *place += 1;
            (shape, key)
        };
        let level = levels.place(level(stream, rows, row));
        let step = step(row);
        let count = groups.len();
        let group = match groups.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if count >= GROUPS_MAX => {
                line.clear();
                shaped.line_into(row, &mut line)?;
                let level = levels.0.get(usize::from(level)).map_or("", String::as_str);
                miner.add_line(&line, level, step);
                continue;
            }
            Entry::Vacant(new) => new.insert(Group { first: row, last: row, counts: Vec::new() }),
        };
        group.last = row;
        // Rows come in the order of time.
        let recent = group.counts.iter_mut().rev().take_while(|(_, at, _)| *at == step);
        match recent.into_iter().find(|(known, ..)| *known == level) {
            Some((.., count)) => *count += 1,
            None => group.counts.push((level, step, 1)),
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_unstable_by_key(|group| group.first);
    for group in groups {
        let mut counts = Counts::new();
        for (level, step, count) in group.counts {
            let level = levels.0.get(usize::from(level)).cloned().unwrap_or_default();
            *counts.entry(level).or_default().entry(step).or_default() += count;
        }
        line.clear();
        shaped.line_into(group.first, &mut line)?;
        miner.add(&line, &counts);
        if group.last != group.first {
            // Where these two differ, others do as well.
            line.clear();
            shaped.line_into(group.last, &mut line)?;
            miner.add(&line, &Counts::new());
        }
    }
    Ok(())
}

/// The same over rows that have no shapes.
fn mine_lines(
    stream: &StreamMeta,
    rows: &dyn Rows,
    step: impl Fn(usize) -> i64,
    miner: &mut Miner,
) -> Result<(), ReadError> {
    rows.load_lines()?;
    for row in 0..rows.len() {
        miner.add_line(rows.line(row), level(stream, rows, row), step(row));
    }
    Ok(())
}
