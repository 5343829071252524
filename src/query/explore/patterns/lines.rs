//! Lines of one kind, and how many of them there were when.

use super::tokens::{Reading, Tokens};
use crate::model::Timestamp;

/// Loki counts by ten seconds first, and those by step.
pub const SAMPLE_MS: i64 = 10_000;
/// Loki's samples come in chunks of an hour; there are zeros in a chunk, none between two.
const CHUNK_MS: i64 = 3_600_000;

/// The lines of one step, and which of its samples hold the first and the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    pub at_ms: i64,
    pub count: u32,
    first: u16,
    last: u16,
}

impl Cell {
    pub fn of(ts: Timestamp, step_ms: i64) -> Cell {
        let sample = floor(ts.0.div_euclid(1_000_000), SAMPLE_MS);
        let at_ms = floor(sample, step_ms);
        let place = u16::try_from((sample - first_sample(at_ms)) / SAMPLE_MS).unwrap_or(u16::MAX);
        Cell { at_ms, count: 1, first: place, last: place }
    }

    fn first_ms(&self) -> i64 {
        first_sample(self.at_ms) + i64::from(self.first) * SAMPLE_MS
    }

    fn last_ms(&self) -> i64 {
        first_sample(self.at_ms) + i64::from(self.last) * SAMPLE_MS
    }
}

/// The first sample of a step; steps need not be of whole samples.
fn first_sample(at_ms: i64) -> i64 {
    floor(at_ms.saturating_add(SAMPLE_MS - 1), SAMPLE_MS)
}

pub fn floor(at: i64, step: i64) -> i64 {
    at.div_euclid(step).saturating_mul(step)
}

/// Lines by step, in the order of time.
#[derive(Debug, Clone, Default)]
pub struct Counts(Vec<Cell>);

impl Counts {
    pub fn add(&mut self, cell: Cell) {
        // Most come in the order of time.
        let is_behind = self.0.last().is_some_and(|last| last.at_ms <= cell.at_ms);
        let at = match is_behind {
            true if self.0.last().is_some_and(|last| last.at_ms == cell.at_ms) => self.0.len() - 1,
            true => self.0.len(),
            false => self.0.partition_point(|known| known.at_ms < cell.at_ms),
        };
        match self.0.get_mut(at) {
            Some(known) if known.at_ms == cell.at_ms => {
                known.count = known.count.saturating_add(cell.count);
                known.first = known.first.min(cell.first);
                known.last = known.last.max(cell.last);
            }
            _ => self.0.insert(at, cell),
        }
    }

    pub fn append(&mut self, other: Counts) {
        if self.0.is_empty() {
            *self = other;
            return;
        }
        other.0.into_iter().for_each(|cell| self.add(cell));
    }

    pub fn total(&self) -> u64 {
        self.0.iter().map(|cell| u64::from(cell.count)).sum()
    }

    /// Each step with its count, those in between of zero where Loki has them.
    pub fn each(&self, step_ms: i64, steps_max: usize, mut step: impl FnMut(i64, u64)) {
        let span =
            self.0.last().map_or(0, |last| last.at_ms) - self.0.first().map_or(0, |c| c.at_ms);
        let fills = step_ms > SAMPLE_MS && span / step_ms <= steps_max as i64;
        let mut chunk: Option<i64> = None;
        let mut next = 0;
        for cell in &self.0 {
            match chunk {
                Some(start) if cell.first_ms() - start < CHUNK_MS => {
                    while fills && next < cell.at_ms {
                        step(next, 0);
                        next += step_ms;
                    }
                }
                _ => chunk = Some(cell.first_ms()),
            }
            if chunk.is_some_and(|start| cell.last_ms() - start >= CHUNK_MS) {
                chunk = Some(cell.last_ms());
            }
            step(cell.at_ms, u64::from(cell.count));
            next = cell.at_ms.saturating_add(step_ms);
        }
    }
}

/// Lines that have as many tokens, and what is known of where those differ.
#[derive(Debug, Clone)]
pub struct Lines {
    /// Those of the first of these lines.
    pub tokens: Tokens,
    /// A bit for each token in which some differ from the first.
    pub differ: u128,
    pub first: Timestamp,
    pub last: Timestamp,
    pub counts: Counts,
}

impl Lines {
    pub fn new(tokens: &Tokens, ts: Timestamp) -> Lines {
        // A hole that stands in the line itself.
        let holes =
            tokens.iter().enumerate().filter(|(_, token)| *token == super::tokens::HOLE.as_bytes());
        let differ = holes.fold(0, |bits, (at, _)| bits | 1 << at);
        Lines { tokens: tokens.fitted(), differ, first: ts, last: ts, counts: Counts::default() }
    }

    pub fn pattern(&self, reading: Reading) -> String {
        self.tokens.pattern(self.differ, reading)
    }

    /// Takes in others that belong together with these; their order does not matter.
    pub fn append(&mut self, other: Lines) {
        self.differ |= other.differ | self.tokens.difference(&other.tokens);
        if (other.first, &other.tokens) < (self.first, &self.tokens) {
            self.tokens = other.tokens;
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.counts.append(other.counts);
    }

    /// How many of the tokens are the same in a line of as many, and how many are holes here.
    /// `None` when it must not be taken for one of these.
    pub fn likeness(&self, tokens: &Tokens) -> Option<(usize, usize)> {
        let (mut same, mut holes) = (0, 0);
        for (at, (own, other)) in self.tokens.iter().zip(tokens.iter()).enumerate() {
            if self.differ & (1 << at) != 0 {
                holes += 1;
            } else if own == other {
                same += 1;
            } else if own.first() == Some(&0) {
                return None;
            }
        }
        Some((same, holes))
    }

    pub fn bytes(&self) -> usize {
        std::mem::size_of::<Lines>()
            + self.tokens.bytes()
            + self.counts.0.capacity() * std::mem::size_of::<Cell>()
    }
}
