//! Cuts a layout into its elements, with Go's precedence.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element<'a> {
    Literal(&'a str),
    YearLong,
    YearShort,
    MonthLong,
    MonthShort,
    MonthZero,
    Month,
    WeekdayLong,
    WeekdayShort,
    Day,
    DaySpace,
    DayZero,
    YearDaySpace,
    YearDayZero,
    Hour,
    Hour12Zero,
    Hour12,
    MinuteZero,
    Minute,
    SecondZero,
    Second,
    AmPm,
    AmPmLower,
    ZoneName,
    /// `-0700`, `Z07:00`, `-07:00:00`; `parts` are hours, minutes, seconds.
    Offset {
        zulu: bool,
        colon: bool,
        parts: u8,
    },
    /// `.000`, `,999`
    Fraction {
        separator: char,
        digits: usize,
        trims: bool,
    },
}

/// Walks the elements of a layout.
pub(super) struct Layout<'a> {
    rest: &'a str,
    pending: Option<(Element<'a>, usize)>,
}

impl<'a> Layout<'a> {
    pub fn new(layout: &'a str) -> Self {
        Layout { rest: layout, pending: None }
    }
}

impl<'a> Iterator for Layout<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        if let Some((element, length)) = self.pending.take() {
            self.rest = self.rest.get(length..).unwrap_or_default();
            return Some(element);
        }
        if self.rest.is_empty() {
            return None;
        }
        for (at, _) in self.rest.char_indices() {
            let tail = self.rest.get(at..).unwrap_or_default();
            if let Some((element, length)) = element(tail) {
                if at == 0 {
                    self.rest = self.rest.get(length..).unwrap_or_default();
                    return Some(element);
                }
                let literal = self.rest.get(..at).unwrap_or_default();
                self.rest = tail;
                self.pending = Some((element, length));
                return Some(Element::Literal(literal));
            }
        }
        let literal = self.rest;
        self.rest = "";
        Some(Element::Literal(literal))
    }
}

/// The element that begins here, and its length.
fn element(tail: &str) -> Option<(Element<'_>, usize)> {
    use Element as E;
    let offset = |zulu, colon, parts| E::Offset { zulu, colon, parts };
    let starts = |text: &str| tail.starts_with(text);
    let first = tail.chars().next()?;
    let found = match first {
        'J' if starts("January") => (E::MonthLong, 7),
        'J' if starts("Jan") && !lowercase_at(tail, 3) => (E::MonthShort, 3),
        'M' if starts("Monday") => (E::WeekdayLong, 6),
        'M' if starts("Mon") && !lowercase_at(tail, 3) => (E::WeekdayShort, 3),
        'M' if starts("MST") => (E::ZoneName, 3),
        '0' if starts("002") => (E::YearDayZero, 3),
        '0' => match tail.as_bytes().get(1) {
            Some(b'1') => (E::MonthZero, 2),
            Some(b'2') => (E::DayZero, 2),
            Some(b'3') => (E::Hour12Zero, 2),
            Some(b'4') => (E::MinuteZero, 2),
            Some(b'5') => (E::SecondZero, 2),
            Some(b'6') => (E::YearShort, 2),
            _ => return None,
        },
        '1' if starts("15") => (E::Hour, 2),
        '1' => (E::Month, 1),
        '2' if starts("2006") => (E::YearLong, 4),
        '2' => (E::Day, 1),
        // `_2006` is a literal underscore and a year.
        '_' if starts("_2006") => return None,
        '_' if starts("__2") => (E::YearDaySpace, 3),
        '_' if starts("_2") => (E::DaySpace, 2),
        '3' => (E::Hour12, 1),
        '4' => (E::Minute, 1),
        '5' => (E::Second, 1),
        'P' if starts("PM") => (E::AmPm, 2),
        'p' if starts("pm") => (E::AmPmLower, 2),
        '-' if starts("-070000") => (offset(false, false, 3), 7),
        '-' if starts("-07:00:00") => (offset(false, true, 3), 9),
        '-' if starts("-0700") => (offset(false, false, 2), 5),
        '-' if starts("-07:00") => (offset(false, true, 2), 6),
        '-' if starts("-07") => (offset(false, false, 1), 3),
        'Z' if starts("Z070000") => (offset(true, false, 3), 7),
        'Z' if starts("Z07:00:00") => (offset(true, true, 3), 9),
        'Z' if starts("Z0700") => (offset(true, false, 2), 5),
        'Z' if starts("Z07:00") => (offset(true, true, 2), 6),
        'Z' if starts("Z07") => (offset(true, false, 1), 3),
        '.' | ',' => {
            let after = &tail[1..];
            let digit = after.chars().next().filter(|c| matches!(c, '0' | '9'))?;
            let digits = after.len() - after.trim_start_matches(digit).len();
            let is_followed = after.as_bytes().get(digits).is_some_and(u8::is_ascii_digit);
            if is_followed {
                return None;
            }
            let fraction = E::Fraction { separator: first, digits, trims: digit == '9' };
            (fraction, digits + 1)
        }
        _ => return None,
    };
    Some(found)
}

fn lowercase_at(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(u8::is_ascii_lowercase)
}
