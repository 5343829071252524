//! Writes a part from rows that come sorted by (tenant, labels, time, arrival). Memory is
//! bounded by one block, the filters and the index, however many rows come.

mod copy;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::{IndexWriter, TokenText};
use super::table::{BlockRow, Facts, IndexFile, RunRow, StreamRow, Table};
use super::{FOOTER_BYTES, FOOTER_MAGIC, MAGIC, part_name};
use crate::model::Timestamp;
use crate::store::block::BlockBuilder;
use crate::store::error::StoreError;
use crate::store::files::{Files, WriteFile};
use crate::store::filter;
use crate::store::manifest::PartInfo;
use crate::store::read::StreamMeta;
use crate::store::tokens::TokenSet;

pub use copy::StoredBlock;

/// A block ends with its stream once it has this share of its size: blocks of one stream are
/// left out more often and have fewer shapes.
const CUT_SHARE: usize = 4;

/// What a part is to say about itself.
#[derive(Debug, Clone)]
pub struct About {
    pub id: u64,
    pub day: String,
    pub created_ns: i64,
    pub level: u32,
    pub order: u64,
    pub replaces: Vec<u64>,
    pub wal_segment: u64,
    pub block_bytes: usize,
}

pub struct PartWriter {
    files: Arc<dyn Files>,
    folder: PathBuf,
    temporary: PathBuf,
    file: Box<dyn WriteFile>,
    written: u64,
    about: About,
    table: Table,
    block: BlockBuilder,
    encoded: Vec<u8>,
    filters: Vec<u8>,
    tokens: TokenSet,
    token_text: TokenText,
    run_text: TokenText,
    /// Taken when the part is finished.
    index: Option<IndexWriter>,
}

impl PartWriter {
    /// `folder` is the folder of the day; it is made when it is missing.
    pub fn create(
        files: &Arc<dyn Files>,
        parts: &Path,
        about: About,
    ) -> Result<PartWriter, StoreError> {
        let folder = parts.join(&about.day);
        files.create_folder(&folder).map_err(StoreError::io(&folder))?;
        let temporary = folder.join(part_name(about.id)).with_extension("tmp");
        let writer = PartWriter::begin(files, folder, &temporary, about);
        writer.inspect_err(|_| drop(files.remove(&temporary)))
    }

    fn begin(
        files: &Arc<dyn Files>,
        folder: PathBuf,
        temporary: &Path,
        about: About,
    ) -> Result<PartWriter, StoreError> {
        let mut file = files.create(temporary).map_err(StoreError::io(temporary))?;
        file.append(MAGIC).map_err(StoreError::io(temporary))?;
        Ok(PartWriter {
            files: files.clone(),
            folder,
            file,
            written: MAGIC.len() as u64,
            table: Table {
                replaces: about.replaces.clone(),
                wal_segment: about.wal_segment,
                created_ns: about.created_ns,
                level: about.level,
                order: about.order,
                ..Table::default()
            },
            about,
            block: BlockBuilder::new().map_err(StoreError::io(temporary))?,
            temporary: temporary.to_owned(),
            encoded: Vec::new(),
            filters: Vec::new(),
            tokens: TokenSet::default(),
            token_text: TokenText::default(),
            run_text: TokenText::default(),
            index: Some(IndexWriter::new()?),
        })
    }

    /// The rows that follow are of this stream.
    pub fn start_stream(&mut self, tenant: &Arc<str>, meta: &StreamMeta) {
        self.table.streams.push(StreamRow { meta: meta.clone(), tenant: tenant.clone() });
    }

    pub fn push<'a>(
        &mut self,
        ts: Timestamp,
        line: &str,
        metadata: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), StoreError> {
        let stream = (self.table.streams.len() as u32).saturating_sub(1);
        let goes_on = self.block.runs().last().is_none_or(|run| run.stream == stream);
        if !goes_on && self.block.raw_bytes() >= self.about.block_bytes / CUT_SHARE {
            self.finish_block()?;
        }
        self.block.push(stream, ts, line, metadata);
        if self.block.raw_bytes() >= self.about.block_bytes {
            self.finish_block()?;
        }
        Ok(())
    }

    fn io(&self) -> impl FnOnce(io::Error) -> StoreError + use<> {
        StoreError::io(&self.temporary)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<u64, StoreError> {
        let offset = self.written;
        self.file.append(bytes).map_err(StoreError::io(&self.temporary))?;
        self.written += bytes.len() as u64;
        Ok(offset)
    }

    fn finish_block(&mut self) -> Result<(), StoreError> {
        if self.block.is_empty() {
            return Ok(());
        }
        // Encoding takes the metadata.
        let backslash = memchr::memchr(b'\\', self.block.text()).is_some();
        let facts = Facts::new(backslash, self.block.metadata_names());
        self.encoded.clear();
        let mut encoded = std::mem::take(&mut self.encoded);
        let ends = self.block.encode(&mut encoded, &mut self.tokens).map_err(self.io())?;
        let (token_text, run_text) = (&mut self.token_text, &mut self.run_text);
        let split = self.tokens.split(
            self.block.text(),
            |token| token_text.push(token),
            |run| run_text.push(run),
        );
        let filter_offset = self.filters.len() as u64;
        let filter_layout = filter::put(&mut self.filters, split.filtered);
        let filter_bytes =
            filter_layout.map(|_| (self.filters.len() as u64 - filter_offset) as u32);
        let sealed = split.sealed;
        if let Some(index) = &mut self.index {
            index.add(&mut self.token_text, &mut self.run_text)?;
        }

        let runs = self.run_rows();
        let (first, last) =
            runs.iter().fold((Timestamp::MAX, Timestamp::MIN), |(first, last), run| {
                (first.min(run.first), last.max(run.last))
            });
        let rows = self.block.times().len() as u32;
        self.block.clear();
        let offset = self.append(&encoded)?;
        self.encoded = encoded;
        self.table.blocks.push(BlockRow {
            offset,
            counting_bytes: ends.counting,
            metadata_bytes: ends.metadata,
            bytes: ends.all,
            rows,
            first,
            last,
            runs,
            filter_offset,
            filter_bytes,
            filter_layout,
            sealed,
            facts,
        });
        Ok(())
    }

    fn run_rows(&self) -> Vec<RunRow> {
        let (mut times, mut lengths) = (self.block.times(), self.block.lengths());
        let mut rows = Vec::with_capacity(self.block.runs().len());
        for run in self.block.runs() {
            let (of_run, rest) = times.split_at((run.rows as usize).min(times.len()));
            times = rest;
            let (bytes_of_run, rest) = lengths.split_at(of_run.len().min(lengths.len()));
            lengths = rest;
            rows.push(RunRow {
                stream: run.stream,
                rows: run.rows,
                line_bytes: bytes_of_run.iter().map(|bytes| u64::from(*bytes)).sum(),
                first: Timestamp(of_run.first().copied().unwrap_or_default()),
                last: Timestamp(of_run.last().copied().unwrap_or_default()),
            });
        }
        rows
    }

    /// Writes the rest and gives the file its name. The part counts once the manifest lists it.
    /// After an error nothing is left: another try has a number of its own and needs the room.
    pub fn finish(self) -> Result<PartInfo, StoreError> {
        let (files, temporary) = (self.files.clone(), self.temporary.clone());
        self.write_rest().inspect_err(|_| {
            let _ = files.remove(&temporary);
            let _ = files.remove(&temporary.with_extension("part"));
        })
    }

    fn write_rest(mut self) -> Result<PartInfo, StoreError> {
        self.finish_block()?;
        let filters = std::mem::take(&mut self.filters);
        let filters_at = self.append(&filters)?;
        for block in &mut self.table.blocks {
            block.filter_offset += filters_at;
        }
        let index = self.index.take().map(IndexWriter::finish).transpose()?;
        for (name, content) in index.unwrap_or_default() {
            let crc = crc32fast::hash(&content);
            let offset = self.append(&content)?;
            let bytes = content.len() as u64;
            self.table.index.push(IndexFile { name, offset, bytes, crc });
        }
        let raw = self.table.encode();
        let stored = zstd::bulk::compress(&raw, 1).map_err(self.io())?;
        let offset = self.append(&stored)?;
        let size = |bytes: usize| u32::try_from(bytes).map_err(io::Error::other);
        let mut footer = Vec::with_capacity(FOOTER_BYTES);
        footer.extend_from_slice(&offset.to_le_bytes());
        footer.extend_from_slice(&size(stored.len()).map_err(self.io())?.to_le_bytes());
        footer.extend_from_slice(&size(raw.len()).map_err(self.io())?.to_le_bytes());
        footer.extend_from_slice(&crc32fast::hash(&stored).to_le_bytes());
        footer.extend_from_slice(&crc32fast::hash(&footer).to_le_bytes());
        footer.extend_from_slice(FOOTER_MAGIC);
        self.append(&footer)?;
        self.file.sync().map_err(self.io())?;

        let path = self.folder.join(part_name(self.about.id));
        self.files.rename(&self.temporary, &path).map_err(StoreError::io(&path))?;
        self.files.sync_folder(&self.folder).map_err(StoreError::io(&self.folder))?;
        if let Some(parts) = self.folder.parent() {
            self.files.sync_folder(parts).map_err(StoreError::io(parts))?;
        }
        Ok(self.table.info(self.about.id, &self.about.day, self.written))
    }

    /// Throws away what was written.
    pub fn abandon(self) {
        let PartWriter { files, temporary, file, .. } = self;
        drop(file);
        // What stays behind is removed at the next start.
        let _ = files.remove(&temporary);
    }
}

impl Table {
    pub fn info(&self, id: u64, day: &str, disk_bytes: u64) -> PartInfo {
        let runs = || self.blocks.iter().flat_map(|block| &block.runs);
        PartInfo {
            id,
            day: day.to_owned(),
            created_ns: self.created_ns,
            level: self.level,
            order: self.order,
            first_ns: runs().map(|run| run.first.0).min().unwrap_or_default(),
            last_ns: runs().map(|run| run.last.0).max().unwrap_or_default(),
            entries: runs().map(|run| u64::from(run.rows)).sum(),
            streams: self.streams.len() as u64,
            line_bytes: runs().map(|run| run.line_bytes).sum(),
            disk_bytes,
            deletes_seq: 0,
        }
    }
}
