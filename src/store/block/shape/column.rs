//! Chooses how the values of a hole are written down, and writes them.

use super::distinct::Distinct;
use super::ints::{canonical, decimal, ints_bytes, put_ints};
use super::scan::Span;
use super::template::Template;
use crate::store::varint::put;

pub(super) const DICTIONARY: u8 = 0;
pub(super) const INTEGERS: u8 = 1;
pub(super) const DECIMALS: u8 = 2;
pub(super) const TEMPLATE: u8 = 3;
pub(super) const TEXTS: u8 = 4;

/// In a dictionary: codes are bytes, or packed numbers.
pub(super) const CODES_BYTES: u8 = 0;
pub(super) const CODES_PACKED: u8 = 1;
/// Up to so many values one byte makes a code.
pub(super) const BYTE_CODES_MAX: usize = 256;

/// With so few distinct values nothing beats a dictionary.
const FEW: usize = 16;

/// Writes columns. Scratch is reused.
#[derive(Default)]
pub(super) struct ColumnWriter {
    pub distinct: Distinct,
    /// Whether `distinct` holds all values of the column that was written last.
    pub is_distinct: bool,
    numbers: Vec<i64>,
}

impl ColumnWriter {
    /// Adds a column to `out`. Gives whether compressing it may help.
    pub fn put(&mut self, out: &mut Vec<u8>, text: &[u8], values: &[Span]) -> bool {
        self.is_distinct = self.distinct.fill(text, values);
        let dictionary_bytes = self.is_distinct.then(|| self.dictionary_bytes());
        if self.is_distinct && self.distinct.firsts.len() <= FEW {
            return self.put_dictionary(out, text);
        }
        if let Some(tag) = self.parse_numbers(text, values) {
            if dictionary_bytes.is_none_or(|bytes| ints_bytes(&self.numbers) <= bytes) {
                out.extend_from_slice(&tag);
                put_ints(out, &self.numbers);
                return false;
            }
            return self.put_dictionary(out, text);
        }
        let bytes_of = |row: usize| values.get(row).map_or(&[][..], |span| span.of(text));
        if let Some(template) = Template::of(values.len(), bytes_of)
            && dictionary_bytes.is_none_or(|bytes| template.bytes() < bytes)
        {
            out.push(TEMPLATE);
            template.put(out, bytes_of);
            return template.has_exceptions();
        }
        if self.is_distinct {
            return self.put_dictionary(out, text);
        }
        put_texts(out, text, values, &mut self.numbers);
        true
    }

    fn dictionary_bytes(&self) -> usize {
        let values: usize =
            self.distinct.firsts.iter().map(|span| (span.to - span.from) as usize + 1).sum();
        // Values are compressed as well.
        let codes = self.distinct.entropy() * self.distinct.codes.len() as f64 / 8.0;
        values / 2 + codes as usize
    }

    fn put_dictionary(&self, out: &mut Vec<u8>, text: &[u8]) -> bool {
        let Distinct { firsts, codes, changes, .. } = &self.distinct;
        out.push(DICTIONARY);
        put(out, firsts.len() as u64);
        firsts.iter().for_each(|span| put(out, u64::from(span.to - span.from)));
        firsts.iter().for_each(|span| out.extend_from_slice(span.of(text)));
        if firsts.len() <= 1 {
            return true;
        }
        let width = f64::from(usize::BITS - (firsts.len() - 1).leading_zeros());
        let in_order = changes * 3 < codes.len();
        if firsts.len() <= BYTE_CODES_MAX && (in_order || width - self.distinct.entropy() > 0.4) {
            out.push(CODES_BYTES);
            out.extend(codes.iter().map(|code| *code as u8));
            true
        } else {
            out.push(CODES_PACKED);
            let numbers: Vec<i64> = codes.iter().map(|code| i64::from(*code)).collect();
            put_ints(out, &numbers);
            firsts.len() * 8 > codes.len()
        }
    }

    /// All values as numbers, and how the column begins then.
    fn parse_numbers(&mut self, text: &[u8], values: &[Span]) -> Option<Vec<u8>> {
        self.numbers.clear();
        let first = values.first()?.of(text);
        if canonical(first).is_some() {
            for span in values {
                self.numbers.push(canonical(span.of(text))?);
            }
            return Some(vec![INTEGERS]);
        }
        let (_, scale) = decimal(first)?;
        for span in values {
            let (number, its_scale) = decimal(span.of(text))?;
            if its_scale != scale {
                return None;
            }
            self.numbers.push(number);
        }
        Some(vec![DECIMALS, scale])
    }
}

pub(super) fn put_texts(out: &mut Vec<u8>, text: &[u8], values: &[Span], lengths: &mut Vec<i64>) {
    out.push(TEXTS);
    lengths.clear();
    lengths.extend(values.iter().map(|span| i64::from(span.to - span.from)));
    put_ints(out, lengths);
    values.iter().for_each(|span| out.extend_from_slice(span.of(text)));
}
