//! `logproto.PushRequest`
//! (<https://github.com/grafana/loki/blob/main/pkg/push/push.proto>).

use bytes::Bytes;

use super::PushError;
use super::wire::{Fields, WireError};
use crate::model::{Entry, Labels, Metadata, StreamBatch, Timestamp};

impl From<WireError> for PushError {
    fn from(error: WireError) -> Self {
        PushError::Protobuf(error.to_string())
    }
}

/// `PushRequest { 1: repeated StreamAdapter streams }`.
pub(super) fn decode(body: &Bytes) -> Result<Vec<StreamBatch>, PushError> {
    let mut streams = Vec::new();
    let mut fields = Fields::new(body.clone());
    while let Some((number, value)) = fields.next_field()? {
        if number == 1 {
            streams.push(stream(value.bytes(number)?)?);
        }
    }
    Ok(streams)
}

/// `StreamAdapter { 1: string labels, 2: repeated EntryAdapter entries, 3: uint64 hash }`.
fn stream(message: Bytes) -> Result<StreamBatch, PushError> {
    let mut labels = Labels::default();
    let mut entries = Vec::new();
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => {
                let text = value.text(number)?;
                labels = Labels::parse(&text).map_err(|error| PushError::Labels {
                    labels: text.chars().take(200).collect(),
                    reason: error.to_string(),
                })?;
            }
            2 => entries.push(entry(value.bytes(number)?)?),
            _ => {}
        }
    }
    Ok(StreamBatch { labels, entries })
}

/// `EntryAdapter { 1: Timestamp, 2: string line, 3: repeated LabelPairAdapter metadata }`.
fn entry(message: Bytes) -> Result<Entry, PushError> {
    let mut entry = Entry::default();
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => entry.ts = timestamp(value.bytes(number)?)?,
            2 => entry.line = value.text(number)?,
            3 => pair(value.bytes(number)?, &mut entry.metadata)?,
            _ => {}
        }
    }
    Ok(entry)
}

/// `google.protobuf.Timestamp { 1: int64 seconds, 2: int32 nanos }`.
fn timestamp(message: Bytes) -> Result<Timestamp, PushError> {
    let (mut secs, mut nanos) = (0i64, 0i64);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => secs = value.int(number)?,
            2 => nanos = value.int(number)?,
            _ => {}
        }
    }
    Ok(Timestamp(secs.saturating_mul(1_000_000_000).saturating_add(nanos)))
}

/// `LabelPairAdapter { 1: string name, 2: string value }`.
fn pair(message: Bytes, metadata: &mut Metadata) -> Result<(), PushError> {
    let (mut name, mut text) = Default::default();
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => name = value.text(number)?,
            2 => text = value.text(number)?,
            _ => {}
        }
    }
    metadata.push((name, text));
    Ok(())
}
