//! The distinct tokens of a block, and how often: once or more.

use super::INDEXED_BYTES_MAX;
use super::{CLASS, HEX, LETTER, RUN_BYTES_MIN, Sealed, filter_hash, is_filtered, runs};
use crate::store::short::same;

/// Bytes behind the text that may be read (never used) so that short tokens are loaded whole.
pub const PADDING: usize = 16;
const SLOTS_MIN: usize = 1 << 12;
/// Among values that hardly repeat, tokens with a digit that are this long are ids: whether one
/// of them does repeat is not asked.
const ID_BYTES_MIN: usize = 12;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// 0 marks a free slot; hashes have their lowest bit set.
    hash: u32,
    at: u32,
    bytes: u32,
    classes: u8,
    many: bool,
}

#[derive(Debug, Clone, Copy)]
struct Id {
    at: u32,
    bytes: u32,
    classes: u8,
}

/// An open table of tokens that points into the text of the block. Reused from block to block.
#[derive(Debug, Default)]
pub struct TokenSet {
    slots: Vec<Slot>,
    used: usize,
    ids: Vec<Id>,
    filtered: Vec<u64>,
    run: Vec<u8>,
}

/// What a block's tokens come to.
pub struct Split<'a> {
    /// Hashes for the filter, sorted, each once.
    pub filtered: &'a [u64],
    pub sealed: Sealed,
}

#[inline]
fn load(text: &[u8], at: usize) -> u64 {
    match text.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()) {
        Some(bytes) => u64::from_le_bytes(bytes),
        None => 0,
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Any good hash does: it never leaves memory.
#[inline]
fn hash(text: &[u8], at: usize, bytes: usize) -> u32 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xd6e8_feb8_6659_fd93;
    let mixed = if bytes <= 8 {
        let word = load(text, at) & (u64::MAX >> (64 - 8 * bytes as u32));
        fold(word ^ A, B ^ bytes as u64)
    } else if bytes <= 16 {
        fold(load(text, at) ^ A, load(text, at + bytes - 8) ^ B ^ bytes as u64)
    } else {
        let mut mixed = A ^ bytes as u64;
        for chunk in 0..bytes / 16 {
            let from = at + chunk * 16;
            mixed = fold(load(text, from) ^ mixed, load(text, from + 8) ^ B);
        }
        fold(load(text, at + bytes - 16) ^ mixed, load(text, at + bytes - 8) ^ B)
    };
    (mixed as u32 ^ (mixed >> 32) as u32) | 1
}

impl TokenSet {
    pub fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.used = 0;
        self.ids.clear();
        if self.slots.is_empty() {
            self.slots.resize(SLOTS_MIN, Slot::default());
        }
    }

    /// Adds the tokens between two places of a text that is followed by `PADDING` zeros. Neither
    /// place may lie inside a token. `many` says that each of them occurs more than once.
    #[inline]
    pub fn add_text(&mut self, text: &[u8], from: usize, to: usize, many: bool) {
        self.add_tokens(text, from, to, |set, at, bytes, classes| {
            set.add(text, at, bytes, classes, many);
        });
    }

    /// The same for a value that hardly any other row has.
    #[inline]
    pub fn add_rare(&mut self, text: &[u8], from: usize, to: usize) {
        self.add_tokens(text, from, to, |set, at, bytes, classes| {
            if bytes >= ID_BYTES_MIN && is_filtered(classes, bytes) {
                set.ids.push(Id { at: at as u32, bytes: bytes as u32, classes });
            } else {
                set.add(text, at, bytes, classes, false);
            }
        });
    }

    #[inline]
    fn add_tokens(
        &mut self,
        text: &[u8],
        from: usize,
        to: usize,
        add: impl Fn(&mut TokenSet, usize, usize, u8),
    ) {
        let mut at = from;
        while at < to {
            let mut classes = CLASS[text[at] as usize];
            if classes == 0 {
                at += 1;
                continue;
            }
            let start = at;
            at += 1;
            // The padding is zeros, which end a token.
            loop {
                let class = CLASS[text[at] as usize];
                if class == 0 {
                    break;
                }
                classes |= class;
                at += 1;
            }
            add(self, start, at - start, classes);
            at += 1;
        }
    }

    #[inline]
    fn add(&mut self, text: &[u8], at: usize, bytes: usize, classes: u8, many: bool) {
        let hash = hash(text, at, bytes);
        let mask = self.slots.len() - 1;
        let mut slot_at = (hash >> 1) as usize & mask;
        loop {
            let slot = &mut self.slots[slot_at];
            if slot.hash == 0 {
                *slot = Slot { hash, at: at as u32, bytes: bytes as u32, classes, many };
                self.used += 1;
                if self.used * 2 > self.slots.len() {
                    self.grow();
                }
                return;
            }
            if slot.hash == hash && slot.bytes as usize == bytes {
                let other = slot.at as usize;
                if same(&text[other..other + bytes], &text[at..at + bytes]) {
                    slot.many = true;
                    return;
                }
            }
            slot_at = (slot_at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let larger = vec![Slot::default(); self.slots.len() * 2];
        let mask = larger.len() - 1;
        for slot in std::mem::replace(&mut self.slots, larger) {
            if slot.hash != 0 {
                let mut at = (slot.hash >> 1) as usize & mask;
                while self.slots[at].hash != 0 {
                    at = (at + 1) & mask;
                }
                self.slots[at] = slot;
            }
        }
    }

    /// Sorts tokens into those for the index (given to `indexed`), runs of letters in filtered
    /// ones (given to `run`, lower case, perhaps several times), and those for the filter.
    pub fn split<'a>(
        &'a mut self,
        text: &[u8],
        mut indexed: impl FnMut(&[u8]),
        mut run_found: impl FnMut(&[u8]),
    ) -> Split<'a> {
        self.filtered.clear();
        let mut sealed = Sealed::default();
        let of_slots = self.slots.iter().filter(|slot| slot.hash != 0).filter_map(|slot| {
            let token = &text[slot.at as usize..(slot.at + slot.bytes) as usize];
            let indexable = token.len() <= INDEXED_BYTES_MAX;
            if indexable && (slot.many || !is_filtered(slot.classes, token.len())) {
                indexed(token);
                return None;
            }
            Some((token, slot.classes))
        });
        let ids = self.ids.iter();
        let ids = ids.map(|id| (&text[id.at as usize..(id.at + id.bytes) as usize], id.classes));
        for (token, classes) in of_slots.chain(ids) {
            self.filtered.push(filter_hash(token));
            sealed.note(token, classes);
            if classes & !(super::DIGIT | HEX) == 0 {
                continue;
            }
            for run in runs(token, HEX | LETTER).filter(|run| run.len() >= RUN_BYTES_MIN) {
                if run.len() > INDEXED_BYTES_MAX {
                    sealed.long_run = true;
                    continue;
                }
                self.run.clear();
                self.run.extend_from_slice(run);
                self.run.make_ascii_lowercase();
                run_found(&self.run);
            }
        }
        self.filtered.sort_unstable();
        self.filtered.dedup();
        Split { filtered: &self.filtered, sealed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn fill(set: &mut TokenSet, text: &mut Vec<u8>) {
        let bytes = text.len();
        text.resize(bytes + PADDING, 0);
        set.clear();
        set.add_text(text, 0, bytes, false);
        text.truncate(bytes);
    }

    #[test]
    fn splits_tokens() {
        let long = "x".repeat(100);
        let mut text =
            format!("GET /api/users/42 id=4bf92f3577b34da6 x8Table9 z\u{e9}ro 42 {long} 7 error\n")
                .into_bytes();
        let before = text.clone();
        let mut set = TokenSet::default();
        for _ in 0..2 {
            fill(&mut set, &mut text);
            assert_eq!(text, before);
            let (mut indexed, mut found) = (BTreeSet::new(), BTreeSet::new());
            let split = set.split(
                &text,
                |token| {
                    indexed.insert(String::from_utf8(token.to_vec()).unwrap());
                },
                |run| {
                    found.insert(String::from_utf8(run.to_vec()).unwrap());
                },
            );
            let expect = ["42", "GET", "api", "error", "id", "users", "z\u{e9}ro"];
            assert_eq!(indexed, expect.map(str::to_owned).into());
            assert_eq!(found, ["table".to_owned()].into());
            let mut hashes: Vec<u64> = ["4bf92f3577b34da6", "X8TABLE9", long.as_str(), "7"]
                .map(|token| filter_hash(token.as_bytes()))
                .into();
            hashes.sort_unstable();
            assert_eq!(split.filtered, hashes);
            assert_eq!(
                split.sealed,
                Sealed {
                    digits: 1,
                    hex: 16,
                    mixed: 100,
                    digits_in_hex: 4,
                    letters_in_hex: 2,
                    digits_in_mixed: 1,
                    hex_in_mixed: 2,
                    wide: false,
                    long_run: true,
                }
            );
        }
    }

    #[test]
    fn holds_many_tokens() {
        let mut text: Vec<u8> =
            (0..50_000).flat_map(|i| format!("w{i}x{} ", i * 31).into_bytes()).collect();
        let mut set = TokenSet::default();
        fill(&mut set, &mut text);
        let split = set.split(&text, |_| panic!("all occur once"), |_| {});
        assert_eq!(split.filtered.len(), 50_000);
    }
}
