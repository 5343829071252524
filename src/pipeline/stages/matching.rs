//! `match`: stages for the entries that fit a selector, or dropping them; and its short form
//! `{when: ..., do: [...]}`.

use super::super::compile::Compile;
use super::super::condition::Condition;
use super::super::item::Item;
use super::super::run::{Joining, Stage, Step, run_steps};
use crate::config::pipeline::Node;
use crate::metrics::Counters;

#[derive(Debug)]
enum Action {
    Stages(Vec<Step>),
    Drop { reason: String, dropped: Counters },
}

#[derive(Debug)]
struct Match {
    condition: Condition,
    action: Action,
}

const KEYS: [&str; 5] = ["selector", "stages", "action", "drop_counter_reason", "pipeline_name"];

pub(super) fn compile(cx: &mut Compile<'_>, at: &Node, body: &Node) -> Option<Box<dyn Stage>> {
    let keys = cx.keys("match", body, &KEYS)?;
    let selector = keys.required(cx, "selector")?;
    let condition = Condition::compile(cx, selector);
    let stages = keys.node("stages");
    let action = keys.text(cx, "action").unwrap_or_default();
    keys.text(cx, "pipeline_name");
    let action = match (action.as_str(), stages) {
        ("" | "keep", Some(stages)) => Action::Stages(cx.steps(stages)),
        ("" | "keep", None) => {
            cx.fault(at, "stage match needs stages, or action: drop");
            return None;
        }
        ("drop", None) => {
            let reason = keys.text(cx, "drop_counter_reason");
            let reason = reason.unwrap_or_else(|| "match_stage".to_owned());
            Action::Drop { reason, dropped: cx.setup.metrics.dropped.clone() }
        }
        ("drop", Some(stages)) => {
            cx.fault(stages, "a match that drops can have no stages");
            return None;
        }
        _ => {
            cx.fault(at, "action of stage match must be keep or drop");
            return None;
        }
    };
    Some(Box::new(Match { condition: condition?, action }))
}

pub(super) fn compile_when(cx: &mut Compile<'_>, at: &Node, body: &Node) -> Option<Box<dyn Stage>> {
    let keys = cx.keys("when", body, &["when", "do"])?;
    let (Some(when), Some(stages)) = (keys.node("when"), keys.node("do")) else {
        cx.fault(at, "a condition is written `{when: '<LogQL filter>', do: [<stages>]}`");
        return None;
    };
    let condition = Condition::compile(cx, when);
    let steps = cx.steps(stages);
    Some(Box::new(Match { condition: condition?, action: Action::Stages(steps) }))
}

impl Stage for Match {
    fn run(&self, item: &mut Item) {
        if !self.condition.holds(item) {
            return;
        }
        match &self.action {
            Action::Drop { reason, dropped } => {
                item.dropped = true;
                dropped.add(&[reason], 1);
            }
            Action::Stages(steps) => {
                for step in steps {
                    if !item.dropped {
                        step.stage.run(item);
                    }
                }
            }
        }
    }

    fn run_all(&self, items: &mut Vec<Item>) {
        let Action::Stages(steps) = &self.action else {
            items.iter_mut().filter(|item| !item.dropped).for_each(|item| self.run(item));
            return;
        };
        if self.joining().is_none() {
            items.iter_mut().filter(|item| !item.dropped).for_each(|item| self.run(item));
            return;
        }
        // Stages that join see only the entries that fit. What comes out stands where the run of
        // neighbors stood that went in, so order is kept.
        let mut all = Vec::with_capacity(items.len());
        let mut run: Vec<Item> = Vec::new();
        for item in items.drain(..) {
            if !item.dropped && self.condition.holds(&item) {
                run.push(item);
            } else {
                run_steps(steps, &mut run);
                all.append(&mut run);
                all.push(item);
            }
        }
        run_steps(steps, &mut run);
        all.append(&mut run);
        *items = all;
    }

    fn joining(&self) -> Option<Joining> {
        match &self.action {
            Action::Stages(steps) => steps.iter().find_map(|step| step.stage.joining()),
            Action::Drop { .. } => None,
        }
    }
}
