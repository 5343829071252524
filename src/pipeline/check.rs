//! Runs the tests that a pipeline file brings along.

use std::collections::BTreeMap;

use crate::clock::SimClock;
use crate::config::pipeline::{RawPipelineFile, RawPipelineTest, RawTestExpect};
use crate::config::{Diagnostic, Limits, parse_yaml_plain};
use crate::model::{Batch, Entry, Labels, StreamBatch, TENANT_DEFAULT, Timestamp};

use super::compile::Setup;
use super::run::Pipeline;
use super::times::rfc3339;
use super::{Discover, Guard};

/// What came of the tests of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestReport {
    pub name: String,
    pub passed: usize,
    pub failures: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
}

/// Compiles the pipeline of a file and runs its tests: each line alone through the stages, then
/// what every source gets (`service_name`, `detected_level`, label limits). Faults are returned
/// where the file does not compile.
pub fn run_tests(file: &str, text: &str, setup: &Setup) -> Result<TestReport, Vec<Diagnostic>> {
    let raw: RawPipelineFile = parse_yaml_plain(file, text).map_err(|fault| vec![fault])?;
    let mut report = TestReport { name: raw.name.clone(), ..TestReport::default() };
    for (at, test) in raw.tests.iter().enumerate() {
        // Compiled anew for each test, so that state does not leak from one into the next; "now"
        // is when the line was read.
        let now = test.value.input.ts.as_deref().and_then(rfc3339);
        let setup = setup_at(now, setup);
        let pipeline = Pipeline::compile(file, &raw.stages, &setup)?.with_guard(Guard::new(
            &raw.name,
            &Limits::default(),
            &setup.metrics,
        ));
        report.warnings = pipeline.warnings().to_vec();
        match run_test(&pipeline, &test.value) {
            Ok(()) => report.passed += 1,
            Err(message) => {
                let name = match test.value.name.as_str() {
                    "" => format!("test {}", at + 1),
                    name => format!("test {name:?}"),
                };
                report.failures.push(Diagnostic::at(file, test, format!("{name}: {message}")));
            }
        }
    }
    if raw.tests.is_empty() {
        Pipeline::compile(file, &raw.stages, setup)?;
    }
    Ok(report)
}

fn setup_at(now: Option<Timestamp>, setup: &Setup) -> Setup {
    match now {
        Some(now) => Setup { clock: SimClock::new(now.0).shared(), ..setup.clone() },
        None => setup.clone(),
    }
}

fn run_test(pipeline: &Pipeline, test: &RawPipelineTest) -> Result<(), String> {
    let ts = match &test.input.ts {
        Some(text) => rfc3339(text).ok_or_else(|| format!("input ts {text:?} is not RFC 3339"))?,
        None => Timestamp(0),
    };
    let mut batch = Batch::new(TENANT_DEFAULT);
    batch.streams.push(StreamBatch {
        labels: Labels::from_pairs(test.input.labels.clone()),
        entries: vec![Entry::new(ts, test.input.line.as_str())],
    });
    let (mut batch, _) = pipeline.run(batch);
    Discover::default().run(&mut batch);
    let found = batch.streams.first().and_then(|s| Some((&s.labels, s.entries.first()?)));
    compare(&test.expect, found)
}

fn compare(expect: &RawTestExpect, found: Option<(&Labels, &Entry)>) -> Result<(), String> {
    let Some((labels, entry)) = found else {
        return match expect.dropped {
            Some(true) => Ok(()),
            _ => Err("the line was dropped".to_owned()),
        };
    };
    if expect.dropped == Some(true) {
        return Err("the line was not dropped".to_owned());
    }
    if let Some(line) = &expect.line
        && *line != entry.line.as_str()
    {
        return Err(format!("line is {:?}, not {line:?}", entry.line.as_str()));
    }
    let text = |pairs: &BTreeMap<String, String>| Labels::from_pairs(pairs.clone()).to_string();
    if let Some(expected) = &expect.labels {
        // Every stream gets a service name; a test that does not care need not repeat it.
        let without = match expected.contains_key("service_name") {
            true => labels.clone(),
            false => labels.with("service_name", ""),
        };
        if without.to_string() != text(expected) {
            return Err(format!("labels are {without}, not {}", text(expected)));
        }
    }
    if let Some(expected) = &expect.metadata {
        let found: BTreeMap<String, String> =
            entry.metadata.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let expected: BTreeMap<String, String> = expected.clone();
        if found != expected {
            return Err(format!("metadata is {}, not {}", text(&found), text(&expected)));
        }
    }
    if let Some(expected) = &expect.ts {
        let wanted = rfc3339(expected).ok_or_else(|| format!("ts {expected:?} is not RFC 3339"))?;
        if wanted != entry.ts {
            return Err(format!("ts is {}, not {wanted}", entry.ts));
        }
    }
    Ok(())
}
