//! The values of a hole in the rows of a run that share a shape.

use std::fmt::Write as _;

use crate::query::run::extract::unwrapped;
use crate::query::stage::ValueTest;
use crate::query::syntax::ast::{CompareOp, Conversion};
use crate::store::read::{Column, ReadError};

use super::plan::Test;
use super::{MAYBE, NO, Verdict, YES};

/// A column, cut to some rows.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    Dictionary {
        values: &'a [&'a str],
        codes: &'a [u16],
    },
    Integers(&'a [i64]),
    Decimals {
        numbers: &'a [i64],
        scale: u8,
    },
    /// Value `n` is `text[ends[n - 1]..ends[n]]`, the first one begins at `start`.
    Texts {
        text: &'a str,
        start: usize,
        ends: &'a [u32],
    },
}

/// Up to here every integer is a float, and so is every power of ten behind a point.
const FLOAT_EXACT_MAX: u64 = 1 << 53;
const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

fn damaged() -> ReadError {
    ReadError::Damaged("a column is shorter than the rows of its shape".to_owned())
}

impl<'a> Values<'a> {
    pub fn cut(column: Column<'a>, first: usize, rows: usize) -> Result<Self, ReadError> {
        let range = first..first.saturating_add(rows);
        Ok(match column {
            Column::Dictionary { values, codes } => {
                Values::Dictionary { values, codes: codes.get(range).ok_or_else(damaged)? }
            }
            Column::Integers(numbers) => Values::Integers(numbers.get(range).ok_or_else(damaged)?),
            Column::Decimals { numbers, scale } => {
                Values::Decimals { numbers: numbers.get(range).ok_or_else(damaged)?, scale }
            }
            Column::Texts { text, ends } => {
                let start = match first.checked_sub(1) {
                    Some(before) => *ends.get(before).ok_or_else(damaged)? as usize,
                    None => 0,
                };
                let ends = ends.get(range).ok_or_else(damaged)?;
                Values::Texts { text, start, ends }
            }
        })
    }

    /// The text of a value; what is kept as number is written to the buffer.
    #[inline]
    pub fn text<'b>(&self, row: usize, buffer: &'b mut String) -> &'b str
    where
        'a: 'b,
    {
        match *self {
            Values::Dictionary { values, codes } => codes
                .get(row)
                .and_then(|code| values.get(usize::from(*code)))
                .copied()
                .unwrap_or_default(),
            Values::Texts { text, start, ends } => slice(text, start, ends, row),
            Values::Integers(numbers) => {
                buffer.clear();
                // Writing to a String cannot fail.
                let _ = write!(buffer, "{}", numbers.get(row).copied().unwrap_or_default());
                buffer
            }
            Values::Decimals { numbers, scale } => {
                buffer.clear();
                write_decimal(numbers.get(row).copied().unwrap_or_default(), scale, buffer);
                buffer
            }
        }
    }

    /// Whether some value holds a replacement character, which parsers turn into a space.
    pub fn holds_replacement(&self) -> bool {
        let holds = |text: &[u8]| memchr::memmem::find(text, b"\xef\xbf\xbd").is_some();
        match *self {
            Values::Dictionary { values, .. } => {
                values.iter().any(|value| !value.is_ascii() && holds(value.as_bytes()))
            }
            Values::Texts { text, start, ends } => {
                let end = ends.last().map_or(start, |end| *end as usize);
                let all = text.as_bytes().get(start..end).unwrap_or_default();
                !all.is_ascii() && holds(all)
            }
            Values::Integers(_) | Values::Decimals { .. } => false,
        }
    }

    /// What a test says of each value. Where `empty_is_absent`, an empty value is no label.
    pub(super) fn verdicts(&self, test: &Test, empty_is_absent: bool) -> Vec<Verdict> {
        let of_text = |value: &str| {
            test.verdict(Some(value).filter(|value| !(empty_is_absent && value.is_empty())))
        };
        match (*self, test) {
            (Values::Dictionary { values, codes }, _) => {
                by_code(values, codes, UNKNOWN, |value| of_text(value))
            }
            (Values::Integers(numbers), Test::Value(ValueTest::Number(op, want))) => {
                compared(numbers, *op, *want, |number| number as f64)
            }
            (Values::Decimals { numbers, scale }, Test::Value(ValueTest::Number(op, want))) => {
                compared(numbers, *op, *want, |number| decimal(number, scale))
            }
            (Values::Integers(numbers), _) => {
                let mut buffer = String::new();
                memoized(numbers, |number| {
                    buffer.clear();
                    let _ = write!(buffer, "{number}");
                    of_text(&buffer)
                })
            }
            (Values::Decimals { numbers, scale }, _) => {
                let mut buffer = String::new();
                memoized(numbers, |number| {
                    buffer.clear();
                    write_decimal(number, scale, &mut buffer);
                    of_text(&buffer)
                })
            }
            (Values::Texts { text, start, ends }, _) => {
                (0..ends.len()).map(|row| of_text(slice(text, start, ends, row))).collect()
            }
        }
    }

    /// The numbers that the values stand for, and which rows have none: those that are empty
    /// (`NO`) and those that cannot be converted (`MAYBE`).
    pub fn numbers(&self, conversion: Option<Conversion>) -> (Vec<f64>, Vec<Verdict>) {
        let of_text = |text: &str| match unwrapped(conversion, text) {
            _ if text.is_empty() => (0.0, NO),
            Ok(number) => (number, YES),
            Err(_) => (0.0, MAYBE),
        };
        match (*self, conversion) {
            (Values::Integers(numbers), None) => {
                (numbers.iter().map(|number| *number as f64).collect(), Vec::new())
            }
            (Values::Decimals { numbers, scale }, None) => {
                (numbers.iter().map(|number| decimal(*number, scale)).collect(), Vec::new())
            }
            (Values::Dictionary { values, codes }, _) => {
                let mut known = vec![None; values.len()];
                let found = codes.iter().map(|code| {
                    let (Some(slot), Some(value)) =
                        (known.get_mut(usize::from(*code)), values.get(usize::from(*code)))
                    else {
                        return (0.0, MAYBE);
                    };
                    *slot.get_or_insert_with(|| of_text(value))
                });
                found.unzip()
            }
            _ => {
                let mut buffer = String::new();
                (0..self.len()).map(|row| of_text(self.text(row, &mut buffer))).unzip()
            }
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Values::Dictionary { codes, .. } => codes.len(),
            Values::Integers(numbers) | Values::Decimals { numbers, .. } => numbers.len(),
            Values::Texts { ends, .. } => ends.len(),
        }
    }
}

/// One value of a column of texts.
#[inline]
pub(super) fn slice<'a>(text: &'a str, start: usize, ends: &[u32], row: usize) -> &'a str {
    let from = match row.checked_sub(1) {
        Some(before) => ends.get(before).map_or(0, |end| *end as usize),
        None => start,
    };
    ends.get(row).and_then(|end| text.get(from..*end as usize)).unwrap_or_default()
}

/// No verdict yet.
pub(super) const UNKNOWN: Verdict = 3;

/// Asks once for each value that occurs.
pub(super) fn by_code(
    values: &[&str],
    codes: &[u16],
    unknown: Verdict,
    mut ask: impl FnMut(&str) -> Verdict,
) -> Vec<Verdict> {
    let mut known = vec![unknown; values.len()];
    let verdict = |code: &u16| {
        let at = usize::from(*code);
        match known.get_mut(at) {
            Some(verdict) => {
                if *verdict == unknown {
                    *verdict = ask(values.get(at).copied().unwrap_or_default());
                }
                *verdict
            }
            None => MAYBE,
        }
    };
    codes.iter().map(verdict).collect()
}

/// Asks again only for numbers that were not seen lately.
pub(super) fn memoized(numbers: &[i64], mut ask: impl FnMut(i64) -> Verdict) -> Vec<Verdict> {
    const SLOTS: usize = 256;
    let mut known: [Option<(i64, Verdict)>; SLOTS] = [None; SLOTS];
    let verdict = |number: &i64| {
        let slot = number.rem_euclid(SLOTS as i64) as usize;
        match known.get_mut(slot) {
            Some(Some((of, verdict))) if of == number => *verdict,
            Some(slot) => {
                let verdict = ask(*number);
                *slot = Some((*number, verdict));
                verdict
            }
            None => MAYBE,
        }
    };
    numbers.iter().map(verdict).collect()
}

fn compared(
    numbers: &[i64],
    op: CompareOp,
    want: f64,
    number: impl Fn(i64) -> f64,
) -> Vec<Verdict> {
    let all = |test: fn(&f64, &f64) -> bool| -> Vec<Verdict> {
        numbers.iter().map(|n| Verdict::from(test(&number(*n), &want))).collect()
    };
    match op {
        CompareOp::Eq => all(f64::eq),
        CompareOp::Neq => all(f64::ne),
        CompareOp::Gt => all(f64::gt),
        CompareOp::Gte => all(f64::ge),
        CompareOp::Lt => all(f64::lt),
        CompareOp::Lte => all(f64::le),
    }
}

/// The float that the text of a decimal stands for. Both mantissa and power are exact, so that
/// the quotient is rounded once, as reading the text would.
fn decimal(number: i64, scale: u8) -> f64 {
    match POWERS.get(usize::from(scale)) {
        Some(power) if number.unsigned_abs() <= FLOAT_EXACT_MAX => number as f64 / power,
        _ => {
            let mut text = String::new();
            write_decimal(number, scale, &mut text);
            text.parse().unwrap_or(f64::NAN)
        }
    }
}

fn write_decimal(number: i64, scale: u8, out: &mut String) {
    let power = 10_u64.saturating_pow(u32::from(scale));
    let sign = if number < 0 { "-" } else { "" };
    let (whole, rest) = (number.unsigned_abs() / power, number.unsigned_abs() % power);
    let digits = usize::from(scale);
    let _ = write!(out, "{sign}{whole}.{rest:0digits$}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_those_of_their_texts(number in any::<i64>(), shift in 0..64_u32, scale in 1..10_u8) {
            let numbers = [number >> shift];
            for values in
                [Values::Integers(&numbers), Values::Decimals { numbers: &numbers, scale }]
            {
                let mut buffer = String::new();
                let text = values.text(0, &mut buffer).to_owned();
                let (found, verdicts) = values.numbers(None);
                prop_assert!(verdicts.is_empty());
                prop_assert_eq!(found[0].to_bits(), text.parse::<f64>().unwrap().to_bits(), "{}", text);
                for op in [CompareOp::Eq, CompareOp::Lt, CompareOp::Gte] {
                    let test = Test::Value(ValueTest::Number(op, 1000.5));
                    prop_assert_eq!(values.verdicts(&test, false), vec![test.verdict(Some(&text))]);
                }
            }
        }
    }
}
