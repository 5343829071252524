//! Small state that must survive a power cut: one JSON value in one file, replaced whole.
//! Not for logs (the store has its WAL); for alert state, silences, outboxes and the like.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: checksum does not match; the damaged file was kept as {kept}")]
    Damaged { path: PathBuf, kept: PathBuf },
    #[error("{path}: {source}")]
    Json { path: PathBuf, source: serde_json::Error },
}

/// A value in a file. `save` returns once the new value is on disk; a crash leaves the old
/// or the new value, never a mixture.
#[derive(Debug)]
pub struct DurableFile {
    path: PathBuf,
}

impl DurableFile {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        DurableFile { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `None` when there is no file yet. A damaged file is moved aside and named in the error,
    /// so that the caller can start empty and say so.
    pub fn load<T: DeserializeOwned>(&self) -> Result<Option<T>, DurableError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io(error)),
        };
        let body = match bytes.split_first_chunk::<4>() {
            Some((crc, body)) if u32::from_le_bytes(*crc) == crc32fast::hash(body) => body,
            _ => {
                let kept = self.path.with_extension("damaged");
                fs::rename(&self.path, &kept).map_err(|error| self.io(error))?;
                return Err(DurableError::Damaged { path: self.path.clone(), kept });
            }
        };
        serde_json::from_slice(body)
            .map(Some)
            .map_err(|source| DurableError::Json { path: self.path.clone(), source })
    }

    pub fn save<T: Serialize>(&self, value: &T) -> Result<(), DurableError> {
        let mut bytes = vec![0; 4];
        serde_json::to_writer(&mut bytes, value)
            .map_err(|source| DurableError::Json { path: self.path.clone(), source })?;
        let crc = crc32fast::hash(&bytes[4..]).to_le_bytes();
        bytes[..4].copy_from_slice(&crc);
        replace_file(&self.path, &bytes).map_err(|error| self.io(error))
    }

    fn io(&self, source: io::Error) -> DurableError {
        DurableError::Io { path: self.path.clone(), source }
    }
}

/// Writes a file under a temporary name, syncs it, renames it over `path` and syncs the folder.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(folder)
}

/// Makes renames and removals in a folder survive a power cut.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Alert state, rules, silences and notifications are all kept this way.
    #[test]
    fn no_flipped_bit_is_ever_read_as_a_value() {
        let folder = tempfile::tempdir().unwrap();
        let file = DurableFile::new(folder.path().join("state.json"));
        let value: Vec<(String, Option<i64>)> =
            (0..20).map(|at| (format!("silence {at}"), (at % 3 == 0).then_some(at))).collect();
        file.save(&value).unwrap();
        let good = fs::read(file.path()).unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                fs::write(file.path(), &bad).unwrap();
                let read = file.load::<Vec<(String, Option<i64>)>>();
                let Err(DurableError::Damaged { kept, .. }) = read else {
                    panic!("byte {at} bit {bit}: {read:?}");
                };
                assert_eq!(fs::read(kept).unwrap(), bad);
            }
        }
        for cut in 0..good.len() {
            fs::write(file.path(), &good[..cut]).unwrap();
            assert!(file.load::<Vec<(String, Option<i64>)>>().is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn keeps_a_value_and_notices_damage() {
        let folder = tempfile::tempdir().unwrap();
        let file = DurableFile::new(folder.path().join("state.json"));
        assert_eq!(file.load::<Vec<u32>>().unwrap(), None);
        file.save(&vec![1u32, 2]).unwrap();
        assert_eq!(file.load::<Vec<u32>>().unwrap(), Some(vec![1, 2]));
        let mut bytes = fs::read(file.path()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(file.path(), &bytes).unwrap();
        assert!(matches!(file.load::<Vec<u32>>(), Err(DurableError::Damaged { .. })));
        assert_eq!(file.load::<Vec<u32>>().unwrap(), None);
    }
}
