//! Entries in memory: recent ones that are not in a part yet. Lines stay in the bytes of the
//! WAL records they came in; a stream holds 16 bytes for each entry.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

pub use super::head_stream::EntryRef;
use super::head_stream::HeadStream;
use super::read::StreamMeta;
use super::wal::{EntryView, Record};
use crate::model::{StreamId, TimeRange, Timestamp};

#[derive(Debug, Default)]
struct Inner {
    records: Vec<Record>,
    by_id: HashMap<StreamId, u32>,
    /// Streams by their labels as records have them, so that the labels of a stream that is
    /// known are not read again with every batch.
    by_label_bytes: HashMap<u128, u32>,
    streams: Vec<HeadStream>,
    totals: Totals,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub entries: u64,
    /// Bytes of lines and metadata.
    pub bytes: u64,
    pub memory_bytes: u64,
    pub streams: u64,
    pub span: Option<(Timestamp, Timestamp)>,
}

/// Entries since the last seal.
#[derive(Debug, Default)]
pub struct Head {
    inner: RwLock<Inner>,
}

/// What adding a record did.
#[derive(Debug, Default)]
pub struct Added {
    pub entries: u64,
    /// Places of exact repeats that were left out, as (stream in batch, entry in stream).
    pub repeats: Vec<(usize, usize)>,
}

/// Looks for an exact repeat outside this head.
pub trait Elsewhere {
    /// The newest time at which the stream may have entries in another place; cheap.
    fn newest(&mut self, id: StreamId) -> Option<Timestamp>;
    fn holds(&mut self, id: StreamId, ts: Timestamp, entry: &EntryView<'_>) -> bool;
}

/// The entries of one stream in a range, sorted by (time, arrival), taken out of the head.
pub struct StreamRows {
    pub meta: StreamMeta,
    pub tenant: Arc<str>,
    pub refs: Vec<EntryRef>,
    pub records: Arc<Vec<Record>>,
}

impl StreamRows {
    #[inline]
    pub fn entry(&self, of: EntryRef) -> EntryView<'_> {
        // A reference is made for a record of the same head, and records are only added.
        self.records[of.record as usize].entry(of.at)
    }
}

/// How much of a stream a head holds in a range.
#[derive(Debug, Clone)]
pub struct HeadStats {
    pub meta: StreamMeta,
    pub entries: u64,
    pub bytes: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Head {
    /// Adds the entries of a record; they can be queried when this returns, all at once.
    /// `None` when the record is not well-formed, which `Record` rules out.
    pub fn add(&self, record: &Record, elsewhere: &mut dyn Elsewhere) -> Option<Added> {
        // Before the lock: it may read parts, and queries go on meanwhile. Only one thread adds.
        let elsewhere = self.elsewhere(record, elsewhere)?;
        let mut elsewhere = elsewhere.into_iter().peekable();
        let mut added = Added::default();
        let mut inner = self.inner.write();
        let inner = &mut *inner;
        let record_at = u32::try_from(inner.records.len()).ok()?;
        inner.records.push(record.clone());
        let mut walk = record.walk()?;
        let tenant: Arc<str> = walk.tenant.into();
        let seed = xxh3_64(tenant.as_bytes());
        let mut stream_at = 0;
        while let Some(mut entries) = walk.next_stream()? {
            let key = xxh3_128_with_seed(entries.label_bytes, seed);
            let mut known = inner.by_label_bytes.get(&key).copied();
            let mut unknown = None;
            let id = match known.and_then(|at| inner.streams.get(at as usize)) {
                Some(stream) => stream.meta.id,
                None => {
                    let labels = entries.labels()?;
                    let id = labels.stream_id(&tenant);
                    known = inner.by_id.get(&id).copied();
                    unknown = Some(labels);
                    id
                }
            };
            let mut entry_at = 0;
            while let Some(place) = entries.next_entry()? {
                let entry = record.entry(place.at);
                let ts = place.ts;
                let mut repeat = elsewhere.next_if_eq(&(stream_at, entry_at)).is_some();
                if !repeat {
                    let at = match known {
                        Some(at) => at,
                        None => {
                            let labels = unknown.take()?;
                            let at = u32::try_from(inner.streams.len()).ok()?;
                            let meta = StreamMeta { id, labels };
                            // Its labels twice (text and places), maps, and room for entries.
                            let memory =
                                size_of::<HeadStream>() + 2 * entries.label_bytes.len() + 256;
                            inner.totals.memory_bytes += memory as u64;
                            inner.streams.push(HeadStream::new(meta, tenant.clone(), ts));
                            inner.by_id.insert(id, at);
                            inner.by_label_bytes.insert(key, at);
                            known = Some(at);
                            at
                        }
                    };
                    let stream = inner.streams.get_mut(at as usize)?;
                    let of = EntryRef { ts, record: record_at, at: place.at };
                    repeat = !stream.add(&inner.records, of, &entry);
                }
                if repeat {
                    added.repeats.push((stream_at, entry_at));
                    entry_at += 1;
                    continue;
                }
                let metadata: usize = entry.metadata().map(|(n, v)| n.len() + v.len()).sum();
                inner.totals.bytes += (entry.line.len() + metadata) as u64;
                inner.totals.span = Some(match inner.totals.span {
                    Some((first, last)) => (first.min(ts), last.max(ts)),
                    None => (ts, ts),
                });
                added.entries += 1;
                entry_at += 1;
            }
            walk.skip_past(&entries);
            stream_at += 1;
        }
        if added.entries == 0 {
            inner.records.pop();
        } else {
            let per_entry = size_of::<EntryRef>() as u64 * 2;
            inner.totals.memory_bytes += record.memory_bytes() as u64 + added.entries * per_entry;
        }
        inner.totals.entries += added.entries;
        inner.totals.streams = inner.streams.len() as u64;
        Some(added)
    }

    /// Entries of a record that are in another place already, as (stream, entry) in order.
    fn elsewhere(
        &self,
        record: &Record,
        elsewhere: &mut dyn Elsewhere,
    ) -> Option<Vec<(usize, usize)>> {
        let mut found = Vec::new();
        let mut walk = record.walk()?;
        let seed = xxh3_64(walk.tenant.as_bytes());
        let mut stream_at = 0;
        while let Some(mut entries) = walk.next_stream()? {
            let key = xxh3_128_with_seed(entries.label_bytes, seed);
            let known = {
                let inner = self.inner.read();
                let at = inner.by_label_bytes.get(&key);
                at.and_then(|at| inner.streams.get(*at as usize)).map(|stream| stream.meta.id)
            };
            let id = match known {
                Some(id) => id,
                None => entries.labels()?.stream_id(walk.tenant),
            };
            let newest = elsewhere.newest(id);
            let mut entry_at = 0;
            while let Some(place) = entries.next_entry()? {
                if newest.is_some_and(|newest| place.ts <= newest)
                    && elsewhere.holds(id, place.ts, &record.entry(place.at))
                {
                    found.push((stream_at, entry_at));
                }
                entry_at += 1;
            }
            walk.skip_past(&entries);
            stream_at += 1;
        }
        Some(found)
    }

    pub fn totals(&self) -> Totals {
        self.inner.read().totals
    }

    pub fn is_empty(&self) -> bool {
        self.totals().entries == 0
    }

    /// Each stream and its newest time.
    pub fn newest(&self) -> Vec<(StreamId, Timestamp)> {
        self.inner.read().streams.iter().map(|stream| (stream.meta.id, stream.last)).collect()
    }

    /// Whether exactly this entry is here. Reads the stream's entries of that time.
    pub fn holds(&self, id: StreamId, ts: Timestamp, entry: &EntryView<'_>) -> bool {
        let inner = self.inner.read();
        let Some(stream) = inner.by_id.get(&id).and_then(|at| inner.streams.get(*at as usize))
        else {
            return false;
        };
        stream.holds(&inner.records, ts, entry)
    }

    /// Copies out the references of matching streams, so that a scan holds no lock.
    pub fn rows(
        &self,
        range: TimeRange,
        matches: &dyn Fn(&str, &StreamMeta) -> bool,
    ) -> Vec<StreamRows> {
        let inner = self.inner.read();
        let records = Arc::new(inner.records.clone());
        inner
            .streams
            .iter()
            .filter(|stream| range.touches(stream.first, stream.last))
            .filter(|stream| matches(&stream.tenant, &stream.meta))
            .map(|stream| StreamRows {
                meta: stream.meta.clone(),
                tenant: stream.tenant.clone(),
                refs: stream.range(range),
                records: records.clone(),
            })
            .filter(|rows| !rows.refs.is_empty())
            .collect()
    }

    /// Everything, sorted by (tenant, labels), then (time, arrival).
    pub fn all_rows(&self) -> Vec<StreamRows> {
        let inner = self.inner.read();
        let records = Arc::new(inner.records.clone());
        let mut all: Vec<StreamRows> = inner
            .streams
            .iter()
            .map(|stream| StreamRows {
                meta: stream.meta.clone(),
                tenant: stream.tenant.clone(),
                refs: stream.sorted(),
                records: records.clone(),
            })
            .collect();
        all.sort_by(|a, b| (&a.tenant, &a.meta.labels).cmp(&(&b.tenant, &b.meta.labels)));
        all
    }

    pub fn stats(
        &self,
        range: TimeRange,
        matches: &dyn Fn(&str, &StreamMeta) -> bool,
    ) -> Vec<HeadStats> {
        let inner = self.inner.read();
        let mut found = Vec::new();
        for stream in &inner.streams {
            if !range.touches(stream.first, stream.last) || !matches(&stream.tenant, &stream.meta) {
                continue;
            }
            let whole = range.contains(stream.first) && range.contains(stream.last);
            let (mut entries, mut bytes) = (stream.refs.len() as u64, stream.line_bytes);
            let (mut first, mut last) = (stream.first, stream.last);
            if !whole {
                (entries, bytes) = (0, 0);
                (first, last) = (Timestamp::MAX, Timestamp::MIN);
                for entry in stream.refs.iter().filter(|entry| range.contains(entry.ts)) {
                    entries += 1;
                    first = first.min(entry.ts);
                    last = last.max(entry.ts);
                    if let Some(record) = inner.records.get(entry.record as usize) {
                        bytes += record.entry(entry.at).line.len() as u64;
                    }
                }
            }
            if entries > 0 {
                found.push(HeadStats { meta: stream.meta.clone(), entries, bytes, first, last });
            }
        }
        found
    }
}
