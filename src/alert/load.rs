//! Raw rule files to rules that can run: names checked, durations and queries parsed, templates
//! compiled. All faults of a file are told at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::check::{self, RuleTest};
use super::error::AlertError;
use super::expr;
use super::rule::{Group, Origin, Rule, RuleId, RuleKind};
use super::text::RuleText;
use crate::config::alerts::{
    RawGroup, RawMap, RawRule, RawRuleFile, parse_rule_file, parse_rule_group,
};
use crate::config::{Diagnostic, Spanned};
use crate::limits::{RULE_ALERTS_MAX, RULE_FILE_BYTES_MAX};
use crate::model::{Labels, TENANT_DEFAULT};
use crate::query::syntax::{self, ast::Expr};
use crate::text::units::parse_prometheus_duration;

const SECOND_NS: i64 = 1_000_000_000;

/// Folders inside folders that are followed.
const FOLDER_DEPTH_MAX: usize = 8;

/// What groups that do not say otherwise use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupDefaults {
    pub interval_ns: i64,
    pub query_offset_ns: i64,
}

impl Default for GroupDefaults {
    fn default() -> Self {
        GroupDefaults { interval_ns: 15 * SECOND_NS, query_offset_ns: SECOND_NS }
    }
}

/// One rule file, ready.
#[derive(Debug, Clone, Default)]
pub struct RuleFile {
    pub name: String,
    pub groups: Vec<Group>,
    pub tests: Vec<RuleTest>,
}

/// Reads a rule file. `name` is its namespace and stands in front of faults.
pub fn load_text(
    origin: Origin,
    name: &str,
    text: &str,
    defaults: GroupDefaults,
) -> Result<RuleFile, AlertError> {
    if text.len() > RULE_FILE_BYTES_MAX {
        let message = format!("longer than {RULE_FILE_BYTES_MAX} bytes; split it");
        return Err(AlertError::Rules(vec![Diagnostic::new(name, 0, 0, message)]));
    }
    let raw = parse_rule_file(name, text).map_err(|fault| AlertError::Rules(vec![fault]))?;
    let mut loader = Loader { origin, namespace: name, file: name, defaults, faults: Vec::new() };
    let file = loader.file(&raw);
    if loader.faults.is_empty() { Ok(file) } else { Err(AlertError::Rules(loader.faults)) }
}

/// Reads one group as given through the API.
pub fn load_group(
    namespace: &str,
    text: &str,
    defaults: GroupDefaults,
) -> Result<Group, AlertError> {
    let raw =
        parse_rule_group("rule group", text).map_err(|fault| AlertError::Rules(vec![fault]))?;
    let mut loader =
        Loader { origin: Origin::Api, namespace, file: "rule group", defaults, faults: Vec::new() };
    match loader.group(&raw) {
        Some(group) if loader.faults.is_empty() => Ok(group),
        _ => Err(AlertError::Rules(loader.faults)),
    }
}

/// Reads all `*.yaml` and `*.yml` files of a folder and the folders in it, or one file. Names
/// are relative to the folder.
pub fn load_path(path: &Path, defaults: GroupDefaults) -> Result<Vec<RuleFile>, AlertError> {
    let mut found = Vec::new();
    find_files(path, 0, &mut found)?;
    found.sort();
    let mut files = Vec::new();
    let mut faults = Vec::new();
    for file in found {
        let inside = file.strip_prefix(path).ok().filter(|inside| !inside.as_os_str().is_empty());
        let name = match inside {
            Some(inside) => inside.to_string_lossy().into_owned(),
            None => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        };
        let text = std::fs::read_to_string(&file)
            .map_err(|source| AlertError::Io { path: file.clone(), source })?;
        match load_text(Origin::File, &name, &text, defaults) {
            Ok(file) => files.push(file),
            Err(AlertError::Rules(more)) => faults.extend(more),
            Err(error) => return Err(error),
        }
    }
    if faults.is_empty() { Ok(files) } else { Err(AlertError::Rules(faults)) }
}

fn find_files(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), AlertError> {
    let io = |source| AlertError::Io { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(io)?.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(io)? {
        let inner = entry.map_err(io)?.path();
        // Editors and mounted config maps leave hidden files and folders beside the real ones.
        let hidden = inner.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let is_yaml = inner.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if hidden {
            continue;
        }
        if inner.is_dir() {
            if depth < FOLDER_DEPTH_MAX {
                find_files(&inner, depth + 1, found)?;
            }
        } else if is_yaml {
            found.push(inner);
        }
    }
    Ok(())
}

struct Loader<'a> {
    origin: Origin,
    namespace: &'a str,
    file: &'a str,
    defaults: GroupDefaults,
    faults: Vec<Diagnostic>,
}

impl Loader<'_> {
    fn fault<T>(&mut self, at: &Spanned<T>, message: impl Into<String>) {
        self.faults.push(Diagnostic::at(self.file, at, message));
    }

    fn file(&mut self, raw: &RawRuleFile) -> RuleFile {
        let mut names = BTreeSet::new();
        let mut groups = Vec::with_capacity(raw.groups.len());
        for group in &raw.groups {
            if !names.insert(group.name.value.as_str()) {
                let message = format!("group {:?} is given twice; rename one", group.name.value);
                self.fault(&group.name, message);
            }
            groups.extend(self.group(group));
        }
        let alerts: BTreeSet<String> = groups
            .iter()
            .flat_map(|group: &Group| &group.rules)
            .filter(|rule| rule.is_alert())
            .map(|rule| rule.name.clone())
            .collect();
        let tests = check::ready(self.file, &raw.tests, &alerts, &mut self.faults);
        RuleFile { name: self.namespace.to_owned(), groups, tests }
    }

    fn group(&mut self, raw: &RawGroup) -> Option<Group> {
        if raw.name.value.trim().is_empty() {
            self.fault(&raw.name, "a group needs a name");
            return None;
        }
        let interval_ns = match self.duration(raw.interval.as_ref(), "interval") {
            None => self.defaults.interval_ns,
            Some(ns) if ns >= SECOND_NS => ns,
            Some(_) => {
                if let Some(interval) = &raw.interval {
                    self.fault(interval, "interval must be at least 1s");
                }
                self.defaults.interval_ns
            }
        };
        let query_offset_ns = self
            .duration(raw.query_offset.as_ref(), "query_offset")
            .unwrap_or(self.defaults.query_offset_ns);
        self.check_names(&raw.labels, "label");
        let limit_written = raw.limit.as_ref().map_or(0, |limit| limit.value);
        let limit = match limit_written {
            0 => RULE_ALERTS_MAX,
            limit => limit.min(RULE_ALERTS_MAX),
        };
        let rules = raw.rules.iter().filter_map(|rule| self.rule(rule, &raw.labels)).collect();
        Some(Group {
            origin: self.origin,
            tenant: TENANT_DEFAULT.into(),
            namespace: self.namespace.to_owned(),
            name: raw.name.value.clone(),
            interval_ns,
            query_offset_ns,
            limit,
            limit_written,
            interval_is_written: raw.interval.is_some(),
            query_offset_is_written: raw.query_offset.is_some(),
            labels: written(&raw.labels),
            rules,
        })
    }

    fn rule(&mut self, raw: &Spanned<RawRule>, group_labels: &RawMap) -> Option<Rule> {
        let rule = &raw.value;
        let (name, is_alert) = match (&rule.alert, &rule.record) {
            (Some(alert), None) => (alert, true),
            (None, Some(record)) => (record, false),
            (Some(alert), Some(_)) => {
                self.fault(alert, "a rule has either \"alert\" or \"record\", not both");
                return None;
            }
            (None, None) => {
                self.fault(raw, "a rule needs \"alert\" or \"record\"");
                return None;
            }
        };
        if name.value.trim().is_empty() {
            self.fault(name, "a rule needs a name");
        }
        if !is_alert {
            self.check_record(rule, name);
        }
        let Some(query) = &rule.expr else {
            self.fault(name, format!("rule {:?} has no \"expr\"", name.value));
            return None;
        };
        self.check_names(&rule.labels, "label");
        self.check_names(&rule.annotations, "annotation");
        let expr = self.expression(query);
        let hold_ns = self.duration(rule.hold.as_ref(), "for").unwrap_or(0);
        let keep_firing_ns =
            self.duration(rule.keep_firing_for.as_ref(), "keep_firing_for").unwrap_or(0);
        let mut merged = group_labels.clone();
        merged.extend(rule.labels.clone());
        let labels = self.texts(&merged, "label");
        let annotations = self.texts(&rule.annotations, "annotation");
        for (name, text) in &labels {
            if text.uses_value() {
                let message = format!(
                    "label {name:?} holds the value, so each change would be a new alert that \
                     never gets out of pending; move it to an annotation"
                );
                if let Some(at) = merged.get(name) {
                    self.fault(at, message);
                }
            }
        }
        let expr = expr?;
        let kind = if is_alert {
            RuleKind::Alert { hold_ns, keep_firing_ns, annotations }
        } else {
            RuleKind::Record
        };
        Some(Rule {
            id: RuleId::default(),
            name: name.value.clone(),
            query: query.value.trim().to_owned(),
            look: expr::look(&expr),
            expr,
            labels,
            labels_written: written(&rule.labels),
            kind,
        })
    }

    fn check_record(&mut self, rule: &RawRule, name: &Spanned<String>) {
        for (key, place) in [("for", &rule.hold), ("keep_firing_for", &rule.keep_firing_for)] {
            if let Some(place) = place {
                self.fault(place, format!("{key:?} belongs to alerts, not to recording rules"));
            }
        }
        if let Some(annotation) = rule.annotations.values().next() {
            self.fault(annotation, "annotations belong to alerts, not to recording rules");
        }
        let mut bytes = name.value.bytes();
        let legal = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b"_:".contains(&b))
            && bytes.all(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b));
        if !legal {
            let message = format!(
                "{:?} is not a metric name: use letters, digits, '_' and ':', not starting with \
                 a digit",
                name.value
            );
            self.fault(name, message);
        }
    }

    fn check_names(&mut self, map: &RawMap, what: &str) {
        for (name, value) in map {
            if name == "__name__" || !Labels::is_valid_name(name) {
                let message = format!(
                    "{what} name {name:?} is not valid: use letters, digits and '_', not \
                     starting with a digit"
                );
                self.fault(value, message);
            }
        }
    }

    fn duration(&mut self, text: Option<&Spanned<String>>, key: &str) -> Option<i64> {
        let text = text?;
        let parsed = parse_prometheus_duration(text.value.trim());
        if parsed.is_none() {
            let message = format!(
                "{key}: {:?} is not a duration; write it like 30s, 5m or 1h30m",
                text.value
            );
            self.fault(text, message);
        }
        parsed
    }

    fn texts(&mut self, map: &RawMap, what: &str) -> Vec<(String, RuleText)> {
        let mut texts = Vec::with_capacity(map.len());
        for (name, source) in map {
            match RuleText::parse(&source.value) {
                Ok(text) => texts.push((name.clone(), text)),
                Err(error) => self.fault(source, format!("{what} {name:?}: template: {error}")),
            }
        }
        texts
    }

    fn expression(&mut self, query: &Spanned<String>) -> Option<syntax::ast::MetricExpr> {
        match syntax::parse(&query.value) {
            Ok(Expr::Metric(mut metric)) => {
                expr::exclude_own_logs(&mut metric);
                Some(metric)
            }
            Ok(Expr::Log(_)) => {
                self.fault(
                    query,
                    "expr gives lines, a rule needs numbers; wrap it, for example in \
                     sum by (service_name) (count_over_time(... [5m])) > 0",
                );
                None
            }
            Err(error) => {
                let hint = if looks_like_promql(&query.value) {
                    "; this looks like PromQL: rules over metrics stay in Prometheus"
                } else {
                    ""
                };
                self.fault(query, format!("expr: {error}{hint}"));
                None
            }
        }
    }
}

/// A metric name in front of a selector, or no selector at all.
fn looks_like_promql(query: &str) -> bool {
    match query.find('{') {
        None => !query.contains("vector("),
        Some(brace) => query
            .get(..brace)
            .and_then(|before| before.trim_end().chars().next_back())
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'),
    }
}

fn written(map: &RawMap) -> Vec<(String, String)> {
    map.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect()
}
