//! One evaluation of one alerting rule: query, render, limit, step. No effects.

use std::collections::BTreeMap;

use super::evaluate::{Evaluate, Sample};
use super::rule::{Group, Rule, RuleKind};
use super::state::{Observation, RuleState, Seen, Step, Timing, step, within_limit};
use super::text::{Surroundings, data, render_annotations, render_labels};
use crate::model::{Labels, Timestamp};

/// The outcome of an evaluation.
#[derive(Debug)]
pub struct Judged {
    pub step: Step,
    /// Series over the limit that were left out.
    pub cut: usize,
    /// Set when nothing is known; the step then keeps everything as it was.
    pub error: Option<String>,
}

/// Evaluates `rule` for the slot `slot_ns`, looking at the lines up to `at`.
pub fn judge(
    (group, rule): (&Group, &Rule),
    evaluate: &dyn Evaluate,
    around: &Surroundings,
    before: &RuleState,
    (slot_ns, at): (i64, Timestamp),
) -> Judged {
    let observed = evaluate
        .instant(&group.tenant, &rule.expr, at)
        .and_then(|samples| observations(rule, &samples, around));
    let (seen, cut, error) = match observed {
        Ok(observations) => {
            let (kept, cut) = within_limit(before, observations, group.limit);
            (Seen::Samples(kept), cut, None)
        }
        Err(error) => (Seen::Failed, 0, Some(error)),
    };
    Judged { step: step(before, &seen, timing(rule), slot_ns), cut, error }
}

pub fn timing(rule: &Rule) -> Timing {
    match rule.kind {
        RuleKind::Alert { hold_ns, keep_firing_ns, .. } => Timing { hold_ns, keep_firing_ns },
        RuleKind::Record => Timing::default(),
    }
}

fn observations(
    rule: &Rule,
    samples: &[Sample],
    around: &Surroundings,
) -> Result<Vec<Observation>, String> {
    let mut by_labels: BTreeMap<Labels, Observation> = BTreeMap::new();
    for sample in samples {
        let data = data(&sample.labels, sample.value, around);
        let labels = render_labels(&sample.labels, &rule.labels, &data, ("alertname", &rule.name));
        let annotations = match &rule.kind {
            RuleKind::Alert { annotations, .. } => render_annotations(annotations, &data),
            RuleKind::Record => Labels::default(),
        };
        let observation = Observation {
            labels: labels.clone(),
            series: sample.labels.clone(),
            annotations,
            value: sample.value,
        };
        if let Some(other) = by_labels.insert(labels, observation) {
            return Err(format!(
                "two series have the labels {} after the rule's labels were added; \
                 do not overwrite a label that tells them apart",
                other.labels
            ));
        }
    }
    Ok(by_labels.into_values().collect())
}
