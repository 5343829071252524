//! Configuration turned into what runs: redaction, pipelines, limits, alert rules. Built whole
//! or not at all, so that a reload can keep the old set when the new one is bad.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::alert::{self, GroupDefaults, Origin, RuleFile};
use crate::clock::SharedClock;
use crate::collect::PARSE_PIPELINE_PREFIX;
use crate::config::pipeline::{Node, RawPipelineFile};
use crate::config::sources::RawPipelineRef;
use crate::config::{Config, Diagnostic, Limits, parse_yaml_plain};
use crate::pipeline::{Discover, Guard, Library, Pipeline, PipelineMetrics, Setup};
use crate::redact::{HashKey, Options, RedactMetrics, Redactor, RuleSet};

use super::ingest::Rules;

/// The word in `alerts.rules` that stands for the rules in the binary.
const SHIPPED: &str = "shipped";

/// Bytes of the key that `hash` uses.
const HASH_KEY_BYTES: usize = 32;

/// The configuration file and its name for messages; without a file, all defaults.
pub struct Loaded {
    pub config: Config,
    pub file: String,
    /// Relative paths in the file are taken from here.
    pub base: PathBuf,
}

pub fn load_config(path: Option<&Path>) -> Result<Loaded, Vec<Diagnostic>> {
    let Some(path) = path else {
        return Ok(Loaded {
            config: Config::default(),
            file: "(no configuration file)".to_owned(),
            base: PathBuf::from("."),
        });
    };
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Diagnostic::new(&file, 0, 0, error.to_string())])?;
    let config = Config::parse(&file, &text).map_err(|fault| vec![fault])?;
    let base = path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    Ok(Loaded { config, file, base })
}

/// What outlives a reload and is needed to build the rules.
#[derive(Clone)]
pub struct Ground {
    pub redact_metrics: RedactMetrics,
    pub pipeline_metrics: PipelineMetrics,
    pub clock: SharedClock,
    /// Where the generated key of `hash` is kept; `None` for commands that keep nothing.
    pub data_dir: Option<PathBuf>,
}

/// Everything on the road of a line.
pub fn build_rules(
    loaded: &Loaded,
    ground: &Ground,
    previous: Option<&Rules>,
) -> Result<Rules, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let redactor = build_redactor(loaded, ground, previous)
        .map_err(|mut found| faults.append(&mut found))
        .ok();
    let pipelines =
        build_pipelines(loaded, ground).map_err(|mut found| faults.append(&mut found)).ok();
    match (redactor, pipelines) {
        (Some(redactor), Some(pipelines)) if faults.is_empty() => Ok(Rules {
            redactor: Arc::new(redactor),
            pipelines,
            discover: Discover::new(&loaded.config.limits),
            limits: Arc::new(loaded.config.limits.clone()),
        }),
        _ => Err(faults),
    }
}

fn build_redactor(
    loaded: &Loaded,
    ground: &Ground,
    previous: Option<&Rules>,
) -> Result<Redactor, Vec<Diagnostic>> {
    let raw = &loaded.config.redaction;
    let sets = RuleSet::load(&loaded.file, raw, &loaded.base)?;
    let secret = hash_key(loaded, ground).map_err(|message| {
        let fault = match &raw.hash_key_file {
            Some(place) => Diagnostic::at(&loaded.file, place, message),
            None => Diagnostic::new(&loaded.file, 0, 0, message),
        };
        vec![fault]
    })?;
    let keys = secret.into_iter().map(|secret| HashKey { id: "k1".to_owned(), secret }).collect();
    let options = Options { file: loaded.file.clone(), raw: raw.clone(), keys };
    let mut redactor = Redactor::compile(&sets, &options, &ground.redact_metrics)?;
    if let Some(previous) = previous {
        redactor.continue_from(&previous.redactor);
    }
    Ok(redactor)
}

/// The key of the `hash` action: from the configured file, or one made at first start and kept
/// beside the data, so that hashes stay comparable.
fn hash_key(loaded: &Loaded, ground: &Ground) -> Result<Option<Vec<u8>>, String> {
    if let Some(file) = &loaded.config.redaction.hash_key_file {
        let path = loaded.base.join(&file.value);
        return match std::fs::read(&path) {
            // Editors end files with a line break that is not meant as part of the key.
            Ok(bytes) => Ok(Some(bytes.trim_ascii_end().to_vec())),
            Err(error) => Err(format!("redaction.hash_key_file: {}: {error}", path.display())),
        };
    }
    let random = || {
        let mut key = vec![0; HASH_KEY_BYTES];
        getrandom::fill(&mut key).map_err(|error| format!("making a key for hashes: {error}"))?;
        Ok::<_, String>(key)
    };
    // Without a data directory the key lives as long as the command: nothing it prints can be
    // guessed, and nothing can be compared with what a server stores.
    let Some(data_dir) = &ground.data_dir else { return random().map(Some) };
    let path = data_dir.join("redaction.key");
    match std::fs::read(&path) {
        Ok(bytes) => return Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("{}: {error}", path.display())),
    }
    let key = random()?;
    crate::durable::replace_file(&path, &key)
        .and_then(|()| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        })
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Some(key))
}

/// The named pipelines: shipped, of the configuration, and those written inside sources. All are
/// compiled once here, so that faults show at start and not with the first line.
fn build_pipelines(loaded: &Loaded, ground: &Ground) -> Result<Pipelines, Vec<Diagnostic>> {
    let mut library = Library::with_shipped()?;
    for (name, stages) in super::sources::named_pipelines(loaded)? {
        match stages.as_str().filter(|text| is_yaml_file(text)) {
            Some(file) => {
                let (file, stages) = pipeline_file(loaded, &stages, file)?;
                library.add(&file, &name, stages);
            }
            None => library.add(&loaded.file, &name, stages),
        }
    }
    let setup =
        Setup { metrics: ground.pipeline_metrics.clone(), clock: ground.clock.clone(), library };
    let pipelines = Pipelines {
        file: loaded.file.clone(),
        limits: loaded.config.limits.clone(),
        setup,
        by_source: Mutex::default(),
    };
    let mut faults = Vec::new();
    for name in pipelines.setup.library.names() {
        if let Err(mut found) = pipelines.compile(name) {
            faults.append(&mut found);
        }
    }
    // Containers may name what is not there and get `parse: auto`; a configuration may not.
    for source in loaded.config.sources.iter().flatten() {
        if let Some(RawPipelineRef::Name(name)) = &source.value.pipeline
            && let Err(found) = pipelines.compile(name)
        {
            let at = |fault: Diagnostic| Diagnostic::at(&loaded.file, source, fault.message);
            faults.extend(found.into_iter().map(at));
        }
    }
    if faults.is_empty() { Ok(pipelines) } else { Err(faults) }
}

fn is_yaml_file(text: &str) -> bool {
    text.ends_with(".yaml") || text.ends_with(".yml")
}

/// The stages of a pipeline file, which the configuration names instead of writing stages.
fn pipeline_file(
    loaded: &Loaded,
    at: &Node,
    file: &str,
) -> Result<(String, Node), Vec<Diagnostic>> {
    let path = loaded.base.join(file);
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| vec![at.fault(&loaded.file, format!("{shown}: {error}"))])?;
    let raw: RawPipelineFile = parse_yaml_plain(&shown, &text).map_err(|fault| vec![fault])?;
    Ok((shown, raw.stages))
}

/// Pipelines by source and name. They keep state (token buckets, streams seen), so each source
/// has its own, made when its first batch comes.
pub struct Pipelines {
    file: String,
    limits: Limits,
    setup: Setup,
    by_source: Mutex<HashMap<PipelineKey, Arc<Pipeline>>>,
}

/// Source, and the name of the pipeline it asked for.
type PipelineKey = (String, Option<String>);

/// Sources and pipelines a configuration can make; beyond that a source has no own state.
const PIPELINES_MAX: usize = 1000;

impl Pipelines {
    /// `parse:json`, as a container's label has it, is a pipeline of that one stage.
    fn compile(&self, name: &str) -> Result<Pipeline, Vec<Diagnostic>> {
        if let Some(format) = name.strip_prefix(PARSE_PIPELINE_PREFIX) {
            let stage = Node::map_of([("parse", Node::text(format))]);
            return Pipeline::compile(&self.file, &Node::list_of([stage]), &self.setup);
        }
        Pipeline::compile_source(&self.file, &Node::text(name), &self.setup)
    }

    /// The pipeline of a source; `parse: auto` when it names none. `Err` gives that one too, for
    /// a name (of a container's label) that is not known.
    pub fn of(&self, source: &str, name: Option<&str>) -> Result<Arc<Pipeline>, Arc<Pipeline>> {
        let key = (source.to_owned(), name.map(ToOwned::to_owned));
        if let Some(pipeline) = self.by_source.lock().get(&key) {
            return Ok(pipeline.clone());
        }
        let guarded = |pipeline: Pipeline| {
            Arc::new(pipeline.with_guard(Guard::new(source, &self.limits, &self.setup.metrics)))
        };
        let made = match name {
            None => guarded(Pipeline::auto()),
            Some(name) => match self.compile(name) {
                Ok(pipeline) => guarded(pipeline),
                Err(_) => return Err(guarded(Pipeline::auto())),
            },
        };
        let mut by_source = self.by_source.lock();
        if by_source.len() < PIPELINES_MAX {
            by_source.insert(key, made.clone());
        }
        Ok(made)
    }

    /// What compiles but is likely not meant.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        let names = self.setup.library.names();
        names
            .filter_map(|name| self.compile(name).ok())
            .flat_map(|pipeline| pipeline.warnings().to_vec())
            .collect()
    }
}

/// The alert rules that the configuration names, or the shipped ones.
pub fn load_alert_rules(loaded: &Loaded) -> Result<Vec<RuleFile>, Vec<Diagnostic>> {
    let defaults = GroupDefaults::default();
    let faults_of = |error: alert::AlertError| match error {
        alert::AlertError::Rules(faults) => faults,
        other => vec![Diagnostic::new(&loaded.file, 0, 0, other.to_string())],
    };
    let shipped = || alert::shipped(defaults).map_err(faults_of);
    let Some(named) = &loaded.config.alerts.rules else { return shipped() };
    let mut files = Vec::new();
    let mut faults = Vec::new();
    for item in named {
        let found = if item.value == SHIPPED {
            shipped()
        } else {
            let at_item = |error: alert::AlertError| match error {
                alert::AlertError::Rules(faults) => faults,
                other => vec![Diagnostic::at(&loaded.file, item, other.to_string())],
            };
            alert::load_path(&loaded.base.join(&item.value), defaults).map_err(at_item)
        };
        match found {
            Ok(more) => files.extend(more),
            Err(mut more) => faults.append(&mut more),
        }
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

/// One rule file by path, for `stockade test`.
pub fn read_rule_file(path: &Path) -> Result<RuleFile, Vec<Diagnostic>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Diagnostic::new(&name, 0, 0, error.to_string())])?;
    alert::load_text(Origin::File, &name, &text, GroupDefaults::default()).map_err(|error| {
        match error {
            alert::AlertError::Rules(faults) => faults,
            other => vec![Diagnostic::new(&name, 0, 0, other.to_string())],
        }
    })
}
