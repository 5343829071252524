//! Makes one part out of the rows of others, in order, without exact repeats and without rows
//! that are to go. Compaction, delete requests and retention by stream all write parts this way.
//!
//! Blocks of which every row stays, and that lie in order before everything else that is left,
//! are taken over as they are. Memory: of each input one block, packed and unpacked, and its
//! tables; of the output one block, its filters and index; 4 bytes for each token of a block
//! that is taken over; the hashes of entries of one stream and time, up to a maximum. With blocks
//! of 2 MiB, 10 inputs, parts of 512 MiB and 130,000 streams in all inputs that is below 300 MiB
//! whatever the lines are; compaction chooses its inputs accordingly.

use std::collections::HashSet;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3Default;

use super::deletes::Hiding;
use super::error::StoreError;
use super::manifest::PartInfo;
use super::part::{
    About, BlockRow, BlockSet, BlockTerms, Cursor, Opened, Part, PartWriter, RunRow, StoredBlock,
    StreamRow,
};
use super::store::Shared;
use crate::limits::MERGE_SEEN_MAX;
use crate::model::Timestamp;

/// A part to read and what is to be left out of it.
pub(super) struct Input {
    pub part: Arc<Part>,
    pub opened: Arc<Opened>,
    pub leave_out: LeaveOut,
}

/// Rows that do not go into the new part.
#[derive(Default)]
pub(super) struct LeaveOut {
    pub hiding: Option<Hiding>,
    /// Blocks in which `hiding` has rows; it is asked about no others.
    pub hidden_blocks: Option<BlockSet>,
    /// Streams that go altogether, by their number in the part.
    pub streams: HashSet<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Merged {
    /// `None` when no row is left.
    pub info: Option<PartInfo>,
    pub repeats: u64,
    pub left_out: u64,
    pub blocks_copied: u64,
    pub blocks_read: u64,
}

impl Input {
    pub fn new(shared: &Shared, part: &Arc<Part>) -> Result<Input, StoreError> {
        let opened = shared.cache.open(part).map_err(|error| noted(shared, part, error))?;
        Ok(Input { part: part.clone(), opened, leave_out: LeaveOut::default() })
    }
}

/// Names the part and moves it aside when the error says that it is damaged.
pub(super) fn noted(shared: &Shared, part: &Arc<Part>, error: StoreError) -> StoreError {
    if error.is_damage() {
        let again = StoreError::Damaged { path: part.path().to_owned(), what: error.to_string() };
        shared.note_fault(part, error);
        return again;
    }
    error
}

/// What becomes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// All rows stay.
    Stays,
    /// Each row has to be looked at.
    Unclear,
    Goes,
}

/// Place of a row in the order of the new part: stream, then time.
type Key = (u32, Timestamp);

struct Source {
    part: Arc<Part>,
    cursor: Cursor,
    leave_out: LeaveOut,
    /// Place of each stream of the part among all streams of all inputs.
    ranks: Vec<u32>,
    key: Option<Key>,
    fate: Fate,
    /// The stream that `hiding` was told of.
    told: Option<u32>,
    terms: Option<Terms>,
}

/// The index of an input, block by block.
struct Terms {
    tokens: BlockTerms,
    runs: BlockTerms,
}

impl Source {
    fn opened(&self) -> &Arc<Opened> {
        self.cursor.opened()
    }

    /// To be called when the cursor has moved.
    fn settle(&mut self) {
        self.key = self.cursor.stream_at().map(|stream| (self.rank(stream), self.cursor.ts()));
        if self.cursor.is_at_block_start() {
            self.fate = self.fate_of_block();
        }
    }

    fn rank(&self, stream: u32) -> u32 {
        self.ranks.get(stream as usize).copied().unwrap_or(u32::MAX)
    }

    fn fate_of_block(&self) -> Fate {
        let Some(block) = self.cursor.block() else { return Fate::Stays };
        let of_streams = &self.leave_out.streams;
        let going = block.runs.iter().filter(|run| of_streams.contains(&run.stream)).count();
        if going == block.runs.len() && going > 0 {
            return Fate::Goes;
        }
        let Some(hiding) = &self.leave_out.hiding else {
            return if going > 0 { Fate::Unclear } else { Fate::Stays };
        };
        let at = self.cursor.block_at();
        if self.leave_out.hidden_blocks.as_ref().is_some_and(|blocks| !blocks.contains(at)) {
            return if going > 0 { Fate::Unclear } else { Fate::Stays };
        }
        let streams = &self.opened().table.streams;
        let all = block.runs.iter().all(|run| {
            of_streams.contains(&run.stream)
                || streams.get(run.stream as usize).is_some_and(|stream| {
                    hiding.hides_all(&stream.tenant, &stream.meta, (run.first, run.last))
                })
        });
        if all { Fate::Goes } else { Fate::Unclear }
    }

    /// Whether the current row, which was read, is to go.
    fn leaves_out(&mut self) -> bool {
        if self.fate == Fate::Stays {
            return false;
        }
        let Some(stream) = self.cursor.stream_at() else { return false };
        if self.leave_out.streams.contains(&stream) {
            return true;
        }
        let Some(hiding) = &mut self.leave_out.hiding else { return false };
        if self.told != Some(stream) {
            let Some(row) = self.cursor.opened().table.streams.get(stream as usize) else {
                return false;
            };
            hiding.set_stream(&row.tenant, &row.meta);
            self.told = Some(stream);
        }
        let (block, row) = self.cursor.row();
        hiding.hides(block, row)
    }

    fn terms(&mut self, shared: &Shared) -> Result<&Terms, StoreError> {
        if self.terms.is_none() {
            let opened = self.cursor.opened();
            let index = shared.cache.index(&self.part, opened)?;
            let [tokens, runs] = index.terms_of_blocks(opened.table.blocks.len())?;
            self.terms = Some(Terms { tokens, runs });
        }
        self.terms.as_ref().ok_or_else(|| StoreError::Index("its index was not read".to_owned()))
    }
}

/// First and last place of a block.
fn span_of(block: &BlockRow, rank: impl Fn(u32) -> u32) -> Option<(Key, Key)> {
    let (first, last) = (block.runs.first()?, block.runs.last()?);
    Some(((rank(first.stream), first.first), (rank(last.stream), last.last)))
}

struct Merge<'a> {
    shared: &'a Shared,
    sources: Vec<Source>,
    streams: Vec<StreamRow>,
    writer: PartWriter,
    block_bytes: u64,
    /// The stream that the writer is at.
    rank: Option<u32>,
    last: Option<Key>,
    /// The entries of the current place.
    seen: Seen,
    /// Whether other inputs have rows of the current place too.
    shared_place: bool,
    merged: Merged,
}

pub(super) fn merge(
    shared: &Shared,
    inputs: Vec<Input>,
    about: About,
) -> Result<Merged, StoreError> {
    // Equal streams get one place: inputs are sorted by (tenant, labels) alike.
    let mut streams: Vec<StreamRow> =
        inputs.iter().flat_map(|input| input.opened.table.streams.iter().cloned()).collect();
    streams.sort_by(|a, b| (&a.tenant, &a.meta.labels).cmp(&(&b.tenant, &b.meta.labels)));
    streams.dedup_by(|a, b| a.meta.id == b.meta.id && a.tenant == b.tenant);
    let mut sources = Vec::with_capacity(inputs.len());
    for Input { part, opened, leave_out } in inputs {
        let ranks = ranks(&opened.table.streams, &streams);
        let cursor = Cursor::new(opened).map_err(|error| noted(shared, &part, error))?;
        let mut source = Source {
            part,
            cursor,
            leave_out,
            ranks,
            key: None,
            fate: Fate::Stays,
            told: None,
            terms: None,
        };
        source.settle();
        sources.push(source);
    }
    let block_bytes = about.block_bytes as u64;
    let writer = PartWriter::create(&shared.files, &shared.parts_folder(), about)?;
    let mut merge = Merge {
        shared,
        sources,
        streams,
        writer,
        block_bytes,
        rank: None,
        last: None,
        seen: Seen::new(MERGE_SEEN_MAX),
        shared_place: false,
        merged: Merged::default(),
    };
    let walked = merge.walk();
    let Merge { writer, mut merged, .. } = merge;
    match walked {
        Ok(()) if writer.is_empty() => writer.abandon(),
        Ok(()) => merged.info = Some(writer.finish()?),
        Err(error) => {
            writer.abandon();
            return Err(error);
        }
    }
    Ok(merged)
}

/// Both lists are sorted alike, and `all` holds every stream of `of_part`.
fn ranks(of_part: &[StreamRow], all: &[StreamRow]) -> Vec<u32> {
    let mut at = 0;
    of_part
        .iter()
        .map(|stream| {
            while all.get(at).is_some_and(|other| {
                other.meta.id != stream.meta.id || other.tenant != stream.tenant
            }) {
                at += 1;
            }
            at as u32
        })
        .collect()
}

impl Merge<'_> {
    fn walk(&mut self) -> Result<(), StoreError> {
        while let Some((at, key, others)) = self.next() {
            let Some(source) = self.sources.get_mut(at) else { return Ok(()) };
            if source.cursor.is_at_block_start() {
                if source.fate == Fate::Goes {
                    let rows = source.cursor.block().map_or(0, |block| u64::from(block.rows));
                    self.merged.left_out += rows;
                    source.cursor.skip_block();
                    source.settle();
                    continue;
                }
                if self.can_copy(at, others) {
                    self.copy(at)?;
                    continue;
                }
                let Some(source) = self.sources.get_mut(at) else { return Ok(()) };
                source.cursor.load().map_err(|error| noted(self.shared, &source.part, error))?;
                self.merged.blocks_read += 1;
            }
            self.row(at, key, others)?;
        }
        Ok(())
    }

    /// The source with the next row, where that is, and where the next of all others is.
    fn next(&self) -> Option<(usize, Key, Option<Key>)> {
        let mut least: Option<(usize, Key)> = None;
        let mut others: Option<Key> = None;
        for (at, source) in self.sources.iter().enumerate() {
            let Some(key) = source.key else { continue };
            match least {
                Some((_, first)) if first <= key => {
                    others = Some(others.map_or(key, |other| other.min(key)));
                }
                _ => {
                    let before = least.map(|(_, key)| key);
                    others = before.map_or(others, |key| Some(others.map_or(key, |o| o.min(key))));
                    least = Some((at, key));
                }
            }
        }
        least.map(|(at, key)| (at, key, others))
    }

    fn can_copy(&self, at: usize, others: Option<Key>) -> bool {
        let Some(source) = self.sources.get(at) else { return false };
        let Some(block) = source.cursor.block() else { return false };
        if source.fate != Fate::Stays {
            return false;
        }
        if self.sources.len() == 1 {
            return true;
        }
        let Some((first, last)) = span_of(block, |stream| source.rank(stream)) else {
            return false;
        };
        // Small blocks are what merging is to get rid of.
        block.raw_bytes() >= self.block_bytes / 2
            && others.is_none_or(|other| last < other)
            && self.last.is_none_or(|before| before < first)
    }

    fn copy(&mut self, at: usize) -> Result<(), StoreError> {
        let Some(source) = self.sources.get_mut(at) else { return Ok(()) };
        let part = source.part.clone();
        let fault = |error| noted(self.shared, &part, error);
        let opened = source.opened().clone();
        let Some(row) = source.cursor.block().cloned() else { return Ok(()) };
        let block_at = source.cursor.block_at();
        let filter = opened.filter(&row).map_err(fault)?;
        let bytes = source.cursor.stored_block().map_err(fault)?.to_vec();
        source.terms(self.shared).map_err(fault)?;
        let ranks: Vec<u32> = row.runs.iter().map(|run| source.rank(run.stream)).collect();
        let mut runs = Vec::with_capacity(row.runs.len());
        for (run, rank) in row.runs.iter().zip(ranks) {
            let stream = self.start_stream(rank);
            runs.push(RunRow { stream, ..*run });
        }
        {
            let Some(source) = self.sources.get(at) else { return Ok(()) };
            let Some(terms) = &source.terms else { return Ok(()) };
            let (mut tokens, mut text_runs) = (terms.tokens.of(block_at), terms.runs.of(block_at));
            self.writer.push_block(StoredBlock {
                bytes: &bytes,
                row: BlockRow { runs, ..row },
                filter: filter.as_deref(),
                tokens: &mut tokens,
                runs: &mut text_runs,
            })?;
        }
        self.merged.blocks_copied += 1;
        let Some(source) = self.sources.get_mut(at) else { return Ok(()) };
        if let Some(block) = source.cursor.block() {
            self.last = span_of(block, |stream| source.rank(stream)).map(|(_, last)| last);
        }
        self.shared_place = false;
        self.seen.clear();
        source.cursor.skip_block();
        source.settle();
        Ok(())
    }

    /// Makes the rows that follow those of a stream and gives its number in the new part.
    fn start_stream(&mut self, rank: u32) -> u32 {
        if self.rank != Some(rank)
            && let Some(stream) = self.streams.get(rank as usize)
        {
            self.writer.start_stream(&stream.tenant, &stream.meta);
            self.rank = Some(rank);
        }
        self.writer.next_stream().saturating_sub(1)
    }

    fn row(&mut self, at: usize, key: Key, others: Option<Key>) -> Result<(), StoreError> {
        let Some(source) = self.sources.get_mut(at) else { return Ok(()) };
        if source.leaves_out() {
            self.merged.left_out += 1;
        } else {
            // One part holds no repeats: they were dropped when they came in. So only places
            // that several inputs have are looked at.
            if self.last != Some(key) {
                self.seen.clear();
                self.shared_place = false;
            }
            self.shared_place |= others == Some(key);
            let is_repeat = self.shared_place && self.seen.has(entry_hash(&source.cursor));
            if is_repeat {
                self.merged.repeats += 1;
            } else {
                self.start_stream(key.0);
                let Some(source) = self.sources.get(at) else { return Ok(()) };
                self.writer.push(key.1, source.cursor.line(), source.cursor.metadata())?;
                self.last = Some(key);
            }
        }
        if let Some(source) = self.sources.get_mut(at) {
            source.cursor.advance();
            source.settle();
        }
        Ok(())
    }
}

/// Hashes of entries; 128 bits, so that equal means the same. When there are too many, repeats of
/// the others stay: a program that gives a million lines one time has other worries.
struct Seen {
    hashes: HashSet<u128>,
    most: usize,
}

impl Seen {
    fn new(most: usize) -> Seen {
        Seen { hashes: HashSet::new(), most }
    }

    /// Whether the entry came before; it has from now on.
    fn has(&mut self, hash: u128) -> bool {
        if self.hashes.len() < self.most {
            !self.hashes.insert(hash)
        } else {
            self.hashes.contains(&hash)
        }
    }

    fn clear(&mut self) {
        self.hashes.clear();
    }
}

fn entry_hash(cursor: &Cursor) -> u128 {
    let mut hash = Xxh3Default::new();
    hash.update(cursor.line().as_bytes());
    for (name, value) in cursor.metadata() {
        hash.update(&[0xff]);
        hash.update(name.as_bytes());
        hash.update(&[0xfe]);
        hash.update(value.as_bytes());
    }
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_bounded() {
        let mut seen = Seen::new(3);
        assert_eq!(
            [1, 2, 1, 3, 4, 4, 3].map(|hash| seen.has(hash)),
            [false, false, true, false, false, false, true]
        );
        assert_eq!(seen.hashes.len(), 3);
        seen.clear();
        assert_eq!([4, 4].map(|hash| seen.has(hash)), [false, true]);
    }
}
