//! A batch as one run of bytes. The same bytes go to the WAL and then hold the lines of the
//! head, so that a line is copied once on its way in.

use std::sync::Arc;

use crate::model::{Batch, Labels, Position, Timestamp};
use crate::store::varint::{Reader, put, put_bytes};

/// Bytes that were checked to be a well-formed batch with UTF-8 texts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Record(Arc<Vec<u8>>);

/// Walks through a record.
pub struct Walk<'a> {
    reader: Reader<'a>,
    record: &'a Record,
    pub tenant: &'a str,
    pub positions: Vec<Position>,
    streams_left: usize,
}

/// The entries of one stream in a record.
pub struct Entries<'a> {
    /// The labels as they are written: equal bytes are equal labels, and the other way round.
    pub label_bytes: &'a [u8],
    reader: Reader<'a>,
    left: usize,
}

/// Where an entry lies in its record.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub ts: Timestamp,
    pub at: u32,
}

/// An entry inside a record.
#[derive(Debug, Clone, Copy)]
pub struct EntryView<'a> {
    pub line: &'a str,
    metadata: &'a [u8],
    pub metadata_len: usize,
}

impl Record {
    pub fn encode(batch: &Batch) -> Record {
        // Per entry: 8 bytes of time, at most 5 of length, 1 of metadata count; a little more
        // for metadata, which may make the buffer grow once.
        let pair = |a: &str, b: &str| a.len() + b.len() + 4;
        let streams = batch.streams.iter().map(|stream| {
            8 + stream.labels.iter().map(|(name, value)| pair(name, value)).sum::<usize>()
        });
        let positions = batch.positions.iter().map(|p| pair(&p.source, &p.value));
        let about = streams.chain(positions).sum::<usize>() + batch.tenant.len() + 32;
        let mut out = Vec::with_capacity(batch.bytes() + batch.entries() * 16 + about);
        put_bytes(&mut out, batch.tenant.as_bytes());
        put(&mut out, batch.positions.len() as u64);
        for position in &batch.positions {
            put_bytes(&mut out, position.source.as_bytes());
            put_bytes(&mut out, position.value.as_bytes());
        }
        put(&mut out, batch.streams.len() as u64);
        for stream in &batch.streams {
            put(&mut out, stream.labels.len() as u64);
            for (name, value) in stream.labels.iter() {
                put_bytes(&mut out, name.as_bytes());
                put_bytes(&mut out, value.as_bytes());
            }
            put(&mut out, stream.entries.len() as u64);
            for entry in &stream.entries {
                out.extend_from_slice(&entry.ts.0.to_le_bytes());
                put_bytes(&mut out, entry.line.as_bytes());
                put(&mut out, entry.metadata.len() as u64);
                for (name, value) in &entry.metadata {
                    put_bytes(&mut out, name.as_bytes());
                    put_bytes(&mut out, value.as_bytes());
                }
            }
        }
        Record(Arc::new(out))
    }

    /// Takes bytes from disk; `None` when they are not a well-formed batch.
    pub fn check(bytes: Vec<u8>) -> Option<Record> {
        let record = Record(Arc::new(bytes));
        let mut walk = record.walk()?;
        while let Some(mut entries) = walk.next_stream()? {
            entries.labels()?;
            while let Some(place) = entries.next_entry()? {
                let mut reader = Reader::starting_at(&record.0, place.at as usize);
                reader.text()?;
                for _ in 0..reader.count()?.checked_mul(2)? {
                    reader.text()?;
                }
            }
            walk.skip_past(&entries);
        }
        walk.reader.is_done().then_some(())?;
        Some(record)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn memory_bytes(&self) -> usize {
        self.0.capacity()
    }

    pub fn walk(&self) -> Option<Walk<'_>> {
        let mut reader = Reader::new(&self.0);
        let tenant = reader.text()?;
        let mut positions = Vec::new();
        for _ in 0..reader.count()? {
            positions.push(Position {
                source: reader.text()?.to_owned(),
                value: reader.text()?.to_owned(),
            });
        }
        let streams_left = reader.count()?;
        Some(Walk { reader, record: self, tenant, positions, streams_left })
    }

    /// The first and the last time in it.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let mut span: Option<(Timestamp, Timestamp)> = None;
        let mut walk = self.walk()?;
        while let Some(mut entries) = walk.next_stream()? {
            while let Some(Place { ts, .. }) = entries.next_entry()? {
                let (first, last) = span.unwrap_or((ts, ts));
                span = Some((first.min(ts), last.max(ts)));
            }
            walk.skip_past(&entries);
        }
        span
    }

    /// The entry at a place that `next_entry` named.
    #[inline]
    pub fn entry(&self, at: u32) -> EntryView<'_> {
        let mut reader = Reader::starting_at(&self.0, at as usize);
        let line = reader.bytes().unwrap_or_default();
        let metadata_len = reader.size().unwrap_or_default();
        let metadata = self.0.get(reader.at()..).unwrap_or_default();
        EntryView { line: text(line), metadata, metadata_len }
    }
}

#[inline]
fn text(bytes: &[u8]) -> &str {
    // SAFETY: a record is made by `encode` from `str`s or has passed `check`, which looks at
    // every text; only places named by walking the record are read.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}

impl<'a> EntryView<'a> {
    pub fn metadata(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut reader = Reader::new(self.metadata);
        (0..self.metadata_len)
            .map_while(move |_| Some((text(reader.bytes()?), text(reader.bytes()?))))
    }

    pub fn same_as(&self, other: &EntryView<'_>) -> bool {
        self.line == other.line
            && self.metadata_len == other.metadata_len
            && self.metadata().eq(other.metadata())
    }
}

impl<'a> Walk<'a> {
    /// `Some(None)` at the end, `None` when the bytes are damaged. Walk through the entries,
    /// then call `skip_past` before asking for the next stream.
    pub fn next_stream(&mut self) -> Option<Option<Entries<'a>>> {
        if self.streams_left == 0 {
            return Some(None);
        }
        self.streams_left -= 1;
        let from = self.reader.at();
        for _ in 0..self.reader.count()?.checked_mul(2)? {
            self.reader.bytes()?;
        }
        let label_bytes = self.record.0.get(from..self.reader.at())?;
        let count = self.reader.count()?;
        let reader = Reader::starting_at(&self.record.0, self.reader.at());
        Some(Some(Entries { label_bytes, reader, left: count }))
    }

    pub fn skip_past(&mut self, entries: &Entries<'a>) {
        self.reader = entries.reader;
    }
}

impl Entries<'_> {
    /// `None` when the bytes are damaged.
    pub fn labels(&self) -> Option<Labels> {
        let mut reader = Reader::new(self.label_bytes);
        let count = reader.count()?;
        let mut pairs = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            pairs.push((reader.text()?, reader.text()?));
        }
        Some(Labels::from_slice(&pairs))
    }

    /// `Some(None)` at the end, `None` when the bytes are damaged.
    #[inline]
    pub fn next_entry(&mut self) -> Option<Option<Place>> {
        if self.left == 0 {
            return Some(None);
        }
        self.left -= 1;
        let ts = Timestamp(self.reader.i64()?);
        let at = u32::try_from(self.reader.at()).ok()?;
        self.reader.bytes()?;
        for _ in 0..self.reader.size()?.checked_mul(2)? {
            self.reader.bytes()?;
        }
        Some(Some(Place { ts, at }))
    }
}
