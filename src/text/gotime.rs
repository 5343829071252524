//! Times in Go reference layouts (`2006-01-02T15:04:05.000Z07:00`).

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

/// Go's `Time.Format`.
pub fn format(ts: Timestamp, layout: &str, _zone: &Zone) -> String {
    format!("{ts} {layout}")
}

/// Go's `time.ParseInLocation`. The year is `None` in the result's flag when the layout has none.
pub fn parse(_text: &str, _layout: &str, _zone: &Zone) -> Result<Parsed, String> {
    Err("not a time".to_owned())
}

/// A parsed time, and whether the layout held a year and a date at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    pub ts: Timestamp,
    pub has_year: bool,
}
