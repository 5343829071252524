//! What was read of parts lately and is needed again and again, up to a number of bytes: tables,
//! terms, indexes.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::dictionary::Terms;
use super::file::{Opened, Part};
use super::index::{PartIndex, TermField};
use crate::store::error::StoreError;

/// Each table holds the file of its part open.
const TABLES_MAX: usize = 256;

/// What of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Piece {
    Table,
    Terms(TermField),
    /// Large, and only asked for words that there are: goes first.
    Index,
}

#[derive(Clone)]
enum Value {
    Table(Arc<Opened>),
    Terms(Arc<Terms>),
    Index(Arc<PartIndex>),
}

struct Held {
    value: Value,
    bytes: u64,
    used: u64,
}

#[derive(Default)]
struct Inner {
    held: HashMap<(u64, Piece), Held>,
    tables: usize,
    bytes: u64,
    now: u64,
    /// Uses when it was last asked what is unused.
    looked_at: u64,
}

pub struct PartCache {
    inner: Mutex<Inner>,
    bytes_max: u64,
}

impl PartCache {
    pub fn new(bytes_max: u64) -> PartCache {
        PartCache { inner: Mutex::default(), bytes_max }
    }

    fn get(&self, part: &Part, piece: Piece) -> Option<Value> {
        self.inner.lock().touch((part.info.id, piece))
    }

    fn put(&self, part: &Part, piece: Piece, value: Value, bytes: u64) {
        let held = Held { value, bytes, used: 0 };
        self.inner.lock().put((part.info.id, piece), held, self.bytes_max);
    }

    pub fn open(&self, part: &Part) -> Result<Arc<Opened>, StoreError> {
        if let Some(Value::Table(opened)) = self.get(part, Piece::Table) {
            return Ok(opened);
        }
        let opened = Arc::new(part.open()?);
        let bytes = opened.table.memory_bytes() as u64;
        self.put(part, Piece::Table, Value::Table(opened.clone()), bytes);
        Ok(opened)
    }

    pub(super) fn terms(
        &self,
        part: &Part,
        opened: &Opened,
        field: TermField,
    ) -> Result<Arc<Terms>, StoreError> {
        if let Some(Value::Terms(terms)) = self.get(part, Piece::Terms(field)) {
            return Ok(terms);
        }
        let terms = Arc::new(match opened.read_terms(field)? {
            Some(terms) => terms,
            None => self.index(part, opened)?.terms(field)?,
        });
        let bytes = terms.memory_bytes() as u64;
        self.put(part, Piece::Terms(field), Value::Terms(terms.clone()), bytes);
        Ok(terms)
    }

    pub fn index(&self, part: &Part, opened: &Opened) -> Result<Arc<PartIndex>, StoreError> {
        if let Some(Value::Index(index)) = self.get(part, Piece::Index) {
            return Ok(index);
        }
        let index = Arc::new(opened.read_index()?);
        let bytes = opened.index_files().map(|file| file.bytes).sum();
        self.put(part, Piece::Index, Value::Index(index.clone()), bytes);
        Ok(index)
    }

    /// Drops what was not used since this was called last.
    pub fn drop_unused(&self) {
        let mut inner = self.inner.lock();
        let before = inner.looked_at;
        let unused = inner.held.iter().filter(|(_, held)| held.used <= before);
        let unused: Vec<(u64, Piece)> = unused.map(|(key, _)| *key).collect();
        unused.into_iter().for_each(|key| inner.remove(key));
        inner.looked_at = inner.now;
    }

    pub fn forget(&self, id: u64) {
        let mut inner = self.inner.lock();
        for piece in [
            Piece::Table,
            Piece::Terms(TermField::Tokens),
            Piece::Terms(TermField::Runs),
            Piece::Index,
        ] {
            inner.remove((id, piece));
        }
    }
}

impl Inner {
    fn touch(&mut self, key: (u64, Piece)) -> Option<Value> {
        self.now += 1;
        let now = self.now;
        let held = self.held.get_mut(&key)?;
        held.used = now;
        Some(held.value.clone())
    }

    fn put(&mut self, key: (u64, Piece), mut held: Held, bytes_max: u64) {
        self.now += 1;
        held.used = self.now;
        self.remove(key);
        self.bytes += held.bytes;
        self.tables += usize::from(key.1 == Piece::Table);
        self.held.insert(key, held);
        // The newest stays, however large it is: it is in use anyway.
        while self.held.len() > 1 && self.bytes > bytes_max {
            match self.oldest(key, |piece| piece == Piece::Index).or(self.oldest(key, |_| true)) {
                Some(oldest) => self.remove(oldest),
                None => break,
            }
        }
        while self.tables > TABLES_MAX {
            match self.oldest(key, |piece| piece == Piece::Table) {
                Some(oldest) => self.remove(oldest),
                None => break,
            }
        }
    }

    fn oldest(&self, but: (u64, Piece), of: impl Fn(Piece) -> bool) -> Option<(u64, Piece)> {
        let others = self.held.iter().filter(|(key, _)| **key != but && of(key.1));
        others.min_by_key(|(_, held)| held.used).map(|(key, _)| *key)
    }

    fn remove(&mut self, key: (u64, Piece)) {
        if let Some(old) = self.held.remove(&key) {
            self.bytes -= old.bytes;
            self.tables -= usize::from(key.1 == Piece::Table);
        }
    }
}
