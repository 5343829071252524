//! Compares the checksums of a block without unpacking it.

use zstd::bulk::Decompressor;

use super::LineEncoding;
use super::builder::{HEADER_BYTES, SECTIONS};
use super::section::Section;
use super::shape::column_sections;
use crate::store::varint::Reader;

/// Whether header, sections and the columns behind them are as they were written.
pub fn is_sound(block: &[u8]) -> bool {
    check(block).is_some()
}

fn check(block: &[u8]) -> Option<()> {
    let header = block.get(..HEADER_BYTES)?;
    let (body, crc) = header.split_at_checked(HEADER_BYTES - 4)?;
    if crc32fast::hash(body).to_le_bytes() != crc {
        return None;
    }
    let mut reader = Reader::new(body);
    let _version = reader.byte()?;
    let encoding = LineEncoding::from_byte(reader.byte()?)?;
    let _rows = reader.u32()?;
    let mut rest = Reader::starting_at(block, HEADER_BYTES);
    let mut last = (Section::default(), &[][..]);
    for _ in 0..SECTIONS {
        let section = Section::read_entry(&mut reader)?;
        let stored = rest.take(section.stored as usize)?;
        if !section.is_sound(stored) {
            return None;
        }
        last = (section, stored);
    }
    if encoding == LineEncoding::Shapes {
        let mut raw = Vec::new();
        last.0.unpack(last.1, &mut Decompressor::new().ok()?, &mut raw)?;
        for section in column_sections(&raw)? {
            if !section.is_sound(rest.take(section.stored as usize)?) {
                return None;
            }
        }
    }
    (rest.at() == block.len()).then_some(())
}

/// The block with its checksums made to fit; `None` when it cannot have any, or claims to unpack
/// to more than so many bytes.
#[cfg(any(test, feature = "fuzz"))]
pub fn with_right_checksums(block: &[u8], raw_bytes_max: u32) -> Option<Vec<u8>> {
    let mut fixed = block.to_vec();
    let header = block.get(..HEADER_BYTES)?;
    let mut reader = Reader::new(header);
    reader.take(2 + 4)?;
    let mut from = HEADER_BYTES;
    for _ in 0..SECTIONS {
        let section = Section::read_entry(&mut reader)?;
        if section.raw > raw_bytes_max {
            return None;
        }
        let to = from.checked_add(section.stored as usize)?;
        let crc = crc32fast::hash(block.get(from..to)?).to_le_bytes();
        fixed.get_mut(reader.at() - 4..reader.at())?.copy_from_slice(&crc);
        from = to;
    }
    let (body, crc) = fixed.get_mut(..HEADER_BYTES)?.split_at_mut(HEADER_BYTES - 4);
    crc.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    Some(fixed)
}
