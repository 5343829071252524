//! Cutting a run of rows into those that share a shape, and metadata as columns.

use crate::model::Labels;
use crate::query::run::extract;
use crate::query::stage::{ERROR, ERROR_DETAILS};
use crate::store::read::{ReadError, Rows, Seek, Shape, Shaped, WHOLE};

use super::{MAYBE, Mask, NO, Values, YES};

const EXTRACTED: &str = "_extracted";

/// Rows of a run that share a shape, in order.
pub struct ShapeRows<'a> {
    pub shaped: Option<&'a dyn Shaped>,
    /// `None` for lines that are kept whole, or where nobody looks at lines.
    pub shape: Option<&'a Shape>,
    at: usize,
    first: usize,
    /// Rows of the run; `None` when it is all of them.
    list: Option<Vec<u32>>,
    count: usize,
}

impl<'a> ShapeRows<'a> {
    /// All rows of a run whose lines nobody looks at.
    pub fn without_lines(rows: usize) -> Self {
        ShapeRows { shaped: None, shape: None, at: 0, first: 0, list: None, count: rows }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// The row of the run.
    #[inline]
    pub fn row(&self, at: usize) -> usize {
        match &self.list {
            Some(list) => list.get(at).map_or(usize::MAX, |row| *row as usize),
            None => at,
        }
    }

    pub fn is_all(&self) -> bool {
        self.list.is_none()
    }

    pub fn values(&self, hole: usize) -> Result<Values<'a>, ReadError> {
        let shaped = self.shaped.ok_or_else(|| ReadError::Damaged("no columns".to_owned()))?;
        Values::cut(shaped.column(self.at, hole)?, self.first, self.count)
    }
}

impl ShapeRows<'_> {
    /// Which rows a question about a value is true of; `None` when that takes `values`.
    pub fn seek(&self, hole: usize, question: Seek<'_>) -> Result<Option<Mask>, ReadError> {
        let Some(shaped) = self.shaped else { return Ok(None) };
        let Some(places) = shaped.seek(self.at, hole, question)? else { return Ok(None) };
        let mut verdicts = Vec::new();
        for place in places {
            let row = (place as usize).checked_sub(self.first).filter(|row| *row < self.count);
            if let Some(row) = row {
                verdicts.resize(self.count, NO);
                if let Some(verdict) = verdicts.get_mut(row) {
                    *verdict = YES;
                }
            }
        }
        Ok(Some(if verdicts.is_empty() { Mask::All(NO) } else { Mask::Rows(verdicts) }))
    }
}

/// Cuts a run by shape, in the order in which shapes come up.
pub fn split<'a>(rows: usize, shaped: &'a dyn Shaped) -> Vec<ShapeRows<'a>> {
    let shapes = shaped.shapes();
    let ids = shaped.shape_ids().get(..rows).unwrap_or_default();
    let part = |id: u16, list: Option<Vec<u32>>, count: usize| {
        let at = usize::from(id);
        let shape = if id == WHOLE { None } else { shapes.get(at) };
        let first = if shape.is_some() { shaped.first_place(at) } else { 0 };
        ShapeRows { shaped: Some(shaped), shape, at, first, list, count }
    };
    match ids.first() {
        Some(first) if ids.iter().all(|id| id == first) => return vec![part(*first, None, rows)],
        None => return Vec::new(),
        _ => {}
    }
    // By shape, the last place for whole lines.
    let mut lists: Vec<Vec<u32>> = vec![Vec::new(); shapes.len() + 1];
    let mut seen: Vec<u16> = Vec::new();
    for (row, id) in (0..).zip(ids) {
        let list = lists.get_mut(usize::from(*id).min(shapes.len()));
        let Some(list) = list else { continue };
        if list.is_empty() {
            seen.push(if usize::from(*id) < shapes.len() { *id } else { WHOLE });
        }
        list.push(row);
    }
    seen.into_iter()
        .map(|id| {
            let list = lists.get_mut(usize::from(id).min(shapes.len()));
            let list = list.map(std::mem::take).unwrap_or_default();
            let count = list.len();
            part(id, Some(list), count)
        })
        .collect()
}

/// Metadata with one name in the rows of a run.
#[derive(Debug)]
pub struct MetadataColumn<'a> {
    /// The label it gives: with a suffix where the stream has a label of that name.
    pub name: String,
    /// For each row 0 if it has none, else one more than the place in `values`.
    pub codes: Vec<u32>,
    pub values: Vec<&'a str>,
    by_value: hashbrown::HashMap<&'a str, u32>,
}

/// The metadata of a run, as far as it matters.
#[derive(Debug, Default)]
pub struct Metadata<'a> {
    pub columns: Vec<MetadataColumn<'a>>,
    /// For each row which columns it has, as bits; empty when none has any.
    present: Vec<u64>,
}

/// In `present`: this row must be read by itself.
const ODD: u64 = 1 << 63;
/// Names beyond this many make a row odd.
const NAMES_MAX: usize = 62;

/// What a name of metadata is.
#[derive(Debug, Clone, Copy)]
struct Judged<'a> {
    name: &'a str,
    collides: bool,
    is_error: bool,
    matters: bool,
}

/// Names remembered; others are judged each time.
const JUDGED_MAX: usize = 16;

impl<'a> Metadata<'a> {
    pub fn read(rows: &'a dyn Rows, stream: &Labels, wanted: &extract::Metadata) -> Self {
        let mut found = Metadata::default();
        let names = match wanted {
            extract::Metadata::Named(names) => Some(names),
            extract::Metadata::All => None,
        };
        let judge = |name: &'a str| {
            let is_error = name == ERROR || name == ERROR_DETAILS;
            let matters = is_error
                || names.is_none_or(|names| {
                    names.iter().any(|wanted| {
                        wanted == name
                            || wanted.strip_suffix(EXTRACTED).is_some_and(|stem| stem == name)
                    })
                });
            Judged { name, collides: stream.get(name).is_some(), is_error, matters }
        };
        // Rows of a block have their names from one place.
        let mut judged: Vec<Judged<'a>> = Vec::new();
        for row in 0..rows.len() {
            for at in 0..rows.metadata_len(row) {
                let (name, value) = rows.metadata(row, at);
                let known = judged.iter().find(|known| std::ptr::eq(known.name, name)).copied();
                let Judged { collides, is_error, matters, .. } = known.unwrap_or_else(|| {
                    let new = judge(name);
                    if judged.len() < JUDGED_MAX {
                        judged.push(new);
                    }
                    new
                });
                let label = |name: &str| {
                    if collides { format!("{name}{EXTRACTED}") } else { name.to_owned() }
                };
                if matters {
                    found.add(rows.len(), row, is_error, name, collides, value, label);
                }
            }
        }
        found
    }

    #[allow(clippy::too_many_arguments)]
    fn add(
        &mut self,
        rows: usize,
        row: usize,
        is_error: bool,
        name: &str,
        collides: bool,
        value: &'a str,
        label: impl Fn(&str) -> String,
    ) {
        if self.present.is_empty() {
            self.present = vec![0; rows];
        }
        let Some(present) = self.present.get_mut(row) else { return };
        let is_this = |column: &MetadataColumn<'_>| match collides {
            false => column.name == name,
            true => column.name.strip_suffix(EXTRACTED).is_some_and(|stem| stem == name),
        };
        let known = self.columns.iter().position(is_this);
        let at = match known {
            Some(at) => at,
            None if is_error || self.columns.len() >= NAMES_MAX => {
                *present |= ODD;
                return;
            }
            None => {
                self.columns.push(MetadataColumn {
                    name: label(name),
                    codes: vec![0; rows],
                    values: Vec::new(),
                    by_value: hashbrown::HashMap::new(),
                });
                self.columns.len() - 1
            }
        };
        if *present & (1 << at) != 0 {
            *present |= ODD;
        }
        *present |= 1 << at;
        let Some(column) = self.columns.get_mut(at) else { return };
        let before = row.checked_sub(1).and_then(|row| column.codes.get(row)).copied();
        let same = before.filter(|code| {
            code.checked_sub(1).and_then(|code| column.values.get(code as usize)) == Some(&value)
        });
        let code = same.unwrap_or_else(|| {
            let next = column.values.len() as u32 + 1;
            *column.by_value.entry(value).or_insert_with(|| {
                column.values.push(value);
                next
            })
        });
        if let Some(slot) = column.codes.get_mut(row) {
            *slot = code;
        }
    }

    /// The kinds of rows there are by the metadata they have, each with a mask of its rows;
    /// `None` in place of a kind for rows that must be read by themselves.
    pub fn classes(&self, rows: &ShapeRows<'_>) -> Vec<(Option<u64>, Mask)> {
        let kind = |at: usize| self.present.get(rows.row(at)).copied().unwrap_or(0);
        if self.present.is_empty() || rows.len() == 0 {
            return vec![(Some(0), Mask::All(YES))];
        }
        let mut kinds: Vec<u64> = Vec::new();
        for at in 0..rows.len() {
            let kind = kind(at);
            if kinds.last() != Some(&kind) && !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if let [one] = kinds.as_slice() {
            return vec![match one & ODD {
                0 => (Some(*one), Mask::All(YES)),
                _ => (None, Mask::All(MAYBE)),
            }];
        }
        kinds
            .into_iter()
            .map(|one| {
                let is_odd = one & ODD != 0;
                let inside = if is_odd { MAYBE } else { YES };
                let mask = (0..rows.len()).map(|at| if kind(at) == one { inside } else { NO });
                ((!is_odd).then_some(one), Mask::Rows(mask.collect()))
            })
            .collect()
    }
}
