//! A disk in memory that forgets what was not synced and fails when told to. For tests.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Files, Kind, Listed, ReadFile, WriteFile};

/// What a power cut leaves of bytes and names that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    Lost,
    /// The first half of the bytes; names are kept.
    Half,
    Kept,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    /// Bytes that cannot be read.
    bad: Option<Range<usize>>,
}

type Inode = Arc<Mutex<Content>>;

#[derive(Default)]
struct Disk {
    /// And whether the one above was synced since.
    folders: BTreeMap<PathBuf, bool>,
    names: BTreeMap<PathBuf, Inode>,
    synced_names: BTreeMap<PathBuf, Inode>,
    /// Calls that change something still allowed; afterwards everything fails.
    calls_left: Option<u64>,
    calls: u64,
    /// The changing call after so many more fails, alone.
    hiccup: Option<u64>,
    /// Files with such a text in their path can be neither made nor renamed.
    failing: Option<String>,
    /// Bytes the disk can hold.
    capacity: Option<u64>,
    fail_sync: bool,
    on_create: Option<OnCreate>,
}

/// Called with the path of each file that is about to be made.
type OnCreate = Arc<dyn Fn(&Path) + Send + Sync>;

impl Disk {
    fn step(&mut self) -> io::Result<()> {
        self.calls += 1;
        match &mut self.hiccup {
            Some(0) => {
                self.hiccup = None;
                return Err(io::Error::other("the disk has hiccups"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        match &mut self.calls_left {
            Some(0) => Err(io::Error::other("the disk is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn check_name(&self, path: &Path) -> io::Result<()> {
        let path = path.to_string_lossy();
        match &self.failing {
            Some(text) if path.contains(text) => Err(io::Error::other("this name cannot be had")),
            _ => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        self.names.values().map(|inode| inode.lock().bytes.len() as u64).sum()
    }
}

/// What Linux says of a sector that cannot be read.
const EIO: i32 = 5;

#[derive(Clone, Default)]
pub struct FaultyFiles(Arc<Mutex<Disk>>);

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
}

impl FaultyFiles {
    /// After this many more changing calls every one fails.
    pub fn die_after(&self, calls: u64) {
        self.0.lock().calls_left = Some(calls);
    }

    /// After this many more changing calls one fails.
    pub fn fail_one_after(&self, calls: u64) {
        self.0.lock().hiccup = Some(calls);
    }

    /// Files with this text in their path can be neither made nor renamed.
    pub fn set_failing(&self, text: Option<&str>) {
        self.0.lock().failing = text.map(str::to_owned);
    }

    /// These bytes of a file cannot be read any more.
    pub fn set_bad(&self, path: &Path, bytes: Range<usize>) {
        self.0.lock().names[path].lock().bad = Some(bytes);
    }

    pub fn on_create(&self, call: impl Fn(&Path) + Send + Sync + 'static) {
        self.0.lock().on_create = Some(Arc::new(call));
    }

    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    pub fn set_fail_sync(&self, fail: bool) {
        self.0.lock().fail_sync = fail;
    }

    /// The disk as it is found after a power cut.
    pub fn after_power_cut(&self, unsynced: Unsynced) -> FaultyFiles {
        let disk = self.0.lock();
        let names = match unsynced {
            Unsynced::Lost => &disk.synced_names,
            Unsynced::Half | Unsynced::Kept => &disk.names,
        };
        let lasts = |path: &Path| {
            let above = |path: &Path| *disk.folders.get(path).unwrap_or(&true);
            unsynced != Unsynced::Lost || path.ancestors().all(above)
        };
        let names: BTreeMap<PathBuf, Inode> = names
            .iter()
            .filter(|(path, _)| lasts(path))
            .map(|(path, inode)| {
                let content = inode.lock();
                let bytes = match unsynced {
                    Unsynced::Lost => content.synced.clone(),
                    Unsynced::Kept => content.bytes.clone(),
                    Unsynced::Half => {
                        let (now, then) = (content.bytes.len(), content.synced.len());
                        let kept = if now > then { then + (now - then) / 2 } else { now };
                        content.bytes[..kept].to_vec()
                    }
                };
                let bad = content.bad.clone();
                let content = Content { synced: bytes.clone(), bytes, bad };
                (path.clone(), Arc::new(Mutex::new(content)))
            })
            .collect();
        FaultyFiles(Arc::new(Mutex::new(Disk {
            folders: disk
                .folders
                .keys()
                .filter(|path| lasts(path))
                .map(|path| (path.clone(), true))
                .collect(),
            synced_names: names.clone(),
            names,
            ..Disk::default()
        })))
    }

    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }

    /// Changes the content of a file in place, as a bad disk would.
    pub fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let inode = self.0.lock().names[path].clone();
        let mut content = inode.lock();
        change(&mut content.bytes);
        content.synced = content.bytes.clone();
    }
}

struct FaultyWrite {
    disk: Arc<Mutex<Disk>>,
    inode: Inode,
}

impl WriteFile for FaultyWrite {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if let Err(error) = disk.step() {
            // A dying disk takes a part of the write.
            self.inode.lock().bytes.extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err(error);
        }
        if let Some(capacity) = disk.capacity {
            let room = capacity.saturating_sub(disk.used());
            if room < bytes.len() as u64 {
                self.inode.lock().bytes.extend_from_slice(&bytes[..room as usize]);
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.inode.lock().bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.step()?;
        if disk.fail_sync {
            return Err(io::Error::other("sync failed"));
        }
        let mut content = self.inode.lock();
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.disk.lock().step()?;
        self.inode.lock().bytes.truncate(bytes as usize);
        Ok(())
    }
}

struct FaultyRead(Inode);

impl ReadFile for FaultyRead {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.lock().bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.0.lock();
        let wanted = offset as usize..offset as usize + buffer.len();
        if content.bad.as_ref().is_some_and(|bad| bad.start < wanted.end && wanted.start < bad.end)
        {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let from = content.bytes.get(offset as usize..).unwrap_or_default();
        let from = from.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(from);
        Ok(())
    }
}

impl Files for FaultyFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let on_create = self.0.lock().on_create.clone();
        if let Some(call) = on_create {
            call(path);
        }
        let mut disk = self.0.lock();
        disk.step()?;
        disk.check_name(path)?;
        let inode = Inode::default();
        disk.names.insert(path.to_owned(), inode.clone());
        Ok(Box::new(FaultyWrite { disk: self.0.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let disk = self.0.lock();
        Ok(Box::new(FaultyRead(disk.names.get(path).ok_or_else(|| missing(path))?.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.step()?;
        disk.check_name(to)?;
        let inode = disk.names.remove(from).ok_or_else(|| missing(from))?;
        disk.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.step()?;
        disk.names.remove(path).map(|_| ()).ok_or_else(|| missing(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.step()?;
        if disk.names.keys().any(|name| name.starts_with(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        disk.folders.remove(path).map(drop).ok_or_else(|| missing(path))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.step()?;
        for folder in path.ancestors() {
            let is_root = folder.parent().is_none();
            disk.folders.entry(folder.to_owned()).or_insert(is_root);
        }
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        let disk = self.0.lock();
        let name_of = |path: &Path| {
            (path.parent() == Some(folder))
                .then(|| path.file_name()?.to_str().map(str::to_owned))
                .flatten()
        };
        let mut listed: Vec<Listed> = disk
            .names
            .iter()
            .filter_map(|(path, inode)| {
                let bytes = inode.lock().bytes.len() as u64;
                Some(Listed { name: name_of(path)?, bytes, kind: Kind::File })
            })
            .collect();
        listed.extend(disk.folders.keys().filter_map(|path| {
            Some(Listed { name: name_of(path)?, bytes: 0, kind: Kind::Folder })
        }));
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.step()?;
        let disk = &mut *disk;
        for (path, synced) in &mut disk.folders {
            *synced |= path.parent() == Some(folder);
        }
        disk.synced_names.retain(|path, _| path.parent() != Some(folder));
        for (path, inode) in &disk.names {
            if path.parent() == Some(folder) {
                disk.synced_names.insert(path.clone(), inode.clone());
            }
        }
        Ok(())
    }

    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.step()?;
        let inode = disk.names.get(path).ok_or_else(|| missing(path))?.clone();
        let mut content = inode.lock();
        content.bytes.truncate(bytes as usize);
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        let disk = self.0.lock();
        Ok(disk.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(disk.used())))
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }
}
