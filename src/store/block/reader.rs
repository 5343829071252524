//! Reads blocks into buffers that are used again for the next one.

use zstd::bulk::Decompressor;

use super::builder::{HEADER_BYTES, SECTIONS};
use super::metadata::Metadata;
use super::section::Section;
use super::shape::{Built, ShapedLines};
use super::{LineEncoding, Run, VERSION, VERSION_PLAIN, bits};
use crate::model::Timestamp;
use crate::store::read::{Column, Seek, Shape};
use crate::store::varint::Reader;

/// Which columns a reader needs; times and streams always come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub lines: bool,
    /// How long lines are, which takes the bytes of the lines.
    pub line_bytes: bool,
    /// Lines that are kept as shapes are left so: columns are read when they are asked for.
    pub columns: bool,
    pub metadata: bool,
}

impl Wanted {
    /// Everything, lines ready to be read.
    pub const WHOLE: Wanted =
        Wanted { lines: true, line_bytes: false, columns: false, metadata: true };
}

/// Lines of some rows of a block, put together out of shapes and columns.
#[derive(Debug, Default)]
pub struct BuiltLines(Built);

impl BuiltLines {
    /// Counts from the first of the rows.
    #[inline]
    pub fn line(&self, row: usize) -> &str {
        line_of(&self.0.text, &self.0.starts, row)
    }
}

#[inline]
fn line_of<'a>(text: &'a str, starts: &[u32], row: usize) -> &'a str {
    match starts.get(row..row + 2) {
        Some([from, to]) => {
            text.get(*from as usize..(*to as usize).saturating_sub(1)).unwrap_or_default()
        }
        _ => "",
    }
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
    shaped: ShapedLines,
    is_shaped: bool,
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
            shaped: ShapedLines::default(),
            is_shaped: false,
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
        let version = reader.byte()?;
        let encoding = LineEncoding::from_byte(reader.byte()?)?;
        match (version, encoding) {
            (VERSION_PLAIN, LineEncoding::Plain) | (VERSION, LineEncoding::Shapes) => {}
            _ => return None,
        }
        let rows = reader.u32()? as usize;
        let mut sections = [Section::default(); SECTIONS];
        for section in &mut sections {
            *section = Section::read_entry(&mut reader)?;
        }
        let [of_rows, of_times, of_metadata, of_lines] = sections;
        let mut rest = Reader::starting_at(block, HEADER_BYTES);

        of_rows.unpack(rest.take(of_rows.stored as usize)?, &mut self.unpacker, &mut self.raw)?;
        self.read_rows(rows, encoding)?;
        of_times.unpack(rest.take(of_times.stored as usize)?, &mut self.unpacker, &mut self.raw)?;
        bits::read_times(&self.raw, &self.runs, &mut self.times)?;

        self.metadata.clear();
        self.text.clear();
        self.is_shaped = false;
        let wants_lines = wanted.lines || wanted.line_bytes && encoding == LineEncoding::Shapes;
        if wanted.metadata {
            let stored = rest.take(of_metadata.stored as usize)?;
            of_metadata.unpack(stored, &mut self.unpacker, self.metadata.buffer())?;
            self.metadata.parse(rows)?;
        } else if wants_lines {
            rest.take(of_metadata.stored as usize)?;
        }
        if wants_lines {
            let stored = rest.take(of_lines.stored as usize)?;
            match encoding {
                LineEncoding::Plain => self.read_plain(&of_lines, stored)?,
                LineEncoding::Shapes => {
                    of_lines.unpack(stored, &mut self.unpacker, &mut self.raw)?;
                    let columns = block.get(rest.at()..)?;
                    self.shaped.read(&self.raw, columns, rows)?;
                    self.read_shaped(wanted)?;
                }
            }
        }
        Some(())
    }

    fn read_shaped(&mut self, wanted: Wanted) -> Option<()> {
        self.is_shaped = true;
        if wanted.lines && !wanted.columns {
            let built = Built {
                text: std::mem::take(&mut self.text),
                starts: std::mem::take(&mut self.starts),
            };
            self.shaped.give_back(built);
            let built = self.shaped.build(0..self.rows())?;
            (self.text, self.starts) = (built.text, built.starts);
        } else if wanted.line_bytes {
            self.shaped.starts(&mut self.starts)?;
        }
        Some(())
    }

    fn read_rows(&mut self, rows: usize, encoding: LineEncoding) -> Option<()> {
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
        if encoding == LineEncoding::Shapes {
            return reader.is_done().then_some(());
        }
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
        line_of(&self.text, &self.starts, row)
    }

    /// Whether lines were left as shapes, for the functions below.
    pub fn is_shaped(&self) -> bool {
        self.is_shaped
    }

    pub fn shapes(&self) -> &[Shape] {
        if self.is_shaped { self.shaped.shapes() } else { &[] }
    }

    /// The shape of each row, and which of the rows of its shape it is.
    pub fn shape_ids(&self) -> (&[u16], &[u32]) {
        (self.shaped.ids(), self.shaped.places())
    }

    /// `None` on damage, as for those below.
    pub fn column(&self, shape: usize, hole: usize) -> Option<Column<'_>> {
        self.shaped.column(shape, hole)
    }

    pub fn seek(&self, shape: usize, hole: usize, question: Seek<'_>) -> Option<Option<Vec<u32>>> {
        self.shaped.seek(shape, hole, question)
    }

    pub fn push_line(&self, row: usize, out: &mut Vec<u8>) -> Option<()> {
        self.shaped.push_line(row, out)
    }

    pub fn build_lines(&self, rows: std::ops::Range<usize>) -> Option<BuiltLines> {
        self.shaped.build(rows).map(BuiltLines)
    }

    /// Memory of lines that are not needed any more.
    pub fn give_back(&self, lines: BuiltLines) {
        self.shaped.give_back(lines.0);
    }

    pub fn line_bytes(&self, row: usize) -> usize {
        match self.starts.get(row..row + 2) {
            Some([from, to]) => (to - from).saturating_sub(1) as usize,
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
