//! What a store is opened with.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::deletes::{Language, NoLanguage};
use super::files::{Files, RealFiles};
use super::replay::OpenProgress;
use crate::clock::SharedClock;
use crate::metrics::Metrics;
use crate::model::Matcher;

const MIB: u64 = 1 << 20;
/// More threads than this wait for memory more than they gain.
const SCAN_WORKERS_MAX: usize = 8;

/// What a stream takes in the table of an open part, with a dozen labels.
const STREAM_BYTES: u64 = 512;

/// Sizes and times at which the store acts. The defaults fit a memory budget of 256 MiB.
#[derive(Debug, Clone)]
pub struct Thresholds {
    /// Bytes of lines and metadata in the head at which it is sealed into parts.
    pub head_bytes_max: u64,
    /// Age of the head at which it is sealed however small it is.
    pub seal_after: Duration,
    /// Time without a new entry after which a head of a quarter of its size or more is sealed:
    /// parts take less memory and are searched faster.
    pub seal_idle: Duration,
    /// Pause before a failed seal is tried again.
    pub seal_retry: Duration,
    /// Bytes that may wait for the WAL; more are refused with `AppendError::Full`.
    pub queue_bytes_max: u64,
    /// Heads that may wait while another is sealed; with more appends are refused.
    pub sealing_heads_max: usize,
    /// Raw bytes of a block.
    pub block_bytes: usize,
    /// Compaction makes no part with more raw bytes than this, so that its index fits in memory.
    pub part_bytes_max: u64,
    /// Parts that compaction reads at once.
    pub compact_inputs_max: usize,
    /// Streams of all these parts together: their tables are in memory at once.
    pub compact_streams_max: u64,
    /// Small parts of a day above which no head is sealed before some of them are merged.
    pub day_parts_max: usize,
    /// So long such a head waits while parts are merged or written anew already.
    pub relieve_wait: Duration,
    /// Memory for the tables and indexes of parts that queries have opened.
    pub cache_bytes_max: u64,
    /// Threads that one scan may use, the one that asked for it included.
    pub scan_workers: usize,
    /// Bytes of batches that wait for slow tails, over all tails; more are skipped and counted.
    pub tail_bytes_max: u64,
    /// Parts made within this time are searched for exact repeats of what comes in.
    pub repeat_window: Duration,
}

impl Thresholds {
    /// Whether a head is to be sealed. Tiny entries cost memory beyond their bytes.
    pub(super) fn are_reached(&self, head_bytes: u64, memory_bytes: u64) -> bool {
        head_bytes >= self.head_bytes_max || memory_bytes >= self.head_bytes_max.saturating_mul(2)
    }

    /// Thresholds for a budget of memory. At their peak three heads are in memory (one takes in,
    /// one waits, one is being sealed), each a quarter larger than its lines; then the queue, the
    /// cache and the tails.
    pub fn for_budget(bytes: u64) -> Thresholds {
        let eighth = bytes / 8;
        Thresholds {
            head_bytes_max: eighth.clamp(4 * MIB, 512 * MIB),
            queue_bytes_max: eighth.clamp(4 * MIB, 512 * MIB),
            cache_bytes_max: eighth.max(4 * MIB),
            tail_bytes_max: eighth.clamp(4 * MIB, 512 * MIB),
            part_bytes_max: (bytes * 2).clamp(64 * MIB, 512 * MIB),
            compact_streams_max: (bytes / 4).max(4 * MIB) / STREAM_BYTES,
            ..Thresholds::default()
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds {
            head_bytes_max: 32 * MIB,
            seal_after: Duration::from_secs(30 * 60),
            seal_idle: Duration::from_secs(5),
            seal_retry: Duration::from_secs(1),
            queue_bytes_max: 32 * MIB,
            sealing_heads_max: 1,
            block_bytes: 2 << 20,
            part_bytes_max: 512 * MIB,
            compact_inputs_max: 10,
            compact_streams_max: 64 * MIB / STREAM_BYTES,
            day_parts_max: 64,
            relieve_wait: Duration::from_secs(1),
            cache_bytes_max: 32 * MIB,
            scan_workers: std::thread::available_parallelism()
                .map_or(1, NonZero::get)
                .min(SCAN_WORKERS_MAX),
            tail_bytes_max: 32 * MIB,
            repeat_window: Duration::from_secs(2 * 3600),
        }
    }
}

/// What is kept. The first limit that is reached counts; the oldest day goes first.
#[derive(Debug, Clone)]
pub struct Retention {
    pub age: Duration,
    /// Streams that are kept for another time than `age`.
    pub streams: Vec<StreamRetention>,
    pub bytes_max: Option<u64>,
    /// Free space on the disk below which old days are removed.
    pub disk_free_min_bytes: u64,
    /// Free space below which nothing is taken in any more, so that sealing, compaction and
    /// removal still have room to work.
    pub disk_free_stop_bytes: u64,
}

/// How long the streams that a selector means are kept. Of several that mean a stream the one
/// with the highest priority counts; among equals the shortest time.
#[derive(Debug, Clone)]
pub struct StreamRetention {
    pub matchers: Vec<Matcher>,
    pub priority: i32,
    pub age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            age: Duration::from_secs(90 * 24 * 3600),
            streams: Vec::new(),
            bytes_max: None,
            disk_free_min_bytes: 1024 * MIB,
            disk_free_stop_bytes: 128 * MIB,
        }
    }
}

#[derive(Clone)]
pub struct StoreOptions {
    pub data_dir: PathBuf,
    pub clock: SharedClock,
    pub metrics: Metrics,
    pub files: Arc<dyn Files>,
    pub thresholds: Thresholds,
    pub retention: Retention,
    /// Reads the queries of delete requests.
    pub language: Arc<dyn Language>,
    /// Time in which a delete request can be taken back; it is carried out afterwards.
    pub delete_cancel_period: Duration,
    /// Told how far `open` has come.
    pub progress: Arc<OpenProgress>,
    /// Called on a thread of the store that has worked and has nothing to do for `IDLE_AFTER`:
    /// allocators keep memory by thread.
    pub idle: fn(),
}

/// How long a thread waits for more before it counts as idle.
pub(super) const IDLE_AFTER: Duration = Duration::from_secs(1);

impl StoreOptions {
    /// The real disk and the default thresholds.
    pub fn new(data_dir: impl Into<PathBuf>, clock: SharedClock, metrics: &Metrics) -> Self {
        StoreOptions {
            data_dir: data_dir.into(),
            clock,
            metrics: metrics.clone(),
            files: Arc::new(RealFiles),
            thresholds: Thresholds::default(),
            retention: Retention::default(),
            language: Arc::new(NoLanguage),
            delete_cancel_period: Duration::from_secs(24 * 3600),
            progress: Arc::default(),
            idle: || {},
        }
    }
}
