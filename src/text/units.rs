//! Durations and sizes as Go, Prometheus and humanize write them.

/// Go's `time.ParseDuration`: `1h2m3.5s`, `250us`, `-1.5h`; no days. In nanoseconds.
pub fn parse_go_duration(_text: &str) -> Option<i64> {
    None
}

/// Prometheus: `1y2w3d4h5m6s7ms`, units descending, integers only; `0` alone is allowed. In nanoseconds.
pub fn parse_prometheus_duration(_text: &str) -> Option<i64> {
    None
}

/// Prometheus' shortest form, as Loki prints ranges: `1h30m`, `5m`, `90s` as `1m30s`.
pub fn format_prometheus_duration(ns: i64) -> String {
    format!("{ns}ns")
}

/// Go's `time.Duration.String()`: `1h30m0s`, `1.5s`, `100ms`.
pub fn format_go_duration(ns: i64) -> String {
    format!("{ns}ns")
}

/// dustin/go-humanize `ParseBytes`: `10KB` (x1000), `10KiB` (x1024), `1.5 MB`, plain numbers.
pub fn parse_bytes(_text: &str) -> Option<u64> {
    None
}
