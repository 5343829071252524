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

/// Templates: nesting when parsing, nesting when rendering (blocks and templates that call
/// each other), steps (actions, turns of ranges, kilobytes made), one text, one list. A line
/// format takes a few dozen steps; the rest is for notifications over hundreds of alerts.
pub const TEMPLATE_PARSE_DEPTH_MAX: usize = 100;
pub const TEMPLATE_DEPTH_MAX: usize = 100;
pub const TEMPLATE_STEPS_MAX: usize = 200_000;
pub const TEMPLATE_OUTPUT_BYTES_MAX: usize = 1024 * 1024;
pub const TEMPLATE_ITEMS_MAX: usize = 100_000;
const _: () = assert!(PUSH_BODY_BYTES_MAX <= PUSH_BYTES_IN_FLIGHT_MAX);
/// Alerts (or recorded series) of one rule, also where its group sets no limit: a rule that
/// yields more is grouped by something like a request id.
pub const RULE_ALERTS_MAX: usize = 1000;
/// Slots that are made up for after a pause, per rule (an hour of one-minute slots).
pub const RULE_CATCH_UP_MAX: usize = 60;
/// Rendered annotations and labels of alerts; receivers cut far earlier.
pub const RULE_ANNOTATION_BYTES_MAX: usize = 8 * 1024;
pub const RULE_LABEL_BYTES_MAX: usize = 2048;
/// Lines shown with an alert, and how much of each.
pub const ALERT_SAMPLE_LINES_MAX: usize = 5;
pub const ALERT_SAMPLE_BYTES_MAX: usize = 1024;
/// Alerts of one rule that get their lines looked up in one evaluation; the others of a storm
/// go out without.
pub const RULE_EVIDENCE_MAX: usize = 20;
/// A rule file, and a group given through the API.
pub const RULE_FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Groups made through the API.
pub const RULE_API_GROUPS_MAX: usize = 1000;
/// Services that log-derived metrics tell apart; more are counted as "other".
pub const DERIVED_SERVICES_MAX: usize = 500;

/// Alerts and groups that the notifier holds at once; a storm beyond this is a fault of a rule.
pub const NOTIFY_ALERTS_MAX: usize = 10_000;
pub const NOTIFY_GROUPS_MAX: usize = 10_000;
/// Annotations, expression and link of one alert.
pub const NOTIFY_ALERT_BYTES_MAX: usize = 16 * 1024;
/// Messages waiting, and alerts in one message; more are counted in the text.
pub const NOTIFY_JOBS_MAX: usize = 2000;
pub const NOTIFY_JOB_ALERTS_MAX: usize = 100;
/// Dead letters kept for a look; the oldest go first.
pub const NOTIFY_DEAD_MAX: usize = 500;
pub const NOTIFY_SILENCES_MAX: usize = 5000;
pub const NOTIFY_SILENCE_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Batches of alerts between the rule engine and the notifier; when it is full, rules wait.
pub const NOTIFY_QUEUE_BATCHES_MAX: usize = 64;
/// Bytes of a receiver's answer that are looked at.
pub const NOTIFY_ANSWER_BYTES_MAX: usize = 16 * 1024;
