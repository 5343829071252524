//! The disk as the store sees it. All file access goes through here, so that tests can put a
//! disk below the store that loses what was not synced and fails at any call.

#[cfg(test)]
pub mod faulty;
mod real;

use std::any::Any;
use std::io;
use std::path::Path;

pub use real::RealFiles;

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    pub bytes: u64,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
}

pub trait Files: Send + Sync + 'static {
    /// Makes an empty file, replacing one that is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Sorted by name; empty when the folder is missing.
    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>>;
    /// Makes new names, renames and removals in a folder survive a power cut.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()>;
    /// Space left for us.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;
    /// Takes the file as a lock that is held until the value is dropped;
    /// `ErrorKind::WouldBlock` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let bytes = usize::try_from(file.bytes()?).map_err(io::Error::other)?;
        let mut content = vec![0; bytes];
        file.read_at(&mut content, 0)?;
        Ok(content)
    }
}

pub trait WriteFile: Send {
    /// Adds at the end. After an error the length of the file is not known.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file; the next `append` goes on from there.
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;
}

pub trait ReadFile: Send + Sync {
    fn bytes(&self) -> io::Result<u64>;
    /// Fills the whole buffer or fails.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Writes a file under a temporary name, syncs it, renames it over `path`, syncs the folder.
pub fn replace(files: &dyn Files, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = files.create(&temporary)?;
    file.append(content)?;
    file.sync()?;
    drop(file);
    files.rename(&temporary, path)?;
    files.sync_folder(folder_of(path))
}

/// Gives a file another name for good: when this returns neither folder forgets it.
pub fn move_file(files: &dyn Files, from: &Path, to: &Path) -> io::Result<()> {
    files.rename(from, to)?;
    files.sync_folder(folder_of(to))?;
    files.sync_folder(folder_of(from))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
