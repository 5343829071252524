//! How one number of a value is written down, and back.

use super::ints::push_number;
use crate::store::varint::Reader;

/// 18 decimal and 16 hex digits fit a number of 64 bits.
pub(super) const DECIMAL_MAX: usize = 18;
pub(super) const HEX_MAX: usize = 16;
/// How one number of a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// Without leading zeros.
    Decimal,
    /// So many digits.
    Fixed(u8),
    Lower(u8),
    Upper(u8),
    /// Hex digits in lower case without leading zeros.
    LowerFree,
}

pub(super) fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

pub(super) fn is_upper_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'F')
}

impl Field {
    /// How many digits it has, if that is always the same.
    pub fn width(self) -> Option<usize> {
        match self {
            Field::Decimal | Field::LowerFree => None,
            Field::Fixed(digits) | Field::Lower(digits) | Field::Upper(digits) => {
                Some(usize::from(digits))
            }
        }
    }

    pub fn digits_max(self) -> usize {
        self.width().unwrap_or(if self == Field::Decimal { DECIMAL_MAX } else { HEX_MAX })
    }

    pub fn base(self) -> u64 {
        if matches!(self, Field::Decimal | Field::Fixed(_)) { 10 } else { 16 }
    }

    /// Whether a byte can be one of its digits.
    pub fn has(self, byte: u8) -> bool {
        match self {
            Field::Decimal | Field::Fixed(_) => byte.is_ascii_digit(),
            Field::Lower(_) | Field::LowerFree => is_lower_hex(byte),
            Field::Upper(_) => is_upper_hex(byte),
        }
    }

    pub fn digit(self, byte: u8) -> u64 {
        let values = if matches!(self, Field::Upper(_)) { &UPPER_VALUES } else { &LOWER_VALUES };
        u64::from(values[byte as usize] & 15)
    }

    #[inline]
    pub fn take(self, text: &[u8]) -> Option<(i64, &[u8])> {
        let mut number = 0u64;
        match self {
            Field::Decimal => {
                let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let (word, rest) = text.split_at_checked(digits)?;
                if word.is_empty() || digits > DECIMAL_MAX || (digits > 1 && word[0] == b'0') {
                    return None;
                }
                for byte in word {
                    number = number * 10 + u64::from(byte - b'0');
                }
                Some((number as i64, rest))
            }
            Field::Fixed(digits) => {
                let (word, rest) = text.split_at_checked(usize::from(digits))?;
                for byte in word {
                    if !byte.is_ascii_digit() {
                        return None;
                    }
                    number = number * 10 + u64::from(byte - b'0');
                }
                Some((number as i64, rest))
            }
            Field::Lower(digits) | Field::Upper(digits) => {
                let values =
                    if matches!(self, Field::Lower(_)) { &LOWER_VALUES } else { &UPPER_VALUES };
                let (word, rest) = text.split_at_checked(usize::from(digits))?;
                let mut all = 0;
                for byte in word {
                    let value = values[*byte as usize];
                    all |= value;
                    number = number << 4 | u64::from(value & 15);
                }
                (all < 16).then_some((number as i64, rest))
            }
            Field::LowerFree => {
                let digits = text.iter().take_while(|byte| is_lower_hex(**byte)).count();
                let (word, rest) = text.split_at_checked(digits)?;
                if digits == 0 || digits > HEX_MAX || (digits > 1 && word.first() == Some(&b'0')) {
                    return None;
                }
                for byte in word {
                    number = number << 4 | u64::from(LOWER_VALUES[*byte as usize] & 15);
                }
                Some((number as i64, rest))
            }
        }
    }

    #[inline]
    pub fn push(self, number: i64, out: &mut Vec<u8>) {
        match self {
            Field::Decimal => push_number(out, number as u64, 1),
            Field::Fixed(digits) => push_number(out, number as u64, usize::from(digits)),
            Field::Lower(digits) => push_hex(out, number as u64, digits, b"0123456789abcdef"),
            Field::Upper(digits) => push_hex(out, number as u64, digits, b"0123456789ABCDEF"),
            Field::LowerFree => {
                let digits = (u64::BITS - (number as u64).leading_zeros()).div_ceil(4).max(1);
                push_hex(out, number as u64, digits as u8, b"0123456789abcdef");
            }
        }
    }

    pub fn put(self, out: &mut Vec<u8>) {
        let (kind, digits) = match self {
            Field::Decimal => (0, 0),
            Field::Fixed(digits) => (1, digits),
            Field::Lower(digits) => (2, digits),
            Field::Upper(digits) => (3, digits),
            Field::LowerFree => (4, 0),
        };
        out.extend_from_slice(&[kind, digits]);
    }

    pub fn read(reader: &mut Reader<'_>) -> Option<Field> {
        let (kind, digits) = (reader.byte()?, reader.byte()?);
        match kind {
            0 => Some(Field::Decimal),
            1 if usize::from(digits) <= DECIMAL_MAX => Some(Field::Fixed(digits)),
            2 if usize::from(digits) <= HEX_MAX => Some(Field::Lower(digits)),
            3 if usize::from(digits) <= HEX_MAX => Some(Field::Upper(digits)),
            4 => Some(Field::LowerFree),
            _ => None,
        }
    }
}

static LOWER_VALUES: [u8; 256] = hex_values(b'a');
static UPPER_VALUES: [u8; 256] = hex_values(b'A');

const fn hex_values(first_letter: u8) -> [u8; 256] {
    let mut values = [16; 256];
    let mut at = 0;
    while at < 10 {
        values[b'0' as usize + at] = at as u8;
        at += 1;
    }
    at = 0;
    while at < 6 {
        values[first_letter as usize + at] = 10 + at as u8;
        at += 1;
    }
    values
}

#[inline]
fn push_hex(out: &mut Vec<u8>, number: u64, digits: u8, alphabet: &[u8; 16]) {
    let mut text = [0; HEX_MAX];
    let digits = usize::from(digits).min(HEX_MAX);
    let mut rest = number;
    for byte in text[..digits].iter_mut().rev() {
        *byte = alphabet[(rest & 15) as usize];
        rest >>= 4;
    }
    out.extend_from_slice(&text[..digits]);
}
