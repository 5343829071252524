//! Doors for fuzzers: bytes as they could lie on a disk, with checksums made right, so that what
//! is behind them is reached. Nothing here may panic, or take memory that the bytes do not
//! justify. Not in the product.

use super::block::{BlockBuf, Wanted, with_right_checksums};
use super::deletes::Book;
use super::kept;
use super::manifest::Manifest;
use super::part::{OLDEST_VERSION, Opened, Table, VERSION};
use super::wal::Record;

/// A block that unpacks to more than this is as good as one that cannot be read.
const RAW_BYTES_MAX: u32 = 64 << 20;

/// Reads a block in every way. Gives the number of rows when it is one.
pub fn block(bytes: &[u8]) -> Option<usize> {
    let block = with_right_checksums(bytes, RAW_BYTES_MAX)?;
    let mut buffer = BlockBuf::new().ok()?;
    let mut rows = None;
    for (lines, metadata) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut wanted = Wanted::WHOLE;
        (wanted.lines, wanted.metadata) = (lines, metadata);
        if buffer.read(&block, wanted).is_none() {
            continue;
        }
        for row in 0..buffer.rows() {
            let _ = (buffer.ts(row), buffer.line(row), buffer.line_bytes(row));
            for at in 0..buffer.metadata_len(row) {
                let _ = buffer.metadata(row, at);
            }
        }
        rows = Some(buffer.rows());
    }
    rows
}

/// Reads the table of a part; what it says is written down and must read the same.
pub fn table(bytes: &[u8]) -> Option<usize> {
    let mut found = None;
    for version in OLDEST_VERSION..=VERSION {
        let Some(table) = Table::decode(bytes, version) else { continue };
        let _ = table.memory_bytes();
        let again = Table::decode(&table.encode(), VERSION);
        assert!(again.as_ref() == Some(&table), "a table does not come back");
        found = Some(table.streams.len() + table.blocks.len());
    }
    found
}

/// Opens a whole part and reads all of its blocks.
pub fn part(bytes: &[u8]) -> Option<usize> {
    let opened = Opened::read(bytes.to_vec()).ok()?;
    let (mut stored, mut buffer) = (Vec::new(), BlockBuf::new().ok()?);
    let mut rows = 0;
    for block in &opened.table.blocks {
        if opened.read_block(block, Wanted::WHOLE, &mut stored, &mut buffer).is_ok() {
            rows += buffer.rows();
        }
    }
    Some(rows)
}

/// Reads a record of the log ahead and walks through its entries as a start does.
pub fn wal(bytes: &[u8]) -> Option<usize> {
    let record = Record::check(bytes.to_vec())?;
    let mut walk = record.walk()?;
    let mut found = 0;
    while let Some(mut entries) = walk.next_stream()? {
        while let Some(place) = entries.next_entry()? {
            let entry = record.entry(place.at);
            assert_eq!(entry.metadata().count(), entry.metadata_len);
            assert!(std::str::from_utf8(entry.line.as_bytes()).is_ok());
            found += 1;
        }
        walk.skip_past(&entries);
    }
    let _ = record.span();
    Some(found)
}

/// Reads the lists that are kept as JSON.
pub fn list(bytes: &[u8]) -> Option<usize> {
    let mut stored = crc32fast::hash(bytes).to_le_bytes().to_vec();
    stored.extend_from_slice(bytes);
    let manifest = kept::parse::<Manifest>(&stored).map(|manifest| manifest.parts.len());
    let book = kept::parse::<Book>(&stored).map(|book| {
        for request in &book.requests {
            let _ = request.range();
        }
        book.requests.len()
    });
    manifest.or(book)
}
