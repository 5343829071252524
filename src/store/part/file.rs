//! A part on disk, and the same open for reading.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use tantivy::directory::OwnedBytes;

use super::dictionary::Terms;
use super::index::{PartIndex, TermField};
use super::runs::{RunAt, RunIndex};
use super::table::{BlockRow, IndexFile, Table};
use super::{FOOTER_BYTES, FOOTER_MAGIC, MAGIC, OLDEST_VERSION, VERSION, part_name};
use crate::model::{StreamId, TimeRange, Timestamp};
use crate::store::block::{BlockBuf, Wanted, is_sound};
use crate::store::error::{StoreError, is_unreadable};
use crate::store::files::{Files, ReadFile};
use crate::store::filter;
use crate::store::manifest::PartInfo;
use crate::store::read::PartKey;
use crate::store::varint::Reader;

/// A part that the manifest lists or has listed. Scans hold it; the file of a part that is not
/// needed any more goes away with the last of them.
pub struct Part {
    pub info: PartInfo,
    file: Arc<PartFile>,
}

/// The file of a part, shared by everything that was ever known of it.
pub struct PartFile {
    path: PathBuf,
    files: Arc<dyn Files>,
    doomed: AtomicBool,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.info, f)
    }
}

impl Part {
    pub fn new(files: &Arc<dyn Files>, parts: &Path, info: PartInfo) -> Arc<Part> {
        let path = parts.join(&info.day).join(part_name(info.id));
        let doomed = AtomicBool::new(false);
        Arc::new(Part { info, file: Arc::new(PartFile { path, files: files.clone(), doomed }) })
    }

    /// The same part, of which more is known now.
    pub fn with_info(&self, info: PartInfo) -> Arc<Part> {
        Arc::new(Part { info, file: self.file.clone() })
    }

    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Ends when the last reader is gone.
    pub fn watch(&self) -> Weak<PartFile> {
        Arc::downgrade(&self.file)
    }

    pub fn first(&self) -> Timestamp {
        Timestamp(self.info.first_ns)
    }

    pub fn last(&self) -> Timestamp {
        Timestamp(self.info.last_ns)
    }

    pub fn touches(&self, range: TimeRange) -> bool {
        range.touches(self.first(), self.last())
    }

    /// What it holds, by a name that is never given to anything else.
    pub fn key(&self) -> PartKey {
        PartKey(self.info.id)
    }

    /// The file is removed when nobody reads it any more. Call only after the manifest has
    /// stopped listing the part.
    pub fn doom(&self) {
        self.file.doomed.store(true, Ordering::Relaxed);
    }

    pub(super) fn open(&self) -> Result<Opened, StoreError> {
        Opened::open(&*self.file.files, &self.file.path)
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Relaxed) {
            // A file that stays is removed at the next start, since nothing lists it.
            let _ = self.files.remove(&self.path);
            if let Some(day) = self.path.parent() {
                // Fails as long as the day has other parts.
                let _ = self.files.remove_folder(day);
            }
        }
    }
}

/// A cable that is loose for a moment moves no part aside.
fn read_twice(file: &dyn ReadFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    match file.read_at(buffer, offset) {
        Err(error) if is_unreadable(&error) => file.read_at(buffer, offset),
        read => read,
    }
}

/// The table of a part and its file.
pub struct Opened {
    file: Box<dyn ReadFile>,
    path: PathBuf,
    pub table: Table,
    pub disk_bytes: u64,
    /// Made when it is first asked for.
    runs: OnceLock<RunIndex>,
}

impl Opened {
    pub fn open(files: &dyn Files, path: &Path) -> Result<Opened, StoreError> {
        let file = files.open(path).map_err(|error| match error.kind() {
            // Files of parts go only when nobody holds the part any more.
            io::ErrorKind::NotFound => StoreError::Damaged {
                path: path.to_owned(),
                what: "the file is missing".to_owned(),
            },
            _ => StoreError::reading(path, "the file cannot be opened")(error),
        })?;
        Opened::of(file, path)
    }

    /// A part in memory.
    #[cfg(any(test, feature = "fuzz"))]
    pub fn read(bytes: Vec<u8>) -> Result<Opened, StoreError> {
        struct Memory(Vec<u8>);
        impl ReadFile for Memory {
            fn bytes(&self) -> io::Result<u64> {
                Ok(self.0.len() as u64)
            }
            fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
                let from = usize::try_from(offset).map_err(io::Error::other)?;
                let rest = self.0.get(from..).unwrap_or_default();
                let piece = rest.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(piece);
                Ok(())
            }
        }
        Opened::of(Box::new(Memory(bytes)), Path::new("memory"))
    }

    /// The number of a stream in the table and where its rows lie, in the order of time.
    pub fn runs_of(&self, id: StreamId) -> Option<(u32, &[RunAt])> {
        self.runs.get_or_init(|| RunIndex::of(&self.table)).get(&self.table, id)
    }

    fn of(file: Box<dyn ReadFile>, path: &Path) -> Result<Opened, StoreError> {
        let damaged =
            |what: &str| StoreError::Damaged { path: path.to_owned(), what: what.to_owned() };
        let reading = StoreError::reading(path, "table");
        let read_at =
            |buffer: &mut [u8], offset: u64| read_twice(&*file, buffer, offset).map_err(&reading);
        let disk_bytes = file.bytes().map_err(&reading)?;
        if disk_bytes < (MAGIC.len() + FOOTER_BYTES) as u64 {
            return Err(damaged("file is cut"));
        }
        let mut magic = [0; 8];
        read_at(&mut magic, 0)?;
        if magic[..7] != MAGIC[..7] {
            return Err(damaged("not a part"));
        }
        if magic[7] > VERSION {
            let (found, known) = (u32::from(magic[7]), u32::from(VERSION));
            return Err(StoreError::Newer { path: path.to_owned(), found, known });
        }
        if magic[7] < OLDEST_VERSION {
            return Err(damaged("not a part"));
        }
        let mut footer = [0; FOOTER_BYTES];
        let footer_at = disk_bytes - FOOTER_BYTES as u64;
        read_at(&mut footer, footer_at)?;
        let mut reader = Reader::new(&footer);
        let fields = (|| {
            let fields = (reader.u64()?, reader.u32()?, reader.u32()?, reader.u32()?);
            let body = footer.get(..reader.at())?;
            let crc = reader.u32()?;
            (crc == crc32fast::hash(body) && reader.take(8)? == FOOTER_MAGIC).then_some(fields)
        })();
        let (offset, stored, raw, crc) = fields.ok_or_else(|| damaged("footer"))?;
        if offset.checked_add(u64::from(stored)).is_none_or(|end| end > footer_at) {
            return Err(damaged("footer"));
        }
        let mut table = vec![0; stored as usize];
        read_at(&mut table, offset)?;
        if crc32fast::hash(&table) != crc {
            return Err(damaged("table"));
        }
        let table = zstd::bulk::decompress(&table, raw as usize)
            .ok()
            .and_then(|table| Table::decode(&table, magic[7]))
            .ok_or_else(|| damaged("table"))?;
        Ok(Opened { file, path: path.to_owned(), table, disk_bytes, runs: OnceLock::new() })
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what: what.into() }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64, what: &str) -> Result<(), StoreError> {
        read_twice(&*self.file, buffer, offset)
            .map_err(|error| StoreError::reading(&self.path, what)(error))
    }

    fn read_file(&self, file: &IndexFile) -> Result<Vec<u8>, StoreError> {
        if file.bytes > self.disk_bytes {
            return Err(self.damaged("index"));
        }
        let mut content = vec![0; file.bytes as usize];
        self.read_at(&mut content, file.offset, "index")?;
        if crc32fast::hash(&content) != file.crc {
            return Err(self.damaged("index"));
        }
        Ok(content)
    }

    /// Reads the index, once for as long as the cache keeps it.
    pub(super) fn read_index(&self) -> Result<PartIndex, StoreError> {
        let mut files = HashMap::new();
        for file in self.index_files() {
            files.insert(PathBuf::from(&file.name), OwnedBytes::new(self.read_file(file)?));
        }
        PartIndex::open(files)
    }

    /// What `read_index` reads.
    pub(super) fn index_files(&self) -> impl Iterator<Item = &IndexFile> {
        let is_terms = |name: &str| TermField::ALL.iter().any(|field| field.file_name() == name);
        self.table.index.iter().filter(move |file| !is_terms(&file.name))
    }

    /// The terms of a field of the index; `None` in older parts, where only the index has them.
    pub(super) fn read_terms(&self, field: TermField) -> Result<Option<Terms>, StoreError> {
        let file = self.table.index.iter().find(|file| file.name == field.file_name());
        file.map(|file| self.read_file(file).map(Terms::new)).transpose()
    }

    /// The bytes of a block's filter; `None` when it has none and any token may be in it.
    pub fn filter(&self, block: &BlockRow) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(bytes) = block.filter_bytes else { return Ok(None) };
        let mut content = vec![0; bytes as usize];
        self.read_at(&mut content, block.filter_offset, "filter")?;
        Ok(Some(content))
    }

    /// Whether a token of this hash may be in a block, as far as its filter tells. `window` is
    /// room to read into.
    pub(super) fn may_hold(
        &self,
        block: &BlockRow,
        hash: u64,
        window: &mut Vec<u8>,
    ) -> Result<bool, StoreError> {
        let damaged = || self.damaged("filter");
        if let Some(layout) = &block.filter_layout {
            let Some(probe) = layout.probe(hash) else { return Ok(false) };
            window.resize(probe.bytes, 0);
            self.read_at(window, block.filter_offset + probe.from as u64, "filter")?;
            return probe.may_hold(window).ok_or_else(damaged);
        }
        // A filter of an older part has one checksum over all of it.
        match self.filter(block)? {
            None => Ok(true),
            Some(bytes) if bytes.is_empty() => Ok(false),
            Some(bytes) => Ok(filter::Stored::read(&bytes).ok_or_else(damaged)?.may_hold(hash)),
        }
    }

    /// Reads the bytes of a block as they are and compares the checksums in them.
    pub fn read_stored(&self, block: &BlockRow, stored: &mut Vec<u8>) -> Result<(), StoreError> {
        stored.resize(block.bytes as usize, 0);
        self.read_at(stored, block.offset, "block")?;
        if is_sound(stored) {
            Ok(())
        } else {
            Err(self.damaged(format!("block at {}", block.offset)))
        }
    }

    /// Reads all blocks and the index and compares the checksums in them.
    pub fn check(&self) -> Result<(), StoreError> {
        let mut stored = Vec::new();
        self.table.blocks.iter().try_for_each(|block| self.read_stored(block, &mut stored))?;
        self.table.index.iter().try_for_each(|file| self.read_file(file).map(drop))
    }

    /// Reads a block as far as it is needed and says how many bytes that took.
    pub fn read_block(
        &self,
        block: &BlockRow,
        wanted: Wanted,
        stored: &mut Vec<u8>,
        buffer: &mut BlockBuf,
    ) -> Result<u64, StoreError> {
        let bytes = if wanted.lines {
            block.bytes
        } else if wanted.metadata {
            block.metadata_bytes
        } else {
            block.counting_bytes
        };
        stored.resize(bytes as usize, 0);
        self.read_at(stored, block.offset, "block")?;
        buffer
            .read(stored, wanted)
            .filter(|()| {
                buffer.rows() == block.rows as usize && buffer.runs().len() == block.runs.len()
            })
            .ok_or_else(|| self.damaged(format!("block at {}", block.offset)))?;
        Ok(u64::from(bytes))
    }
}
