//! Evaluating a group at its slots. Blocking; one group at a time runs in one thread.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{GroupHealth, Inner, RuleHealth};
use crate::alert::judge::judge;
use crate::alert::listing::Health;
use crate::alert::recorded::RecordedRule;
use crate::alert::rule::{Group, GroupKey, Rule, RuleKind, TENANT_LABEL};
use crate::alert::schedule::{Plan, plan};
use crate::alert::state::{ActiveAlert, Observation, RuleState, Seen, Step, Timing, step};
use crate::alert::text::{data, render_labels};
use crate::model::{Alert, Labels, TENANT_DEFAULT, Timestamp};

/// Takes alerts as soon as they are known, in order.
pub(super) type Emit<'a> = &'a mut dyn FnMut(Vec<Alert>);

/// How long a rule fails before somebody is told.
const FAILING_HOLD_NS: i64 = 60 * 1_000_000_000;

/// Alerts about rules themselves are kept under the rule's id and one of these.
const LIMIT: &str = "#limit";
const FAILING: &str = "#failing";

/// The id of the rule that alerts are kept for.
pub(super) fn owner(id: &str) -> &str {
    id.split('#').next().unwrap_or(id)
}

/// The moment a rule is evaluated for, and whether it is the present.
#[derive(Debug, Clone, Copy)]
struct Slot {
    at_ns: i64,
    newest: bool,
}

impl Inner {
    /// Evaluates what is due at `newest_ns`: slots from old to new, rules in their order.
    pub(super) fn run_group(&self, group: &Group, newest_ns: i64, emit: Emit<'_>) {
        let started = Instant::now();
        let mut plans: Vec<Plan> = group
            .rules
            .iter()
            .map(|rule| match rule.kind {
                RuleKind::Record => Plan { slots_ns: vec![newest_ns], missed: 0 },
                RuleKind::Alert { .. } => {
                    let last_ns =
                        self.memory.get(rule.id.as_str()).and_then(|state| state.last_slot_ns);
                    plan(&rule.look, last_ns, newest_ns, group.interval_ns)
                }
            })
            .collect();
        let missed = plans.iter().map(|plan| plan.missed).max().unwrap_or(0);
        if missed > 0 {
            self.counters.missed.add(&[&group.name], missed);
        }
        let slots: BTreeSet<i64> = plans.iter().flat_map(|plan| plan.slots_ns.clone()).collect();
        for slot_ns in slots {
            for (rule, plan) in group.rules.iter().zip(&mut plans) {
                if self.stopping.load(Ordering::Relaxed) {
                    return;
                }
                if !plan.slots_ns.contains(&slot_ns) {
                    continue;
                }
                let slot = Slot { at_ns: slot_ns, newest: slot_ns == newest_ns };
                if !self.run_rule(group, rule, slot, emit) {
                    // Ask a failing query about the present, not about each missed slot.
                    plan.slots_ns.retain(|slot_ns| *slot_ns == newest_ns);
                }
            }
        }
        let took_secs = started.elapsed().as_secs_f64();
        let last_evaluation_ns = self.clock.now_ns();
        self.counters.duration.observe(&[], took_secs);
        self.counters.last_evaluation.set(&[&group.name], last_evaluation_ns / 1_000_000_000);
        self.group_health.lock().insert(group.key(), GroupHealth { last_evaluation_ns, took_secs });
    }

    /// Whether the rule could be evaluated.
    fn run_rule(&self, group: &Group, rule: &Rule, slot: Slot, emit: Emit<'_>) -> bool {
        let started = Instant::now();
        let slot_ns = slot.at_ns;
        let at = Timestamp(slot_ns.saturating_sub(group.query_offset_ns));
        let history_ns = at.0.saturating_sub(self.memory.installed_at_ns());
        let absent_reach_ns = rule.look.absent_reach_ns;
        let outcome = if absent_reach_ns > 0 && history_ns < absent_reach_ns {
            // Nothing was collected before the first start, so nothing can be absent from it.
            Err("waits until the logs kept reach as far back as the rule looks".to_owned())
        } else {
            self.counters.evaluations.add(&[&group.name], 1);
            match rule.kind {
                RuleKind::Alert { .. } => Ok(self.run_alert(group, rule, slot, at, emit)),
                RuleKind::Record => Ok(self.run_record(group, rule, at)),
            }
        };
        let (health, last_error) = match &outcome {
            Err(reason) => (Health::Unknown, reason.clone()),
            Ok(Err(error)) => (Health::Err, error.clone()),
            Ok(Ok(())) => (Health::Ok, String::new()),
        };
        let failed = health == Health::Err;
        if failed {
            self.counters.failures.add(&[&group.name], 1);
            tracing::warn!(
                rule = %rule.name,
                group = %group.name,
                error = %last_error,
                "a rule could not be evaluated; its alerts stay as they are"
            );
        }
        self.run_meta(group, rule, FAILING, failed.then_some(last_error.as_str()), slot, emit);
        self.health.lock().insert(
            rule.id.clone(),
            RuleHealth {
                health,
                last_error,
                last_evaluation_ns: slot_ns,
                took_secs: started.elapsed().as_secs_f64(),
            },
        );
        !failed
    }

    fn run_alert(
        &self,
        group: &Group,
        rule: &Rule,
        slot: Slot,
        at: Timestamp,
        emit: Emit<'_>,
    ) -> Result<(), String> {
        let slot_ns = slot.at_ns;
        let before = self.memory.get(rule.id.as_str()).unwrap_or_default();
        let before = self.tell_unsent(rule.id.as_str(), before, slot_ns, emit);
        let judged =
            judge((group, rule), self.evaluate.as_ref(), &self.around, &before, (slot_ns, at));
        if let Some(error) = judged.error {
            return Err(error);
        }
        let lasting = judged.step.is_lasting();
        let mut state = judged.step.state;
        state.last_slot_ns = Some(slot_ns);
        state.query.clone_from(&rule.query);
        self.show((group, rule), &mut state, (slot_ns, self.resend_ns(slot)), at);
        self.hand_on(rule.id.as_str(), state, lasting, slot, emit);
        let over = (judged.cut > 0).then(|| {
            format!(
                "{} series are over the limit of {}; alerts that were active are kept, \
                 the others with the highest values were added",
                judged.cut, group.limit
            )
        });
        self.run_meta(group, rule, LIMIT, over.as_deref(), slot, emit);
        Ok(())
    }

    /// While the past is made up for, only news is told.
    fn resend_ns(&self, slot: Slot) -> i64 {
        if slot.newest { self.options.resend_ns } else { i64::MAX }
    }

    /// After a restart nobody knows whether the last words got out, so they are said again
    /// before anything changes.
    fn tell_unsent(
        &self,
        id: &str,
        before: Arc<RuleState>,
        now_ns: i64,
        emit: Emit<'_>,
    ) -> Arc<RuleState> {
        let unsent = |alert: &ActiveAlert| alert.is_due(now_ns, i64::MAX);
        if !before.alerts.iter().any(unsent) {
            return before;
        }
        let mut state = RuleState::clone(&before);
        let alerts = state.alerts.iter().filter(|alert| unsent(alert));
        emit(alerts.map(|alert| self.outgoing(alert, &state.query)).collect());
        for alert in state.alerts.iter_mut().filter(|alert| unsent(alert)) {
            alert.sent_at_ns = Some(now_ns);
        }
        self.memory.put(id, state.clone());
        Arc::new(state)
    }

    /// Keeps what the alerts became, then tells those who are due. Saved first, so that a crash
    /// repeats a message rather than losing one.
    fn hand_on(&self, id: &str, mut state: RuleState, lasting: bool, slot: Slot, emit: Emit<'_>) {
        let (now_ns, resend_ns) = (slot.at_ns, self.resend_ns(slot));
        let alerts: Vec<Alert> = state
            .alerts
            .iter()
            .filter(|alert| alert.is_due(now_ns, resend_ns))
            .map(|alert| self.outgoing(alert, &state.query))
            .collect();
        self.memory.put(id, state.clone());
        if lasting && let Err(error) = self.memory.save() {
            self.counters.save_failures.add(&[], 1);
            tracing::error!(%error, "alert state could not be saved; alerts go out all the same");
        }
        if alerts.is_empty() {
            return;
        }
        emit(alerts);
        for alert in &mut state.alerts {
            if alert.is_due(now_ns, resend_ns) {
                alert.sent_at_ns = Some(now_ns);
            }
        }
        self.memory.put(id, state);
    }

    /// An alert about the rule itself, under the same state machine.
    fn run_meta(
        &self,
        group: &Group,
        rule: &Rule,
        kind: &str,
        trouble: Option<&str>,
        slot: Slot,
        emit: Emit<'_>,
    ) {
        let id = format!("{}{kind}", rule.id.as_str());
        let before = self.memory.get(&id);
        if trouble.is_none() && before.is_none() {
            return;
        }
        let (alertname, severity, hold_ns) = match kind {
            LIMIT => ("RuleLimitExceeded", "warning", 0),
            _ => ("RuleEvalFailing", "critical", FAILING_HOLD_NS),
        };
        let owner = (*group.tenant != *TENANT_DEFAULT).then_some((TENANT_LABEL, &*group.tenant));
        let observations = trouble.map(|trouble| Observation {
            labels: Labels::from_pairs(
                [
                    ("alertname", alertname),
                    ("severity", severity),
                    ("category", "self"),
                    ("rule", &rule.name),
                    ("rule_group", &group.name),
                ]
                .into_iter()
                .chain(owner),
            ),
            series: Labels::default(),
            annotations: Labels::from_pairs([
                ("summary", format!("{alertname}: rule {} of {}", rule.name, group.name)),
                ("description", trouble.to_owned()),
            ]),
            value: 1.0,
        });
        let timing = Timing { hold_ns, keep_firing_ns: 0 };
        let seen = Seen::Samples(observations.into_iter().collect());
        let mut next = step(&before.unwrap_or_default(), &seen, timing, slot.at_ns);
        next.state.query.clone_from(&rule.query);
        self.settle(&id, next, slot, emit);
    }

    /// Ends the alerts of rules that are no longer there.
    pub(super) fn run_orphans(&self, now_ns: i64, emit: Emit<'_>) {
        let rules = self.rules.load_full();
        let ids: BTreeSet<&str> = rules.rules().map(|(_, rule)| rule.id.as_str()).collect();
        for (id, before) in self.memory.all() {
            if ids.contains(owner(&id)) {
                continue;
            }
            let seen = Seen::Samples(Vec::new());
            let next = step(&before, &seen, Timing::default(), now_ns);
            self.settle(&id, next, Slot { at_ns: now_ns, newest: true }, emit);
        }
        let groups: BTreeSet<GroupKey> = rules.groups.iter().map(|group| group.key()).collect();
        self.group_health.lock().retain(|key, _| groups.contains(key));
    }

    /// `hand_on` for alerts without a rule of their own: forgotten with their last alert.
    fn settle(&self, id: &str, next: Step, slot: Slot, emit: Emit<'_>) {
        if next.state.alerts.is_empty() {
            self.memory.remove(id);
        } else {
            let lasting = next.is_lasting();
            self.hand_on(id, next.state, lasting, slot, emit);
        }
    }

    fn run_record(&self, group: &Group, rule: &Rule, at: Timestamp) -> Result<(), String> {
        let samples = self.evaluate.instant(&group.tenant, &rule.expr, at)?;
        if samples.len() > group.limit {
            return Err(format!(
                "{} series are over the limit of {}; nothing was recorded",
                samples.len(),
                group.limit
            ));
        }
        let series = samples.iter().map(|sample| {
            let data = data(&sample.labels, sample.value, &self.around);
            // The name is that of the metric; as a label it would stand twice.
            let labels = render_labels(&sample.labels, &rule.labels, &data, ("__name__", ""));
            (labels, sample.value)
        });
        let recorded = RecordedRule {
            name: rule.name.clone(),
            query: rule.query.clone(),
            series: series.collect(),
        };
        self.recorded.set(rule.id.as_str(), recorded);
        Ok(())
    }
}
