//! Rules and alerts as the API lists them.

use std::collections::HashSet;
use std::sync::Arc;

use super::evaluation::owner;
use super::{Inner, RuleHealth, Ruler};
use crate::alert::listing::{
    AlertListing, Alerts, GroupListing, RuleGroups, RuleListing, RuleType, StateName, format_value,
};
use crate::alert::rule::{Group, Rule, RuleKind};
use crate::alert::state::{ActiveAlert, Phase, RuleState};
use crate::model::{Labels, Timestamp};

impl Ruler {
    /// For `/prometheus/api/v1/rules`.
    pub fn list_rules(&self, tenant: &str) -> RuleGroups {
        let rules = self.rules();
        let own = rules.groups.iter().filter(|group| &*group.tenant == tenant);
        let groups = own.map(|group| {
            let rules = group.rules.iter().map(|rule| self.0.list_rule(rule)).collect();
            self.0.list_group(group, rules)
        });
        RuleGroups { groups: groups.collect() }
    }

    /// For `/prometheus/api/v1/alerts`: what is pending or firing.
    pub fn list_alerts(&self, tenant: &str) -> Alerts {
        let rules = self.rules();
        let own: HashSet<&str> = rules
            .rules()
            .filter(|(group, _)| &*group.tenant == tenant)
            .map(|(_, rule)| rule.id.as_str())
            .collect();
        let states = self.0.memory.all();
        let alerts = states
            .iter()
            .filter(|(id, _)| own.contains(owner(id)))
            .flat_map(|(_, state)| list_active(state))
            .collect();
        Alerts { alerts }
    }
}

impl Inner {
    fn list_group(&self, group: &Arc<Group>, rules: Vec<RuleListing>) -> GroupListing {
        let health = self.group_health.lock().get(&group.key()).copied().unwrap_or_default();
        GroupListing {
            name: group.name.clone(),
            file: group.namespace.clone(),
            rules,
            interval: seconds(group.interval_ns),
            limit: group.limit_written,
            last_evaluation: time(health.last_evaluation_ns),
            evaluation_time: health.took_secs,
        }
    }

    fn list_rule(&self, rule: &Rule) -> RuleListing {
        let health: RuleHealth = self.health.lock().get(&rule.id).cloned().unwrap_or_default();
        let labels = Labels::from_pairs(
            rule.labels.iter().map(|(name, text)| (name.as_str(), text.source())),
        );
        let mut listing = RuleListing {
            state: None,
            name: rule.name.clone(),
            query: rule.query.clone(),
            duration: None,
            keep_firing_for: None,
            labels,
            annotations: None,
            alerts: None,
            health: health.health,
            last_error: health.last_error,
            kind: kind_of(rule),
            last_evaluation: time(health.last_evaluation_ns),
            evaluation_time: health.took_secs,
        };
        if let RuleKind::Alert { hold_ns, keep_firing_ns, annotations } = &rule.kind {
            let state = self.memory.get(rule.id.as_str()).unwrap_or_default();
            let alerts = list_active(&state);
            let worst = alerts.iter().map(|alert| alert.state).max();
            listing.state = Some(worst.unwrap_or(StateName::Inactive));
            listing.duration = Some(seconds(*hold_ns));
            listing.keep_firing_for = Some(seconds(*keep_firing_ns));
            listing.annotations = Some(Labels::from_pairs(
                annotations.iter().map(|(name, text)| (name.as_str(), text.source())),
            ));
            listing.alerts = Some(alerts);
        }
        listing
    }
}

fn kind_of(rule: &Rule) -> RuleType {
    if rule.is_alert() { RuleType::Alerting } else { RuleType::Recording }
}

fn list_active(state: &RuleState) -> Vec<AlertListing> {
    state.alerts.iter().filter_map(list_alert).collect()
}

fn list_alert(alert: &ActiveAlert) -> Option<AlertListing> {
    let state = match alert.phase {
        Phase::Pending => StateName::Pending,
        Phase::Firing => StateName::Firing,
        Phase::Resolved => return None,
    };
    Some(AlertListing {
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        state,
        active_at: time(alert.active_at_ns),
        keep_firing_since: alert.missing_since_ns.map(time),
        value: format_value(alert.value),
    })
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

/// Go's zero time for what never was.
fn time(ns: i64) -> String {
    if ns == 0 { "0001-01-01T00:00:00Z".to_owned() } else { Timestamp(ns).to_string() }
}
