//! What can go wrong in the store. Errors of reading are in `read`.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "{path} is in use by another process; stop it, or give each server a data directory of its own"
    )]
    Locked { path: PathBuf },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{path} has format {found}, this version reads up to {known}; start the newer version again"
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("building the index of a part: {0}")]
    Index(String),
    #[error("damaged part {path}: {what}")]
    Damaged { path: PathBuf, what: String },
    #[error(
        "{path}: a restore into this directory did not get to its end; empty it and restore again"
    )]
    Restoring { path: PathBuf },
    #[error("{path}: {what}")]
    Backup { path: PathBuf, what: String },
    #[error("the store is closed")]
    Closed,
    #[error("sealing failed: {0}")]
    Seal(String),
}

impl StoreError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path = path.to_owned();
        |source| StoreError::Io { path, source }
    }
}

/// Why a batch was not taken. Nothing of it is stored, and none of its positions moved.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    #[error("the store takes in as much as it can; send it again in a moment")]
    Full,
    #[error("the disk is full; free some space or lower the retention")]
    DiskFull,
    #[error("writing the log ahead: {0}")]
    Io(String),
    #[error("the batch has {bytes} bytes, one record takes up to {bytes_max}; send smaller ones")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("the store is closed")]
    Closed,
}

impl AppendError {
    pub(super) fn from_io(error: &io::Error) -> AppendError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppendError::DiskFull,
            _ => AppendError::Io(error.to_string()),
        }
    }
}
