//! Acknowledged batches, for live tails and for rules that count as lines come in.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

use crate::limits::TAIL_QUEUE_BATCHES_MAX;
use crate::model::Batch;

/// What was stored of one batch: exact repeats are left out, positions too.
#[derive(Debug)]
pub struct TailBatch {
    batch: Batch,
    /// Entries stored before this batch that no tail was given, because slow ones held too much.
    pub skipped: u64,
    /// Entries stored before this batch while somebody followed, skipped ones among them: a gap to
    /// the batch before says how many a slow follower missed.
    pub before: u64,
    bytes: u64,
    held: Arc<AtomicU64>,
}

impl Deref for TailBatch {
    type Target = Batch;
    fn deref(&self) -> &Batch {
        &self.batch
    }
}

impl Drop for TailBatch {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct Tail {
    sender: broadcast::Sender<Arc<TailBatch>>,
    held: Arc<AtomicU64>,
    skipped: AtomicU64,
    entries: AtomicU64,
    bytes_max: u64,
}

impl Tail {
    pub fn new(bytes_max: u64) -> Self {
        Tail {
            sender: broadcast::Sender::new(TAIL_QUEUE_BATCHES_MAX),
            held: Arc::default(),
            skipped: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            bytes_max,
        }
    }

    pub fn subscribe(&self) -> broadcast::Receiver<Arc<TailBatch>> {
        self.sender.subscribe()
    }

    /// `repeats` are places in the batch, in order, as (stream, entry).
    pub fn send(&self, mut batch: Batch, repeats: &[(usize, usize)]) {
        if self.sender.receiver_count() == 0 {
            return;
        }
        let mut repeats = repeats.iter().copied().peekable();
        if repeats.peek().is_some() {
            for (stream_at, stream) in batch.streams.iter_mut().enumerate() {
                let mut entry_at = 0;
                stream.entries.retain(|_| {
                    let repeat = repeats.next_if_eq(&(stream_at, entry_at)).is_some();
                    entry_at += 1;
                    !repeat
                });
            }
            batch.streams.retain(|stream| !stream.entries.is_empty());
        }
        batch.positions.clear();
        if batch.streams.is_empty() {
            return;
        }
        let bytes = batch.bytes() as u64;
        let before = self.entries.fetch_add(batch.entries() as u64, Ordering::Relaxed);
        let held = self.held.load(Ordering::Relaxed);
        // A batch that is larger than all room goes to tails that keep up.
        if held > 0 && held + bytes > self.bytes_max {
            self.skipped.fetch_add(batch.entries() as u64, Ordering::Relaxed);
            return;
        }
        self.held.fetch_add(bytes, Ordering::Relaxed);
        let skipped = self.skipped.swap(0, Ordering::Relaxed);
        let tailed = TailBatch { batch, skipped, before, bytes, held: self.held.clone() };
        // Fails only when the last receiver has just gone.
        let _ = self.sender.send(Arc::new(tailed));
    }
}
