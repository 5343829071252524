//! The first look at a line: one pass for literals and one for digits. Most lines end here.

use super::boundary::{at, before};
use super::literals::{Found, Literals};
use super::view::hides_at;

/// What a literal stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    Rule(u16),
    Key {
        rule: u16,
    },
    /// The start of an escape that may hide something.
    Escape,
}

/// A place where a rule has to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) rule: u16,
    pub(super) is_key: bool,
}

/// Everything worth a second look in one text.
#[derive(Debug, Default)]
pub(super) struct Hits {
    pub(super) literals: Vec<Hit>,
    /// Digits with single spaces or dashes between them.
    pub(super) digit_runs: Vec<(usize, usize)>,
    /// Digits right behind a `+`.
    pub(super) plus_digits: Vec<usize>,
    /// Two capital letters and two digits.
    pub(super) iban_starts: Vec<usize>,
    pub(super) hides: bool,
    /// All literals that were found, before those that cannot count are left out.
    found: Vec<Found>,
}

impl Hits {
    fn clear(&mut self) {
        self.literals.clear();
        self.digit_runs.clear();
        self.plus_digits.clear();
        self.iban_starts.clear();
        self.hides = false;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.literals.is_empty()
            && self.digit_runs.is_empty()
            && self.plus_digits.is_empty()
            && self.iban_starts.is_empty()
            && !self.hides
    }
}

/// Fewest digits of anything that is found by its digits (a social security number).
const RUN_DIGITS_MIN: usize = 9;
/// How escapes and invisible characters begin.
const ESCAPES: [&[u8]; 10] = [
    b"\\u00",
    b"\\u20",
    b"\\ufe",
    b"\\/",
    b"%",
    b"\x1b[",
    b"\xc2\xa0",
    b"\xc2\xad",
    b"\xe2\x80",
    b"\xef\xbb\xbf",
];
/// Invisible word joiner.
const JOINER: &[u8] = b"\xe2\x81\xa0";

pub(super) struct Prefilter {
    literals: Literals,
    targets: Vec<Target>,
    digits: bool,
}

impl Prefilter {
    pub(super) fn new(literals: Vec<(String, Target)>, digits: bool) -> Self {
        let (mut words, mut targets): (Vec<Vec<u8>>, Vec<Target>) =
            literals.into_iter().map(|(word, target)| (word.into_bytes(), target)).unzip();
        for escape in ESCAPES.into_iter().chain([JOINER]) {
            words.push(escape.to_vec());
            targets.push(Target::Escape);
        }
        Prefilter { literals: Literals::new(words), targets, digits }
    }

    pub(super) fn scan(&self, text: &[u8], hits: &mut Hits) {
        hits.clear();
        let mut found = std::mem::take(&mut hits.found);
        self.literals.find(text, &mut found);
        for (start, end, number) in &found {
            let (start, end) = (*start, *end);
            match self.targets.get(*number as usize) {
                Some(Target::Rule(rule)) => {
                    hits.literals.push(Hit { start, end, rule: *rule, is_key: false });
                }
                Some(Target::Key { rule }) if may_follow_key(at(text, end)) => {
                    hits.literals.push(Hit { start, end, rule: *rule, is_key: true });
                }
                Some(Target::Escape) if !hits.hides => hits.hides = hides_at(text, start),
                _ => {}
            }
        }
        hits.found = found;
        if self.digits {
            scan_digits(text, hits);
        }
    }
}

/// Whether a name can end before this byte; 0 is the end of the text.
fn may_follow_key(byte: u8) -> bool {
    matches!(
        byte,
        0 | b'='
            | b':'
            | b'"'
            | b'\''
            | b'`'
            | b'\\'
            | b'>'
            | b'%'
            | b']'
            | b' '
            | b'\t'
            | 0x1b
            | b'0'..=b'9'
    )
}

fn scan_digits(text: &[u8], hits: &mut Hits) {
    let mut i = 0;
    while let Some(skip) = text.get(i..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        i += skip;
        let start = i;
        let left = before(text, start);
        if left == b'+' {
            hits.plus_digits.push(start);
        } else if left.is_ascii_uppercase()
            && start >= 2
            && at(text, start - 2).is_ascii_uppercase()
            && (start == 2 || !at(text, start - 3).is_ascii_alphanumeric())
            && at(text, start + 1).is_ascii_digit()
        {
            hits.iban_starts.push(start - 2);
        }
        let mut digits = 0;
        loop {
            while at(text, i).is_ascii_digit() {
                digits += 1;
                i += 1;
            }
            if matches!(at(text, i), b' ' | b'-') && at(text, i + 1).is_ascii_digit() {
                i += 1;
            } else {
                break;
            }
        }
        if digits >= RUN_DIGITS_MIN {
            hits.digit_runs.push((start, i));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let words = vec![
            ("@".to_owned(), Target::Rule(0)),
            ("akia".to_owned(), Target::Rule(1)),
            ("token".to_owned(), Target::Key { rule: 2 }),
        ];
        let prefilter = Prefilter::new(words, true);
        let mut hits = Hits::default();
        prefilter.scan(text.as_bytes(), &mut hits);
        let mut shown: Vec<String> =
            hits.literals.iter().map(|h| format!("{}@{}", h.rule, h.start)).collect();
        shown.extend(hits.digit_runs.iter().map(|(s, e)| format!("digits {s}-{e}")));
        shown.extend(hits.plus_digits.iter().map(|s| format!("plus {s}")));
        shown.extend(hits.iban_starts.iter().map(|s| format!("iban {s}")));
        shown.extend(hits.hides.then(|| "hides".to_owned()));
        assert_eq!(shown.join(", "), expect, "{text}");
    }

    #[test]
    fn finds_places_to_look() {
        check("nothing here 2024-01-02T10:11:12", "");
        check("a@b AKIA", "0@1, 1@4");
        check("token tokens token=1", "2@0, 2@13");
        check("4111 1111-1111 1111", "digits 0-19");
        check("+49170 GB82WEST xGB82", "plus 1, iban 7");
        check("85% 5%zz", "");
        check("a%40b", "hides");
        check("a\\/b", "hides");
        check("a\\nb", "");
        check("a\u{200b}b", "hides");
    }
}
