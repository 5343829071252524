//! What a part knows about itself: its streams, its blocks, where everything lies. Read whole
//! when the part is opened; much is answered from here alone.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::model::{Labels, Timestamp};
use crate::store::filter;
use crate::store::manifest::{METADATA_RATIO, ROW_BYTES};
use crate::store::read::StreamMeta;
use crate::store::tokens::Sealed;
use crate::store::varint::{Reader, put, put_bytes, unzigzag, zigzag};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    pub meta: StreamMeta,
    pub tenant: Arc<str>,
}

/// The rows of one stream in one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunRow {
    pub stream: u32,
    pub rows: u32,
    pub line_bytes: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRow {
    pub offset: u64,
    /// Bytes of the block that counting, metadata, and lines need, each with those before.
    pub counting_bytes: u32,
    pub metadata_bytes: u32,
    pub bytes: u32,
    pub rows: u32,
    pub first: Timestamp,
    pub last: Timestamp,
    pub runs: Vec<RunRow>,
    pub filter_offset: u64,
    /// `None` when no filter could be built: every token may be in the block.
    pub filter_bytes: Option<u32>,
    /// Since version 2, when there is a filter.
    pub filter_layout: Option<filter::Layout>,
    pub sealed: Sealed,
    /// `None` where nothing is said: anything may be in the block.
    pub facts: Option<Facts>,
}

impl BlockRow {
    /// About what metadata takes when it is unpacked.
    pub fn metadata_raw_bytes(&self) -> u64 {
        u64::from(self.metadata_bytes.saturating_sub(self.counting_bytes)) * METADATA_RATIO
    }

    /// About what all of it takes.
    pub fn raw_bytes(&self) -> u64 {
        let line_bytes: u64 = self.runs.iter().map(|run| run.line_bytes).sum();
        let rows = u64::from(self.rows) * ROW_BYTES;
        line_bytes.saturating_add(rows).saturating_add(self.metadata_raw_bytes())
    }
}

/// What else is told of a block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// A line holds a backslash, with which JSON and logfmt spell characters in other ways.
    pub backslash: bool,
    /// Hashes of the names of structured metadata, which stay right in whatever part the block
    /// comes to lie.
    pub names: Vec<u32>,
}

/// Blocks with metadata of more names than this do not say which.
const NAMES_MAX: usize = 64;

impl Facts {
    pub fn new<'a>(backslash: bool, names: impl Iterator<Item = &'a str>) -> Option<Facts> {
        let names: Vec<u32> = names.take(NAMES_MAX + 1).map(name_hash).collect();
        (names.len() <= NAMES_MAX).then_some(Facts { backslash, names })
    }

    pub fn may_name(&self, name: &str) -> bool {
        self.names.contains(&name_hash(name))
    }
}

fn name_hash(name: &str) -> u32 {
    xxh3_64(name.as_bytes()) as u32
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    pub name: String,
    pub offset: u64,
    pub bytes: u64,
    pub crc: u32,
}

/// Streams are sorted by (tenant, labels), blocks by (stream, time).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    pub streams: Vec<StreamRow>,
    pub blocks: Vec<BlockRow>,
    pub index: Vec<IndexFile>,
    /// Parts that this one was merged from, and the last WAL segment it was sealed from; with
    /// them the manifest can be made anew.
    pub replaces: Vec<u64>,
    pub wal_segment: u64,
    pub created_ns: i64,
    pub level: u32,
    pub order: u64,
}

impl Table {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, zigzag(self.created_ns));
        put(&mut out, u64::from(self.level));
        put(&mut out, self.order);
        put(&mut out, self.wal_segment);
        put(&mut out, self.replaces.len() as u64);
        self.replaces.iter().for_each(|id| put(&mut out, *id));

        put(&mut out, self.streams.len() as u64);
        for stream in &self.streams {
            put_bytes(&mut out, stream.tenant.as_bytes());
            put(&mut out, stream.meta.labels.len() as u64);
            for (name, value) in stream.meta.labels.iter() {
                put_bytes(&mut out, name.as_bytes());
                put_bytes(&mut out, value.as_bytes());
            }
        }

        put(&mut out, self.blocks.len() as u64);
        for block in &self.blocks {
            put(&mut out, block.offset);
            for bytes in [block.counting_bytes, block.metadata_bytes, block.bytes] {
                put(&mut out, u64::from(bytes));
            }
            put(&mut out, block.filter_offset);
            put(&mut out, block.filter_bytes.map_or(0, |bytes| u64::from(bytes) + 1));
            put_sealed(&mut out, &block.sealed);
            put(&mut out, block.runs.len() as u64);
            for run in &block.runs {
                put(&mut out, u64::from(run.stream));
                put(&mut out, u64::from(run.rows));
                put(&mut out, run.line_bytes);
                put(&mut out, zigzag(run.first.0));
                put(&mut out, run.last.0.wrapping_sub(run.first.0) as u64);
            }
        }

        put(&mut out, self.index.len() as u64);
        for file in &self.index {
            put_bytes(&mut out, file.name.as_bytes());
            put(&mut out, file.offset);
            put(&mut out, file.bytes);
            put(&mut out, u64::from(file.crc));
        }

        for block in &self.blocks {
            let facts = block.facts.as_ref();
            let backslash = facts.is_some_and(|facts| facts.backslash);
            out.push(
                u8::from(facts.is_some())
                    | u8::from(backslash) << 1
                    | u8::from(block.filter_layout.is_some()) << 2,
            );
            if let Some(facts) = facts {
                put(&mut out, facts.names.len() as u64);
                facts.names.iter().for_each(|name| out.extend_from_slice(&name.to_le_bytes()));
            }
            if let Some(layout) = &block.filter_layout {
                layout.put(&mut out);
            }
        }
        out
    }

    fn read_facts(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        for block in &mut self.blocks {
            let flags = reader.byte()?;
            if flags & 1 != 0 {
                let names =
                    (0..reader.count()?).map(|_| reader.u32()).collect::<Option<Vec<u32>>>()?;
                block.facts = Some(Facts { backslash: flags & 2 != 0, names });
            }
            if flags & 4 != 0 {
                block.filter_layout = Some(filter::Layout::read(reader)?);
            }
        }
        Some(())
    }

    /// Reads a table of a part of this version; `None` on damage.
    pub fn decode(bytes: &[u8], version: u8) -> Option<Table> {
        let mut reader = Reader::new(bytes);
        let u32_of = |reader: &mut Reader<'_>| u32::try_from(reader.varint()?).ok();
        let mut table = Table {
            created_ns: unzigzag(reader.varint()?),
            level: u32_of(&mut reader)?,
            order: reader.varint()?,
            wal_segment: reader.varint()?,
            ..Table::default()
        };
        for _ in 0..reader.count()? {
            table.replaces.push(reader.varint()?);
        }
        let streams = reader.count()?;
        table.streams.reserve_exact(streams);
        for _ in 0..streams {
            let tenant = reader.text()?;
            // Nearly always all streams have the same tenant.
            let tenant: Arc<str> = match table.streams.last() {
                Some(last) if &*last.tenant == tenant => last.tenant.clone(),
                _ => tenant.into(),
            };
            let count = reader.count()?;
            let pairs: Vec<(&str, &str)> = (0..count)
                .map(|_| Some((reader.text()?, reader.text()?)))
                .collect::<Option<_>>()?;
            let labels = Labels::from_pairs(pairs);
            let id = labels.stream_id(&tenant);
            table.streams.push(StreamRow { meta: StreamMeta { id, labels }, tenant });
        }
        let blocks = reader.count()?;
        table.blocks.reserve_exact(blocks);
        for _ in 0..blocks {
            let offset = reader.varint()?;
            let counting_bytes = u32_of(&mut reader)?;
            let metadata_bytes = u32_of(&mut reader)?;
            let bytes = u32_of(&mut reader)?;
            let filter_offset = reader.varint()?;
            let filter_bytes = match reader.varint()? {
                0 => None,
                bytes => Some(u32::try_from(bytes - 1).ok()?),
            };
            let sealed = read_sealed(&mut reader)?;
            let count = reader.count()?;
            let mut runs = Vec::with_capacity(count);
            let mut rows = 0u32;
            let (mut first, mut last) = (Timestamp::MAX, Timestamp::MIN);
            for _ in 0..count {
                let run = RunRow {
                    stream: u32_of(&mut reader).filter(|at| (*at as usize) < streams)?,
                    rows: u32_of(&mut reader)?,
                    line_bytes: reader.varint()?,
                    first: Timestamp(unzigzag(reader.varint()?)),
                    last: Timestamp(0),
                };
                let span = reader.varint()?;
                let run = RunRow { last: Timestamp(run.first.0.wrapping_add(span as i64)), ..run };
                rows = rows.checked_add(run.rows)?;
                first = first.min(run.first);
                last = last.max(run.last);
                runs.push(run);
            }
            table.blocks.push(BlockRow {
                offset,
                counting_bytes,
                metadata_bytes,
                bytes,
                rows,
                first,
                last,
                runs,
                filter_offset,
                filter_bytes,
                filter_layout: None,
                sealed,
                facts: None,
            });
        }
        for _ in 0..reader.count()? {
            table.index.push(IndexFile {
                name: reader.text()?.to_owned(),
                offset: reader.varint()?,
                bytes: reader.varint()?,
                crc: u32_of(&mut reader)?,
            });
        }
        if version >= 2 {
            table.read_facts(&mut reader)?;
        }
        reader.is_done().then_some(table)
    }

    pub fn memory_bytes(&self) -> usize {
        let streams: usize = self
            .streams
            .iter()
            .map(|stream| {
                let labels: usize =
                    stream.meta.labels.iter().map(|(n, v)| n.len() + v.len() + 48).sum();
                size_of::<StreamRow>() + labels
            })
            .sum();
        let blocks: usize = self
            .blocks
            .iter()
            .map(|block| {
                let facts = block.facts.as_ref().map_or(0, |facts| facts.names.capacity() * 4);
                size_of::<BlockRow>() + block.runs.capacity() * size_of::<RunRow>() + facts
            })
            .sum();
        streams + blocks
    }
}

fn put_sealed(out: &mut Vec<u8>, sealed: &Sealed) {
    for length in [
        sealed.digits,
        sealed.hex,
        sealed.mixed,
        sealed.digits_in_hex,
        sealed.letters_in_hex,
        sealed.digits_in_mixed,
        sealed.hex_in_mixed,
    ] {
        put(out, u64::from(length));
    }
    out.push(u8::from(sealed.wide) | u8::from(sealed.long_run) << 1);
}

fn read_sealed(reader: &mut Reader<'_>) -> Option<Sealed> {
    let mut length = || u16::try_from(reader.varint()?).ok();
    let sealed = Sealed {
        digits: length()?,
        hex: length()?,
        mixed: length()?,
        digits_in_hex: length()?,
        letters_in_hex: length()?,
        digits_in_mixed: length()?,
        hex_in_mixed: length()?,
        ..Sealed::default()
    };
    let flags = reader.byte()?;
    Some(Sealed { wide: flags & 1 != 0, long_run: flags & 2 != 0, ..sealed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let labels = Labels::from_pairs([("app", "a")]);
        let meta = StreamMeta { id: labels.stream_id("fake"), labels };
        let run = RunRow {
            stream: 0,
            rows: 3,
            line_bytes: 30,
            first: Timestamp(-5),
            last: Timestamp(70),
        };
        let filter_layout = filter::put(&mut Vec::new(), &[1, 2, 3]);
        let block = |facts: Option<Facts>, filter_layout| BlockRow {
            offset: 8,
            counting_bytes: 10,
            metadata_bytes: 20,
            bytes: 30,
            rows: 3,
            first: run.first,
            last: run.last,
            runs: vec![run],
            filter_offset: 100,
            filter_bytes: Some(12),
            filter_layout,
            sealed: Sealed::default(),
            facts,
        };
        Table {
            streams: vec![StreamRow { meta, tenant: "fake".into() }],
            blocks: vec![
                block(None, None),
                block(Facts::new(true, ["trace_id", "pod"].into_iter()), filter_layout),
                block(Facts::new(false, std::iter::empty()), Some(filter::Layout::default())),
            ],
            created_ns: 7,
            ..Table::default()
        }
    }

    #[test]
    fn comes_back_and_is_read_as_older_versions_wrote_it() {
        let table = table();
        let encoded = table.encode();
        assert_eq!(Table::decode(&encoded, 2), Some(table.clone()));
        for cut in 0..encoded.len() {
            assert_eq!(Table::decode(&encoded[..cut], 2), None, "cut at {cut}");
        }
        // Version 1 ends before what is told of blocks.
        let mut older = table.clone();
        older.blocks.iter_mut().for_each(|block| {
            block.facts = None;
            block.filter_layout = None;
        });
        let encoded = older.encode();
        let without = &encoded[..encoded.len() - older.blocks.len()];
        assert_eq!(Table::decode(without, 1), Some(older));
        assert_eq!(Table::decode(without, 2), None);
    }

    #[test]
    fn names_of_metadata_are_known_unless_there_are_too_many() {
        let facts = Facts::new(false, ["trace_id", "pod"].into_iter()).unwrap();
        assert!(facts.may_name("pod") && !facts.may_name("level"));
        let many: Vec<String> = (0..=NAMES_MAX).map(|at| at.to_string()).collect();
        assert!(Facts::new(false, many.iter().map(String::as_str)).is_none());
    }
}
