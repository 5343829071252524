//! Finds exact repeats of entries that have left the head already: sources and clients that
//! send a batch again after a crash or a lost answer.

use std::sync::Arc;

use hashbrown::HashMap;

use super::head::{Elsewhere, Head};
use super::state::HeadUnit;
use super::store::Shared;
use super::wal::EntryView;
use crate::model::{StreamId, Timestamp};

#[derive(Debug, Clone, Copy)]
struct Newest {
    ts: Timestamp,
    frozen_ns: i64,
}

/// The newest time of each stream in what was frozen lately. Only an entry that is not newer
/// is looked for, so streams in order cost one look-up a batch.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    newest: HashMap<StreamId, Newest>,
}

pub(super) struct Now<'a> {
    newest: &'a HashMap<StreamId, Newest>,
    sealing: Vec<Arc<HeadUnit>>,
}

impl Repeats {
    pub fn note_frozen(&mut self, head: &Head, now_ns: i64, window_ns: i64) {
        self.newest.retain(|_, newest| now_ns.saturating_sub(newest.frozen_ns) <= window_ns);
        for (id, ts) in head.newest() {
            self.note(id, ts, now_ns);
        }
    }

    pub fn note(&mut self, id: StreamId, ts: Timestamp, frozen_ns: i64) {
        let newest = self.newest.entry(id).or_insert(Newest { ts, frozen_ns });
        newest.ts = newest.ts.max(ts);
        newest.frozen_ns = newest.frozen_ns.max(frozen_ns);
    }

    pub fn now(&mut self, shared: &Shared) -> Now<'_> {
        Now { newest: &self.newest, sealing: shared.state.read().sealing.clone() }
    }
}

impl Elsewhere for Now<'_> {
    fn newest(&mut self, id: StreamId) -> Option<Timestamp> {
        self.newest.get(&id).map(|newest| newest.ts)
    }

    fn holds(&mut self, id: StreamId, ts: Timestamp, entry: &EntryView<'_>) -> bool {
        self.sealing.iter().any(|unit| unit.head.holds(id, ts, entry))
    }
}
