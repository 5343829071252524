//! Values that are numbers with signs between them: addresses, times, ids of a fixed form.
//! What all values have in common is kept once, each number is a column of its own.

use super::field::{DECIMAL_MAX, Field, HEX_MAX, is_lower_hex, is_upper_hex};
use super::ints::{ints_bytes, pick_int, put_ints, read_ints};
use crate::store::short::{same, strip};
use crate::store::varint::{Reader, put, put_bytes};

/// Values looked at before a form is decided on.
const SAMPLES: usize = 64;
pub(super) const FIELDS_MAX: usize = 16;
/// Values that do not fit the form are kept as they are, up to one in so many.
const EXCEPTIONS_SHARE: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Form {
    /// What stands before each field, and behind the last.
    literals: Vec<Vec<u8>>,
    fields: Vec<Field>,
}

/// The values of a column taken apart.
#[derive(Debug)]
pub(super) struct Template {
    form: Form,
    /// Of each field one after the other.
    numbers: Vec<Vec<i64>>,
    /// Fields that are kept as one number, where that is smaller.
    clock: Option<(Clock, Vec<i64>)>,
    exceptions: Vec<u32>,
    exception_bytes: usize,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// Words and what stands between them, by turns; the first is of the kind that `is_word` denies.
fn cut(text: &[u8], is_word: fn(u8) -> bool) -> Vec<&[u8]> {
    let mut runs = Vec::new();
    let (mut at, mut inside) = (0, false);
    while at < text.len() || !inside {
        let start = at;
        while text.get(at).is_some_and(|byte| is_word(*byte) == inside) {
            at += 1;
        }
        runs.push(text.get(start..at).unwrap_or_default());
        inside = !inside;
    }
    runs
}

impl Form {
    /// The form that all samples have.
    fn of(samples: &[&[u8]]) -> Option<Form> {
        let cuts: Vec<Vec<&[u8]>> = samples.iter().map(|sample| cut(sample, is_word)).collect();
        let first = cuts.first()?;
        let mut form = Form::default();
        let mut literal = Vec::new();
        if cuts.iter().any(|runs| runs.len() != first.len()) {
            return None;
        }
        for place in 0..first.len() {
            let of_all: Vec<&[u8]> =
                cuts.iter().map(|runs| runs.get(place).copied().unwrap_or_default()).collect();
            if place % 2 == 0 {
                if of_all.windows(2).any(|pair| pair[0] != pair[1]) {
                    return None;
                }
                literal.extend_from_slice(of_all.first()?);
            } else {
                form.add_word(&of_all, &mut literal)?;
            }
        }
        form.literals.push(literal);
        (!form.fields.is_empty() && form.fields.len() <= FIELDS_MAX).then_some(form)
    }

    fn add_word(&mut self, words: &[&[u8]], literal: &mut Vec<u8>) -> Option<()> {
        let first = *words.first()?;
        let all = |test: fn(u8) -> bool| words.iter().all(|word| word.iter().all(|b| test(*b)));
        let same_length = words.iter().all(|word| word.len() == first.len());
        if all(|byte| byte.is_ascii_digit()) {
            let longest = words.iter().map(|word| word.len()).max()?;
            let leading_zero = words.iter().any(|word| word.len() > 1 && word[0] == b'0');
            if longest > DECIMAL_MAX {
                return if same_length { self.add_hex(first, Field::Lower, literal) } else { None };
            }
            // Numbers of one length may be of a fixed length or not; without a leading zero
            // both fit what was seen, and the looser one fits more.
            if leading_zero && !same_length {
                return None;
            }
            let field = if leading_zero { Field::Fixed(first.len() as u8) } else { Field::Decimal };
            self.push(field, literal);
            return Some(());
        }
        if words.iter().all(|word| *word == first) {
            literal.extend_from_slice(first);
            return Some(());
        }
        if same_length && first.len() > 3 {
            if all(is_lower_hex) {
                return self.add_hex(first, Field::Lower, literal);
            }
            if all(is_upper_hex) {
                return self.add_hex(first, Field::Upper, literal);
            }
        }
        let longest = words.iter().map(|word| word.len()).max()?;
        let leading_zero = words.iter().any(|word| word.len() > 1 && word.first() == Some(&b'0'));
        if !leading_zero && (4..=HEX_MAX).contains(&longest) && all(is_lower_hex) {
            self.push(Field::LowerFree, literal);
            return Some(());
        }
        // Letters and digits by turns, the letters always the same.
        let is_digit: fn(u8) -> bool = |byte| byte.is_ascii_digit();
        let cuts: Vec<Vec<&[u8]>> = words.iter().map(|word| cut(word, is_digit)).collect();
        let runs = cuts.first()?.len();
        if cuts.iter().any(|other| other.len() != runs) {
            return None;
        }
        for place in 0..runs {
            let of_all: Vec<&[u8]> =
                cuts.iter().map(|runs| runs.get(place).copied().unwrap_or_default()).collect();
            if place % 2 == 1 {
                self.add_word(&of_all, literal)?;
            } else if of_all.iter().all(|run| Some(run) == of_all.first()) {
                literal.extend_from_slice(of_all.first()?);
            } else {
                return None;
            }
        }
        Some(())
    }

    fn add_hex(
        &mut self,
        word: &[u8],
        field: fn(u8) -> Field,
        literal: &mut Vec<u8>,
    ) -> Option<()> {
        word.chunks(HEX_MAX).for_each(|chunk| self.push(field(chunk.len() as u8), literal));
        (self.fields.len() <= FIELDS_MAX).then_some(())
    }

    fn push(&mut self, field: Field, literal: &mut Vec<u8>) {
        self.literals.push(std::mem::take(literal));
        self.fields.push(field);
    }

    fn take(&self, value: &[u8], numbers: &mut [i64; FIELDS_MAX]) -> Option<()> {
        take(&self.literals, &self.fields, value, numbers)
    }
}

/// Takes the numbers out of a value; `None` when it has another form.
#[inline]
fn take(
    literals: &[impl AsRef<[u8]>],
    fields: &[Field],
    value: &[u8],
    numbers: &mut [i64; FIELDS_MAX],
) -> Option<()> {
    let mut rest = value;
    let (last, before) = literals.split_last()?;
    for (at, literal) in before.iter().enumerate() {
        rest = strip(rest, literal.as_ref())?;
        let (parsed, after) = fields.get(at)?.take(rest)?;
        *numbers.get_mut(at)? = parsed;
        rest = after;
    }
    same(rest, last.as_ref()).then_some(())
}

/// Hours, minutes, seconds and perhaps parts of a second that follow each other in a form: as one
/// number they grow slowly from row to row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    first: usize,
    /// 3, or 4 with parts of a second.
    fields: usize,
    /// Parts that a second has.
    parts: i64,
}

/// Hours of a clock in which no product below overflows.
const HOURS_MAX: i64 = 100;

impl Clock {
    /// The clock that begins at a field; `None` when no such fields are there.
    fn at(first: usize, fields: &[Field], literals: &[impl AsRef<[u8]>]) -> Option<Clock> {
        let is_decimal = |field: &Field| matches!(field, Field::Decimal | Field::Fixed(_));
        let literal = |at: usize| literals.get(at).map(AsRef::as_ref);
        if !fields.get(first..first + 3)?.iter().all(is_decimal)
            || literal(first + 1) != Some(b":")
            || literal(first + 2) != Some(b":")
        {
            return None;
        }
        match (literal(first + 3), fields.get(first + 3)) {
            (Some(b"." | b","), Some(Field::Fixed(digits @ 1..=9))) => {
                Some(Clock { first, fields: 4, parts: 10i64.pow(u32::from(*digits)) })
            }
            _ => Some(Clock { first, fields: 3, parts: 1 }),
        }
    }

    fn join(self, columns: &[Vec<i64>]) -> Option<Vec<i64>> {
        let columns = columns.get(self.first..self.first + self.fields)?;
        let [hours, minutes, seconds, rest @ ..] = columns else { return None };
        let mut joined = Vec::with_capacity(hours.len());
        for (row, ((hour, minute), second)) in hours.iter().zip(minutes).zip(seconds).enumerate() {
            let part = rest.first().map_or(Some(0), |parts| parts.get(row).copied())?;
            if *hour >= HOURS_MAX || *minute >= 60 || *second >= 60 || part >= self.parts {
                return None;
            }
            joined.push(((hour * 60 + minute) * 60 + second) * self.parts + part);
        }
        Some(joined)
    }

    /// Puts the fields in the place of the joined numbers, which are the last `rows` ones.
    fn part(self, rows: usize, numbers: &mut Vec<i64>) -> Option<()> {
        let start = numbers.len().checked_sub(rows)?;
        numbers.resize(start + rows * self.fields, 0);
        let columns = numbers.get_mut(start..)?;
        for row in 0..rows {
            let joined = *columns.get(row)?;
            let (whole, part) = (joined / self.parts, joined % self.parts);
            let fields = [whole / 3600, whole / 60 % 60, whole % 60, part];
            for (field, number) in fields.into_iter().take(self.fields).enumerate() {
                *columns.get_mut(field * rows + row)? = number;
            }
        }
        Some(())
    }
}

impl Template {
    /// Takes values apart; `None` when too many have no form in common.
    pub fn of<'a>(count: usize, value: impl Fn(usize) -> &'a [u8]) -> Option<Template> {
        let step = count.div_ceil(SAMPLES).max(1);
        let mut samples: Vec<&[u8]> = (0..count).step_by(step).map(&value).collect();
        let form = match Form::of(&samples) {
            Some(form) => form,
            None => {
                // Perhaps but for a few, as a dash for nothing.
                let length = samples.get(samples.len() / 2)?.len();
                samples.retain(|sample| sample.len() * 2 > length);
                Form::of(&samples)?
            }
        };
        let mut template = Template {
            numbers: vec![Vec::with_capacity(count); form.fields.len()],
            form,
            clock: None,
            exceptions: Vec::new(),
            exception_bytes: 0,
        };
        let mut numbers = [0; FIELDS_MAX];
        for row in 0..count {
            let text = value(row);
            let before = numbers;
            if template.form.take(text, &mut numbers).is_none() {
                numbers = before;
                template.exceptions.push(row as u32);
                template.exception_bytes += text.len() + 2;
                if template.exceptions.len() * EXCEPTIONS_SHARE > count {
                    return None;
                }
            }
            template.numbers.iter_mut().zip(&numbers).for_each(|(all, number)| all.push(*number));
        }
        template.find_clock();
        Some(template)
    }

    fn find_clock(&mut self) {
        let Form { literals, fields } = &self.form;
        let clock = (0..fields.len()).find_map(|first| Clock::at(first, fields, literals));
        let Some(clock) = clock else { return };
        let Some(joined) = clock.join(&self.numbers) else { return };
        let apart = self.numbers.iter().skip(clock.first).take(clock.fields);
        if ints_bytes(&joined) < apart.map(|numbers| ints_bytes(numbers)).sum() {
            self.clock = Some((clock, joined));
        }
    }

    /// The columns of numbers that are written.
    fn columns(&self) -> impl Iterator<Item = &[i64]> {
        self.numbers.iter().enumerate().filter_map(|(at, numbers)| match &self.clock {
            Some((clock, joined)) if at == clock.first => Some(joined.as_slice()),
            Some((clock, _)) if (clock.first..clock.first + clock.fields).contains(&at) => None,
            _ => Some(numbers.as_slice()),
        })
    }

    /// About what `put` takes.
    pub fn bytes(&self) -> usize {
        self.columns().map(ints_bytes).sum::<usize>() + self.exception_bytes
    }

    pub fn has_exceptions(&self) -> bool {
        !self.exceptions.is_empty()
    }

    pub fn put<'a>(&self, out: &mut Vec<u8>, value: impl Fn(usize) -> &'a [u8]) {
        put(out, self.form.fields.len() as u64);
        self.form.fields.iter().for_each(|field| field.put(out));
        self.form.literals.iter().for_each(|literal| put_bytes(out, literal));
        put(out, self.exceptions.len() as u64);
        let mut before = 0;
        for row in &self.exceptions {
            put(out, u64::from(row - before));
            before = *row;
            put_bytes(out, value(*row as usize));
        }
        put(out, self.clock.as_ref().map_or(0, |(clock, _)| clock.first as u64 + 1));
        self.columns().for_each(|numbers| put_ints(out, numbers));
    }
}

/// What stands in front of the numbers.
pub(super) struct Head<'a> {
    pub fields: Vec<Field>,
    /// What stands before each field, and behind the last.
    pub literals: Vec<&'a [u8]>,
    /// Values of another form, by row.
    pub exceptions: Vec<(usize, &'a [u8])>,
    clock: Option<Clock>,
}

impl<'a> Head<'a> {
    pub fn read(reader: &mut Reader<'a>) -> Option<Head<'a>> {
        let count = reader.count().filter(|count| *count <= FIELDS_MAX)?;
        let fields = (0..count).map(|_| Field::read(reader)).collect::<Option<Vec<Field>>>()?;
        let literals = (0..=count).map(|_| reader.bytes()).collect::<Option<Vec<&[u8]>>>()?;
        let mut exceptions = Vec::new();
        let mut before = 0u32;
        for _ in 0..reader.count()? {
            before = before.checked_add(u32::try_from(reader.varint()?).ok()?)?;
            exceptions.push((before as usize, reader.bytes()?));
        }
        let clock = match reader.size()? {
            0 => None,
            first if first <= count => Some(Clock::at(first - 1, &fields, &literals)?),
            _ => return None,
        };
        Some(Head { fields, literals, exceptions, clock })
    }

    /// Calls `read` for each column of numbers, with the clock if it is one.
    fn columns(&self, mut read: impl FnMut(Option<Clock>) -> Option<()>) -> Option<()> {
        let mut field = 0;
        while field < self.fields.len() {
            let clock = self.clock.filter(|clock| clock.first == field);
            read(clock)?;
            field += clock.map_or(1, |clock| clock.fields);
        }
        Some(())
    }

    /// Replaces `numbers` by those of all fields, one field after the other.
    pub fn read_numbers(
        &self,
        reader: &mut Reader<'_>,
        rows: usize,
        numbers: &mut Vec<i64>,
    ) -> Option<()> {
        numbers.clear();
        self.columns(|clock| {
            read_ints(reader, rows, numbers)?;
            clock.map_or(Some(()), |clock| clock.part(rows, numbers))
        })
    }

    /// Writes a value that is no exception.
    #[inline]
    pub fn write(&self, columns: &[&[i64]], row: usize, text: &mut Vec<u8>) -> Option<()> {
        for ((field, literal), column) in self.fields.iter().zip(&self.literals).zip(columns) {
            text.extend_from_slice(literal);
            field.push(*column.get(row)?, text);
        }
        text.extend_from_slice(self.literals.last()?);
        Some(())
    }

    pub fn take(&self, value: &[u8], numbers: &mut [i64; FIELDS_MAX]) -> Option<()> {
        take(&self.literals, &self.fields, value, numbers)
    }
}

/// Writes values back as text; `None` on damage. `numbers` is scratch.
pub(super) fn read(
    reader: &mut Reader<'_>,
    rows: usize,
    numbers: &mut Vec<i64>,
    text: &mut Vec<u8>,
    ends: &mut Vec<u32>,
) -> Option<()> {
    let head = Head::read(reader)?;
    head.read_numbers(reader, rows, numbers)?;
    let columns: Vec<&[i64]> = numbers.chunks_exact(rows.max(1)).collect();
    let mut exceptions = head.exceptions.iter().peekable();
    for row in 0..rows {
        match exceptions.next_if(|(at, _)| *at == row) {
            Some((_, value)) => text.extend_from_slice(value),
            None => head.write(&columns, row, text)?,
        }
        ends.push(u32::try_from(text.len()).ok()?);
    }
    Some(())
}

/// Adds one of `rows` values to `text`; `None` on damage.
pub(super) fn pick(
    reader: &mut Reader<'_>,
    rows: usize,
    row: usize,
    text: &mut Vec<u8>,
) -> Option<()> {
    let head = Head::read(reader)?;
    if let Some((_, value)) = head.exceptions.iter().find(|(at, _)| *at == row) {
        text.extend_from_slice(value);
        return Some(());
    }
    let mut numbers = Vec::with_capacity(head.fields.len());
    head.columns(|clock| {
        numbers.push(pick_int(reader, rows, row)?);
        clock.map_or(Some(()), |clock| clock.part(1, &mut numbers))
    })?;
    for ((field, literal), number) in head.fields.iter().zip(&head.literals).zip(&numbers) {
        text.extend_from_slice(literal);
        field.push(*number, text);
    }
    text.extend_from_slice(head.literals.last()?);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[String]) -> bool {
        let value = |at: usize| values[at].as_bytes();
        let Some(template) = Template::of(values.len(), value) else { return false };
        let mut out = Vec::new();
        template.put(&mut out, value);
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        let mut reader = Reader::new(&out);
        assert_eq!(
            read(&mut reader, values.len(), &mut Vec::new(), &mut text, &mut ends),
            Some(())
        );
        assert!(reader.is_done());
        let mut from = 0;
        for (row, (value, end)) in values.iter().zip(ends).enumerate() {
            assert_eq!(value.as_bytes(), &text[from..end as usize]);
            from = end as usize;
            let mut alone = Vec::new();
            assert_eq!(pick(&mut Reader::new(&out), values.len(), row, &mut alone), Some(()));
            assert_eq!(value.as_bytes(), alone);
        }
        true
    }

    proptest! {
        #[test]
        fn values_come_back(
            values in prop::sample::select(vec![
                "[0-9]{1,3}\\.[0-9]{1,3}",
                "[a-f0-9]{8}-[A-F0-9]{4}",
                "20[0-9]{2}-[01][0-9]T[0-9]{2}Z",
                "x[0-9]{1,4}ms",
                "[0-2][0-9]:[0-5][0-9]:[0-5][0-9],[0-9]{3}",
                "at 1[0-9]:[0-6][0-9]:[0-5][0-9]",
                "[0-9a-f]{32}",
                "u-[0-9a-f]{1,16}",
                "[a-c][0-9]\\PC{0,2}",
                "\\PC{0,8}",
            ]).prop_flat_map(|form| prop::collection::vec(form, 1..200)),
        ) {
            check(&values);
        }
    }

    #[test]
    fn finds_forms() {
        let ids = |row: u64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for form in [
            |row: u64, id: u64| format!("10.{}.{}.7", row % 200, id % 256),
            |row: u64, _| {
                let (ms, s) = (row * 37 % 1000, row * 37 / 1000);
                format!("2026-11-20 09:{:02}:{:02},{ms:03}", 58 + s / 60, s % 60)
            },
            |row: u64, _| format!("2026-11-20T09:{:02}:{:02}.{:03}Z", row % 60, row % 59, row),
            |row: u64, id: u64| format!("{:08x}-{:04x}-{row:012x}", id as u32, row as u16),
            |_, id: u64| format!("{id:016X}{id:016X}"),
            |row: u64, id: u64| format!("u-{:x}", id >> (row % 7)),
            |row: u64, _| if row % 20 == 3 { "-".to_owned() } else { format!("{row}ms") },
        ] {
            let values: Vec<String> = (0..300).map(|row| form(row, ids(row))).collect();
            assert!(check(&values), "{:?}", values.first());
        }
    }
}
