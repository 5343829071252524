//! Durations, sizes and numbers as Go, Prometheus and humanize write them.

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const SECOND: u64 = 1_000 * MS;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
const YEAR: u64 = 365 * DAY;

/// The magnitude of `i64::MIN`: the largest that any duration may have.
const DURATION_NS_MAX: u64 = 1 << 63;

/// Go's `time.ParseDuration`: `1h2m3.5s`, `250us`, `-1.5h`; no days. In nanoseconds.
pub fn parse_go_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole_text, after) = split_digits(rest);
        let whole = match whole_text {
            "" => 0,
            digits => digits.parse::<u64>().ok().filter(|n| *n <= DURATION_NS_MAX)?,
        };
        let (fraction_text, after) = match after.strip_prefix('.') {
            Some(after_dot) => split_digits(after_dot),
            None => ("", after),
        };
        if whole_text.is_empty() && fraction_text.is_empty() {
            return None;
        }
        let unit_len = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit_text, after_unit) = after.split_at(unit_len);
        let unit = match unit_text {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => US,
            "ms" => MS,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            _ => return None,
        };
        let piece =
            whole.checked_mul(unit)?.checked_add(go_fraction_of_unit(fraction_text, unit))?;
        total = total.checked_add(piece).filter(|n| *n <= DURATION_NS_MAX)?;
        rest = after_unit;
    }
    match (negative, i64::try_from(total)) {
        (false, positive) => positive.ok(),
        (true, Ok(positive)) => Some(-positive),
        (true, Err(_)) => Some(i64::MIN),
    }
}

/// The digits behind the point, as nanoseconds. Go keeps as many digits as fit into 63 bits and
/// multiplies as floats; the same is done here so that results agree to the nanosecond.
fn go_fraction_of_unit(digits: &str, unit: u64) -> u64 {
    let mut value: u64 = 0;
    let mut scale = 1.0_f64;
    for digit in digits.bytes().map(|byte| u64::from(byte - b'0')) {
        let Some(next) = value.checked_mul(10).and_then(|v| v.checked_add(digit)) else { break };
        if next > DURATION_NS_MAX {
            break;
        }
        value = next;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

fn split_digits(text: &str) -> (&str, &str) {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(len)
}

/// Why a text is no duration, in Prometheus' words.
pub fn prometheus_duration_fault(text: &str) -> String {
    if text.is_empty() {
        return "empty duration string".to_owned();
    }
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let after = rest.get(digits..).unwrap_or_default();
        let unit_len = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let unit = after.get(..unit_len).unwrap_or_default();
        if digits == 0 || unit.is_empty() {
            break;
        }
        if !matches!(unit, "ms" | "s" | "m" | "h" | "d" | "w" | "y") {
            return format!("unknown unit {unit:?} in duration {text:?}");
        }
        rest = after.get(unit_len..).unwrap_or_default();
    }
    if rest.is_empty() && text.bytes().filter(u8::is_ascii_digit).count() > 9 {
        return "duration out of range".to_owned();
    }
    format!("not a valid duration string: {text:?}")
}

/// Prometheus: `1y2w3d4h5m6s7ms`, units descending, integers only; `0` alone is allowed. In nanoseconds.
pub fn parse_prometheus_duration(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let (digits, after) = split_digits(rest);
        let count: u64 = digits.parse().ok()?;
        let unit_len = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit_text, after_unit) = after.split_at(unit_len);
        let unit = match unit_text {
            "ms" => MS,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            "w" => WEEK,
            "y" => YEAR,
            _ => return None,
        };
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        total = total.checked_add(count.checked_mul(unit)?)?;
        rest = after_unit;
    }
    i64::try_from(total).ok()
}

/// Prometheus' shortest form, as Loki prints ranges: `1h30m`, `5m`, `90s` as `1m30s`. Parts of a
/// millisecond are not shown.
pub fn format_prometheus_duration(ns: i64) -> String {
    let mut rest_ms = ns.unsigned_abs() / MS;
    if rest_ms == 0 {
        return "0s".to_owned();
    }
    let mut text = if ns < 0 { "-".to_owned() } else { String::new() };
    // Years and weeks are only shown when nothing is left over: 90d reads better than 12w6d.
    for (unit, unit_ns, exact) in [
        ("y", YEAR, true),
        ("w", WEEK, true),
        ("d", DAY, false),
        ("h", HOUR, false),
        ("m", MINUTE, false),
        ("s", SECOND, false),
        ("ms", MS, false),
    ] {
        let unit_ms = unit_ns / MS;
        let count = rest_ms / unit_ms;
        if count == 0 || (exact && !rest_ms.is_multiple_of(unit_ms)) {
            continue;
        }
        text.push_str(&format!("{count}{unit}"));
        rest_ms -= count * unit_ms;
    }
    text
}

/// Go's `time.Duration.String()`: `1h30m0s`, `1.5s`, `100ms`.
pub fn format_go_duration(ns: i64) -> String {
    let magnitude = ns.unsigned_abs();
    let sign = if ns < 0 { "-" } else { "" };
    if magnitude == 0 {
        return "0s".to_owned();
    }
    if magnitude < SECOND {
        let (unit, unit_ns) = match magnitude {
            n if n < US => ("ns", 1),
            n if n < MS => ("\u{b5}s", US),
            _ => ("ms", MS),
        };
        return format!("{sign}{}{unit}", decimal(magnitude, unit_ns));
    }
    let hours = magnitude / HOUR;
    let minutes = magnitude % HOUR / MINUTE;
    let seconds = decimal(magnitude % MINUTE, SECOND);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` in decimal without trailing zeros; `unit` is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, fraction) = (value / unit, value % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    let padded = format!("{fraction:0digits$}");
    format!("{whole}.{}", padded.trim_end_matches('0'))
}

/// dustin/go-humanize `ParseBytes`: `10KB` (x1000), `10KiB` (x1024), `1.5 MB`, plain numbers.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let number_len = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
        .count();
    let (number_text, unit_text) = text.split_at(number_len);
    let number: f64 = if number_text.contains(',') {
        number_text.replace(',', "").parse().ok()?
    } else {
        number_text.parse().ok()?
    };
    let unit: u64 = match unit_text.trim().to_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1000_u64.pow(2),
        "g" | "gb" => 1000_u64.pow(3),
        "t" | "tb" => 1000_u64.pow(4),
        "p" | "pb" => 1000_u64.pow(5),
        "e" | "eb" => 1000_u64.pow(6),
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        "ti" | "tib" => 1 << 40,
        "pi" | "pib" => 1 << 50,
        "ei" | "eib" => 1 << 60,
        _ => return None,
    };
    let bytes = number * unit as f64;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// dustin/go-humanize `Bytes`: `82854982` is `83 MB`.
pub fn format_bytes(bytes: u64) -> String {
    humanize_bytes(bytes, 1000, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// dustin/go-humanize `IBytes`: `82854982` is `79 MiB`.
pub fn format_ibytes(bytes: u64) -> String {
    humanize_bytes(bytes, 1024, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

fn humanize_bytes(bytes: u64, base: u64, units: &[&str]) -> String {
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let mut power = 0;
    let mut unit_bytes: u64 = 1;
    while power + 1 < units.len() && bytes / base >= unit_bytes {
        unit_bytes = unit_bytes.saturating_mul(base);
        power += 1;
    }
    let value = (bytes as f64 / unit_bytes as f64 * 10.0 + 0.5).floor() / 10.0;
    let unit = units.get(power).copied().unwrap_or_default();
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// A sample value as Loki and Prometheus send it: Go's `FormatFloat(v, 'f', -1, 64)`, with
/// `NaN`, `+Inf` and `-Inf`.
pub fn format_sample(value: f64) -> String {
    match not_finite(value) {
        Some(name) => name.to_owned(),
        None => value.to_string(),
    }
}

/// A float as Go's `%v` prints it: `0.95`, `123456`, `1e+06`, `1e-05`.
pub fn format_go_float(value: f64) -> String {
    if let Some(name) = not_finite(value) {
        return name.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    value.to_string()
}

fn not_finite(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("+Inf")
    } else if value == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
