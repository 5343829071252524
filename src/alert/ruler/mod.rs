//! The rule engine: rules, state, schedule and evaluation put together.

mod evaluation;
mod listing;
mod outgoing;
mod run;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::error::AlertError;
use super::evaluate::Evaluate;
use super::listing::Health;
use super::load::{GroupDefaults, RuleFile};
use super::memory::Memory;
use super::namespaces::ApiRules;
use super::recorded::{Recorded, RuleSeries};
use super::rule::{Group, GroupKey, Origin, RuleId, RuleSet};
use super::text::Surroundings;
use super::yaml;
use crate::clock::SharedClock;
use crate::metrics::{Counters, Gauges, Histograms, Metrics};
use crate::model::Labels;

/// How the engine is set up.
#[derive(Debug, Clone)]
pub struct RulerOptions {
    /// State of alerts is kept in `alerts/state.json` under it, rules made through the API in
    /// `rules/api.json`.
    pub data_dir: PathBuf,
    /// Where people reach our page, for links.
    pub external_url: String,
    /// For `$externalLabels` in templates.
    pub external_labels: Labels,
    pub defaults: GroupDefaults,
    /// How often an alert that goes on firing is handed on again, with fresh value and lines.
    pub resend_ns: i64,
    /// Groups that are evaluated at the same time.
    pub concurrency: usize,
}

impl RulerOptions {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        RulerOptions {
            data_dir: data_dir.into(),
            external_url: String::new(),
            external_labels: Labels::default(),
            defaults: GroupDefaults::default(),
            resend_ns: 60 * 1_000_000_000,
            concurrency: 4,
        }
    }
}

/// The rule engine. Clones share everything.
#[derive(Clone)]
pub struct Ruler(Arc<Inner>);

impl std::fmt::Debug for Ruler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ruler")
    }
}

struct Inner {
    options: RulerOptions,
    around: Surroundings,
    evaluate: Arc<dyn Evaluate>,
    clock: SharedClock,
    /// Groups of files and shipped ones; those of the API are added to make `rules`.
    from_files: Mutex<Vec<Group>>,
    from_api: ApiRules,
    rules: ArcSwap<RuleSet>,
    memory: Arc<Memory>,
    recorded: Recorded,
    health: Mutex<HashMap<RuleId, RuleHealth>>,
    group_health: Mutex<HashMap<GroupKey, GroupHealth>>,
    /// Told when `rules` were swapped.
    changed: Notify,
    stopping: AtomicBool,
    counters: RulerCounters,
}

#[derive(Debug, Clone, Default)]
struct RuleHealth {
    health: Health,
    last_error: String,
    last_evaluation_ns: i64,
    took_secs: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct GroupHealth {
    last_evaluation_ns: i64,
    took_secs: f64,
}

struct RulerCounters {
    evaluations: Counters,
    failures: Counters,
    missed: Counters,
    save_failures: Counters,
    duration: Histograms,
    last_evaluation: Gauges,
    groups: Gauges,
}

impl RulerCounters {
    fn new(metrics: &Metrics) -> Self {
        RulerCounters {
            evaluations: metrics.counters(
                "rule_evaluations",
                "Evaluations of rules",
                &["rule_group"],
            ),
            failures: metrics.counters(
                "rule_evaluation_failures",
                "Evaluations of rules that failed",
                &["rule_group"],
            ),
            missed: metrics.counters(
                "rule_group_iterations_missed",
                "Slots of rules that nobody looked at",
                &["rule_group"],
            ),
            save_failures: metrics.counters(
                "rule_state_save_failures",
                "Changes of alert state that could not be saved",
                &[],
            ),
            duration: metrics.histograms(
                "rule_group_duration_seconds",
                "Time that one evaluation of a rule group took",
                &[],
                &[0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],
            ),
            last_evaluation: metrics.gauges(
                "rule_group_last_evaluation_timestamp_seconds",
                "When a rule group was evaluated last",
                &["rule_group"],
            ),
            groups: metrics.gauges("rule_groups", "Rule groups in force", &[]),
        }
    }
}

impl Ruler {
    /// Opens the state and puts the rules in force; nothing is evaluated before `run`.
    pub fn open(
        options: RulerOptions,
        files: Vec<RuleFile>,
        evaluate: Arc<dyn Evaluate>,
        clock: SharedClock,
        metrics: &Metrics,
    ) -> Result<Ruler, AlertError> {
        let state_path = options.data_dir.join("alerts").join("state.json");
        let (memory, damage) = Memory::open(state_path, clock.now_ns())?;
        if let Some(damage) = damage {
            tracing::error!(error = %damage, "alert state is damaged; starting without it");
        }
        let (from_api, damage) = ApiRules::open(&options.data_dir.join("rules"))?;
        if let Some(damage) = damage {
            tracing::error!(error = %damage, "rules made through the API are damaged; starting without them");
        }
        let memory = Arc::new(memory);
        let recorded = Recorded::default();
        metrics.collector(Box::new(RuleSeries {
            recorded: recorded.clone(),
            memory: Arc::clone(&memory),
        }));
        let ruler = Ruler(Arc::new(Inner {
            around: Surroundings {
                external_url: options.external_url.trim_end_matches('/').to_owned(),
                external_labels: options.external_labels.clone(),
            },
            options,
            evaluate,
            clock,
            from_files: Mutex::new(groups_of(files)),
            from_api,
            rules: ArcSwap::from_pointee(RuleSet::default()),
            memory,
            recorded,
            health: Mutex::default(),
            group_health: Mutex::default(),
            changed: Notify::new(),
            stopping: AtomicBool::new(false),
            counters: RulerCounters::new(metrics),
        }));
        // The first save tells early when the folder cannot be written.
        ruler.0.memory.save()?;
        ruler.rebuild();
        Ok(ruler)
    }

    /// Puts other files in force. Rules keep their alerts as long as name and labels stay; the
    /// alerts of rules that are gone are resolved.
    pub fn reload(&self, files: Vec<RuleFile>) {
        *self.0.from_files.lock() = groups_of(files);
        self.rebuild();
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<RuleSet> {
        self.0.rules.load_full()
    }

    /// Adds or replaces a group of the API (the body of Loki's `POST /rules/{namespace}`).
    pub fn put_group(&self, tenant: &str, namespace: &str, yaml: &str) -> Result<(), AlertError> {
        self.refuse_files(tenant, namespace)?;
        self.0.from_api.put(tenant, namespace, yaml, self.0.options.defaults)?;
        self.rebuild();
        Ok(())
    }

    /// Deletes a group of the API, or all of a namespace.
    pub fn delete(
        &self,
        tenant: &str,
        namespace: &str,
        group: Option<&str>,
    ) -> Result<(), AlertError> {
        self.refuse_files(tenant, namespace)?;
        self.0.from_api.delete(tenant, namespace, group)?;
        self.rebuild();
        Ok(())
    }

    fn refuse_files(&self, tenant: &str, namespace: &str) -> Result<(), AlertError> {
        let is_it = |group: &Group| &*group.tenant == tenant && group.namespace == namespace;
        let taken = self.0.from_files.lock().iter().any(is_it);
        if taken {
            return Err(AlertError::ReadOnly { namespace: namespace.to_owned() });
        }
        Ok(())
    }

    /// All groups of a tenant as YAML: a map of namespaces, or of the one that is named.
    pub fn groups_yaml(&self, tenant: &str, namespace: Option<&str>) -> Result<String, AlertError> {
        let mut groups: Vec<Arc<Group>> = self
            .rules()
            .groups
            .iter()
            .filter(|group| &*group.tenant == tenant)
            .filter(|group| namespace.is_none_or(|namespace| group.namespace == namespace))
            .cloned()
            .collect();
        if groups.is_empty() {
            return Err(AlertError::NotFound);
        }
        groups.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(yaml::write_namespaces(&groups))
    }

    pub fn group_yaml(
        &self,
        tenant: &str,
        namespace: &str,
        name: &str,
    ) -> Result<String, AlertError> {
        let rules = self.rules();
        let found = rules.groups.iter().find(|group| {
            &*group.tenant == tenant && group.namespace == namespace && group.name == name
        });
        found.map(|group| yaml::write_group(group)).ok_or(AlertError::NotFound)
    }

    fn rebuild(&self) {
        let inner = &self.0;
        let (from_api, faults) = inner.from_api.groups(inner.options.defaults);
        for fault in faults {
            tracing::error!(error = %fault, "a rule group made through the API is not in force");
        }
        let mut groups = inner.from_files.lock().clone();
        groups.extend(from_api);
        let rules = RuleSet::new(groups);
        let ids: HashSet<&str> = rules.rules().map(|(_, rule)| rule.id.as_str()).collect();
        inner.recorded.retain(|id| ids.contains(id));
        inner.health.lock().retain(|id, _| ids.contains(id.as_str()));
        inner.counters.groups.set(&[], i64::try_from(rules.groups.len()).unwrap_or(i64::MAX));
        if rules.groups.is_empty() {
            tracing::warn!("no rule groups are loaded, so no alert will ever fire");
        }
        inner.rules.store(Arc::new(rules));
        inner.changed.notify_one();
    }
}

/// A file of the user replaces the shipped file of the same name.
fn groups_of(files: Vec<RuleFile>) -> Vec<Group> {
    let groups: Vec<Group> = files.into_iter().flat_map(|file| file.groups).collect();
    let own: HashSet<String> = groups
        .iter()
        .filter(|group| group.origin != Origin::Shipped)
        .map(|group| group.namespace.clone())
        .collect();
    groups
        .into_iter()
        .filter(|group| group.origin != Origin::Shipped || !own.contains(&group.namespace))
        .collect()
}
