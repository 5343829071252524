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
/// Files one source reads; each costs a few kilobytes and a look every two seconds.
pub const FILES_MAX: usize = 20_000;
/// Bytes read from one file before the others have their turn.
pub const FILE_ROUND_BYTES: usize = 256 * 1024;
/// How much of a large file is read when it was there before the first start.
pub const FILE_BACKFILL_BYTES: u64 = 10 * 1024 * 1024;
/// Truncated contents that are remembered so that a copy of one is not read again.
pub const PAST_FILES_MAX: usize = 1_000;
/// Folders watched for changes; files elsewhere are only polled.
pub const WATCHED_FOLDERS_MAX: usize = 1_024;
/// Logs of containers that are caught up on at the same time: each makes the engine decode all
/// of the container's files.
pub const DOCKER_CATCHUPS_MAX: usize = 4;
/// Frames remembered to drop repeats after a reconnect.
pub const DOCKER_RING_FRAMES_MAX: usize = 8_192;
/// Of these, how many go into a position (more when they share one timestamp).
pub const DOCKER_RING_SAVED: usize = 512;
/// One answer of the container engine that is read whole.
pub const DOCKER_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Fields of one journal entry.
pub const JOURNAL_FIELDS_MAX: usize = 512;
/// One field of a journal entry other than its message.
pub const JOURNAL_FIELD_BYTES_MAX: usize = 32 * 1024;
/// Live tails fall behind by at most this many batches before entries are dropped and counted.
pub const TAIL_QUEUE_BATCHES_MAX: usize = 1024;

const _: () = assert!(LINE_BYTES_MAX <= SOURCE_BATCH_BYTES_MAX);
const _: () = assert!(PUSH_BODY_BYTES_MAX <= PUSH_DECODED_BYTES_MAX);
