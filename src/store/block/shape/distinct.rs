//! Numbers the distinct values of a column, as long as they are worth it.

use super::scan::Span;
use crate::store::short::same;

const SLOTS_MIN: usize = 64;
/// Codes are 16 bits wide.
const VALUES_MAX: usize = u16::MAX as usize;
/// From so many rows on it is asked whether values repeat at all.
const LOOK_AFTER: usize = 512;

/// Reused from column to column.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    /// Hash and code; a code of `u32::MAX` marks a free slot.
    slots: Vec<(u32, u32)>,
    /// Where each value was first seen.
    pub firsts: Vec<Span>,
    pub counts: Vec<u32>,
    pub codes: Vec<u16>,
    /// Rows whose value is not that of the row before.
    pub changes: usize,
}

const FREE: (u32, u32) = (0, u32::MAX);

#[inline]
fn hash(text: &[u8]) -> u32 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xd6e8_feb8_6659_fd93;
    let word = |bytes: Option<&[u8]>| {
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
    };
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let length = text.len();
    let mixed = if length >= 8 {
        let mut mixed = A ^ length as u64;
        let mut at = 0;
        while at + 8 < length {
            mixed = fold(word(text.get(at..at + 8)) ^ mixed, B);
            at += 8;
        }
        fold(word(text.get(length - 8..)) ^ mixed, A)
    } else {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(text).for_each(|(to, byte)| *to = *byte);
        fold(u64::from_le_bytes(bytes) ^ A, B ^ length as u64)
    };
    mixed as u32 ^ (mixed >> 32) as u32
}

impl Distinct {
    /// Numbers the values; `false` when there are too many.
    pub fn fill(&mut self, text: &[u8], values: &[Span]) -> bool {
        self.slots.clear();
        self.slots.resize(SLOTS_MIN, FREE);
        self.firsts.clear();
        self.counts.clear();
        self.codes.clear();
        self.changes = 0;
        let mut look_at = LOOK_AFTER;
        let (mut last, mut last_value): (u16, &[u8]) = (0, &[]);
        for (row, span) in values.iter().enumerate() {
            let value = span.of(text);
            if row > 0 && same(value, last_value) {
                if let Some(count) = self.counts.get_mut(usize::from(last)) {
                    *count += 1;
                }
                self.codes.push(last);
                continue;
            }
            self.changes += 1;
            if row >= look_at {
                if self.firsts.len() * 8 > row * 7 {
                    return false;
                }
                look_at *= 4;
            }
            let Some(code) = self.code(text, value, *span) else { return false };
            self.codes.push(code);
            (last, last_value) = (code, value);
        }
        true
    }

    #[inline]
    fn code(&mut self, text: &[u8], value: &[u8], span: Span) -> Option<u16> {
        let hash = hash(value);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get_mut(at)?;
            if *slot == FREE {
                if self.firsts.len() == VALUES_MAX {
                    return None;
                }
                let code = self.firsts.len() as u16;
                *slot = (hash, u32::from(code));
                self.firsts.push(span);
                self.counts.push(1);
                if self.firsts.len() * 2 > self.slots.len() {
                    self.grow();
                }
                return Some(code);
            }
            if slot.0 == hash {
                let code = slot.1;
                if same(self.firsts.get(code as usize)?.of(text), value) {
                    *self.counts.get_mut(code as usize)? += 1;
                    return Some(code as u16);
                }
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let larger = vec![FREE; self.slots.len() * 4];
        let mask = larger.len() - 1;
        for slot in std::mem::replace(&mut self.slots, larger) {
            if slot != FREE {
                let mut at = slot.0 as usize & mask;
                while self.slots[at] != FREE {
                    at = (at + 1) & mask;
                }
                self.slots[at] = slot;
            }
        }
    }

    /// Bits that each code costs at the least, were they in no order.
    pub fn entropy(&self) -> f64 {
        let rows = self.codes.len() as f64;
        self.counts.iter().map(|count| f64::from(*count) / rows).map(|p| -p * p.log2()).sum()
    }
}
