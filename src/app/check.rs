//! `stockade check`: reads everything that a start would read, and starts nothing.

use super::Exit;
use super::cli::ConfigArg;
use super::rules::{Ground, build_rules, load_alert_rules, load_config};
use crate::clock::SystemClock;
use crate::config::Diagnostic;
use crate::metrics::Metrics;
use crate::pipeline::PipelineMetrics;
use crate::redact::RedactMetrics;

pub fn check(args: &ConfigArg) -> Result<(), Exit> {
    let metrics = Metrics::default();
    let ground = Ground {
        redact_metrics: RedactMetrics::register(&metrics),
        pipeline_metrics: PipelineMetrics::new(&metrics),
        clock: SystemClock::shared(),
        data_dir: None,
    };
    let loaded = load_config(args.config.as_deref()).map_err(|faults| told(&faults))?;
    let mut faults = Vec::new();
    let mut keep = |found: Vec<Diagnostic>| faults.extend(found);
    let rules = build_rules(&loaded, &ground, None).map_err(&mut keep).ok();
    let alerts = load_alert_rules(&loaded).map_err(&mut keep).ok();
    let slack = super::notify::slack_webhook_url();
    let routes = super::notify::plan(&loaded, slack.as_deref()).map_err(&mut keep).ok();
    super::sources::check(&loaded).unwrap_or_else(&mut keep);
    super::serve::check_server(&loaded).unwrap_or_else(&mut keep);
    super::retention::retention(&loaded).map(drop).unwrap_or_else(&mut keep);
    if !faults.is_empty() {
        return Err(told(&faults));
    }
    for warning in rules.iter().flat_map(|rules| rules.pipelines.warnings()) {
        eprintln!("warning: {warning}");
    }
    for warning in routes.iter().flat_map(|routes| &routes.warnings) {
        eprintln!("warning: {warning}");
    }
    let groups: usize = alerts.iter().flatten().map(|file| file.groups.len()).sum();
    let redactions = rules.map_or(0, |rules| rules.redactor.rule_names().count());
    eprintln!("{}: fine ({redactions} redaction rules, {groups} rule groups)", loaded.file);
    Ok(())
}

fn told(faults: &[Diagnostic]) -> Exit {
    // Sources are built more than once, for their pipelines and for themselves.
    let mut shown: Vec<&Diagnostic> = Vec::new();
    for fault in faults {
        if !shown.contains(&fault) {
            shown.push(fault);
        }
    }
    for fault in &shown {
        eprintln!("{fault}");
    }
    Exit::Usage(format!("{} fault{} found", shown.len(), if shown.len() == 1 { "" } else { "s" }))
}
