//! Named spans of the calendar in which routes are mute or active.

use crate::config::notify::{RawInterval, RawText};
use crate::config::{Diagnostic, Spanned};
use crate::model::Timestamp;
use crate::text::gotime::{self, Zone};

/// One entry of `time_intervals`: it holds when each kind that is given holds.
#[derive(Debug, Clone, Default)]
pub struct Interval {
    /// Minutes of the day, end exclusive.
    times: Vec<(i32, i32)>,
    /// From Sunday, which is 0.
    weekdays: Vec<(i32, i32)>,
    /// From 1; negative days count from the end of the month.
    days: Vec<(i32, i32)>,
    months: Vec<(i32, i32)>,
    years: Vec<(i32, i32)>,
    zone: Zone,
}

const WEEKDAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl Interval {
    pub fn build(file: &str, raw: &RawInterval) -> Result<Interval, Diagnostic> {
        let mut interval = Interval::default();
        for times in &raw.times {
            let start = minutes(file, &times.start_time)?;
            let end = minutes(file, &times.end_time)?;
            if start >= end {
                let message =
                    "start_time must lie before end_time; write two intervals to cross midnight";
                return Err(Diagnostic::at(file, &times.start_time, message));
            }
            interval.times.push((start, end));
        }
        interval.weekdays = ranges(file, &raw.weekdays, &WEEKDAYS, 0, 0..=6)?;
        interval.days = ranges(file, &raw.days_of_month, &[], 0, -31..=31)?;
        interval.months = ranges(file, &raw.months, &MONTHS, 1, 1..=12)?;
        interval.years = ranges(file, &raw.years, &[], 0, 1970..=9999)?;
        if let Some(location) = &raw.location {
            interval.zone = gotime::load_zone(&location.value)
                .map_err(|error| Diagnostic::at(file, location, error))?;
        }
        Ok(interval)
    }

    pub fn holds(&self, now_ns: i64) -> bool {
        let shown = gotime::format(Timestamp(now_ns), "2006 1 2 15 4 Monday", &self.zone);
        let parts: Vec<&str> = shown.split(' ').collect();
        let number = |at: usize| parts.get(at).and_then(|part| part.parse().ok()).unwrap_or(0);
        let (year, month, day): (i32, i32, i32) = (number(0), number(1), number(2));
        let minute = number(3) * 60 + number(4);
        let weekday = parts.get(5).map(|name| name.to_lowercase()).unwrap_or_default();
        let weekday = place(&WEEKDAYS, &weekday).unwrap_or(0);
        let month_days = days_in(year, month);
        let within = |ranges: &[(i32, i32)], value: i32| {
            ranges.is_empty() || ranges.iter().any(|(from, to)| (*from..=*to).contains(&value))
        };
        let day_fits = self.days.is_empty()
            || self.days.iter().any(|(from, to)| {
                let fixed = |day: i32| if day < 0 { month_days + 1 + day } else { day };
                (fixed(*from).max(1)..=fixed(*to).min(month_days)).contains(&day)
            });
        let time_fits = self.times.is_empty()
            || self.times.iter().any(|(from, to)| (*from..*to).contains(&minute));
        time_fits
            && day_fits
            && within(&self.weekdays, weekday)
            && within(&self.months, month)
            && within(&self.years, year)
    }
}

fn place(names: &[&str], name: &str) -> Option<i32> {
    names.iter().position(|known| *known == name).and_then(|at| i32::try_from(at).ok())
}

fn days_in(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `09:30`; `24:00` is the end of the day.
fn minutes(file: &str, text: &Spanned<String>) -> Result<i32, Diagnostic> {
    let read = || {
        let (hour, minute) = text.value.split_once(':')?;
        if hour.len() != 2 || minute.len() != 2 {
            return None;
        }
        let (hour, minute): (i32, i32) = (hour.parse().ok()?, minute.parse().ok()?);
        let all = hour * 60 + minute;
        ((0..60).contains(&minute) && (0..=24 * 60).contains(&all)).then_some(all)
    };
    read().ok_or_else(|| {
        let message = format!("{:?} is not a time of day; write 09:30", text.value);
        Diagnostic::at(file, text, message)
    })
}

/// `a:b` or `a`, as numbers or names.
fn ranges(
    file: &str,
    raw: &[RawText],
    names: &[&str],
    first: i32,
    allowed: std::ops::RangeInclusive<i32>,
) -> Result<Vec<(i32, i32)>, Diagnostic> {
    let mut found = Vec::new();
    for text in raw {
        let bad = |what: &str| Diagnostic::at(file, text, format!("{:?}: {what}", text.value));
        let lower = text.value.to_lowercase();
        let (from, to) = lower.split_once(':').unwrap_or((&lower, &lower));
        let number = |part: &str| {
            let part = part.trim();
            let named = place(names, part).map(|at| at + first);
            named
                .or_else(|| part.parse().ok())
                .filter(|number| allowed.contains(number))
                .ok_or_else(|| bad("not a value that is known here"))
        };
        let (from, to) = (number(from)?, number(to)?);
        // A range from the start to the end of the month is ordered in every month.
        if from > to && !(from > 0 && to < 0) {
            return Err(bad("the range runs backwards"));
        }
        found.push((from, to));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::notify::parse_notify_file;

    fn build(text: &str) -> Result<Interval, Diagnostic> {
        let yaml = format!("time_intervals: [{{name: a, time_intervals: [{text}]}}]");
        let raw = parse_notify_file("f", &yaml).unwrap();
        Interval::build("f", &raw.time_intervals[0].time_intervals[0])
    }

    #[track_caller]
    fn check(text: &str, at: &str, expect: bool) {
        let now = gotime::parse(at, "2006-01-02 15:04", &Zone::Utc).unwrap().ts.0;
        assert_eq!(build(text).unwrap().holds(now), expect, "{text} {at}");
    }

    #[test]
    fn calendar() {
        let hours =
            "{times: [{start_time: '09:00', end_time: '17:00'}], weekdays: ['monday:friday']}";
        check(hours, "2024-02-05 09:00", true);
        check(hours, "2024-02-05 16:59", true);
        check(hours, "2024-02-05 17:00", false);
        check(hours, "2024-02-04 12:00", false);
        check("{times: [{start_time: '22:00', end_time: '24:00'}]}", "2024-02-05 23:59", true);
        check("{days_of_month: ['-3:-1']}", "2024-02-27 00:00", true);
        check("{days_of_month: ['-3:-1']}", "2024-02-26 00:00", false);
        check("{days_of_month: ['1:-1']}", "2023-02-28 00:00", true);
        check("{months: ['december:december', '1'], years: ['2024']}", "2024-01-09 00:00", true);
        check("{months: ['december'], years: ['2024']}", "2025-12-09 00:00", false);
        check("{}", "2024-02-05 09:00", true);
        // One hour ahead of UTC in winter, two in summer.
        let berlin = "{times: [{start_time: '09:00', end_time: '10:00'}], location: Europe/Berlin}";
        check(berlin, "2024-02-05 08:30", true);
        check(berlin, "2024-07-05 08:30", false);
        check(berlin, "2024-07-05 07:30", true);
    }

    #[test]
    fn faults() {
        for text in [
            "{times: [{start_time: '9:00', end_time: '17:00'}]}",
            "{times: [{start_time: '17:00', end_time: '09:00'}]}",
            "{weekdays: ['friday:monday']}",
            "{months: ['smarch']}",
            "{days_of_month: ['40']}",
            "{location: 'Mars/Olympus'}",
        ] {
            assert!(build(text).is_err(), "{text}");
        }
    }
}
