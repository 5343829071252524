//! What a backup looks like on disk: a copy of the data directory and `backup.json`, which names
//! every file with its size and SHA-256. A folder without that list is no backup.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::durable::sync_folder;

pub const LIST: &str = "backup.json";
const VERSION: u32 = 1;
const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Below the data directory, parted by `/`.
    pub path: String,
    pub bytes: u64,
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    pub version: u32,
    pub made_by: String,
    pub created_ns: i64,
    pub entries: u64,
    pub files: Vec<Listed>,
}

impl List {
    pub fn new(created_ns: i64, entries: u64) -> List {
        let made_by = format!("stockade {}", env!("CARGO_PKG_VERSION"));
        List { version: VERSION, made_by, created_ns, entries, files: Vec::new() }
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The list, with its own checksum in the last line.
    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let line = format!("{}\n", hex(&Sha256::digest(text.as_bytes())));
        text.push_str(&line);
        let path = folder.join(LIST);
        crate::durable::replace_file(&path, text.as_bytes())
            .with_context(|| format!("writing {}", path.display()))
    }

    pub fn load(folder: &Path) -> anyhow::Result<List> {
        let path = folder.join(LIST);
        let text = fs::read_to_string(&path).with_context(|| {
            format!("{} is no backup, or one that was not finished: {LIST}", folder.display())
        })?;
        let body = text.trim_end_matches('\n');
        let (body, sum) = body.rsplit_once('\n').unwrap_or_default();
        if hex(&Sha256::digest(format!("{body}\n").as_bytes())) != sum {
            bail!("{} is damaged; take another backup", path.display());
        }
        let list: List = serde_json::from_str(body)
            .with_context(|| format!("{} is damaged; take another backup", path.display()))?;
        if list.version > VERSION {
            bail!("{} was made by {}, a newer version; use that one", path.display(), list.made_by);
        }
        Ok(list)
    }

    /// Compares every file with the list. All faults are told, not only the first.
    pub fn verify(&self, folder: &Path) -> anyhow::Result<()> {
        let mut faults = Vec::new();
        for file in &self.files {
            let Some(path) = below(folder, &file.path) else {
                faults.push(format!("{}: no path inside a backup", file.path));
                continue;
            };
            match digest(&path) {
                Ok((bytes, _)) if bytes != file.bytes => {
                    faults.push(format!("{}: {bytes} bytes, not {}", file.path, file.bytes));
                }
                Ok((_, sha256)) if sha256 != file.sha256 => {
                    faults.push(format!("{}: its content has changed", file.path));
                }
                Ok(_) => {}
                Err(error) => faults.push(format!("{}: {error}", file.path)),
            }
        }
        if faults.is_empty() {
            return Ok(());
        }
        bail!("{} is damaged; take another backup:\n{}", folder.display(), faults.join("\n"))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A listed path, which must not lead out of the folder.
pub fn below(folder: &Path, listed: &str) -> Option<PathBuf> {
    let path = Path::new(listed);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
    (stays && !listed.is_empty()).then(|| folder.join(path))
}

/// Size and SHA-256 of a file.
fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok((bytes, hex(&hash.finalize())));
        }
        bytes += read as u64;
        hash.update(chunk.get(..read).unwrap_or_default());
    }
}

/// Files are put into a folder through this, which remembers what it put and where.
pub struct Filler<'a> {
    folder: &'a Path,
    folders: Vec<PathBuf>,
    pub files: Vec<Listed>,
}

impl<'a> Filler<'a> {
    pub fn new(folder: &'a Path) -> Filler<'a> {
        Filler { folder, folders: vec![folder.to_owned()], files: Vec::new() }
    }

    fn place(&mut self, name: &Path) -> anyhow::Result<PathBuf> {
        let target = self.folder.join(name);
        let parent = target.parent().unwrap_or(self.folder);
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        for folder in parent.ancestors().take_while(|folder| *folder != self.folder) {
            if !self.folders.iter().any(|known| known == folder) {
                self.folders.push(folder.to_owned());
            }
        }
        Ok(target)
    }

    fn list(&mut self, name: &Path, target: &Path) -> anyhow::Result<()> {
        let (bytes, sha256) =
            digest(target).with_context(|| format!("reading {}", target.display()))?;
        let parts: Vec<_> =
            name.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        self.files.push(Listed { path: parts.join("/"), bytes, sha256 });
        Ok(())
    }

    pub fn write(&mut self, name: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        let target = self.place(name)?;
        File::create(&target)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .with_context(|| format!("writing {}", target.display()))?;
        self.list(name, &target)
    }

    pub fn copy(&mut self, from: &Path, name: &Path) -> anyhow::Result<()> {
        let target = self.place(name)?;
        fs::copy(from, &target)
            .and_then(|_| File::open(&target)?.sync_all())
            .with_context(|| format!("copying {} to {}", from.display(), target.display()))?;
        self.list(name, &target)
    }

    /// A second name for a file that never changes; a copy where the disk is another one.
    pub fn link(&mut self, from: &Path, name: &Path) -> anyhow::Result<()> {
        let target = self.place(name)?;
        if fs::hard_link(from, &target).is_err() {
            return self.copy(from, name);
        }
        self.list(name, &target)
    }

    /// Makes all names survive a power cut.
    pub fn sync(&self) -> anyhow::Result<()> {
        for folder in self.folders.iter().rev() {
            sync_folder(folder).with_context(|| format!("syncing {}", folder.display()))?;
        }
        Ok(())
    }
}
