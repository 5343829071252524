//! Which series rows belong to, by columns: codes instead of texts where values repeat.

use crate::model::Labels;
use crate::query::run::extract::SeriesKey;
use crate::store::read::ReadError;

use super::labels::Run;
use super::plan::{Measure, Plan};
use super::scope::{Program, Source};
use super::{Mask, Values, Verdict, YES};

/// Combinations of codes up to which each has its slot in a table, if there are fewer rows.
const COMBINATIONS_MIN: usize = 4096;
/// Integers that lie so close together are codes of their own.
const INTEGERS_SPAN_MAX: i128 = 4096;

/// The labels of the series of some rows.
pub struct Identified<'a> {
    labels: Vec<Label<'a>>,
    /// Holes without a value are no labels.
    empty_is_absent: bool,
}

struct Label<'a> {
    name: &'a str,
    seed: u64,
    value: Known<'a>,
}

enum Known<'a> {
    Same(&'a str),
    Values(Values<'a>),
    Metadata { codes: Vec<u32>, values: &'a [&'a str] },
}

/// Rows with the same code are of the same series; so are rows with the same key.
#[derive(Debug, PartialEq)]
pub enum Groups {
    One,
    Codes { codes: Vec<u32>, count: usize },
    Keys(Vec<SeriesKey>),
}

impl<'a> Identified<'a> {
    pub fn new(run: &'a Run<'_, 'a>, program: &'a Program) -> Result<Self, ReadError> {
        let mut labels = Vec::with_capacity(program.identity.len());
        for (name, seed, source) in &program.identity {
            let value = match source {
                Source::Stream(at) => Known::Same(run.stream_value(*at)),
                Source::Empty => Known::Same(""),
                Source::Hole(hole) => Known::Values(run.rows.values(*hole)?),
                Source::Metadata(at) => match run.metadata.columns.get(*at) {
                    None => continue,
                    Some(column) => {
                        let code = |row: usize| column.codes.get(row).copied().unwrap_or(0);
                        let rows = (0..run.rows.len()).map(|at| code(run.rows.row(at)));
                        Known::Metadata { codes: rows.collect(), values: &column.values }
                    }
                },
            };
            labels.push(Label { name, seed: *seed, value });
        }
        Ok(Identified { labels, empty_is_absent: program.empty_is_absent })
    }

    /// What a hole's value adds to a key.
    fn part_of_hole(&self, seed: u64, value: &str) -> SeriesKey {
        if value.is_empty() && self.empty_is_absent {
            return SeriesKey(0);
        }
        SeriesKey(0).with(seed, value)
    }

    fn each(&self, row: usize, mut found: impl FnMut(&str, u64, &str)) {
        let mut buffer = String::new();
        for label in &self.labels {
            let value = match &label.value {
                Known::Same(value) => Some(*value),
                Known::Values(values) => Some(values.text(row, &mut buffer))
                    .filter(|value| !(value.is_empty() && self.empty_is_absent)),
                Known::Metadata { codes, values } => {
                    let code = codes.get(row).and_then(|code| code.checked_sub(1));
                    code.and_then(|code| values.get(code as usize)).copied()
                }
            };
            if let Some(value) = value {
                found(label.name, label.seed, value);
            }
        }
    }

    /// The key of a row's series, as the pipeline would make it.
    pub fn key(&self, row: usize) -> SeriesKey {
        let mut key = SeriesKey(0);
        self.each(row, |_, seed, value| key = key.with(seed, value));
        key
    }

    pub fn labels(&self, row: usize) -> Labels {
        let mut pairs: Vec<(String, String)> = Vec::with_capacity(self.labels.len());
        self.each(row, |name, _, value| pairs.push((name.to_owned(), value.to_owned())));
        Labels::of_series(pairs)
    }

    pub fn groups(&self, rows: usize, mask: &Mask) -> Groups {
        let differing = self.labels.iter().filter(|label| !matches!(label.value, Known::Same(_)));
        let mut codes: Option<(Vec<u32>, usize)> = None;
        for label in differing {
            let Some((own, count)) = label.codes() else { return self.keys(rows, mask) };
            codes = Some(match codes {
                None => (own, count),
                Some((mut codes, before)) => {
                    let combined = before.saturating_mul(count);
                    if combined > COMBINATIONS_MIN.max(rows) {
                        return self.keys(rows, mask);
                    }
                    let before = before as u32;
                    codes.iter_mut().zip(own).for_each(|(code, own)| *code += before * own);
                    (codes, combined)
                }
            });
        }
        match codes {
            None => Groups::One,
            Some((codes, count)) => Groups::Codes { codes, count },
        }
    }

    fn keys(&self, rows: usize, mask: &Mask) -> Groups {
        let mut keys = vec![SeriesKey(0); rows];
        for label in &self.labels {
            match &label.value {
                Known::Same(value) => {
                    let one = SeriesKey(0).with(label.seed, value);
                    keys.iter_mut().for_each(|key| key.0 = key.0.wrapping_add(one.0));
                }
                Known::Values(Values::Dictionary { values, codes }) => {
                    let known: Vec<SeriesKey> =
                        values.iter().map(|value| self.part_of_hole(label.seed, value)).collect();
                    for (key, code) in keys.iter_mut().zip(*codes) {
                        let one = known.get(usize::from(*code)).map_or(0, |key| key.0);
                        key.0 = key.0.wrapping_add(one);
                    }
                }
                Known::Metadata { codes, values } => {
                    let known: Vec<SeriesKey> =
                        values.iter().map(|value| SeriesKey(0).with(label.seed, value)).collect();
                    for (key, code) in keys.iter_mut().zip(codes) {
                        let one = code.checked_sub(1).and_then(|code| known.get(code as usize));
                        key.0 = key.0.wrapping_add(one.map_or(0, |key| key.0));
                    }
                }
                Known::Values(values) => {
                    let mut buffer = String::new();
                    for (row, key) in keys.iter_mut().enumerate() {
                        if mask.at(row) == YES {
                            let one = self.part_of_hole(label.seed, values.text(row, &mut buffer));
                            key.0 = key.0.wrapping_add(one.0);
                        }
                    }
                }
            }
        }
        Groups::Keys(keys)
    }
}

impl Label<'_> {
    /// Small numbers for the values, and how many there can be.
    fn codes(&self) -> Option<(Vec<u32>, usize)> {
        match &self.value {
            Known::Same(_) => None,
            Known::Metadata { codes, values } => Some((codes.clone(), values.len() + 1)),
            Known::Values(Values::Dictionary { values, codes }) => {
                Some((codes.iter().map(|code| u32::from(*code)).collect(), values.len().max(1)))
            }
            Known::Values(Values::Integers(numbers) | Values::Decimals { numbers, .. }) => {
                let (least, most) = (numbers.iter().min()?, numbers.iter().max()?);
                let span = i128::from(*most) - i128::from(*least);
                if span >= INTEGERS_SPAN_MAX {
                    return None;
                }
                let codes = numbers.iter().map(|number| (number - least) as u32);
                Some((codes.collect(), span as usize + 1))
            }
            Known::Values(Values::Texts { .. }) => None,
        }
    }
}

impl Plan {
    /// The number that each row counts for, if not one, and what is wrong with rows that have
    /// none. The source is a hole.
    pub fn numbers(
        &self,
        run: &Run<'_, '_>,
        hole: usize,
    ) -> Result<(Vec<f64>, Vec<Verdict>), ReadError> {
        let conversion = match &self.0.measure {
            Measure::Unwrap { conversion, .. } => *conversion,
            Measure::Count | Measure::Bytes => None,
        };
        Ok(run.rows.values(hole)?.numbers(conversion))
    }

    pub fn unwraps(&self) -> bool {
        matches!(self.0.measure, Measure::Unwrap { .. })
    }
}
