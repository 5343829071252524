//! LogQL patterns: `<ip> - <_> "<method> <path>"`, for the `pattern` parser and the `|>` filter.

use std::collections::HashSet;
use std::ops::Range;

use memchr::memmem::Finder;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    pieces: Vec<Piece>,
    names: Vec<String>,
}

#[derive(Debug, Clone)]
enum Piece {
    /// Boxed, as a finder holds its tables in place.
    Literal(Box<Finder<'static>>, String),
    /// `<_>`
    Skip,
    /// `<name>`, as an index into `names`.
    Capture(usize),
}

impl Piece {
    fn is_capture(&self) -> bool {
        !matches!(self, Piece::Literal(..))
    }
}

impl Pattern {
    /// For the `pattern` parser: at least one named capture, no two captures side by side.
    pub fn parse_extractor(source: &str) -> Result<Pattern, String> {
        if source.is_empty() {
            return Err("parse error at line 1, col 1: syntax error: unexpected $end, expecting \
                 IDENTIFIER or LITERAL"
                .to_owned());
        }
        let pattern = Pattern::parse(source);
        if pattern.names.is_empty() {
            return Err("at least one capture is required".to_owned());
        }
        pattern.check_no_neighbors()?;
        let mut seen = HashSet::new();
        for name in &pattern.names {
            if !seen.insert(name) {
                return Err(format!("duplicate capture name ({name}): invalid expression"));
            }
        }
        Ok(pattern)
    }

    /// For `|>` and `!>`: only `<_>`. The empty pattern fits the empty line alone.
    pub fn parse_filter(source: &str) -> Result<Pattern, String> {
        let pattern = Pattern::parse(source);
        pattern.check_no_neighbors()?;
        match pattern.names.first() {
            Some(name) => Err(format!("named captures are not allowed: found '<{name}>'")),
            None => Ok(pattern),
        }
    }

    fn parse(source: &str) -> Pattern {
        let mut pieces = Vec::new();
        let mut names = Vec::new();
        let mut literal = String::new();
        let mut rest = source;
        while let Some(first) = rest.chars().next() {
            match capture_name(rest) {
                Some(name) => {
                    push_literal(&mut pieces, &mut literal);
                    if name == "_" {
                        pieces.push(Piece::Skip);
                    } else {
                        pieces.push(Piece::Capture(names.len()));
                        names.push(name.to_owned());
                    }
                    rest = rest.get(name.len() + 2..).unwrap_or_default();
                }
                None => {
                    literal.push(first);
                    rest = rest.get(first.len_utf8()..).unwrap_or_default();
                }
            }
        }
        push_literal(&mut pieces, &mut literal);
        Pattern { pieces, names }
    }

    fn check_no_neighbors(&self) -> Result<(), String> {
        for pair in self.pieces.windows(2) {
            if let [left, right] = pair
                && left.is_capture()
                && right.is_capture()
            {
                return Err(format!(
                    "found consecutive capture '{}{}': invalid expression",
                    self.shown(left),
                    self.shown(right)
                ));
            }
        }
        Ok(())
    }

    fn shown(&self, piece: &Piece) -> String {
        match piece {
            Piece::Literal(_, text) => text.clone(),
            Piece::Skip => "<_>".to_owned(),
            Piece::Capture(index) => {
                format!("<{}>", self.names.get(*index).map_or("_", String::as_str))
            }
        }
    }

    /// Names of the named captures, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Calls back with the index into `names` and the place in the line of each named capture.
    /// A capture whose following literal is missing takes the rest of the line and is the last.
    pub fn extract(&self, line: &str, found: &mut dyn FnMut(usize, Range<usize>)) {
        if line.is_empty() {
            return;
        }
        let mut pieces = self.pieces.as_slice();
        let mut at = 0;
        if let [Piece::Literal(_, text), after @ ..] = pieces {
            if !line.starts_with(text.as_str()) {
                return;
            }
            at = text.len();
            pieces = after;
        }
        // From here on the pieces are capture, literal, capture, literal...
        while let [capture, after @ ..] = pieces {
            let rest = line.as_bytes().get(at..).unwrap_or_default();
            let next = match after {
                [Piece::Literal(finder, text), ..] => {
                    finder.find(rest).map(|offset| (at + offset, text.len()))
                }
                _ => None,
            };
            let end = next.map_or(line.len(), |(start, _)| start);
            if let Piece::Capture(index) = capture {
                found(*index, at..end);
            }
            let Some((start, len)) = next else { return };
            at = start + len;
            pieces = after.get(1..).unwrap_or_default();
        }
    }

    /// Whether the line fits (filters). Every capture must take at least one byte, and the last
    /// piece reaches to the end of the line. A leading literal may stand anywhere, as in Loki,
    /// whose documentation promises an anchor there but whose queries rely on none.
    pub fn matches(&self, line: &str) -> bool {
        let Some(last) = self.pieces.last() else { return line.is_empty() };
        if line.is_empty() {
            return false;
        }
        let mut at = 0;
        for (index, piece) in self.pieces.iter().enumerate() {
            let Piece::Literal(finder, text) = piece else { continue };
            let rest = line.as_bytes().get(at..).unwrap_or_default();
            match finder.find(rest) {
                // Nothing between two literals would be an empty capture.
                Some(0) if index > 0 => return false,
                Some(offset) => at += offset + text.len(),
                None => return false,
            }
        }
        last.is_capture() == (at != line.len())
    }

    /// The literal pieces, longest first: every match holds them all.
    pub fn literals(&self) -> Vec<&str> {
        let mut literals: Vec<&str> = self
            .pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Literal(_, text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        literals.sort_by_key(|text| std::cmp::Reverse(text.len()));
        literals
    }
}

fn push_literal(pieces: &mut Vec<Piece>, literal: &mut String) {
    if !literal.is_empty() {
        let text = std::mem::take(literal);
        let finder = Box::new(Finder::new(text.as_bytes()).into_owned());
        pieces.push(Piece::Literal(finder, text));
    }
}

/// The name when the text starts with `<name>`; anything else is literal text.
fn capture_name(text: &str) -> Option<&str> {
    let body = text.strip_prefix('<')?;
    let len = body.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let (name, after) = body.split_at(len);
    let starts_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    (starts_well && after.starts_with('>')).then_some(name)
}

#[cfg(test)]
mod tests;
