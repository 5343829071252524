//! The state of all rules, in memory and on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::state::RuleState;
use crate::durable::{DurableError, DurableFile};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Saved {
    /// When this installation first looked at rules: absence means nothing before it.
    installed_at_ns: i64,
    rules: BTreeMap<String, Arc<RuleState>>,
}

#[derive(Debug, Default)]
struct Inner {
    saved: Saved,
    version: u64,
}

/// One writer a rule at a time (its group); saving takes all rules at once, and a save that
/// another one has covered already is skipped.
#[derive(Debug)]
pub struct Memory {
    file: DurableFile,
    inner: Mutex<Inner>,
    version_on_disk: Mutex<u64>,
}

impl Memory {
    /// Reads what was saved. A damaged file was moved aside; the second value says so, and the
    /// state starts empty.
    pub fn open(
        path: PathBuf,
        now_ns: i64,
    ) -> Result<(Memory, Option<DurableError>), DurableError> {
        let file = DurableFile::new(path);
        let (saved, damage) = match file.load::<Saved>() {
            Ok(saved) => (saved, None),
            Err(error @ DurableError::Io { .. }) => return Err(error),
            Err(damage) => (None, Some(damage)),
        };
        let saved = saved.unwrap_or(Saved { installed_at_ns: now_ns, rules: BTreeMap::new() });
        let memory = Memory {
            file,
            inner: Mutex::new(Inner { saved, version: 1 }),
            version_on_disk: Mutex::new(0),
        };
        Ok((memory, damage))
    }

    pub fn installed_at_ns(&self) -> i64 {
        self.inner.lock().saved.installed_at_ns
    }

    pub fn get(&self, id: &str) -> Option<Arc<RuleState>> {
        self.inner.lock().saved.rules.get(id).cloned()
    }

    pub fn put(&self, id: &str, state: RuleState) {
        let mut inner = self.inner.lock();
        inner.version += 1;
        inner.saved.rules.insert(id.to_owned(), Arc::new(state));
    }

    pub fn remove(&self, id: &str) {
        let mut inner = self.inner.lock();
        inner.version += 1;
        inner.saved.rules.remove(id);
    }

    pub fn all(&self) -> BTreeMap<String, Arc<RuleState>> {
        self.inner.lock().saved.rules.clone()
    }

    /// Returns once everything put before the call is on disk.
    pub fn save(&self) -> Result<(), DurableError> {
        let wanted = self.inner.lock().version;
        let mut on_disk = self.version_on_disk.lock();
        if *on_disk >= wanted {
            return Ok(());
        }
        let (saved, version) = {
            let inner = self.inner.lock();
            (inner.saved.clone(), inner.version)
        };
        self.file.save(&saved)?;
        *on_disk = version;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_and_starts_empty_after_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts/state.json");
        let (memory, damage) = Memory::open(path.clone(), 7).unwrap();
        assert!(damage.is_none());
        memory.put("a", RuleState { last_slot_ns: Some(5), ..RuleState::default() });
        memory.save().unwrap();
        let (memory, _) = Memory::open(path.clone(), 9).unwrap();
        assert_eq!(memory.installed_at_ns(), 7);
        assert_eq!(memory.get("a").unwrap().last_slot_ns, Some(5));

        std::fs::write(&path, b"garbage").unwrap();
        let (memory, damage) = Memory::open(path, 9).unwrap();
        assert!(damage.is_some());
        assert!(memory.get("a").is_none());
    }
}
