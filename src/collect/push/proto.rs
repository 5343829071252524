//! `logproto.PushRequest`
//! (<https://github.com/grafana/loki/blob/main/pkg/push/push.proto>).

use bytes::Bytes;

use super::PushError;
use super::cursor::Cursor;
use super::label_texts::labels_of;
use super::room::Room;
use super::wire::WireError;
use crate::model::{Entry, Labels, Metadata, StreamBatch, Text, Timestamp};

impl From<WireError> for PushError {
    fn from(error: WireError) -> Self {
        PushError::Protobuf(error.to_string())
    }
}

/// `PushRequest { 1: repeated StreamAdapter streams }`.
pub(super) fn decode(body: &Bytes, room: &Room) -> Result<Vec<StreamBatch>, PushError> {
    let mut streams = Vec::new();
    let mut fields = Cursor::new(body);
    while let Some((number, value)) = fields.next_field()? {
        if number == 1 {
            streams.push(stream(body, value.bytes(number)?, room)?);
        }
    }
    Ok(streams)
}

/// A string of the body, which it shares; invalid UTF-8 becomes U+FFFD.
fn text(body: &Bytes, bytes: &[u8]) -> Text {
    Text::from_bytes_lossy(body.slice_ref(bytes))
}

/// `StreamAdapter { 1: string labels, 2: repeated EntryAdapter entries, 3: uint64 hash }`.
fn stream(body: &Bytes, message: &[u8], room: &Room) -> Result<StreamBatch, PushError> {
    let mut labels = Labels::default();
    let mut fields = Cursor::new(message);
    let count = fields.count(2);
    room.entries(count + 1)?;
    let mut entries = Vec::with_capacity(count);
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => {
                let text = String::from_utf8_lossy(value.bytes(number)?);
                // An empty text is no labels at all, as in Loki.
                labels =
                    labels_of(if text.is_empty() { "{}" } else { &text }).map_err(|error| {
                        PushError::Labels {
                            labels: text.chars().take(200).collect(),
                            reason: error.to_string(),
                        }
                    })?;
            }
            2 => entries.push(entry(body, value.bytes(number)?, room)?),
            _ => {}
        }
    }
    Ok(StreamBatch { labels, entries })
}

/// `EntryAdapter { 1: Timestamp, 2: string line, 3: repeated LabelPairAdapter metadata }`.
fn entry(body: &Bytes, message: &[u8], room: &Room) -> Result<Entry, PushError> {
    let mut entry = Entry::default();
    let mut fields = Cursor::new(message);
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => entry.ts = timestamp(value.bytes(number)?)?,
            2 => entry.line = text(body, value.bytes(number)?),
            3 => {
                if entry.metadata.is_empty() {
                    let others = fields.count(3);
                    room.pairs(1 + others)?;
                    // The pairs to come, and the level that is added to them.
                    entry.metadata.reserve_exact(2 + others);
                }
                pair(body, value.bytes(number)?, &mut entry.metadata)?;
            }
            _ => {}
        }
    }
    Ok(entry)
}

/// `google.protobuf.Timestamp { 1: int64 seconds, 2: int32 nanos }`.
fn timestamp(message: &[u8]) -> Result<Timestamp, PushError> {
    let (mut secs, mut nanos) = (0i64, 0i64);
    let mut fields = Cursor::new(message);
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
fn pair(body: &Bytes, message: &[u8], metadata: &mut Metadata) -> Result<(), PushError> {
    let (mut name, mut value) = Default::default();
    let mut fields = Cursor::new(message);
    while let Some((number, field)) = fields.next_field()? {
        match number {
            1 => name = text(body, field.bytes(number)?),
            2 => value = text(body, field.bytes(number)?),
            _ => {}
        }
    }
    metadata.push((name, value));
    Ok(())
}
