//! The JSON push format, and the older one of `/api/prom/push`. Lines without escapes are cut
//! out of the body; nothing is built in between.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use serde_json::value::RawValue;

use super::PushError;
use super::label_texts::{self, labels_of};
use super::room::Room;
use crate::model::{Entry, Labels, Metadata, StreamBatch, Text, Timestamp};

pub(super) fn decode(body: &Bytes, room: Room) -> Result<Vec<StreamBatch>, PushError> {
    if let Err(error) = std::str::from_utf8(body) {
        // JSON must be UTF-8; a client that sends something else still gets its lines in.
        let repaired = Text::from_bytes_lossy(body.clone()).into_bytes();
        tracing::debug!(offset = error.valid_up_to(), "push body is not UTF-8, replaced");
        return decode(&repaired, room);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let taken = Taken { body, room, full: Cell::new(None) };
    Request { taken: &taken }
        .deserialize(&mut json)
        .and_then(|streams| json.end().map(|()| streams))
        .map_err(|error| taken.full.take().unwrap_or_else(|| told(&error.to_string())))
}

/// Of labels it is said in Loki's words what is wrong, as for the other formats.
fn told(error: &str) -> PushError {
    match error.strip_prefix("couldn't parse labels: ") {
        Some(reason) => PushError::BadLabels(reason.to_owned()),
        None => PushError::Json(error.to_owned()),
    }
}

/// What all parts of one body share.
struct Taken<'b> {
    body: &'b Bytes,
    room: Room,
    /// Why the body is refused where that is not the JSON's fault.
    full: Cell<Option<PushError>>,
}

impl Taken<'_> {
    fn within<E: Error>(&self, room: Result<(), PushError>) -> Result<(), E> {
        room.map_err(|error| {
            let shown = E::custom(&error);
            self.full.set(Some(error));
            shown
        })
    }

    fn entry<E: Error>(&self) -> Result<(), E> {
        self.within(self.room.entries(1))
    }
}

/// A string of the body as `Text`, sharing the body's buffer when it holds no escape.
fn share(body: &Bytes, text: Cow<'_, str>) -> Text {
    match text {
        Cow::Owned(owned) => Text::from(owned),
        Cow::Borrowed(part) => {
            let start = (part.as_ptr() as usize).wrapping_sub(body.as_ptr() as usize);
            match body.get(start..start + part.len()) {
                Some(_) => Text::from_bytes_lossy(body.slice(start..start + part.len())),
                None => Text::from(part),
            }
        }
    }
}

#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

/// The labels of a stream. A number or a truth value as a label is taken by its text.
struct LabelPairs<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de> Deserialize<'de> for LabelPairs<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = LabelPairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with string values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                let mut bytes = 0;
                while let Some(Borrowed(name)) = map.next_key()? {
                    let value: &'de RawValue = map.next_value()?;
                    // Empty ones take room too.
                    bytes += name.len() + value.get().len();
                    label_texts::check_size(bytes).map_err(|reason| {
                        A::Error::custom(format!("couldn't parse labels: {reason}"))
                    })?;
                    let text = value.get();
                    let value = match text.as_bytes().first() {
                        Some(b'"') => {
                            let Borrowed(value) =
                                serde_json::from_str(text).map_err(A::Error::custom)?;
                            value
                        }
                        Some(b'{' | b'[') => {
                            return Err(A::Error::custom("a label must be a string"));
                        }
                        _ if text == "null" => Cow::Borrowed(""),
                        _ => Cow::Borrowed(text),
                    };
                    pairs.push((name, value));
                }
                Ok(LabelPairs(pairs))
            }
        }
        from.deserialize_map(Pairs)
    }
}

/// Declares a seed and visitor that carries what the body shares.
macro_rules! seed {
    ($name:ident, $output:ty, $expecting:literal, $entry:ident) => {
        #[derive(Clone, Copy)]
        struct $name<'b> {
            taken: &'b Taken<'b>,
        }
        impl<'de> DeserializeSeed<'de> for $name<'_> {
            type Value = $output;
            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<$output, D::Error> {
                from.$entry(self)
            }
        }
        impl $name<'_> {
            fn wanted(f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }
        }
    };
}

seed!(Request, Vec<StreamBatch>, "an object with \"streams\"", deserialize_any);
seed!(Streams, Vec<StreamBatch>, "a list of streams", deserialize_any);
seed!(Stream, StreamBatch, "an object with \"stream\" and \"values\"", deserialize_map);
seed!(Values, Vec<Entry>, "a list of [\"<ns>\", \"line\"]", deserialize_any);
seed!(
    ValueSeed,
    Entry,
    "[\"<ns>\", \"line\"] or [\"<ns>\", \"line\", {metadata}]",
    deserialize_seq
);
seed!(MetadataSeed, Metadata, "an object with string values", deserialize_map);
seed!(OldEntries, Vec<Entry>, "a list of {\"ts\", \"line\"}", deserialize_seq);
seed!(OldEntry, Entry, "an object with \"ts\" and \"line\"", deserialize_map);

impl<'de> Visitor<'de> for Request<'_> {
    type Value = Vec<StreamBatch>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::wanted(f)
    }
    /// `null` stands for nothing there, as in Go.
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut streams = Vec::new();
        while let Some(Borrowed(key)) = map.next_key()? {
            if key == "streams" {
                streams = map.next_value_seed(Streams { taken: self.taken })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(streams)
    }
}

impl<'de> Visitor<'de> for Streams<'_> {
    type Value = Vec<StreamBatch>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::wanted(f)
    }
    /// `null` stands for nothing there, as in Go.
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut streams = Vec::new();
        while let Some(stream) = seq.next_element_seed(Stream { taken: self.taken })? {
            self.taken.entry()?;
            streams.push(stream);
        }
        Ok(streams)
    }
}

impl<'de> Visitor<'de> for Stream<'_> {
    type Value = StreamBatch;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::wanted(f)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StreamBatch, A::Error> {
        let mut stream = StreamBatch::default();
        while let Some(Borrowed(key)) = map.next_key()? {
            match &*key {
                "stream" => {
                    let LabelPairs(pairs) = map.next_value()?;
                    self.taken.within(self.taken.room.pairs(pairs.len()))?;
                    if let Some((name, _)) = pairs.iter().find(|(n, _)| !Labels::is_valid_name(n)) {
                        let reason = crate::model::LabelsError::Name(name.to_string());
                        return Err(A::Error::custom(format!("couldn't parse labels: {reason}")));
                    }
                    stream.labels = Labels::from_pairs(
                        pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())),
                    );
                }
                "labels" => {
                    let Borrowed(text) = map.next_value()?;
                    stream.labels = labels_of(&text).map_err(|error| {
                        let text: String = text.chars().take(200).collect();
                        A::Error::custom(format!("couldn't parse labels: {text}: {error}"))
                    })?;
                }
                "values" => stream.entries = map.next_value_seed(Values { taken: self.taken })?,
                "entries" => {
                    stream.entries = map.next_value_seed(OldEntries { taken: self.taken })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(stream)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = Vec<Entry>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::wanted(f)
    }
    /// `null` stands for nothing there, as in Go.
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element_seed(ValueSeed { taken: self.taken })? {
            self.taken.entry()?;
            entries.push(entry);
        }
        Ok(entries)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Entry;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::wanted(f)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entry, A::Error> {
        let Some(Borrowed(ts)) = seq.next_element()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        let ts: i64 = ts.parse().map_err(|_| {
            A::Error::custom("a timestamp must be a string of nanoseconds since the epoch")
        })?;
        let Some(Borrowed(line)) = seq.next_element()? else {
            return Err(A::Error::invalid_length(1, &self));
        };
        let line = share(self.taken.body, line);
        let metadata =
            seq.next_element_seed(MetadataSeed { taken: self.taken })?.unwrap_or_default();
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entry { ts: Timestamp(ts), line, metadata })
    }
}

impl<'de> Visitor<'de> for MetadataSeed<'_> {
    type Value = Metadata;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::wanted(f)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut metadata = Metadata::new();
        while let Some((Borrowed(name), Borrowed(value))) = map.next_entry()? {
            self.taken.within(self.taken.room.pairs(1))?;
            metadata.push((share(self.taken.body, name), share(self.taken.body, value)));
        }
        Ok(metadata)
    }
}

impl<'de> Visitor<'de> for OldEntries<'_> {
    type Value = Vec<Entry>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::wanted(f)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element_seed(OldEntry { taken: self.taken })? {
            self.taken.entry()?;
            entries.push(entry);
        }
        Ok(entries)
    }
}

impl<'de> Visitor<'de> for OldEntry<'_> {
    type Value = Entry;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::wanted(f)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut entry = Entry::default();
        while let Some(Borrowed(key)) = map.next_key()? {
            match &*key {
                "ts" => {
                    let Borrowed(text) = map.next_value()?;
                    let time = chrono::DateTime::parse_from_rfc3339(&text)
                        .map_err(|_| A::Error::custom("ts must be an RFC 3339 time"))?;
                    entry.ts = Timestamp(time.timestamp_nanos_opt().unwrap_or(i64::MAX));
                }
                "line" => {
                    let Borrowed(line) = map.next_value()?;
                    entry.line = share(self.taken.body, line);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(entry)
    }
}
