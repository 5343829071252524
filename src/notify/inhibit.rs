//! Alerts that hide others: a database that is down mutes the errors of its clients.

use super::state::Tracked;
use crate::model::{Labels, Matcher};

#[derive(Debug, Clone, Default)]
pub(super) struct InhibitRule {
    pub source: Vec<Matcher>,
    pub target: Vec<Matcher>,
    /// Labels on which both must agree; a missing one counts as empty.
    pub equal: Vec<String>,
}

fn fits(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name).unwrap_or_default()))
}

/// Fingerprints of the firing alerts that hide one with these labels.
pub(super) fn inhibited_by<'a>(
    rules: &[InhibitRule],
    labels: &Labels,
    firing: impl Iterator<Item = (&'a String, &'a Tracked)> + Clone,
) -> Vec<String> {
    let mut found = Vec::new();
    for rule in rules {
        if !fits(&rule.target, labels) {
            continue;
        }
        let is_both = fits(&rule.source, labels);
        for (fingerprint, source) in firing.clone() {
            let other = &source.alert.labels;
            let hides = fits(&rule.source, other)
                // Alerts that match both sides do not hide each other, nor themselves.
                && !(is_both && fits(&rule.target, other))
                && rule.equal.iter().all(|name| {
                    labels.get(name).unwrap_or_default() == other.get(name).unwrap_or_default()
                });
            if hides && !found.contains(fingerprint) {
                found.push(fingerprint.clone());
            }
        }
    }
    found
}
