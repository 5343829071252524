//! Alerts that hide others: a database that is down mutes the errors of its clients.

use std::collections::HashMap;

use super::state::State;
use crate::model::{Labels, Matcher};

#[derive(Debug, Clone, Default)]
pub(super) struct InhibitRule {
    pub source: Vec<Matcher>,
    pub target: Vec<Matcher>,
    /// Labels on which both must agree; a missing one counts as empty.
    pub equal: Vec<String>,
}

impl InhibitRule {
    fn agreement(&self, labels: &Labels) -> Vec<String> {
        self.equal.iter().map(|name| labels.get(name).unwrap_or_default().to_owned()).collect()
    }
}

fn fits(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name).unwrap_or_default()))
}

#[derive(Debug)]
struct Source {
    fingerprint: String,
    is_target_too: bool,
}

/// By the values on which both sides must agree.
type Sources = HashMap<Vec<String>, Vec<Source>>;

/// What hides what at one moment: looked up once, so that a storm of alerts costs one pass
/// and not one for each alert.
#[derive(Debug)]
pub(super) struct Inhibitor<'a> {
    rules: Vec<(&'a InhibitRule, Sources)>,
}

impl<'a> Inhibitor<'a> {
    pub fn new(rules: &'a [InhibitRule], state: &State) -> Inhibitor<'a> {
        let sources = |rule: &InhibitRule| {
            let mut found = Sources::new();
            for (id, known) in &state.alerts {
                let labels = &known.alert.labels;
                if !known.alert.is_resolved() && fits(&rule.source, labels) {
                    let is_target_too = fits(&rule.target, labels);
                    let source = Source { fingerprint: id.clone(), is_target_too };
                    found.entry(rule.agreement(labels)).or_default().push(source);
                }
            }
            found
        };
        Inhibitor { rules: rules.iter().map(|rule| (rule, sources(rule))).collect() }
    }

    /// Fingerprints of the firing alerts that hide one with these labels.
    pub fn hiding(&self, labels: &Labels) -> Vec<String> {
        let mut found = Vec::new();
        for (rule, sources) in &self.rules {
            if sources.is_empty() || !fits(&rule.target, labels) {
                continue;
            }
            let is_both = fits(&rule.source, labels);
            for source in sources.get(&rule.agreement(labels)).into_iter().flatten() {
                // Alerts that match both sides do not hide each other, nor themselves.
                let hides = !(is_both && source.is_target_too);
                if hides && !found.contains(&source.fingerprint) {
                    found.push(source.fingerprint.clone());
                }
            }
        }
        found
    }
}
