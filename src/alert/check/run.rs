//! Runs the tests of a rule file on a simulated clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Expect, ExpectState, Failure, Report, RuleTest, SampleTest, Scenario};
use crate::alert::engine::EngineEvaluate;
use crate::alert::evaluate::Evaluate;
use crate::alert::judge::judge;
use crate::alert::load::RuleFile;
use crate::alert::rule::{Group, Rule};
use crate::alert::state::{ActiveAlert, Phase, RuleState};
use crate::alert::text::Surroundings;
use crate::model::{Entry, Labels, TENANT_DEFAULT, TimeRange, Timestamp};
use crate::query::Engine;
use crate::store::read::MemoryLogs;

/// 2026-01-01T00:00:00Z: tests give the same answer on every day.
const START_NS: i64 = 1_767_225_600_000_000_000;

/// Runs all tests of a file, with the query engine over a store in memory.
pub fn run_tests(file: &RuleFile) -> Report {
    let mut run = Run { file, report: Report::default() };
    for test in &file.tests {
        match test {
            RuleTest::Scenario(scenario) => run.scenario(scenario),
            RuleTest::Samples(samples) => run.samples(samples),
        }
    }
    run.report
}

fn load(lines: impl IntoIterator<Item = (Labels, Entry)>) -> EngineEvaluate {
    let mut logs = MemoryLogs::default();
    for (labels, entry) in lines {
        logs.add(TENANT_DEFAULT, &labels, entry);
    }
    EngineEvaluate::new(Engine::new(Arc::new(logs)))
}

struct Run<'a> {
    file: &'a RuleFile,
    report: Report,
}

impl Run<'_> {
    fn check(&mut self, test: &str, fault: Option<String>) {
        match fault {
            None => self.report.passed += 1,
            Some(message) => self.report.failures.push(Failure {
                file: self.file.name.clone(),
                test: test.to_owned(),
                message,
            }),
        }
    }

    fn rules(&self) -> impl Iterator<Item = (&Group, &Rule)> {
        self.file
            .groups
            .iter()
            .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
            .filter(|(_, rule)| rule.is_alert())
    }

    fn scenario(&mut self, scenario: &Scenario) {
        let lines = scenario.lines.iter().map(|(labels, entry)| {
            let mut entry = entry.clone();
            entry.ts = entry.ts.saturating_add_ns(START_NS);
            (labels.clone(), entry)
        });
        let evaluate = load(lines);
        let named: BTreeSet<&str> =
            scenario.expect.iter().map(|expect| expect.alert.as_str()).collect();
        let mut found: BTreeMap<String, Vec<ActiveAlert>> = BTreeMap::new();
        let mut faults = Vec::new();
        for (group, rule) in self.rules() {
            if !named.is_empty() && !named.contains(rule.name.as_str()) {
                continue;
            }
            match play(group, rule, &evaluate, scenario.at_ns) {
                Ok(state) => found.entry(rule.name.clone()).or_default().extend(
                    state.alerts.into_iter().filter(|alert| alert.phase != Phase::Resolved),
                ),
                Err(error) => faults.push(format!("{}: {error}", rule.name)),
            }
        }
        if scenario.expect.is_empty() {
            let firing: Vec<String> =
                found.values().flatten().filter(|alert| is_firing(alert)).map(shown).collect();
            let fault = format!("nothing should fire, but there is {}", firing.join(", "));
            faults.extend((!firing.is_empty()).then_some(fault));
        }
        for expect in &scenario.expect {
            let alerts = found.get(&expect.alert).map_or(&[][..], Vec::as_slice);
            let fault = unmet(expect, alerts, &scenario.expect);
            self.check(&scenario.name, fault);
        }
        if faults.is_empty() && scenario.expect.is_empty() {
            self.check(&scenario.name, None);
        }
        for fault in faults {
            self.check(&scenario.name, Some(fault));
        }
    }

    fn samples(&mut self, samples: &SampleTest) {
        let rules: Vec<(&Group, &Rule)> =
            self.rules().filter(|(_, rule)| rule.name == samples.alert).collect();
        let rules: Vec<Rule> = rules.into_iter().map(|(_, rule)| rule.clone()).collect();
        let cases = samples
            .matching
            .iter()
            .map(|line| (line, true))
            .chain(samples.keep.iter().map(|line| (line, false)));
        for (line, wanted) in cases {
            let mut entry = Entry::new(Timestamp(START_NS), line.as_str());
            entry.metadata = samples
                .metadata
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect();
            let evaluate = load([(samples.labels.clone(), entry)]);
            let fault = match looked_at(&rules, &evaluate) {
                Ok(got) if got == wanted => None,
                Ok(true) => Some(format!("must leave this line alone: {line}")),
                Ok(false) => Some(format!("must look at this line: {line}")),
                Err(error) => Some(error),
            };
            self.check(&samples.alert, fault);
        }
    }
}

/// Whether the first selector of any of the rules lets the one line through.
fn looked_at(rules: &[Rule], evaluate: &dyn Evaluate) -> Result<bool, String> {
    let range = TimeRange::new(Timestamp(START_NS), Timestamp(START_NS + 1));
    let mut seen = false;
    let mut queries = 0;
    for evidence in rules.iter().filter_map(|rule| rule.look.evidence.as_ref()) {
        queries += 1;
        seen |= evaluate.evidence(TENANT_DEFAULT, evidence.log(), range, 1)?.count > 0;
    }
    if queries == 0 {
        return Err("the rule looks at no lines, so sample lines say nothing of it".to_owned());
    }
    Ok(seen)
}

/// Evaluates a rule at each interval up to `at_ns`, and there.
fn play(
    group: &Group,
    rule: &Rule,
    evaluate: &dyn Evaluate,
    at_ns: i64,
) -> Result<RuleState, String> {
    let mut state = RuleState::default();
    let mut slot_ns = 0;
    while slot_ns < at_ns {
        slot_ns = slot_ns.saturating_add(group.interval_ns.max(1)).min(at_ns);
        let now_ns = START_NS.saturating_add(slot_ns);
        let judged = judge(
            (group, rule),
            evaluate,
            &Surroundings::default(),
            &state,
            (now_ns, Timestamp(now_ns)),
        );
        if let Some(error) = judged.error {
            return Err(error);
        }
        state = judged.step.state;
    }
    Ok(state)
}

/// Why an expectation does not hold. For a name that is expected to be active, every active
/// alert of that name must be expected by some entry.
fn unmet(expect: &Expect, alerts: &[ActiveAlert], all: &[Expect]) -> Option<String> {
    let there = || alerts.iter().map(shown).collect::<Vec<_>>().join(", ");
    if expect.state == ExpectState::Inactive {
        let active = alerts.iter().find(|alert| has(&alert.labels, &expect.labels))?;
        return Some(format!("{} should be inactive, but is {}", expect.alert, shown(active)));
    }
    if !alerts.iter().any(|alert| fits(expect, alert)) {
        return Some(format!(
            "expected {} {} {}, there is: {}",
            state_name(expect.state),
            expect.alert,
            expect.labels,
            if alerts.is_empty() { "nothing".to_owned() } else { there() },
        ));
    }
    let unexpected = alerts
        .iter()
        .find(|alert| !all.iter().any(|other| other.alert == expect.alert && fits(other, alert)))?;
    Some(format!("unexpected {}", shown(unexpected)))
}

fn fits(expect: &Expect, alert: &ActiveAlert) -> bool {
    let state = match expect.state {
        ExpectState::Pending => alert.phase == Phase::Pending,
        ExpectState::Firing => is_firing(alert),
        ExpectState::Inactive => false,
    };
    state && has(&alert.labels, &expect.labels) && has(&alert.annotations, &expect.annotations)
}

fn has(all: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(name, value)| all.get(name) == Some(value))
}

fn is_firing(alert: &ActiveAlert) -> bool {
    alert.phase == Phase::Firing
}

fn shown(alert: &ActiveAlert) -> String {
    let state = if is_firing(alert) { "firing" } else { "pending" };
    format!("{state} {} (value {})", alert.labels, alert.value)
}

fn state_name(state: ExpectState) -> &'static str {
    match state {
        ExpectState::Pending => "pending",
        ExpectState::Firing => "firing",
        ExpectState::Inactive => "inactive",
    }
}
