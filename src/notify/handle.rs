//! What others ask of the notifier while it runs: lists for the API, silences, tests, reload.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::NotifyError;
use super::decide::Reason;
use super::deliver::judge;
use super::inhibit::Inhibitor;
use super::notifier::{Shared, build_request};
use super::outbox::{Job, Verdict};
use super::settings::Settings;
use super::silence::{NewSilence, Silence};
use super::state::fingerprint;
use crate::model::{Alert, Labels, SampleLine};
use crate::text::units::format_prometheus_duration;

/// An alert and what holds it back.
#[derive(Debug, Clone)]
pub struct AlertView {
    pub alert: Alert,
    pub fingerprint: String,
    pub heard_at_ns: i64,
    pub receivers: Vec<String>,
    pub silenced_by: Vec<String>,
    /// Fingerprints of the alerts that hide this one.
    pub inhibited_by: Vec<String>,
    /// Some receiver was told of it.
    pub is_told: bool,
}

#[derive(Debug, Clone)]
pub struct GroupView {
    pub key: String,
    pub receiver: String,
    pub labels: Labels,
    pub fingerprints: Vec<String>,
    pub next_flush_ns: i64,
    pub told_at_ns: Option<i64>,
}

/// A message in the outbox.
#[derive(Debug, Clone)]
pub struct JobView {
    pub id: u64,
    pub receiver: String,
    pub integration: &'static str,
    pub group_key: String,
    pub reason: &'static str,
    pub alerts: usize,
    pub attempts: u32,
    pub first_at_ns: i64,
    pub next_at_ns: i64,
    pub last_error: String,
}

#[derive(Debug, Clone)]
pub struct DeadView {
    pub job: JobView,
    pub at_ns: i64,
    pub error: String,
}

/// Where an alert with some labels would go, and when its messages would come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteStep {
    pub route: String,
    pub receiver: String,
    pub group_labels: Labels,
    pub timeline: String,
}

/// What became of a test message, for each way to reach the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    pub integration: &'static str,
    pub result: Result<(), String>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    alerts: mpsc::Sender<Vec<Alert>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>, alerts: mpsc::Sender<Vec<Alert>>) -> Handle {
        Handle { shared, alerts }
    }

    /// Where the rule engine hands over alerts, firing and resolved. A full channel makes it wait.
    pub fn alerts_in(&self) -> mpsc::Sender<Vec<Alert>> {
        self.alerts.clone()
    }

    pub fn alerts(&self) -> Vec<AlertView> {
        let now_ns = self.shared.clock.now_ns();
        let core = self.shared.core.lock();
        let inhibitor = Inhibitor::new(&core.settings.inhibit_rules, &core.state);
        let mut told: BTreeSet<&String> = BTreeSet::new();
        for group in core.state.groups.values() {
            told.extend(group.told.iter().flat_map(|told| &told.firing));
        }
        let shown = core.state.alerts.iter().filter(|(_, known)| !known.is_done);
        shown
            .map(|(id, known)| {
                let labels = &known.alert.labels;
                let mut receivers: Vec<String> = core
                    .settings
                    .routes_for(labels)
                    .iter()
                    .map(|route| route.receiver.clone())
                    .collect();
                receivers.dedup();
                AlertView {
                    alert: known.alert.as_ref().clone(),
                    fingerprint: id.clone(),
                    heard_at_ns: known.heard_at_ns,
                    receivers,
                    silenced_by: core.silences.covering(labels, now_ns),
                    inhibited_by: inhibitor.hiding(labels),
                    is_told: told.contains(id),
                }
            })
            .collect()
    }

    pub fn groups(&self) -> Vec<GroupView> {
        let core = self.shared.core.lock();
        core.state
            .groups
            .iter()
            .map(|(key, group)| GroupView {
                key: key.clone(),
                receiver: group.receiver.clone(),
                labels: group.labels.clone(),
                fingerprints: group.members.iter().cloned().collect(),
                next_flush_ns: group.next_flush_ns,
                told_at_ns: group.told.as_ref().map(|told| told.at_ns),
            })
            .collect()
    }

    pub fn receivers(&self) -> Vec<String> {
        self.shared.core.lock().settings.receiver_names()
    }

    pub fn outbox(&self) -> Vec<JobView> {
        let core = self.shared.core.lock();
        core.state.jobs.iter().map(|job| view(&core.settings, job)).collect()
    }

    pub fn dead_letters(&self) -> Vec<DeadView> {
        let core = self.shared.core.lock();
        let dead = core.state.dead.iter();
        dead.map(|letter| DeadView {
            job: view(&core.settings, &letter.job),
            at_ns: letter.at_ns,
            error: letter.error.clone(),
        })
        .collect()
    }

    /// Puts a dead letter back into the outbox, with a fresh start.
    pub fn retry_dead_letter(&self, id: u64) -> Result<(), NotifyError> {
        let now_ns = self.shared.clock.now_ns();
        let mut core = self.shared.core.lock();
        let letters = &mut core.state.dead;
        let at = letters.iter().position(|letter| letter.job.id == id);
        let mut job = letters.remove(at.ok_or(NotifyError::NoDeadLetter(id))?).job;
        job.attempts = 0;
        job.first_at_ns = now_ns;
        job.next_at_ns = now_ns;
        job.is_plain = false;
        core.state.jobs.push(job);
        core.is_dirty = true;
        drop(core);
        self.shared.wake.notify_one();
        Ok(())
    }

    pub fn drop_dead_letter(&self, id: u64) -> Result<(), NotifyError> {
        let mut core = self.shared.core.lock();
        let before = core.state.dead.len();
        core.state.dead.retain(|letter| letter.job.id != id);
        if core.state.dead.len() == before {
            return Err(NotifyError::NoDeadLetter(id));
        }
        core.is_dirty = true;
        drop(core);
        self.shared.wake.notify_one();
        Ok(())
    }

    pub fn silences(&self) -> Vec<Silence> {
        self.shared.core.lock().silences.list()
    }

    pub fn silence(&self, id: &str) -> Option<Silence> {
        self.shared.core.lock().silences.get(id)
    }

    /// On disk when this returns. Gives the id.
    pub fn put_silence(&self, wanted: NewSilence) -> Result<String, NotifyError> {
        let now_ns = self.shared.clock.now_ns();
        let id = self.shared.core.lock().silences.put(wanted, now_ns)?;
        self.shared.wake.notify_one();
        Ok(id)
    }

    pub fn expire_silence(&self, id: &str) -> Result<(), NotifyError> {
        let now_ns = self.shared.clock.now_ns();
        self.shared.core.lock().silences.expire(id, now_ns)?;
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Puts new settings in force. Timers go on, messages under way stay, and nobody is told
    /// again what he was told.
    pub fn reload(&self, settings: Settings) {
        let now_ns = self.shared.clock.now_ns();
        let core = &mut *self.shared.core.lock();
        core.settings = Arc::new(settings);
        core.state.regroup(&core.settings, now_ns);
        core.is_dirty = true;
        self.shared.wake.notify_one();
    }

    pub fn explain(&self, labels: &Labels) -> Vec<RouteStep> {
        let settings = self.shared.core.lock().settings.clone();
        explain(&settings, labels)
    }

    /// Sends a message marked TEST to one receiver, past the outbox, and waits for the answers.
    pub async fn test(&self, receiver: &str) -> Result<Vec<TestOutcome>, NotifyError> {
        let settings = self.shared.core.lock().settings.clone();
        let Some(known) = settings.receivers.get(receiver) else {
            let known = settings.receiver_names().join(", ");
            return Err(NotifyError::NoReceiver { name: receiver.to_owned(), known });
        };
        let now_ns = self.shared.clock.now_ns();
        let mut outcomes = Vec::new();
        for (at, integration) in known.integrations.iter().enumerate() {
            let job = test_job(receiver, at, now_ns);
            let shared = self.shared.clone();
            let settings = settings.clone();
            let built = tokio::task::spawn_blocking(move || {
                build_request(&settings, &job, &shared.around())
            })
            .await;
            let result = match built {
                Ok(Ok(request)) => match judge(&self.shared.deliver.post(request).await) {
                    Verdict::Delivered => Ok(()),
                    Verdict::Retry { error, .. }
                    | Verdict::TooRich { error }
                    | Verdict::Refused { error } => Err(error),
                },
                Ok(Err(error)) => Err(error),
                Err(_) => Err("the message could not be rendered".to_owned()),
            };
            outcomes.push(TestOutcome { integration: integration.name(), result });
        }
        Ok(outcomes)
    }
}

fn view(settings: &Settings, job: &Job) -> JobView {
    JobView {
        id: job.id,
        receiver: job.receiver.clone(),
        integration: settings
            .integration(&job.receiver, job.integration)
            .map_or("", |one| one.name()),
        group_key: job.group_key.clone(),
        reason: job.reason.as_str(),
        alerts: job.alerts.len() + job.more,
        attempts: job.attempts,
        first_at_ns: job.first_at_ns,
        next_at_ns: job.next_at_ns,
        last_error: job.last_error.clone(),
    }
}

fn explain(settings: &Settings, labels: &Labels) -> Vec<RouteStep> {
    let steps = settings.routes_for(labels).into_iter().map(|route| {
        let wait = format_prometheus_duration(route.group_wait_ns);
        let interval = format_prometheus_duration(route.group_interval_ns);
        // Repeats happen on the ticks of the group, so they round up.
        let ticks = route.repeat_interval_ns.div_euclid(route.group_interval_ns.max(1))
            + i64::from(route.repeat_interval_ns % route.group_interval_ns.max(1) != 0);
        let repeat = format_prometheus_duration(ticks.saturating_mul(route.group_interval_ns));
        RouteStep {
            route: route.id.clone(),
            receiver: route.receiver.clone(),
            group_labels: route.group_labels(labels),
            timeline: format!(
                "first message after {wait}, news of the group every {interval}, repeated after {repeat}"
            ),
        }
    });
    steps.collect()
}

fn test_job(receiver: &str, integration: usize, now_ns: i64) -> Job {
    const MINUTE_NS: i64 = 60 * 1_000_000_000;
    let alert = Alert {
        labels: Labels::from_pairs([
            ("alertname", "TEST"),
            ("severity", "info"),
            ("service", "stockade"),
        ]),
        annotations: Labels::from_pairs([(
            "summary",
            "This is a TEST of the receiver. Nothing is wrong.",
        )]),
        starts_at_ns: now_ns,
        ends_at_ns: None,
        value: 1.0,
        expr: String::new(),
        window_start_ns: now_ns.saturating_sub(MINUTE_NS),
        window_end_ns: now_ns,
        count: 1,
        samples: vec![SampleLine {
            ts_ns: now_ns,
            line: "TEST a line as it would be shown".to_owned(),
        }],
        generator_url: String::new(),
    };
    Job {
        id: 0,
        group_key: format!("{{}}:TEST {}", fingerprint(&alert.labels)),
        receiver: receiver.to_owned(),
        integration,
        group_labels: [("alertname".to_owned(), "TEST".to_owned())].into(),
        route_labels: std::collections::BTreeMap::new(),
        reason: Reason::First,
        alerts: vec![Arc::new(alert)],
        more: 0,
        first_at_ns: now_ns,
        next_at_ns: now_ns,
        attempts: 0,
        is_plain: false,
        last_error: String::new(),
    }
}
