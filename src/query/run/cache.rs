//! What range aggregations have found in sealed parts: a dashboard that is refreshed computes
//! only what is new.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::model::Labels;
use crate::store::read::PartKey;

use super::accumulate::Part;
use super::extract::SeriesKey;

/// A query as far as it matters for what is found in a part, and the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// A hash of tenant, aggregation and how time is cut.
    pub query: u128,
    pub part: PartKey,
}

/// What was found in a part.
#[derive(Debug, Default)]
pub struct Partial {
    pub series: Vec<PartialSeries>,
    /// Rows that passed all stages.
    pub matched: u64,
}

#[derive(Debug)]
pub struct PartialSeries {
    pub key: SeriesKey,
    pub labels: Labels,
    /// When each cell ends, and what is in it.
    pub cells: Vec<(i64, Part)>,
}

/// What takes room in a cache.
pub trait Weigh {
    fn bytes(&self) -> usize;
}

impl Weigh for Partial {
    fn bytes(&self) -> usize {
        let series = self.series.iter().map(|series| {
            super::series::bytes_of(&series.labels)
                + std::mem::size_of::<PartialSeries>()
                + series.cells.len() * std::mem::size_of::<(i64, Part)>()
        });
        series.sum::<usize>() + 128
    }
}

/// Results by query and part, those used least lately dropped first.
#[derive(Debug)]
pub struct ResultCache<T = Partial> {
    bytes_max: usize,
    /// Larger results are not kept: they would push out many others.
    result_bytes_max: usize,
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    results: HashMap<Key, (Arc<T>, u64)>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    /// Uses when it was last asked what is unused.
    looked_at: u64,
    bytes: usize,
}

impl<T: Weigh> ResultCache<T> {
    pub fn new(bytes_max: usize) -> Self {
        let (results, by_use) = (HashMap::new(), BTreeMap::new());
        let kept = Kept { results, by_use, uses: 0, looked_at: 0, bytes: 0 };
        ResultCache { bytes_max, result_bytes_max: bytes_max / 32, kept: Mutex::new(kept) }
    }

    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        let mut kept = self.kept.lock();
        kept.uses += 1;
        let now = kept.uses;
        let (found, used) = kept.results.get_mut(key)?;
        let found = Arc::clone(found);
        let before = std::mem::replace(used, now);
        kept.by_use.remove(&before);
        kept.by_use.insert(now, *key);
        Some(found)
    }

    pub fn put(&self, key: Key, partial: T) {
        let bytes = partial.bytes();
        if bytes > self.result_bytes_max {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.results.contains_key(&key) {
            return;
        }
        kept.uses += 1;
        let now = kept.uses;
        kept.bytes += bytes;
        kept.results.insert(key, (Arc::new(partial), now));
        kept.by_use.insert(now, key);
        while kept.bytes > self.bytes_max {
            if !kept.drop_oldest() {
                return;
            }
        }
    }

    /// Drops what was not used since this was called last.
    pub fn drop_unused(&self) {
        let mut kept = self.kept.lock();
        while kept.by_use.first_key_value().is_some_and(|(used, _)| *used <= kept.looked_at) {
            kept.drop_oldest();
        }
        kept.looked_at = kept.uses;
        kept.results.shrink_to_fit();
    }
}

impl<T: Weigh> Kept<T> {
    fn drop_oldest(&mut self) -> bool {
        let Some((_, oldest)) = self.by_use.pop_first() else { return false };
        if let Some((gone, _)) = self.results.remove(&oldest) {
            self.bytes -= gone.bytes();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_used_last() {
        let cache: ResultCache = ResultCache::new(128 * 32);
        let key = |part| Key { query: 1, part: PartKey(part) };
        for part in 0..32 {
            cache.put(key(part), Partial::default());
            assert!(cache.get(&key(0)).is_some());
        }
        cache.put(key(32), Partial::default());
        assert!(cache.get(&key(0)).is_some() && cache.get(&key(32)).is_some());
        assert!(cache.get(&key(1)).is_none());
        let other = Key { query: 2, ..key(0) };
        assert!(cache.get(&other).is_none());

        cache.drop_unused();
        assert!(cache.get(&key(0)).is_some());
        cache.drop_unused();
        assert!(cache.get(&key(0)).is_some() && cache.get(&key(32)).is_none());
        assert_eq!(cache.kept.lock().bytes, 128);
    }
}
