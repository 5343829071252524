//! The store as its users hold it: opening, appending, positions, closing.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, oneshot};

use super::counters::Counters;
use super::error::{AppendError, StoreError};
use super::files::Files;
use super::head::Nowhere;
use super::manifest::{Loaded, Manifest};
use super::options::StoreOptions;
use super::repeats::Repeats;
use super::seal::Sealer;
use super::state::{HeadUnit, State};
use super::tail::{Tail, TailBatch};
use super::wal::{Record, Segment, replay, segment_name, segment_number};
use super::writer::{Appended, Job, Positions, Queue, Writer};
use crate::limits::WAL_RECORD_BYTES_MAX;
use crate::model::Batch;
use crate::redact::Redacted;

/// Lines kept on one disk. `open` starts the thread that writes the WAL and the one that seals
/// heads into parts; `close` stops them. Compaction and retention run when they are called.
pub struct Store {
    pub(super) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the threads of the store and its callers share.
pub(super) struct Shared {
    pub options: StoreOptions,
    pub files: Arc<dyn Files>,
    pub state: RwLock<State>,
    /// Held while the manifest is replaced; never while waiting for anything else.
    pub manifest: Mutex<Manifest>,
    pub queue: Queue,
    pub sealer: Sealer,
    pub positions: RwLock<Positions>,
    pub tail: Tail,
    pub counters: Counters,
    pub degraded: Degraded,
    pub wal_bytes: AtomicU64,
    pub closing: AtomicBool,
    /// Dropped last, when nobody touches the folder any more.
    _lock: Box<dyn Any + Send + Sync>,
}

/// Why the store does less than it should, if it does.
#[derive(Debug, Default)]
pub(super) struct Degraded {
    pub wal: Mutex<Option<String>>,
    pub seal: Mutex<Option<String>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("data_dir", &self.shared.options.data_dir).finish()
    }
}

impl Shared {
    pub fn wal_folder(&self) -> PathBuf {
        self.options.data_dir.join("wal")
    }

    pub fn next_segment(&self, number: u64) -> Result<Segment, AppendError> {
        Segment::create(&*self.files, &self.wal_folder(), number)
            .map_err(|error| AppendError::from_io(&error))
    }

    /// Refuses what would take the last free space, and what memory has no room for.
    pub fn check_room(&self, bytes: u64) -> Result<(), AppendError> {
        if self.state.read().sealing.len() > self.options.thresholds.sealing_heads_max {
            return Err(AppendError::Full);
        }
        let free = self.files.free_bytes(&self.options.data_dir).unwrap_or(u64::MAX);
        if free < self.options.retention.disk_free_stop_bytes.saturating_add(bytes) {
            return Err(AppendError::DiskFull);
        }
        Ok(())
    }

    pub fn note_wal(&self, refused: Option<&AppendError>, segment_bytes: u64) {
        self.wal_bytes.store(segment_bytes, Ordering::Relaxed);
        let mut degraded = self.degraded.wal.lock();
        match refused {
            None => *degraded = None,
            Some(error) => {
                self.counters.refused(error);
                let text = error.to_string();
                if !matches!(error, AppendError::Full) && degraded.as_ref() != Some(&text) {
                    tracing::error!(error = %text, "batches are refused");
                    *degraded = Some(text);
                }
            }
        }
    }
}

impl Store {
    pub fn open(options: StoreOptions) -> Result<Arc<Store>, StoreError> {
        let files = options.files.clone();
        let folder = options.data_dir.clone();
        for part in ["", "wal", "parts", "quarantine"] {
            let path = folder.join(part);
            files.create_folder(&path).map_err(StoreError::io(&path))?;
        }
        let lock_path = folder.join("lock");
        let lock = files.lock(&lock_path).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => StoreError::Locked { path: folder.clone() },
            _ => StoreError::io(&lock_path)(error),
        })?;
        let manifest = match Manifest::load(&*files, &folder)? {
            Loaded::Good(manifest) => manifest,
            Loaded::Missing => Manifest::default(),
            Loaded::Damaged => Manifest::default(),
        };
        let mut positions = Positions::new(manifest.positions.clone());
        let wal = folder.join("wal");
        let replayed = replay_wal(&*files, &wal, manifest.wal_floor, &mut positions)?;
        let next = replayed.last.map_or(manifest.wal_floor, |last| last + 1);
        let segment = Segment::create(&*files, &wal, next).map_err(StoreError::io(&wal))?;
        replayed.unit.segments.lock().push(next);
        let state =
            State { active: replayed.unit, sealing: Vec::new(), parts: Arc::new(Vec::new()) };
        let counters = Counters::new(&options.metrics);
        let shared = Arc::new(Shared {
            files,
            state: RwLock::new(state),
            manifest: Mutex::new(manifest),
            queue: Queue::default(),
            sealer: Sealer::default(),
            positions: RwLock::new(positions),
            tail: Tail::default(),
            counters,
            degraded: Degraded::default(),
            wal_bytes: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            _lock: lock,
            options,
        });
        let writer = Writer::new(shared.clone(), segment, Repeats::default());
        let writing = std::thread::Builder::new()
            .name("store-wal".to_owned())
            .spawn(move || writer.run())
            .map_err(StoreError::io(&folder))?;
        Ok(Arc::new(Store { shared, threads: Mutex::new(vec![writing]) }))
    }

    /// Stores a batch. Once this returns `Ok` the entries are safe on disk, seen by queries
    /// and tails, and the positions of the batch have moved.
    pub async fn append(&self, batch: Redacted<Batch>) -> Result<Appended, AppendError> {
        let answer = self.send(batch.into_inner())?;
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    /// The same for callers outside an async runtime.
    pub fn append_blocking(&self, batch: Redacted<Batch>) -> Result<Appended, AppendError> {
        let answer = self.send(batch.into_inner())?;
        answer.blocking_recv().unwrap_or(Err(AppendError::Closed))
    }

    fn send(
        &self,
        batch: Batch,
    ) -> Result<oneshot::Receiver<Result<Appended, AppendError>>, AppendError> {
        let record = Record::encode(&batch);
        let bytes = record.bytes().len();
        if bytes > WAL_RECORD_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes, bytes_max: WAL_RECORD_BYTES_MAX });
        }
        let (answer, receiver) = oneshot::channel();
        let bytes_max = self.shared.options.thresholds.queue_bytes_max;
        self.shared
            .queue
            .push(Job::Append { record, batch, answer }, bytes_max)
            .inspect_err(|error| self.shared.counters.refused(error))?;
        Ok(receiver)
    }

    pub fn position(&self, source: &str) -> Option<String> {
        self.shared.positions.read().get(source)
    }

    /// Positions of sources whose name starts with `prefix`, sorted by name.
    pub fn positions(&self, prefix: &str) -> Vec<(String, String)> {
        self.shared.positions.read().with_prefix(prefix)
    }

    /// Batches from now on, each after it is safe on disk.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<TailBatch>> {
        self.shared.tail.subscribe()
    }

    /// Takes no more batches, writes those that wait, and stops the threads. Entries of the
    /// head stay in the WAL; the next start reads them from there.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

struct ReplayedWal {
    unit: Arc<HeadUnit>,
    last: Option<u64>,
}

fn replay_wal(
    files: &dyn Files,
    folder: &Path,
    floor: u64,
    positions: &mut Positions,
) -> Result<ReplayedWal, StoreError> {
    let mut numbers: Vec<u64> = files
        .list(folder)
        .map_err(StoreError::io(folder))?
        .iter()
        .filter_map(|listed| segment_number(&listed.name))
        .collect();
    numbers.sort_unstable();
    let unit = HeadUnit::new(floor);
    unit.segments.lock().clear();
    for number in &numbers {
        let path = folder.join(segment_name(*number));
        if *number < floor {
            files.remove(&path).map_err(StoreError::io(&path))?;
            continue;
        }
        let found = replay(files, &path).map_err(StoreError::io(&path))?;
        for record in &found.records {
            if let Some(walk) = record.walk() {
                positions.apply(&walk.positions);
            }
            unit.head.add(record, &mut Nowhere);
        }
        unit.segments.lock().push(*number);
    }
    Ok(ReplayedWal { unit, last: numbers.last().copied() })
}
