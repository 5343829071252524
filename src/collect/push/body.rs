//! A body of any format, and what became of it item by item: one door for all pushes, so that
//! the same limits hold whichever way a line comes.

use std::collections::HashMap;

use bytes::Bytes;

use super::fields::FieldNames;
use super::room::Room;
use super::validate::{PushLimits, Shown, validate};
use super::{Format, PushError, bulk, jsonline, otlp};
use crate::limits;
use crate::model::{Entry, Labels, StreamBatch, Timestamp};

/// What a body is, as its route and headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    Loki(Format),
    Otlp(otlp::Encoding),
    /// Elasticsearch's `_bulk`; the index of the path holds for actions that name none.
    Bulk {
        index: Option<String>,
        names: FieldNames,
    },
    JsonLines(FieldNames),
}

/// Why one item of a body was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It cannot be read.
    Malformed,
    /// It asks for something that logs have not.
    Unsupported,
    /// It breaks one of the limits.
    Limit,
}

impl Fault {
    pub fn new(kind: FaultKind, reason: impl Into<String>) -> Fault {
        Fault { kind, reason: reason.into() }
    }
}

/// One item of a body whose answer names each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it stands: the number of its line, from 1.
    pub line: usize,
    /// What `_bulk` calls it: `create` or `index` (or one that we do not do).
    pub action: &'static str,
    pub index: String,
    pub id: String,
    pub fault: Option<Fault>,
}

/// A decoded body.
#[derive(Debug, Default)]
pub struct Decoded {
    pub streams: Vec<StreamBatch>,
    /// For formats whose answers name items. Then `streams` holds one entry each until
    /// `validate`, and `places` says which item each of them is.
    items: Option<Vec<Item>>,
    places: Vec<usize>,
    room: Room,
}

/// What the limits left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refused {
    pub entries: usize,
    /// Absent when all was taken, or when the items say it.
    pub message: Option<String>,
}

impl Decoded {
    pub fn streams(streams: Vec<StreamBatch>) -> Self {
        Decoded { streams, ..Decoded::default() }
    }

    pub fn with_items() -> Self {
        Decoded { items: Some(Vec::new()), ..Decoded::default() }
    }

    /// Adds an item that became an entry, or did not.
    pub fn push_item(
        &mut self,
        mut item: Item,
        taken: Result<(Labels, Entry), Fault>,
    ) -> Result<(), PushError> {
        let items = self.items.get_or_insert_default();
        match taken {
            Ok((labels, entry)) => {
                self.room.pairs(entry.metadata.len())?;
                self.places.push(items.len());
                self.streams.push(StreamBatch { labels, entries: vec![entry] });
            }
            Err(fault) => item.fault = Some(fault),
        }
        items.push(item);
        Ok(())
    }

    pub fn has_items(&self) -> bool {
        self.items.as_ref().is_some_and(|items| !items.is_empty())
    }

    /// Takes out what breaks a limit; the rest is ready to be stored.
    pub fn validate(&mut self, limits: &PushLimits, now: Timestamp) -> Refused {
        self.validate_as(limits, now, &|_| None)
    }

    /// The same; streams are named by the labels that they will be stored with.
    pub fn validate_as(
        &mut self,
        limits: &PushLimits,
        now: Timestamp,
        shown: Shown<'_>,
    ) -> Refused {
        let Some(items) = &mut self.items else {
            let rejected = validate(&mut self.streams, limits, now, shown);
            let message = (!rejected.is_empty()).then(|| rejected.message());
            return Refused { entries: rejected.entries, message };
        };
        let mut known: HashMap<Labels, usize> = HashMap::new();
        let mut grouped: Vec<StreamBatch> = Vec::new();
        for (stream, place) in std::mem::take(&mut self.streams).into_iter().zip(&self.places) {
            let mut one = vec![stream];
            let rejected = validate(&mut one, limits, now, shown);
            let Some(stream) = one.pop() else {
                if let Some(item) = items.get_mut(*place) {
                    item.fault = Some(Fault::new(FaultKind::Limit, rejected.message()));
                }
                continue;
            };
            let at = *known.entry(stream.labels.clone()).or_insert(grouped.len());
            match grouped.get_mut(at) {
                Some(of_stream) => of_stream.entries.extend(stream.entries),
                None => grouped.push(stream),
            }
        }
        self.streams = grouped;
        let entries = items.iter().filter(|item| item.fault.is_some()).count();
        Refused { entries, message: None }
    }

    /// The items, if the format has any.
    pub fn into_parts(self) -> (Vec<StreamBatch>, Option<Vec<Item>>) {
        (self.streams, self.items)
    }
}

/// Decodes a body of any format. Labels are sorted, entries keep their order.
pub fn open(
    shape: &Shape,
    content_encoding: Option<&str>,
    body: Bytes,
    limits: &PushLimits,
    now: Timestamp,
) -> Result<Decoded, PushError> {
    let bytes_max = limits::PUSH_DECODED_BYTES_MAX;
    let unpack = |body: Bytes| {
        let encoding = content_encoding.unwrap_or_default().trim().to_ascii_lowercase();
        super::decompress(&encoding, body, bytes_max)
    };
    match shape {
        Shape::Loki(format) => {
            super::decode(*format, content_encoding, body, bytes_max).map(Decoded::streams)
        }
        Shape::Otlp(encoding) => otlp::decode(*encoding, &unpack(body)?, now).map(Decoded::streams),
        Shape::Bulk { index, names } => {
            bulk::decode(&unpack(body)?, index.as_deref(), names, limits, now)
        }
        Shape::JsonLines(names) => jsonline::decode(&unpack(body)?, names, limits, now),
    }
}

#[cfg(test)]
mod tests;
