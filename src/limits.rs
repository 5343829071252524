//! Every maximum in the program and why it has that value. Limits that users may set have
//! Loki's names and live in `config::Limits`; these here are the walls behind them.

/// Longest line we keep whole; longer ones are cut with a marker (Loki's `max_line_size`).
pub const LINE_BYTES_MAX: usize = 256 * 1024;
/// Push bodies as received and after decompression (Loki: 100 MB and 5000 MB; the second is
/// lower here because one process holds everything).
pub const PUSH_BODY_BYTES_MAX: usize = 100 * 1024 * 1024;
pub const PUSH_DECODED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Query text (Loki: 131072 bytes).
pub const QUERY_BYTES_MAX: usize = 128 * 1024;
/// Nesting of parentheses, binary operators and template blocks: far above human use, far
/// below the stack.
pub const QUERY_DEPTH_MAX: usize = 200;
/// Compiled size of one user regex; the crate's own default of 10 MiB, made explicit.
pub const REGEX_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Entries a source may have read that are not yet in the WAL, per source.
pub const SOURCE_QUEUE_BATCHES_MAX: usize = 8;
/// Size at which a source hands over what it has read.
pub const SOURCE_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Live tails fall behind by at most this many batches before entries are dropped and counted.
pub const TAIL_QUEUE_BATCHES_MAX: usize = 1024;

/// Queries that run at the same time; the rest waits its turn. More would only share the same
/// cores and multiply memory.
pub const QUERIES_AT_ONCE_MAX: usize = 8;
/// Pushes decoded at the same time, and the bytes of their bodies held meanwhile.
pub const PUSHES_AT_ONCE_MAX: usize = 64;
pub const PUSH_BYTES_IN_FLIGHT_MAX: usize = 512 * 1024 * 1024;
/// Longest life of one live tail, as in Loki; clients reconnect.
pub const TAIL_SECS_MAX: u64 = 3600;
/// Entries in one frame of a live tail.
pub const TAIL_FRAME_ENTRIES_MAX: usize = 100;

const _: () = assert!(LINE_BYTES_MAX <= SOURCE_BATCH_BYTES_MAX);
const _: () = assert!(PUSH_BODY_BYTES_MAX <= PUSH_DECODED_BYTES_MAX);
const _: () = assert!(PUSH_BODY_BYTES_MAX <= PUSH_BYTES_IN_FLIGHT_MAX);
/// Stages of one pipeline, nested and included ones counted.
pub const PIPELINE_STAGES_MAX: usize = 1000;
/// `match` in `match`, and pipelines that include others: far above human use.
pub const PIPELINE_DEPTH_MAX: usize = 20;
/// Entries that go through the stages together, where no stage joins lines: keeps what was
/// extracted out of them small.
pub const PIPELINE_CHUNK_ENTRIES: usize = 512;
/// Series of one metric of a `metrics` stage, and buckets of one histogram.
pub const CUSTOM_SERIES_MAX: usize = 2000;
pub const CUSTOM_BUCKETS_MAX: usize = 200;
/// Last times that a `timestamp` stage remembers, by stream (promtail's number).
pub const FUDGE_STREAMS_MAX: usize = 10_000;
/// Streams one source may make before its most varied label becomes metadata.
pub const SOURCE_STREAMS_MAX: usize = 5_000;
/// Lines and bytes of one joined record (promtail's default of 128 lines cuts Java traces).
pub const MULTILINE_LINES_MAX: usize = 1_000;
pub const MULTILINE_BYTES_MAX: usize = LINE_BYTES_MAX;
