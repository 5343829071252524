//! Lists that the store keeps twice on disk, each copy with a checksum and a generation, so
//! that one damaged copy costs nothing. A file is replaced whole: a crash leaves the old or the
//! new list, never a mixture.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{StoreError, is_unreadable};
use super::files::{Files, replace};

pub(super) trait Kept: Serialize + DeserializeOwned {
    /// The file and its second copy, in the data directory.
    const NAMES: [&'static str; 2];
    /// Raised when older versions would misread what newer ones write.
    const VERSION: u32;

    fn version(&self) -> u32;
    fn generation(&self) -> u64;
    fn set_generation(&mut self, to: u64);
}

/// What reading the copies gave.
pub(super) enum Loaded<T> {
    /// Neither copy is there.
    Missing,
    Good(T, Copies),
    /// Copies are there, but none can be read.
    Damaged,
}

/// Which of the two copies hold what was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    Both,
    /// The second is damaged, missing or older.
    First,
    /// The first cannot be read, so that there may have been a newer list.
    Second,
}

pub(super) fn load<T: Kept>(files: &dyn Files, folder: &Path) -> Result<Loaded<T>, StoreError> {
    let mut best: Option<(T, Copies)> = None;
    let mut seen = false;
    for (name, here) in T::NAMES.into_iter().zip([Copies::First, Copies::Second]) {
        let path = folder.join(name);
        let bytes = match files.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if is_unreadable(&error) => Vec::new(),
            Err(error) => return Err(StoreError::io(&path)(error)),
        };
        seen = true;
        let Some(found) = parse::<T>(&bytes) else {
            tracing::error!(path = %path.display(), "one of two copies of a list is damaged");
            continue;
        };
        if found.version() > T::VERSION {
            return Err(StoreError::Newer { path, found: found.version(), known: T::VERSION });
        }
        match &mut best {
            Some((best, copies)) if best.generation() == found.generation() => {
                *copies = Copies::Both;
            }
            Some((best, _)) if best.generation() > found.generation() => {}
            _ => best = Some((found, here)),
        }
    }
    Ok(match best {
        Some((found, copies)) => Loaded::Good(found, copies),
        None if seen => Loaded::Damaged,
        None => Loaded::Missing,
    })
}

/// Writes the copy anew that does not hold the list, so that damage to the other one costs
/// nothing. A start goes on when that fails.
pub(super) fn mend<T: Kept>(value: &T, copies: Copies, files: &dyn Files, folder: &Path) {
    let [first, second] = T::NAMES;
    let name = match copies {
        Copies::Both => return,
        Copies::First => second,
        Copies::Second => first,
    };
    let path = folder.join(name);
    match encode(value).and_then(|bytes| replace(files, &path, &bytes)) {
        Ok(()) => tracing::warn!(path = %path.display(), "wrote a copy of a list anew"),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "copy of a list not written anew");
        }
    }
}

/// Returns once the list is on disk. After an error the old one still counts.
pub(super) fn save<T: Kept>(
    value: &mut T,
    files: &dyn Files,
    folder: &Path,
) -> Result<(), StoreError> {
    value.set_generation(value.generation() + 1);
    let [name, second] = T::NAMES;
    let path = folder.join(name);
    let bytes = encode(value).map_err(StoreError::io(&path))?;
    replace(files, &path, &bytes).map_err(StoreError::io(&path))?;
    let copy = folder.join(second);
    if let Err(error) = replace(files, &copy, &bytes) {
        // The first copy is the one that counts.
        tracing::warn!(path = %copy.display(), %error, "second copy of a list not written");
    }
    Ok(())
}

/// A checksum and the value as JSON.
pub(super) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, value).map_err(io::Error::other)?;
    let crc = crc32fast::hash(&bytes[4..]).to_le_bytes();
    bytes[..4].copy_from_slice(&crc);
    Ok(bytes)
}

/// `None` on damage.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (crc, body) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(body) {
        return None;
    }
    serde_json::from_slice(body).ok()
}
