//! Durations and sizes as people write them in configuration files.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::text::units;

/// `90d`, `2160h`, `1h30m`, `500ms`; a bare number is seconds, as in Loki's own YAML `0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(Duration);

/// `256KB`, `10GB`, `1.5GiB`; units count by 1024, as in Loki. A bare number is bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Size(u64);

impl Span {
    pub const fn from_secs(secs: u64) -> Self {
        Span(Duration::from_secs(secs))
    }

    pub const fn hours(hours: u64) -> Self {
        Span::from_secs(hours * 3600)
    }

    pub fn duration(self) -> Duration {
        self.0
    }

    pub fn ns(self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }
}

impl Size {
    pub const fn kib(kib: u64) -> Self {
        Size(kib * 1024)
    }

    pub const fn mib(mib: u64) -> Self {
        Size::kib(mib * 1024)
    }

    pub fn bytes(self) -> u64 {
        self.0
    }

    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&units::format_prometheus_duration(self.ns()))
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}B", self.0)
    }
}

fn parse_span(text: &str) -> Option<Duration> {
    let ns = units::parse_prometheus_duration(text).or_else(|| units::parse_go_duration(text))?;
    u64::try_from(ns).ok().map(Duration::from_nanos)
}

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim().to_ascii_lowercase();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number * 1024f64.powi(power);
    (bytes.is_finite() && bytes < u64::MAX as f64).then_some(bytes as u64)
}

struct ReadSpan;
struct ReadSize;

impl Visitor<'_> for ReadSpan {
    type Value = Span;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as 90d, 2160h, 30s or 500ms")
    }
    fn visit_u64<E: Error>(self, secs: u64) -> Result<Span, E> {
        Ok(Span::from_secs(secs))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        parse_span(text)
            .map(Span)
            .ok_or_else(|| E::custom(format!("{text:?} is not a duration; write 90d, 2160h, 30s")))
    }
}

impl Visitor<'_> for ReadSize {
    type Value = Size;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 256KB, 10GB or a number of bytes")
    }
    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Size, E> {
        Ok(Size(bytes))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
        parse_size(text)
            .map(Size)
            .ok_or_else(|| E::custom(format!("{text:?} is not a size; write 256KB, 10GB")))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ReadSpan)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ReadSize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("256KB", Some(262_144)),
            ("256 kib", Some(262_144)),
            ("1.5m", Some(1_572_864)),
            ("10GB", Some(10 << 30)),
            ("10XB", None),
            ("GB", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }
}
