//! Where a text can stand in lines of a shape: in what they have in common, inside a value, or
//! across the border between the two.

use std::fmt::Write as _;

use memchr::memmem::Finder;

use crate::store::read::{HoleKind, ReadError, Seek, Shape};

use super::rows::ShapeRows;
use super::values::{UNKNOWN, by_code, memoized, slice};
use super::{MAYBE, Mask, NO, Values, Verdict, YES};

/// What a shape says about a needle.
#[derive(Debug)]
pub enum Sight {
    /// Every line holds it.
    Always,
    /// Lines hold it that have it in one of these holes; none if there are none.
    InHoles(Vec<Spot>),
    /// It can reach over several holes: only the line can tell.
    Unclear,
}

/// A hole in which, or at whose borders, a needle can stand.
#[derive(Debug)]
pub struct Spot {
    hole: usize,
    /// As much of the line before and behind the hole as the needle can reach into.
    left: String,
    right: String,
    /// Whether the needle can lie across a border; else it lies inside.
    crosses: bool,
    /// Whether a number can take part.
    fits_numbers: bool,
}

/// Whether values of this kind can hold a byte.
fn may_hold(kind: HoleKind, byte: u8) -> bool {
    match kind {
        HoleKind::Number => byte.is_ascii_digit() || b"+-.eE".contains(&byte),
        HoleKind::Bool => b"truefals".contains(&byte),
        HoleKind::String | HoleKind::Quoted => byte != b'"' && byte != b'\\' && byte >= b' ',
        HoleKind::Bare => byte != b'"' && byte != b'\\' && byte != b'=' && byte > b' ',
        HoleKind::Array | HoleKind::Token => true,
    }
}

/// The end of a text, at most so many bytes long.
fn tail(text: &str, bytes: usize) -> &str {
    let mut from = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default()
}

/// The start of a text, at most so many bytes long.
fn head(text: &str, bytes: usize) -> &str {
    let mut to = text.len().min(bytes);
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    text.get(..to).unwrap_or_default()
}

impl Sight {
    pub fn of(shape: &Shape, needle: &str) -> Sight {
        let bytes = needle.as_bytes();
        if shape.pieces.iter().any(|piece| piece.contains(needle)) {
            return Sight::Always;
        }
        // A needle that reaches over two holes covers the piece between them.
        let inner = bytes.get(1..bytes.len().saturating_sub(1)).unwrap_or_default();
        let between = shape.pieces.get(1..shape.pieces.len().saturating_sub(1));
        let covered = |piece: &String| {
            bytes.len() > 1
                && (piece.is_empty() || memchr::memmem::find(inner, piece.as_bytes()).is_some())
        };
        if between.unwrap_or_default().iter().any(covered) {
            return Sight::Unclear;
        }
        let spots = shape.pieces.windows(2).enumerate();
        let spots = spots.filter_map(|(hole, around)| match around {
            [left, right] => {
                let kind = shape.holes.get(hole).map_or(HoleKind::Token, |hole| hole.kind);
                Spot::new(hole, kind, left, right, bytes)
            }
            _ => None,
        });
        Sight::InHoles(spots.collect())
    }

    /// Which rows hold the needle.
    pub fn mask(&self, rows: &ShapeRows<'_>, finder: &Finder<'_>) -> Result<Mask, ReadError> {
        let spots = match self {
            Sight::Always => return Ok(Mask::All(YES)),
            Sight::Unclear => return Ok(Mask::All(MAYBE)),
            Sight::InHoles(spots) => spots,
        };
        let mut mask = Mask::All(NO);
        for spot in spots {
            let found = match rows.seek(spot.hole, spot.question(finder))? {
                Some(found) => found,
                // A hole of which no value can hold it costs nothing but its column.
                None => spot.mask(rows.values(spot.hole)?, finder),
            };
            mask = mask.any(found);
            if mask == Mask::All(YES) {
                break;
            }
        }
        Ok(mask)
    }
}

impl Spot {
    fn new(hole: usize, kind: HoleKind, left: &str, right: &str, needle: &[u8]) -> Option<Spot> {
        // `starts[n]`: the first n bytes of the needle can be the end of what is left of the
        // hole; `ends[n]`: those from n on can be the start of what is right of it.
        let at_left = |n: usize| left.as_bytes().ends_with(needle.get(..n).unwrap_or_default());
        let at_right = |n: usize| right.as_bytes().starts_with(needle.get(n..).unwrap_or_default());
        let starts: Vec<bool> = (0..=needle.len()).map(at_left).collect();
        let ends: Vec<bool> = (0..=needle.len()).map(at_right).collect();
        let is_at = |list: &[bool], at: usize| list.get(at).copied().unwrap_or(false);
        let crosses = (1..needle.len()).any(|at| is_at(&starts, at) || is_at(&ends, at));
        // Whether some stretch of the needle can be the value, or a part of it.
        let fits = |least: usize, allowed: &dyn Fn(u8) -> bool| {
            (0..=needle.len()).filter(|from| is_at(&starts, *from)).any(|from| {
                let inside = needle.get(from..).unwrap_or_default();
                let length = inside.iter().take_while(|byte| allowed(**byte)).count();
                (from + least..=from + length).any(|to| is_at(&ends, to))
            })
        };
        if !fits(0, &|byte| may_hold(kind, byte)) {
            return None;
        }
        let fits_numbers = fits(1, &|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
        let reach = needle.len().saturating_sub(1);
        Some(Spot {
            hole,
            left: tail(left, reach).to_owned(),
            right: head(right, reach).to_owned(),
            crosses,
            fits_numbers,
        })
    }

    fn question<'a>(&'a self, finder: &'a Finder<'_>) -> Seek<'a> {
        // Needles come from queries, which are text.
        let needle = std::str::from_utf8(finder.needle()).unwrap_or_default();
        let (left, right) = if self.crosses { (&*self.left, &*self.right) } else { ("", "") };
        Seek::Holds { left, needle, right, numbers: self.fits_numbers }
    }

    fn mask(&self, values: Values<'_>, finder: &Finder<'_>) -> Mask {
        let mut buffer = String::new();
        let mut holds = |value: &str| -> Verdict {
            let found = if self.crosses {
                buffer.clear();
                buffer.push_str(&self.left);
                buffer.push_str(value);
                buffer.push_str(&self.right);
                finder.find(buffer.as_bytes())
            } else {
                finder.find(value.as_bytes())
            };
            if found.is_some() { YES } else { NO }
        };
        match values {
            Values::Dictionary { values, codes } => {
                Mask::Rows(by_code(values, codes, UNKNOWN, holds))
            }
            Values::Integers(_) | Values::Decimals { .. } if !self.fits_numbers => Mask::All(NO),
            Values::Integers(numbers) => {
                let mut text = String::new();
                Mask::Rows(memoized(numbers, |number| {
                    text.clear();
                    let _ = write!(text, "{number}");
                    holds(&text)
                }))
            }
            Values::Decimals { numbers, .. } => {
                let mut text = String::new();
                let rows = 0..numbers.len();
                Mask::Rows(rows.map(|row| holds(values.text(row, &mut text))).collect())
            }
            Values::Texts { text, start, ends } if self.crosses => Mask::Rows(
                (0..ends.len()).map(|row| holds(slice(text, start, ends, row))).collect(),
            ),
            Values::Texts { text, start, ends } => inside_texts(text, start, ends, finder),
        }
    }
}

/// One search over all values instead of one a value.
fn inside_texts(text: &str, start: usize, ends: &[u32], finder: &Finder<'_>) -> Mask {
    let length = finder.needle().len();
    let end = ends.last().map_or(start, |end| *end as usize);
    let mut rows: Option<Vec<Verdict>> = None;
    let mut from = start;
    while let Some(found) = text.as_bytes().get(from..end).and_then(|rest| finder.find(rest)) {
        let at = from + found;
        // The value in which it begins, and whether it ends there too.
        let row = ends.partition_point(|end| *end as usize <= at);
        let value_end = ends.get(row).map_or(end, |end| *end as usize);
        if at + length <= value_end {
            let rows = rows.get_or_insert_with(|| vec![NO; ends.len()]);
            if let Some(verdict) = rows.get_mut(row) {
                *verdict = YES;
            }
            from = value_end;
        } else {
            from = at + 1;
        }
    }
    rows.map_or(Mask::All(NO), Mask::Rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::read::{Format, Hole};

    fn shape(pieces: &[&str]) -> Shape {
        let hole = Hole { path: Vec::new(), kind: HoleKind::Token };
        Shape {
            format: Format::Text,
            pieces: pieces.iter().map(|piece| (*piece).to_owned()).collect(),
            holes: vec![hole; pieces.len() - 1],
        }
    }

    #[track_caller]
    fn check(pieces: &[&str], needle: &str, expect: &str) {
        let shown = match Sight::of(&shape(pieces), needle) {
            Sight::Always => "always".to_owned(),
            Sight::Unclear => "unclear".to_owned(),
            Sight::InHoles(spots) => {
                let spots = spots.iter().map(|spot| {
                    let numbers = if spot.fits_numbers { "#" } else { "" };
                    format!("{}{}{numbers}", spot.hole, if spot.crosses { "x" } else { "" })
                });
                spots.collect::<Vec<_>>().join(" ")
            }
        };
        assert_eq!(shown, expect, "{needle:?}");
    }

    #[test]
    fn where_needles_can_stand() {
        let line = ["took ", " ms, status=", " done"];
        check(&line, "status", "always");
        check(&line, "error", "0 1");
        check(&line, "status=5", "0 1x#");
        check(&line, "77", "0# 1#");
        check(&line, "7 ms", "0x# 1");
        check(&line, "ok 5 ms, status=7 d", "unclear");
        check(&["a", "", "b"], "xy", "unclear");
        check(&["", "-", ""], "1-2", "unclear");
        check(&["", "-", ""], "-2", "0# 1x#");
        check(&["é", "ü"], "\u{e9}1", "0x#");
    }
}
