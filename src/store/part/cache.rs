//! Tables and indexes of parts that were read lately, up to a number of bytes.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::file::{Opened, Part};
use super::index::PartIndex;
use crate::store::error::StoreError;

/// Each open part costs a file descriptor.
const PARTS_MAX: usize = 256;

struct Held {
    opened: Arc<Opened>,
    index: Option<Arc<PartIndex>>,
    bytes: u64,
    used: u64,
}

#[derive(Default)]
struct Inner {
    held: HashMap<u64, Held>,
    bytes: u64,
    now: u64,
}

pub struct PartCache {
    inner: Mutex<Inner>,
    bytes_max: u64,
}

impl PartCache {
    pub fn new(bytes_max: u64) -> PartCache {
        PartCache { inner: Mutex::default(), bytes_max }
    }

    pub fn open(&self, part: &Part) -> Result<Arc<Opened>, StoreError> {
        if let Some(opened) = self.inner.lock().touch(part.info.id).map(|held| held.opened.clone())
        {
            return Ok(opened);
        }
        let opened = Arc::new(part.open()?);
        let bytes = opened.table.memory_bytes() as u64;
        let held = Held { opened: opened.clone(), index: None, bytes, used: 0 };
        self.inner.lock().put(part.info.id, held, self.bytes_max);
        Ok(opened)
    }

    pub fn index(&self, part: &Part, opened: &Arc<Opened>) -> Result<Arc<PartIndex>, StoreError> {
        let held = self.inner.lock().touch(part.info.id).and_then(|held| held.index.clone());
        if let Some(index) = held {
            return Ok(index);
        }
        let index = Arc::new(opened.read_index()?);
        let files: u64 = opened.table.index.iter().map(|file| file.bytes).sum();
        let bytes = opened.table.memory_bytes() as u64 + index.memory_bytes() as u64 + files;
        let held = Held { opened: opened.clone(), index: Some(index.clone()), bytes, used: 0 };
        self.inner.lock().put(part.info.id, held, self.bytes_max);
        Ok(index)
    }

    pub fn forget(&self, id: u64) {
        let mut inner = self.inner.lock();
        if let Some(held) = inner.held.remove(&id) {
            inner.bytes -= held.bytes;
        }
    }
}

impl Inner {
    fn touch(&mut self, id: u64) -> Option<&Held> {
        self.now += 1;
        let now = self.now;
        let held = self.held.get_mut(&id)?;
        held.used = now;
        Some(held)
    }

    fn put(&mut self, id: u64, mut held: Held, bytes_max: u64) {
        self.now += 1;
        held.used = self.now;
        self.bytes += held.bytes;
        if let Some(old) = self.held.insert(id, held) {
            self.bytes -= old.bytes;
        }
        // The newest stays, however large it is: it is in use anyway.
        while self.held.len() > 1 && (self.bytes > bytes_max || self.held.len() > PARTS_MAX) {
            let Some(oldest) =
                self.held.iter().min_by_key(|(_, held)| held.used).map(|(id, _)| *id)
            else {
                break;
            };
            if let Some(old) = self.held.remove(&oldest) {
                self.bytes -= old.bytes;
            }
        }
    }
}
