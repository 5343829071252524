//! Which groups have something to tell, from the state and the time alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::inhibit::Inhibitor;
use super::settings::Settings;
use super::silence::Silences;
use super::state::{State, Told, Tracked};
use crate::model::Alert;

/// Why a group is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    First,
    NewAlerts,
    SomeResolved,
    AllResolved,
    Repeat,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::First => "first notification",
            Reason::NewAlerts => "new alerts in group",
            Reason::SomeResolved => "some alerts resolved",
            Reason::AllResolved => "all alerts resolved",
            Reason::Repeat => "repeat interval elapsed",
        }
    }
}

/// A message to one receiver about one group, for the outbox.
#[derive(Debug)]
pub(super) struct Decision {
    pub group_key: String,
    pub receiver: String,
    pub integration: usize,
    pub reason: Reason,
    pub alerts: Vec<Arc<Alert>>,
}

/// What a group's receiver knows against what is now.
pub(super) fn need(
    told: Option<&Told>,
    firing: &BTreeSet<String>,
    resolved: &BTreeSet<String>,
    send_resolved: bool,
    repeat_ns: i64,
    now_ns: i64,
) -> Option<Reason> {
    // A resolved alert that was never told of is news: it fired and ended while we waited.
    let has_event = resolved.iter().any(|id| !told.is_some_and(|told| told.knows(id)));
    let Some(told) = told else {
        return (!firing.is_empty() || has_event).then_some(Reason::First);
    };
    if has_event || !firing.is_subset(&told.firing) {
        return Some(Reason::NewAlerts);
    }
    if firing.is_empty() {
        let has_ended = resolved.iter().any(|id| told.firing.contains(id));
        return (send_resolved && has_ended).then_some(Reason::AllResolved);
    }
    if send_resolved && !resolved.is_subset(&told.resolved) {
        return Some(Reason::SomeResolved);
    }
    (told.at_ns.saturating_add(repeat_ns) <= now_ns).then_some(Reason::Repeat)
}

/// Goes through the groups whose time has come. Gives the messages to send, and whether
/// something changed that must survive a restart: the state counts the messages as told, so
/// both must be saved together. Timers alone need not be saved.
pub(super) fn flush_due(
    state: &mut State,
    settings: &Settings,
    silences: &Silences,
    now_ns: i64,
) -> (Vec<Decision>, bool) {
    let due: Vec<String> = state
        .groups
        .iter()
        .filter(|(_, group)| group.next_flush_ns <= now_ns)
        .map(|(key, _)| key.clone())
        .collect();
    let mut decisions = Vec::new();
    if due.is_empty() {
        return (decisions, false);
    }
    let moment = Moment {
        settings,
        silences,
        inhibitor: Inhibitor::new(&settings.inhibit_rules, state),
        now_ns,
    };
    let mut is_changed = false;
    for key in &due {
        is_changed |= flush(state, &moment, key, &mut decisions);
    }
    state.settle_resolved();
    (decisions, is_changed)
}

/// What does not change while groups are gone through.
struct Moment<'a> {
    settings: &'a Settings,
    silences: &'a Silences,
    inhibitor: Inhibitor<'a>,
    now_ns: i64,
}

impl Moment<'_> {
    fn holds_back(&self, known: &Tracked) -> bool {
        let labels = &known.alert.labels;
        !self.silences.covering(labels, self.now_ns).is_empty()
            || !self.inhibitor.hiding(labels).is_empty()
    }
}

fn flush(state: &mut State, moment: &Moment, key: &str, decisions: &mut Vec<Decision>) -> bool {
    let Moment { settings, now_ns, .. } = *moment;
    let Some(group) = state.groups.get(key) else { return false };
    let Some(route) = settings.root.by_id(&group.route) else { return false };
    let next_flush_ns = {
        let next = group.next_flush_ns.saturating_add(route.group_interval_ns);
        if next > now_ns { next } else { now_ns.saturating_add(route.group_interval_ns) }
    };
    if route.is_mute(now_ns) {
        // The group keeps its alerts; what still fires when the window ends is told then.
        if let Some(group) = state.groups.get_mut(key) {
            group.next_flush_ns = next_flush_ns;
        }
        return false;
    }
    let mut firing = BTreeSet::new();
    let mut resolved = BTreeSet::new();
    let mut over = BTreeSet::new();
    for id in &group.members {
        let Some(known) = state.alerts.get(id) else {
            over.insert(id.clone());
            continue;
        };
        let is_told = group.told.as_ref().is_some_and(|told| told.firing.contains(id));
        let is_resolved = known.alert.is_resolved();
        if is_resolved {
            over.insert(id.clone());
        }
        // The end of an alert that was told of is told even under a silence: someone may be
        // working on it.
        let must_hear = is_resolved && is_told;
        if !must_hear && moment.holds_back(known) {
            continue;
        }
        if is_resolved {
            resolved.insert(id.clone())
        } else {
            firing.insert(id.clone())
        };
    }
    let told = group.told.clone();
    let receiver = group.receiver.clone();
    let has_content = !firing.is_empty() || !resolved.is_empty();
    let mut is_told = false;
    if has_content {
        let integrations = settings.receivers.get(&receiver).map(|one| one.integrations.as_slice());
        for (at, integration) in integrations.unwrap_or_default().iter().enumerate() {
            let send_resolved = integration.send_resolved();
            let reason = need(
                told.as_ref(),
                &firing,
                &resolved,
                send_resolved,
                route.repeat_interval_ns,
                now_ns,
            );
            let Some(reason) = reason else { continue };
            is_told = true;
            let is_event = |id: &String| !told.as_ref().is_some_and(|told| told.knows(id));
            let chosen =
                firing.iter().chain(resolved.iter().filter(|id| send_resolved || is_event(id)));
            let alerts: Vec<Arc<Alert>> = chosen
                .filter_map(|id| state.alerts.get(id).map(|known| known.alert.clone()))
                .collect();
            if !alerts.is_empty() {
                let group_key = key.to_owned();
                let receiver = receiver.clone();
                decisions.push(Decision { group_key, receiver, integration: at, reason, alerts });
            }
        }
    }
    let Some(group) = state.groups.get_mut(key) else { return false };
    group.next_flush_ns = next_flush_ns;
    group.members.retain(|id| !over.contains(id));
    if is_told {
        group.told = Some(Told { at_ns: now_ns, firing, resolved });
    }
    if let Some(told) = &mut group.told {
        // Whatever ended is news again when it comes back.
        told.firing.retain(|id| !over.contains(id));
    }
    if group.members.is_empty() {
        state.groups.remove(key);
    }
    is_told || !over.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &str) -> BTreeSet<String> {
        ids.split_whitespace().map(str::to_owned).collect()
    }

    #[track_caller]
    fn check(
        told: Option<(i64, &str, &str)>,
        firing: &str,
        resolved: &str,
        expect: [Option<Reason>; 2],
    ) {
        let told = told.map(|(at_ns, firing, resolved)| Told {
            at_ns,
            firing: set(firing),
            resolved: set(resolved),
        });
        for (send_resolved, expect) in [true, false].into_iter().zip(expect) {
            let got = need(told.as_ref(), &set(firing), &set(resolved), send_resolved, 100, 100);
            assert_eq!(got, expect, "send_resolved {send_resolved}");
        }
    }

    #[test]
    fn needs() {
        use Reason::{AllResolved, First, NewAlerts, Repeat, SomeResolved};
        check(None, "a", "", [Some(First); 2]);
        check(None, "", "", [None; 2]);
        // Fired and ended within the group's wait.
        check(None, "", "a", [Some(First); 2]);
        check(Some((50, "a", "")), "a", "", [None; 2]);
        check(Some((50, "a", "")), "a b", "", [Some(NewAlerts); 2]);
        check(Some((50, "a b", "")), "a", "b", [Some(SomeResolved), None]);
        check(Some((50, "a", "b")), "a", "b", [None; 2]);
        check(Some((50, "a", "")), "", "a", [Some(AllResolved), None]);
        check(Some((50, "a", "")), "a", "c", [Some(NewAlerts); 2]);
        check(Some((0, "a", "")), "a", "", [Some(Repeat); 2]);
        check(Some((1, "a", "")), "a", "", [None; 2]);
    }
}
