//! The life of alerts, decided purely: state before, what was seen, and the time give the state
//! after and what changed. Effects (saving, sending) are the caller's.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::model::{Labels, SampleLine};

#[cfg(test)]
mod tests;

/// How long a resolved alert is kept and told again, so that a receiver that was away learns
/// of it (Prometheus: 15 minutes).
pub const RESOLVED_KEPT_NS: i64 = 15 * 60 * 1_000_000_000;

/// Where an alert is in its life. "Inactive" is not kept: it is the absence of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Pending,
    Firing,
    Resolved,
}

/// One alert of a rule. Identity is `labels`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveAlert {
    #[serde(with = "labels_as_map")]
    pub labels: Labels,
    /// The labels of the sample, before the rule's labels were added.
    #[serde(with = "labels_as_map")]
    pub series: Labels,
    #[serde(with = "labels_as_map")]
    pub annotations: Labels,
    #[serde(with = "float_as_text")]
    pub value: f64,
    pub phase: Phase,
    /// When the condition became true.
    pub active_at_ns: i64,
    pub fired_at_ns: Option<i64>,
    pub resolved_at_ns: Option<i64>,
    /// Since when a firing alert is held only by `keep_firing_for`.
    pub missing_since_ns: Option<i64>,
    pub shown: Shown,
    /// When it was last handed on. Forgotten by a restart on purpose: an alert that may not
    /// have left is handed on again, and the notifier knows it by its identity and start.
    #[serde(skip)]
    pub sent_at_ns: Option<i64>,
}

/// What an alert shows besides its labels: lines of one window, and a link to them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Shown {
    pub window_start_ns: i64,
    pub window_end_ns: i64,
    pub count: u64,
    pub samples: Vec<SampleLine>,
    pub generator_url: String,
}

/// The alerts of one rule, in the order of their labels.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RuleState {
    /// The newest slot that was evaluated.
    pub last_slot_ns: Option<i64>,
    /// The rule's expression, for alerts that outlive their rule.
    pub query: String,
    pub alerts: Vec<ActiveAlert>,
}

/// One series of an evaluation, with everything rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub labels: Labels,
    pub series: Labels,
    pub annotations: Labels,
    pub value: f64,
}

/// What an evaluation gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Samples(Vec<Observation>),
    /// Nothing is known, so nothing changes: a failing query must not resolve an alert.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// `for`
    pub hold_ns: i64,
    /// `keep_firing_for`
    pub keep_firing_ns: i64,
}

/// What happened to one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Seen for the first time; waits for `for`.
    Pended,
    /// Still waiting.
    Waited,
    /// Gone before `for` was over.
    Dropped,
    Fired,
    /// Seen again while firing; value and annotations are fresh.
    Refreshed,
    /// Not seen for the first time; held by `keep_firing_for`.
    Missed,
    /// Still held.
    Kept,
    /// Seen again after it was held.
    Returned,
    Resolved,
    /// Resolved and kept for telling again.
    Lingered,
    /// Resolved long ago; no longer kept.
    Forgotten,
}

impl Change {
    /// Whether a restart must know of it.
    pub fn is_lasting(self) -> bool {
        match self {
            Change::Waited | Change::Refreshed | Change::Kept | Change::Lingered => false,
            Change::Pended
            | Change::Dropped
            | Change::Fired
            | Change::Missed
            | Change::Returned
            | Change::Resolved
            | Change::Forgotten => true,
        }
    }
}

/// The state after an evaluation, and one change for each alert before or after.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    pub state: RuleState,
    pub changes: Vec<(Labels, Change)>,
}

impl Step {
    pub fn is_lasting(&self) -> bool {
        self.changes.iter().any(|(_, change)| change.is_lasting())
    }
}

/// Moves the alerts of a rule on to `now_ns`. Observations have distinct labels.
pub fn step(before: &RuleState, seen: &Seen, timing: Timing, now_ns: i64) -> Step {
    let Seen::Samples(observations) = seen else {
        return Step { state: before.clone(), changes: Vec::new() };
    };
    let mut seen: BTreeMap<&Labels, &Observation> =
        observations.iter().map(|observation| (&observation.labels, observation)).collect();
    let mut alerts = Vec::with_capacity(before.alerts.len().max(seen.len()));
    let mut changes = Vec::with_capacity(alerts.capacity());
    for alert in &before.alerts {
        // After the clock was set back, times from the future would hold an alert for ever.
        let alert = alert.clamped(now_ns);
        let labels = alert.labels.clone();
        let (after, change) = match seen.remove(&alert.labels) {
            Some(observation) => {
                let (alert, change) = on_seen(alert, observation, timing, now_ns);
                (Some(alert), change)
            }
            None => on_missing(alert, timing, now_ns),
        };
        alerts.extend(after);
        changes.push((labels, change));
    }
    for (labels, observation) in seen {
        let (alert, change) = start(observation, timing, now_ns);
        alerts.push(alert);
        changes.push((labels.clone(), change));
    }
    alerts.sort_by(|a, b| a.labels.cmp(&b.labels));
    let state =
        RuleState { last_slot_ns: before.last_slot_ns, query: before.query.clone(), alerts };
    Step { state, changes }
}

fn start(observation: &Observation, timing: Timing, now_ns: i64) -> (ActiveAlert, Change) {
    let fires = timing.hold_ns <= 0;
    let alert = ActiveAlert {
        labels: observation.labels.clone(),
        series: observation.series.clone(),
        annotations: observation.annotations.clone(),
        value: observation.value,
        phase: if fires { Phase::Firing } else { Phase::Pending },
        active_at_ns: now_ns,
        fired_at_ns: fires.then_some(now_ns),
        resolved_at_ns: None,
        missing_since_ns: None,
        shown: Shown::default(),
        sent_at_ns: None,
    };
    (alert, if fires { Change::Fired } else { Change::Pended })
}

fn on_seen(
    mut alert: ActiveAlert,
    observation: &Observation,
    timing: Timing,
    now_ns: i64,
) -> (ActiveAlert, Change) {
    if alert.phase == Phase::Resolved {
        return start(observation, timing, now_ns);
    }
    alert.series.clone_from(&observation.series);
    alert.annotations.clone_from(&observation.annotations);
    alert.value = observation.value;
    let change = match alert.phase {
        Phase::Pending if now_ns - alert.active_at_ns >= timing.hold_ns => {
            alert.phase = Phase::Firing;
            alert.fired_at_ns = Some(now_ns);
            Change::Fired
        }
        Phase::Pending => Change::Waited,
        // A firing alert stays firing when `for` is raised: its receivers already know of it.
        Phase::Firing | Phase::Resolved => match alert.missing_since_ns.take() {
            Some(_) => Change::Returned,
            None => Change::Refreshed,
        },
    };
    (alert, change)
}

fn on_missing(
    mut alert: ActiveAlert,
    timing: Timing,
    now_ns: i64,
) -> (Option<ActiveAlert>, Change) {
    match alert.phase {
        Phase::Pending => (None, Change::Dropped),
        Phase::Firing => {
            let first = alert.missing_since_ns.is_none();
            let since_ns = *alert.missing_since_ns.get_or_insert(now_ns);
            if timing.keep_firing_ns > now_ns - since_ns {
                return (Some(alert), if first { Change::Missed } else { Change::Kept });
            }
            alert.phase = Phase::Resolved;
            alert.resolved_at_ns = Some(now_ns);
            alert.sent_at_ns = None;
            (Some(alert), Change::Resolved)
        }
        Phase::Resolved => {
            let kept = alert.resolved_at_ns.is_some_and(|at| now_ns - at <= RESOLVED_KEPT_NS);
            if kept { (Some(alert), Change::Lingered) } else { (None, Change::Forgotten) }
        }
    }
}

impl ActiveAlert {
    fn clamped(&self, now_ns: i64) -> ActiveAlert {
        let mut alert = self.clone();
        alert.active_at_ns = alert.active_at_ns.min(now_ns);
        for at in [
            &mut alert.fired_at_ns,
            &mut alert.resolved_at_ns,
            &mut alert.missing_since_ns,
            &mut alert.sent_at_ns,
        ] {
            *at = at.map(|at| at.min(now_ns));
        }
        alert
    }

    /// Whether the notifier should hear of it (again).
    pub fn is_due(&self, now_ns: i64, resend_ns: i64) -> bool {
        self.phase != Phase::Pending
            && self.sent_at_ns.is_none_or(|sent_ns| sent_ns.saturating_add(resend_ns) <= now_ns)
    }
}

/// Keeps at most `limit` observations: alerts that are active already stay, new ones come in by
/// value. A storm over the limit must not silence what is known. Gives also how many were cut.
pub fn within_limit(
    before: &RuleState,
    mut observations: Vec<Observation>,
    limit: usize,
) -> (Vec<Observation>, usize) {
    let cut = observations.len().saturating_sub(limit);
    if cut == 0 {
        return (observations, 0);
    }
    let active: HashMap<&Labels, ()> = before
        .alerts
        .iter()
        .filter(|alert| alert.phase != Phase::Resolved)
        .map(|alert| (&alert.labels, ()))
        .collect();
    observations.sort_by(|a, b| {
        let known = |o: &Observation| active.contains_key(&o.labels);
        known(b)
            .cmp(&known(a))
            .then_with(|| b.value.total_cmp(&a.value))
            .then_with(|| a.labels.cmp(&b.labels))
    });
    observations.truncate(limit);
    (observations, cut)
}

mod labels_as_map {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Labels;

    pub fn serialize<S: Serializer>(labels: &Labels, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(labels.iter())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Labels, D::Error> {
        Ok(Labels::from_pairs(BTreeMap::<String, String>::deserialize(from)?))
    }
}

/// JSON has no NaN and no infinity; alerts may.
mod float_as_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
