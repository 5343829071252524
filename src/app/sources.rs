//! From `sources:` and `scrape_configs:` to running sources.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rules::Loaded;
use crate::clock::SharedClock;
use crate::config::pipeline::Node;
use crate::config::{Config, Diagnostic};
use crate::metrics::Metrics;
use crate::store::Store;

/// Pipelines by name: those of the configuration.
pub fn named_pipelines(config: &Config) -> BTreeMap<String, Node> {
    config.pipelines.clone()
}
pub fn check(_loaded: &Loaded) -> Result<(), Vec<Diagnostic>> { Ok(()) }
pub struct Dummy;
impl Dummy {
    pub fn status(&self) -> crate::collect::StatusHandle { crate::collect::StatusHandle::new("x".into(), "y") }
    pub async fn run(self, _o: tokio::sync::mpsc::Sender<crate::collect::SourceBatch>, _s: crate::collect::Shutdown) {}
}
pub fn build(_l: &Loaded, _s: &Arc<Store>, _c: &SharedClock, _m: &Metrics) -> Vec<Dummy> { Vec::new() }
