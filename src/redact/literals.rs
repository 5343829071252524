//! Finds hundreds of literals in one pass, in any case of ASCII letters. Each literal is looked
//! for at the three bytes of it that are rarest in logs: a table of 32 KiB, which stays in the
//! cache, tells for three bytes whether any literal has them there. An automaton over the same
//! literals takes a megabyte, and each of its steps has to wait for the one before.

use hashbrown::HashMap;
use memchr::memchr3_iter;

const GRAM: usize = 3;
const TABLE_BITS: u32 = 15;
/// All bytes of a gram with the bit that makes ASCII letters small. Other bytes fall together
/// in pairs, which the comparison at the end sorts out.
const FOLD: u32 = 0x0020_2020;
const FOLD_EIGHT: u64 = 0x2020_2020_2020_2020;
/// How many grams begin in eight bytes and end there.
const STEP: usize = 8 - GRAM + 1;

/// Letters from the commonest in logs to the rarest; what is not here is rarer.
const COMMON: &[u8] = b"e tanoirs0124.\":/,-=l3d56789cmpu_hgyfbwvkxjqz";

/// A literal that was found: start, end and number.
pub(super) type Found = (usize, usize, u32);

pub(super) struct Literals {
    words: Vec<Box<[u8]>>,
    table: Box<[u8]>,
    /// Numbers of the literals with these three bytes, and where in them they stand.
    grams: HashMap<u32, Vec<(u32, usize)>>,
    /// Literals that are shorter, by their first byte.
    short: HashMap<u8, Vec<u32>>,
    /// The first bytes of short ones, three at a time; one may be there several times.
    firsts: Vec<[u8; 3]>,
}

fn gram_at(bytes: &[u8]) -> Option<u32> {
    let [a, b, c] = *bytes.first_chunk::<GRAM>()?;
    Some(u32::from_le_bytes([a, b, c, 0]) | FOLD)
}

#[inline]
fn slot(gram: u32) -> usize {
    (gram.wrapping_mul(0x9e37_79b1) >> (u32::BITS - TABLE_BITS)) as usize
}

fn rareness(bytes: &[u8]) -> usize {
    let of = |byte: &u8| {
        let byte = byte.to_ascii_lowercase();
        COMMON.iter().position(|common| *common == byte).unwrap_or(COMMON.len())
    };
    bytes.iter().map(of).sum()
}

impl Literals {
    pub(super) fn new(words: Vec<Vec<u8>>) -> Self {
        let mut table = vec![0; 1 << TABLE_BITS].into_boxed_slice();
        let mut grams: HashMap<u32, Vec<(u32, usize)>> = HashMap::new();
        let mut short: HashMap<u8, Vec<u32>> = HashMap::new();
        for (number, word) in (0u32..).zip(&words) {
            let rarest = (0..word.len())
                .rev()
                .max_by_key(|at| word.get(*at..at + GRAM).map_or(0, |gram| rareness(gram) + 1));
            match rarest.and_then(|at| Some((at, gram_at(word.get(at..)?)?))) {
                Some((at, gram)) => {
                    if let Some(mark) = table.get_mut(slot(gram)) {
                        *mark = 1;
                    }
                    grams.entry(gram).or_default().push((number, at));
                }
                None => {
                    let Some(first) = word.first() else { continue };
                    let (small, large) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
                    short.entry(small).or_default().push(number);
                    if large != small {
                        short.entry(large).or_default().push(number);
                    }
                }
            }
        }
        let mut bytes: Vec<u8> = short.keys().copied().collect();
        bytes.sort_unstable();
        let firsts = bytes
            .chunks(3)
            .map(|of| {
                let byte = |at: usize| of.get(at).or(of.first()).copied().unwrap_or_default();
                [byte(0), byte(1), byte(2)]
            })
            .collect();
        let words = words.into_iter().map(Vec::into_boxed_slice).collect();
        Literals { words, table, grams, short, firsts }
    }

    /// All places of all literals, overlapping ones too: by end, then start, then number.
    pub(super) fn find(&self, text: &[u8], found: &mut Vec<Found>) {
        found.clear();
        for [a, b, c] in &self.firsts {
            for at in memchr3_iter(*a, *b, *c, text) {
                let Some(numbers) = text.get(at).and_then(|first| self.short.get(first)) else {
                    continue;
                };
                numbers.iter().for_each(|number| self.compare(text, at, *number, found));
            }
        }
        let mut at = 0;
        while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let folded = u64::from_le_bytes(*eight) | FOLD_EIGHT;
            let mut marks = [0; STEP];
            for (n, mark) in marks.iter_mut().enumerate() {
                *mark = self.mark((folded >> (8 * n)) as u32 & 0x00ff_ffff);
            }
            if marks.iter().fold(0, |all, mark| all | mark) != 0 {
                for (n, _) in marks.iter().enumerate().filter(|(_, mark)| **mark != 0) {
                    self.at_gram(text, at + n, found);
                }
            }
            at += STEP;
        }
        while let Some(gram) = text.get(at..).and_then(gram_at) {
            if self.mark(gram) != 0 {
                self.at_gram(text, at, found);
            }
            at += 1;
        }
        if found.len() > 1 {
            found.sort_unstable_by_key(|(start, end, number)| (*end, *start, *number));
        }
    }

    #[inline]
    fn mark(&self, gram: u32) -> u8 {
        self.table.get(slot(gram)).copied().unwrap_or_default()
    }

    #[cold]
    fn at_gram(&self, text: &[u8], at: usize, found: &mut Vec<Found>) {
        let Some(gram) = text.get(at..).and_then(gram_at) else { return };
        for (number, offset) in self.grams.get(&gram).into_iter().flatten() {
            if let Some(start) = at.checked_sub(*offset) {
                self.compare(text, start, *number, found);
            }
        }
    }

    fn compare(&self, text: &[u8], start: usize, number: u32, found: &mut Vec<Found>) {
        let Some(word) = self.words.get(number as usize) else { return };
        let end = start + word.len();
        if text.get(start..end).is_some_and(|text| text.eq_ignore_ascii_case(word)) {
            found.push((start, end, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aho_corasick::{AhoCorasick, MatchKind};
    use proptest::prelude::*;

    fn both(words: &[Vec<u8>], text: &[u8]) -> (Vec<Found>, Vec<Found>) {
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(words)
            .unwrap();
        let expect = automaton
            .find_overlapping_iter(text)
            .map(|found| (found.start(), found.end(), found.pattern().as_u32()))
            .collect();
        let mut found = Vec::new();
        Literals::new(words.to_vec()).find(text, &mut found);
        (found, expect)
    }

    proptest! {
        /// Places and their order are those of an automaton.
        #[test]
        fn same_as_an_automaton(
            words in proptest::collection::vec("[abAB@_\u{e9}]{1,5}", 1..12),
            text in "[abAB@_\u{e9}`]{0,60}",
        ) {
            let words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
            let (found, expect) = both(&words, text.as_bytes());
            prop_assert_eq!(found, expect);
        }

        /// The same with the words of the shipped rules, cut and glued.
        #[test]
        fn same_with_shipped_words(
            parts in proptest::collection::vec((0usize..1000, 0usize..12, any::<bool>()), 0..12),
        ) {
            let words: Vec<Vec<u8>> = [
                "password", "passwd", "pwd", "pass", "secret", "token", "api_key", "api-key",
                "sid", "session", "session_id", "@", "%", "://", "sk-", "sk-proj-", "AKIA",
                "bearer ", "basic ", "eyJ", "ghp_", "xoxb-", "-----BEGIN ", "\\/", "\\u00",
                "\x1b[", "\u{a0}", "\u{200b}", "hooks.slack.com/", "pin", "otp", "cvv", ":AA",
            ].iter().map(|word| word.as_bytes().to_vec()).collect();
            let mut text = Vec::new();
            for (word, cut, large) in parts {
                let word = &words[word % words.len()];
                let cut = word.len().saturating_sub(if cut > 8 { 1 } else { 0 });
                let mut part = word[..cut].to_vec();
                if large {
                    part.make_ascii_uppercase();
                }
                text.extend(part);
            }
            let (found, expect) = both(&words, &text);
            prop_assert_eq!(found, expect);
        }
    }

    #[test]
    fn the_rarest_bytes_are_looked_for() {
        let literals = Literals::new(vec![b"authorization".to_vec(), b"x".to_vec(), b"".to_vec()]);
        assert!(literals.grams.contains_key(&gram_at(b"uth").unwrap()));
        assert_eq!(literals.grams.len(), 1);
        assert_eq!(literals.short.len(), 2);
    }
}
