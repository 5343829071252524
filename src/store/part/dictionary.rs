//! The terms of an index, laid out so that a substring is found in them as fast as in a file,
//! and the blocks each term is in.

use std::io;
use std::sync::{Arc, OnceLock};

use memchr::memmem::Finder;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, InvertedIndexReader, TERMINATED};

use crate::store::tokens::{Fold, Open};

const END: u8 = 0;
/// More fitting terms than this are in most blocks together; looking them all up would cost
/// more than it can save.
const TERMS_MAX: usize = 4096;
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

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

pub(super) struct Dictionary {
    inverted: Arc<InvertedIndexReader>,
    blocks: usize,
    /// `END`, then each term with `END` behind it, in order.
    text: Vec<u8>,
    lower: OnceLock<Vec<u8>>,
    /// Whether a term holds one of `FOLDED`.
    folded: bool,
}

impl Dictionary {
    pub fn open(inverted: Arc<InvertedIndexReader>, blocks: u32) -> io::Result<Dictionary> {
        let mut text = Vec::with_capacity(inverted.terms().num_terms() * 8 + 1);
        text.push(END);
        let mut terms = inverted.terms().stream()?;
        while terms.advance() {
            text.extend_from_slice(terms.key());
            text.push(END);
        }
        drop(terms);
        text.shrink_to_fit();
        let folded = FOLDED.iter().any(|letter| memchr::memmem::find(&text, letter).is_some());
        Ok(Dictionary { inverted, blocks: blocks as usize, text, lower: OnceLock::new(), folded })
    }

    pub fn memory_bytes(&self) -> usize {
        self.text.capacity() * 2
    }

    /// The terms of each block, as places for `term`. Takes 4 bytes for each.
    pub fn terms_of_blocks(&self) -> io::Result<Vec<Vec<u32>>> {
        let mut of_blocks = vec![Vec::new(); self.blocks];
        let mut at = 1;
        let mut terms = self.inverted.terms().stream()?;
        while terms.advance() {
            let info = terms.value().clone();
            let mut postings =
                self.inverted.read_postings_from_terminfo(&info, IndexRecordOption::Basic)?;
            let mut block = postings.doc();
            while block != TERMINATED {
                if let Some(of_block) = of_blocks.get_mut(block as usize) {
                    of_block.push(at);
                }
                block = postings.advance();
            }
            at += terms.key().len() as u32 + 1;
        }
        Ok(of_blocks)
    }

    /// A term by its place in the text.
    pub fn term(&self, at: u32) -> &[u8] {
        let rest = self.text.get(at as usize..).unwrap_or_default();
        let end = memchr::memchr(END, rest).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// The blocks with a term that fits.
    pub fn blocks_with(&self, piece: &[u8], open: Open, fold: Fold) -> io::Result<BlockSet> {
        let mut found = BlockSet::none(self.blocks);
        let mut pattern = Vec::with_capacity(piece.len() + 2);
        if matches!(open, Open::Neither | Open::Right) {
            pattern.push(END);
        }
        pattern.extend_from_slice(piece);
        if matches!(open, Open::Neither | Open::Left) {
            pattern.push(END);
        }
        let text = match fold {
            Fold::Exact => &self.text,
            Fold::Case => self.lower.get_or_init(|| self.text.to_ascii_lowercase()),
        };
        let mut terms = 0;
        let mut next = 0;
        let finder = Finder::new(&pattern);
        while let Some(at) = text.get(next..).and_then(|rest| finder.find(rest)) {
            let at = next + at;
            next = self.add_term_at(at, &mut found)?;
            terms += 1;
            if terms > TERMS_MAX {
                return Ok(BlockSet::all(self.blocks));
            }
        }
        if fold == Fold::Case && self.folded {
            // A letter that is ASCII only in the other case may complete the piece.
            for letter in FOLDED {
                let mut next = 0;
                while let Some(at) =
                    self.text.get(next..).and_then(|rest| memchr::memmem::find(rest, letter))
                {
                    next = self.add_term_at(next + at, &mut found)?;
                }
            }
        }
        Ok(found)
    }

    /// Adds the blocks of the term at a place of the text (its first byte may be the `END` in
    /// front of the term) and tells where the `END` behind it is.
    fn add_term_at(&self, at: usize, found: &mut BlockSet) -> io::Result<usize> {
        let at = if self.text.get(at) == Some(&END) { at + 1 } else { at };
        let start = memchr::memrchr(END, &self.text[..at]).map_or(0, |end| end + 1);
        let end = memchr::memchr(END, &self.text[at..]).map_or(self.text.len(), |end| at + end);
        let term = &self.text[start..end];
        if let Some(info) = self.inverted.terms().get(term)? {
            let mut postings =
                self.inverted.read_postings_from_terminfo(&info, IndexRecordOption::Basic)?;
            let mut block = postings.doc();
            while block != TERMINATED {
                found.insert(block as usize);
                block = postings.advance();
            }
        }
        // At least one further, also for damage that `get` cannot explain.
        Ok(end.max(at))
    }
}
