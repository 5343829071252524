//! Collects rows and writes them down as a block.

use std::io;

use super::metadata::MetadataBuilder;
use super::section::{ENTRY_BYTES, Packer, Section};
use super::shape::ShapeWriter;
use super::{LineEncoding, Run, VERSION, bits};
use crate::model::Timestamp;
use crate::store::tokens::{PADDING, TokenSet};
use crate::store::varint::put;

/// Rows of a block that is being filled. Rows must come sorted by (stream, time, arrival).
pub struct BlockBuilder {
    text: Vec<u8>,
    lengths: Vec<u32>,
    times: Vec<i64>,
    runs: Vec<Run>,
    metadata: MetadataBuilder,
    metadata_bytes: usize,
    packer: Packer,
    shapes: ShapeWriter,
    raw: Vec<u8>,
}

/// Where the pieces of an encoded block end, counted from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Header, rows and times: all that counting needs.
    pub counting: u32,
    pub metadata: u32,
    pub all: u32,
}

pub(super) const SECTIONS: usize = 4;
pub(super) const HEADER_BYTES: usize = 2 + 4 + SECTIONS * ENTRY_BYTES + 4;

impl BlockBuilder {
    pub fn new() -> io::Result<BlockBuilder> {
        Ok(BlockBuilder {
            text: Vec::new(),
            lengths: Vec::new(),
            times: Vec::new(),
            runs: Vec::new(),
            metadata: MetadataBuilder::default(),
            metadata_bytes: 0,
            packer: Packer::new()?,
            shapes: ShapeWriter::default(),
            raw: Vec::new(),
        })
    }

    pub fn push<'a>(
        &mut self,
        stream: u32,
        ts: Timestamp,
        line: &str,
        metadata: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        match self.runs.last_mut() {
            Some(run) if run.stream == stream => run.rows += 1,
            _ => self.runs.push(Run { stream, rows: 1 }),
        }
        self.times.push(ts.0);
        self.lengths.push(line.len() as u32);
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
        self.metadata_bytes += self.metadata.push(metadata);
    }

    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    pub fn raw_bytes(&self) -> usize {
        self.text.len() + self.metadata_bytes + self.times.len() * 8
    }

    /// All lines, each followed by a line feed.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub fn times(&self) -> &[i64] {
        &self.times
    }

    pub fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// Adds the block to `out` and its tokens to a set that is emptied before. The rows stay,
    /// for who needs the text that the tokens lie in, until `clear`.
    pub fn encode(&mut self, out: &mut Vec<u8>, tokens: &mut TokenSet) -> io::Result<Ends> {
        let start = out.len();
        out.resize(start + HEADER_BYTES, 0);
        let mut sections = [Section::default(); SECTIONS];

        self.raw.clear();
        put(&mut self.raw, self.runs.len() as u64);
        for run in &self.runs {
            put(&mut self.raw, u64::from(run.stream));
            put(&mut self.raw, u64::from(run.rows));
        }
        sections[0] = self.packer.put(out, &self.raw)?;

        self.raw.clear();
        bits::put_times(&mut self.raw, &self.times, &self.runs);
        sections[1] = self.packer.put(out, &self.raw)?;
        let counting = out.len() - start;

        self.raw.clear();
        self.metadata.finish(&mut self.raw);
        sections[2] = self.packer.put(out, &self.raw)?;
        let metadata = out.len() - start;

        tokens.clear();
        let text_bytes = self.text.len();
        self.text.resize(text_bytes + PADDING, 0);
        let written = self.shapes.put(out, &mut self.packer, &self.text, &self.lengths, tokens);
        self.text.truncate(text_bytes);
        sections[3] = written?;
        let all = out.len() - start;

        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.push(VERSION);
        header.push(LineEncoding::Shapes as u8);
        let rows = u32::try_from(self.times.len()).map_err(io::Error::other)?;
        header.extend_from_slice(&rows.to_le_bytes());
        sections.iter().for_each(|section| section.put_entry(&mut header));
        header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
        out[start..start + HEADER_BYTES].copy_from_slice(&header);

        let end = |at: usize| u32::try_from(at).map_err(io::Error::other);
        Ok(Ends { counting: end(counting)?, metadata: end(metadata)?, all: end(all)? })
    }

    /// Starts an empty block.
    pub fn clear(&mut self) {
        self.text.clear();
        self.lengths.clear();
        self.times.clear();
        self.runs.clear();
        self.metadata_bytes = 0;
    }
}
