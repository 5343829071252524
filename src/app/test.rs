//! `stockade test`: runs the `tests:` of pipeline, redaction and alert files, shipped or yours.

use std::fmt::Write as _;
use std::path::Path;

use super::cli::TestArgs;
use super::control::join;
use super::rules::read_rule_file;
use super::{Exit, write_out};
use crate::alert::{self, GroupDefaults, RuleFile};
use crate::clock::SystemClock;
use crate::config::Diagnostic;
use crate::metrics::Metrics;
use crate::{pipeline, redact};

/// How the tests of one file went.
struct Outcome {
    file: String,
    passed: usize,
    failures: Vec<String>,
}

pub fn test(args: &TestArgs) -> Result<(), Exit> {
    let outcomes = if args.files.is_empty() {
        shipped().map_err(|faults| Exit::Usage(join(&faults)))?
    } else {
        let mut outcomes = Vec::new();
        for path in &args.files {
            outcomes.extend(run_path(path).map_err(|faults| Exit::Usage(join(&faults)))?);
        }
        outcomes
    };
    let mut report = String::new();
    let mut passed = 0;
    let mut failed = 0;
    for outcome in &outcomes {
        passed += outcome.passed;
        failed += outcome.failures.len();
        if args.verbose || !outcome.failures.is_empty() {
            let (file, failures) = (&outcome.file, outcome.failures.len());
            let _ = writeln!(report, "{file}: {} passed, {failures} failed", outcome.passed);
        }
        for failure in &outcome.failures {
            let _ = writeln!(report, "  {failure}");
        }
    }
    let files = if outcomes.len() == 1 { "file" } else { "files" };
    let _ = writeln!(report, "{passed} passed, {failed} failed in {} {files}", outcomes.len());
    write_out(report.as_bytes())?;
    if failed > 0 { Err(Exit::Found) } else { Ok(()) }
}

type Outcomes = Result<Vec<Outcome>, Vec<Diagnostic>>;

fn shipped() -> Outcomes {
    let mut outcomes = Vec::new();
    let setup = pipeline_setup()?;
    for (file, text) in pipeline::SHIPPED {
        outcomes.push(pipeline_outcome(file, text, &setup)?);
    }
    for set in redact::RuleSet::shipped()? {
        outcomes.push(redaction_outcome(&set)?);
    }
    let rules = alert::shipped(GroupDefaults::default())
        .map_err(|error| vec![Diagnostic::new("alerts", 0, 0, error.to_string())])?;
    for file in rules {
        outcomes.push(alert_outcome(&file));
    }
    Ok(outcomes)
}

/// A file, or all YAML files of a folder.
fn run_path(path: &Path) -> Outcomes {
    let io = |error: std::io::Error| {
        vec![Diagnostic::new(&path.display().to_string(), 0, 0, error.to_string())]
    };
    if !path.is_dir() {
        return run_file(path).map(|outcome| vec![outcome]);
    }
    let mut files: Vec<_> = std::fs::read_dir(path)
        .map_err(io)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|file| file.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .collect();
    if files.is_empty() {
        let message = "no .yaml or .yml file is in this folder";
        return Err(vec![Diagnostic::new(&path.display().to_string(), 0, 0, message)]);
    }
    files.sort();
    files.iter().map(|file| run_file(file)).collect()
}

/// What a file is shows in its keys: rule files have `groups:`, pipelines `stages:`, redaction
/// sets `rules:`.
fn run_file(path: &Path) -> Result<Outcome, Vec<Diagnostic>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Diagnostic::new(&name, 0, 0, error.to_string())])?;
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    if has("groups:") {
        read_rule_file(path).map(|file| alert_outcome(&file))
    } else if has("stages:") {
        pipeline_outcome(&name, &text, &pipeline_setup()?)
    } else if has("rules:") {
        let set = redact::RuleSet::parse(&name, &text).map_err(|fault| vec![fault])?;
        redaction_outcome(&set)
    } else {
        let message = "neither groups: (alerts), stages: (a pipeline) nor rules: (redaction) is at its top level";
        Err(vec![Diagnostic::new(&name, 1, 1, message)])
    }
}

fn pipeline_outcome(
    file: &str,
    text: &str,
    setup: &pipeline::Setup,
) -> Result<Outcome, Vec<Diagnostic>> {
    let report = pipeline::run_tests(file, text, setup)?;
    let failures = report.failures.iter().map(ToString::to_string).collect();
    Ok(Outcome { file: file.to_owned(), passed: report.passed, failures })
}

fn pipeline_setup() -> Result<pipeline::Setup, Vec<Diagnostic>> {
    Ok(pipeline::Setup {
        metrics: pipeline::PipelineMetrics::new(&Metrics::default()),
        clock: SystemClock::shared(),
        library: pipeline::Library::with_shipped()?,
    })
}

fn redaction_outcome(set: &redact::RuleSet) -> Result<Outcome, Vec<Diagnostic>> {
    let report = redact::run_tests(set)?;
    let failures = report
        .failures
        .iter()
        .map(|failure| format!("{}: {}", failure.rule, failure.diagnostic))
        .collect();
    Ok(Outcome { file: set.file.clone(), passed: report.passed, failures })
}

fn alert_outcome(file: &RuleFile) -> Outcome {
    let report = alert::run_tests(file);
    let failures = report.failures.iter().map(ToString::to_string).collect();
    Outcome { file: file.name.clone(), passed: report.passed, failures }
}
