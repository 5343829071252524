//! Which values of a column of numbers with signs between them equal a text or hold it, found by
//! comparing numbers: writing all values out to look through them takes a hundred times as long.

use super::field::Field;
use super::template::{FIELDS_MAX, Head};
use crate::store::read::Seek;
use crate::store::varint::Reader;

/// Ways in which a text can lie in a value that are followed up. A text with more is short, and
/// looked for in the values themselves.
const WAYS_MAX: usize = 4;
/// Steps taken to find them.
const STEPS_MAX: usize = 4096;

/// Places of the values, ascending. The inner `None`: all values must be read; the outer one:
/// damage.
pub(super) fn seek(
    reader: &mut Reader<'_>,
    rows: usize,
    question: Seek<'_>,
) -> Option<Option<Vec<u32>>> {
    let head = Head::read(reader)?;
    let answers = |value: &[u8]| question.answers(value);
    let mut ways = Ways::default();
    match question {
        Seek::Equals(text) => ways.equal(&head, text.as_bytes()),
        Seek::Holds { left, needle, right, .. } => {
            ways.hold(&head, left.as_bytes(), needle.as_bytes(), right.as_bytes());
        }
    }
    if ways.too_many {
        return Some(None);
    }
    let is_exception = |row: usize| head.exceptions.binary_search_by_key(&row, |e| e.0).is_ok();
    let mut places: Vec<u32> = Vec::new();
    if !ways.list.is_empty() {
        let mut numbers = Vec::new();
        head.read_numbers(reader, rows, &mut numbers)?;
        let columns: Vec<&[i64]> = numbers.chunks_exact(rows.max(1)).collect();
        let mut value = Vec::new();
        for way in &ways.list {
            // The test that most values fail comes first.
            let ((first, test), others) = way.split_first()?;
            for (row, number) in columns.get(*first)?.iter().enumerate() {
                if test.holds(*number)
                    && others.iter().all(|(field, test)| {
                        let number = columns.get(*field).and_then(|column| column.get(row));
                        number.is_some_and(|number| test.holds(*number))
                    })
                    && !is_exception(row)
                {
                    value.clear();
                    head.write(&columns, row, &mut value)?;
                    if answers(&value) {
                        places.push(row as u32);
                    }
                }
            }
        }
    }
    let exceptions = head.exceptions.iter().filter(|(row, _)| *row < rows);
    places.extend(exceptions.filter(|(_, value)| answers(value)).map(|(row, _)| *row as u32));
    places.sort_unstable();
    places.dedup();
    Some(Some(places))
}

/// What some digits of a number must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digits {
    /// Takes away the digits behind.
    divisor: u64,
    /// Takes away the digits in front; 0 leaves them.
    modulus: u64,
    value: u64,
}

impl Digits {
    #[inline]
    fn holds(self, number: i64) -> bool {
        let shifted = number as u64 / self.divisor;
        self.value == if self.modulus == 0 { shifted } else { shifted % self.modulus }
    }
}

/// What numbers must be, by field.
type Way = Vec<(usize, Digits)>;

#[derive(Default)]
struct Ways {
    list: Vec<Way>,
    too_many: bool,
    steps: usize,
}

impl Ways {
    fn add(&mut self, way: &[(usize, Digits)]) {
        // Without a test every value would have to be written out.
        if way.is_empty() || self.list.len() >= WAYS_MAX {
            self.too_many = true;
            return;
        }
        let mut way = way.to_vec();
        // The more values a test tells apart, the more it rules out.
        way.sort_by_key(|(_, digits)| digits.modulus.wrapping_sub(1));
        way.reverse();
        self.list.push(way);
    }

    fn equal(&mut self, head: &Head<'_>, text: &[u8]) {
        let mut numbers = [0; FIELDS_MAX];
        if head.take(text, &mut numbers).is_none() {
            return;
        }
        let exact = |number: i64| Digits { divisor: 1, modulus: 0, value: number as u64 };
        let fields = 0..head.fields.len();
        let way: Way = fields.zip(numbers).map(|(field, n)| (field, exact(n))).collect();
        self.add(&way);
    }

    fn hold(&mut self, head: &Head<'_>, left: &[u8], needle: &[u8], right: &[u8]) {
        let mut elements = Vec::with_capacity(2 * head.fields.len() + 3);
        elements.push(Element::Text(left));
        for (at, (literal, field)) in head.literals.iter().zip(&head.fields).enumerate() {
            elements.push(Element::Text(literal));
            elements.push(Element::Field(at, *field));
        }
        elements.extend(head.literals.last().map(|last| Element::Text(last)));
        elements.push(Element::Text(right));
        for at in 0..elements.len() {
            self.start(&elements, at, needle);
        }
    }

    /// Goes through the ways in which the needle begins in an element.
    fn start(&mut self, elements: &[Element<'_>], at: usize, needle: &[u8]) {
        match elements.get(at) {
            Some(Element::Text(text)) => {
                for from in 0..text.len() {
                    let rest = text.get(from..).unwrap_or_default();
                    let common = rest.len().min(needle.len());
                    if rest.get(..common) == needle.get(..common) {
                        let left = needle.get(common..).unwrap_or_default();
                        self.follow(elements, at + 1, left, &mut Vec::new());
                    }
                }
            }
            Some(Element::Field(number, field)) => match field.width() {
                Some(width) => {
                    for from in 0..width {
                        self.fixed((elements, at), (*number, *field), from, needle, &mut vec![]);
                    }
                }
                None => {
                    // Some of its last digits, or all of them, or none of the first.
                    for taken in 1..=needle.len().min(field.digits_max()) {
                        if !needle.get(taken - 1).is_some_and(|byte| field.has(*byte)) {
                            break;
                        }
                        let rest = needle.get(taken..).unwrap_or_default();
                        self.follow(elements, at + 1, rest, &mut Vec::new());
                    }
                }
            },
            None => {}
        }
    }

    /// The rest of a needle begins where an element does.
    fn follow(&mut self, elements: &[Element<'_>], at: usize, needle: &[u8], way: &mut Way) {
        self.steps += 1;
        if self.too_many || self.steps > STEPS_MAX {
            self.too_many = true;
            return;
        }
        if needle.is_empty() {
            self.add(way);
            return;
        }
        match elements.get(at) {
            Some(Element::Text(text)) => {
                let common = text.len().min(needle.len());
                if text.get(..common) == needle.get(..common) {
                    self.follow(elements, at + 1, needle.get(common..).unwrap_or_default(), way);
                }
            }
            Some(Element::Field(number, field)) => match field.width() {
                Some(_) => self.fixed((elements, at), (*number, *field), 0, needle, way),
                None => {
                    for taken in 1..=needle.len().min(field.digits_max()) {
                        let (word, rest) = needle.split_at(taken);
                        if !word.last().is_some_and(|byte| field.has(*byte)) {
                            break;
                        }
                        let before = way.len();
                        // Where the needle ends inside, more digits may follow.
                        if !rest.is_empty() {
                            let Some((value, [])) = field.take(word) else { continue };
                            let value = value as u64;
                            way.push((*number, Digits { divisor: 1, modulus: 0, value }));
                        }
                        self.follow(elements, at + 1, rest, way);
                        way.truncate(before);
                    }
                }
            },
            None => {}
        }
    }

    /// The needle goes on at a digit of a field of a fixed length.
    fn fixed(
        &mut self,
        (elements, at): (&[Element<'_>], usize),
        (number, field): (usize, Field),
        from: usize,
        needle: &[u8],
        way: &mut Way,
    ) {
        let width = field.width().unwrap_or_default();
        let taken = needle.len().min(width - from);
        let (word, rest) = needle.split_at(taken);
        if !word.iter().all(|byte| field.has(*byte)) {
            return;
        }
        let base = field.base();
        let power = |digits: usize| base.checked_pow(digits as u32);
        let value = word
            .iter()
            .fold(0u64, |value, byte| value.wrapping_mul(base).wrapping_add(field.digit(*byte)));
        // All 16 hex digits fill the number.
        let modulus = if from == 0 { 0 } else { power(taken).unwrap_or_default() };
        let divisor = power(width - from - taken).unwrap_or(1);
        let before = way.len();
        way.push((number, Digits { divisor, modulus, value }));
        self.follow(elements, at + 1, rest, way);
        way.truncate(before);
    }
}

#[derive(Debug, Clone, Copy)]
enum Element<'a> {
    Text(&'a [u8]),
    Field(usize, Field),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::block::shape::template::Template;

    /// What is asked for, and whether it was found without reading the values.
    fn check(values: &[String], question: Seek<'_>) -> bool {
        let value = |at: usize| values[at].as_bytes();
        let Some(template) = Template::of(values.len(), value) else { return false };
        let mut out = Vec::new();
        template.put(&mut out, value);
        let found = seek(&mut Reader::new(&out), values.len(), question).unwrap();
        let expect = (0..values.len()).filter(|at| question.answers(value(*at)));
        let expect: Vec<u32> = expect.map(|at| at as u32).collect();
        if let Some(found) = &found {
            assert_eq!(found, &expect, "{question:?} in {values:?}");
        }
        for cut in 0..out.len().min(40) {
            let _ = seek(&mut Reader::new(&out[..cut]), values.len(), question);
        }
        found.is_some()
    }

    fn any_values() -> impl Strategy<Value = Vec<String>> {
        prop::sample::select(vec![
            "1?[0-9]\\.[0-3]{1,3}",
            "[a-b1]{8}-[A-B0-9]{4}",
            "20[01][0-9]-0[0-9]T1[0-9]Z",
            "x[0-9]{1,3}ms",
            "[0-2][0-9]:[0-5][0-9]:[0-5][0-9],[0-9]{3}",
            "[0-1a]{32}",
            "u-[0-1a]{1,16}",
            "[0-9]{12}",
            "[a-c][0-9]\\PC{0,2}",
        ])
        .prop_flat_map(|form| prop::collection::vec(form, 1..100))
    }

    proptest! {
        #[test]
        fn finds_what_reading_finds(
            values in any_values(),
            at in any::<prop::sample::Index>(),
            from in any::<prop::sample::Index>(),
            bytes in 0usize..40,
            left in "[a1-]{0,3}",
            right in "[a1 ]{0,3}",
        ) {
            let around = format!("{left}{}{right}", values[at.index(values.len())]);
            let mut start = from.index(around.len() + 1);
            while !around.is_char_boundary(start) {
                start -= 1;
            }
            let mut end = (start + bytes).min(around.len());
            while !around.is_char_boundary(end) {
                end += 1;
            }
            let needle = &around[start..end];
            if !needle.is_empty() {
                check(&values, Seek::Holds { left: &left, needle, right: &right, numbers: true });
            }
            check(&values, Seek::Equals(&values[at.index(values.len())]));
            check(&values, Seek::Equals(needle));
        }
    }

    #[test]
    fn ids_are_found_without_reading_values() {
        let id = |row: u64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let values: Vec<String> =
            (1..300).map(|row| format!("{:016x}{:016x}", id(row), id(row + 9))).collect();
        fn holds(needle: &str) -> Seek<'_> {
            Seek::Holds { left: "=", needle, right: " ", numbers: false }
        }
        assert!(check(&values, Seek::Equals(&values[7])));
        assert!(check(&values, holds(&values[7])));
        assert!(check(&values, holds(&format!("={}", &values[7][..20]))));
        assert!(check(&values, holds(&format!("{} ", &values[7][9..]))));
        assert!(check(&values, holds("deadlock")));
        assert!(check(&values, holds("0123456789abcdef0123456789abcdef")));
        let addresses: Vec<String> = (0..300).map(|row| format!("10.0.{}.7", row % 200)).collect();
        assert!(check(&addresses, holds("0123456789abcdef0123456789abcdef")));
        assert!(check(&addresses, holds("10.0.17.7")));
        assert!(check(&addresses, Seek::Equals("10.0.17.7")));
        assert!(!check(&addresses, holds("0")));
    }
}
