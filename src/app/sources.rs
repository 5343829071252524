//! From `sources:` and `scrape_configs:` to running sources, and to the pipelines written in them.

use std::sync::Arc;

use super::rules::Loaded;
use crate::clock::{SharedClock, SystemClock};
use crate::collect::{self, BuiltSources, MemoryPositions, Positions, SourceCounters, SourceDeps};
use crate::config::Diagnostic;
use crate::config::pipeline::Node;
use crate::metrics::Metrics;
use crate::model::TENANT_DEFAULT;
use crate::store::Store;

/// Positions as the store has committed them.
struct Committed(Arc<Store>);

impl Positions for Committed {
    fn get(&self, source: &str) -> Option<String> {
        self.0.position(source)
    }

    fn list(&self, prefix: &str) -> Vec<(String, String)> {
        self.0.positions(prefix)
    }
}

/// The name of this machine: STOCKADE_HOST for containers that stand for their host, else the kernel's.
fn host() -> Arc<str> {
    if let Ok(name) = std::env::var("STOCKADE_HOST") {
        return Arc::from(name);
    }
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Arc::from(name)
}

fn build_with(loaded: &Loaded, deps: &SourceDeps) -> Result<BuiltSources<Node>, Vec<Diagnostic>> {
    collect::build(&loaded.file, &loaded.config.sources, &loaded.config.scrape_configs, deps)
        .map_err(|fault| vec![fault])
}

/// What building would give; starts nothing and keeps nothing.
fn dry(loaded: &Loaded) -> Result<BuiltSources<Node>, Vec<Diagnostic>> {
    let deps = SourceDeps {
        positions: Arc::new(MemoryPositions::default()),
        clock: SystemClock::shared(),
        counters: SourceCounters::new(&Metrics::default()),
        host: host(),
        tenant: Arc::from(TENANT_DEFAULT),
    };
    build_with(loaded, &deps)
}

pub fn check(loaded: &Loaded) -> Result<(), Vec<Diagnostic>> {
    dry(loaded).map(drop)
}

/// Pipelines by name: those of the configuration, and those written inside sources.
pub fn named_pipelines(loaded: &Loaded) -> Result<Vec<(String, Node)>, Vec<Diagnostic>> {
    let named = loaded.config.pipelines.iter().map(|(name, stages)| (name.clone(), stages.clone()));
    let inline = dry(loaded)?.pipelines;
    let inline = inline.into_iter().map(|(name, stages)| (name.to_string(), Node::list_of(stages)));
    Ok(named.chain(inline).collect())
}

pub fn build(
    loaded: &Loaded,
    store: &Arc<Store>,
    clock: &SharedClock,
    metrics: &Metrics,
) -> Result<Vec<collect::Source>, Vec<Diagnostic>> {
    let deps = SourceDeps {
        positions: Arc::new(Committed(store.clone())),
        clock: clock.clone(),
        counters: SourceCounters::new(metrics),
        host: host(),
        tenant: Arc::from(TENANT_DEFAULT),
    };
    Ok(build_with(loaded, &deps)?.sources)
}
