//! Times as logs write them: promtail's names and Go layouts, strptime, and guessing.

use std::num::NonZeroUsize;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};
use hashbrown::HashMap;

use crate::model::{StreamId, Timestamp};
use crate::text::gotime::{self, Zone};

/// How far ahead of now a time without a year may lie before the year before is meant.
const AHEAD_MAX_NS: i64 = 86_400_000_000_000;

/// A way to read a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    Auto,
    /// Seconds with fraction.
    Unix,
    /// So many nanoseconds make one unit.
    UnixIn(i64),
    /// A Go layout, and whether it holds the year.
    Go {
        layout: String,
        has_year: bool,
    },
    Strptime {
        format: String,
        has_year: bool,
        has_zone: bool,
    },
}

impl Format {
    pub fn parse(text: &str) -> Result<Format, String> {
        let layout = match text {
            "" => return Err("the time format must not be empty".to_owned()),
            "auto" => return Ok(Format::Auto),
            "Unix" => return Ok(Format::Unix),
            "UnixMs" => return Ok(Format::UnixIn(1_000_000)),
            "UnixUs" => return Ok(Format::UnixIn(1_000)),
            "UnixNs" => return Ok(Format::UnixIn(1)),
            "ANSIC" => "Mon Jan _2 15:04:05 2006",
            "UnixDate" => "Mon Jan _2 15:04:05 MST 2006",
            "RubyDate" => "Mon Jan 02 15:04:05 -0700 2006",
            "RFC822" => "02 Jan 06 15:04 MST",
            "RFC822Z" => "02 Jan 06 15:04 -0700",
            "RFC850" => "Monday, 02-Jan-06 15:04:05 MST",
            "RFC1123" => "Mon, 02 Jan 2006 15:04:05 MST",
            "RFC1123Z" => "Mon, 02 Jan 2006 15:04:05 -0700",
            "RFC3339" => "2006-01-02T15:04:05Z07:00",
            "RFC3339Nano" => "2006-01-02T15:04:05.999999999Z07:00",
            other => other,
        };
        if layout.contains('%') {
            let bad = chrono::format::StrftimeItems::new(layout)
                .any(|item| matches!(item, chrono::format::Item::Error));
            if bad {
                return Err(format!(
                    "time format {text:?} holds a specifier strptime does not know"
                ));
            }
            let has = |specifiers: &[&str]| specifiers.iter().any(|s| layout.contains(s));
            return Ok(Format::Strptime {
                format: layout.to_owned(),
                has_year: has(&["%Y", "%y", "%G", "%F", "%D", "%s", "%c", "%x", "%+"]),
                has_zone: has(&["%z", "%:z", "%#z", "%s", "%+"]),
            });
        }
        let known = ["15", "03", "3", "Jan", "01", "1", "02", "_2", "2", "06"];
        if !known.iter().any(|piece| layout.contains(piece)) {
            return Err(format!(
                "time format {text:?} is neither a known name nor a Go layout such as 2006-01-02T15:04:05Z07:00"
            ));
        }
        Ok(Format::Go { layout: layout.to_owned(), has_year: layout.contains("06") })
    }

    pub fn read(&self, text: &str, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
        match self {
            Format::Auto => guess(text, zone, now),
            Format::Unix => unix_seconds(text),
            Format::UnixIn(unit_ns) => {
                let number: i64 = text.parse().ok()?;
                number.checked_mul(*unit_ns).map(Timestamp)
            }
            Format::Go { layout, has_year: true } => {
                gotime::parse(text, layout, zone).ok().map(|parsed| parsed.ts)
            }
            Format::Go { layout, has_year: false } => {
                let layout = format!("2006 {layout}");
                newest(now, |year| {
                    gotime::parse(&format!("{year} {text}"), &layout, zone).ok().map(|p| p.ts)
                })
            }
            Format::Strptime { format, has_year: true, has_zone } => {
                strptime(text, format, *has_zone, zone)
            }
            Format::Strptime { format, has_year: false, has_zone } => {
                let format = format!("%Y {format}");
                newest(now, |year| strptime(&format!("{year} {text}"), &format, *has_zone, zone))
            }
        }
    }
}

/// For a time without a year: the newest year that does not put it more than a day ahead. Also
/// right for a backlog of months, and for February 29.
fn newest(now: Timestamp, read: impl Fn(i32) -> Option<Timestamp>) -> Option<Timestamp> {
    let limit = now.saturating_add_ns(AHEAD_MAX_NS);
    let first = limit.to_datetime().year();
    (0..=8).find_map(|back| read(first - back).filter(|ts| *ts <= limit))
}

/// Integers throughout: a float would lose the nanoseconds.
fn unix_seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let mut ns: i64 = digits.parse().ok()?;
    if whole.starts_with('-') {
        ns = -ns;
    }
    seconds.checked_mul(1_000_000_000)?.checked_add(ns).map(Timestamp)
}

fn strptime(text: &str, format: &str, has_zone: bool, zone: &Zone) -> Option<Timestamp> {
    if has_zone {
        let time = DateTime::parse_from_str(text, format).ok()?;
        return time.timestamp_nanos_opt().map(Timestamp);
    }
    let time = NaiveDateTime::parse_from_str(text, format).ok().or_else(|| {
        NaiveDate::parse_from_str(text, format).ok().and_then(|date| date.and_hms_opt(0, 0, 0))
    })?;
    in_zone(time, zone)
}

fn in_zone(time: NaiveDateTime, zone: &Zone) -> Option<Timestamp> {
    if *zone == Zone::Utc {
        return time.and_utc().timestamp_nanos_opt().map(Timestamp);
    }
    // The Go parser knows the zones of the machine.
    let text = time.format("%Y-%m-%dT%H:%M:%S%.9f").to_string();
    gotime::parse(&text, "2006-01-02T15:04:05.000000000", zone).ok().map(|parsed| parsed.ts)
}

/// RFC 3339 with any fraction.
pub(crate) fn rfc3339(text: &str) -> Option<Timestamp> {
    DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt().map(Timestamp)
}

/// Formats with a zone, then without one, that `auto` tries after the cheap ones.
const ZONED: [&str; 6] = [
    "%d/%b/%Y:%H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y-%m-%dT%H:%M:%S%.f%z",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %z %Y",
];
const PLAIN: [&str; 12] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S,%f",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%Y-%m-%d %H:%M:%S%.f GMT",
    "%Y/%m/%d %H:%M:%S%.f",
    "%d %b %Y %H:%M:%S%.f",
    "%a %b %d %H:%M:%S%.f %Y",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d-%b-%Y %H:%M:%S%.f",
];
const YEARLESS: [&str; 3] = ["%b %d %H:%M:%S%.f", "%b %e %H:%M:%S%.f", "%m%d %H:%M:%S%.f"];

fn guess(text: &str, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
    if text.is_empty() || text.len() > 64 {
        return None;
    }
    let number = text.strip_prefix('-').unwrap_or(text);
    if number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return guess_number(text);
    }
    if let Some(ts) = rfc3339(text) {
        return Some(ts);
    }
    if text.as_bytes().get(19) == Some(&b',') {
        // Python and Java put a comma before the milliseconds.
        let dotted = text.replacen(',', ".", 1);
        return guess(&dotted, zone, now);
    }
    ZONED
        .iter()
        .find_map(|format| strptime(text, format, true, zone))
        .or_else(|| PLAIN.iter().find_map(|format| strptime(text, format, false, zone)))
        .or_else(|| {
            YEARLESS.iter().find_map(|format| {
                let format = format!("%Y {format}");
                newest(now, |year| strptime(&format!("{year} {text}"), &format, false, zone))
            })
        })
}

/// Seconds, milliseconds, microseconds or nanoseconds by size: each unit is read as a time
/// between 1973 and 5138.
fn guess_number(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let unit_ns: i64 = match whole.trim_start_matches('-').len() {
        9..=11 => return unix_seconds(text),
        12..=14 => 1_000_000,
        15..=17 => 1_000,
        18..=19 => 1,
        _ => return None,
    };
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Of a fraction only milliseconds have something to say.
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let part = if unit_ns == 1_000_000 { digits.parse().ok()? } else { 0 };
    whole.parse::<i64>().ok()?.checked_mul(unit_ns)?.checked_add(part).map(Timestamp)
}

/// The last time of each stream, for a bounded number of streams: two generations, so that
/// forgetting costs nothing.
#[derive(Debug)]
pub(crate) struct Recent {
    new: HashMap<StreamId, Timestamp>,
    old: HashMap<StreamId, Timestamp>,
    max: NonZeroUsize,
}

impl Recent {
    pub fn new(max: NonZeroUsize) -> Self {
        Recent { new: HashMap::new(), old: HashMap::new(), max }
    }

    pub fn get(&self, stream: StreamId) -> Option<Timestamp> {
        self.new.get(&stream).or_else(|| self.old.get(&stream)).copied()
    }

    pub fn put(&mut self, stream: StreamId, ts: Timestamp) {
        self.new.insert(stream, ts);
        if self.new.len() >= self.max.get() {
            self.old = std::mem::take(&mut self.new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, text: &str, expect: &str) {
        let now = rfc3339("2026-11-20T11:00:00Z").unwrap();
        let shown = match Format::parse(format) {
            Ok(format) => format
                .read(text, &Zone::Utc, now)
                .map_or_else(|| "none".to_owned(), |ts| ts.to_string()),
            Err(message) => message,
        };
        assert_eq!(shown, expect, "{format} {text}");
    }

    #[test]
    fn unix() {
        check("Unix", "1763636873", "2025-11-20T11:07:53Z");
        check("Unix", "1763636873.123456789", "2025-11-20T11:07:53.123456789Z");
        check("Unix", "1763636873.5", "2025-11-20T11:07:53.500Z");
        check("Unix", "x", "none");
        check("UnixMs", "1763636873123", "2025-11-20T11:07:53.123Z");
        check("UnixUs", "1763636873123456", "2025-11-20T11:07:53.123456Z");
        check("UnixNs", "1763636873123456789", "2025-11-20T11:07:53.123456789Z");
        check("UnixMs", "9223372036854775807", "none");
    }

    #[test]
    fn strptime_formats() {
        check("%Y-%m-%d %H:%M:%S", "2026-11-20 01:02:03", "2026-11-20T01:02:03Z");
        check("%d/%b/%Y:%H:%M:%S %z", "20/Nov/2026:01:02:03 +0100", "2026-11-20T00:02:03Z");
        check("%b %d %H:%M:%S", "Nov 20 11:07:53", "2026-11-20T11:07:53Z");
        check("%Q", "x", "time format \"%Q\" holds a specifier strptime does not know");
    }

    #[test]
    fn guesses() {
        check("auto", "2026-11-20T01:02:03.5+01:00", "2026-11-20T00:02:03.500Z");
        check("auto", "2026-11-20 01:02:03,123", "2026-11-20T01:02:03.123Z");
        check("auto", "2026-11-20 01:02:03.123456", "2026-11-20T01:02:03.123456Z");
        check("auto", "20/Nov/2026:01:02:03 +0000", "2026-11-20T01:02:03Z");
        check("auto", "1763636873", "2025-11-20T11:07:53Z");
        check("auto", "1763636873123", "2025-11-20T11:07:53.123Z");
        check("auto", "1763636873123456", "2025-11-20T11:07:53.123456Z");
        check("auto", "1763636873123456789", "2025-11-20T11:07:53.123456789Z");
        check("auto", "1763636873.25", "2025-11-20T11:07:53.250Z");
        check("auto", "Fri, 20 Nov 2026 01:02:03 GMT", "2026-11-20T01:02:03Z");
        check("auto", "Fri Nov 20 01:02:03 2026", "2026-11-20T01:02:03Z");
        check("auto", "2026/11/20 01:02:03", "2026-11-20T01:02:03Z");
        check("auto", "yesterday", "none");
        check("auto", "12", "none");
        check("auto", "", "none");
    }

    #[test]
    fn years_that_are_not_written() {
        check("auto", "Nov 20 11:07:53", "2026-11-20T11:07:53Z");
        check("auto", "Nov 21 10:00:00", "2026-11-21T10:00:00Z");
        check("auto", "Dec 31 23:59:59", "2025-12-31T23:59:59Z");
        check("auto", "Jan  1 00:00:00", "2026-01-01T00:00:00Z");
        check("auto", "Aug 20 00:00:00", "2026-08-20T00:00:00Z");
        check("auto", "Feb 29 00:00:00", "2024-02-29T00:00:00Z");
        check("auto", "Feb 30 00:00:00", "none");
    }

    #[test]
    fn refuses_what_is_no_format() {
        check("", "", "the time format must not be empty");
        check(
            "rfc",
            "",
            "time format \"rfc\" is neither a known name nor a Go layout such as 2006-01-02T15:04:05Z07:00",
        );
    }
}
