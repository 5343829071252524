//! Loki's per-entry and per-stream limits: what fits goes in, what does not is named.

use std::fmt::Write as _;

use crate::model::{Entry, Labels, StreamBatch, Text, Timestamp};

/// Limits with Loki's names and meanings; 0 means no limit where Loki has it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushLimits {
    pub reject_old_samples: bool,
    pub reject_old_samples_max_age_ns: i64,
    pub creation_grace_period_ns: i64,
    pub max_line_size_bytes: usize,
    pub max_line_size_truncate: bool,
    pub max_label_name_length: usize,
    pub max_label_value_length: usize,
    pub max_label_names_per_series: usize,
    pub allow_structured_metadata: bool,
    pub max_structured_metadata_size_bytes: usize,
    pub max_structured_metadata_entries_count: usize,
}

/// What was refused: grouped messages, at most ten, as Loki answers them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rejected {
    pub entries: usize,
    pub bytes: usize,
    /// What is said, and how often.
    kinds: Vec<(String, usize)>,
    more: usize,
}

const KINDS_MAX: usize = 10;

/// The labels that a stream will be stored with, where they are others than it came with: what is
/// refused is named as it would have been found.
pub type Shown<'a> = &'a dyn Fn(&Labels) -> Option<Labels>;

impl Rejected {
    pub(super) fn add(&mut self, entries: usize, bytes: usize, message: impl FnOnce() -> String) {
        self.entries += entries;
        self.bytes += bytes;
        let message = message();
        if let Some((_, times)) = self.kinds.iter_mut().rev().find(|(known, _)| *known == message) {
            *times += 1;
        } else if self.kinds.len() < KINDS_MAX {
            self.kinds.push((message, 1));
        } else {
            self.more += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.entries == 0 && self.kinds.is_empty()
    }

    pub fn message(&self) -> String {
        if let [(only, 1)] = &self.kinds[..] {
            return only.clone();
        }
        let told: Vec<String> = self
            .kinds
            .iter()
            .map(|(message, times)| format!("{times} errors like: {message}"))
            .collect();
        let mut text = told.join("; ");
        if self.more > 0 {
            let _ = write!(text, "; and {} more", self.more);
        }
        text
    }
}

/// Removes what breaks a limit and says why; the rest is ready to be stored.
pub fn validate(
    streams: &mut Vec<StreamBatch>,
    limits: &PushLimits,
    now: Timestamp,
    shown: Shown<'_>,
) -> Rejected {
    let mut rejected = Rejected::default();
    streams.retain_mut(|stream| {
        if let Err(message) = check_labels(stream, limits, shown) {
            let bytes = stream.entries.iter().map(Entry::bytes).sum();
            rejected.add(stream.entries.len(), bytes, || message);
            return false;
        }
        check_entries(stream, limits, now, shown, &mut rejected);
        !stream.entries.is_empty()
    });
    rejected
}

fn check_labels(stream: &StreamBatch, limits: &PushLimits, shown: Shown<'_>) -> Result<(), String> {
    let labels = &stream.labels;
    let as_shown = || shown(labels).unwrap_or_else(|| labels.clone());
    // service_name is ours (or Loki's) to add and is not counted.
    let names = labels.iter().filter(|(name, _)| *name != "service_name").count();
    if limits.max_label_names_per_series > 0 && names > limits.max_label_names_per_series {
        return Err(format!(
            "entry for stream '{}' has {names} label names; limit {}",
            as_shown(),
            limits.max_label_names_per_series
        ));
    }
    for (name, value) in labels.iter() {
        if name.len() > limits.max_label_name_length {
            return Err(format!("stream '{}' has label name too long: '{name}'", as_shown()));
        }
        if value.len() > limits.max_label_value_length {
            return Err(format!("stream '{}' has label value too long: '{value}'", as_shown()));
        }
    }
    Ok(())
}

fn check_entries(
    stream: &mut StreamBatch,
    limits: &PushLimits,
    now: Timestamp,
    shown: Shown<'_>,
    rejected: &mut Rejected,
) {
    let oldest = if limits.reject_old_samples {
        now.saturating_add_ns(-limits.reject_old_samples_max_age_ns)
    } else {
        Timestamp::MIN
    };
    let newest = now.saturating_add_ns(limits.creation_grace_period_ns);
    // Made once a stream, and for those alone that something is said of.
    let shown_once = std::cell::OnceCell::new();
    let labels = &stream.labels;
    let name = || shown_once.get_or_init(|| shown(labels).unwrap_or_else(|| labels.clone()));
    stream.entries.retain_mut(|entry| {
        let bytes = entry.bytes();
        if entry.ts < oldest {
            rejected.add(1, bytes, || {
                format!(
                    "entry for stream '{}' has timestamp too old: {}, oldest acceptable timestamp is: {}",
                    name(),
                    whole_seconds(entry.ts),
                    whole_seconds(oldest)
                )
            });
            return false;
        }
        if entry.ts > newest {
            rejected.add(1, bytes, || {
                let ts = whole_seconds(entry.ts);
                format!("entry for stream '{}' has timestamp too new: {ts}", name())
            });
            return false;
        }
        if limits.max_line_size_bytes > 0 && entry.line.len() > limits.max_line_size_bytes {
            if limits.max_line_size_truncate {
                let cut = floor_char_boundary(&entry.line, limits.max_line_size_bytes);
                entry.line = entry.line.slice(0..cut);
            } else {
                let length = entry.line.len();
                rejected.add(1, bytes, || {
                    format!(
                        "max entry size '{}' bytes exceeded for stream '{}' while adding an entry with length '{length}' bytes",
                        limits.max_line_size_bytes,
                        name()
                    )
                });
                return false;
            }
        }
        match check_metadata(entry, limits) {
            Ok(()) => true,
            Err(reason) => {
                rejected.add(1, bytes, || format!("stream '{}' {reason}", name()));
                false
            }
        }
    });
}

/// A time as Loki shows it here: without the fraction.
fn whole_seconds(ts: Timestamp) -> Timestamp {
    Timestamp::from_secs(ts.0.div_euclid(1_000_000_000))
}

fn check_metadata(entry: &mut Entry, limits: &PushLimits) -> Result<(), String> {
    if entry.metadata.is_empty() {
        return Ok(());
    }
    if !limits.allow_structured_metadata {
        return Err(
            "includes structured metadata, but this feature is disallowed. Please see `limits_config.allow_structured_metadata`".to_owned()
        );
    }
    let (count, count_max) = (entry.metadata.len(), limits.max_structured_metadata_entries_count);
    if count_max > 0 && count > count_max {
        return Err(format!(
            "has too many structured metadata labels: '{count}', limit: '{count_max}'. Please see `limits_config.max_structured_metadata_entries_count`"
        ));
    }
    let size: usize = entry.metadata.iter().map(|(n, v)| n.len() + v.len()).sum();
    let size_max = limits.max_structured_metadata_size_bytes;
    if size_max > 0 && size > size_max {
        return Err(format!(
            "has structured metadata too large: '{size}' bytes, limit: '{size_max}' bytes. Please see `limits_config.max_structured_metadata_size`"
        ));
    }
    for (name, _) in &mut entry.metadata {
        if let Some(clean) = sanitize_metadata_name(name) {
            *name = Text::from(clean);
        }
    }
    // An empty value is the same as none. Of a name given twice the first stays.
    entry.metadata.retain(|(name, value)| !value.is_empty() && !name.is_empty());
    entry.metadata.sort_by(|a, b| a.0.cmp(&b.0));
    entry.metadata.dedup_by(|later, earlier| later.0 == earlier.0);
    Ok(())
}

/// `a.b` becomes `a_b`, `1c` becomes `key_1c`; `None` when the name is fine as it is.
pub fn sanitize_metadata_name(name: &str) -> Option<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let leading_digit = name.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if name.bytes().all(fits) && !leading_digit {
        return None;
    }
    let mut clean = String::with_capacity(name.len() + 4);
    if leading_digit {
        clean.push_str("key_");
    }
    clean.extend(name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }));
    Some(clean)
}

fn floor_char_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
