//! Reads blocks into buffers that are used again for the next one.

use zstd::bulk::Decompressor;

use super::builder::{HEADER_BYTES, SECTIONS};
use super::metadata::Metadata;
use super::section::Section;
use super::{LineEncoding, Run, VERSION, bits};
use crate::model::Timestamp;
use crate::store::varint::Reader;

/// Which columns a reader needs; times, streams and line lengths always come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub lines: bool,
    pub metadata: bool,
}

impl Wanted {
    /// Everything.
    pub const WHOLE: Wanted = Wanted { lines: true, metadata: true };
}

/// A block laid open. All buffers are kept from block to block.
pub struct BlockBuf {
    unpacker: Decompressor<'static>,
    raw: Vec<u8>,
    runs: Vec<Run>,
    times: Vec<i64>,
    /// Where lines start in `text`; one more than rows. Each is followed by a line feed.
    starts: Vec<u32>,
    text: String,
    metadata: Metadata,
}

impl BlockBuf {
    pub fn new() -> std::io::Result<BlockBuf> {
        Ok(BlockBuf {
            unpacker: Decompressor::new()?,
            raw: Vec::new(),
            runs: Vec::new(),
            times: Vec::new(),
            starts: Vec::new(),
            text: String::new(),
            metadata: Metadata::default(),
        })
    }

    /// Reads a block from its first bytes, as far as `wanted` needs them; `None` on damage.
    pub fn read(&mut self, block: &[u8], wanted: Wanted) -> Option<()> {
        let header = block.get(..HEADER_BYTES)?;
        let (body, crc) = header.split_at_checked(HEADER_BYTES - 4)?;
        if crc32fast::hash(body).to_le_bytes() != crc {
            return None;
        }
        let mut reader = Reader::new(body);
        if reader.byte()? != VERSION {
            return None;
        }
        let encoding = LineEncoding::from_byte(reader.byte()?)?;
        let rows = reader.u32()? as usize;
        let mut sections = [Section::default(); SECTIONS];
        for section in &mut sections {
            *section = Section::read_entry(&mut reader)?;
        }
        let [of_rows, of_times, of_metadata, of_lines] = sections;
        let mut rest = Reader::starting_at(block, HEADER_BYTES);

        of_rows.unpack(rest.take(of_rows.stored as usize)?, &mut self.unpacker, &mut self.raw)?;
        self.read_rows(rows)?;
        of_times.unpack(rest.take(of_times.stored as usize)?, &mut self.unpacker, &mut self.raw)?;
        bits::read_times(&self.raw, &self.runs, &mut self.times)?;

        self.metadata.clear();
        self.text.clear();
        if wanted.metadata {
            let stored = rest.take(of_metadata.stored as usize)?;
            of_metadata.unpack(stored, &mut self.unpacker, self.metadata.buffer())?;
            self.metadata.parse(rows)?;
        } else if wanted.lines {
            rest.take(of_metadata.stored as usize)?;
        }
        if wanted.lines {
            let stored = rest.take(of_lines.stored as usize)?;
            match encoding {
                LineEncoding::Plain => self.read_plain(&of_lines, stored)?,
            }
        }
        Some(())
    }

    fn read_rows(&mut self, rows: usize) -> Option<()> {
        let mut reader = Reader::new(&self.raw);
        self.runs.clear();
        let mut in_runs = 0usize;
        for _ in 0..reader.count()? {
            let stream = u32::try_from(reader.varint()?).ok()?;
            let run = u32::try_from(reader.varint()?).ok()?;
            in_runs = in_runs.checked_add(run as usize)?;
            self.runs.push(Run { stream, rows: run });
        }
        if in_runs != rows {
            return None;
        }
        self.starts.clear();
        let mut start = 0u32;
        self.starts.push(0);
        for _ in 0..rows {
            let length = u32::try_from(reader.varint()?).ok()?;
            start = start.checked_add(length)?.checked_add(1)?;
            self.starts.push(start);
        }
        Some(())
    }

    fn read_plain(&mut self, section: &Section, stored: &[u8]) -> Option<()> {
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        let unpacked = section.unpack(stored, &mut self.unpacker, &mut bytes);
        // Checked once a block, so that each line is only cut at character borders later.
        match String::from_utf8(bytes) {
            Ok(text) => self.text = text,
            Err(_) => return None,
        }
        unpacked?;
        (self.starts.last().copied() == Some(self.text.len() as u32)).then_some(())
    }

    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub fn rows(&self) -> usize {
        self.times.len()
    }

    pub fn ts(&self, row: usize) -> Timestamp {
        Timestamp(self.times.get(row).copied().unwrap_or_default())
    }

    pub fn times(&self) -> &[i64] {
        &self.times
    }

    #[inline]
    pub fn line(&self, row: usize) -> &str {
        match self.starts.get(row..row + 2) {
            Some([from, to]) => {
                self.text.get(*from as usize..(*to as usize).saturating_sub(1)).unwrap_or_default()
            }
            _ => "",
        }
    }

    pub fn line_bytes(&self, row: usize) -> usize {
        match self.starts.get(row..row + 2) {
            Some([from, to]) => (to - from).saturating_sub(1) as usize,
            _ => 0,
        }
    }

    /// Bytes of the lines of a range of rows.
    pub fn lines_bytes(&self, rows: std::ops::Range<usize>) -> u64 {
        match (self.starts.get(rows.start), self.starts.get(rows.end)) {
            (Some(from), Some(to)) => u64::from(to - from).saturating_sub(rows.len() as u64),
            _ => 0,
        }
    }

    pub fn metadata_len(&self, row: usize) -> usize {
        self.metadata.len(row)
    }

    pub fn metadata(&self, row: usize, at: usize) -> (&str, &str) {
        self.metadata.get(row, at)
    }
}
