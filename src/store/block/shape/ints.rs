//! Numbers in as few bits as they need: the numbers themselves or their differences, 256 at a
//! time, less the smallest of them.

use crate::store::varint::{Reader, put, unzigzag, zigzag};

const CHUNK: usize = 256;
const PLAIN: u8 = 0;
const DELTA: u8 = 1;

fn width(range: u64) -> u32 {
    u64::BITS - range.leading_zeros()
}

fn span(values: impl Iterator<Item = i64>) -> (i64, u32) {
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    for value in values {
        least = least.min(value);
        most = most.max(value);
    }
    (least, width(most.wrapping_sub(least) as u64))
}

fn deltas(values: &[i64]) -> impl Iterator<Item = i64> {
    let before = std::iter::once(0).chain(values.iter().copied());
    values.iter().zip(before).map(|(value, before)| value.wrapping_sub(before))
}

/// About how many bytes `put_ints` takes, and in which way.
fn plan(values: &[i64]) -> (usize, u8) {
    let (mut plain, mut delta) = (0, 0);
    let mut before = 0i64;
    for chunk in values.chunks(CHUNK) {
        let (_, bits) = span(chunk.iter().copied());
        plain += bits as usize * chunk.len();
        let first = before;
        let (_, bits) = span(chunk.iter().scan(first, |before, value| {
            let delta = value.wrapping_sub(*before);
            *before = *value;
            Some(delta)
        }));
        delta += bits as usize * chunk.len();
        before = chunk.last().copied().unwrap_or_default();
    }
    let heads = values.len().div_ceil(CHUNK) * 4;
    if delta < plain { (delta / 8 + heads, DELTA) } else { (plain / 8 + heads, PLAIN) }
}

pub(super) fn ints_bytes(values: &[i64]) -> usize {
    plan(values).0
}

pub(super) fn put_ints(out: &mut Vec<u8>, values: &[i64]) {
    let (_, mode) = plan(values);
    out.push(mode);
    let mut chunk_values = [0i64; CHUNK];
    let mut all_deltas = deltas(values);
    for chunk in values.chunks(CHUNK) {
        let chunk_values = &mut chunk_values[..chunk.len()];
        if mode == DELTA {
            chunk_values.iter_mut().zip(&mut all_deltas).for_each(|(to, delta)| *to = delta);
        } else {
            chunk_values.copy_from_slice(chunk);
        }
        let (least, width) = span(chunk_values.iter().copied());
        put(out, zigzag(least));
        out.push(width as u8);
        pack(out, chunk_values.iter().map(|value| value.wrapping_sub(least) as u64), width);
    }
}

fn pack(out: &mut Vec<u8>, values: impl Iterator<Item = u64>, width: u32) {
    if width == 0 {
        return;
    }
    let mut pending = 0u64;
    let mut bits = 0;
    for value in values {
        pending |= value << bits;
        bits += width;
        if bits >= u64::BITS {
            out.extend_from_slice(&pending.to_le_bytes());
            bits -= u64::BITS;
            pending = if bits == 0 { 0 } else { value >> (width - bits) };
        }
    }
    let rest = pending.to_le_bytes();
    out.extend_from_slice(rest.get(..bits.div_ceil(8) as usize).unwrap_or(&rest));
}

/// Adds `count` numbers to `values`; `None` on damage.
pub(super) fn read_ints(
    reader: &mut Reader<'_>,
    count: usize,
    values: &mut Vec<i64>,
) -> Option<()> {
    let mode = reader.byte()?;
    if mode > DELTA {
        return None;
    }
    let mut before = 0i64;
    let mut left = count;
    while left > 0 {
        let rows = left.min(CHUNK);
        left -= rows;
        let least = unzigzag(reader.varint()?);
        let width = u32::from(reader.byte()?);
        if width > u64::BITS {
            return None;
        }
        let packed = reader.take((rows * width as usize).div_ceil(8))?;
        let start = values.len();
        unpack(packed, rows, width, least, values);
        if mode == DELTA {
            for value in values.get_mut(start..)? {
                before = before.wrapping_add(*value);
                *value = before;
            }
        }
    }
    Some(())
}

/// Reads one of `count` numbers and goes on behind all of them; `None` on damage.
pub(super) fn pick_int(reader: &mut Reader<'_>, count: usize, at: usize) -> Option<i64> {
    let mode = reader.byte()?;
    if mode > DELTA || at >= count {
        return None;
    }
    let mut picked = 0i64;
    for start in (0..count).step_by(CHUNK) {
        let rows = (count - start).min(CHUNK);
        let least = unzigzag(reader.varint()?);
        let width = u32::from(reader.byte()?);
        if width > u64::BITS {
            return None;
        }
        let packed = reader.take((rows * width as usize).div_ceil(8))?;
        if start > at {
            continue;
        }
        // Differences count up to the one that is asked for.
        let inside = (at - start).min(rows - 1);
        if mode == DELTA {
            for row in 0..=inside {
                picked = picked.wrapping_add(unpack_one(packed, row, width, least));
            }
        } else if at - start < rows {
            picked = unpack_one(packed, inside, width, least);
        }
    }
    Some(picked)
}

fn unpack(packed: &[u8], rows: usize, width: u32, least: i64, values: &mut Vec<i64>) {
    if width == 0 {
        values.resize(values.len() + rows, least);
        return;
    }
    values.extend((0..rows).map(|row| unpack_one(packed, row, width, least)));
}

/// Bits of a width of 0 are all the same.
#[inline(always)]
fn unpack_one(packed: &[u8], row: usize, width: u32, least: i64) -> i64 {
    if width == 0 {
        return least;
    }
    let mask = u64::MAX >> (u64::BITS - width);
    let bit = row * width as usize;
    let (at, shift) = (bit / 8, (bit % 8) as u32);
    let word = match packed.get(at..at + 8).and_then(|word| word.try_into().ok()) {
        Some(word) => u64::from_le_bytes(word),
        None => {
            let mut word = [0; 8];
            let rest = packed.get(at..).unwrap_or_default();
            word.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
            u64::from_le_bytes(word)
        }
    };
    let mut value = word >> shift;
    if shift + width > u64::BITS {
        value |= u64::from(packed.get(at + 8).copied().unwrap_or_default()) << (u64::BITS - shift);
    }
    least.wrapping_add((value & mask) as i64)
}

/// The number that `i64::to_string` makes this text of.
#[inline]
pub(super) fn canonical(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, text),
    };
    // 18 digits always fit; the few numbers beyond are no loss.
    if digits.is_empty()
        || digits.len() > 18
        || (digits[0] == b'0' && (digits.len() > 1 || negative))
    {
        return None;
    }
    let mut value = 0i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// The number without its point, and the digits behind it.
#[inline]
pub(super) fn decimal(text: &[u8]) -> Option<(i64, u8)> {
    let point = text.iter().position(|byte| *byte == b'.')?;
    let (whole, fraction) = (text.get(..point)?, text.get(point + 1..)?);
    if fraction.is_empty() || fraction.len() > 9 || whole.len() > 9 {
        return None;
    }
    let negative = whole.first() == Some(&b'-');
    let whole = canonical(whole.get(usize::from(negative)..)?).filter(|whole| *whole >= 0)?;
    let mut number = whole;
    for digit in fraction {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + i64::from(digit);
    }
    if negative && number == 0 {
        return None;
    }
    Some((if negative { -number } else { number }, fraction.len() as u8))
}

static PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut at = 0;
    while at < 100 {
        pairs[at] = [b'0' + at as u8 / 10, b'0' + at as u8 % 10];
        at += 1;
    }
    pairs
}

/// Writes a number as `to_string` does, or with leading zeros up to `digits_min`.
#[inline]
pub(super) fn push_number(out: &mut Vec<u8>, value: u64, digits_min: usize) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    let mut rest = value;
    while rest >= 10 {
        let pair = PAIRS[(rest % 100) as usize];
        rest /= 100;
        at -= 2;
        text[at..at + 2].copy_from_slice(&pair);
    }
    if rest > 0 || at == text.len() {
        at -= 1;
        text[at] = b'0' + rest as u8;
    }
    at = at.min(text.len().saturating_sub(digits_min));
    out.extend_from_slice(&text[at..]);
}

#[inline]
pub(super) fn push_signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_number(out, value.unsigned_abs(), 1);
}

pub(super) fn push_decimal(out: &mut Vec<u8>, value: i64, scale: u8) {
    if value < 0 {
        out.push(b'-');
    }
    let one = 10u64.pow(u32::from(scale.min(18)));
    push_number(out, value.unsigned_abs() / one, 1);
    out.push(b'.');
    push_number(out, value.unsigned_abs() % one, usize::from(scale));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(
            mut values in prop::collection::vec(any::<i64>(), 0..600),
            shift in 0u32..64,
            sorted in any::<bool>(),
        ) {
            values.iter_mut().for_each(|value| *value >>= shift);
            if sorted {
                values.sort_unstable();
            }
            let mut out = Vec::new();
            put_ints(&mut out, &values);
            let mut back = Vec::new();
            let mut reader = Reader::new(&out);
            prop_assert_eq!(read_ints(&mut reader, values.len(), &mut back), Some(()));
            prop_assert!(reader.is_done());
            prop_assert_eq!(&back, &values);
            for (at, value) in values.iter().enumerate() {
                let mut reader = Reader::new(&out);
                prop_assert_eq!(pick_int(&mut reader, values.len(), at), Some(*value));
                prop_assert!(reader.is_done());
            }
            prop_assert_eq!(pick_int(&mut Reader::new(&out), values.len(), values.len()), None);
            let half = &out[..out.len() / 2];
            prop_assert_eq!(pick_int(&mut Reader::new(half), values.len().max(1), 0), None);
            let _ = read_ints(&mut Reader::new(&out[..out.len() / 2]), values.len(), &mut back);
        }

        #[test]
        fn texts_come_back(text in "-?[0-9]{1,20}|-?[0-9]{1,12}\\.[0-9]{1,11}") {
            let mut back = Vec::new();
            if let Some(number) = canonical(text.as_bytes()) {
                push_signed(&mut back, number);
                prop_assert_eq!(&number.to_string(), &text);
                prop_assert_eq!(&back, text.as_bytes());
            } else if let Some((number, scale)) = decimal(text.as_bytes()) {
                push_decimal(&mut back, number, scale);
                prop_assert_eq!(&back, text.as_bytes());
            }
        }

        #[test]
        fn all_numbers_are_written(number in any::<i64>(), shift in 0u32..64) {
            let mut back = Vec::new();
            push_signed(&mut back, number >> shift);
            prop_assert_eq!(back, (number >> shift).to_string().into_bytes());
        }
    }

    #[test]
    fn odd_texts_are_no_numbers() {
        for text in ["", "-", "-0", "01", "+1", "1.", ".5", "-0.00", "00.5", "1.0000000000", "1e5"]
        {
            assert_eq!(canonical(text.as_bytes()), None, "{text}");
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
        assert_eq!(decimal(b"-0.50"), Some((-50, 2)));
    }
}
