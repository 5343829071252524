//! Which file it is, whatever its name: device and inode, and the bytes it begins with.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use xxhash_rust::xxh3::xxh3_64;

/// Bytes of the beginning that are compared.
pub(super) const HEAD_BYTES_MAX: usize = 1024;
/// Beginnings shorter than this are common to many files and prove nothing.
pub(super) const HEAD_BYTES_SURE: usize = 256;
/// Bytes before the place of reading that are compared.
pub(super) const NEAR_BYTES_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileKey {
    pub dev: u64,
    pub ino: u64,
}

impl FileKey {
    pub fn of(metadata: &Metadata) -> Self {
        FileKey { dev: metadata.dev(), ino: metadata.ino() }
    }
}

/// The name of the file's position.
impl fmt::Display for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file:{:x}:{:x}", self.dev, self.ino)
    }
}

/// What a file held when it was last read: its first bytes and those before the place of
/// reading. Held in memory as bytes, in positions as hashes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Fingerprint {
    pub head_len: usize,
    pub head: u64,
    /// Everything before this offset has been read once.
    pub at: u64,
    pub near_len: usize,
    pub near: u64,
}

impl Fingerprint {
    pub fn of(head: &[u8], at: u64, near: &[u8]) -> Self {
        Fingerprint {
            head_len: head.len(),
            head: xxh3_64(head),
            at,
            near_len: near.len(),
            near: xxh3_64(near),
        }
    }

    /// Whether the file still (or also) holds what was read.
    pub fn fits(&self, file: &File) -> io::Result<bool> {
        if self.head_len > HEAD_BYTES_MAX || self.near_len > NEAR_BYTES_MAX {
            return Ok(false);
        }
        if file.metadata()?.len() < self.at {
            return Ok(false);
        }
        let head = read_exactly(file, 0, self.head_len)?;
        let near_at = self.at.saturating_sub(self.near_len as u64);
        let near = read_exactly(file, near_at, self.near_len)?;
        Ok(head.len() == self.head_len
            && near.len() == self.near_len
            && xxh3_64(&head) == self.head
            && xxh3_64(&near) == self.near)
    }

    /// Long enough to tell files apart, so that another inode with it is the same text.
    pub fn is_sure(&self) -> bool {
        self.head_len >= HEAD_BYTES_SURE && self.head != xxh3_64(&vec![0; self.head_len])
    }
}

/// Up to `len` bytes at an offset; fewer only at the end of the file.
pub(super) fn read_exactly(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
