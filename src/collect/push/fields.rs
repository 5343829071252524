//! From a JSON document with fields to a line, its labels and its structured metadata. Shared by
//! `_bulk` and JSON lines.
//!
//! The line is the message field, and the other fields become structured metadata under the
//! names that LogQL's `json` stage would give them. A document without a message, or with more
//! fields than metadata may have, is kept whole as the line: nothing of it is lost either way.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::body::{Fault, FaultKind};
use super::validate::{PushLimits, sanitize_metadata_name};
use crate::limits;
use crate::model::{Entry, Labels, Metadata, Text, Timestamp};

const MESSAGE_FIELDS: [&str; 6] = ["_msg", "message", "msg", "log", "line", "body"];
const TIME_FIELDS: [&str; 5] = ["_time", "@timestamp", "timestamp", "time", "ts"];
/// Where a document names its service, in the order of Loki's list and of ECS.
/// Names that may be anything (`name`, `job`) are left out: a label for each user would follow.
const SERVICE_FIELDS: [&str; 13] = [
    "service_name",
    "service.name",
    "service",
    "app",
    "application",
    "app_name",
    "kubernetes.labels.app_kubernetes_io/name",
    "kubernetes.labels.app",
    "kubernetes.container.name",
    "kubernetes.container_name",
    "container.name",
    "container_name",
    "container",
];
/// A bare `host` is as often the host of a request, which whoever sends one chooses.
const HOST_FIELDS: [&str; 3] = ["host.name", "host.hostname", "hostname"];
/// ECS' name for the level; with an underscore nothing would know it.
const LEVEL_FIELD: &str = "log.level";

/// Which fields are what; empty lists mean the usual names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldNames {
    pub message: Vec<String>,
    pub time: Vec<String>,
    /// Fields that become labels.
    pub stream: Vec<String>,
    pub ignore: Vec<String>,
    /// Labels that every line gets.
    pub extra: Vec<(String, String)>,
}

impl FieldNames {
    /// A list as query arguments and headers give it: `a,b`.
    pub fn list(text: &str) -> Vec<String> {
        text.split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    }
}

type Document = Map<String, Value>;

/// Takes a field out of a document; a dot leads into an object where no field has the whole name.
fn take(document: &mut Document, path: &str, wanted: fn(&Value) -> bool) -> Option<Value> {
    if document.get(path).is_some_and(wanted) {
        return document.shift_remove(path);
    }
    let (outer, inner) = path.split_once('.')?;
    match document.get_mut(outer)? {
        Value::Object(object) => take(object, inner, wanted),
        _ => None,
    }
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn is_scalar(value: &Value) -> bool {
    is_text(value) || value.is_number() || value.is_boolean()
}

fn is_time(value: &Value) -> bool {
    value.is_string() || value.is_number()
}

fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// `service.name` as a label name.
pub fn label_name(field: &str) -> String {
    let clean = sanitize_metadata_name(field).unwrap_or_else(|| field.to_owned());
    if clean.is_empty() { "_".to_owned() } else { clean }
}

/// Reads one document. `default_service` names the service where no field does.
pub fn read(
    text: &Bytes,
    names: &FieldNames,
    default_labels: &[(&str, &str)],
    default_service: &str,
    limits: &PushLimits,
    now: Timestamp,
) -> Result<(Labels, Entry), Fault> {
    if text.len() > limits::PUSH_DOCUMENT_BYTES_MAX {
        let bytes_max = limits::PUSH_DOCUMENT_BYTES_MAX;
        let reason = format!("the document has more than {bytes_max} bytes");
        return Err(Fault::new(FaultKind::Limit, reason));
    }
    let mut document: Document = serde_json::from_slice(text).map_err(|error| {
        // The position alone: what stands there may be a secret.
        let at = error.column();
        Fault::new(FaultKind::Malformed, format!("not a JSON object (at byte {at})"))
    })?;
    let mut ignored = false;
    for name in &names.ignore {
        ignored |= take(&mut document, name, |_| true).is_some();
    }
    // What is to be left out is left out of the whole document too.
    let text = if ignored {
        Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
    } else {
        text.clone()
    };
    let ts = time(&mut document, names)?.unwrap_or(now);
    let labels = labels(&mut document, names, default_labels, default_service);
    let message = first(&names.message, &MESSAGE_FIELDS)
        .find_map(|field| take(&mut document, field, Value::is_string));
    let mut metadata = Metadata::new();
    let entry = match message {
        Some(message)
            if flatten(document, &mut String::new(), &mut metadata) && fits(&metadata, limits) =>
        {
            Entry { ts, line: Text::from(plain(message)), metadata }
        }
        _ => Entry::new(ts, Text::from_bytes_lossy(text)),
    };
    Ok((labels, entry))
}

/// Whether the limits let all of it be metadata.
fn fits(metadata: &Metadata, limits: &PushLimits) -> bool {
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    let within = |number: usize, number_max: usize| number_max == 0 || number <= number_max;
    (limits.allow_structured_metadata || metadata.is_empty())
        && within(metadata.len(), limits.max_structured_metadata_entries_count)
        && within(bytes, limits.max_structured_metadata_size_bytes)
}

/// The names that were asked for, or else the usual ones.
fn first<'a>(asked: &'a [String], usual: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let usual = if asked.is_empty() { usual } else { &[] };
    asked.iter().map(String::as_str).chain(usual.iter().copied())
}

fn time(document: &mut Document, names: &FieldNames) -> Result<Option<Timestamp>, Fault> {
    for field in first(&names.time, &TIME_FIELDS) {
        let Some(value) = take(document, field, is_time) else { continue };
        if value.as_str() == Some("") || value.as_str() == Some("0") || value.as_i64() == Some(0) {
            return Ok(None);
        }
        return parse_time(&value).map(Some).ok_or_else(|| {
            Fault::new(
                FaultKind::Malformed,
                format!("field {field:?} is no time: use RFC 3339, or Unix seconds, milliseconds, microseconds or nanoseconds"),
            )
        });
    }
    Ok(None)
}

/// RFC 3339, the same without a zone (then UTC), or a Unix time whose unit its size tells.
fn parse_time(value: &Value) -> Option<Timestamp> {
    if let Some(text) = value.as_str() {
        if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
            return time.timestamp_nanos_opt().map(Timestamp);
        }
        for layout in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
            if let Ok(time) =
                chrono::NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), layout)
            {
                return time.and_utc().timestamp_nanos_opt().map(Timestamp);
            }
        }
        return match text.parse::<i64>() {
            Ok(number) => scaled(number),
            Err(_) => seconds(text.parse().ok()?),
        };
    }
    match value.as_i64() {
        Some(number) => scaled(number),
        None => seconds(value.as_f64()?),
    }
}

/// Seconds up to the year 5138, then milliseconds, microseconds, nanoseconds.
fn scaled(number: i64) -> Option<Timestamp> {
    let factor = match number.unsigned_abs() {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.checked_mul(factor).map(Timestamp)
}

fn seconds(number: f64) -> Option<Timestamp> {
    if !number.is_finite() {
        return None;
    }
    if number.abs() >= 100_000_000_000.0 {
        return if number.abs() < 9.0e18 { scaled(number as i64) } else { None };
    }
    let ns = number * 1e9;
    (ns.abs() < 9.2e18).then_some(Timestamp(ns as i64))
}

fn labels(
    document: &mut Document,
    names: &FieldNames,
    default_labels: &[(&str, &str)],
    default_service: &str,
) -> Labels {
    let mut pairs: Vec<(String, String)> =
        default_labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    for field in &names.stream {
        if let Some(value) = take(document, field, is_scalar) {
            pairs.push((label_name(field), plain(value)));
        }
    }
    pairs.extend(names.extra.iter().map(|(name, value)| (label_name(name), value.clone())));
    if !pairs.iter().any(|(name, _)| name == "service_name") {
        let found = SERVICE_FIELDS.iter().find_map(|field| take(document, field, is_text));
        let service = found.map_or_else(|| default_service.to_owned(), plain);
        pairs.push(("service_name".to_owned(), service));
    }
    // Without a word about streams, the host tells copies of a service apart.
    if names.stream.is_empty()
        && let Some(host) = HOST_FIELDS.iter().find_map(|field| take(document, field, is_text))
    {
        pairs.push(("host".to_owned(), plain(host)));
    }
    Labels::from_pairs(pairs)
}

/// All fields that are left, objects opened up. Whether they are few and their names short enough.
fn flatten(object: Document, prefix: &mut String, metadata: &mut Metadata) -> bool {
    for (key, value) in object {
        let length = prefix.len();
        if !prefix.is_empty() {
            prefix.push('.');
        }
        prefix.push_str(&key);
        if metadata.len() >= limits::PUSH_FIELDS_MAX || prefix.len() > limits::PUSH_NAME_BYTES_MAX {
            return false;
        }
        match value {
            Value::Null => {}
            Value::Object(inner) => {
                if !flatten(inner, prefix, metadata) {
                    return false;
                }
            }
            other => {
                let name = if prefix == LEVEL_FIELD { "level" } else { prefix.as_str() };
                metadata.push((Text::from(label_name(name)), Text::from(plain(other))));
            }
        }
        prefix.truncate(length);
    }
    true
}
