//! A section of a block: bytes, compressed when that helps, with a checksum.

use std::io;

use zstd::bulk::{Compressor, Decompressor};

use crate::store::varint::Reader;

/// Level 1 gives nine tenths of what higher levels give at several times their speed.
const LEVEL: i32 = 1;
/// Below this compression cannot win.
const COMPRESS_MIN: usize = 64;
pub(super) const ENTRY_BYTES: usize = 13;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Section {
    compressed: bool,
    pub stored: u32,
    pub raw: u32,
    crc: u32,
}

pub(super) struct Packer {
    compressor: Compressor<'static>,
    scratch: Vec<u8>,
}

impl Packer {
    pub fn new() -> io::Result<Packer> {
        Ok(Packer { compressor: Compressor::new(LEVEL)?, scratch: Vec::new() })
    }

    /// Adds `raw`, which no compression would make smaller, to `out`.
    pub fn put_dense(&mut self, out: &mut Vec<u8>, raw: &[u8]) -> io::Result<Section> {
        let bytes = u32::try_from(raw.len()).map_err(io::Error::other)?;
        out.extend_from_slice(raw);
        Ok(Section { compressed: false, stored: bytes, raw: bytes, crc: crc32fast::hash(raw) })
    }

    /// Adds `raw` to `out` as it is smallest.
    pub fn put(&mut self, out: &mut Vec<u8>, raw: &[u8]) -> io::Result<Section> {
        let raw_bytes = u32::try_from(raw.len()).map_err(io::Error::other)?;
        let mut compressed = false;
        if raw.len() >= COMPRESS_MIN {
            self.scratch.clear();
            self.scratch.reserve(zstd::zstd_safe::compress_bound(raw.len()));
            self.compressor.compress_to_buffer(raw, &mut self.scratch)?;
            compressed = self.scratch.len() < raw.len();
        }
        let stored = if compressed { self.scratch.as_slice() } else { raw };
        out.extend_from_slice(stored);
        Ok(Section {
            compressed,
            stored: stored.len() as u32,
            raw: raw_bytes,
            crc: crc32fast::hash(stored),
        })
    }
}

impl Section {
    pub fn put_entry(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.compressed));
        out.extend_from_slice(&self.stored.to_le_bytes());
        out.extend_from_slice(&self.raw.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    pub fn read_entry(reader: &mut Reader<'_>) -> Option<Section> {
        let compressed = match reader.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Section { compressed, stored: reader.u32()?, raw: reader.u32()?, crc: reader.u32()? })
    }

    /// Fills `raw` with the content; `None` on damage.
    pub fn unpack(
        &self,
        stored: &[u8],
        unpacker: &mut Decompressor<'static>,
        raw: &mut Vec<u8>,
    ) -> Option<()> {
        raw.clear();
        if crc32fast::hash(stored) != self.crc {
            return None;
        }
        if self.compressed {
            raw.reserve(self.raw as usize);
            unpacker.decompress_to_buffer(stored, raw).ok()?;
        } else {
            raw.extend_from_slice(stored);
        }
        (raw.len() == self.raw as usize).then_some(())
    }
}
