//! Entries in memory: recent ones that are not in a part yet. Lines stay in the bytes of the
//! WAL records they came in; a stream holds 16 bytes for each entry.

use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use parking_lot::RwLock;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::read::StreamMeta;
use super::wal::{EntryView, Record};
use crate::model::{StreamId, TimeRange, Timestamp};

/// Where an entry lies: a record of the head and a place in it.
#[derive(Debug, Clone, Copy)]
pub struct EntryRef {
    pub ts: Timestamp,
    record: u32,
    at: u32,
}

/// Hashes of entries, to find exact repeats. Built for a stream when the first entry comes
/// that is not newer than all before it, so streams in order never pay for it.
type Seen = HashTable<(u64, u32)>;

#[derive(Debug)]
struct HeadStream {
    meta: StreamMeta,
    tenant: Arc<str>,
    refs: Vec<EntryRef>,
    first: Timestamp,
    last: Timestamp,
    line_bytes: u64,
    sorted: bool,
    seen: Option<Seen>,
}

#[derive(Debug, Default)]
struct Inner {
    records: Vec<Record>,
    by_id: HashMap<StreamId, usize>,
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

fn entry_hash(ts: Timestamp, line: &str) -> u64 {
    xxh3_64_with_seed(line.as_bytes(), ts.0 as u64)
}

impl HeadStream {
    fn hold(&self, records: &[Record], hash: u64, ts: Timestamp, entry: &EntryView<'_>) -> bool {
        self.seen.as_ref().is_some_and(|seen| {
            seen.find(hash, |(other_hash, at)| {
                *other_hash == hash
                    && self.refs.get(*at as usize).is_some_and(|other| {
                        other.ts == ts
                            && records
                                .get(other.record as usize)
                                .is_some_and(|record| record.entry(other.at).same_as(entry))
                    })
            })
            .is_some()
        })
    }

    fn note(&mut self, hash: u64) {
        let at = self.refs.len() as u32;
        if let Some(seen) = &mut self.seen {
            seen.insert_unique(hash, (hash, at), |(hash, _)| *hash);
        }
    }

    fn start_noting(&mut self, records: &[Record]) {
        let mut seen = Seen::with_capacity(self.refs.len() * 2);
        for (at, entry) in self.refs.iter().enumerate() {
            let hash = entry_hash(entry.ts, records[entry.record as usize].entry(entry.at).line);
            seen.insert_unique(hash, (hash, at as u32), |(hash, _)| *hash);
        }
        self.seen = Some(seen);
    }

    fn range(&self, range: TimeRange) -> Vec<EntryRef> {
        if self.sorted {
            let from = self.refs.partition_point(|entry| entry.ts < range.start);
            let to = self.refs.partition_point(|entry| entry.ts < range.end);
            self.refs.get(from..to).unwrap_or_default().to_vec()
        } else {
            let mut refs: Vec<EntryRef> =
                self.refs.iter().filter(|entry| range.contains(entry.ts)).copied().collect();
            refs.sort_by_key(|entry| entry.ts);
            refs
        }
    }
}

impl Head {
    /// Adds the entries of a record; they can be queried when this returns, all at once.
    /// `None` when the record is not well-formed, which `Record` rules out.
    pub fn add(&self, record: &Record, elsewhere: &mut dyn Elsewhere) -> Option<Added> {
        let mut added = Added::default();
        let mut inner = self.inner.write();
        let inner = &mut *inner;
        let record_at = u32::try_from(inner.records.len()).ok()?;
        inner.records.push(record.clone());
        let mut walk = record.walk()?;
        let tenant: Arc<str> = walk.tenant.into();
        let mut stream_at = 0;
        while let Some(mut entries) = walk.next_stream()? {
            let id = entries.labels.stream_id(&tenant);
            let newest = elsewhere.newest(id);
            let mut at = inner.by_id.get(&id).copied();
            let mut entry_at = 0;
            while let Some(place) = entries.next_entry()? {
                let entry = record.entry(place.at);
                let ts = place.ts;
                if newest.is_some_and(|newest| ts <= newest) && elsewhere.holds(id, ts, &entry) {
                    added.repeats.push((stream_at, entry_at));
                    entry_at += 1;
                    continue;
                }
                let at = *at.get_or_insert_with(|| {
                    inner.streams.push(HeadStream {
                        meta: StreamMeta { id, labels: entries.labels.clone() },
                        tenant: tenant.clone(),
                        refs: Vec::new(),
                        first: ts,
                        last: Timestamp::MIN,
                        line_bytes: 0,
                        sorted: true,
                        seen: None,
                    });
                    inner.by_id.insert(id, inner.streams.len() - 1);
                    inner.streams.len() - 1
                });
                let stream = &mut inner.streams[at];
                if ts <= stream.last && !stream.refs.is_empty() && stream.seen.is_none() {
                    stream.start_noting(&inner.records);
                }
                if stream.seen.is_some() {
                    let hash = entry_hash(ts, entry.line);
                    if ts <= stream.last && stream.hold(&inner.records, hash, ts, &entry) {
                        added.repeats.push((stream_at, entry_at));
                        entry_at += 1;
                        continue;
                    }
                    stream.note(hash);
                }
                stream.sorted &= ts >= stream.last;
                stream.first = stream.first.min(ts);
                stream.last = stream.last.max(ts);
                stream.line_bytes += entry.line.len() as u64;
                stream.refs.push(EntryRef { ts, record: record_at, at: place.at });
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
        let Some(stream) = inner.by_id.get(&id).and_then(|at| inner.streams.get(*at)) else {
            return false;
        };
        if stream.seen.is_some() {
            return stream.hold(&inner.records, entry_hash(ts, entry.line), ts, entry);
        }
        let from = stream.refs.partition_point(|other| other.ts < ts);
        stream.refs.iter().skip(from).take_while(|other| other.ts == ts).any(|other| {
            inner
                .records
                .get(other.record as usize)
                .is_some_and(|record| record.entry(other.at).same_as(entry))
        })
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
            .map(|stream| {
                let mut refs = stream.refs.clone();
                if !stream.sorted {
                    refs.sort_by_key(|entry| entry.ts);
                }
                StreamRows {
                    meta: stream.meta.clone(),
                    tenant: stream.tenant.clone(),
                    refs,
                    records: records.clone(),
                }
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
