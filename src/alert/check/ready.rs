//! Raw tests to tests that can run.

use std::collections::{BTreeMap, BTreeSet};

use super::{Expect, ExpectState, RuleTest, SampleTest, Scenario};
use crate::config::alerts::{RawExpect, RawExpectState, RawTest, RawTestLine};
use crate::config::{Diagnostic, Spanned};
use crate::model::{Entry, Labels, Text, Timestamp};
use crate::text::units::parse_prometheus_duration;

/// Lines of one scenario, repeats included.
const LINES_MAX: usize = 100_000;

const SECOND_NS: i64 = 1_000_000_000;

/// Checks the tests of a file against the names of its alerts.
pub fn ready(
    file: &str,
    raw: &[Spanned<RawTest>],
    alerts: &BTreeSet<String>,
    faults: &mut Vec<Diagnostic>,
) -> Vec<RuleTest> {
    let mut readier = Readier { file, alerts, faults };
    raw.iter().enumerate().filter_map(|(at, test)| readier.test(at + 1, test)).collect()
}

struct Readier<'a> {
    file: &'a str,
    alerts: &'a BTreeSet<String>,
    faults: &'a mut Vec<Diagnostic>,
}

impl Readier<'_> {
    fn fault<T>(&mut self, at: &Spanned<T>, message: impl Into<String>) {
        self.faults.push(Diagnostic::at(self.file, at, message));
    }

    fn test(&mut self, number: usize, raw: &Spanned<RawTest>) -> Option<RuleTest> {
        let test = &raw.value;
        match (&test.alert, &test.expect) {
            (Some(alert), None) => {
                self.known(alert, &alert.value);
                if test.matching.is_empty() && test.keep.is_empty() {
                    self.fault(alert, "a test of sample lines needs \"match\" or \"keep\"");
                }
                Some(RuleTest::Samples(SampleTest {
                    alert: alert.value.clone(),
                    labels: stream_labels(&test.labels),
                    metadata: pairs(&test.metadata),
                    matching: test.matching.iter().map(|line| line.value.clone()).collect(),
                    keep: test.keep.iter().map(|line| line.value.clone()).collect(),
                }))
            }
            (None, Some(expect)) => {
                let Some(at) = &test.at else {
                    self.fault(raw, "a scenario needs \"at\": when to look at the alerts");
                    return None;
                };
                let at_ns = self.duration(at)?;
                let lines = self.lines(raw, &test.lines);
                let expect = expect.iter().map(|expect| self.expect(expect)).collect();
                let name = test.name.clone().unwrap_or_else(|| format!("test {number}"));
                Some(RuleTest::Scenario(Scenario { name, lines, at_ns, expect }))
            }
            _ => {
                self.fault(
                    raw,
                    "a test has either \"lines\", \"at\" and \"expect\", or \"alert\" with \
                     \"match\" and \"keep\"",
                );
                None
            }
        }
    }

    fn known<T>(&mut self, at: &Spanned<T>, alert: &str) {
        if !self.alerts.contains(alert) {
            self.fault(at, format!("no alert of this file is called {alert:?}"));
        }
    }

    fn duration(&mut self, text: &Spanned<String>) -> Option<i64> {
        let parsed = parse_prometheus_duration(text.value.trim());
        if parsed.is_none() {
            let message =
                format!("{:?} is not a duration; write it like 30s, 5m or 1h30m", text.value);
            self.fault(text, message);
        }
        parsed
    }

    fn lines(&mut self, test: &Spanned<RawTest>, raw: &[RawTestLine]) -> Vec<(Labels, Entry)> {
        let mut lines = Vec::new();
        for line in raw {
            let start_ns = self.duration(&line.at).unwrap_or(0);
            let every_ns =
                line.every.as_ref().map_or(Some(SECOND_NS), |every| self.duration(every));
            let repeat = line.repeat.as_ref().map_or(1, |repeat| repeat.value);
            if lines.len().saturating_add(repeat) > LINES_MAX {
                self.fault(test, format!("more than {LINES_MAX} lines in one test"));
                break;
            }
            let labels = stream_labels(&line.labels);
            let mut ts = Timestamp(start_ns);
            for _ in 0..repeat {
                let mut entry = Entry::new(ts, line.line.as_str());
                entry.metadata = pairs(&line.metadata)
                    .into_iter()
                    .map(|(name, value)| (Text::from(name), Text::from(value)))
                    .collect();
                lines.push((labels.clone(), entry));
                ts = ts.saturating_add_ns(every_ns.unwrap_or(SECOND_NS));
            }
        }
        lines
    }

    fn expect(&mut self, raw: &Spanned<RawExpect>) -> Expect {
        self.known(raw, &raw.value.alert);
        Expect {
            alert: raw.value.alert.clone(),
            labels: Labels::from_pairs(raw.value.labels.clone()),
            annotations: Labels::from_pairs(raw.value.annotations.clone()),
            state: match raw.value.state {
                RawExpectState::Pending => ExpectState::Pending,
                RawExpectState::Firing => ExpectState::Firing,
                RawExpectState::Inactive => ExpectState::Inactive,
            },
        }
    }
}

/// Every stream in the store has a service name, so those of tests do too.
fn stream_labels(given: &BTreeMap<String, String>) -> Labels {
    let labels = Labels::from_pairs(given.clone());
    if labels.get("service_name").is_some() { labels } else { labels.with("service_name", "test") }
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<(String, String)> {
    map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
