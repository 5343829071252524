//! The loop that keeps time: takes alerts in, saves what was decided, sends, notes the answers.

use std::future::Future;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::NotifyError;
use super::decide::flush_due;
use super::deliver::{Deliver, Request, judge};
use super::handle::Handle;
use super::integration::Integration;
use super::outbox::{Job, Lanes, Settled, Verdict};
use super::settings::Settings;
use super::silence::Silences;
use super::slack::Surroundings;
use super::state::State;
use crate::clock::SharedClock;
use crate::durable::{DurableError, DurableFile};
use crate::limits::NOTIFY_QUEUE_BATCHES_MAX;
use crate::metrics::{Counters, Gauges, Histograms, Metrics};
use crate::model::Alert;

/// The second look at a text before it leaves: redaction, by whoever knows it.
pub type Guard = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Old alerts are looked for at least this often.
const IDLE_NS: i64 = 60 * 1_000_000_000;
/// Time for messages under way when the server stops; what is left stays in the outbox.
const DRAIN: Duration = Duration::from_secs(10);
const DETECTION_BUCKETS_SECS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0];

/// What a notifier is made of.
pub struct Parts {
    pub settings: Settings,
    pub clock: SharedClock,
    pub deliver: Arc<dyn Deliver>,
    pub guard: Guard,
    pub metrics: Metrics,
    /// Where state and silences are kept.
    pub folder: PathBuf,
    /// Where people find this server; the start of links.
    pub external_url: String,
}

pub(super) struct Shared {
    pub core: Mutex<Core>,
    pub clock: SharedClock,
    pub deliver: Arc<dyn Deliver>,
    pub guard: Guard,
    pub external_url: String,
    pub wake: Notify,
    file: DurableFile,
    counts: Counts,
}

pub(super) struct Core {
    pub state: State,
    pub lanes: Lanes,
    pub settings: Arc<Settings>,
    pub silences: Silences,
    /// The state has something that is not on disk yet.
    pub is_dirty: bool,
    started_at_ns: i64,
}

struct Counts {
    notifications: Counters,
    outbox: Gauges,
    dead: Gauges,
    alerts: Gauges,
    dropped: Counters,
    save_failures: Counters,
    detection: Histograms,
}

impl Counts {
    fn new(metrics: &Metrics) -> Counts {
        Counts {
            notifications: metrics.counters(
                "notifications",
                "Messages to receivers by result: sent, retried, dead",
                &["receiver", "result"],
            ),
            outbox: metrics.gauges("notification_outbox_jobs", "Messages waiting to be sent", &[]),
            dead: metrics.gauges("notification_dead_letters", "Messages that were given up", &[]),
            alerts: metrics.gauges("notification_alerts", "Alerts the notifier holds", &[]),
            dropped: metrics.counters(
                "notification_alerts_dropped",
                "Alerts for which there was no room",
                &[],
            ),
            save_failures: metrics.counters(
                "notification_state_save_failures",
                "Times that the notifier's state could not be saved",
                &[],
            ),
            detection: metrics.histograms(
                "alert_detection_seconds",
                "From the newest line of an alert to its delivered message",
                &[],
                DETECTION_BUCKETS_SECS,
            ),
        }
    }
}

/// Takes alerts and tells people. `run` must be polled for anything to happen.
pub struct Notifier {
    shared: Arc<Shared>,
    alerts: mpsc::Receiver<Vec<Alert>>,
}

type Sending = Pin<Box<dyn Future<Output = (Job, Verdict)> + Send>>;

impl Notifier {
    /// Picks up where the last process stopped. Damaged files are put aside and named in the log.
    pub fn open(parts: Parts) -> Result<(Notifier, Handle), NotifyError> {
        let file = DurableFile::new(parts.folder.join("notify.json"));
        let mut state = match file.load::<State>() {
            Ok(found) => found.unwrap_or_default(),
            Err(error @ (DurableError::Damaged { .. } | DurableError::Json { .. })) => {
                tracing::error!(%error, "the notifier's state could not be read; starting without it");
                State::default()
            }
            Err(error) => return Err(NotifyError::Durable(error)),
        };
        let (silences, damage) = Silences::open(&parts.folder)?;
        if let Some(error) = damage {
            tracing::error!(%error, "silences could not be read; starting without them");
        }
        let now_ns = parts.clock.now_ns();
        state.regroup(&parts.settings, now_ns);
        let (sender, alerts) = mpsc::channel(NOTIFY_QUEUE_BATCHES_MAX);
        let core = Core {
            state,
            lanes: Lanes::default(),
            settings: Arc::new(parts.settings),
            silences,
            is_dirty: true,
            started_at_ns: now_ns,
        };
        let shared = Arc::new(Shared {
            core: Mutex::new(core),
            clock: parts.clock,
            deliver: parts.deliver,
            guard: parts.guard,
            external_url: parts.external_url,
            wake: Notify::new(),
            file,
            counts: Counts::new(&parts.metrics),
        });
        let handle = Handle::new(shared.clone(), sender);
        Ok((Notifier { shared, alerts }, handle))
    }

    /// Works until `shutdown` ends; then sends what is under way, saves and returns.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let mut sending: FuturesUnordered<Sending> = FuturesUnordered::new();
        let mut is_fed = true;
        loop {
            self.shared.decide();
            self.shared.save().await;
            for job in self.shared.start() {
                sending.push(self.shared.clone().send(job));
            }
            let deadline_ns = self.shared.next_deadline_ns();
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some((job, verdict)) = sending.next(), if !sending.is_empty() => {
                    self.shared.settle(&job, verdict);
                }
                batch = self.alerts.recv(), if is_fed => match batch {
                    Some(batch) => self.take(batch),
                    None => is_fed = false,
                },
                () = self.shared.wake.notified() => {}
                () = self.shared.clock.sleep_until_ns(deadline_ns) => {}
            }
        }
        while let Ok(batch) = self.alerts.try_recv() {
            self.shared.take(batch);
        }
        let drain = async {
            while let Some((job, verdict)) = sending.next().await {
                self.shared.settle(&job, verdict);
            }
        };
        if tokio::time::timeout(DRAIN, drain).await.is_err() {
            tracing::warn!(
                "messages under way were cut off; they are sent again after the next start"
            );
        }
        self.shared.save().await;
    }

    fn take(&mut self, batch: Vec<Alert>) {
        self.shared.take(batch);
        // What else waits is taken in the same turn, and saved with it.
        for _ in 0..NOTIFY_QUEUE_BATCHES_MAX {
            match self.alerts.try_recv() {
                Ok(batch) => self.shared.take(batch),
                Err(_) => break,
            }
        }
    }
}

impl Shared {
    fn take(&self, batch: Vec<Alert>) {
        let now_ns = self.clock.now_ns();
        let core = &mut *self.core.lock();
        let taken = core.state.take(batch, &core.settings, now_ns);
        core.is_dirty |= taken.is_changed;
        if taken.dropped > 0 {
            self.counts.dropped.add(&[], taken.dropped as u64);
        }
    }

    fn decide(&self) {
        let now_ns = self.clock.now_ns();
        let core = &mut *self.core.lock();
        core.is_dirty |= core.state.age(core.started_at_ns, now_ns);
        let (decisions, is_flushed) =
            flush_due(&mut core.state, &core.settings, &core.silences, now_ns);
        core.is_dirty |= is_flushed;
        for decision in decisions {
            core.state.enqueue(decision, &core.settings, &core.lanes, now_ns);
        }
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.counts.outbox.set(&[], gauge(core.state.jobs.len()));
        self.counts.dead.set(&[], gauge(core.state.dead.len()));
        self.counts.alerts.set(&[], gauge(core.state.alerts.len()));
    }

    /// Nothing is sent before what it follows from is on disk. If the disk fails, alerts go
    /// out all the same: a repeat after a crash is better than silence now.
    async fn save(self: &Arc<Self>) {
        let snapshot = {
            let mut core = self.core.lock();
            if !core.is_dirty {
                return;
            }
            core.is_dirty = false;
            core.state.clone()
        };
        let shared = self.clone();
        let saved = tokio::task::spawn_blocking(move || shared.file.save(&snapshot)).await;
        if let Ok(Err(error)) = saved {
            self.core.lock().is_dirty = true;
            self.counts.save_failures.add(&[], 1);
            tracing::error!(%error, "the notifier's state could not be saved");
        }
    }

    fn start(&self) -> Vec<Job> {
        let core = &mut *self.core.lock();
        core.state.start_due(&mut core.lanes, self.clock.now_ns())
    }

    fn send(self: Arc<Self>, job: Job) -> Sending {
        Box::pin(async move {
            let shared = self.clone();
            let built = job.clone();
            let request = tokio::task::spawn_blocking(move || shared.request(&built)).await;
            let verdict = match request {
                Ok(Ok(request)) => judge(&self.deliver.post(request).await),
                // A secret's file that cannot be read may be there again in a minute.
                Ok(Err(error)) => Verdict::Retry { after_ns: None, error },
                Err(_) => {
                    let error = "the message could not be rendered".to_owned();
                    Verdict::TooRich { error }
                }
            };
            (job, verdict)
        })
    }

    fn request(&self, job: &Job) -> Result<Request, String> {
        let settings = self.core.lock().settings.clone();
        build_request(&settings, job, &self.around())
    }

    pub fn around(&self) -> Surroundings<'_> {
        Surroundings {
            external_url: &self.external_url,
            guard: &self.guard,
            now_ns: self.clock.now_ns(),
        }
    }

    fn settle(&self, job: &Job, verdict: Verdict) {
        let now_ns = self.clock.now_ns();
        let error = match &verdict {
            Verdict::Delivered => String::new(),
            Verdict::Retry { error, .. }
            | Verdict::TooRich { error }
            | Verdict::Refused { error } => error.clone(),
        };
        let is_too_rich = matches!(verdict, Verdict::TooRich { .. });
        let core = &mut *self.core.lock();
        let pause_ns = core
            .settings
            .integration(&job.receiver, job.integration)
            .map_or(0, Integration::pause_ns);
        let settled = core.state.settle(&mut core.lanes, job.id, verdict, pause_ns, now_ns);
        // A failed attempt changes nothing that a restart must know of.
        core.is_dirty |= settled != Settled::Waits || is_too_rich;
        let receiver = job.receiver.as_str();
        let result = match settled {
            Settled::Sent => {
                let newest = job.alerts.iter().flat_map(|a| &a.samples).map(|s| s.ts_ns).max();
                if let Some(newest) = newest {
                    let seconds = now_ns.saturating_sub(newest) as f64 / 1e9;
                    self.counts.detection.observe(&[], seconds);
                }
                "sent"
            }
            Settled::Waits => {
                tracing::warn!(
                    receiver,
                    error,
                    attempts = job.attempts + 1,
                    "a notification could not be delivered yet"
                );
                "retried"
            }
            Settled::Dead => {
                tracing::error!(
                    receiver,
                    error,
                    "a notification was given up; see the dead letters"
                );
                "dead"
            }
        };
        self.counts.notifications.add(&[receiver, result], 1);
    }

    fn next_deadline_ns(&self) -> i64 {
        let now_ns = self.clock.now_ns();
        let core = self.core.lock();
        let flush = core.state.groups.values().map(|group| group.next_flush_ns).min();
        let send = core.state.next_send_ns(&core.lanes);
        [flush, send].into_iter().flatten().fold(now_ns.saturating_add(IDLE_NS), i64::min)
    }
}

pub(super) fn build_request(
    settings: &Settings,
    job: &Job,
    around: &Surroundings,
) -> Result<Request, String> {
    match settings.integration(&job.receiver, job.integration) {
        Some(Integration::Slack(slack)) => slack.request(job, around),
        Some(Integration::Webhook(webhook)) => webhook.request(job, around),
        None => Err("the receiver is no longer configured".to_owned()),
    }
}

#[cfg(test)]
impl Notifier {
    /// One turn of `run` without waiting: everything that is due now is done.
    pub(super) async fn turn(&mut self) {
        while let Ok(batch) = self.alerts.try_recv() {
            self.shared.take(batch);
        }
        loop {
            self.shared.decide();
            self.shared.save().await;
            let jobs = self.shared.start();
            if jobs.is_empty() {
                return;
            }
            for job in jobs {
                let (job, verdict) = self.shared.clone().send(job).await;
                self.shared.settle(&job, verdict);
            }
        }
    }

    /// As if the machine lost power between the receiver's answer and the note of it.
    pub(super) async fn turn_until_sent(&mut self) {
        while let Ok(batch) = self.alerts.try_recv() {
            self.shared.take(batch);
        }
        self.shared.decide();
        self.shared.save().await;
        for job in self.shared.start() {
            let _ = self.shared.clone().send(job).await;
        }
    }

    pub(super) fn next_deadline_ns(&self) -> i64 {
        self.shared.next_deadline_ns()
    }
}
