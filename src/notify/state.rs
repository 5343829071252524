//! What the notifier knows: alerts, groups, who was told what, messages on their way. All of
//! it is saved as one value, so that what was told and what is to be sent never disagree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::outbox::{DeadLetter, Job};
use super::settings::Settings;
use crate::limits::{
    ALERT_SAMPLE_BYTES_MAX, ALERT_SAMPLE_LINES_MAX, NOTIFY_ALERT_BYTES_MAX, NOTIFY_ALERTS_MAX,
    NOTIFY_GROUPS_MAX,
};
use crate::model::{Alert, Labels};

/// How long a resolved alert is remembered, so that hearing of it again tells nobody twice.
const RESOLVED_KEPT_NS: i64 = 3600 * 1_000_000_000;
/// A firing alert that nobody confirms for this long has lost its rule engine.
const UNHEARD_MAX_NS: i64 = 48 * 3600 * 1_000_000_000;
/// The same for alerts that came over the API: Alertmanager's `resolve_timeout`.
const FOREIGN_UNHEARD_MAX_NS: i64 = 5 * 60 * 1_000_000_000;
/// A new critical alert in a group that was told before waits no longer than this.
const CRITICAL_WAIT_NS: i64 = 10 * 1_000_000_000;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// By fingerprint.
    pub alerts: BTreeMap<String, Tracked>,
    /// By group key.
    pub groups: BTreeMap<String, Group>,
    pub jobs: Vec<Job>,
    pub dead: Vec<DeadLetter>,
    pub next_job: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tracked {
    pub alert: Arc<Alert>,
    pub heard_at_ns: i64,
    /// Resolved, and all groups are done with it.
    pub is_done: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Group {
    pub route: String,
    pub receiver: String,
    #[serde(with = "pairs")]
    pub labels: Labels,
    pub members: BTreeSet<String>,
    pub next_flush_ns: i64,
    pub told: Option<Told>,
}

/// What the receiver was last told about a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub at_ns: i64,
    pub firing: BTreeSet<String>,
    pub resolved: BTreeSet<String>,
}

impl Told {
    pub fn knows(&self, fingerprint: &str) -> bool {
        self.firing.contains(fingerprint) || self.resolved.contains(fingerprint)
    }
}

mod pairs {
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

/// What taking in alerts did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Something that must survive a restart changed.
    pub is_changed: bool,
    /// Alerts that found no room.
    pub dropped: usize,
}

/// The alert's identity, as Alertmanager shows it: 16 hex digits of its labels.
pub(super) fn fingerprint(labels: &Labels) -> String {
    format!("{:016x}", labels.stream_id("").0 as u64)
}

impl State {
    pub fn take(&mut self, alerts: Vec<Alert>, settings: &Settings, now_ns: i64) -> Taken {
        let mut taken = Taken::default();
        for alert in alerts {
            self.take_one(bounded(alert), settings, now_ns, &mut taken);
        }
        taken
    }

    fn take_one(&mut self, alert: Alert, settings: &Settings, now_ns: i64, taken: &mut Taken) {
        let id = fingerprint(&alert.labels);
        let is_news = match self.alerts.get_mut(&id) {
            Some(known) => {
                known.heard_at_ns = now_ns;
                let is_same_run = known.alert.starts_at_ns == alert.starts_at_ns;
                if known.is_done && alert.is_resolved() && is_same_run {
                    return;
                }
                if alert.starts_at_ns < known.alert.starts_at_ns {
                    // News of an earlier run that was overtaken.
                    return;
                }
                known.alert.is_resolved() != alert.is_resolved() || !is_same_run
            }
            None => {
                let is_old = alert.ends_at_ns.is_some_and(|end| end < now_ns - RESOLVED_KEPT_NS);
                if is_old {
                    return;
                }
                if self.alerts.len() >= NOTIFY_ALERTS_MAX {
                    taken.dropped += 1;
                    return;
                }
                true
            }
        };
        if is_news || !alert.is_resolved() {
            taken.is_changed |= is_news;
            self.join_groups(&id, &alert.labels, settings, now_ns, taken);
        }
        let alert = Arc::new(alert);
        self.alerts.insert(id, Tracked { alert, heard_at_ns: now_ns, is_done: false });
    }

    fn join_groups(
        &mut self,
        id: &str,
        labels: &Labels,
        settings: &Settings,
        now_ns: i64,
        taken: &mut Taken,
    ) {
        for route in settings.routes_for(labels) {
            let group_labels = route.group_labels(labels);
            let key = route.group_key(&group_labels);
            if !self.groups.contains_key(&key) && self.groups.len() >= NOTIFY_GROUPS_MAX {
                taken.dropped += 1;
                continue;
            }
            let group = self.groups.entry(key).or_insert_with(|| Group {
                route: route.id.clone(),
                receiver: route.receiver.clone(),
                labels: group_labels,
                members: BTreeSet::new(),
                next_flush_ns: now_ns.saturating_add(route.group_wait_ns),
                told: None,
            });
            if group.members.insert(id.to_owned()) {
                taken.is_changed = true;
                let is_critical = labels.get("severity") == Some("critical");
                if group.told.is_some() && is_critical {
                    group.next_flush_ns =
                        group.next_flush_ns.min(now_ns.saturating_add(CRITICAL_WAIT_NS));
                }
            }
        }
    }

    /// Forgets what is over, and ends what nobody has confirmed for long. `started_at_ns` is
    /// when this process began to listen.
    pub fn age(&mut self, started_at_ns: i64, now_ns: i64) -> bool {
        let is_old = |known: &Tracked| {
            known.is_done && known.heard_at_ns.saturating_add(RESOLVED_KEPT_NS) <= now_ns
        };
        let mut is_changed = false;
        if self.alerts.values().any(is_old) {
            // A message that waits still has to say how things ended.
            let waiting: BTreeSet<String> = self.jobs.iter().flat_map(Job::fingerprints).collect();
            let before = self.alerts.len();
            self.alerts.retain(|id, known| !is_old(known) || waiting.contains(id));
            is_changed = self.alerts.len() != before;
        }
        for known in self.alerts.values_mut() {
            let heard = known.heard_at_ns.max(started_at_ns);
            // Only rules of ours have an expression; others repeat every minute what still fires.
            let is_foreign = known.alert.expr.is_empty();
            let unheard_max_ns = if is_foreign { FOREIGN_UNHEARD_MAX_NS } else { UNHEARD_MAX_NS };
            if !known.alert.is_resolved() && heard.saturating_add(unheard_max_ns) <= now_ns {
                Arc::make_mut(&mut known.alert).ends_at_ns = Some(now_ns);
                is_changed = true;
            }
        }
        is_changed
    }

    /// Brings the groups in line with the routes, after a start or a reload. Timers of groups
    /// that stay are left alone, and nobody is told again what he was told before.
    pub fn regroup(&mut self, settings: &Settings, now_ns: i64) {
        let old = std::mem::take(&mut self.groups);
        let mut told_before: BTreeMap<String, Told> = BTreeMap::new();
        for group in old.values() {
            if let Some(told) = &group.told {
                let all = told_before.entry(group.receiver.clone()).or_default();
                all.at_ns = all.at_ns.max(told.at_ns);
                all.firing.extend(told.firing.iter().cloned());
            }
        }
        let mut taken = Taken::default();
        let pending: BTreeSet<&String> = old.values().flat_map(|group| &group.members).collect();
        let current: Vec<(String, Labels)> = self
            .alerts
            .iter()
            .filter(|(id, known)| !known.alert.is_resolved() || pending.contains(id))
            .map(|(id, known)| (id.clone(), known.alert.labels.clone()))
            .collect();
        for (id, labels) in current {
            self.join_groups(&id, &labels, settings, now_ns, &mut taken);
        }
        for (key, group) in &mut self.groups {
            match old.get(key).filter(|before| before.receiver == group.receiver) {
                Some(before) => {
                    group.next_flush_ns = before.next_flush_ns;
                    group.told.clone_from(&before.told);
                    // What is over for this group stays so, even if another group waits.
                    let alerts = &self.alerts;
                    group.members.retain(|id| {
                        before.members.contains(id)
                            || alerts.get(id).is_some_and(|known| !known.alert.is_resolved())
                    });
                }
                None => {
                    let known = told_before.get(&group.receiver).map(|told| Told {
                        at_ns: told.at_ns,
                        firing: told.firing.intersection(&group.members).cloned().collect(),
                        resolved: BTreeSet::new(),
                    });
                    group.told = known.filter(|told| !told.firing.is_empty());
                }
            }
        }
        self.bury_homeless(settings, now_ns);
    }

    /// Marks alerts as done that are resolved and in no group any more.
    pub fn settle_resolved(&mut self) {
        let mut waiting: BTreeSet<&str> = BTreeSet::new();
        for group in self.groups.values() {
            waiting.extend(group.members.iter().map(String::as_str));
        }
        for (id, known) in &mut self.alerts {
            if known.alert.is_resolved() && !waiting.contains(id.as_str()) {
                known.is_done = true;
            }
        }
    }
}

/// Bounds what one alert can hold, whoever sent it.
fn bounded(mut alert: Alert) -> Alert {
    if !alert.value.is_finite() {
        // The state is JSON, which knows no NaN.
        alert.value = if alert.value.is_nan() { 0.0 } else { f64::MAX.copysign(alert.value) };
    }
    alert.samples.truncate(ALERT_SAMPLE_LINES_MAX);
    for sample in &mut alert.samples {
        cut(&mut sample.line, ALERT_SAMPLE_BYTES_MAX);
    }
    cut(&mut alert.expr, NOTIFY_ALERT_BYTES_MAX);
    cut(&mut alert.generator_url, NOTIFY_ALERT_BYTES_MAX);
    let bytes: usize = alert.annotations.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > NOTIFY_ALERT_BYTES_MAX {
        let each = NOTIFY_ALERT_BYTES_MAX / alert.annotations.len().max(1);
        alert.annotations = Labels::from_pairs(alert.annotations.iter().map(|(name, value)| {
            let mut value = value.to_owned();
            cut(&mut value, each);
            (name, value)
        }));
    }
    alert
}

fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}
