//! Messages on their way: what is sent when, and what follows from each answer. Pure; the run
//! loop saves the state before it sends and after each answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::decide::{Decision, Reason};
use super::settings::Settings;
use super::state::{State, Tracked, fingerprint};
use crate::limits::{NOTIFY_DEAD_MAX, NOTIFY_JOB_ALERTS_MAX, NOTIFY_JOBS_MAX};
use crate::model::Alert;

const BACKOFF_FIRST_NS: i64 = 1_000_000_000;
const BACKOFF_MAX_NS: i64 = 5 * 60 * 1_000_000_000;
/// No service asks for more; a nonsensical answer must not park alerts for days.
const RETRY_AFTER_MAX_NS: i64 = 3600 * 1_000_000_000;
const GIVE_UP_NS: i64 = 24 * 3600 * 1_000_000_000;

/// One message: what it is about, not yet how it reads. Rendered when it is sent, so that a
/// late one tells how things are then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub id: u64,
    pub group_key: String,
    pub receiver: String,
    pub integration: usize,
    pub group_labels: BTreeMap<String, String>,
    pub route_labels: BTreeMap<String, String>,
    pub reason: Reason,
    pub alerts: Vec<Arc<Alert>>,
    /// Alerts beyond those held here.
    pub more: usize,
    pub first_at_ns: i64,
    pub next_at_ns: i64,
    pub attempts: u32,
    /// The receiver did not take the full form; send the plainest one.
    pub is_plain: bool,
    pub last_error: String,
}

/// A message that was given up, with the reason.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DeadLetter {
    pub job: Job,
    pub at_ns: i64,
    pub error: String,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Delivered,
    /// Try again; after this long if the receiver said so.
    Retry {
        after_ns: Option<i64>,
        error: String,
    },
    /// The content was refused; the plain form may pass.
    TooRich {
        error: String,
    },
    Refused {
        error: String,
    },
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Sent,
    Waits,
    Dead,
}

/// One receiver's way out: one message at a time, with pauses. After failures the pause grows
/// and a single message tries whether the receiver is back.
#[derive(Debug, Default)]
struct Lane {
    in_flight: Option<u64>,
    blocked_until_ns: i64,
    failures: u32,
}

#[derive(Debug, Default)]
pub(super) struct Lanes(HashMap<(String, usize), Lane>);

impl Job {
    pub fn fingerprints(&self) -> impl Iterator<Item = String> + '_ {
        self.alerts.iter().map(|alert| fingerprint(&alert.labels))
    }

    /// The message with its alerts as they are now.
    fn current(&self, alerts: &BTreeMap<String, Tracked>) -> Job {
        let mut job = self.clone();
        for held in &mut job.alerts {
            if let Some(known) = alerts.get(&fingerprint(&held.labels))
                && known.alert.starts_at_ns >= held.starts_at_ns
            {
                held.clone_from(&known.alert);
            }
        }
        job
    }

    fn is_same_way(&self, other: &Job) -> bool {
        self.group_key == other.group_key
            && self.receiver == other.receiver
            && self.integration == other.integration
    }

    /// Takes over the alerts of an older message that never left.
    fn absorb(&mut self, older: Job) {
        let known: Vec<String> = self.fingerprints().collect();
        self.more += older.more;
        for alert in older.alerts {
            if !known.contains(&fingerprint(&alert.labels)) {
                self.alerts.push(alert);
            }
        }
        self.bound();
        self.attempts = older.attempts;
        self.next_at_ns = older.next_at_ns;
        self.last_error = older.last_error;
    }

    fn bound(&mut self) {
        let extra = self.alerts.len().saturating_sub(NOTIFY_JOB_ALERTS_MAX);
        self.alerts.truncate(NOTIFY_JOB_ALERTS_MAX);
        self.more += extra;
    }
}

fn jitter(id: u64, attempts: u32, wait_ns: i64) -> i64 {
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.extend(attempts.to_le_bytes());
    // Up to a fifth more; receivers that failed together must not come back together.
    let share = i64::try_from(xxh3_64(&bytes) % 200).unwrap_or(0);
    wait_ns.saturating_add(wait_ns / 1000 * share)
}

fn backoff_ns(failures: u32) -> i64 {
    let doubled = 1i64.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(i64::MAX);
    BACKOFF_FIRST_NS.saturating_mul(doubled).min(BACKOFF_MAX_NS)
}

impl State {
    /// Puts a message into the outbox. One that still waits for the same group and receiver is
    /// replaced: people want to know how it stands, not each step.
    pub fn enqueue(&mut self, decision: Decision, settings: &Settings, lanes: &Lanes, now_ns: i64) {
        let group = self.groups.get(&decision.group_key);
        let route_id = group.map(|group| group.route.as_str());
        let labels = group
            .map(|group| group.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect());
        let route_labels =
            route_id.and_then(|id| settings.root.by_id(id)).map(|route| route.labels.clone());
        self.next_job += 1;
        let mut job = Job {
            id: self.next_job,
            group_key: decision.group_key,
            receiver: decision.receiver,
            integration: decision.integration,
            group_labels: labels.unwrap_or_default(),
            route_labels: route_labels.unwrap_or_default(),
            reason: decision.reason,
            alerts: decision.alerts,
            more: 0,
            first_at_ns: now_ns,
            next_at_ns: now_ns,
            attempts: 0,
            is_plain: false,
            last_error: String::new(),
        };
        job.bound();
        let waiting =
            self.jobs.iter().position(|old| old.is_same_way(&job) && !lanes.is_in_flight(old));
        if let Some(at) = waiting {
            job.absorb(self.jobs.remove(at));
        }
        self.jobs.push(job);
        while self.jobs.len() > NOTIFY_JOBS_MAX {
            let oldest = self.jobs.remove(0);
            self.bury(oldest, now_ns, "the outbox is full".to_owned());
        }
    }

    /// The jobs to send now, at most one a receiver; they count as in flight from here on.
    pub fn start_due(&mut self, lanes: &mut Lanes, now_ns: i64) -> Vec<Job> {
        let mut order: Vec<&Job> =
            self.jobs.iter().filter(|job| job.next_at_ns <= now_ns).collect();
        // One that keeps failing by its own fault must not hold up the others.
        order.sort_by_key(|job| (job.attempts, job.id));
        let mut started = Vec::new();
        for job in order {
            let lane = lanes.0.entry((job.receiver.clone(), job.integration)).or_default();
            if lane.in_flight.is_none() && lane.blocked_until_ns <= now_ns {
                lane.in_flight = Some(job.id);
                started.push(job.current(&self.alerts));
            }
        }
        started
    }

    /// When there is next something to send.
    pub fn next_send_ns(&self, lanes: &Lanes) -> Option<i64> {
        self.jobs
            .iter()
            .filter_map(|job| match lanes.0.get(&(job.receiver.clone(), job.integration)) {
                Some(lane) if lane.in_flight.is_some() => None,
                Some(lane) => Some(job.next_at_ns.max(lane.blocked_until_ns)),
                None => Some(job.next_at_ns),
            })
            .min()
    }

    pub fn settle(
        &mut self,
        lanes: &mut Lanes,
        id: u64,
        verdict: Verdict,
        pause_ns: i64,
        now_ns: i64,
    ) -> Settled {
        let Some(at) = self.jobs.iter().position(|job| job.id == id) else {
            lanes.release(id);
            return Settled::Dead;
        };
        let mut job = self.jobs.remove(at);
        let lane = lanes.0.entry((job.receiver.clone(), job.integration)).or_default();
        lane.in_flight = None;
        lane.blocked_until_ns = now_ns.saturating_add(pause_ns);
        job.attempts = job.attempts.saturating_add(1);
        match verdict {
            Verdict::Delivered => {
                lane.failures = 0;
                return Settled::Sent;
            }
            Verdict::Refused { error } => {
                lane.failures = 0;
                self.bury(job, now_ns, error);
                return Settled::Dead;
            }
            Verdict::TooRich { error } if job.is_plain => {
                lane.failures = 0;
                self.bury(job, now_ns, error);
                return Settled::Dead;
            }
            Verdict::TooRich { error } => {
                lane.failures = 0;
                job.is_plain = true;
                job.next_at_ns = now_ns;
                job.last_error = error;
            }
            Verdict::Retry { after_ns, error } => {
                lane.failures = lane.failures.saturating_add(1);
                let wait_ns = match after_ns {
                    Some(after_ns) => after_ns.clamp(0, RETRY_AFTER_MAX_NS),
                    None => jitter(job.id, job.attempts, backoff_ns(lane.failures)),
                };
                lane.blocked_until_ns = lane.blocked_until_ns.max(now_ns.saturating_add(wait_ns));
                let own_ns = after_ns.map_or_else(
                    || jitter(job.id, job.attempts, backoff_ns(job.attempts)),
                    |_| wait_ns,
                );
                job.next_at_ns = now_ns.saturating_add(own_ns);
                job.last_error = error;
                if job.first_at_ns.saturating_add(GIVE_UP_NS) <= now_ns {
                    let error = format!("given up after 24 hours; last error: {}", job.last_error);
                    self.bury(job, now_ns, error);
                    return Settled::Dead;
                }
            }
        }
        // A newer message about the same group takes the older one in.
        match self.jobs.iter_mut().find(|other| other.is_same_way(&job)) {
            Some(newer) => newer.absorb(job),
            None => self.jobs.push(job),
        }
        Settled::Waits
    }

    pub(super) fn bury(&mut self, job: Job, now_ns: i64, error: String) {
        self.dead.push(DeadLetter { job, at_ns: now_ns, error });
        let extra = self.dead.len().saturating_sub(NOTIFY_DEAD_MAX);
        self.dead.drain(..extra);
    }

    /// Messages to receivers that are no longer configured.
    pub(super) fn bury_homeless(&mut self, settings: &Settings, now_ns: i64) {
        let (kept, homeless): (Vec<Job>, Vec<Job>) = std::mem::take(&mut self.jobs)
            .into_iter()
            .partition(|job| settings.integration(&job.receiver, job.integration).is_some());
        self.jobs = kept;
        for job in homeless {
            let error = format!("receiver {:?} is no longer configured", job.receiver);
            self.bury(job, now_ns, error);
        }
    }
}

impl Lanes {
    fn is_in_flight(&self, job: &Job) -> bool {
        let lane = self.0.get(&(job.receiver.clone(), job.integration));
        lane.is_some_and(|lane| lane.in_flight == Some(job.id))
    }

    fn release(&mut self, id: u64) {
        for lane in self.0.values_mut().filter(|lane| lane.in_flight == Some(id)) {
            lane.in_flight = None;
        }
    }
}
