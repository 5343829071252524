//! Times in Go reference layouts (`2006-01-02T15:04:05.000Z07:00`).

mod civil;
mod layout;
mod parse;
#[cfg(test)]
mod tests;
mod zone;

use self::civil::Civil;
use self::layout::{Element, Layout};
use crate::model::Timestamp;

/// A zone: UTC, a fixed offset in seconds, or an IANA name from the machine's zoneinfo.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Zone {
    #[default]
    Utc,
    Fixed {
        offset_secs: i32,
        name: String,
    },
    Named(String),
}

/// Stands for Go's zero time, 1 January of the year 1, which nanoseconds do not reach.
pub const ZERO_TIME: Timestamp = Timestamp::MIN;

/// The year of times whose layout has none: a leap year, so that 29 February is a date.
pub const YEAR_OF_NONE: i32 = 1972;

/// A parsed time, and whether the layout held a year. Without one the time lies in
/// `YEAR_OF_NONE`; the caller moves it to the year it must mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    pub ts: Timestamp,
    pub has_year: bool,
}

/// Go's `Time.Format`. A zone that the machine does not know counts as UTC; see `load_zone`.
pub fn format(ts: Timestamp, layout: &str, zone: &Zone) -> String {
    let secs = if ts == ZERO_TIME { civil::ZERO_TIME_SECS } else { ts.0.div_euclid(1_000_000_000) };
    let nanos = if ts == ZERO_TIME { 0 } else { ts.0.rem_euclid(1_000_000_000) };
    let at = zone::offset_at(zone, secs);
    let civil = Civil::from_secs(secs + i64::from(at.offset_secs));
    let mut out = String::with_capacity(layout.len() + 8);
    for element in Layout::new(layout) {
        write(&mut out, &element, &civil, nanos, &at);
    }
    out
}

/// Go's `time.ParseInLocation`: `zone` counts where the text names none.
pub fn parse(text: &str, layout: &str, zone: &Zone) -> Result<Parsed, String> {
    parse::parse(text, layout, zone)
}

/// Reads `UTC`, `Local` or an IANA name, and makes sure that the machine knows it.
pub fn load_zone(name: &str) -> Result<Zone, String> {
    match name {
        "" | "UTC" => Ok(Zone::Utc),
        _ if zone::is_known(name) => Ok(Zone::Named(name.to_owned())),
        _ => Err(format!("unknown time zone {name:?}: use an IANA name like \"Europe/Berlin\"")),
    }
}

fn write(out: &mut String, element: &Element, civil: &Civil, nanos: i64, at: &zone::Offset) {
    use std::fmt::Write as _;
    let hour12 = (civil.hour + 11) % 12 + 1;
    // Writing to a String cannot fail.
    let _ = match element {
        Element::Literal(text) => out.write_str(text),
        Element::YearLong if civil.year < 0 => write!(out, "-{:04}", -civil.year),
        Element::YearLong => write!(out, "{:04}", civil.year),
        Element::YearShort => write!(out, "{:02}", civil.year.rem_euclid(100)),
        Element::MonthLong => out.write_str(civil.month_name()),
        Element::MonthShort => out.write_str(civil.month_name().get(..3).unwrap_or_default()),
        Element::MonthZero => write!(out, "{:02}", civil.month),
        Element::Month => write!(out, "{}", civil.month),
        Element::WeekdayLong => out.write_str(civil.weekday_name()),
        Element::WeekdayShort => out.write_str(civil.weekday_name().get(..3).unwrap_or_default()),
        Element::Day => write!(out, "{}", civil.day),
        Element::DaySpace => write!(out, "{:>2}", civil.day),
        Element::DayZero => write!(out, "{:02}", civil.day),
        Element::YearDaySpace => write!(out, "{:>3}", civil.year_day),
        Element::YearDayZero => write!(out, "{:03}", civil.year_day),
        Element::Hour => write!(out, "{:02}", civil.hour),
        Element::Hour12Zero => write!(out, "{hour12:02}"),
        Element::Hour12 => write!(out, "{hour12}"),
        Element::MinuteZero => write!(out, "{:02}", civil.minute),
        Element::Minute => write!(out, "{}", civil.minute),
        Element::SecondZero => write!(out, "{:02}", civil.second),
        Element::Second => write!(out, "{}", civil.second),
        Element::AmPm => out.write_str(if civil.hour >= 12 { "PM" } else { "AM" }),
        Element::AmPmLower => out.write_str(if civil.hour >= 12 { "pm" } else { "am" }),
        Element::ZoneName if !at.name.is_empty() => out.write_str(&at.name),
        Element::ZoneName => {
            // A zone without a name shows its offset: `+03`, `+0330`.
            let minutes = at.offset_secs / 60;
            let sign = if minutes < 0 { '-' } else { '+' };
            let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
            if rest == 0 {
                write!(out, "{sign}{hours:02}")
            } else {
                write!(out, "{sign}{hours:02}{rest:02}")
            }
        }
        Element::Offset { zulu: true, .. } if at.offset_secs == 0 => out.write_str("Z"),
        Element::Offset { colon, parts, .. } => {
            let secs = at.offset_secs.abs();
            let colon = if *colon { ":" } else { "" };
            let sign = if at.offset_secs < 0 { '-' } else { '+' };
            let mut text = format!("{sign}{:02}", secs / 3600);
            if *parts >= 2 {
                text.push_str(&format!("{colon}{:02}", secs / 60 % 60));
            }
            if *parts >= 3 {
                text.push_str(&format!("{colon}{:02}", secs % 60));
            }
            out.write_str(&text)
        }
        Element::Fraction { separator, digits, trims } => {
            let all = format!("{nanos:09}");
            let mut shown = all.get(..(*digits).min(9)).unwrap_or(&all);
            if *trims {
                shown = shown.trim_end_matches('0');
            }
            if shown.is_empty() { Ok(()) } else { write!(out, "{separator}{shown}") }
        }
    };
}
