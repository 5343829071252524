//! One file of the WAL: a header, then records as length, checksum, bytes.

use std::io;
use std::path::Path;

use super::record::Record;
use crate::store::files::{Files, WriteFile};

pub const MAGIC: &[u8; 8] = b"STKWAL\x00\x01";
pub const RECORD_HEADER_BYTES: usize = 8;

pub fn segment_name(number: u64) -> String {
    format!("{number:012}.wal")
}

pub fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".wal")?.parse().ok()
}

/// A segment open for writing. Bytes up to `synced` are safe, up to `written` whole; what an
/// error leaves behind them is cut off before anything else is written.
pub struct Segment {
    pub number: u64,
    file: Box<dyn WriteFile>,
    synced: u64,
    written: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// A write failed: bytes behind `written` may be torn.
    Torn,
    /// A sync failed: the system may have dropped pages that it reports as written, so this
    /// file takes no more records.
    Lost,
}

impl Segment {
    pub fn create(files: &dyn Files, folder: &Path, number: u64) -> io::Result<Segment> {
        let mut file = files.create(&folder.join(segment_name(number)))?;
        file.append(MAGIC)?;
        file.sync()?;
        files.sync_folder(folder)?;
        let bytes = MAGIC.len() as u64;
        Ok(Segment { number, file, synced: bytes, written: bytes, state: State::Good })
    }

    pub fn bytes(&self) -> u64 {
        self.synced
    }

    /// Whether a new segment must be started because this one cannot be trusted any more.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        if self.state == State::Torn {
            self.file.truncate(self.written)?;
            self.state = State::Good;
        }
        let bytes = record.bytes();
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut header = [0; RECORD_HEADER_BYTES];
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..].copy_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        let written = self.file.append(&header).and_then(|()| self.file.append(bytes));
        if written.is_err() {
            self.state = State::Torn;
            // Frees the space at once; when even that fails it is tried again later.
            if self.file.truncate(self.written).is_ok() {
                self.state = State::Good;
            }
        } else {
            self.written += (RECORD_HEADER_BYTES + bytes.len()) as u64;
        }
        written
    }

    pub fn sync(&mut self) -> io::Result<()> {
        let synced = self.file.sync();
        match synced {
            Ok(()) => self.synced = self.written,
            Err(_) => {
                self.state = State::Lost;
                let _ = self.file.truncate(self.synced);
            }
        }
        synced
    }
}
