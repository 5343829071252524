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
    #[error(
        "{path}: {free_bytes} bytes are free, writing parts anew needs {needed_bytes}; free some space or lower the retention"
    )]
    NoRoom { path: PathBuf, free_bytes: u64, needed_bytes: u64 },
    #[error("the store is closed")]
    Closed,
    #[error("sealing failed: {0}")]
    Seal(String),
}

/// Whether the bytes themselves cannot be had from the disk, as a bad sector or a broken file
/// system has it. What another try, more memory or more file handles would help is none of it.
pub(super) fn is_unreadable(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let unreadable = [Errno::IO, Errno::NODATA, Errno::BADMSG, Errno::UCLEAN, Errno::REMOTEIO];
    let raw = error.raw_os_error();
    error.kind() == io::ErrorKind::UnexpectedEof
        || unreadable.iter().any(|errno| raw == Some(errno.raw_os_error()))
}

impl StoreError {
    /// Whether a part cannot be read, now or ever: it is moved aside, so that the rest serves.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, StoreError::Damaged { .. } | StoreError::Index(_) | StoreError::Newer { .. })
    }

    /// Of an error of reading a part.
    pub(super) fn reading(path: &Path, what: &str) -> impl Fn(io::Error) -> StoreError + use<> {
        let (path, what) = (path.to_owned(), what.to_owned());
        move |source| {
            let path = path.clone();
            if is_unreadable(&source) {
                StoreError::Damaged { path, what: format!("{what}: {source}") }
            } else {
                StoreError::Io { path, source }
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn what_another_try_may_help_is_no_damage() {
        for (errno, damage) in [
            (Errno::IO, true),
            (Errno::UCLEAN, true),
            (Errno::NODATA, true),
            (Errno::MFILE, false),
            (Errno::NFILE, false),
            (Errno::NOMEM, false),
            (Errno::ACCESS, false),
            (Errno::NOSPC, false),
            (Errno::INTR, false),
        ] {
            let error = StoreError::reading(Path::new("a"), "block")(errno.into());
            assert_eq!(error.is_damage(), damage, "{error}");
        }
        let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(StoreError::reading(Path::new("a"), "block")(cut).is_damage());
    }
}
