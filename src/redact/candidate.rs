//! Matches on their way to replacements: who wins where they overlap, and writing the new text.

use super::boundary::{at, before};
use super::detect::value::Quote;
use super::json::Strings;
use super::rule::Rule;
use crate::config::redaction::RawCategory;

/// A match in raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) rule: u16,
    /// Quotes that the replacement needs, because what it replaces had none.
    pub(super) add_quote: Option<Quote>,
    /// The field that the match is the value of.
    pub(super) field: Option<(usize, usize)>,
    /// The value with escapes decoded, where it has any.
    pub(super) decoded: Option<String>,
}

impl Candidate {
    pub(super) fn plain(start: usize, end: usize, rule: u16) -> Self {
        Candidate { start, end, rule, add_quote: None, field: None, decoded: None }
    }
}

/// Leaves matches that do not overlap: the leftmost wins, then the stronger rule, then the
/// longer match. What a secret covers beyond the winner is covered by the winner.
pub(super) fn merge(found: &mut Vec<Candidate>, rules: &[Rule]) {
    let rank = |candidate: &Candidate| rules.get(usize::from(candidate.rule)).map(|r| r.precedence);
    let is_secret = |candidate: &Candidate| {
        rules.get(usize::from(candidate.rule)).is_some_and(|r| r.category == RawCategory::Secret)
    };
    found.sort_by(|a, b| a.start.cmp(&b.start).then(rank(a).cmp(&rank(b))).then(b.end.cmp(&a.end)));
    let mut kept: Vec<Candidate> = Vec::with_capacity(found.len());
    for next in found.drain(..) {
        match kept.last_mut() {
            Some(last) if next.start < last.end => {
                let stronger = rank(&next) < rank(last);
                let equal = rank(&next) == rank(last);
                if stronger && next.end > last.end && !is_secret(last) {
                    // A weaker guess about personal data ends where the secret begins.
                    if last.start < next.start {
                        last.end = next.start;
                        last.decoded = None;
                        kept.push(next);
                    } else {
                        *last = next;
                    }
                } else if (stronger || equal || is_secret(&next)) && next.end > last.end {
                    last.end = next.end;
                    last.decoded = None;
                    last.add_quote = last.add_quote.and(next.add_quote);
                }
            }
            _ => kept.push(next),
        }
    }
    *found = kept;
}

/// The text with each match replaced. `replace` gives `None` where the whole field goes.
/// `None`: the matches do not fit the text, which is a fault of ours.
pub(super) fn apply(
    text: &str,
    found: &[Candidate],
    mut replace: impl FnMut(&Candidate, &str) -> Option<String>,
) -> Option<String> {
    let mut out = String::with_capacity(text.len() + found.len() * 4);
    let mut done = 0;
    for candidate in found {
        let (mut start, mut end) = (candidate.start, candidate.end);
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        while !text.is_char_boundary(end) {
            end += 1;
        }
        match replace(candidate, text.get(start..end)?) {
            Some(replacement) => {
                out.push_str(text.get(done..start)?);
                push_quoted(&mut out, &replacement, candidate.add_quote);
                done = end;
            }
            None => {
                let (field_start, field_end) = candidate.field?;
                out.push_str(text.get(done..field_start)?);
                done = without_separator(text, &mut out, field_end);
            }
        }
    }
    out.push_str(text.get(done..)?);
    Some(out)
}

fn push_quoted(out: &mut String, replacement: &str, quote: Option<Quote>) {
    let Some(quote) = quote else {
        out.push_str(replacement);
        return;
    };
    for part in ["", replacement] {
        out.push_str(part);
        out.extend(std::iter::repeat_n('\\', quote.slashes));
        out.push(char::from(quote.mark));
    }
}

/// Leaves out one separator beside a dropped field: the one behind it, or else the one that was
/// already written. Gives where the text goes on.
fn without_separator(text: &str, out: &mut String, end: usize) -> usize {
    let bytes = text.as_bytes();
    let mut next = end;
    while at(bytes, next) == b' ' {
        next += 1;
    }
    if matches!(at(bytes, next), b',' | b'&' | b';') {
        next += 1;
        while at(bytes, next) == b' ' {
            next += 1;
        }
        return next;
    }
    let kept = out.trim_end_matches(' ').len();
    if next == end || next >= bytes.len() {
        out.truncate(kept);
        if matches!(before(out.as_bytes(), out.len()), b',' | b'&' | b';') {
            out.truncate(out.len() - 1);
        }
        return end;
    }
    next
}

/// The quotes that a replaced bare number of JSON needs. In a string of JSON only an escaped
/// name in front shows that there is JSON inside the string.
pub(super) fn number_quote(raw: &[u8], start: usize, end: usize) -> Option<Quote> {
    let number = raw.get(start..end)?;
    if !number.iter().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.')) {
        return None;
    }
    let blank = |b: u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let mut left = start;
    while left > 0 && blank(before(raw, left)) {
        left -= 1;
    }
    let mut right = end;
    while right < raw.len() && blank(at(raw, right)) {
        right += 1;
    }
    if !matches!(at(raw, right), b',' | b'}' | b']') {
        return None;
    }
    let mut strings = Strings::new(raw);
    if !strings.is_json() {
        return None;
    }
    let in_string = strings.is_inside(start);
    let plain = Quote { slashes: 0, mark: b'"' };
    match before(raw, left) {
        b':' => {
            let mut name = left - 1;
            while name > 0 && blank(before(raw, name)) {
                name -= 1;
            }
            if before(raw, name) != b'"' {
                return None;
            }
            let slashes = raw.get(..name - 1)?.iter().rev().take_while(|b| **b == b'\\').count();
            // An even number of backslashes is text of the name.
            match (in_string, slashes % 2) {
                (false, 0) => Some(plain),
                (true, 1) => Some(Quote { slashes, mark: b'"' }),
                _ => None,
            }
        }
        b'[' | b',' if !in_string => Some(plain),
        _ => None,
    }
}
