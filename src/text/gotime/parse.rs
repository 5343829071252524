//! Reads a time by a layout, with Go's rules.

use super::civil::{MONTHS, WEEKDAYS, days_from, days_in_month};
use super::layout::{Element, Layout};
use super::{Parsed, YEAR_OF_NONE, Zone, zone};
use crate::model::Timestamp;

#[derive(Default)]
struct Found {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    year_day: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: i64,
    is_pm: Option<bool>,
    offset_secs: Option<i32>,
    zone_name: Option<String>,
}

pub(super) fn parse(text: &str, layout: &str, zone: &Zone) -> Result<Parsed, String> {
    let fault = |what: &str| format!("cannot parse the time as {layout:?}: {what}");
    let mut rest = text;
    let mut found = Found::default();
    let mut elements = Layout::new(layout).peekable();
    while let Some(element) = elements.next() {
        let next_is_fraction = matches!(elements.peek(), Some(Element::Fraction { .. }));
        rest = step(&element, rest, next_is_fraction, &mut found).map_err(|what| fault(&what))?;
    }
    if !rest.is_empty() {
        return Err(fault("extra text at the end"));
    }
    finish(&found, zone).map_err(|what| fault(&what))
}

type Step<'a> = Result<&'a str, String>;

fn step<'a>(
    element: &Element,
    rest: &'a str,
    next_is_fraction: bool,
    found: &mut Found,
) -> Step<'a> {
    match element {
        Element::Literal(literal) => skip(rest, literal),
        Element::YearLong => {
            let digits = rest.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
            let digits = digits.ok_or("expected a year of four digits")?;
            found.year = digits.parse().ok();
            Ok(&rest[4..])
        }
        Element::YearShort => {
            let (number, rest) = two(rest, true)?;
            // As Unix does: 69 and above are the last century.
            found.year =
                i32::try_from(if number >= 69 { number + 1900 } else { number + 2000 }).ok();
            Ok(rest)
        }
        Element::MonthLong => name(rest, &MONTHS, usize::MAX, |at| found.month = Some(at + 1)),
        Element::MonthShort => name(rest, &MONTHS, 3, |at| found.month = Some(at + 1)),
        Element::MonthZero | Element::Month => {
            let (number, rest) = two(rest, *element == Element::MonthZero)?;
            if !(1..=12).contains(&number) {
                return Err("month out of range".to_owned());
            }
            found.month = Some(number);
            Ok(rest)
        }
        Element::WeekdayLong => name(rest, &WEEKDAYS, usize::MAX, |_| {}),
        Element::WeekdayShort => name(rest, &WEEKDAYS, 3, |_| {}),
        Element::Day | Element::DaySpace | Element::DayZero => {
            let rest = match element {
                Element::DaySpace => rest.strip_prefix(' ').unwrap_or(rest),
                _ => rest,
            };
            let (number, rest) = two(rest, *element == Element::DayZero)?;
            found.day = Some(number);
            Ok(rest)
        }
        Element::YearDaySpace | Element::YearDayZero => {
            let is_fixed = *element == Element::YearDayZero;
            // The spaces may already be gone with a space that stands before them.
            let mut rest = rest;
            for _ in 0..2 {
                rest = rest.strip_prefix(' ').filter(|_| !is_fixed).unwrap_or(rest);
            }
            let digits = rest.bytes().take(3).take_while(u8::is_ascii_digit).count();
            if digits == 0 || (is_fixed && digits < 3) {
                return Err("expected a day of the year".to_owned());
            }
            found.year_day = rest[..digits].parse().ok();
            Ok(&rest[digits..])
        }
        Element::Hour => {
            // One digit is enough, as in Go.
            let (number, rest) = two(rest, false)?;
            found.hour = below(number, 24, "hour")?;
            Ok(rest)
        }
        Element::Hour12Zero | Element::Hour12 => {
            let (number, rest) = two(rest, *element == Element::Hour12Zero)?;
            found.hour = below(number, 13, "hour")?;
            Ok(rest)
        }
        Element::MinuteZero | Element::Minute => {
            let (number, rest) = two(rest, *element == Element::MinuteZero)?;
            found.minute = below(number, 60, "minute")?;
            Ok(rest)
        }
        Element::SecondZero | Element::Second => {
            let (number, rest) = two(rest, *element == Element::SecondZero)?;
            found.second = below(number, 60, "second")?;
            // A fraction in the text is read even where the layout has none.
            let digits = fraction_digits(rest);
            if digits > 0 && !next_is_fraction {
                found.nanos = nanos(&rest[1..=digits]);
                return Ok(&rest[digits + 1..]);
            }
            Ok(rest)
        }
        Element::AmPm | Element::AmPmLower => {
            let (am, pm) = if *element == Element::AmPm { ("AM", "PM") } else { ("am", "pm") };
            if let Some(rest) = rest.strip_prefix(pm) {
                found.is_pm = Some(true);
                return Ok(rest);
            }
            found.is_pm = Some(false);
            rest.strip_prefix(am).ok_or_else(|| format!("expected {am} or {pm}"))
        }
        Element::Fraction { digits, trims: false, .. } => {
            let have = fraction_digits(rest);
            if have < *digits {
                return Err(format!("expected {digits} digits of fraction"));
            }
            found.nanos = nanos(&rest[1..=*digits]);
            Ok(&rest[digits + 1..])
        }
        Element::Fraction { trims: true, .. } => {
            // May be absent altogether, and any number of digits will do.
            let have = fraction_digits(rest);
            if have == 0 {
                return Ok(rest);
            }
            found.nanos = nanos(&rest[1..=have]);
            Ok(&rest[have + 1..])
        }
        Element::Offset { zulu, colon, parts } => offset(rest, *zulu, *colon, *parts, found),
        Element::ZoneName => zone_name(rest, found),
    }
}

/// Spaces in the layout match any number of spaces.
fn skip<'a>(mut rest: &'a str, literal: &str) -> Step<'a> {
    let mut literal = literal;
    while let Some(c) = literal.chars().next() {
        if c == ' ' {
            if !rest.is_empty() && !rest.starts_with(' ') {
                return Err("expected a space".to_owned());
            }
            literal = literal.trim_start_matches(' ');
            rest = rest.trim_start_matches(' ');
            continue;
        }
        rest = rest.strip_prefix(c).ok_or_else(|| format!("expected {c:?}"))?;
        literal = &literal[c.len_utf8()..];
    }
    Ok(rest)
}

fn below(number: u32, end: u32, what: &str) -> Result<u32, String> {
    if number < end { Ok(number) } else { Err(format!("{what} out of range")) }
}

/// One or two digits; two of them when `fixed`.
fn two(rest: &str, fixed: bool) -> Result<(u32, &str), String> {
    let digits = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
    if digits == 0 || (fixed && digits < 2) {
        return Err("expected a number".to_owned());
    }
    let number = rest[..digits].parse().map_err(|_| "expected a number")?;
    Ok((number, &rest[digits..]))
}

fn name<'a>(
    rest: &'a str,
    names: &[&str],
    length_max: usize,
    mut take: impl FnMut(u32),
) -> Step<'a> {
    for (at, full) in names.iter().enumerate() {
        let wanted = full.get(..length_max.min(full.len())).unwrap_or(full);
        let given = rest.get(..wanted.len()).unwrap_or_default();
        if given.eq_ignore_ascii_case(wanted) {
            take(u32::try_from(at).unwrap_or_default());
            return Ok(&rest[wanted.len()..]);
        }
    }
    Err("expected the name of a month or weekday".to_owned())
}

/// How many digits follow a point or comma.
fn fraction_digits(rest: &str) -> usize {
    if !rest.starts_with(['.', ',']) {
        return 0;
    }
    rest[1..].bytes().take_while(u8::is_ascii_digit).count()
}

fn nanos(digits: &str) -> i64 {
    let nine = digits.get(..9).unwrap_or(digits);
    let number: i64 = nine.parse().unwrap_or_default();
    let missing = u32::try_from(9 - nine.len()).unwrap_or_default();
    number * 10i64.pow(missing)
}

fn offset<'a>(rest: &'a str, zulu: bool, colon: bool, parts: u8, found: &mut Found) -> Step<'a> {
    if zulu && let Some(rest) = rest.strip_prefix('Z') {
        found.offset_secs = Some(0);
        return Ok(rest);
    }
    let expected = || "expected an offset from UTC".to_owned();
    let sign = match rest.bytes().next() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Err(expected()),
    };
    let mut rest = &rest[1..];
    let mut secs = 0;
    for part in 0..parts {
        if colon && part > 0 {
            rest = rest.strip_prefix(':').ok_or_else(expected)?;
        }
        let (number, after) = two(rest, true)?;
        let number = below(number, if part == 0 { 25 } else { 60 }, "offset")?;
        secs += number * [3600, 60, 1].get(usize::from(part)).copied().unwrap_or(0);
        rest = after;
    }
    found.offset_secs = i32::try_from(secs).ok().map(|secs| sign * secs);
    Ok(rest)
}

/// `CEST`, `MST`, `GMT+3`, `+0530`, `WITA`.
fn zone_name<'a>(rest: &'a str, found: &mut Found) -> Step<'a> {
    let bad = || "expected the name of a zone".to_owned();
    if let Some(after) = rest.strip_prefix("UTC") {
        found.offset_secs = Some(0);
        return Ok(after);
    }
    let length = if rest.starts_with("ChST") || rest.starts_with("MeST") {
        4
    } else if let Some(after) = rest.strip_prefix("GMT") {
        3 + signed_length(after)
    } else if rest.starts_with(['+', '-']) {
        match signed_length(rest) {
            0 => return Err(bad()),
            length => length,
        }
    } else {
        match rest.bytes().take(6).take_while(u8::is_ascii_uppercase).count() {
            3 => 3,
            4 if rest.as_bytes().get(3) == Some(&b'T') || rest.starts_with("WITA") => 4,
            5 if rest.as_bytes().get(4) == Some(&b'T') => 5,
            _ => return Err(bad()),
        }
    };
    let name = rest.get(..length).ok_or_else(bad)?;
    found.zone_name = Some(name.to_owned());
    Ok(&rest[length..])
}

/// The length of `+5` or `-11` within -23 to +23, else 0.
fn signed_length(text: &str) -> usize {
    if !text.starts_with(['+', '-']) {
        return 0;
    }
    let digits = text[1..].bytes().take_while(u8::is_ascii_digit).count();
    let hours: Option<u32> = text[1..=digits].parse().ok();
    if hours.is_some_and(|hours| hours <= 23) { digits + 1 } else { 0 }
}

fn finish(found: &Found, zone: &Zone) -> Result<Parsed, String> {
    let has_year = found.year.is_some();
    let year = found.year.unwrap_or(YEAR_OF_NONE);
    let days = match found.year_day {
        Some(year_day) => {
            let day = days_from(year, 1, 1) + i64::from(year_day) - 1;
            if year_day == 0 || day >= days_from(year + 1, 1, 1) {
                return Err("day of the year out of range".to_owned());
            }
            if let (Some(month), Some(of_month)) = (found.month, found.day)
                && days_from(year, month, of_month) != day
            {
                return Err("day of the year does not fit the date".to_owned());
            }
            day
        }
        None => {
            let (month, day) = (found.month.unwrap_or(1), found.day.unwrap_or(1));
            if day < 1 || day > days_in_month(year, month) {
                return Err("day out of range".to_owned());
            }
            days_from(year, month, day)
        }
    };
    let hour = match found.is_pm {
        Some(true) if found.hour < 12 => found.hour + 12,
        Some(false) if found.hour == 12 => 0,
        _ => found.hour,
    };
    let local = days * 86_400
        + i64::from(hour * 3600)
        + i64::from(found.minute * 60)
        + i64::from(found.second);
    let secs = match (found.offset_secs, &found.zone_name) {
        (Some(offset), _) => local - i64::from(offset),
        (None, Some(name)) => local - i64::from(named_offset(name, local, zone)),
        (None, None) => zone::to_utc(zone, local),
    };
    let ns = secs
        .checked_mul(1_000_000_000)
        .and_then(|ns| ns.checked_add(found.nanos))
        .filter(|ns| *ns != i64::MIN)
        .ok_or("the year is outside 1678 to 2261")?;
    Ok(Parsed { ts: Timestamp(ns), has_year })
}

/// A zone's short name counts if the zone in force has it; `GMT+3` explains itself; any other
/// counts as UTC, as in Go.
fn named_offset(name: &str, local_secs: i64, zone: &Zone) -> i32 {
    if let Some(offset) = zone::offset_of_name(zone, name, local_secs) {
        return offset;
    }
    let hours = match name.strip_prefix("GMT") {
        Some(hours) => hours,
        None if name.starts_with(['+', '-']) => name,
        None => "",
    };
    hours.parse::<i32>().map_or(0, |hours| hours * 3600)
}
