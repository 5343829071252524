//! The terms of an index, laid out so that a substring is found in them as fast as in a file.
//! Which blocks a term is in says the index, and that is only opened for terms that fit.

use std::io;

use memchr::memmem::Finder;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, InvertedIndexReader, TERMINATED};

use crate::store::tokens::{Fold, Open};

const END: u8 = 0;
/// More fitting terms than this are in most blocks together; looking them all up would cost
/// more than it can save.
const TERMS_MAX: usize = 2048;
/// What is lower-cased at once, where the case does not matter; far longer than a term.
const WINDOW_BYTES: usize = 64 << 10;
/// Letters above ASCII that are another case of an ASCII letter: Kelvin sign, long s.
const FOLDED: [&[u8]; 2] = ["\u{212a}".as_bytes(), "\u{17f}".as_bytes()];

/// Which blocks of a part are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSet(Vec<u64>);

impl BlockSet {
    pub fn none(blocks: usize) -> BlockSet {
        BlockSet(vec![0; blocks.div_ceil(64)])
    }

    pub fn all(blocks: usize) -> BlockSet {
        let mut set = BlockSet::none(blocks);
        (0..blocks).for_each(|block| set.insert(block));
        set
    }

    pub fn insert(&mut self, block: usize) {
        if let Some(word) = self.0.get_mut(block / 64) {
            *word |= 1 << (block % 64);
        }
    }

    pub fn remove(&mut self, block: usize) {
        if let Some(word) = self.0.get_mut(block / 64) {
            *word &= !(1 << (block % 64));
        }
    }

    pub fn contains(&self, block: usize) -> bool {
        self.0.get(block / 64).is_some_and(|word| word & (1 << (block % 64)) != 0)
    }

    pub fn add(&mut self, other: &BlockSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    pub fn remove_all(&mut self, other: &BlockSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= !other);
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub fn holds_all(&self, other: &BlockSet) -> bool {
        self.0.iter().zip(&other.0).all(|(word, other)| other & !word == 0)
    }
}

/// Which terms of a field each block has. Takes 4 bytes for each term of a block.
pub struct BlockTerms {
    text: Vec<u8>,
    of_blocks: Vec<Vec<u32>>,
}

impl BlockTerms {
    pub fn of(&self, block: usize) -> impl Iterator<Item = &[u8]> {
        self.of_blocks.get(block).into_iter().flatten().map(|at| {
            let rest = self.text.get(*at as usize..).unwrap_or_default();
            let end = memchr::memchr(END, rest).unwrap_or(rest.len());
            rest.get(..end).unwrap_or_default()
        })
    }
}

/// The terms of a field: `END`, then each term with `END` behind it, in order.
pub(super) struct Terms(Vec<u8>);

impl Terms {
    pub fn new(text: Vec<u8>) -> Terms {
        Terms(text)
    }

    /// Walks through the index.
    pub fn collect(inverted: &InvertedIndexReader) -> io::Result<Terms> {
        let mut text = Vec::with_capacity(inverted.terms().num_terms() * 8 + 1);
        text.push(END);
        let mut terms = inverted.terms().stream()?;
        while terms.advance() {
            text.extend_from_slice(terms.key());
            text.push(END);
        }
        text.shrink_to_fit();
        Ok(Terms(text))
    }

    pub fn into_text(self) -> Vec<u8> {
        self.0
    }

    pub fn memory_bytes(&self) -> usize {
        self.0.capacity()
    }

    /// The terms of a field, block by block.
    pub fn of_blocks(inverted: &InvertedIndexReader, blocks: usize) -> io::Result<BlockTerms> {
        let mut of_blocks = vec![Vec::new(); blocks];
        let mut text = vec![END];
        let mut terms = inverted.terms().stream()?;
        while terms.advance() {
            let at = text.len() as u32;
            text.extend_from_slice(terms.key());
            text.push(END);
            let mut postings =
                inverted.read_postings_from_terminfo(terms.value(), IndexRecordOption::Basic)?;
            let mut block = postings.doc();
            while block != TERMINATED {
                if let Some(of_block) = of_blocks.get_mut(block as usize) {
                    of_block.push(at);
                }
                block = postings.advance();
            }
        }
        Ok(BlockTerms { text, of_blocks })
    }

    /// Gives terms that a piece fits into to `each`, until that answers `false`. Tells whether
    /// it was asked about all of them.
    pub fn find<E>(
        &self,
        piece: &[u8],
        open: Open,
        fold: Fold,
        mut each: impl FnMut(&[u8]) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let mut pattern = Vec::with_capacity(piece.len() + 2);
        if matches!(open, Open::Neither | Open::Right) {
            pattern.push(END);
        }
        pattern.extend_from_slice(piece);
        if matches!(open, Open::Neither | Open::Left) {
            pattern.push(END);
        }
        let finder = Finder::new(&pattern);
        let mut left = TERMS_MAX;
        let mut each = |term: &[u8]| {
            left = left.saturating_sub(1);
            Ok(left > 0 && each(term)?)
        };
        if fold == Fold::Exact {
            return self.find_in(&self.0, 0, &finder, &mut each);
        }
        let mut lower = Vec::new();
        let mut from = 0;
        loop {
            let to = self.window_end(from);
            let window = self.0.get(from..to).unwrap_or_default();
            lower.clear();
            lower.extend_from_slice(window);
            lower.make_ascii_lowercase();
            if !self.find_in(&lower, from, &finder, &mut each)? {
                return Ok(false);
            }
            if to >= self.0.len() {
                break;
            }
            // The `END` in front of the next term belongs to both windows.
            from = to - 1;
        }
        // A letter that is ASCII only in the other case may complete the piece.
        for letter in FOLDED {
            if !self.find_in(&self.0, 0, &Finder::new(letter), &mut each)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Behind the last `END` that a window has room for.
    fn window_end(&self, from: usize) -> usize {
        let most = from + WINDOW_BYTES;
        match self.0.get(from + 1..most) {
            Some(inside) => {
                memchr::memrchr(END, inside).map_or(self.0.len(), |at| from + 1 + at + 1)
            }
            None => self.0.len(),
        }
    }

    /// `text` stands at `from` of the terms, perhaps in another case.
    fn find_in<E>(
        &self,
        text: &[u8],
        from: usize,
        finder: &Finder<'_>,
        each: &mut impl FnMut(&[u8]) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let mut next = 0;
        while let Some(at) = text.get(next..).and_then(|rest| finder.find(rest)) {
            let (term, end) = self.term_at(from + next + at);
            if !each(term)? {
                return Ok(false);
            }
            // At least one further, also where damage has taken the `END`.
            next = (end - from).max(next + at + 1);
        }
        Ok(true)
    }

    /// The term at a place (the first byte may be the `END` in front of it), and where the `END`
    /// behind it is.
    fn term_at(&self, at: usize) -> (&[u8], usize) {
        let at = if self.0.get(at) == Some(&END) { at + 1 } else { at };
        let (before, behind) = self.0.split_at_checked(at).unwrap_or((&self.0, &[]));
        let start = memchr::memrchr(END, before).map_or(0, |end| end + 1);
        let end = memchr::memchr(END, behind).map_or(self.0.len(), |end| at + end);
        (self.0.get(start..end).unwrap_or_default(), end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(terms: &Terms, piece: &str, open: Open, fold: Fold) -> Vec<String> {
        let mut found = Vec::new();
        let all = terms.find(piece.as_bytes(), open, fold, |term| {
            found.push(String::from_utf8(term.to_vec()).unwrap());
            Ok::<bool, ()>(true)
        });
        assert_eq!(all, Ok(true));
        found
    }

    #[test]
    fn finds_terms_on_both_sides_of_windows() {
        let words: Vec<String> = (0..40_000).map(|at| format!("Word{at:05}x")).collect();
        let mut text = vec![END];
        for word in &words {
            text.extend_from_slice(word.as_bytes());
            text.push(END);
        }
        assert!(text.len() > 5 * WINDOW_BYTES);
        let terms = Terms::new(text);
        for word in words.iter().step_by(97).chain(words.last()) {
            let lower = word.to_lowercase();
            let this = std::slice::from_ref(word);
            assert_eq!(found(&terms, word, Open::Neither, Fold::Exact), this);
            assert_eq!(found(&terms, &lower, Open::Neither, Fold::Case), this);
            assert_eq!(found(&terms, &lower[4..], Open::Left, Fold::Case), this);
            assert_eq!(found(&terms, &word[..9], Open::Right, Fold::Exact), this);
            assert!(found(&terms, &lower, Open::Neither, Fold::Exact).is_empty());
            assert!(found(&terms, &word[..9], Open::Left, Fold::Exact).is_empty());
        }
        assert_eq!(found(&terms, "d0012", Open::Both, Fold::Case).len(), 10);
        let mut asked = 0;
        let all = terms.find(b"o", Open::Both, Fold::Exact, |_| {
            asked += 1;
            Ok::<bool, ()>(true)
        });
        assert_eq!((all, asked), (Ok(false), TERMS_MAX - 1));
    }
}
