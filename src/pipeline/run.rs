//! A compiled pipeline and how a batch goes through it.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::config::Diagnostic;
use crate::config::pipeline::Node;
use crate::limits::PIPELINE_CHUNK_ENTRIES;
use crate::model::{Batch, Changes, Entry, Labels, StreamBatch, Text};
use crate::text::multiline::MultilineRule;

use super::compile::{Compile, Setup};
use super::guard::Guard;
use super::item::{Item, apply_edits};

/// One thing that is done to entries.
pub(crate) trait Stage: Send + Sync + fmt::Debug {
    /// Changes one entry.
    fn run(&self, item: &mut Item);

    /// Changes the entries of one stream; overridden where entries depend on each other.
    fn run_all(&self, items: &mut Vec<Item>) {
        for item in items.iter_mut().filter(|item| !item.dropped) {
            self.run(item);
        }
    }

    /// What must be held back at the end of a batch for this stage to join whole records.
    fn joining(&self) -> Option<Joining> {
        None
    }
}

/// What a source should put together before it hands over a batch, because a pipeline joins
/// entries inside one batch only.
#[derive(Debug, Clone)]
pub enum Joining {
    Multiline(MultilineRule),
    /// Lines of a container runtime, whose partial ones (`P`) belong to the next.
    Cri,
}

/// A stage and the name by which it was asked for.
#[derive(Debug)]
pub(crate) struct Step {
    pub name: String,
    pub stage: Box<dyn Stage>,
}

/// The stages of a source, compiled. Keeps state between batches (token buckets, last times,
/// streams seen), so each source has its own.
#[derive(Debug)]
pub struct Pipeline {
    steps: Vec<Step>,
    guard: Option<Guard>,
    warnings: Vec<Diagnostic>,
}

impl Pipeline {
    /// Compiles a list of stages from a file; gives all faults, or the pipeline.
    pub fn compile(file: &str, stages: &Node, setup: &Setup) -> Result<Pipeline, Vec<Diagnostic>> {
        let mut cx = Compile::new(file, setup);
        let steps = cx.steps(stages);
        if cx.errors.is_empty() {
            Ok(Pipeline { steps, guard: None, warnings: cx.warnings })
        } else {
            Err(cx.errors)
        }
    }

    /// `pipeline:` of a source: a name from the library, or the stages themselves.
    pub fn compile_source(
        file: &str,
        pipeline: &Node,
        setup: &Setup,
    ) -> Result<Pipeline, Vec<Diagnostic>> {
        let mut cx = Compile::new(file, setup);
        let steps = match pipeline.as_str() {
            Some(name) => cx.included(pipeline, name),
            None => cx.steps(pipeline),
        };
        if cx.errors.is_empty() {
            Ok(Pipeline { steps, guard: None, warnings: cx.warnings })
        } else {
            Err(cx.errors)
        }
    }

    /// A pipeline of the library.
    pub fn from_library(name: &str, setup: &Setup) -> Result<Pipeline, Vec<Diagnostic>> {
        Pipeline::compile_source("pipelines", &Node::text(name), setup)
    }

    /// The pipeline of sources that name none: `parse: auto`.
    pub fn auto() -> Pipeline {
        Pipeline { steps: super::stages::parse::auto_steps(), guard: None, warnings: Vec::new() }
    }

    /// No stages.
    pub fn none() -> Pipeline {
        Pipeline { steps: Vec::new(), guard: None, warnings: Vec::new() }
    }

    /// Holds the labels that leave this pipeline to the limits.
    pub fn with_guard(mut self, guard: Guard) -> Pipeline {
        self.guard = Some(guard);
        self
    }

    /// What is likely not meant, though it compiles.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What the source should join by itself: set when the first stage joins entries.
    pub fn joining(&self) -> Option<Joining> {
        self.steps.first().and_then(|step| step.stage.joining())
    }

    /// Sends a batch of redacted entries through the stages. Where a `tenant` stage sends entries
    /// of one batch to several tenants use `run_by_tenant`; here the last one's tenant wins.
    pub fn run(&self, batch: Batch) -> (Batch, Changes) {
        if self.steps.is_empty() && self.guard.is_none() {
            return (batch, Changes::Nothing);
        }
        let mut output = Output::new(self.guard.as_ref());
        let mut tenant = batch.tenant;
        self.run_streams(batch.streams, &mut |base, item| {
            if let Some(own) = &item.tenant {
                tenant = own.to_string();
            }
            output.push(base, item);
        });
        let (streams, changes) = output.finish();
        (Batch { tenant, streams, positions: batch.positions }, changes)
    }

    /// Like `run`, one batch a tenant. The positions are in the last batch, so they move once
    /// all batches before it are stored.
    pub fn run_by_tenant(&self, batch: Batch) -> Vec<(Batch, Changes)> {
        let mut outputs: Vec<(String, Output<'_>)> =
            vec![(batch.tenant, Output::new(self.guard.as_ref()))];
        self.run_streams(batch.streams, &mut |base, item| {
            let at = match &item.tenant {
                None => 0,
                Some(own) => outputs
                    .iter()
                    .position(|(tenant, _)| *own == tenant.as_str())
                    .unwrap_or_else(|| {
                        outputs.push((own.to_string(), Output::new(self.guard.as_ref())));
                        outputs.len() - 1
                    }),
            };
            if let Some((_, output)) = outputs.get_mut(at) {
                output.push(base, item);
            }
        });
        let mut batches: Vec<(Batch, Changes)> = outputs
            .into_iter()
            .map(|(tenant, output)| {
                let (streams, changes) = output.finish();
                (Batch { tenant, streams, positions: Vec::new() }, changes)
            })
            .collect();
        if let Some((last, _)) = batches.last_mut() {
            last.positions = batch.positions;
        }
        batches.retain(|(batch, _)| !batch.streams.is_empty() || !batch.positions.is_empty());
        batches
    }

    fn run_streams(&self, streams: Vec<StreamBatch>, done: &mut dyn FnMut(&Labels, Item)) {
        let joins = self.steps.iter().any(|step| step.stage.joining().is_some());
        for stream in streams {
            let chunk = if joins { usize::MAX } else { PIPELINE_CHUNK_ENTRIES };
            let mut entries = stream.entries.into_iter().peekable();
            while entries.peek().is_some() {
                let mut items: Vec<Item> = entries
                    .by_ref()
                    .take(chunk)
                    .map(|entry| Item::new(&stream.labels, entry))
                    .collect();
                run_steps(&self.steps, &mut items);
                for item in items {
                    if !item.dropped {
                        done(&stream.labels, item);
                    }
                }
            }
        }
    }

    /// The state of entries of one stream before the stages and after each.
    pub fn inspect(&self, labels: &Labels, entries: Vec<Entry>) -> Vec<StageState> {
        let mut items: Vec<Item> =
            entries.into_iter().map(|entry| Item::new(labels, entry)).collect();
        let mut states = vec![StageState::of("input", &items)];
        for step in &self.steps {
            step.stage.run_all(&mut items);
            states.push(StageState::of(&step.name, &items));
        }
        states
    }
}

pub(crate) fn run_steps(steps: &[Step], items: &mut Vec<Item>) {
    for step in steps {
        step.stage.run_all(items);
    }
}

/// What `inspect` shows of one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageState {
    pub stage: String,
    pub entries: Vec<EntryState>,
}

/// An entry behind one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryState {
    pub labels: Labels,
    pub entry: Entry,
    pub extracted: Vec<(String, String)>,
    pub tenant: Option<String>,
    pub dropped: bool,
}

impl StageState {
    fn of(stage: &str, items: &[Item]) -> StageState {
        let entries = items
            .iter()
            .map(|item| EntryState {
                labels: item.labels(),
                entry: item.clone().into_entry(),
                extracted: item
                    .extracted
                    .all()
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value.text()?.to_string())))
                    .collect(),
                tenant: item.tenant.as_ref().map(Text::to_string),
                dropped: item.dropped,
            })
            .collect();
        StageState { stage: stage.to_owned(), entries }
    }
}

/// Puts entries back into streams by their labels, in the order in which they come.
struct Output<'g> {
    guard: Option<&'g Guard>,
    streams: Vec<OutStream>,
    by_labels: HashMap<Labels, usize>,
    /// Where entries with these edits went last: mostly the next entry goes there too.
    recent: Vec<Route>,
}

#[derive(Clone)]
struct Route {
    base: Labels,
    edits: Vec<(Text, Text)>,
    to: usize,
    /// Labels that the guard turned into metadata.
    demoted: Arc<[(Text, Text)]>,
}

struct OutStream {
    stream: StreamBatch,
    changed: Vec<bool>,
    labels_flagged: bool,
}

/// So many routes are remembered; the entries of one source rarely take more.
const RECENT_MAX: usize = 16;

impl<'g> Output<'g> {
    fn new(guard: Option<&'g Guard>) -> Self {
        Output { guard, streams: Vec::new(), by_labels: HashMap::new(), recent: Vec::new() }
    }

    fn push(&mut self, base: &Labels, mut item: Item) {
        let edits = std::mem::take(&mut item.edits);
        let known = self.recent.iter().rev().find(|r| r.base == *base && r.edits == edits);
        let (to, demoted) = match known {
            Some(route) => (route.to, Arc::clone(&route.demoted)),
            None => {
                let route = self.route(base, edits);
                if self.recent.len() >= RECENT_MAX {
                    self.recent.remove(0);
                }
                self.recent.push(route.clone());
                (route.to, route.demoted)
            }
        };
        for (name, value) in demoted.iter() {
            item.set_metadata(name.clone(), value.clone());
        }
        let Some(out) = self.streams.get_mut(to) else { return };
        // Labels are shared by the whole stream: looking at them once is enough.
        let labels = item.labels_changed && !out.labels_flagged;
        out.labels_flagged |= labels;
        out.changed.push(item.changed || labels);
        out.stream.entries.push(item.into_entry());
    }

    fn route(&mut self, base: &Labels, edits: Vec<(Text, Text)>) -> Route {
        let mut labels = if edits.is_empty() { base.clone() } else { apply_edits(base, &edits) };
        let mut demoted = Vec::new();
        if let Some(guard) = self.guard {
            let held = guard.hold(labels);
            labels = held.labels;
            demoted = held.demoted;
        }
        let to = match self.by_labels.get(&labels) {
            Some(at) => *at,
            None => {
                self.by_labels.insert(labels.clone(), self.streams.len());
                self.streams.push(OutStream {
                    stream: StreamBatch { labels, entries: Vec::new() },
                    changed: Vec::new(),
                    labels_flagged: false,
                });
                self.streams.len() - 1
            }
        };
        Route { base: base.clone(), edits, to, demoted: demoted.into() }
    }

    fn finish(self) -> (Vec<StreamBatch>, Changes) {
        let mut streams = Vec::with_capacity(self.streams.len());
        let mut flags = Vec::with_capacity(self.streams.len());
        for out in self.streams {
            if !out.stream.entries.is_empty() {
                streams.push(out.stream);
                flags.push(out.changed);
            }
        }
        let nothing = flags.iter().flatten().all(|changed| !changed);
        (streams, if nothing { Changes::Nothing } else { Changes::Entries(flags) })
    }
}
