//! What was found in the lines of many streams, a tree for each stream and level, and the patterns
//! that this comes to.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_128;

use super::DetectedPattern;
use super::lines::{Cell, Lines};
use super::tokens::{Reading, Tokens, has_number};
use super::tree::{Tree, is_same_kind};
use crate::limits;
use crate::model::{StreamId, Timestamp};
use crate::query::run::cache::Weigh;

pub const LEVEL: &str = "detected_level";
/// Levels that have a tree of their own; lines of all others go into that of the first.
const LEVELS: [&str; 8] =
    ["unknown", "debug", "info", "warn", "error", "fatal", "critical", "trace"];
/// Patterns of fewer lines are not told.
const PATTERN_LINES_MIN: u64 = 30;

/// A place in `LEVELS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Level(u8);

impl Level {
    pub fn of(value: Option<&str>) -> Level {
        let Some(value) = value else { return Level::default() };
        let known = |value: &str| LEVELS.iter().position(|level| *level == value);
        let place = known(value).or_else(|| known(&value.to_lowercase()));
        Level(place.unwrap_or_default() as u8)
    }

    fn name(self) -> &'static str {
        LEVELS.get(usize::from(self.0)).copied().unwrap_or_default()
    }
}

/// Lines that are mined together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    pub stream: StreamId,
    pub reading: Reading,
    pub level: Level,
}

/// The lines of a source. What differs in tokens with numbers alone takes the same way through any
/// tree, so it is put together before; that does not depend on the order in which it is seen, as
/// a tree does, and parts of a range can be looked at each on its own.
#[derive(Debug, Clone, Default)]
struct Found {
    groups: HashMap<u128, Lines>,
    /// What does not fit into groups.
    tree: Tree,
}

/// The readings that streams have where that was found out before, instead of a guess.
pub type Readings = BTreeMap<StreamId, Reading>;

#[derive(Debug, Clone, Default)]
pub struct Miner {
    found: HashMap<Source, Found>,
    /// How the first line of a stream was read, and when it was.
    readings: HashMap<StreamId, (Timestamp, Reading)>,
    given: Option<Arc<Readings>>,
    groups: usize,
    /// What all of it takes in memory, about.
    held: usize,
}

/// A source or a group beside what is in it.
const SLOT_BYTES: usize = 64;

impl Weigh for Miner {
    fn bytes(&self) -> usize {
        self.held + (self.found.len() + self.readings.len()) * 4 * SLOT_BYTES
    }
}

/// The same for lines whose tokens differ in those with numbers alone.
fn key(tokens: &Tokens, scratch: &mut Vec<u8>) -> u128 {
    scratch.clear();
    for token in tokens.iter() {
        scratch.extend_from_slice(if has_number(token) { b"0" } else { token });
        scratch.push(0xff);
    }
    xxh3_128(scratch)
}

/// Whether lines that differ in all tokens with numbers are still of one kind.
pub fn holds_together(tokens: &Tokens) -> bool {
    let same = tokens.iter().filter(|token| !has_number(token)).count();
    is_same_kind(same, tokens.len())
}

impl Miner {
    pub fn new(given: Option<Arc<Readings>>) -> Self {
        Miner { given, ..Miner::default() }
    }

    /// An empty one that reads streams in the same ways.
    pub fn another(&self) -> Self {
        Miner::new(self.given.clone())
    }

    /// How the lines of a stream are read of which `line` is the first here.
    pub fn reading(&mut self, stream: StreamId, ts: Timestamp, line: &str) -> Reading {
        let given = self.given.as_ref().and_then(|given| given.get(&stream));
        let reading = given.copied().unwrap_or_else(|| Reading::guess(line));
        self.note(stream, ts, reading);
        reading
    }

    /// How the lines of a stream are read, given one of them if none was seen before.
    pub fn reading_by_any(&mut self, stream: StreamId, ts: Timestamp, line: &str) -> Reading {
        match self.readings.get(&stream) {
            Some((_, reading)) => *reading,
            None => self.reading(stream, ts, line),
        }
    }

    fn note(&mut self, stream: StreamId, ts: Timestamp, reading: Reading) {
        let known = self.readings.entry(stream).or_insert((ts, reading));
        if ts < known.0 {
            *known = (ts, reading);
        }
    }

    /// Streams of which lines were read in several ways, and how they should be.
    pub fn ambiguous(&self) -> Readings {
        let mut wrong = Readings::new();
        for source in self.found.keys() {
            if let Some((_, reading)) = self.readings.get(&source.stream)
                && *reading != source.reading
            {
                wrong.insert(source.stream, *reading);
            }
        }
        wrong
    }

    /// Takes in lines whose tokens differ in those with numbers alone.
    pub fn add(&mut self, source: Source, lines: Lines, scratch: &mut Vec<u8>) {
        let key = key(&lines.tokens, scratch);
        self.add_group(source, key, lines);
    }

    fn add_group(&mut self, source: Source, key: u128, lines: Lines) {
        let found = self.found.entry(source).or_default();
        let has_room = found.groups.len() < limits::PATTERN_GROUPS_MAX
            && self.groups < limits::PATTERN_GROUPS_OF_ALL_MAX;
        let (before, after) = match found.groups.get_mut(&key) {
            Some(known) => {
                let before = known.bytes();
                known.append(lines);
                (before, known.bytes())
            }
            None if has_room => {
                let bytes = lines.bytes() + SLOT_BYTES;
                found.groups.insert(key, lines);
                self.groups += 1;
                (0, bytes)
            }
            None => {
                let before = found.tree.bytes();
                found.tree.add(lines);
                (before, found.tree.bytes())
            }
        };
        self.held = self.held + after - before;
    }

    /// One line, read for this source.
    pub fn add_line(
        &mut self,
        source: Source,
        tokens: &Tokens,
        ts: Timestamp,
        cell: Cell,
        scratch: &mut Vec<u8>,
    ) {
        let found = self.found.entry(source).or_default();
        if !holds_together(tokens) {
            let before = found.tree.bytes();
            found.tree.add_line(tokens, ts, cell);
            self.held = self.held + found.tree.bytes() - before;
            return;
        }
        let key = key(tokens, scratch);
        if let Some(known) = found.groups.get_mut(&key) {
            let (is_first, before) = (ts < known.first, known.bytes());
            known.differ |= known.tokens.difference(tokens);
            known.first = known.first.min(ts);
            known.last = known.last.max(ts);
            known.counts.add(cell);
            if is_first {
                known.tokens = tokens.fitted();
            }
            self.held = self.held + known.bytes() - before;
            return;
        }
        let mut lines = Lines::new(tokens, ts);
        lines.counts.add(cell);
        self.add_group(source, key, lines);
    }

    /// Takes in what another has found.
    pub fn append(&mut self, other: Miner) {
        for (stream, (ts, reading)) in other.readings {
            self.note(stream, ts, reading);
        }
        // In an order of its own, so that the same parts give the same patterns.
        let mut found: Vec<(Source, Found)> = other.found.into_iter().collect();
        found.sort_unstable_by_key(|(source, _)| *source);
        for (source, found) in found {
            for (key, lines) in found.groups {
                self.add_group(source, key, lines);
            }
            let tree = &mut self.found.entry(source).or_default().tree;
            let before = tree.bytes();
            found.tree.into_kinds().for_each(|lines| tree.add(lines));
            self.held = self.held + tree.bytes() - before;
        }
    }

    /// The most frequent patterns.
    pub fn finish(self, step_ms: i64, limit: usize) -> Vec<DetectedPattern> {
        let mut kinds: Vec<(String, Level, Lines)> = Vec::new();
        for (source, found) in self.found {
            let mut groups: Vec<Lines> =
                found.groups.into_values().chain(found.tree.into_kinds()).collect();
            groups.sort_unstable_by(|a, b| (a.first, &a.tokens).cmp(&(b.first, &b.tokens)));
            let mut tree = Tree::default();
            groups.into_iter().for_each(|lines| tree.add(lines));
            for lines in tree.into_kinds() {
                let text = lines.pattern(source.reading);
                if !text.is_empty() {
                    kinds.push((text, source.level, lines));
                }
            }
        }
        let mut totals: HashMap<(&str, Level), u64> = HashMap::new();
        for (text, level, lines) in &kinds {
            *totals.entry((text, *level)).or_default() += lines.counts.total();
        }
        let mut order: Vec<((&str, Level), u64)> =
            totals.into_iter().filter(|(_, total)| *total >= PATTERN_LINES_MIN).collect();
        order.sort_unstable_by_key(|(pattern, total)| (Reverse(*total), *pattern));
        order.truncate(limit);
        let places = order.iter().enumerate().map(|(at, (pattern, _))| (*pattern, at));
        let places: HashMap<(&str, Level), usize> = places.collect();
        let mut steps: Vec<BTreeMap<i64, u64>> = vec![BTreeMap::new(); order.len()];
        for (text, level, lines) in &kinds {
            let place = places.get(&(text.as_str(), *level));
            let Some(steps) = place.and_then(|place| steps.get_mut(*place)) else { continue };
            lines.counts.each(step_ms, limits::PATTERN_STEPS_MAX, |at, count| {
                *steps.entry(at).or_default() += count;
            });
        }
        let patterns = order.iter().zip(steps);
        patterns
            .map(|(((pattern, level), _), steps)| DetectedPattern {
                pattern: (*pattern).to_owned(),
                level: level.name().to_owned(),
                samples: steps
                    .into_iter()
                    .map(|(at, count)| (Timestamp(at.saturating_mul(1_000_000)), count))
                    .collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
