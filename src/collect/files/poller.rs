//! Reads all files of one source, step by step. Everything happens in `poll_once`, with the time
//! as an argument, so that tests need no sleeps.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::glob::Glob;
use super::identity::FileKey;
use super::memory::Memory;
use super::scan::Lookout;
use super::tail::{BLOCK_BYTES, Stage, Step, Tail, Taken};
use crate::collect::batch::SourceBatch;
use crate::collect::context::SourceContext;
use crate::collect::settings::Start;
use crate::collect::status::SourceState;
use crate::limits::{FILE_ROUND_BYTES, SOURCE_BATCH_BYTES_MAX};
use crate::model::{Batch, Position};
use crate::text::multiline::MultilineRule;

/// What a files source reads and how.
pub(in crate::collect) struct FilesSettings {
    pub include: Vec<Glob>,
    pub exclude: Vec<Glob>,
    pub rule: Option<MultilineRule>,
    /// `None` is the default: files of the last day, of large ones the last part.
    pub start: Option<Start>,
    pub ignore_older: Option<Duration>,
    pub rotate_wait: Duration,
    pub open_max: usize,
}

/// Nobody takes batches any more.
#[derive(Debug)]
pub(in crate::collect) struct Closed;

pub(in crate::collect) type Deliver<'a> = dyn FnMut(SourceBatch) -> Result<(), Closed> + 'a;

/// What a round found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::collect) enum Pace {
    Idle,
    /// Something was read.
    Busy,
    /// There is more that can be read at once.
    Behind,
}

pub(in crate::collect) struct Poller {
    pub(super) ctx: SourceContext,
    pub(super) settings: FilesSettings,
    pub(super) tails: BTreeMap<FileKey, Tail>,
    /// Files that look like copies of one that is being read, until it is clear what they are.
    pub(super) waiting: BTreeMap<FileKey, Waiting>,
    pub(super) memory: Memory,
    pub(super) scanned: bool,
    pub(super) next_scan_ns: i64,
    /// Files whose position is to be written with the next batch.
    pub(super) moved: BTreeSet<FileKey>,
    /// Positions beside those of files, to be written with the next batch.
    pub(super) notes: Vec<Position>,
    pub(super) errors: BTreeMap<String, String>,
    batch: Batch,
    batch_bytes: usize,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub of: FileKey,
    pub size: u64,
    pub since_ns: i64,
}

impl Poller {
    pub fn new(ctx: SourceContext, settings: FilesSettings) -> Self {
        let memory = Memory::load(&*ctx.positions);
        Poller {
            batch: ctx.batch(),
            memory,
            ctx,
            settings,
            tails: BTreeMap::new(),
            waiting: BTreeMap::new(),
            scanned: false,
            next_scan_ns: i64::MIN,
            moved: BTreeSet::new(),
            notes: Vec::new(),
            errors: BTreeMap::new(),
            batch_bytes: 0,
            buffer: vec![0; BLOCK_BYTES],
        }
    }

    /// Looks for files when it is time to, reads each file a little, and delivers what was read
    /// together with the positions.
    pub fn poll_once(&mut self, now_ns: i64, deliver: &mut Deliver<'_>) -> Result<Pace, Closed> {
        if now_ns >= self.next_scan_ns {
            self.scan(now_ns);
        }
        // What was rotated away goes first: it is older.
        let (live, leaving): (Vec<&Tail>, Vec<&Tail>) =
            self.tails.values().partition(|tail| tail.stage == Stage::Live);
        let keys: Vec<FileKey> = leaving.into_iter().chain(live).map(|tail| tail.key).collect();
        let mut pace = Pace::Idle;
        for key in keys {
            match self.step(key, now_ns) {
                Pace::Idle => {}
                Pace::Busy if pace == Pace::Behind => {}
                busy => pace = busy,
            }
            if self.batch_bytes >= SOURCE_BATCH_BYTES_MAX {
                self.send(deliver)?;
            }
        }
        self.let_go(now_ns);
        self.close_surplus();
        self.send(deliver)?;
        Ok(pace)
    }

    /// Looks for files in the next round, as something may have changed.
    pub fn scan_soon(&mut self) {
        self.next_scan_ns = i64::MIN;
    }

    /// Gives out the records that are held, and their positions.
    pub fn flush(&mut self, now_ns: i64, deliver: &mut Deliver<'_>) -> Result<(), Closed> {
        let keys: Vec<FileKey> = self.tails.keys().copied().collect();
        for key in keys {
            let mut taken = Taken::default();
            if let Some(tail) = self.tails.get_mut(&key) {
                tail.flush_held(&mut taken);
            }
            self.keep(key, taken, now_ns);
        }
        self.send(deliver)
    }

    fn step(&mut self, key: FileKey, now_ns: i64) -> Pace {
        let Some(tail) = self.tails.get_mut(&key) else { return Pace::Idle };
        let mut taken = Taken::default();
        let rule = self.settings.rule.as_ref();
        let nuls = tail.nul_bytes();
        let result = tail.step(now_ns, FILE_ROUND_BYTES, rule, &mut self.buffer, &mut taken);
        if let Some(rule) = rule {
            tail.flush_idle(rule, now_ns, &mut taken);
        }
        let skipped_nuls = tail.nul_bytes() - nuls;
        let id = tail.path.display().to_string();
        let (pace, lag_bytes) = match result {
            Ok(Step::Idle) => (Pace::Idle, 0),
            Ok(Step::Read { left_bytes: 0 }) => (Pace::Busy, 0),
            Ok(Step::Read { left_bytes }) => (Pace::Behind, left_bytes),
            Ok(Step::Replaced) => {
                let past = tail.position(self.memory.scanned_ns);
                let label_path = past.path.clone();
                self.notes.extend(self.memory.retire(past));
                // If rotation made a copy, what was not read yet is read there.
                let copied = self.recover(&label_path, Lookout::Known, now_ns);
                if let Some(tail) = self.tails.get_mut(&key) {
                    if !copied {
                        tail.finish(now_ns, self.settings.rule.as_ref(), &mut taken);
                    }
                    tail.begin_again();
                }
                self.moved.insert(key);
                (Pace::Behind, 0)
            }
            Ok(Step::Gone) => {
                if tail.stage == Stage::Live {
                    tail.stage = Stage::Leaving { quiet_since_ns: now_ns };
                }
                (Pace::Idle, 0)
            }
            Err(error) => {
                self.fault(key, &error);
                return Pace::Idle;
            }
        };
        if pace != Pace::Idle || skipped_nuls > 0 {
            self.errors.remove(&id);
            self.ctx.status.target(&id, &id, |target| {
                target.state = SourceState::Running;
                target.last_error = None;
                target.lag_bytes = Some(lag_bytes);
            });
        }
        self.keep(key, taken, now_ns);
        pace
    }

    fn fault(&mut self, key: FileKey, error: &io::Error) {
        self.ctx.tally.errors.inc();
        let Some(tail) = self.tails.get(&key) else { return };
        let id = tail.path.display().to_string();
        let message = error.to_string();
        self.ctx.status.target(&id, &id, |target| {
            target.state = SourceState::Unreadable;
            target.last_error = Some(message.clone());
        });
        // Said once for each kind of failure, not at every round.
        if self.errors.insert(id.clone(), message.clone()).as_ref() != Some(&message) {
            tracing::warn!(source = %self.ctx.name, path = %id, error = %message, "file cannot be read");
        }
    }

    /// Puts what a file gave into the batch.
    pub(super) fn keep(&mut self, key: FileKey, taken: Taken, now_ns: i64) {
        let Some(tail) = self.tails.get(&key) else { return };
        if taken.bytes > 0 || !taken.entries.is_empty() {
            self.moved.insert(key);
        }
        let tally = &self.ctx.tally;
        tally.lines.inc_by(taken.lines);
        tally.bytes.inc_by(taken.bytes);
        tally.truncated.inc_by(taken.cut);
        if taken.lines > 0 {
            let id = tail.path.display().to_string();
            self.ctx.status.read(&id, taken.lines, taken.bytes, now_ns);
        }
        for entry in taken.entries {
            self.batch_bytes += entry.bytes();
            self.batch.push(&tail.labels, entry);
        }
    }

    fn send(&mut self, deliver: &mut Deliver<'_>) -> Result<(), Closed> {
        for key in std::mem::take(&mut self.moved) {
            if let Some(tail) = self.tails.get(&key) {
                let position = tail.position(self.memory.scanned_ns);
                let value = position.to_text();
                self.batch.positions.push(Position { source: key.to_string(), value });
                self.memory.known.insert(key, position);
            }
        }
        self.batch.positions.append(&mut self.notes);
        if self.batch.streams.is_empty() && self.batch.positions.is_empty() {
            return Ok(());
        }
        self.batch_bytes = 0;
        let batch = std::mem::replace(&mut self.batch, self.ctx.batch());
        deliver(self.ctx.deliver(batch))
    }

    /// Drops files that were rotated away and have been quiet long enough.
    fn let_go(&mut self, now_ns: i64) {
        let wait_ns = i64::try_from(self.settings.rotate_wait.as_nanos()).unwrap_or(i64::MAX);
        let quiet: Vec<FileKey> = self
            .tails
            .values()
            .filter(|tail| match tail.stage {
                Stage::Live => false,
                Stage::Leaving { quiet_since_ns } => {
                    now_ns.saturating_sub(quiet_since_ns) >= wait_ns
                }
            })
            .map(|tail| tail.key)
            .collect();
        for key in quiet {
            let mut taken = Taken::default();
            let Some(tail) = self.tails.get_mut(&key) else { continue };
            tail.finish(now_ns, self.settings.rule.as_ref(), &mut taken);
            self.keep(key, taken, now_ns);
            let Some(tail) = self.tails.remove(&key) else { continue };
            let position = tail.position(self.memory.scanned_ns);
            let value = position.to_text();
            self.notes.push(Position { source: key.to_string(), value });
            self.memory.known.insert(key, position);
            self.moved.remove(&key);
            self.ctx.claims.release(&key.to_string(), &self.ctx.name);
            let id = tail.path.display().to_string();
            if !self.tails.values().any(|other| other.path == tail.path) {
                self.ctx.status.remove_target(&id);
            }
        }
    }

    /// Gives back file descriptors of the files that have been quiet the longest.
    fn close_surplus(&mut self) {
        let mut open: Vec<(i64, FileKey)> = self
            .tails
            .values()
            .filter(|tail| tail.is_open())
            .map(|tail| (tail.active_ns, tail.key))
            .collect();
        let surplus = open.len().saturating_sub(self.settings.open_max);
        if surplus == 0 {
            return;
        }
        open.sort_unstable();
        for (_, key) in open.into_iter().take(surplus) {
            if let Some(tail) = self.tails.get_mut(&key) {
                tail.close();
            }
        }
    }

    /// Folders in which something may happen that is worth a look.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let roots = self.settings.include.iter().map(Glob::root);
        let parents = self.tails.values().filter_map(|tail| Some(tail.path.parent()?.to_owned()));
        roots.chain(parents).collect()
    }
}
