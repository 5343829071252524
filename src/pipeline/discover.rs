//! What Loki adds to everything it takes in: a `service_name` label to each stream and a
//! `detected_level` to each entry. Same rules, same order, same results; Grafana's Logs Drilldown
//! is built on both. Runs over every line that comes in, so nothing here allocates for a line.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Limits;
use crate::limits::STREAMS_REMEMBERED_MAX;
use crate::model::{Batch, Labels, Metadata, Recent, Text};
use crate::text::logfmt::{Pair, Scanner};

use super::json_scan::{Flow, Kind, looks_like_object, members};
use super::level;

pub const SERVICE_NAME: &str = "service_name";
pub const SERVICE_UNKNOWN: &str = "unknown_service";
pub const DETECTED_LEVEL: &str = "detected_level";
const SEVERITY_NUMBER: &str = "severity_number";

const DETECTED_LEVEL_NAME: Text = Text::from_static(DETECTED_LEVEL);

/// How deep JSON objects are searched for a level (Loki's `log_level_from_json_max_depth`).
const JSON_DEPTH_MAX: usize = 2;

/// Adds `service_name` and `detected_level`.
#[derive(Debug, Clone)]
pub struct Discover {
    service_labels: Vec<String>,
    level_fields: Vec<String>,
    /// Metadata names are compared with the fields only when their lengths occur among them.
    level_lengths: u32,
    /// What was found for labels seen lately.
    known: Arc<Mutex<Recent<Labels, OfStream>>>,
}

/// What the labels of a stream give to all its entries.
#[derive(Debug, Clone)]
struct OfStream {
    /// The labels with `service_name`, if that had to be added.
    labels: Option<Labels>,
    level: Option<Text>,
}

impl Default for Discover {
    fn default() -> Self {
        Discover::new(&Limits::default())
    }
}

impl Discover {
    /// Names come from `discover_service_name` (empty turns it off), `discover_log_levels` and
    /// `log_level_fields` (empty means the default list).
    pub fn new(limits: &Limits) -> Self {
        let level_fields = if !limits.discover_log_levels || !limits.allow_structured_metadata {
            Vec::new()
        } else if limits.log_level_fields.is_empty() {
            Limits::default().log_level_fields
        } else {
            limits.log_level_fields.clone()
        };
        let level_lengths =
            level_fields.iter().fold(0u32, |set, field| set | length_bit(field.len()));
        Discover {
            service_labels: limits.discover_service_name.clone(),
            level_fields,
            level_lengths,
            known: Arc::new(Mutex::new(Recent::new(STREAMS_REMEMBERED_MAX))),
        }
    }

    /// Adds both to all streams and entries of a batch.
    pub fn run(&self, batch: &mut Batch) {
        for stream in &mut batch.streams {
            let OfStream { labels, level } = self.of_stream(&stream.labels);
            if !self.level_fields.is_empty() {
                for entry in &mut stream.entries {
                    self.add_level(level.as_ref(), &mut entry.metadata, &entry.line);
                }
            }
            if let Some(labels) = labels {
                stream.labels = labels;
            }
        }
    }

    fn of_stream(&self, labels: &Labels) -> OfStream {
        if let Some(found) = self.known.lock().get(labels) {
            return found;
        }
        let found = OfStream { labels: self.service_name(labels), level: self.level_label(labels) };
        self.known.lock().put(labels.clone(), found.clone());
        found
    }

    /// The labels with `service_name`; `None` when they have one or discovery is off.
    pub fn service_name(&self, labels: &Labels) -> Option<Labels> {
        if self.service_labels.is_empty() || labels.get(SERVICE_NAME).is_some() {
            return None;
        }
        let name = self.service_labels.iter().find_map(|label| labels.get(label));
        Some(labels.with(SERVICE_NAME, name.unwrap_or(SERVICE_UNKNOWN)))
    }

    /// The level that the labels of a stream give to all its entries.
    pub fn level_label(&self, labels: &Labels) -> Option<Text> {
        self.level_fields
            .iter()
            .find_map(|field| labels.get(field))
            .map(|value| level::normalize(value.as_bytes()).unwrap_or_else(|| Text::from(value)))
    }

    /// Adds `detected_level` to one entry.
    pub fn add_level(&self, level_label: Option<&Text>, metadata: &mut Metadata, line: &Text) {
        if let Some((_, value)) = metadata.iter_mut().find(|(name, _)| *name == DETECTED_LEVEL) {
            if let Some(normal) = level::normalize(value.as_bytes()) {
                *value = normal;
            }
            return;
        }
        let found = match level_label {
            Some(found) => found.clone(),
            None => self.level_of_entry(metadata, line),
        };
        if !found.is_empty() {
            // Most entries have no other pair, and a vector grows by four at a time.
            metadata.reserve_exact(1);
            metadata.push((DETECTED_LEVEL_NAME, found));
        }
    }

    fn level_of_entry(&self, metadata: &Metadata, line: &Text) -> Text {
        let mut best: Option<(usize, &Text)> = None;
        let mut severity_number: Option<&Text> = None;
        for (name, value) in metadata {
            if *name == SEVERITY_NUMBER {
                severity_number = Some(value);
            }
            if self.level_lengths & length_bit(name.len()) == 0 {
                continue;
            }
            if let Some(rank) = self.level_fields.iter().position(|field| *name == field.as_str())
                && best.is_none_or(|(best, _)| rank < best)
            {
                best = Some((rank, value));
            }
        }
        if let Some((_, value)) = best {
            return level::normalize(value.as_bytes()).unwrap_or_else(|| value.clone());
        }
        match severity_number {
            Some(number) if !number.is_empty() => level_of_severity(number),
            _ => self.level_of_line(line),
        }
    }

    /// The level that a line tells: JSON field, logfmt key, or the earliest level word.
    pub fn level_of_line(&self, line: &str) -> Text {
        let bytes = line.as_bytes();
        let value = if looks_like_object(line) {
            self.json_level(bytes)
        } else if memchr::memchr(b'=', bytes).is_some() {
            self.logfmt_level(line)
        } else {
            None
        };
        value.or_else(|| level::first_word(bytes)).unwrap_or(level::UNKNOWN)
    }

    /// The first string field with a level's name, if its value is a level.
    fn json_level(&self, line: &[u8]) -> Option<Text> {
        let mut found = None;
        members(line, JSON_DEPTH_MAX, &mut |member| {
            if member.kind != Kind::Text || self.level_lengths & length_bit(member.key.len()) == 0 {
                return Flow::Go;
            }
            let key = line.get(member.key).unwrap_or_default();
            if !self.level_fields.iter().any(|field| field.as_bytes() == key) {
                return Flow::Go;
            }
            found = line.get(member.value).and_then(level::normalize);
            Flow::Stop
        });
        found
    }

    /// The value of the best-ranked key; a key like the first field ends the search. Scanning ends
    /// at the first malformed pair, as Loki's decoder does.
    fn logfmt_level(&self, line: &str) -> Option<Text> {
        let mut best = self.level_fields.len();
        let mut level = None;
        for pair in Scanner::new(line) {
            let (key, value) = match &pair {
                Pair::Value { key, value, .. } => (*key, value.as_bytes()),
                Pair::Empty { key } => (*key, &b""[..]),
                Pair::Malformed { .. } => break,
            };
            if self.level_lengths & length_bit(key.len()) == 0 {
                continue;
            }
            let rank = self.level_fields.iter().position(|field| field.eq_ignore_ascii_case(key));
            if let Some(rank) = rank
                && rank < best
            {
                best = rank;
                level = level::normalize(value);
                if rank == 0 {
                    break;
                }
            }
        }
        level
    }
}

fn length_bit(length: usize) -> u32 {
    1 << length.min(31)
}

/// OpenTelemetry's severity numbers, four to a level.
fn level_of_severity(number: &str) -> Text {
    match number.parse::<i64>() {
        Err(_) => level::INFO,
        Ok(0) => level::UNKNOWN,
        Ok(n) if n <= 4 => level::TRACE,
        Ok(n) if n <= 8 => level::DEBUG,
        Ok(n) if n <= 12 => level::INFO,
        Ok(n) if n <= 16 => level::WARN,
        Ok(n) if n <= 20 => level::ERROR,
        Ok(n) if n <= 24 => level::FATAL,
        Ok(_) => level::UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entry, StreamBatch, Timestamp};

    fn level(labels: &[(&str, &str)], metadata: &[(&str, &str)], line: &str) -> String {
        let mut entry = Entry::new(Timestamp(1), line);
        entry.metadata = metadata.iter().map(|(n, v)| (Text::from(*n), Text::from(*v))).collect();
        let mut batch = Batch::new("fake");
        batch.streams.push(StreamBatch {
            labels: Labels::from_pairs(labels.iter().copied()),
            entries: vec![entry],
        });
        Discover::default().run(&mut batch);
        let metadata = &batch.streams[0].entries[0].metadata;
        metadata.iter().find(|(n, _)| *n == DETECTED_LEVEL).unwrap().1.to_string()
    }

    #[track_caller]
    fn check_line(line: &str, expect: &str) {
        assert_eq!(level(&[], &[], line), expect, "{line}");
    }

    #[test]
    fn level_of_lines() {
        check_line("[ERROR] x", "error");
        check_line("misc:error y", "unknown");
        check_line("WARNING: q", "warn");
        check_line("lvl=dbg", "debug");
        check_line(r#"{"level":"notice"}"#, "unknown");
        check_line("info then error", "info");
        check_line(r#"{"a":1,"severity":"WARN","level":"error"}"#, "warn");
        check_line(r#"{"a":{"level":"error"},"level":"info"}"#, "error");
        check_line(r#"{"a":{"level":"wrn"},"x":1}"#, "warn");
        check_line(r#"{"a":{"b":{"level":"wrn"}},"x":1}"#, "unknown");
        check_line(r#"{"a":{"b":{"level":"error"}},"x":1}"#, "error");
        check_line(r#"{"level":30,"msg":"info"}"#, "info");
        check_line(r#"{"level":30,"msg":"x"}"#, "unknown");
        check_line(r#"{"log.level":"Information"}"#, "info");
        check_line(r#"{"LeVel":"error"}"#, "error");
        check_line(r#"{"LeVel":"err0r"}"#, "unknown");
        check_line(r#" {"level":"debug"} "#, "debug");
        check_line("msg=x LEVEL=Fatal", "fatal");
        check_line("severity=warn level=error", "error");
        check_line("severity=warn lvl=error", "warn");
        check_line("level=\"error\" msg=\"a b\"", "error");
        check_line("level=notice msg=\"an error\"", "error");
        check_line("msg=\"unclosed level=error", "error");
        check_line("", "unknown");
        check_line("plain", "unknown");
    }

    #[test]
    fn level_of_labels_and_metadata() {
        let line = "level=debug";
        assert_eq!(level(&[("level", "WARN")], &[], line), "warn");
        assert_eq!(level(&[("level", "notice")], &[], line), "notice");
        assert_eq!(level(&[("severity", "x"), ("level", "err")], &[], line), "error");
        assert_eq!(level(&[("level", "warn")], &[("level", "error")], line), "warn");
        assert_eq!(level(&[], &[("lvl", "trc"), ("severity", "Inf")], line), "info");
        assert_eq!(level(&[], &[("lvl", "odd")], line), "odd");
        assert_eq!(level(&[("level", "warn")], &[("detected_level", "ERR")], line), "error");
        assert_eq!(level(&[], &[("detected_level", "odd")], line), "odd");
        for (number, expect) in [
            ("0", "unknown"),
            ("4", "trace"),
            ("5", "debug"),
            ("9", "info"),
            ("16", "warn"),
            ("17", "error"),
            ("24", "fatal"),
            ("25", "unknown"),
            ("x", "info"),
        ] {
            assert_eq!(level(&[], &[("severity_number", number)], line), expect);
        }
    }

    #[track_caller]
    fn check_service(labels: &[(&str, &str)], expect: &str) {
        let labels = Labels::from_pairs(labels.iter().copied());
        let found = Discover::default().service_name(&labels).unwrap_or(labels);
        assert_eq!(found.get(SERVICE_NAME), Some(expect));
    }

    #[test]
    fn service_names() {
        check_service(&[], "unknown_service");
        check_service(&[("service_name", "s"), ("app", "a")], "s");
        check_service(&[("job", "j"), ("container", "c")], "c");
        check_service(&[("app", "a"), ("service", "s")], "s");
        check_service(&[("k8s_job_name", "k")], "k");
        check_service(&[("compose_service", "x")], "unknown_service");
    }

    #[test]
    fn can_be_turned_off() {
        let limits = Limits {
            discover_service_name: Vec::new(),
            discover_log_levels: false,
            ..Limits::default()
        };
        let discover = Discover::new(&limits);
        let mut batch = Batch::new("fake");
        batch.push(&Labels::from_pairs([("app", "a")]), Entry::new(Timestamp(1), "error"));
        let before = batch.clone();
        discover.run(&mut batch);
        assert_eq!(batch, before);
        let own = Limits { log_level_fields: vec!["sev".into()], ..Limits::default() };
        assert_eq!(Discover::new(&own).level_of_line("level=warn sev=error"), level::ERROR);
    }
}
