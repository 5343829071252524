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

const _: () = assert!(LINE_BYTES_MAX <= SOURCE_BATCH_BYTES_MAX);
const _: () = assert!(PUSH_BODY_BYTES_MAX <= PUSH_DECODED_BYTES_MAX);

/// A private key over several lines is followed for so many of them (an RSA key of 16384 bits
/// has 195), so long, and in so many streams at once.
pub const PEM_LINES_MAX: usize = 200;
pub const PEM_WAIT_NS_MAX: i64 = 5_000_000_000;
pub const PEM_STREAMS_MAX: usize = 1024;
/// Longest line of `stockade redact`; what is beyond is left out.
pub const REDACT_LINE_BYTES_MAX: usize = 1024 * 1024;
