//! From resources, scopes and records to streams and entries.

use std::collections::HashMap;

use bytes::Bytes;

use super::names::{is_index_label, label_name};
use super::value::{Any, Attributes};
use crate::collect::push::PushError;
use crate::limits;
use crate::model::{Entry, Labels, Metadata, StreamBatch, Text, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Scope {
    pub name: Text,
    pub version: Text,
    pub attributes: Attributes,
    pub dropped_attributes: u32,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    pub time_ns: u64,
    pub observed_ns: u64,
    pub severity_number: i64,
    pub severity_text: Text,
    pub body: Any,
    pub attributes: Attributes,
    pub dropped_attributes: u32,
    pub flags: u32,
    pub trace_id: Bytes,
    pub span_id: Bytes,
    pub event_name: Text,
}

/// What the records of one resource have in common.
pub(super) struct OfResource {
    stream: usize,
    metadata: Metadata,
}

pub(super) struct Mapper {
    now: Timestamp,
    streams: Vec<StreamBatch>,
    places: HashMap<Labels, usize>,
    /// Entries, attributes and values that this body may still have.
    left: usize,
}

impl Mapper {
    pub fn new(now: Timestamp) -> Self {
        Mapper { now, streams: Vec::new(), places: HashMap::new(), left: limits::OTLP_VALUES_MAX }
    }

    #[cfg(test)]
    pub fn with_room(now: Timestamp, left: usize) -> Self {
        Mapper { left, ..Mapper::new(now) }
    }

    /// Accounts for values that a body makes; small bodies can hold very many.
    pub fn spend(&mut self, values: usize) -> Result<(), PushError> {
        self.left = self
            .left
            .checked_sub(values)
            .ok_or(PushError::TooMany { entries_max: limits::OTLP_VALUES_MAX })?;
        Ok(())
    }

    pub fn resource(&mut self, attributes: Attributes) -> Result<OfResource, PushError> {
        let mut labels: Vec<(String, String)> = Vec::new();
        let mut metadata = Metadata::new();
        for (key, value) in attributes {
            if is_index_label(&key) {
                let mut found = Metadata::new();
                self.add(&key, value, "", &mut found)?;
                labels.extend(found.into_iter().map(|(n, v)| (n.to_string(), v.to_string())));
            } else {
                self.add(&key, value, "", &mut metadata)?;
            }
        }
        let labels = Labels::from_pairs(labels);
        let stream = *self.places.entry(labels.clone()).or_insert_with(|| {
            self.streams.push(StreamBatch { labels, entries: Vec::new() });
            self.streams.len() - 1
        });
        Ok(OfResource { stream, metadata })
    }

    pub fn scope(&mut self, scope: Scope) -> Result<Metadata, PushError> {
        let mut metadata = Metadata::new();
        for (key, value) in scope.attributes {
            self.add(&key, value, "", &mut metadata)?;
        }
        push(&mut metadata, "scope_name", scope.name);
        push(&mut metadata, "scope_version", scope.version);
        number(&mut metadata, "scope_dropped_attributes_count", scope.dropped_attributes.into());
        Ok(metadata)
    }

    pub fn record(
        &mut self,
        resource: &OfResource,
        scope: &Metadata,
        record: Record,
    ) -> Result<(), PushError> {
        let ns = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        let ts = match (record.time_ns, record.observed_ns) {
            (0, 0) => self.now,
            (0, observed) => Timestamp(ns(observed)),
            (time, _) => Timestamp(ns(time)),
        };
        let mut metadata = Metadata::new();
        for (key, value) in record.attributes {
            // The record's own field goes before an attribute of that name.
            if key == "event_name" && !record.event_name.is_empty() {
                continue;
            }
            self.add(&key, value, "", &mut metadata)?;
        }
        if record.time_ns != 0 && record.observed_ns != 0 {
            number(&mut metadata, "observed_timestamp", ns(record.observed_ns));
        }
        number(&mut metadata, "severity_number", record.severity_number);
        push(&mut metadata, "severity_text", record.severity_text);
        number(&mut metadata, "dropped_attributes_count", record.dropped_attributes.into());
        number(&mut metadata, "flags", record.flags.into());
        push(&mut metadata, "trace_id", hex(&record.trace_id));
        push(&mut metadata, "span_id", hex(&record.span_id));
        push(&mut metadata, "event_name", record.event_name);
        self.spend(1 + metadata.len() + resource.metadata.len() + scope.len())?;
        metadata.extend(resource.metadata.iter().chain(scope).cloned());
        if let Some(stream) = self.streams.get_mut(resource.stream) {
            stream.entries.push(Entry { ts, line: record.body.into_text(), metadata });
        }
        Ok(())
    }

    /// An attribute under its label name; maps are opened up, and each of their values gets the
    /// names of all maps around it, which are paid for.
    fn add(
        &mut self,
        key: &str,
        value: Any,
        prefix: &str,
        metadata: &mut Metadata,
    ) -> Result<(), PushError> {
        let whole = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}_{key}") };
        let Some(name) = label_name(&whole) else { return Ok(()) };
        match value {
            Any::Map(pairs) => {
                for (key, value) in pairs {
                    self.add(&key, value, &name, metadata)?;
                }
            }
            value => {
                self.spend(name.len() / limits::OTLP_NAME_BYTES_PER_VALUE)?;
                metadata.push((Text::from(name), value.into_text()));
            }
        }
        Ok(())
    }

    pub fn finish(mut self) -> Vec<StreamBatch> {
        self.streams.retain(|stream| !stream.entries.is_empty());
        self.streams
    }
}

fn push(metadata: &mut Metadata, name: &'static str, value: Text) {
    if !value.is_empty() {
        metadata.push((Text::from_static(name), value));
    }
}

fn number(metadata: &mut Metadata, name: &'static str, value: i64) {
    if value != 0 {
        metadata.push((Text::from_static(name), Text::from(value.to_string())));
    }
}

/// Ids of nothing but zeros are none.
fn hex(id: &[u8]) -> Text {
    if id.iter().all(|byte| *byte == 0) {
        return Text::default();
    }
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|n| char::from_digit(n.into(), 16));
    Text::from(id.iter().flat_map(digits).flatten().collect::<String>())
}
