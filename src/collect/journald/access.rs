//! Whether there is a journal that may be read. To journalctl, one that may not looks empty.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::collect) enum Access {
    Readable,
    Missing(String),
    Denied(String),
}

/// Looks at the given folder, or at the two usual ones.
pub(in crate::collect) fn check(path: Option<&Path>) -> Access {
    let usual = [PathBuf::from("/var/log/journal"), PathBuf::from("/run/log/journal")];
    let folders = path.map_or_else(|| usual.to_vec(), |path| vec![path.to_owned()]);
    let mut denied = false;
    for folder in &folders {
        match look(folder) {
            Some(true) => return Access::Readable,
            Some(false) => denied = true,
            None => {}
        }
    }
    let names: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let names = names.join(" and ");
    if denied {
        Access::Denied(format!(
            "journal files in {names} may not be read; add our user to the group systemd-journal"
        ))
    } else {
        Access::Missing(format!("no journal in {names}; waiting for one"))
    }
}

/// Whether a journal file can be opened; `None` when there is none.
fn look(folder: &Path) -> Option<bool> {
    let mut found = None;
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Some(false),
        Err(_) => return None,
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let files: Vec<PathBuf> = if path.is_dir() {
            match fs::read_dir(&path) {
                Ok(files) => files.flatten().map(|file| file.path()).collect(),
                Err(_) => {
                    found = Some(false);
                    continue;
                }
            }
        } else {
            vec![path]
        };
        for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "journal")) {
            if File::open(file).is_ok() {
                return Some(true);
            }
            found = Some(false);
        }
    }
    found
}

/// Which machine's journal it is. Cursors of another machine's are of no use, also when it is a
/// clone.
pub(super) fn machine_id() -> String {
    let read = |path| fs::read_to_string(path).ok().map(|text: String| text.trim().to_owned());
    read("/etc/machine-id")
        .or_else(|| read("/var/lib/dbus/machine-id"))
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_for_journal_files() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(check(Some(folder.path())), Access::Missing(_)));
        fs::create_dir(folder.path().join("machine")).unwrap();
        fs::write(folder.path().join("machine/x.txt"), "").unwrap();
        assert!(matches!(check(Some(folder.path())), Access::Missing(_)));
        fs::write(folder.path().join("machine/system.journal"), "").unwrap();
        assert_eq!(check(Some(folder.path())), Access::Readable);
    }
}
