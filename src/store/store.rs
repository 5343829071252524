//! The store as its users hold it: opening, appending, positions, closing.

use std::any::Any;
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, oneshot};

use super::counters::Counters;
use super::deletes::{self, Book};
use super::error::{AppendError, StoreError};
use super::files::Files;
use super::manifest::Manifest;
use super::options::StoreOptions;
use super::part::{Part, PartCache, PartFile};
use super::read::ReadError;
use super::recover::{move_aside, quarantine_name, recover};
use super::repeats::Repeats;
use super::replay::replay;
use super::scan::Pool;
use super::seal::{self, Sealer};
use super::state::{HeadUnit, State};
use super::tail::{Tail, TailBatch};
use super::trust::Trust;
use super::wal::{Record, Segment};
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

/// Room above the stop mark at which a disk counts as not full any more.
const ROOM_BYTES: u64 = 1 << 20;

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
    pub cache: PartCache,
    pub pool: Pool,
    pub counters: Counters,
    pub degraded: Degraded,
    pub last_compaction_ns: AtomicI64,
    pub trust: Mutex<Trust>,
    /// Held while parts are merged or written anew.
    pub compacting: Mutex<()>,
    /// Days of which merging failed, and others are merged first.
    pub failed_days: Mutex<BTreeSet<String>>,
    /// Parts that could not be listed and are not needed; they go once a manifest is saved.
    pub unlisted: Mutex<Vec<Arc<Part>>>,
    /// The list of delete requests. Taken after `manifest` where both are needed.
    pub deletes: Mutex<Book>,
    /// Parts that were replaced and may still be read.
    pub leaving: Mutex<Vec<Weak<PartFile>>>,
    /// Segments of the WAL with damage that could not be kept elsewhere.
    pub damaged_segments: Mutex<BTreeSet<u64>>,
    /// When the next stream of a part is past its time.
    pub expiry: Mutex<HashMap<u64, i64>>,
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

    /// What the WAL takes on disk.
    pub fn wal_bytes(&self) -> u64 {
        let listed = self.files.list(&self.wal_folder()).unwrap_or_default();
        listed.iter().map(|file| file.bytes).sum()
    }

    pub fn parts_folder(&self) -> PathBuf {
        self.options.data_dir.join("parts")
    }

    /// Numbers are never used twice in one run, so that no file that may still be listed after
    /// a failed save is written over.
    pub fn next_part_id(&self) -> u64 {
        let mut manifest = self.manifest.lock();
        let id = manifest.next_part;
        manifest.next_part += 1;
        id
    }

    /// Replaces the manifest on disk, then what queries see. When the first fails nothing has
    /// changed.
    pub fn change_parts(
        &self,
        change: impl FnOnce(&mut Manifest),
        swap: impl FnOnce(&mut State),
    ) -> Result<(), StoreError> {
        // Dropped, and with that removed, when the lock is free again.
        let mut unlisted: Vec<Arc<Part>> = Vec::new();
        let mut manifest = self.manifest.lock();
        let mut changed = manifest.clone();
        change(&mut changed);
        changed.save(&*self.files, &self.options.data_dir)?;
        *manifest = changed;
        swap(&mut self.state.write());
        unlisted.append(&mut self.unlisted.lock());
        unlisted.iter().for_each(|part| part.doom());
        Ok(())
    }

    /// What a reader is told of a part that could not be read. A damaged one is moved aside, so
    /// that this query fails and the next ones have the rest.
    pub fn note_fault(&self, part: &Arc<Part>, error: StoreError) -> ReadError {
        match error {
            error if error.is_damage() => {
                self.quarantine(part, &error.to_string());
                ReadError::Damaged(error.to_string())
            }
            StoreError::Io { source, .. } => ReadError::Io(source),
            other => ReadError::Damaged(other.to_string()),
        }
    }

    /// The file first, then the list: what is in between at a crash is a part that is missing,
    /// and not one that nothing lists and a start removes.
    fn quarantine(&self, part: &Arc<Part>, what: &str) {
        let id = part.info.id;
        let name = quarantine_name(&part.info.day, id);
        if !self.manifest.lock().parts.iter().any(|info| info.id == id) {
            return;
        }
        if let Err(error) = move_aside(&*self.files, &self.options.data_dir, &part.info.day, id) {
            // The next start tries again, since the list will name it. Or it is gone already.
            tracing::error!(part = %name, %error, "damaged part could not be moved");
        }
        let was_listed = Cell::new(false);
        let changed = self.change_parts(
            |manifest| {
                let before = manifest.parts.len();
                manifest.parts.retain(|info| info.id != id);
                was_listed.set(manifest.parts.len() < before);
                if was_listed.get() {
                    manifest.quarantined.push(format!("{name}: {what}"));
                }
            },
            |state| {
                let rest = state.parts.iter().filter(|other| other.info.id != id);
                state.parts = Arc::new(rest.cloned().collect());
            },
        );
        self.cache.forget(id);
        match changed {
            // Another reader was faster.
            Ok(()) if !was_listed.get() => {}
            Ok(()) => {
                self.counters.quarantined("part");
                tracing::error!(part = %name, what, "moved a damaged part to the quarantine folder");
            }
            Err(error) => {
                tracing::error!(part = %name, what, %error, "damaged part could not be taken out");
            }
        }
    }

    pub fn note_seal(&self, failed: Option<StoreError>) {
        let mut degraded = self.degraded.seal.lock();
        let text = failed.map(|error| error.to_string());
        if text.is_some() && *degraded != text {
            tracing::error!(error = text.as_deref(), "the head could not be sealed; trying again");
        }
        *degraded = text;
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

    /// A full disk that has room again is no reason any more, also when nobody tries to append:
    /// whoever looks at readiness may be waiting for just that.
    pub fn forget_full_disk(&self) {
        let mut degraded = self.degraded.wal.lock();
        let was_full = degraded.as_deref() == Some(AppendError::DiskFull.to_string().as_str());
        if was_full && self.check_room(ROOM_BYTES).is_ok() {
            tracing::info!("the disk has room again");
            *degraded = None;
        }
    }

    pub fn note_wal(&self, refused: Option<&AppendError>) {
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
        // A power cut must not take the folders with all that is acknowledged in them. The one
        // above may be closed to us; it is there since somebody else made it then.
        files.sync_folder(&folder).map_err(StoreError::io(&folder))?;
        if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
            let _ = files.sync_folder(above);
        }
        let lock_path = folder.join("lock");
        let lock = files.lock(&lock_path).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => StoreError::Locked { path: folder.clone() },
            _ => StoreError::io(&lock_path)(error),
        })?;
        let counters = Counters::new(&options.metrics);
        let recovered = recover(&files, &folder, &counters)?;
        let trust = recovered.manifest.trust(options.clock.now_ns());
        let state = State {
            active: HeadUnit::empty(),
            sealing: Vec::new(),
            parts: Arc::new(recovered.parts),
            hidden: deletes::at_start(&recovered.deletes, &options),
        };
        let (pool, threads) = Pool::start(options.thresholds.scan_workers, options.idle)
            .map_err(StoreError::io(&folder))?;
        let shared = Arc::new(Shared {
            files,
            state: RwLock::new(state),
            positions: RwLock::new(Positions::new(recovered.manifest.positions.clone())),
            manifest: Mutex::new(recovered.manifest),
            queue: Queue::default(),
            sealer: Sealer::default(),
            tail: Tail::new(options.thresholds.tail_bytes_max),
            cache: PartCache::new(options.thresholds.cache_bytes_max),
            pool,
            counters,
            degraded: Degraded::default(),
            last_compaction_ns: AtomicI64::new(0),
            trust: Mutex::new(trust),
            compacting: Mutex::new(()),
            failed_days: Mutex::default(),
            unlisted: Mutex::default(),
            deletes: Mutex::new(recovered.deletes),
            leaving: Mutex::default(),
            damaged_segments: Mutex::default(),
            expiry: Mutex::default(),
            closing: AtomicBool::new(false),
            _lock: lock,
            options,
        });
        // From here on `close` stops what was started, also when the rest fails.
        let store = Store { shared: shared.clone(), threads: Mutex::new(threads) };
        let for_sealing = shared.clone();
        store.start("store-seal", move || seal::run(&for_sealing))?;
        let mut repeats = Repeats::new();
        let written = replay(&shared, &mut repeats, &recovered.segments)?;
        let wal = shared.wal_folder();
        let segment = Segment::create(&*shared.files, &wal, recovered.next_segment)
            .map_err(StoreError::io(&wal))?;
        shared.state.read().active.segments.lock().push(segment.number);
        let writer = Writer::new(shared, segment, repeats, written);
        store.start("store-wal", move || writer.run())?;
        Ok(Arc::new(store))
    }

    fn start(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(StoreError::io(&self.shared.options.data_dir))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Waits as long as this until heads that are being sealed leave room for more; tells whether
    /// they do. Who prepares a batch only to see it refused takes time from the sealing.
    pub async fn wait_for_room(&self, at_most: Duration) -> bool {
        let has_room = || {
            self.shared.state.read().sealing.len()
                <= self.shared.options.thresholds.sealing_heads_max
        };
        let wait = async {
            loop {
                let settled = self.shared.sealer.settled();
                if has_room() {
                    return;
                }
                settled.await;
            }
        };
        tokio::time::timeout(at_most, wait).await.is_ok()
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

    /// Seals the head and waits until it is in parts. Blocks, so not for async code.
    pub fn flush(&self) -> Result<(), StoreError> {
        let failures = self.shared.sealer.failures();
        let (answer, frozen) = oneshot::channel();
        self.shared
            .queue
            .push(Job::Freeze { answer: Some(answer) }, u64::MAX)
            .map_err(|_| StoreError::Closed)?;
        let frozen = frozen.blocking_recv().map_err(|_| StoreError::Closed)?;
        let last = frozen.map_err(|error| StoreError::Seal(error.to_string()))?;
        // Heads that are frozen later are none of it, or this might never end.
        seal::wait_sealed(&self.shared, last, failures)
    }

    /// Drops what was read of parts and not used since this was called last.
    pub fn drop_unused(&self) {
        self.shared.cache.drop_unused();
        self.shared.pool.drop_unused();
    }

    /// Takes no more batches, writes those that wait, and stops the threads. Entries of the
    /// head stay in the WAL; the next start reads them from there.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.queue.close();
        self.shared.sealer.wake();
        self.shared.pool.close();
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
