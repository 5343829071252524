//! Finds exact repeats of entries that have left the head already: sources and clients that
//! send a batch again after a crash or a lost answer.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::block::{BlockBuf, Wanted};
use super::deletes::Hidden;
use super::error::StoreError;
use super::head::{Elsewhere, Head};
use super::part::{Part, RunAt};
use super::state::HeadUnit;
use super::store::Shared;
use super::wal::{EntryView, Record};
use crate::model::{StreamId, Timestamp};

/// Blocks kept open. What is sent again comes in its old order, so few are needed.
const BLOCKS_MAX: usize = 4;
/// What is known of rows may take so much: that is some million entries.
const KNOWN_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Clone, Copy)]
struct Newest {
    ts: Timestamp,
    frozen_ns: i64,
}

struct OpenBlock {
    part: u64,
    block: usize,
    buffer: BlockBuf,
}

/// The newest time of each stream in what was frozen lately. Only an entry that is not newer
/// is looked for, so streams in order cost one look-up a batch.
pub(super) struct Repeats {
    newest: HashMap<StreamId, Newest>,
    /// Whether the parts that were there at the start have been looked at.
    primed: bool,
    blocks: Vec<OpenBlock>,
    known: Known,
    /// What times are read with.
    spare: Option<BlockBuf>,
    stored: Vec<u8>,
}

/// Sealing a head does not take longer.
const SEALED_AFTER_NS: i64 = 3600 * 1_000_000_000;

/// A block, by its part and its place there.
type BlockKey = (u64, usize);

/// What is known of the rows of blocks.
#[derive(Default)]
struct Known {
    /// Their times: nearly all that comes late has a time of its own and needs no look at lines.
    times: HashMap<BlockKey, Box<[i64]>>,
    /// Hashes of the rows, for sources whose times are whole seconds: many rows have one time
    /// then.
    hashes: HashMap<BlockKey, HashSet<u64>>,
    bytes: usize,
    /// In the order in which they came to be known, with their bytes.
    order: VecDeque<(BlockKey, Knowledge, usize)>,
}

#[derive(Clone, Copy)]
enum Knowledge {
    Times,
    Hashes,
}

impl Known {
    /// Makes room for so many bytes.
    fn take_room(&mut self, key: BlockKey, of: Knowledge, bytes: usize) {
        while self.bytes + bytes > KNOWN_BYTES_MAX {
            let Some((key, of, bytes)) = self.order.pop_front() else { break };
            self.bytes -= bytes;
            match of {
                Knowledge::Times => drop(self.times.remove(&key)),
                Knowledge::Hashes => drop(self.hashes.remove(&key)),
            }
        }
        self.bytes += bytes;
        self.order.push_back((key, of, bytes));
    }

    fn put_times(&mut self, key: BlockKey, times: &[i64]) {
        self.take_room(key, Knowledge::Times, size_of_val(times));
        self.times.insert(key, times.into());
    }

    fn put_hashes(&mut self, key: BlockKey, hashes: HashSet<u64>) {
        self.take_room(key, Knowledge::Hashes, hashes.capacity() * 9);
        self.hashes.insert(key, hashes);
    }
}

pub(super) struct Now<'a> {
    repeats: &'a mut Repeats,
    shared: &'a Shared,
    sealing: Vec<Arc<HeadUnit>>,
    parts: Arc<Vec<Arc<Part>>>,
    hidden: Hidden,
    /// Parts made before this are not looked at.
    since_ns: i64,
}

fn row_hash(ts: Timestamp, line: &str) -> u64 {
    xxh3_64_with_seed(line.as_bytes(), ts.0 as u64)
}

fn window_ns(shared: &Shared) -> i64 {
    i64::try_from(shared.options.thresholds.repeat_window.as_nanos()).unwrap_or(i64::MAX)
}

impl Repeats {
    pub fn new() -> Repeats {
        Repeats {
            newest: HashMap::new(),
            primed: false,
            blocks: Vec::new(),
            known: Known::default(),
            spare: None,
            stored: Vec::new(),
        }
    }

    pub fn note_frozen(&mut self, shared: &Shared, head: &Head, now_ns: i64) {
        let window_ns = window_ns(shared);
        // Either way, so that a clock that was set back does not keep streams for years.
        let is_near = |ns: i64| now_ns.saturating_sub(ns).saturating_abs() <= window_ns;
        self.newest.retain(|_, newest| is_near(newest.frozen_ns));
        self.blocks.clear();
        self.known = Known::default();
        for (id, ts) in head.newest() {
            self.note(id, ts, now_ns);
        }
    }

    fn note(&mut self, id: StreamId, ts: Timestamp, frozen_ns: i64) {
        let newest = self.newest.entry(id).or_insert(Newest { ts, frozen_ns });
        newest.ts = newest.ts.max(ts);
        newest.frozen_ns = newest.frozen_ns.max(frozen_ns);
    }

    /// What is there at this moment.
    pub fn now<'a>(&'a mut self, shared: &'a Shared, now_ns: i64) -> Now<'a> {
        let (sealing, parts, hidden) = {
            let state = shared.state.read();
            (state.sealing.clone(), state.parts.clone(), state.hidden.clone())
        };
        if !self.primed {
            self.primed = true;
            let since_ns = now_ns.saturating_sub(window_ns(shared));
            self.prime(shared, parts.iter().filter(|part| part.info.created_ns >= since_ns));
        }
        let since_ns = now_ns.saturating_sub(window_ns(shared));
        Now { repeats: self, shared, sealing, parts, hidden, since_ns }
    }

    /// Fills the head from a segment of the WAL. Repeats that were left out of the head are in
    /// the WAL all the same, so they are looked for again, in the parts that were young enough
    /// when the entries came: all of them came after the newest part was frozen.
    pub fn replay(&mut self, shared: &Shared, records: &[Record], done: &dyn Fn(u64)) {
        let Some((first, last)) =
            records.iter().filter_map(Record::span).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        else {
            return;
        };
        let parts = shared.state.read().parts.clone();
        let newest_ns = parts.iter().map(|part| part.info.created_ns).max().unwrap_or(i64::MAX);
        // A part is made a little after its head was frozen.
        let since_ns = newest_ns.saturating_sub(window_ns(shared)).saturating_sub(SEALED_AFTER_NS);
        self.prime(
            shared,
            parts
                .iter()
                .filter(|part| part.info.created_ns >= since_ns)
                .filter(|part| part.first() <= last && first <= part.last()),
        );
        for record in records {
            let state = shared.state.read().clone();
            let mut now = Now {
                repeats: &mut *self,
                shared,
                sealing: state.sealing,
                parts: state.parts,
                hidden: state.hidden,
                since_ns,
            };
            if state.active.head.add(record, &mut now).is_some_and(|added| added.entries > 0) {
                state.active.note_added(shared.options.clock.now_ns());
            }
            done(record.bytes().len() as u64);
        }
    }

    /// After a start the streams of recent parts are not known yet.
    fn prime<'p>(&mut self, shared: &Shared, parts: impl Iterator<Item = &'p Arc<Part>>) {
        for part in parts {
            match shared.cache.open(part) {
                Ok(opened) => {
                    for run in opened.table.blocks.iter().flat_map(|block| &block.runs) {
                        if let Some(row) = opened.table.streams.get(run.stream as usize) {
                            self.note(row.meta.id, run.last, part.info.created_ns);
                        }
                    }
                }
                Err(error) => {
                    shared.note_fault(part, error);
                }
            }
        }
    }

    /// The block, laid open; from memory when it was asked for lately.
    fn block(
        &mut self,
        shared: &Shared,
        part: &Part,
        at: usize,
    ) -> Result<Option<&BlockBuf>, StoreError> {
        let known =
            self.blocks.iter().position(|open| open.part == part.info.id && open.block == at);
        if let Some(known) = known {
            // The last is the one that was used last.
            self.blocks[known..].rotate_left(1);
            return Ok(self.blocks.last().map(|open| &open.buffer));
        }
        let opened = shared.cache.open(part)?;
        let Some(row) = opened.table.blocks.get(at) else { return Ok(None) };
        let mut buffer = if self.blocks.len() >= BLOCKS_MAX {
            self.blocks.remove(0).buffer
        } else {
            BlockBuf::new().map_err(StoreError::io(part.path()))?
        };
        let wanted = Wanted { lines: true, line_bytes: false, columns: false, metadata: true };
        opened.read_block(row, wanted, &mut self.stored, &mut buffer)?;
        self.blocks.push(OpenBlock { part: part.info.id, block: at, buffer });
        Ok(self.blocks.last().map(|open| &open.buffer))
    }

    /// Whether one of these rows of a block has this time.
    fn has_time(
        &mut self,
        shared: &Shared,
        part: &Part,
        at: usize,
        rows: Range<usize>,
        ts: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = (part.info.id, at);
        if !self.known.times.contains_key(&key) {
            let opened = shared.cache.open(part)?;
            let Some(row) = opened.table.blocks.get(at) else { return Ok(false) };
            let mut buffer = match self.spare.take() {
                Some(buffer) => buffer,
                None => BlockBuf::new().map_err(StoreError::io(part.path()))?,
            };
            let wanted = Wanted { lines: false, line_bytes: false, columns: true, metadata: false };
            opened.read_block(row, wanted, &mut self.stored, &mut buffer)?;
            self.known.put_times(key, buffer.times());
            self.spare = Some(buffer);
        }
        let times =
            self.known.times.get(&key).and_then(|times| times.get(rows)).unwrap_or_default();
        Ok(times.binary_search(&ts.0).is_ok())
    }

    /// Whether a row of a block can be this one; says yes for nothing hardly ever.
    fn has_row(
        &mut self,
        shared: &Shared,
        part: &Part,
        at: usize,
        ts: Timestamp,
        line: &str,
    ) -> Result<bool, StoreError> {
        let key = (part.info.id, at);
        if !self.known.hashes.contains_key(&key) {
            let Some(buffer) = self.block(shared, part, at)? else { return Ok(false) };
            let rows = 0..buffer.rows();
            let hashes: HashSet<u64> =
                rows.map(|row| row_hash(buffer.ts(row), buffer.line(row))).collect();
            self.known.put_hashes(key, hashes);
        }
        let hash = row_hash(ts, line);
        Ok(self.known.hashes.get(&key).is_some_and(|hashes| hashes.contains(&hash)))
    }

    fn part_holds(
        &mut self,
        shared: &Shared,
        hidden: &Hidden,
        part: &Part,
        id: StreamId,
        ts: Timestamp,
        entry: &EntryView<'_>,
    ) -> Result<bool, StoreError> {
        let opened = shared.cache.open(part)?;
        let Some((stream, runs)) = opened.runs_of(id) else { return Ok(false) };
        let run_of =
            |run: &RunAt| opened.table.blocks.get(run.block as usize)?.runs.get(run.run as usize);
        let from = runs.partition_point(|run| run_of(run).is_some_and(|run| run.last < ts));
        for run in runs.get(from..).unwrap_or_default() {
            let Some(of) = run_of(run).filter(|of| of.first <= ts) else { break };
            let (at, start) = (run.block as usize, run.row as usize);
            let rows = start..start + of.rows as usize;
            if !self.has_time(shared, part, at, rows.clone(), ts)?
                || !self.has_row(shared, part, at, ts, entry.line)?
            {
                continue;
            }
            let Some(buffer) = self.block(shared, part, at)? else { continue };
            let times = buffer.times().get(rows.clone()).unwrap_or_default();
            let from = rows.start + times.partition_point(|other| *other < ts.0);
            let to = rows.start + times.partition_point(|other| *other <= ts.0);
            let found = (from..to).find(|row| {
                let row = *row;
                buffer.line(row) == entry.line
                    && buffer.metadata_len(row) == entry.metadata_len
                    && (0..entry.metadata_len)
                        .map(|pair| buffer.metadata(row, pair))
                        .eq(entry.metadata())
            });
            if let Some(row) = found {
                // What a delete request hides is not there for who sends it anew.
                let hiding = opened.table.streams.get(stream as usize).and_then(|row| {
                    let mut hiding = hidden.of(&part.info, &row.tenant)?;
                    hiding.set_stream(&row.tenant, &row.meta);
                    Some(hiding)
                });
                if !hiding.is_some_and(|mut hiding| hiding.hides(buffer, row)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Elsewhere for Now<'_> {
    fn newest(&mut self, id: StreamId) -> Option<Timestamp> {
        self.repeats.newest.get(&id).map(|newest| newest.ts)
    }

    fn holds(&mut self, id: StreamId, ts: Timestamp, entry: &EntryView<'_>) -> bool {
        if self.sealing.iter().any(|unit| unit.head.holds(id, ts, entry)) {
            return true;
        }
        let parts = self.parts.clone();
        parts
            .iter()
            .filter(|part| part.first() <= ts && ts <= part.last())
            .filter(|part| part.info.created_ns >= self.since_ns)
            .any(|part| {
                // A part that cannot be read cannot tell; a repeat is better than a loss.
                let found = self.repeats.part_holds(self.shared, &self.hidden, part, id, ts, entry);
                found.unwrap_or_else(|error| {
                    self.shared.note_fault(part, error);
                    false
                })
            })
    }
}
