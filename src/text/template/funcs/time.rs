//! Times in LogQL and Promtail templates. "Local" is UTC: a server's own zone must not change
//! what a query gives.

use super::{Function, Outcome, Value, function, text_arg};
use crate::clock::{Clock as _, SystemClock};
use crate::model::{Timestamp, quote};
use crate::text::gotime::{self, Zone};

pub(super) static LOKI: &[Function] = &[
    function("now", 0, 0, |_, _| Ok(now())),
    function("date", 2, 2, |_, args| {
        let layout = text_arg(args, 0)?;
        let ts = match args.get(1) {
            Some(Value::Time(ts, _)) => *ts,
            Some(Value::Int(secs)) => Timestamp::from_secs(*secs),
            _ => Timestamp(SystemClock.now_ns()),
        };
        Ok(gotime::format(ts, &layout, &Zone::Utc).into())
    }),
    function("toDate", 2, 2, |_, args| {
        Ok(to_date(&text_arg(args, 1)?, &text_arg(args, 0)?, Zone::Utc))
    }),
    function("toDateInZone", 3, 3, |_, args| {
        let zone = gotime::load_zone(&text_arg(args, 1)?).unwrap_or_default();
        Ok(to_date(&text_arg(args, 2)?, &text_arg(args, 0)?, zone))
    }),
    function("unixEpoch", 1, 1, |_, args| epoch(args, 1_000_000_000)),
    function("unixEpochMillis", 1, 1, |_, args| epoch(args, 1_000_000)),
    function("unixEpochNanos", 1, 1, |_, args| epoch(args, 1)),
    function("unixToTime", 1, 1, |_, args| unix_to_time(&text_arg(args, 0)?)),
];

pub(super) fn now() -> Value {
    Value::Time(Timestamp(SystemClock.now_ns()), Zone::Utc)
}

/// What cannot be read is Go's zero time, as sprig's `toDate` gives it.
fn to_date(text: &str, layout: &str, zone: Zone) -> Value {
    match gotime::parse(text, layout, &zone) {
        Ok(parsed) => Value::Time(parsed.ts, zone),
        Err(_) => Value::Time(gotime::ZERO_TIME, Zone::Utc),
    }
}

fn epoch(args: &[Value], unit_ns: i64) -> Outcome {
    match args.first() {
        Some(Value::Time(ts, _)) => Ok(ts.0.div_euclid(unit_ns).to_string().into()),
        other => Err(super::wrong_type(0, "time.Time", other.unwrap_or(&Value::Nil))),
    }
}

fn unix_to_time(text: &str) -> Outcome {
    // Go's words, those for a number of a strange length included.
    let fault = || format!("unable to parse time '{text}': %!w(<nil>)");
    let number: i64 = text.parse().map_err(|_| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let problem = if is_number { "value out of range" } else { "invalid syntax" };
        let quoted = quote(text);
        format!("unable to parse time '{text}': strconv.ParseInt: parsing {quoted}: {problem}")
    })?;
    let unit_ns = match text.len() {
        5 => 86_400_000_000_000,
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return Err(fault()),
    };
    Ok(Value::Time(Timestamp(number.checked_mul(unit_ns).ok_or_else(fault)?), Zone::Utc))
}
