//! A column laid open, as queries see it.

use super::column::{
    BYTE_CODES_MAX, CODES_BYTES, CODES_PACKED, DECIMALS, DICTIONARY, INTEGERS, TEMPLATE, TEXTS,
};
use super::ints::{pick_int, push_decimal, push_signed, read_ints};
use super::{seek, template};
use crate::store::read::{Column, Seek};
use crate::store::varint::Reader;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    Dictionary,
    Integers,
    Decimals(u8),
    #[default]
    Texts,
}

/// The values of a column. All memory is kept when another column is read into it.
#[derive(Debug, Default)]
pub(super) struct Data {
    kind: Kind,
    /// Points into `text`; emptied before `text` is touched, and handed out for no longer than
    /// `self` is borrowed.
    values: Vec<&'static str>,
    text: String,
    ends: Vec<u32>,
    codes: Vec<u16>,
    numbers: Vec<i64>,
}

/// Scales are one digit, and the numbers must be written as they were read.
const SCALE_MAX: u8 = 9;

impl Data {
    /// Replaces the content by a column of so many rows; `None` on damage.
    pub fn read(&mut self, bytes: &[u8], rows: usize) -> Option<()> {
        self.values.clear();
        let mut text = std::mem::take(&mut self.text).into_bytes();
        text.clear();
        self.ends.clear();
        self.codes.clear();
        self.numbers.clear();
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            DICTIONARY => self.read_dictionary(&mut reader, rows, text)?,
            INTEGERS => {
                self.kind = Kind::Integers;
                read_ints(&mut reader, rows, &mut self.numbers)?;
            }
            DECIMALS => {
                let scale = reader.byte().filter(|scale| (1..=SCALE_MAX).contains(scale))?;
                self.kind = Kind::Decimals(scale);
                read_ints(&mut reader, rows, &mut self.numbers)?;
            }
            TEMPLATE => {
                self.kind = Kind::Texts;
                let (numbers, ends) = (&mut self.numbers, &mut self.ends);
                template::read(&mut reader, rows, numbers, &mut text, ends)?;
                self.set_text(text)?;
            }
            TEXTS => {
                self.kind = Kind::Texts;
                read_ints(&mut reader, rows, &mut self.numbers)?;
                let mut end = 0u32;
                for length in &self.numbers {
                    end = end.checked_add(u32::try_from(*length).ok()?)?;
                    self.ends.push(end);
                }
                text.extend_from_slice(reader.take(end as usize)?);
                self.set_text(text)?;
            }
            _ => return None,
        }
        reader.is_done().then_some(())
    }

    fn set_text(&mut self, text: Vec<u8>) -> Option<()> {
        self.text = String::from_utf8(text).ok()?;
        let text = &self.text;
        self.ends.iter().all(|end| text.is_char_boundary(*end as usize)).then_some(())
    }

    fn read_dictionary(
        &mut self,
        reader: &mut Reader<'_>,
        rows: usize,
        mut text: Vec<u8>,
    ) -> Option<()> {
        self.kind = Kind::Dictionary;
        let count = reader.count()?;
        let mut end = 0u32;
        for _ in 0..count {
            end = end.checked_add(u32::try_from(reader.varint()?).ok()?)?;
            self.ends.push(end);
        }
        text.extend_from_slice(reader.take(end as usize)?);
        self.set_text(text)?;
        let mut from = 0;
        for end in &self.ends {
            let value = self.text.get(from..*end as usize)?;
            // SAFETY: `text` is on the heap, is not changed while `values` holds anything, and
            // lives as long as `self`; `column` shortens the lifetime to that of its borrow.
            self.values.push(unsafe { &*std::ptr::from_ref::<str>(value) });
            from = *end as usize;
        }
        if count <= 1 {
            self.codes.resize(if count == 0 { 0 } else { rows }, 0);
            return (self.codes.len() == rows).then_some(());
        }
        match reader.byte()? {
            CODES_BYTES if count <= BYTE_CODES_MAX => {
                self.codes.extend(reader.take(rows)?.iter().map(|code| u16::from(*code)));
            }
            CODES_PACKED => {
                read_ints(reader, rows, &mut self.numbers)?;
                for number in &self.numbers {
                    self.codes.push(u16::try_from(*number).ok()?);
                }
            }
            _ => return None,
        }
        self.codes.iter().all(|code| usize::from(*code) < count).then_some(())
    }

    pub fn column(&self) -> Column<'_> {
        match self.kind {
            Kind::Dictionary => Column::Dictionary { values: &self.values, codes: &self.codes },
            Kind::Integers => Column::Integers(&self.numbers),
            Kind::Decimals(scale) => Column::Decimals { numbers: &self.numbers, scale },
            Kind::Texts => Column::Texts { text: &self.text, ends: &self.ends },
        }
    }

    /// Whether the memory it holds is worth keeping for other columns.
    pub fn is_small(&self) -> bool {
        self.text.capacity() + self.numbers.capacity() * 8 <= 1 << 20
    }
}

/// What became of a wish for one value.
pub(super) enum Picked {
    Done,
    /// Only the whole column gives it.
    Unread,
}

/// A dictionary of more values is laid open instead.
const PICK_VALUES_MAX: usize = 64;

/// Adds one value of a column of so many rows to `out`, without laying the column open; `None`
/// on damage.
pub(super) fn pick_value(
    bytes: &[u8],
    rows: usize,
    row: usize,
    out: &mut Vec<u8>,
) -> Option<Picked> {
    let mut reader = Reader::new(bytes);
    match reader.byte()? {
        INTEGERS => push_signed(out, pick_int(&mut reader, rows, row)?),
        DECIMALS => {
            let scale = reader.byte().filter(|scale| (1..=SCALE_MAX).contains(scale))?;
            push_decimal(out, pick_int(&mut reader, rows, row)?, scale);
        }
        TEMPLATE => {
            // Values are handed out as text, whatever damage there was.
            let start = out.len();
            template::pick(&mut reader, rows, row, out)?;
            std::str::from_utf8(out.get(start..)?).ok()?;
        }
        DICTIONARY => return pick_from_dictionary(&mut reader, rows, row, out),
        _ => return Some(Picked::Unread),
    }
    Some(Picked::Done)
}

/// Places of the values in a column of so many rows that a question is about. The inner `None`:
/// the column must be laid open; the outer one: damage.
pub(super) fn seek_values(
    bytes: &[u8],
    rows: usize,
    question: Seek<'_>,
) -> Option<Option<Vec<u32>>> {
    let mut reader = Reader::new(bytes);
    match (reader.byte()?, question) {
        (TEMPLATE, _) => seek::seek(&mut reader, rows, question),
        (INTEGERS | DECIMALS, Seek::Holds { numbers: false, .. }) => Some(Some(Vec::new())),
        _ => Some(None),
    }
}

fn pick_from_dictionary(
    reader: &mut Reader<'_>,
    rows: usize,
    row: usize,
    out: &mut Vec<u8>,
) -> Option<Picked> {
    let count = reader.count()?;
    if count > PICK_VALUES_MAX {
        return Some(Picked::Unread);
    }
    let mut ends = [0; PICK_VALUES_MAX];
    let mut end = 0usize;
    for slot in ends.get_mut(..count)? {
        end = end.checked_add(reader.size()?)?;
        *slot = end;
    }
    let text = reader.take(end)?;
    let code = match count {
        1 => 0,
        _ => match reader.byte()? {
            CODES_BYTES => usize::from(*reader.take(rows)?.get(row)?),
            CODES_PACKED => usize::try_from(pick_int(reader, rows, row)?).ok()?,
            _ => return None,
        },
    };
    let end = *ends.get(..count)?.get(code)?;
    let start = code.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied())?;
    let value = text.get(start..end)?;
    std::str::from_utf8(value).ok()?;
    out.extend_from_slice(value);
    Some(Picked::Done)
}

/// Writes one value of a column.
#[inline]
pub(super) fn push_value(column: &Column<'_>, place: usize, out: &mut Vec<u8>) -> Option<()> {
    match column {
        Column::Dictionary { values, codes } => {
            out.extend_from_slice(values.get(usize::from(*codes.get(place)?))?.as_bytes());
        }
        Column::Integers(numbers) => push_signed(out, *numbers.get(place)?),
        Column::Decimals { numbers, scale } => push_decimal(out, *numbers.get(place)?, *scale),
        Column::Texts { text, ends } => {
            let from = place.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied())?;
            out.extend_from_slice(text.as_bytes().get(from as usize..*ends.get(place)? as usize)?);
        }
    }
    Some(())
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or_default() as usize + 1
}

/// How long a value is as text.
#[inline]
pub(super) fn value_bytes(column: &Column<'_>, place: usize) -> Option<usize> {
    Some(match column {
        Column::Dictionary { values, codes } => values.get(usize::from(*codes.get(place)?))?.len(),
        Column::Integers(numbers) => {
            let number = *numbers.get(place)?;
            usize::from(number < 0) + digits(number.unsigned_abs())
        }
        Column::Decimals { numbers, scale } => {
            let number = *numbers.get(place)?;
            let one = 10u64.pow(u32::from(*scale));
            let whole = digits(number.unsigned_abs() / one);
            usize::from(number < 0) + whole + 1 + usize::from(*scale)
        }
        Column::Texts { ends, .. } => {
            let from = place.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied())?;
            ends.get(place)?.checked_sub(from)? as usize
        }
    })
}
