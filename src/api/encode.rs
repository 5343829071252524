//! Loki's JSON answers. Written directly into the body: key order matters (Grafana's streaming
//! reader wants resultType and encodingFlags before result, stats last).

use std::fmt::Write as _;

use super::query::EncodingFlags;
use super::stats;
use crate::model::{Labels, Timestamp};
use crate::query::{Categorize, LogRow, QueryData, QueryResult, group_streams};

/// Appends a JSON string.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape: &str = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[plain_from..at]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        plain_from = at + 1;
    }
    out.push_str(&text[plain_from..]);
    out.push('"');
}

pub fn pairs<'a>(out: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push('{');
    for (at, (name, value)) in pairs.enumerate() {
        if at > 0 {
            out.push(',');
        }
        string(out, name);
        out.push(':');
        string(out, value);
    }
    out.push('}');
}

pub fn labels(out: &mut String, labels: &Labels) {
    pairs(out, labels.iter());
}

/// Seconds with milliseconds where needed, as Prometheus writes times.
fn seconds(out: &mut String, ts: Timestamp) {
    let _ = write!(out, "{}", ts.0.div_euclid(1_000_000) as f64 / 1000.0);
}

/// A sample value as Go's `strconv.FormatFloat(v, 'f', -1, 64)` writes it.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        format!("{value}")
    }
}

pub fn point(out: &mut String, ts: Timestamp, value: f64) {
    out.push('[');
    seconds(out, ts);
    let _ = write!(out, ",\"{}\"]", float(value));
}

/// One entry: `["<ns>","line"]`, with a third member when labels are told apart.
pub fn entry(out: &mut String, row: &LogRow, categorize: Categorize) {
    let _ = write!(out, "[\"{}\",", row.ts.0);
    string(out, &row.line);
    if categorize == Categorize::Yes {
        out.push_str(",{");
        let kinds = [("structuredMetadata", &row.metadata), ("parsed", &row.parsed)];
        let mut first = true;
        for (name, values) in kinds.into_iter().filter(|(_, values)| !values.is_empty()) {
            if !first {
                out.push(',');
            }
            first = false;
            let _ = write!(out, "\"{name}\":");
            pairs(out, values.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        }
        out.push('}');
    }
    out.push(']');
}

fn streams(out: &mut String, rows: &[LogRow], categorize: Categorize) {
    out.push('[');
    for (at, group) in group_streams(rows, categorize).iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str("{\"stream\":");
        pairs(out, group.labels.iter().copied());
        out.push_str(",\"values\":[");
        for (at, row) in group.rows.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            entry(out, row, categorize);
        }
        out.push_str("]}");
    }
    out.push(']');
}

/// The whole answer of `query` and `query_range`.
pub fn query_result(result: &QueryResult, flags: &EncodingFlags) -> String {
    let mut out = String::with_capacity(4096);
    out.push_str("{\"status\":\"success\",\"data\":{\"resultType\":");
    let result_key = ",\"result\":";
    let categorize = flags.categorize();
    match &result.data {
        QueryData::Streams(rows) => {
            out.push_str("\"streams\"");
            encoding_flags(&mut out, flags);
            out.push_str(result_key);
            streams(&mut out, rows, categorize);
        }
        QueryData::Matrix(series) => {
            out.push_str("\"matrix\"");
            out.push_str(result_key);
            out.push('[');
            for (at, one) in series.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str("{\"metric\":");
                labels(&mut out, &one.labels);
                out.push_str(",\"values\":[");
                for (at, (ts, value)) in one.points.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    point(&mut out, *ts, *value);
                }
                out.push_str("]}");
            }
            out.push(']');
        }
        QueryData::Vector(samples) => {
            out.push_str("\"vector\"");
            out.push_str(result_key);
            out.push('[');
            for (at, sample) in samples.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str("{\"metric\":");
                labels(&mut out, &sample.labels);
                out.push_str(",\"value\":");
                point(&mut out, sample.ts, sample.value);
                out.push('}');
            }
            out.push(']');
        }
        QueryData::Scalar(ts, value) => {
            out.push_str("\"scalar\"");
            out.push_str(result_key);
            point(&mut out, *ts, *value);
        }
    }
    out.push_str(",\"stats\":");
    let _ = write!(out, "{}", stats::stats(&result.stats, entries_returned(&result.data)));
    out.push_str("}}\n");
    out
}

/// Of streams alone; nothing else can be told apart.
fn encoding_flags(out: &mut String, flags: &EncodingFlags) {
    if flags.names().is_empty() {
        return;
    }
    out.push_str(",\"encodingFlags\":[");
    for (at, flag) in flags.names().iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        string(out, flag);
    }
    out.push(']');
}

fn entries_returned(data: &QueryData) -> usize {
    match data {
        QueryData::Streams(rows) => rows.len(),
        QueryData::Matrix(series) => series.len(),
        QueryData::Vector(samples) => samples.len(),
        QueryData::Scalar(..) => 1,
    }
}

/// As Go's layout RFC3339Nano writes a time: no zeros at the end of the fraction.
fn rfc3339_nano(ts: Timestamp) -> String {
    let text = ts.to_string();
    match text.strip_suffix('Z') {
        Some(text) if text.contains('.') => {
            format!("{}Z", text.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

/// Streams as `/api/prom` has them, with commas between.
pub fn legacy_group(out: &mut String, rows: &[LogRow], categorize: Categorize) {
    for (at, group) in group_streams(rows, categorize).iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str("{\"labels\":");
        let labels = Labels::from_pairs(group.labels.iter().copied());
        string(out, &labels.to_string());
        out.push_str(",\"entries\":[");
        for (at, row) in group.rows.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            let _ = write!(out, "{{\"ts\":\"{}\",\"line\":", rfc3339_nano(row.ts));
            string(out, &row.line);
            if !row.parsed.is_empty() {
                out.push_str(",\"parsed\":");
                pairs(out, row.parsed.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            }
            out.push('}');
        }
        out.push_str("]}");
    }
}

/// The answer of `/api/prom/query`.
pub fn legacy_streams(result: &QueryResult, categorize: Categorize) -> String {
    let mut out = String::from("{\"streams\":[");
    if let QueryData::Streams(rows) = &result.data {
        legacy_group(&mut out, rows, categorize);
    }
    out.push_str("],\"stats\":");
    let _ = write!(out, "{}", stats::stats(&result.stats, entries_returned(&result.data)));
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_numbers() {
        let mut out = String::new();
        string(&mut out, "a\"\\\n\u{1}\u{e9}");
        assert_eq!(out, "\"a\\\"\\\\\\n\\u0001\u{e9}\"");
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), "a\"\\\n\u{1}\u{e9}");
        for (value, text) in [(0.5, "0.5"), (2.0, "2"), (f64::NAN, "NaN"), (f64::INFINITY, "+Inf")]
        {
            assert_eq!(float(value), text);
        }
        let mut out = String::new();
        for ns in [1_000_000_000, 1_500_000_000, 1_001_000_000, -500_000_000] {
            seconds(&mut out, Timestamp(ns));
            out.push(' ');
        }
        assert_eq!(out, "1 1.5 1.001 -0.5 ");
    }
}
