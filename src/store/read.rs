//! The narrow interface through which queries see the store. A remote engine can stand behind
//! it later, so nothing here knows of parts or blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::{Entry, Labels, Matcher, StreamId, TimeRange, Timestamp};

/// What every matching line must hold, so that blocks without it need not be read. The store
/// may let a block through for nothing, never leave one out; the query filters the rows itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hints {
    /// Each inner list is an "or": the line holds at least one of these substrings.
    /// The outer list is an "and".
    pub substrings: Vec<Vec<String>>,
    /// Case-insensitive ones (from `(?i)` literals), lower case, same shape.
    pub substrings_ci: Vec<Vec<String>>,
}

/// In which order rows are worth having. It is only a wish that makes early stops cheap: rows
/// inside one block always come in time order, blocks come roughly in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    Any,
    OldestFirst,
    NewestFirst,
}

/// Set from outside to end a scan: client gone, time limit, shutdown.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone)]
pub struct ScanRequest {
    pub tenant: String,
    pub matchers: Vec<Matcher>,
    pub range: TimeRange,
    pub hints: Hints,
    pub order: Order,
    pub cancel: Cancel,
    /// Stop with `ReadError::Budget` after this many bytes of line were read.
    pub bytes_max: u64,
    /// Whether the sink looks at lines at all; counting by stream does not.
    pub need_lines: bool,
    /// Whether the sink looks at structured metadata.
    pub need_metadata: bool,
}

/// A stream, as a scan names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamMeta {
    pub id: StreamId,
    pub labels: Labels,
}

/// Rows of one stream out of one block, in the order (time, arrival). Indexes go from 0 to
/// `len() - 1`; rows outside the requested range are already cut off.
pub trait Rows {
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    fn ts(&self, row: usize) -> Timestamp;
    /// Empty when the request said `need_lines: false`.
    fn line(&self, row: usize) -> &str;
    /// Byte length of the line, also when lines are not needed.
    fn line_bytes(&self, row: usize) -> usize;
    fn metadata_len(&self, row: usize) -> usize;
    fn metadata(&self, row: usize, at: usize) -> (&str, &str);
}

/// Whether a scan goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Continue,
    Stop,
}

/// Takes the rows of a scan.
pub trait RowSink {
    /// Asked before a block is read, with the first and last time in it (both inclusive):
    /// `false` when no row of that span can matter any more.
    fn wants(&mut self, first: Timestamp, last: Timestamp) -> bool {
        let _ = (first, last);
        true
    }
    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError>;
}

/// What a scan cost; shown in query statistics and explanations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanStats {
    pub streams: u64,
    pub parts: u64,
    pub parts_pruned: u64,
    pub blocks: u64,
    pub blocks_pruned: u64,
    pub rows: u64,
    pub bytes: u64,
    pub bytes_compressed: u64,
}

/// A stream and how much of it lies in a range (whole blocks may be counted at the edges).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStats {
    pub stream: StreamMeta,
    pub entries: u64,
    pub bytes: u64,
    pub chunks: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the query was cancelled")]
    Cancelled,
    #[error(
        "the query would read more than {bytes_max} bytes; narrow the time range or the selector"
    )]
    Budget { bytes_max: u64 },
    /// Raised by the sink (for instance: too many series).
    #[error("{0}")]
    Sink(String),
    #[error("reading the store: {0}")]
    Io(#[from] std::io::Error),
    #[error("damaged data: {0}")]
    Damaged(String),
}

/// What queries, rules and the page need of a store. Calls block; run them off the async runtime.
pub trait LogRead: Send + Sync + 'static {
    /// Streams that match all matchers and have entries in the range, sorted by labels.
    fn streams(
        &self,
        tenant: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<StreamStats>, ReadError>;

    fn scan(&self, request: &ScanRequest, sink: &mut dyn RowSink) -> Result<ScanStats, ReadError>;
}

/// Entries held in memory as `LogRead`: for tests, `stockade test` and oracles.
#[derive(Debug, Clone, Default)]
pub struct MemoryLogs {
    streams: Vec<(StreamMeta, Vec<Entry>)>,
}

struct EntryRows<'a>(Vec<&'a Entry>);

impl Rows for EntryRows<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn ts(&self, row: usize) -> Timestamp {
        self.0[row].ts
    }
    fn line(&self, row: usize) -> &str {
        &self.0[row].line
    }
    fn line_bytes(&self, row: usize) -> usize {
        self.0[row].line.len()
    }
    fn metadata_len(&self, row: usize) -> usize {
        self.0[row].metadata.len()
    }
    fn metadata(&self, row: usize, at: usize) -> (&str, &str) {
        let (name, value) = &self.0[row].metadata[at];
        (name, value)
    }
}

impl MemoryLogs {
    /// Entries are kept in (time, arrival) order; exact repeats are dropped, as the store does.
    pub fn add(&mut self, tenant: &str, labels: &Labels, entry: Entry) {
        let id = labels.stream_id(tenant);
        let at = match self.streams.iter().position(|(meta, _)| meta.id == id) {
            Some(at) => at,
            None => {
                self.streams.push((StreamMeta { id, labels: labels.clone() }, Vec::new()));
                self.streams.len() - 1
            }
        };
        let entries = &mut self.streams[at].1;
        let end = entries.partition_point(|e| e.ts <= entry.ts);
        let start = entries.partition_point(|e| e.ts < entry.ts);
        if !entries[start..end].contains(&entry) {
            entries.insert(end, entry);
        }
    }

    fn matching<'a>(
        &'a self,
        tenant: &'a str,
        matchers: &'a [Matcher],
    ) -> impl Iterator<Item = &'a (StreamMeta, Vec<Entry>)> {
        self.streams.iter().filter(move |(meta, _)| {
            meta.id == meta.labels.stream_id(tenant)
                && matchers.iter().all(|m| m.matches(meta.labels.get(&m.name).unwrap_or_default()))
        })
    }
}

impl LogRead for MemoryLogs {
    fn streams(
        &self,
        tenant: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<StreamStats>, ReadError> {
        let mut found: Vec<StreamStats> = self
            .matching(tenant, matchers)
            .filter_map(|(meta, entries)| {
                let inside: Vec<&Entry> = entries.iter().filter(|e| range.contains(e.ts)).collect();
                let (first, last) = (inside.first()?.ts, inside.last()?.ts);
                Some(StreamStats {
                    stream: meta.clone(),
                    entries: inside.len() as u64,
                    bytes: inside.iter().map(|e| e.line.len() as u64).sum(),
                    chunks: 1,
                    first,
                    last,
                })
            })
            .collect();
        found.sort_by(|a, b| a.stream.labels.cmp(&b.stream.labels));
        Ok(found)
    }

    fn scan(&self, request: &ScanRequest, sink: &mut dyn RowSink) -> Result<ScanStats, ReadError> {
        let mut stats = ScanStats::default();
        for (meta, entries) in self.matching(&request.tenant, &request.matchers) {
            if request.cancel.is_cancelled() {
                return Err(ReadError::Cancelled);
            }
            let inside: Vec<&Entry> =
                entries.iter().filter(|e| request.range.contains(e.ts)).collect();
            let (Some(first), Some(last)) = (inside.first(), inside.last()) else { continue };
            if !sink.wants(first.ts, last.ts) {
                stats.blocks_pruned += 1;
                continue;
            }
            stats.streams += 1;
            stats.blocks += 1;
            stats.rows += inside.len() as u64;
            stats.bytes += inside.iter().map(|e| e.line.len() as u64).sum::<u64>();
            if stats.bytes > request.bytes_max {
                return Err(ReadError::Budget { bytes_max: request.bytes_max });
            }
            if sink.rows(meta, &EntryRows(inside))? == Flow::Stop {
                break;
            }
        }
        Ok(stats)
    }
}
