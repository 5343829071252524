//! What every pull source is given: its name, where its lines go, its labels, its positions.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::batch::{Positions, SourceBatch};
use super::relabel::RelabelRule;
use super::status::{StatusHandle, Tally};
use crate::clock::SharedClock;
use crate::config::SERVICE_NAME_LABELS;
use crate::model::{Batch, Labels};

/// Shared by the parts of one source; cheap to clone.
#[derive(Clone)]
pub(super) struct SourceContext {
    pub name: Arc<str>,
    pub pipeline: Option<Arc<str>>,
    pub tenant: Arc<str>,
    pub host: Arc<str>,
    pub labeling: Arc<Labeling>,
    pub positions: Arc<dyn Positions>,
    pub clock: SharedClock,
    pub status: StatusHandle,
    pub tally: Tally,
    pub claims: Claims,
}

impl SourceContext {
    pub fn batch(&self) -> Batch {
        Batch::new(&*self.tenant)
    }

    pub fn deliver(&self, batch: Batch) -> SourceBatch {
        SourceBatch { source: self.name.clone(), pipeline: self.pipeline.clone(), batch }
    }
}

/// Which names a source starts from when it makes labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LabelStyle {
    /// Our own labels, so that no relabelling is needed.
    #[default]
    Native,
    /// Only what the relabelling rules make of `__meta_*`, as promtail does.
    Promtail,
}

/// How the labels of a stream are made of what a source knows about it.
#[derive(Debug, Clone, Default)]
pub(super) struct Labeling {
    pub style: LabelStyle,
    pub fixed: Vec<(String, String)>,
    pub relabel: Vec<RelabelRule>,
}

impl Labeling {
    /// Whether the hidden labels are looked at.
    pub fn uses_meta(&self) -> bool {
        self.style == LabelStyle::Promtail || !self.relabel.is_empty()
    }

    /// The labels of a stream, or `None` when a rule drops it. `native` are our own labels,
    /// `meta` the hidden ones that rules may use.
    pub fn labels(&self, native: &[(&str, &str)], meta: &[(String, String)]) -> Option<Labels> {
        let mut set: Vec<(String, String)> = Vec::new();
        if self.style == LabelStyle::Native {
            set.extend(native.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        }
        if self.uses_meta() {
            set.extend(meta.iter().cloned());
        }
        for (name, value) in &self.fixed {
            set.retain(|(n, _)| n != name);
            set.push((name.clone(), value.clone()));
        }
        for rule in &self.relabel {
            if !rule.apply(&mut set) {
                return None;
            }
        }
        set.retain(|(name, _)| !name.starts_with("__"));
        let labels = Labels::from_pairs(set);
        if labels.get("service_name").is_some() {
            return Some(labels);
        }
        let service = service_name(&labels)
            .or_else(|| native.iter().find(|(n, _)| *n == "service_name").map(|(_, v)| *v))
            .unwrap_or("unknown_service")
            .to_owned();
        Some(labels.with("service_name", &service))
    }
}

/// The service that other labels name, as it is discovered for pushes by default.
pub(super) fn service_name(labels: &Labels) -> Option<&str> {
    SERVICE_NAME_LABELS.iter().find_map(|name| labels.get(name))
}

/// Who reads what. A file or container that two sources match belongs to the first that asks,
/// so that positions can be named after the thing itself and nothing is stored twice.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(Arc<Mutex<HashMap<String, Arc<str>>>>);

impl Claims {
    /// Whether the thing is (now) this source's.
    pub fn take(&self, thing: &str, source: &Arc<str>) -> bool {
        let mut owners = self.0.lock();
        match owners.get(thing) {
            Some(owner) => owner == source,
            None => {
                owners.insert(thing.to_owned(), source.clone());
                true
            }
        }
    }

    pub fn release(&self, thing: &str, source: &Arc<str>) {
        let mut owners = self.0.lock();
        if owners.get(thing) == Some(source) {
            owners.remove(thing);
        }
    }
}

#[cfg(test)]
impl SourceContext {
    pub fn for_tests(positions: Arc<dyn Positions>, clock: SharedClock) -> Self {
        use super::status::SourceCounters;
        let name: Arc<str> = Arc::from("test");
        SourceContext {
            pipeline: None,
            tenant: Arc::from("fake"),
            host: Arc::from("box"),
            labeling: Arc::default(),
            positions,
            clock,
            status: StatusHandle::new(name.clone(), "test"),
            tally: SourceCounters::new(&crate::metrics::Metrics::default()).of("test", "test"),
            claims: Claims::default(),
            name,
        }
    }
}
