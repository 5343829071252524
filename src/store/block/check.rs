//! Compares the checksums of a block without unpacking it.

use super::builder::{HEADER_BYTES, SECTIONS};
use super::section::Section;
use crate::store::varint::Reader;

/// Whether header and sections are as they were written. What a later version keeps behind the
/// sections is looked at when it is read.
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
    // Version, encoding, number of rows.
    reader.take(2 + 4)?;
    let mut rest = Reader::starting_at(block, HEADER_BYTES);
    for _ in 0..SECTIONS {
        let section = Section::read_entry(&mut reader)?;
        if !section.is_sound(rest.take(section.stored as usize)?) {
            return None;
        }
    }
    Some(())
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
