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
