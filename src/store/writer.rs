//! The one thread that writes the WAL. Whatever waits is written together and made safe by one
//! sync; then the entries go to the head, and then the senders get their answer.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::error::AppendError;
use super::options::IDLE_AFTER;
use super::repeats::Repeats;
use super::state::HeadUnit;
use super::store::Shared;
use super::wal::{Record, Segment};
use crate::model::{Batch, Position};

/// What was done with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    pub entries: u64,
    /// Exact repeats of entries that were there already, left out.
    pub repeats: u64,
}

pub(super) type Answer = Result<Appended, AppendError>;

pub(super) enum Job {
    Append {
        record: Record,
        batch: Batch,
        answer: oneshot::Sender<Answer>,
    },
    /// Freeze the head, so that it is sealed. The answer is the number of the last segment of
    /// what is frozen by then.
    Freeze {
        answer: Option<oneshot::Sender<Result<u64, AppendError>>>,
    },
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: u64,
    closed: bool,
}

/// Jobs for the writer, bounded by the bytes of their records.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Queue {
    pub fn push(&self, job: Job, bytes_max: u64) -> Result<(), AppendError> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(AppendError::Closed);
        }
        if let Job::Append { record, .. } = &job {
            let bytes = record.bytes().len() as u64;
            // A batch that is larger than the whole queue must get through some time.
            if waiting.bytes > 0 && waiting.bytes + bytes > bytes_max {
                return Err(AppendError::Full);
            }
            waiting.bytes += bytes;
        }
        waiting.jobs.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_one();
    }

    pub fn bytes(&self) -> u64 {
        self.waiting.lock().bytes
    }

    /// Waits for jobs, and calls `idle` once when it has to wait for long; `None` once the queue
    /// is closed and empty.
    fn take(&self, idle: fn()) -> Option<VecDeque<Job>> {
        let mut waiting = self.waiting.lock();
        let mut told = false;
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return None;
            }
            if told {
                self.changed.wait(&mut waiting);
            } else if self.changed.wait_for(&mut waiting, IDLE_AFTER).timed_out() {
                told = true;
                MutexGuard::unlocked(&mut waiting, idle);
            }
        }
        Some(std::mem::take(&mut waiting.jobs))
    }

    /// Nobody works on the queue any more: those who wait are told so.
    fn abandon(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        waiting.jobs.clear();
    }

    fn done(&self, bytes: u64) {
        let mut waiting = self.waiting.lock();
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
    }
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    segment: Segment,
    repeats: Repeats,
    /// Whether anything was written since the head was frozen; positions alone count too.
    written: bool,
}

struct Pending {
    record: Record,
    batch: Batch,
    answer: oneshot::Sender<Answer>,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, segment: Segment, repeats: Repeats, written: bool) -> Writer {
        Writer { shared, segment, repeats, written }
    }

    pub fn run(mut self) {
        /// However the thread ends, nobody waits for it in vain.
        struct AtEnd(Arc<Shared>);
        impl Drop for AtEnd {
            fn drop(&mut self) {
                self.0.queue.abandon();
            }
        }
        let _at_end = AtEnd(self.shared.clone());
        while let Some(jobs) = self.shared.queue.take(self.shared.options.idle) {
            let mut group = Vec::new();
            for job in jobs {
                match job {
                    Job::Append { record, batch, answer } => {
                        group.push(Pending { record, batch, answer });
                    }
                    Job::Freeze { answer } => {
                        self.append(std::mem::take(&mut group));
                        let frozen = self.freeze();
                        if let Some(answer) = answer {
                            let _ = answer.send(frozen);
                        }
                    }
                }
            }
            self.append(group);
            let head = self.shared.state.read().active.head.totals();
            let thresholds = &self.shared.options.thresholds;
            // Positions and repeats fill only the WAL.
            if thresholds.are_reached(head.bytes, head.memory_bytes)
                || self.segment.bytes() >= thresholds.head_bytes_max.saturating_mul(2)
            {
                // Without room for a new segment the head just grows on until there is.
                let _ = self.freeze();
            }
        }
    }

    fn append(&mut self, group: Vec<Pending>) {
        if group.is_empty() {
            return;
        }
        let bytes: u64 = group.iter().map(|pending| pending.record.bytes().len() as u64).sum();
        let mut written: Vec<Pending> = Vec::with_capacity(group.len());
        let mut refused = Vec::new();
        let mut refusal = None;
        for pending in group {
            if refusal.is_none()
                && let Err(error) = self.write(&pending.record)
            {
                refusal = Some(error);
            }
            match &refusal {
                None => written.push(pending),
                Some(_) => refused.push(pending),
            }
        }
        let synced = if written.is_empty() {
            Ok(())
        } else {
            self.segment.sync().map_err(|error| AppendError::from_io(&error))
        };
        self.shared.note_wal(refusal.as_ref().or(synced.as_ref().err()));
        let refuse = |pending: Vec<Pending>, error: AppendError| {
            for pending in pending {
                let _ = pending.answer.send(Err(error.clone()));
            }
        };
        match synced {
            Ok(()) => written.into_iter().for_each(|pending| self.publish(pending)),
            Err(error) => refuse(written, error),
        }
        if let Some(error) = refusal {
            refuse(refused, error);
        }
        self.shared.queue.done(bytes);
    }

    fn write(&mut self, record: &Record) -> Result<(), AppendError> {
        self.shared.check_room(record.bytes().len() as u64)?;
        if self.segment.is_lost() {
            // A sync failed; the head goes on in a fresh file.
            self.segment = self.shared.next_segment(self.segment.number + 1)?;
            self.shared.state.read().active.segments.lock().push(self.segment.number);
        }
        self.written = true;
        self.segment.append(record).map_err(|error| AppendError::from_io(&error))
    }

    fn publish(&mut self, pending: Pending) {
        let shared = &self.shared;
        let unit = shared.state.read().active.clone();
        let now_ns = shared.options.clock.now_ns();
        let mut elsewhere = self.repeats.now(shared, now_ns);
        let answer = match unit.head.add(&pending.record, &mut elsewhere) {
            Some(added) => {
                unit.note_added(now_ns);
                shared.positions.write().apply(&pending.batch.positions);
                let repeats = added.repeats.len() as u64;
                shared.counters.appended(added.entries, repeats);
                shared.tail.send(pending.batch, &added.repeats);
                Ok(Appended { entries: added.entries, repeats })
            }
            // Records are well-formed by construction.
            None => Err(AppendError::Io("record is not well-formed".to_owned())),
        };
        let _ = pending.answer.send(answer);
    }

    /// Gives the head to the sealer and goes on with an empty one in a new segment.
    fn freeze(&mut self) -> Result<u64, AppendError> {
        let unit = self.shared.state.read().active.clone();
        let last = self.segment.number;
        if unit.head.is_empty() && !self.written {
            return Ok(last.saturating_sub(1));
        }
        self.segment = self.shared.next_segment(last + 1)?;
        self.written = false;
        let now_ns = self.shared.options.clock.now_ns();
        self.repeats.note_frozen(&self.shared, &unit.head, now_ns);
        *unit.positions.lock() = self.shared.positions.read().snapshot();
        {
            let mut state = self.shared.state.write();
            state.active = HeadUnit::new(self.segment.number);
            state.sealing.push(unit);
        }
        self.shared.sealer.wake();
        Ok(last)
    }
}

/// Where the sources stand.
#[derive(Debug, Default)]
pub(super) struct Positions(std::collections::BTreeMap<String, String>);

impl Positions {
    pub fn new(from: std::collections::BTreeMap<String, String>) -> Self {
        Positions(from)
    }

    pub fn apply(&mut self, positions: &[Position]) {
        for Position { source, value } in positions {
            if value.is_empty() {
                self.0.remove(source);
            } else {
                self.0.insert(source.clone(), value.clone());
            }
        }
    }

    pub fn get(&self, source: &str) -> Option<String> {
        self.0.get(source).cloned()
    }

    pub fn with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        self.0
            .range(prefix.to_owned()..)
            .take_while(|(source, _)| source.starts_with(prefix))
            .map(|(source, value)| (source.clone(), value.clone()))
            .collect()
    }

    pub fn snapshot(&self) -> std::collections::BTreeMap<String, String> {
        self.0.clone()
    }
}
