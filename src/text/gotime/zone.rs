//! Offsets of zones, from the machine's own zoneinfo files (RFC 9636).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use super::Zone;
use super::civil::{Civil, days_from, days_in_month, is_leap};

/// The offset in force at a moment, and its short name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offset {
    pub offset_secs: i32,
    pub name: Arc<str>,
}

/// A zoneinfo file as read.
#[derive(Debug)]
struct Table {
    /// When an offset comes into force; sorted.
    changes: Vec<(i64, usize)>,
    offsets: Vec<Offset>,
    /// The rule for all times after the last change.
    rule: Option<Rule>,
}

/// A POSIX TZ rule: `CET-1CEST,M3.5.0,M10.5.0/3`.
#[derive(Debug)]
struct Rule {
    standard: Offset,
    summer: Option<(Offset, Day, Day)>,
}

#[derive(Debug)]
struct Day {
    kind: DayKind,
    secs: i64,
}

#[derive(Debug)]
enum DayKind {
    /// Month, week (5 is the last), weekday.
    Weekday(u32, u32, i64),
    /// From 1, never counting 29 February.
    Julian(i64),
    /// From 0, counting it.
    YearDay(i64),
}

/// Zones that were asked for; `None` for those that the machine does not know. There are
/// some 600 names; strangers' names are not kept beyond that.
static TABLES: LazyLock<Mutex<HashMap<String, Option<Arc<Table>>>>> = LazyLock::new(Mutex::default);
const TABLES_MAX: usize = 1024;
const ZONE_FILE_BYTES_MAX: u64 = 256 * 1024;

pub(super) fn is_known(name: &str) -> bool {
    table(name).is_some()
}

pub(super) fn offset_at(zone: &Zone, secs: i64) -> Offset {
    match zone {
        Zone::Utc => utc(),
        Zone::Fixed { offset_secs, name } => {
            Offset { offset_secs: *offset_secs, name: name.as_str().into() }
        }
        Zone::Named(name) => table(name).map_or_else(utc, |table| table.at(secs)),
    }
}

/// Local clock time to UTC. In the hour that does not exist and in the one that comes twice,
/// one of the two offsets is taken, as in Go.
pub(super) fn to_utc(zone: &Zone, local_secs: i64) -> i64 {
    let guess = local_secs - i64::from(offset_at(zone, local_secs).offset_secs);
    local_secs - i64::from(offset_at(zone, guess).offset_secs)
}

/// The offset that a short name has in this zone, at about this time.
pub(super) fn offset_of_name(zone: &Zone, name: &str, local_secs: i64) -> Option<i32> {
    match zone {
        Zone::Utc => (name == "UTC").then_some(0),
        Zone::Fixed { offset_secs, name: own } => (own == name).then_some(*offset_secs),
        Zone::Named(zone_name) => {
            let table = table(zone_name)?;
            let now = table.at(local_secs - i64::from(table.at(local_secs).offset_secs));
            if &*now.name == name {
                return Some(now.offset_secs);
            }
            let ruled = table.rule.iter().flat_map(|rule| {
                rule.summer.iter().map(|(offset, ..)| offset).chain([&rule.standard])
            });
            ruled
                .chain(&table.offsets)
                .find(|offset| &*offset.name == name)
                .map(|offset| offset.offset_secs)
        }
    }
}

fn utc() -> Offset {
    static NAME: LazyLock<Arc<str>> = LazyLock::new(|| "UTC".into());
    Offset { offset_secs: 0, name: NAME.clone() }
}

fn table(name: &str) -> Option<Arc<Table>> {
    if let Some(known) = TABLES.lock().get(name) {
        return known.clone();
    }
    let loaded = load(name).map(Arc::new);
    let mut tables = TABLES.lock();
    if tables.len() < TABLES_MAX {
        tables.insert(name.to_owned(), loaded.clone());
    }
    loaded
}

fn load(name: &str) -> Option<Table> {
    let path = if name == "Local" {
        PathBuf::from("/etc/localtime")
    } else {
        let is_plain = name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b));
        if !is_plain {
            return None;
        }
        let folder = std::env::var_os("ZONEINFO").unwrap_or("/usr/share/zoneinfo".into());
        Path::new(&folder).join(name)
    };
    let size = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?.len();
    if size > ZONE_FILE_BYTES_MAX {
        return None;
    }
    read(&std::fs::read(path).ok()?)
}

struct Header {
    counts: [usize; 6],
    /// Bytes of the data block.
    size: usize,
}

fn header(bytes: &[u8], time_size: usize) -> Option<Header> {
    if bytes.get(..4)? != b"TZif" {
        return None;
    }
    let mut counts = [0; 6];
    for (at, count) in counts.iter_mut().enumerate() {
        *count = usize::try_from(number(bytes.get(20 + at * 4..24 + at * 4)?)?).ok()?;
        if *count > ZONE_FILE_BYTES_MAX as usize {
            return None;
        }
    }
    let [utc_flags, wall_flags, leaps, times, types, chars] = counts;
    let size = times * (time_size + 1)
        + types * 6
        + chars
        + leaps * (time_size + 4)
        + wall_flags
        + utc_flags;
    Some(Header { counts, size })
}

fn number(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        4 => Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
        8 => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}

fn read(file: &[u8]) -> Option<Table> {
    let first = header(file, 4)?;
    let is_old = file.get(4) == Some(&0);
    let (body, time_size) = if is_old { (file, 4) } else { (file.get(44 + first.size..)?, 8) };
    let head = header(body, time_size)?;
    let [_, _, _, times, types, chars] = head.counts;
    let data = body.get(44..)?;
    let (stamps, data) = data.split_at_checked(times * time_size)?;
    let (kinds, data) = data.split_at_checked(times)?;
    let (infos, data) = data.split_at_checked(types * 6)?;
    let names = data.get(..chars)?;
    let mut offsets = Vec::with_capacity(types);
    for info in infos.chunks_exact(6) {
        let name = names.get(usize::from(*info.get(5)?)..)?;
        let name = name.split(|byte| *byte == 0).next()?;
        offsets.push(Offset {
            offset_secs: i32::try_from(number(info.get(..4)?)?).ok()?,
            name: std::str::from_utf8(name).ok()?.into(),
        });
    }
    let mut changes = Vec::with_capacity(times);
    for (stamp, kind) in stamps.chunks_exact(time_size).zip(kinds) {
        changes.push((number(stamp)?, usize::from(*kind)));
    }
    let rule = if is_old {
        None
    } else {
        let footer = std::str::from_utf8(body.get(44 + head.size..)?).ok()?;
        rule(footer.trim_matches('\n'))
    };
    Some(Table { changes, offsets, rule })
}

impl Table {
    fn at(&self, secs: i64) -> Offset {
        let after = self.changes.partition_point(|(from, _)| *from <= secs);
        if after == self.changes.len()
            && let Some(rule) = &self.rule
        {
            return rule.at(secs);
        }
        let kind = match after.checked_sub(1) {
            Some(before) => self.changes.get(before).map_or(0, |(_, kind)| *kind),
            None => 0,
        };
        self.offsets.get(kind).cloned().unwrap_or_else(utc)
    }
}

impl Rule {
    fn at(&self, secs: i64) -> Offset {
        let Some((summer, start, end)) = &self.summer else { return self.standard.clone() };
        let year = Civil::from_secs(secs + i64::from(self.standard.offset_secs)).year;
        let begins = start.secs_in(year) - i64::from(self.standard.offset_secs);
        let ends = end.secs_in(year) - i64::from(summer.offset_secs);
        let is_summer = if begins < ends {
            begins <= secs && secs < ends
        } else {
            // South of the equator summer spans the new year.
            secs >= begins || secs < ends
        };
        if is_summer { summer.clone() } else { self.standard.clone() }
    }
}

impl Day {
    /// Local seconds of the change in a year.
    fn secs_in(&self, year: i32) -> i64 {
        let days = match self.kind {
            DayKind::Weekday(month, week, weekday) => {
                let first = days_from(year, month, 1);
                let first_weekday = (first + 4).rem_euclid(7);
                let mut day = (weekday - first_weekday).rem_euclid(7) + i64::from(week - 1) * 7;
                if day >= i64::from(days_in_month(year, month)) {
                    day -= 7;
                }
                first + day
            }
            DayKind::Julian(day) => {
                let leap = i64::from(is_leap(year) && day >= 60);
                days_from(year, 1, 1) + day - 1 + leap
            }
            DayKind::YearDay(day) => days_from(year, 1, 1) + day,
        };
        days * 86_400 + self.secs
    }
}

fn rule(text: &str) -> Option<Rule> {
    let (name, rest) = rule_name(text)?;
    let (offset, rest) = rule_time(rest)?;
    let standard = Offset { offset_secs: i32::try_from(-offset).ok()?, name: name.into() };
    if rest.is_empty() {
        return Some(Rule { standard, summer: None });
    }
    let (name, rest) = rule_name(rest)?;
    let (offset, rest) =
        if rest.starts_with(',') { (offset - 3600, rest) } else { rule_time(rest)? };
    let summer = Offset { offset_secs: i32::try_from(-offset).ok()?, name: name.into() };
    let mut days = rest.strip_prefix(',')?.split(',');
    let (start, end) = (rule_day(days.next()?)?, rule_day(days.next()?)?);
    Some(Rule { standard, summer: Some((summer, start, end)) })
}

fn rule_name(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('<') {
        return quoted.split_once('>');
    }
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    (end >= 3).then(|| text.split_at(end))
}

/// `[+-]hh[:mm[:ss]]` in seconds.
fn rule_time(text: &str) -> Option<(i64, &str)> {
    let (sign, body) = match text.strip_prefix('-') {
        Some(body) => (-1, body),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = body.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(body.len());
    let (time, rest) = body.split_at(end);
    let mut secs = 0;
    for (part, unit) in time.split(':').zip([3600, 60, 1]) {
        secs += part.parse::<i64>().ok().filter(|number| *number <= 167)? * unit;
    }
    Some((sign * secs, rest))
}

fn rule_day(text: &str) -> Option<Day> {
    let (date, time) = text.split_once('/').unwrap_or((text, "2"));
    let (secs, _) = rule_time(time)?;
    let kind = if let Some(parts) = date.strip_prefix('M') {
        let mut numbers = parts.split('.').map(str::parse::<u32>);
        let mut next = || numbers.next()?.ok();
        let (month, week, weekday) = (next()?, next()?, next()?);
        if !(1..=12).contains(&month) || !(1..=5).contains(&week) || weekday > 6 {
            return None;
        }
        DayKind::Weekday(month, week, i64::from(weekday))
    } else if let Some(day) = date.strip_prefix('J') {
        DayKind::Julian(day.parse().ok().filter(|day| (1..=365).contains(day))?)
    } else {
        DayKind::YearDay(date.parse().ok().filter(|day| (0..=365).contains(day))?)
    };
    Some(Day { kind, secs })
}
