//! Every maximum in the program and why it has that value. Limits that users may set have
//! Loki's names and live in `config::Limits`; these here are the walls behind them.

/// Longest line we keep whole; longer ones are cut with a marker (Loki's `max_line_size`).
pub const LINE_BYTES_MAX: usize = 256 * 1024;
/// Push bodies as received and after decompression (Loki: 100 MB and 5000 MB; the second is
/// lower here because one process holds everything).
pub const PUSH_BODY_BYTES_MAX: usize = 100 * 1024 * 1024;
pub const PUSH_DECODED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Documents in one body of `_bulk` or JSON lines, each of which gets a result of its own; one
/// document, whose tree takes many times its bytes; fields of one, far above what metadata may have.
pub const PUSH_ITEMS_MAX: usize = 1_000_000;
pub const PUSH_DOCUMENT_BYTES_MAX: usize = 2 * 1024 * 1024;
pub const PUSH_FIELDS_MAX: usize = 10_000;
/// The name of a nested field, which holds the names of all around it: the leaves of a small body
/// could otherwise repeat a long one without end. Loki's `max_label_name_length`.
pub const PUSH_NAME_BYTES_MAX: usize = 1024;
/// Records, attributes and values that one OTLP body may become: attributes of a resource are
/// copied to each of its records, so a small body can grow large. Each takes some 130 bytes, and a
/// longer name counts as several. As JSON each object costs up to 700 while the body is read.
pub const OTLP_VALUES_MAX: usize = 5_000_000;
pub const OTLP_NAME_BYTES_PER_VALUE: usize = 64;
pub const OTLP_JSON_OBJECTS_MAX: usize = 1_000_000;
/// Lines and bytes that an export holds at a time, bytes when one instant has more lines than
/// that, and lines around one that a context may show.
pub const EXPORT_PAGE_LINES: usize = 50_000;
pub const EXPORT_PAGE_BYTES: usize = 32 * 1024 * 1024;
pub const EXPORT_INSTANT_BYTES_MAX: usize = 256 * 1024 * 1024;
pub const CONTEXT_LINES_MAX: usize = 1_000;
/// The labels of one stream of a push; what fits the limits of users has a few kilobytes.
pub const LABELS_BYTES_MAX: usize = 1024 * 1024;
/// Label sets of pushes that are remembered with their text, and the longest such text: a few
/// megabytes in all.
pub const LABEL_TEXTS_MAX: usize = 4096;
pub const LABEL_TEXT_BYTES_MAX: usize = 512;
/// Label sets whose discovery and redaction are remembered, each.
pub const STREAMS_REMEMBERED_MAX: usize = 4096;
/// Query text (Loki: 131072 bytes).
pub const QUERY_BYTES_MAX: usize = 128 * 1024;
/// Stages, captures and names that a query may have: with a hundred times as many each line takes
/// a second.
pub const QUERY_WEIGHT_MAX: usize = 1000;
/// Selectors in one request for series: Grafana sends one or two.
pub const SELECTORS_MAX: usize = 100;
/// Nesting of parentheses, binary operators and template blocks: far above human use, far
/// below the stack.
pub const QUERY_DEPTH_MAX: usize = 200;
/// Steps of a path in `| json a="b.c[0]"`; lines are opened up to 64 levels without one.
pub const JSON_PATH_STEPS_MAX: usize = 100;
/// Points of one series in an answer, as in Loki: a minute's resolution for a week.
pub const QUERY_POINTS_MAX: i64 = 11_000;
/// Series that a range aggregation keeps apart before anything puts them together, and samples
/// or points in memory at once (32 bytes each): the wall against queries that would take all
/// memory. The limit on series in an answer is the user's.
pub const QUERY_SERIES_MAX: usize = 1_000_000;
pub const QUERY_SAMPLES_MAX: usize = 20_000_000;
/// What all queries may hold at once where nobody says how much memory there is.
pub const QUERY_MEMORY_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// What range aggregations found in sealed parts, kept for the next refresh of a dashboard.
pub const QUERY_CACHE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Patterns of sealed parts, kept for the next refresh.
pub const PATTERN_CACHE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Groups of lines of one stream and level before a tree puts them together (some hundred bytes
/// each), and those of all streams.
pub const PATTERN_GROUPS_MAX: usize = 4096;
pub const PATTERN_GROUPS_OF_ALL_MAX: usize = 200_000;
/// Nodes of a tree, most of which lead to patterns that are gone, before it is made anew; those
/// that lead to patterns are half of them at most.
pub const PATTERN_NODES_MAX: usize = 16_384;
/// Newest lines of a query with stages from which patterns are mined, and steps of a pattern that are filled up with
/// zeros.
pub const PATTERN_ROWS_MAX: usize = 200_000;
pub const PATTERN_STEPS_MAX: usize = 11_000;
/// Compiled size of one user regex; the crate's own default of 10 MiB, made explicit.
pub const REGEX_BYTES_MAX: usize = 10 * 1024 * 1024;
/// All regexes of one query, in about as many states as they compile to, and what the smallest
/// counts for: a second of compiling at most, and twice the largest regex there may be.
pub const QUERY_REGEX_WEIGHT_MAX: usize = 1_000_000;
pub const REGEX_WEIGHT_MIN: usize = 500;
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
/// One record of the WAL: one batch with its metadata. Twice the largest push body, since
/// lengths and metadata names come on top.
pub const WAL_RECORD_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Entries of one stream and one time that a merge of parts compares with each other; repeats of
/// more stay. 32 MiB of hashes.
pub const MERGE_SEEN_MAX: usize = 1 << 20;

/// Queries that run at the same time; the rest waits its turn. More would only share the same
/// cores and multiply memory. A small budget of memory allows fewer.
pub const QUERIES_AT_ONCE_MAX: usize = 8;
/// Pushes decoded at the same time on a machine with many processors.
pub const PUSHES_AT_ONCE_MAX: usize = 64;
/// Bodies of pushes in memory, those included that are still being received.
pub const PUSH_BYTES_IN_FLIGHT_MAX: usize = 256 * 1024 * 1024;
const _: () = assert!(PUSH_BODY_BYTES_MAX <= PUSH_BYTES_IN_FLIGHT_MAX);
/// Entries of one push, beyond what any collector sends: each takes some 60 bytes of memory
/// beside its line, so bodies of empty lines would take thirty times their size.
pub const PUSH_ENTRIES_MAX: usize = 2_000_000;
/// Names and values of metadata and labels in one push: 64 bytes each beside their text (of
/// documents, twice that), and two in the body.
pub const PUSH_PAIRS_MAX: usize = 4_000_000;
/// Longest life of one live tail, as in Loki; clients reconnect.
pub const TAIL_SECS_MAX: u64 = 3600;
/// Entries and bytes in one frame of a live tail.
pub const TAIL_FRAME_ENTRIES_MAX: usize = 100;
pub const TAIL_FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Lines that wait for one slow reader of a tail; what comes then is dropped and told, so many
/// entries by name (Loki's number) and the rest as a number.
pub const TAIL_OUTBOX_BYTES_MAX: usize = 4 * 1024 * 1024;
pub const TAIL_DROPPED_NAMED_MAX: usize = 1000;
/// Time after which a reader that takes nothing at all is taken for gone.
pub const TAIL_STUCK_SECS_MAX: u64 = 300;
/// Time for which a tail remembers its history: lines reach tails moments after they can be read.
pub const TAIL_SEAM_SECS: u64 = 10;
/// Tenants whose rates and streams are counted at a time: some 200 bytes each, and any client may
/// name new ones.
pub const TENANTS_ACTIVE_MAX: usize = 10_000;
/// Tails of all tenants; how many one may have is the user's to say.
pub const TAILS_MAX: usize = 1000;

const _: () = assert!(LINE_BYTES_MAX <= SOURCE_BATCH_BYTES_MAX);
const _: () = assert!(PUSH_DECODED_BYTES_MAX < WAL_RECORD_BYTES_MAX);
const _: () = assert!(WAL_RECORD_BYTES_MAX < u32::MAX as usize);
const _: () = assert!(PUSH_BODY_BYTES_MAX <= PUSH_DECODED_BYTES_MAX);

/// Templates: nesting when parsing, nesting when rendering (blocks and templates that call
/// each other), steps (actions, turns of ranges, kilobytes made), one text, one list. A line
/// format takes a few dozen steps; the rest is for notifications over hundreds of alerts.
pub const TEMPLATE_PARSE_DEPTH_MAX: usize = 100;
pub const TEMPLATE_DEPTH_MAX: usize = 100;
pub const TEMPLATE_STEPS_MAX: usize = 200_000;
pub const TEMPLATE_OUTPUT_BYTES_MAX: usize = 1024 * 1024;
pub const TEMPLATE_ITEMS_MAX: usize = 100_000;
/// Values in a list that a template makes, those in lists inside it counted as often as they are
/// shown.
pub const TEMPLATE_NODES_MAX: usize = 1_000_000;
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
/// A private key over several lines is followed for so many of them (an RSA key of 16384 bits
/// has 195), so long, and in so many streams at once.
pub const PEM_LINES_MAX: usize = 200;
pub const PEM_WAIT_NS_MAX: i64 = 5_000_000_000;
pub const PEM_STREAMS_MAX: usize = 1024;
/// Longest line of `stockade redact`; what is beyond is left out.
pub const REDACT_LINE_BYTES_MAX: usize = 1024 * 1024;
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
/// Delete requests that wait: each costs a look at every row it may mean, in every query.
pub const DELETES_WAITING_MAX: usize = 500;
/// Delete requests that were carried out and are still listed.
pub const DELETES_DONE_MAX: usize = 1000;
/// Series a rule's query may give before the rule's own limit cuts them by value.
pub const RULE_SERIES_MAX: usize = 20_000;

const _: () = assert!(RULE_ALERTS_MAX <= RULE_SERIES_MAX);
