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
    /// Labels that a row must have with exactly this value, whether they are the stream's, come
    /// as metadata, or are cut out of the line by a parser that takes values as they stand.
    pub fields: Vec<FieldHint>,
}

/// A label and the value it must have.
///
/// A block may be left out when no selected stream of it has a label of this name, no row of it
/// has metadata of this name, no line of it holds a backslash (with which JSON and logfmt can
/// spell any character), and no line of it can hold the value as a substring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldHint {
    pub name: String,
    pub value: String,
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

    pub fn check(&self) -> Result<(), ReadError> {
        if self.is_cancelled() { Err(ReadError::Cancelled) } else { Ok(()) }
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
    /// Whether the sink asks for `Rows::line_bytes`; it answers 0 otherwise.
    pub need_line_bytes: bool,
    /// The sink reads columns where lines are kept as shapes (`Rows::shaped`), and calls
    /// `Rows::load_lines` before it reads a line of such rows.
    pub columns: bool,
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
    /// Byte length of the line, also when lines are not needed; see `need_line_bytes`.
    fn line_bytes(&self, row: usize) -> usize;
    fn metadata_len(&self, row: usize) -> usize;
    fn metadata(&self, row: usize, at: usize) -> (&str, &str);

    /// Times in nanoseconds, ascending, when they lie side by side.
    fn times(&self) -> Option<&[i64]> {
        None
    }
    /// The lines as shapes and columns, where they are kept so and the request asked for it.
    fn shaped(&self) -> Option<&dyn Shaped> {
        None
    }
    /// Builds all lines of these rows, so that `line` has them. Only rows that are `shaped`
    /// need it.
    fn load_lines(&self) -> Result<(), ReadError> {
        Ok(())
    }
}

/// Rows whose lines are kept as shapes: what many lines have in common once, and the values
/// that differ as columns.
pub trait Shaped {
    /// All shapes of the block that these rows are part of.
    fn shapes(&self) -> &[Shape];
    /// The shape of each row, as a place in `shapes`; `WHOLE` for a line that is kept whole.
    fn shape_ids(&self) -> &[u16];
    /// Where in the columns of a shape the first of these rows that has it stands. Later rows of
    /// that shape follow one by one.
    fn first_place(&self, shape: usize) -> usize;
    /// The values of a hole, for all rows of the block that have the shape.
    fn column(&self, shape: usize, hole: usize) -> Result<Column<'_>, ReadError>;
    /// The places in a column whose values a question is about, ascending; `None` when that
    /// takes `column`.
    fn seek(
        &self,
        shape: usize,
        hole: usize,
        question: Seek<'_>,
    ) -> Result<Option<Vec<u32>>, ReadError> {
        let _ = (shape, hole, question);
        Ok(None)
    }
    /// Builds one line at the end of `out`.
    fn line_into(&self, row: usize, out: &mut String) -> Result<(), ReadError>;
}

/// In `Shaped::shape_ids`: the line is kept whole.
pub const WHOLE: u16 = u16::MAX;

/// A question about the values of a hole.
#[derive(Debug, Clone, Copy)]
pub enum Seek<'a> {
    Equals(&'a str),
    /// The value holds the needle, together with what stands left and right of it.
    Holds {
        left: &'a str,
        needle: &'a str,
        right: &'a str,
        /// Whether a number can take part in it.
        numbers: bool,
    },
}

impl Seek<'_> {
    pub fn answers(&self, value: &[u8]) -> bool {
        match self {
            Seek::Equals(text) => text.as_bytes() == value,
            Seek::Holds { left, needle, right, .. } => {
                let around = [left.as_bytes(), value, right.as_bytes()].concat();
                memchr::memmem::find(&around, needle.as_bytes()).is_some()
            }
        }
    }
}

/// Lines that differ in their values alone: `pieces[0] hole[0] pieces[1] ... pieces[n]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub format: Format,
    /// One more than holes.
    pub pieces: Vec<String>,
    pub holes: Vec<Hole>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The whole line is one well-formed JSON object (RFC 8259), white space around tokens
    /// allowed; keys hold no backslash. Every leaf is a hole, but `null`, `{}` and `[]`, which
    /// stay in the pieces. Keys may occur twice; nothing is said about that.
    Json,
    /// The whole line is `key=value` pairs parted by single spaces, no key occurs twice, keys are
    /// of `[A-Za-z0-9_.-]`. Every value is a hole; empty bare values stay in the pieces.
    Logfmt,
    /// Any other line; holes have no meaning.
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// JSON: the keys from the outermost object to the leaf. Logfmt: the key. Text: empty.
    pub path: Vec<String>,
    pub kind: HoleKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoleKind {
    /// JSON: what stands between the quotes of a string, without backslash or control character.
    String,
    /// JSON: a number as it is written.
    Number,
    /// JSON: `true` or `false`.
    Bool,
    /// JSON: an array that is not empty, as it is written, whatever is in it.
    Array,
    /// Logfmt: a value without quotes: no space, `"`, `=`, backslash or control character.
    Bare,
    /// Logfmt: what stands between quotes, without `"`, backslash or control character.
    Quoted,
    /// A piece of text.
    Token,
}

/// The values of a hole, by place.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    /// A few distinct values, and for each place which one.
    Dictionary { values: &'a [&'a str], codes: &'a [u16] },
    /// Each value is what `i64::to_string` makes of the number.
    Integers(&'a [i64]),
    /// Each value is a number of tenths, hundredths..: exactly `scale` (1 to 9) digits behind the
    /// point and no useless leading zero, as in `-0.50` for `{ numbers: [-50], scale: 2 }`.
    /// Never `-0.00`.
    Decimals { numbers: &'a [i64], scale: u8 },
    /// Value `n` is `text[ends[n - 1]..ends[n]]`.
    Texts { text: &'a str, ends: &'a [u32] },
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
    /// Told before the rows of a block or of a piece of a head: what came in later has a larger
    /// number, so of equal times in one stream this tells which row is behind the other.
    fn block(&mut self, arrival: u64) {
        let _ = arrival;
    }
    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError>;

    /// An empty sink that takes a share of the blocks on another thread; `None` when rows must
    /// come one after the other. Asked for several times in a scan, on the calling thread. A fork
    /// is asked `wants` and given `rows`, by one thread at a time.
    fn fork(&self) -> Option<Box<dyn ForkedSink>> {
        None
    }
    /// Takes in what a fork of this sink has collected. Forks that were given nothing are not
    /// joined. Those of a part that `begin_part` asked for have rows of that part alone, and are
    /// joined between it and `end_part`; all others are joined outside of any part.
    fn join(&mut self, fork: Box<dyn ForkedSink>) -> Result<(), ReadError> {
        let _ = fork;
        Ok(())
    }

    /// Asked before the rows of a sealed part of which every row of the selected streams lies in
    /// the requested range: `false` when the sink knows the result of this part already. Parts of
    /// which few blocks are left to read may go unasked.
    fn begin_part(&mut self, part: PartKey) -> bool {
        let _ = part;
        true
    }
    /// All rows of the part that `begin_part` asked for last were handed over (or joined), but
    /// for those that no match can be among. Not called when the scan ends inside the part or
    /// `wants` left out a block of it.
    fn end_part(&mut self, part: PartKey) {
        let _ = part;
    }
}

/// A sink on another thread.
pub trait ForkedSink: RowSink + Send {
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send>;
}

/// Names the content of a part for good: an equal key means equal rows. A part of which rows are
/// hidden by a delete request is not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartKey(pub u64);

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

impl ScanStats {
    pub fn add(&mut self, other: &ScanStats) {
        let ScanStats { streams, parts, parts_pruned, blocks, blocks_pruned, .. } = other;
        self.streams += streams;
        self.parts += parts;
        self.parts_pruned += parts_pruned;
        self.blocks += blocks;
        self.blocks_pruned += blocks_pruned;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.bytes_compressed += other.bytes_compressed;
    }
}

/// A stream and how much of it lies in a range. Of a block that reaches over an end of the range
/// `bytes` are a share, and where such blocks are many each counts whole.
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
        cancel: &Cancel,
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
        _cancel: &Cancel,
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
