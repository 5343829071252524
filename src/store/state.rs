//! What a query sees: heads and parts at one moment. Taking a snapshot clones a few pointers;
//! each entry is in exactly one of the places of a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

use super::deletes::Hidden;
use super::head::Head;
use super::manifest::PartInfo;
use super::part::Part;

/// A head and the WAL segments its entries are in.
#[derive(Debug)]
pub struct HeadUnit {
    pub head: Head,
    pub segments: Mutex<Vec<u64>>,
    /// When the first entry came; `i64::MAX` while empty.
    first_added_ns: AtomicI64,
    last_added_ns: AtomicI64,
    /// Source positions as of the end of the last segment, set when the head is frozen.
    pub positions: Mutex<BTreeMap<String, String>>,
    /// Parts that hold all of it already but could not be listed in the manifest yet.
    pub written: Mutex<Option<Vec<PartInfo>>>,
}

impl HeadUnit {
    pub fn new(segment: u64) -> Arc<HeadUnit> {
        let unit = HeadUnit::empty();
        unit.segments.lock().push(segment);
        unit
    }

    /// Without a segment so far.
    pub fn empty() -> Arc<HeadUnit> {
        Arc::new(HeadUnit {
            head: Head::default(),
            segments: Mutex::default(),
            first_added_ns: AtomicI64::new(i64::MAX),
            last_added_ns: AtomicI64::new(i64::MIN),
            positions: Mutex::default(),
            written: Mutex::default(),
        })
    }

    pub fn note_added(&self, now_ns: i64) {
        self.first_added_ns.fetch_min(now_ns, Ordering::Relaxed);
        self.last_added_ns.store(now_ns, Ordering::Relaxed);
    }

    /// How long ago the last entry came.
    pub fn idle_ns(&self, now_ns: i64) -> i64 {
        now_ns.saturating_sub(self.last_added_ns.load(Ordering::Relaxed)).max(0)
    }

    /// A clock that was set back makes the head young again, not unborn for years.
    pub fn age_ns(&self, now_ns: i64) -> i64 {
        let first = self.first_added_ns.load(Ordering::Relaxed);
        if first != i64::MAX && now_ns < first {
            self.first_added_ns.fetch_min(now_ns, Ordering::Relaxed);
        }
        now_ns.saturating_sub(first).max(0)
    }

    pub fn last_segment(&self) -> u64 {
        self.segments.lock().iter().copied().max().unwrap_or_default()
    }
}

#[derive(Debug, Clone)]
pub struct State {
    /// Takes in new entries.
    pub active: Arc<HeadUnit>,
    /// Frozen, waiting to become parts; oldest first.
    pub sealing: Vec<Arc<HeadUnit>>,
    pub parts: Arc<Vec<Arc<Part>>>,
    /// Rows of the parts that delete requests hide.
    pub hidden: Hidden,
}

impl State {
    /// All heads, oldest first.
    pub fn heads(&self) -> impl DoubleEndedIterator<Item = &Arc<HeadUnit>> {
        self.sealing.iter().chain(std::iter::once(&self.active))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_grows_old_whatever_the_clock_does() {
        let unit = HeadUnit::new(1);
        assert_eq!(unit.age_ns(1000), 0);
        unit.note_added(1000);
        assert_eq!(unit.age_ns(1500), 500);
        // Set back by far: the age begins anew instead of never.
        assert_eq!(unit.age_ns(10), 0);
        assert_eq!(unit.age_ns(60), 50);
        assert_eq!(unit.age_ns(i64::MAX), i64::MAX - 10);
    }
}
