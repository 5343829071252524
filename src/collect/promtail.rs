//! Promtail's `scrape_configs` to sources of ours.

use std::collections::BTreeMap;

use super::build::{Draft, DraftKind};
use super::context::LabelStyle;
use crate::config::sources::{
    OneOrMany, RawDocker, RawFiles, RawJournal, RawPipelineRef, RawScrapeConfig,
};
use crate::config::{Diagnostic, Spanned};

pub(super) fn drafts<S: Clone>(
    file: &str,
    raw: &RawScrapeConfig<S>,
) -> Result<Vec<Draft<S>>, Diagnostic> {
    let mut kinds: Vec<(DraftKind, BTreeMap<String, String>, LabelStyle)> = Vec::new();
    for target in &raw.static_configs {
        let mut labels = target.value.labels.clone();
        let Some(path) = labels.remove("__path__") else {
            let message = "a static config needs the label __path__: the files to read";
            return Err(Diagnostic::at(file, target, message));
        };
        let exclude: Vec<String> = labels.remove("__path_exclude__").into_iter().collect();
        let place = target.referenced;
        let files = RawFiles {
            include: Spanned::new(OneOrMany(vec![path]), place, place),
            exclude: OneOrMany(exclude),
            multiline: None,
            start: None,
            ignore_older: None,
            rotate_wait: None,
        };
        kinds.push((DraftKind::Files(Box::new(files)), labels, LabelStyle::Promtail));
    }
    for discovery in &raw.docker_sd_configs {
        let place = discovery.referenced;
        let docker = RawDocker {
            host: Some(Spanned::new(discovery.value.host.clone(), place, place)),
            filters: discovery.value.filters.clone(),
            ..RawDocker::default()
        };
        // Without rules promtail would make no labels at all; ours are of more use.
        let style = if raw.relabel_configs.is_empty() {
            LabelStyle::Native
        } else {
            LabelStyle::Promtail
        };
        kinds.push((DraftKind::Docker(docker), BTreeMap::new(), style));
    }
    if let Some(journal) = &raw.journal {
        let settings = &journal.value;
        let own = RawJournal {
            matches: OneOrMany(settings.matches.iter().cloned().collect()),
            max_age: settings.max_age.clone(),
            path: settings.path.clone(),
            ..RawJournal::default()
        };
        let kind = DraftKind::Journal { raw: Box::new(own), whole_as_json: settings.json };
        kinds.push((kind, settings.labels.clone(), LabelStyle::Promtail));
    }
    if kinds.is_empty() {
        let message = "a scrape config needs static_configs, docker_sd_configs or journal";
        return Err(Diagnostic::at(file, &raw.job_name, message));
    }
    let single = kinds.len() == 1;
    let named = |at: usize| {
        let job = &raw.job_name;
        let name = if single { job.value.clone() } else { format!("{}-{}", job.value, at + 1) };
        Spanned::new(name, job.referenced, job.referenced)
    };
    let drafts = kinds.into_iter().enumerate().map(|(at, (kind, labels, style))| Draft {
        name: Some(named(at)),
        kind,
        pipeline: (!raw.pipeline_stages.is_empty())
            .then(|| RawPipelineRef::Stages(raw.pipeline_stages.clone())),
        labels,
        relabel: raw.relabel_configs.clone(),
        style,
    });
    Ok(drafts.collect())
}
