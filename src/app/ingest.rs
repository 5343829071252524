//! The road of a line: redact, pipeline, guard, discovery, store. One place, so that no input
//! can take another road.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, broadcast, mpsc};

use super::rules::Pipelines;
use crate::api::{BoxFuture, Ingest, PushBody, PushFailure, PushOutcome};
use crate::clock::SharedClock;
use crate::collect::SourceBatch;
use crate::collect::push::{self, ActiveStreams, PushLimits, StreamLimits, TenantRates};
use crate::config::Limits;
use crate::limits;
use crate::metrics::{Counters, Metrics};
use crate::model::{Batch, Changes, StreamBatch, Timestamp};
use crate::pipeline::Discover;
use crate::redact::{Redacted, Redactor};
use crate::store::{AppendError, Store, TailBatch};

/// Everything that a reload swaps at once.
pub struct Rules {
    pub redactor: Arc<Redactor>,
    pub pipelines: Pipelines,
    pub discover: Discover,
    pub limits: Arc<Limits>,
}

/// Takes batches from sources and pushes and brings them to disk.
pub struct Intake {
    store: Arc<Store>,
    rules: Arc<ArcSwap<Rules>>,
    clock: SharedClock,
    counted: Counted,
    tenant_rates: TenantRates,
    active: ActiveStreams,
    bytes_in_flight: AtomicUsize,
    bytes_in_flight_max: usize,
    /// Pushes that are decoded at a time; each holds its decoded body meanwhile.
    preparing: Semaphore,
}

/// How long a push waits while more is pushed than can be sealed. Clients come again sooner when
/// they are refused, and what was read of their pushes is read again then.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// A megabyte of Loki's rate limits.
const RATE_MB_BYTES: f64 = 1_048_576.0;

/// A push that is ready for the store, and what was left out of it.
struct Prepared {
    batch: Redacted<Batch>,
    /// What became of entries that will never be welcome.
    outcome: PushOutcome,
    /// Streams that are too many or too fast for now.
    limited: Option<String>,
}

struct Counted {
    lines: Counters,
    bytes: Counters,
    rejected: Counters,
    missing_pipeline: Counters,
    panicked_pipeline: Counters,
}

impl Counted {
    fn new(metrics: &Metrics) -> Self {
        Counted {
            lines: metrics.counters("ingested_lines", "Lines brought to disk", &["input"]),
            bytes: metrics.counters(
                "ingested_bytes",
                "Bytes of lines and metadata brought to disk",
                &["input"],
            ),
            rejected: metrics.counters(
                "rejected_lines",
                "Pushed lines refused by a limit",
                &["reason"],
            ),
            missing_pipeline: metrics.counters(
                "missing_pipeline_batches",
                "Batches whose pipeline is not in the configuration; the default one ran",
                &["pipeline"],
            ),
            panicked_pipeline: metrics.counters(
                "panicked_pipeline_batches",
                "Batches stored without their pipeline, because it panicked",
                &["source"],
            ),
        }
    }
}

/// Gives back what a push took of the bytes in flight, however the push ends.
struct InFlight<'a>(&'a AtomicUsize, usize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

pub fn push_limits(limits: &Limits) -> PushLimits {
    PushLimits {
        reject_old_samples: limits.reject_old_samples,
        reject_old_samples_max_age_ns: limits.reject_old_samples_max_age.ns(),
        creation_grace_period_ns: limits.creation_grace_period.ns(),
        max_line_size_bytes: limits.max_line_size.as_usize(),
        max_line_size_truncate: limits.max_line_size_truncate,
        max_label_name_length: limits.max_label_name_length,
        max_label_value_length: limits.max_label_value_length,
        max_label_names_per_series: limits.max_label_names_per_series,
        allow_structured_metadata: limits.allow_structured_metadata,
        max_structured_metadata_size_bytes: limits.max_structured_metadata_size.as_usize(),
        max_structured_metadata_entries_count: limits.max_structured_metadata_entries_count,
    }
}

fn stream_limits(limits: &Limits) -> StreamLimits {
    StreamLimits {
        max_global_streams_per_user: limits.max_global_streams_per_user,
        per_stream_rate_limit: limits.per_stream_rate_limit.bytes() as f64,
        per_stream_rate_limit_burst: limits.per_stream_rate_limit_burst.bytes() as f64,
    }
}

/// Two more than there are processors, so that none waits while another push is read.
fn preparing_max() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors + 2).min(limits::PUSHES_AT_ONCE_MAX)
}

impl Intake {
    pub fn new(
        store: Arc<Store>,
        rules: Arc<ArcSwap<Rules>>,
        clock: SharedClock,
        metrics: &Metrics,
        bytes_in_flight_max: usize,
    ) -> Arc<Intake> {
        Arc::new(Intake {
            store,
            rules,
            clock,
            counted: Counted::new(metrics),
            tenant_rates: TenantRates::default(),
            active: ActiveStreams::default(),
            bytes_in_flight: AtomicUsize::new(0),
            bytes_in_flight_max,
            preparing: Semaphore::new(preparing_max()),
        })
    }

    /// Decodes, checks, redacts and prepares a push; the CPU part, off the async threads.
    fn prepare_push(&self, push: PushBody) -> Result<Prepared, PushFailure> {
        let rules = self.rules.load();
        let now = Timestamp(self.clock.now_ns());
        let limits = push_limits(&rules.limits);
        let mut decoded =
            push::open(&push.shape, push.encoding.as_deref(), push.body, &limits, now)
                .map_err(PushFailure::Body)?;
        self.check_rate(&rules.limits, &push.tenant, &decoded.streams)?;
        let discover = &rules.discover;
        let rejected = decoded.validate_as(&limits, now, &|labels| discover.service_name(labels));
        if rejected.entries > 0 {
            self.counted.rejected.add(&["limit"], rejected.entries as u64);
        }
        let (streams, items) = decoded.into_parts();
        let batch = Batch { tenant: push.tenant, streams, positions: Vec::new() };
        let mut redacted = rules.redactor.redact(batch, "push").into_inner();
        rules.discover.run(&mut redacted);
        let Batch { tenant, streams, .. } = &mut redacted;
        let limited = self.active.limit(tenant, streams, &stream_limits(&rules.limits), now.0);
        if limited.entries > 0 {
            self.counted.rejected.add(&["stream_limit"], limited.entries as u64);
        }
        // Discovery adds known level names and copies of redacted label values, nothing new.
        let batch = rules.redactor.guard(redacted, &Changes::Nothing, "push");
        let clean = |text: &str| rules.redactor.redact_text(text).into_owned();
        let limited_message = (!limited.is_empty()).then(|| clean(&limited.message()));
        let outcome = match (items, rejected.message) {
            (Some(mut items), _) => {
                for fault in items.iter_mut().filter_map(|item| item.fault.as_mut()) {
                    fault.reason = clean(&fault.reason);
                }
                PushOutcome::Items(items)
            }
            (None, Some(message)) => PushOutcome::Partly {
                accepted: batch.entries(),
                rejected: rejected.entries,
                message: clean(&message),
            },
            (None, None) => PushOutcome::Stored,
        };
        Ok(Prepared { batch, outcome, limited: limited_message })
    }

    fn check_rate(
        &self,
        limits: &Limits,
        tenant: &str,
        streams: &[StreamBatch],
    ) -> Result<(), PushFailure> {
        if limits.ingestion_rate_mb <= 0.0 {
            return Ok(());
        }
        let bytes: usize = streams.iter().flat_map(|s| &s.entries).map(|e| e.bytes()).sum();
        let rate = limits.ingestion_rate_mb * RATE_MB_BYTES;
        let burst = (limits.ingestion_burst_size_mb * RATE_MB_BYTES).max(rate);
        if self.tenant_rates.take(tenant, bytes, rate, burst, self.clock.now_ns()) {
            return Ok(());
        }
        let lines: usize = streams.iter().map(|s| s.entries.len()).sum();
        self.counted.rejected.add(&["rate_limited"], lines as u64);
        Err(PushFailure::Limited(format!(
            "ingestion rate limit exceeded for user {tenant} (limit: {rate} bytes/sec) while attempting to ingest '{lines}' lines totaling '{bytes}' bytes, reduce log volume or raise ingestion_rate_mb"
        )))
    }

    async fn push_all(self: &Arc<Self>, push: PushBody) -> Result<PushOutcome, PushFailure> {
        let bytes = push.body.len();
        let held = self.bytes_in_flight.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let _in_flight = InFlight(&self.bytes_in_flight, bytes);
        // One that is larger than all room must get through some time.
        if held > self.bytes_in_flight_max && held > bytes {
            return Err(PushFailure::Busy(
                "the pushes under way take all memory that is meant for them; send this one again in a moment, or raise limits.memory_budget".to_owned(),
            ));
        }
        if !self.store.wait_for_room(ROOM_WAIT).await {
            return Err(refuse(&AppendError::Full));
        }
        let intake = self.clone();
        let prepared = {
            let _turn = self.preparing.acquire().await;
            tokio::task::spawn_blocking(move || intake.prepare_push(push)).await
        };
        let Prepared { batch, outcome, limited } = prepared.map_err(|error| {
            tracing::error!(%error, "preparing a push failed");
            PushFailure::Storage("preparing the push failed; see the server's log".to_owned())
        })??;
        let (lines, bytes) = (batch.entries() as u64, batch.bytes() as u64);
        if lines > 0 {
            self.store.append(batch).await.map_err(|error| refuse(&error))?;
            self.counted.lines.add(&["push"], lines);
            self.counted.bytes.add(&["push"], bytes);
        }
        // Who is told to come again sends everything; what is stored now is left out then.
        match limited {
            Some(message) => Err(PushFailure::Limited(message)),
            None => Ok(outcome),
        }
    }

    /// Redacts, runs the pipeline and guards what it changed.
    fn prepare_source(&self, delivered: SourceBatch) -> Redacted<Batch> {
        let rules = self.rules.load();
        let source = &*delivered.source;
        let redacted = rules.redactor.redact(delivered.batch, source).into_inner();
        let name = delivered.pipeline.as_deref();
        let pipeline = rules.pipelines.of(source, name).unwrap_or_else(|default| {
            self.counted.missing_pipeline.add(&[name.unwrap_or_default()], 1);
            default
        });
        // A stage that panics costs the batch its structure, not its lines.
        let run = std::panic::AssertUnwindSafe(|| pipeline.run(redacted.clone()));
        let (batch, changes) = std::panic::catch_unwind(run).unwrap_or_else(|_| {
            self.counted.panicked_pipeline.add(&[source], 1);
            tracing::error!(source, "a pipeline panicked; its batch is stored without it");
            (redacted, Changes::Nothing)
        });
        let mut guarded = rules.redactor.guard(batch, &changes, source).into_inner();
        rules.discover.run(&mut guarded);
        rules.redactor.guard(guarded, &Changes::Nothing, source)
    }

    /// Brings the batches of sources to disk until every source is gone. A disk that refuses is
    /// waited for: the channel fills, and with it the sources stop reading.
    pub async fn run(self: Arc<Self>, mut batches: mpsc::Receiver<SourceBatch>) {
        while let Some(delivered) = batches.recv().await {
            let source = delivered.source.clone();
            let intake = self.clone();
            let prepared =
                tokio::task::spawn_blocking(move || intake.prepare_source(delivered)).await;
            let batch = match prepared {
                Ok(batch) => batch,
                Err(error) => {
                    // Going on would move the position past lines that were not stored. The
                    // channel closes, the source stops, and a restart reads them again.
                    tracing::error!(%error, source = &*source, "preparing a batch failed; the source stops");
                    return;
                }
            };
            let (lines, bytes) = (batch.entries() as u64, batch.bytes() as u64);
            let mut wait = Duration::from_millis(50);
            loop {
                match self.store.append(batch.clone()).await {
                    Ok(_) => break,
                    Err(AppendError::Closed) => return,
                    Err(error) => {
                        tracing::warn!(%error, source = &*source, "storing waits");
                        tokio::time::sleep(wait).await;
                        wait = (wait * 2).min(Duration::from_secs(5));
                    }
                }
            }
            self.counted.lines.add(&[&source], lines);
            self.counted.bytes.add(&[&source], bytes);
        }
    }
}

fn refuse(error: &AppendError) -> PushFailure {
    match error {
        AppendError::Full => PushFailure::Busy(error.to_string()),
        AppendError::TooLarge { .. } => PushFailure::Limited(error.to_string()),
        AppendError::DiskFull | AppendError::Io(_) | AppendError::Closed => {
            PushFailure::Storage(error.to_string())
        }
    }
}

/// `Intake` as the API sees it.
pub struct Door(pub Arc<Intake>);

impl Ingest for Door {
    fn push(&self, push: PushBody) -> BoxFuture<'_, Result<PushOutcome, PushFailure>> {
        Box::pin(async move { self.0.push_all(push).await })
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<TailBatch>> {
        self.0.store.subscribe()
    }

    fn redact_text(&self, text: &str) -> String {
        self.0.rules.load().redactor.redact_text(text).into_owned()
    }
}
