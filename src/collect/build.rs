//! Raw configuration to sources that can be run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::batch::{Positions, Shutdown, SourceBatch};
use super::context::{Claims, LabelStyle, Labeling, SourceContext};
use super::docker::{DockerFilter, DockerSettings, DockerSource, Endpoint, wildcard};
use super::files::{FilesSettings, FilesSource, Glob};
use super::journald::{JournalSettings, JournalSource, UnitFilter};
use super::relabel::RelabelRule;
use super::stage_hint::StageHint;
use super::status::{SourceCounters, SourceStatus, StatusHandle};
use super::{detect, promtail, settings};
use crate::clock::SharedClock;
use crate::config::sources::{
    RawDocker, RawFiles, RawJournal, RawPipelineRef, RawRelabel, RawScrapeConfig, RawSource,
    RawSources,
};
use crate::config::{Diagnostic, Spanned};

/// What all sources are given.
#[derive(Clone)]
pub struct SourceDeps {
    pub positions: Arc<dyn Positions>,
    pub clock: SharedClock,
    pub counters: SourceCounters,
    /// The name of this machine, for the label `host`.
    pub host: Arc<str>,
    pub tenant: Arc<str>,
}

/// A pull source that is ready to run.
pub enum Source {
    Docker(DockerSource),
    Files(FilesSource),
    Journal(JournalSource),
}

impl Source {
    pub fn name(&self) -> Arc<str> {
        self.context().name.clone()
    }

    /// Stays valid while the source runs and after.
    pub fn status(&self) -> StatusHandle {
        self.context().status.clone()
    }

    /// Sends batches until told to stop; what is held is sent before it returns.
    pub async fn run(self, out: mpsc::Sender<SourceBatch>, shutdown: Shutdown) {
        match self {
            Source::Docker(source) => source.run(out, shutdown).await,
            Source::Files(source) => source.run(out, shutdown).await,
            Source::Journal(source) => source.run(out, shutdown).await,
        }
    }

    fn context(&self) -> &SourceContext {
        match self {
            Source::Docker(source) => &source.ctx,
            Source::Files(source) => &source.ctx,
            Source::Journal(source) => &source.ctx,
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SourceStatus { name, kind, .. } = self.status().snapshot();
        write!(f, "{kind} source {name:?}")
    }
}

/// Sources, and the pipelines that were written into them, by the names that their batches
/// carry.
#[derive(Debug)]
pub struct BuiltSources<S> {
    pub sources: Vec<Source>,
    pub pipelines: Vec<(Arc<str>, Vec<S>)>,
}

/// A source as either form of configuration gives it.
pub(super) struct Draft<S> {
    pub name: Option<Spanned<String>>,
    pub kind: DraftKind,
    pub pipeline: Option<RawPipelineRef<S>>,
    pub labels: BTreeMap<String, String>,
    pub relabel: Vec<Spanned<RawRelabel>>,
    pub style: LabelStyle,
}

pub(super) enum DraftKind {
    Docker(Box<RawDocker>),
    Files(Box<RawFiles>),
    Journal { raw: Box<RawJournal>, whole_as_json: bool },
}

impl DraftKind {
    fn name(&self) -> &'static str {
        match self {
            DraftKind::Docker(_) => "docker",
            DraftKind::Files(_) => "files",
            DraftKind::Journal { .. } => "journal",
        }
    }
}

/// Builds the sources of a configuration file. Without `sources:` and `scrape_configs:` they
/// are what is found on the machine.
pub fn build<S: Clone + StageHint>(
    file: &str,
    sources: &RawSources<S>,
    scrape_configs: &[RawScrapeConfig<S>],
    deps: &SourceDeps,
) -> Result<BuiltSources<S>, Diagnostic> {
    let mut drafts = Vec::new();
    match sources {
        Some(list) => {
            for raw in list {
                drafts.push(native(file, raw)?);
            }
        }
        None if scrape_configs.is_empty() => drafts = detect::drafts(),
        None => {}
    }
    for raw in scrape_configs {
        drafts.extend(promtail::drafts(file, raw)?);
    }
    for draft in &mut drafts {
        hoist_multiline(draft);
    }
    let skip_containers = drafts.iter().any(|draft| matches!(draft.kind, DraftKind::Docker(_)));
    let claims = Claims::default();
    let mut built = BuiltSources { sources: Vec::new(), pipelines: Vec::new() };
    let mut names: Vec<String> = Vec::new();
    for draft in drafts {
        let name = name(file, &draft, &names)?;
        names.push(name.clone());
        let name: Arc<str> = Arc::from(name);
        let pipeline = match draft.pipeline {
            None => None,
            Some(RawPipelineRef::Name(name)) => Some(Arc::from(name)),
            Some(RawPipelineRef::Stages(stages)) => {
                let inline: Arc<str> = Arc::from(format!("source:{name}"));
                built.pipelines.push((inline.clone(), stages));
                Some(inline)
            }
        };
        let relabel = draft.relabel.iter().map(|raw| RelabelRule::new(file, raw));
        let labeling = Labeling {
            style: draft.style,
            fixed: draft.labels.into_iter().collect(),
            relabel: relabel.collect::<Result<_, _>>()?,
        };
        let kind = draft.kind.name();
        let ctx = SourceContext {
            pipeline,
            tenant: deps.tenant.clone(),
            host: deps.host.clone(),
            labeling: Arc::new(labeling),
            positions: deps.positions.clone(),
            clock: deps.clock.clone(),
            status: StatusHandle::new(name.clone(), kind),
            tally: deps.counters.of(&name, kind),
            claims: claims.clone(),
            name,
        };
        built.sources.push(match draft.kind {
            DraftKind::Docker(raw) => {
                Source::Docker(DockerSource::new(ctx, docker_settings(file, &raw)?))
            }
            DraftKind::Files(raw) => {
                Source::Files(FilesSource::new(ctx, files_settings(file, &raw)?))
            }
            DraftKind::Journal { raw, whole_as_json } => {
                let mut settings = journal_settings(file, &raw, whole_as_json)?;
                settings.filter.skip_containers = skip_containers;
                Source::Journal(JournalSource::new(ctx, settings))
            }
        });
    }
    Ok(built)
}

/// A pipeline that begins by joining lines has its source do that.
fn hoist_multiline<S: StageHint>(draft: &mut Draft<S>) {
    let Some(RawPipelineRef::Stages(stages)) = &draft.pipeline else { return };
    let Some(rule) = stages.first().and_then(StageHint::multiline) else { return };
    let nowhere = serde_saphyr::Location::UNKNOWN;
    let rule = Some(Spanned::new(rule, nowhere, nowhere));
    match &mut draft.kind {
        DraftKind::Docker(raw) if raw.multiline.is_none() => raw.multiline = rule,
        DraftKind::Files(raw) if raw.multiline.is_none() => raw.multiline = rule,
        _ => {}
    }
}

fn native<S: Clone>(file: &str, raw: &Spanned<RawSource<S>>) -> Result<Draft<S>, Diagnostic> {
    let source = &raw.value;
    let kind = match (&source.docker, &source.files, &source.journal) {
        (Some(docker), None, None) => DraftKind::Docker(Box::new(docker.clone())),
        (None, Some(files), None) => DraftKind::Files(Box::new(files.clone())),
        (None, None, Some(journal)) => {
            DraftKind::Journal { raw: Box::new(journal.clone()), whole_as_json: false }
        }
        _ => {
            let message = "a source is exactly one of docker, files and journal; \
                           write one list item for each";
            return Err(Diagnostic::at(file, raw, message));
        }
    };
    Ok(Draft {
        name: source.name.clone(),
        kind,
        pipeline: source.pipeline.clone(),
        labels: source.labels.clone(),
        relabel: source.relabel.clone(),
        style: LabelStyle::Native,
    })
}

fn name<S>(file: &str, draft: &Draft<S>, taken: &[String]) -> Result<String, Diagnostic> {
    if let Some(name) = &draft.name {
        let bad = name.value.is_empty() || taken.contains(&name.value);
        return if bad {
            let message = format!("source name {:?} is empty or given twice", name.value);
            Err(Diagnostic::at(file, name, message))
        } else {
            Ok(name.value.clone())
        };
    }
    let kind = draft.kind.name();
    let numbered = (2..).map(|number| format!("{kind}-{number}"));
    let free = std::iter::once(kind.to_owned()).chain(numbered).find(|name| !taken.contains(name));
    Ok(free.unwrap_or_else(|| kind.to_owned()))
}

fn docker_settings(file: &str, raw: &RawDocker) -> Result<DockerSettings, Diagnostic> {
    let endpoint = match &raw.host {
        Some(host) => {
            Endpoint::parse(&host.value).map_err(|error| Diagnostic::at(file, host, error))?
        }
        None => Endpoint::from_environment()
            .map_err(|error| Diagnostic::new(file, 0, 0, format!("DOCKER_HOST: {error}")))?,
    };
    let filter = DockerFilter::new(&raw.include, &raw.exclude, raw.only_enabled)
        .map_err(|error| Diagnostic::new(file, 0, 0, error))?;
    let rule = raw.multiline.as_ref().map(|raw| settings::multiline_rule(file, raw)).transpose()?;
    let filters = raw.filters.iter().map(|filter| (filter.name.clone(), filter.values.clone()));
    Ok(DockerSettings {
        endpoint,
        filter,
        rule: rule.flatten(),
        start: raw.start.as_ref().map(|raw| settings::start(file, raw)).transpose()?,
        api_filters: filters.collect(),
    })
}

fn files_settings(file: &str, raw: &RawFiles) -> Result<FilesSettings, Diagnostic> {
    let globs = |patterns: &[String]| -> Result<Vec<Glob>, Diagnostic> {
        let parsed: Result<Vec<Vec<Glob>>, String> =
            patterns.iter().map(|pattern| Glob::parse(pattern)).collect();
        Ok(parsed.map_err(|error| Diagnostic::at(file, &raw.include, error))?.concat())
    };
    let include = globs(&raw.include.value.0)?;
    if include.is_empty() {
        return Err(Diagnostic::at(file, &raw.include, "files needs at least one pattern"));
    }
    let rule = raw.multiline.as_ref().map(|raw| settings::multiline_rule(file, raw)).transpose()?;
    let duration = |raw: &Option<Spanned<String>>| {
        raw.as_ref().map(|raw| settings::duration(file, raw)).transpose()
    };
    Ok(FilesSettings {
        include,
        exclude: globs(&raw.exclude.0)?,
        rule: rule.flatten(),
        start: raw
            .start
            .as_ref()
            .filter(|start| start.value != "recent")
            .map(|raw| settings::start(file, raw))
            .transpose()?,
        ignore_older: duration(&raw.ignore_older)?,
        rotate_wait: duration(&raw.rotate_wait)?.unwrap_or(Duration::from_secs(10)),
        open_max: open_files_max(),
    })
}

/// Half of the descriptors this process may have, so that the store and connections have theirs.
fn open_files_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = limit.map_or(4096, |limit| usize::try_from(limit / 2).unwrap_or(4096));
    half.clamp(16, 4096)
}

fn journal_settings(
    file: &str,
    raw: &RawJournal,
    whole_as_json: bool,
) -> Result<JournalSettings, Diagnostic> {
    let pattern = |unit: &String| {
        let full = if unit.contains('.') { unit.clone() } else { format!("{unit}.service") };
        wildcard(&full).map_err(|error| Diagnostic::new(file, 0, 0, error))
    };
    let mut options = Vec::new();
    let wild = raw.units.0.iter().any(|unit| unit.contains(['*', '?']));
    // journalctl resolves wildcards once, when it starts: units that come later would be missed.
    let mut filter = UnitFilter::default();
    if wild {
        filter.include = raw.units.0.iter().map(pattern).collect::<Result<_, _>>()?;
    } else {
        options.extend(raw.units.0.iter().map(|unit| format!("--unit={unit}")));
    }
    filter.exclude = raw.exclude_units.0.iter().map(pattern).collect::<Result<_, _>>()?;
    if let Some(priority) = &raw.priority {
        const NAMES: [&str; 10] = [
            "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "error", "warn",
        ];
        let given = priority.value.0.to_ascii_lowercase();
        let name = match given.as_str() {
            "error" => "err",
            "warn" => "warning",
            "critical" => "crit",
            other => other,
        };
        let number = matches!(name.parse::<u8>(), Ok(0..=7));
        if !number && !NAMES.contains(&name) {
            let message = format!(
                "unknown priority {given:?}; use emerg, alert, crit, err, warning, notice, info, debug or 0 to 7"
            );
            return Err(Diagnostic::at(file, priority, message));
        }
        options.push(format!("--priority={name}"));
    }
    options.extend(raw.identifiers.0.iter().map(|name| format!("--identifier={name}")));
    options.extend(raw.namespace.iter().map(|name| format!("--namespace={name}")));
    match &raw.boot {
        None => {}
        Some(boot) if boot.value == "all" => {}
        Some(boot) if boot.value == "current" => options.push("--boot=0".to_owned()),
        Some(boot) => {
            let message = format!("boot {:?} is not known; use all or current", boot.value);
            return Err(Diagnostic::at(file, boot, message));
        }
    }
    let mut matches: Vec<String> =
        raw.transports.0.iter().map(|transport| format!("_TRANSPORT={transport}")).collect();
    for term in raw.matches.0.iter().flat_map(|terms| terms.split_whitespace()) {
        // Anything else would be taken for an option or a file by journalctl.
        let name = term.split_once('=').map(|(name, _)| name);
        let is_field = name.is_some_and(|name| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        });
        if term != "+" && !is_field {
            let message = format!("journal match {term:?} is not FIELD=value or \"+\"");
            return Err(Diagnostic::new(file, 0, 0, message));
        }
        matches.push(term.to_owned());
    }
    let max_age = raw.max_age.as_ref().map(|raw| settings::duration(file, raw)).transpose()?;
    Ok(JournalSettings {
        journalctl: PathBuf::from("journalctl"),
        options,
        matches,
        filter,
        max_age: max_age.unwrap_or(Duration::from_secs(24 * 3600)),
        path: raw.path.as_ref().map(PathBuf::from),
        whole_as_json,
    })
}

#[cfg(test)]
mod tests;
