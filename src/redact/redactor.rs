//! The redactor: rules and options compiled into something that batches pass through.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use super::action::{self, HASH_KEY_BYTES_MIN, HashKey};
use super::detect::key_value::flatten;
use super::detect::pem::{self, Inside};
use super::engine::{Engine, Looked, Outcome, count};
use super::pem_streams::{OpenKey, PemStreams};
use super::prefilter::Prefilter;
use super::rule::{Finder, Rule};
use super::{Redacted, RuleSet};
use crate::config::redaction::{RawAction, RawDetector, RawRedaction, RawRule};
use crate::config::{Diagnostic, Spanned, unknown};
use crate::limits::STREAMS_REMEMBERED_MAX;
use crate::metrics::{Counters, Metrics};
use crate::model::{Batch, Changes, Entry, Labels, Metadata, Recent, StreamBatch, Text};

/// What stands for a line that could not be redacted.
const ERROR_LINE: &str = "<redaction-error>";
const PRESET_DEFAULT: &str = "default";

/// What redaction counts. Registered once; every redactor of a process counts here.
#[derive(Debug, Clone)]
pub struct RedactMetrics {
    redactions: Counters,
    errors: Counter<u64, AtomicU64>,
    lines_touched: Counter<u64, AtomicU64>,
}

impl RedactMetrics {
    pub fn register(metrics: &Metrics) -> Self {
        let errors = metrics.counters(
            "redaction_errors",
            "Lines replaced whole because redaction failed or took too much work",
            &[],
        );
        let lines =
            metrics.counters("redacted_lines", "Lines changed or dropped by redaction", &[]);
        RedactMetrics {
            redactions: metrics.counters("redactions", "Matches of redaction rules", &["rule"]),
            errors: errors.with(&[]),
            lines_touched: lines.with(&[]),
        }
    }
}

/// What the configuration says beside the rules.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The configuration file, which faults are told with.
    pub file: String,
    pub raw: RawRedaction,
    /// Keys of the `hash` action; the first is used.
    pub keys: Vec<HashKey>,
}

/// Rules ready to run. Immutable; a reload builds another.
pub struct Redactor {
    engine: Engine,
    enabled: bool,
    metrics: RedactMetrics,
    counters: Vec<Counter<u64, AtomicU64>>,
    keys: Arc<PemStreams>,
    key_label: String,
    key_rule: Option<u16>,
    /// Label sets in which nothing was found, and nothing counted.
    clean_labels: Mutex<Recent<Labels, ()>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("rules", &self.engine.rules.len()).finish_non_exhaustive()
    }
}

/// What is to become of a label or metadata pair, or of a line.
enum Verdict {
    Keep,
    Change(String),
    DropField,
    DropLine,
}

/// Counts of one batch, added to the metrics at its end.
pub(super) struct Tally {
    pub(super) rules: Vec<u64>,
    pub(super) errors: u64,
    pub(super) lines: u64,
}

impl Redactor {
    /// Compiles rule sets. A later rule of the same name replaces an earlier one.
    pub fn compile(
        sets: &[RuleSet],
        options: &Options,
        metrics: &RedactMetrics,
    ) -> Result<Redactor, Vec<Diagnostic>> {
        let raw = &options.raw;
        let mut faults = option_faults(options);
        let chosen = choose(sets, options, &mut faults);
        let mut rules = Vec::new();
        let mut literals = Vec::new();
        for (file, raw_rule) in chosen {
            let index = match u16::try_from(rules.len()) {
                Ok(index) => index,
                Err(_) => {
                    faults.push(Diagnostic::new(file, 0, 0, "more than 65535 rules"));
                    break;
                }
            };
            match Rule::compile(file, raw_rule) {
                Ok(mut rule) => {
                    if let Some(action) = raw.actions.get(&rule.name) {
                        rule.action = action.value;
                    }
                    if rule.action == RawAction::Hash && options.keys.is_empty() {
                        faults.push(Diagnostic::at(
                            file,
                            &raw_rule.name,
                            format!(
                                "rule {:?} hashes but there is no key; set redaction.hash_key_file",
                                rule.name
                            ),
                        ));
                    }
                    literals.extend(rule.literals(index, raw_rule));
                    rules.push(rule);
                }
                Err(fault) => faults.push(fault),
            }
        }
        let detectors = digit_rules(&rules);
        if !faults.is_empty() {
            return Err(faults);
        }
        let prefilter = Prefilter::new(literals, !detectors.is_empty());
        let pem =
            rules.iter().position(|rule| matches!(rule.finder, Finder::Detector(RawDetector::Pem)));
        let engine = Engine {
            prefilter,
            digit_rules: detectors,
            scans_all: rules.iter().any(|rule| rule.scans_all()),
            everywhere: everywhere_rules(&rules),
            labels: rules.iter().map(|rule| rule.label.clone()).collect(),
            own_domains: raw.own_domains.iter().map(|domain| domain.to_lowercase()).collect(),
            allow_values: raw.allow.values.iter().map(|value| value.to_lowercase()).collect(),
            allow_fields: raw.allow.fields.iter().map(|name| flatten(name.as_bytes())).collect(),
            hash_keys: options.keys.clone(),
            rules,
        };
        let counters =
            engine.rules.iter().map(|rule| metrics.redactions.with(&[&rule.name])).collect();
        Ok(Redactor {
            counters,
            enabled: raw.enabled,
            metrics: metrics.clone(),
            keys: Arc::default(),
            key_label: pem
                .and_then(|index| engine.rules.get(index))
                .map_or_else(|| "private-key".to_owned(), |rule| rule.label.clone()),
            key_rule: pem.and_then(|index| u16::try_from(index).ok()),
            clean_labels: Mutex::new(Recent::new(STREAMS_REMEMBERED_MAX)),
            engine,
        })
    }

    /// Takes over which streams are inside of a private key. To be called on reload, before the
    /// new redactor replaces the old one.
    pub fn continue_from(&mut self, previous: &Redactor) {
        self.keys = Arc::clone(&previous.keys);
    }

    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Names of the rules in force, for status pages.
    pub fn rule_names(&self) -> impl Iterator<Item = &str> {
        self.engine.rules.iter().map(|rule| rule.name.as_str())
    }

    /// Redacts everything in a batch but its positions.
    pub fn redact(&self, batch: Batch, source: &str) -> Redacted<Batch> {
        if !self.enabled {
            return Redacted::new(batch);
        }
        let mut tally = self.tally();
        let Batch { tenant, streams, positions } = batch;
        let streams = streams
            .into_iter()
            .filter_map(|stream| {
                let id = || stream_key(&tenant, source, &stream.labels);
                let mut open = self.keys.take(id);
                let id = open.is_some().then(id);
                let labels = self.labels(&stream.labels, &mut tally);
                let mut entries = stream.entries;
                entries.retain_mut(|entry| self.entry(entry, Some(&mut open), &mut tally));
                if let Some(key) = open {
                    let id = id.unwrap_or_else(|| stream_key(&tenant, source, &stream.labels));
                    self.keys.put(id, key);
                }
                (!entries.is_empty()).then_some(StreamBatch { labels, entries })
            })
            .collect();
        self.settle(&tally);
        Redacted::new(Batch { tenant, streams, positions })
    }

    /// Redacts once more what a pipeline changed. Entries without a flag count as changed.
    pub fn guard(&self, batch: Batch, changes: &Changes, _source: &str) -> Redacted<Batch> {
        let Changes::Entries(flags) = changes else { return Redacted::new(batch) };
        if !self.enabled {
            return Redacted::new(batch);
        }
        let mut tally = self.tally();
        let Batch { tenant, streams, positions } = batch;
        let streams = streams
            .into_iter()
            .enumerate()
            .filter_map(|(at, stream)| {
                let flags = flags.get(at).map(Vec::as_slice).unwrap_or_default();
                let StreamBatch { labels, mut entries } = stream;
                let any = flags.len() < entries.len() || flags.contains(&true);
                let labels = if any { self.labels(&labels, &mut tally) } else { labels };
                let mut index = 0;
                entries.retain_mut(|entry| {
                    let changed = flags.get(index).copied().unwrap_or(true);
                    index += 1;
                    !changed || self.entry(entry, None, &mut tally)
                });
                (!entries.is_empty()).then_some(StreamBatch { labels, entries })
            })
            .collect();
        self.settle(&tally);
        Redacted::new(Batch { tenant, streams, positions })
    }

    /// Redacts text that is not a log line: messages of notifiers, queries for the query log.
    pub fn redact_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.enabled {
            return Cow::Borrowed(text);
        }
        let mut tally = self.tally();
        let verdict = self.line(text, None, &mut tally);
        self.settle(&tally);
        match verdict {
            Verdict::Keep => Cow::Borrowed(text),
            Verdict::Change(changed) => Cow::Owned(changed),
            Verdict::DropField | Verdict::DropLine => Cow::Owned(String::new()),
        }
    }

    /// What `value` looks like after the `hash` action under a label, to search for it: one term
    /// for each key, the one in use first.
    pub fn hash_terms(&self, label: &str, value: &str) -> Vec<String> {
        let Some(rule) = self.engine.rules.iter().find(|rule| rule.label == label) else {
            return Vec::new();
        };
        let keys = self.engine.hash_keys.iter();
        keys.map(|key| action::hash(label, rule.value_kind, value, key)).collect()
    }

    pub(super) fn tally(&self) -> Tally {
        Tally { rules: vec![0; self.engine.rules.len()], errors: 0, lines: 0 }
    }

    pub(super) fn settle(&self, tally: &Tally) {
        for (counter, count) in self.counters.iter().zip(&tally.rules) {
            if *count > 0 {
                counter.inc_by(*count);
            }
        }
        self.metrics.errors.inc_by(tally.errors);
        self.metrics.lines_touched.inc_by(tally.lines);
    }

    /// One line of a stream of text, with the private key it may be inside of. `None` drops it.
    pub(super) fn stream_line<'a>(
        &self,
        text: &'a str,
        open: &mut Option<OpenKey>,
        tally: &mut Tally,
    ) -> Option<Cow<'a, str>> {
        if !self.enabled {
            return Some(Cow::Borrowed(text));
        }
        let key = Some((open, crate::model::Timestamp::default()));
        match self.line(text, key, tally) {
            Verdict::Keep => Some(Cow::Borrowed(text)),
            Verdict::Change(changed) => Some(Cow::Owned(changed)),
            Verdict::DropField | Verdict::DropLine => None,
        }
    }

    /// Work spent on a text, for tests that hold it linear.
    #[cfg(test)]
    pub(super) fn work_of(&self, text: &str) -> usize {
        let mut tally = self.tally();
        self.engine.look(text, None, &mut tally.rules).work
    }

    fn entry(
        &self,
        entry: &mut Entry,
        open: Option<&mut Option<OpenKey>>,
        tally: &mut Tally,
    ) -> bool {
        let ts = entry.ts;
        match self.line(&entry.line, open.map(|open| (open, ts)), tally) {
            Verdict::Keep => {}
            Verdict::Change(line) => {
                tally.lines += 1;
                entry.line = Text::from(line);
            }
            Verdict::DropField | Verdict::DropLine => {
                tally.lines += 1;
                return false;
            }
        }
        self.metadata(&mut entry.metadata, tally)
    }

    fn line(
        &self,
        text: &str,
        open: Option<(&mut Option<OpenKey>, crate::model::Timestamp)>,
        tally: &mut Tally,
    ) -> Verdict {
        let Some((open, ts)) = open else {
            let looked = self.engine.look(text, None, &mut tally.rules);
            return self.verdict(looked, tally);
        };
        let still_open = open.as_mut().is_some_and(|key| key.takes_line(ts));
        let inside = if still_open { pem::inside(text.as_bytes()) } else { Inside::Other };
        if !still_open {
            *open = None;
        }
        let (Inside::Part(start, end) | Inside::Last(start, end)) = inside else {
            let looked = self.engine.look(text, None, &mut tally.rules);
            if looked.opens_key {
                *open = Some(OpenKey::new(ts));
            }
            return self.verdict(looked, tally);
        };
        if matches!(inside, Inside::Last(..)) {
            *open = None;
        }
        if let Some(rule) = self.key_rule {
            count(&mut tally.rules, rule);
        }
        let (Some(head), Some(tail)) = (text.get(..start), text.get(end..)) else {
            tally.errors += 1;
            return Verdict::Change(ERROR_LINE.to_owned());
        };
        let covered = format!("{head}<{}>{tail}", self.key_label);
        let looked = self.engine.look(&covered, None, &mut tally.rules);
        if looked.opens_key {
            *open = Some(OpenKey::new(ts));
        }
        match self.verdict(looked, tally) {
            Verdict::Keep => Verdict::Change(covered),
            other => other,
        }
    }

    fn verdict(&self, looked: Looked, tally: &mut Tally) -> Verdict {
        match looked.outcome {
            Outcome::Untouched => Verdict::Keep,
            Outcome::Changed(text) => Verdict::Change(text),
            Outcome::DropLine => Verdict::DropLine,
            Outcome::Failed => {
                tally.errors += 1;
                Verdict::Change(ERROR_LINE.to_owned())
            }
        }
    }

    /// A label or metadata value. The name alone may say that the value has to go.
    fn value(&self, name: &str, value: &str, tally: &mut Tally) -> Verdict {
        if let Some((index, rule)) = self.engine.rule_of_field(name) {
            let takes = match &rule.finder {
                Finder::Keys(keys) => keys.takes_alone(value, &|v| self.engine.is_ours(v)),
                _ => !self.engine.is_ours(value.as_bytes()),
            };
            if takes {
                count(&mut tally.rules, index);
                match rule.action {
                    RawAction::Count => {}
                    RawAction::DropField => return Verdict::DropField,
                    RawAction::DropLine => return Verdict::DropLine,
                    _ => return Verdict::Change(self.engine.replacement_of(rule, value)),
                }
            }
        }
        let looked = self.engine.look(value, Some(name), &mut tally.rules);
        self.verdict(looked, tally)
    }

    fn metadata(&self, metadata: &mut Metadata, tally: &mut Tally) -> bool {
        let mut keep_line = true;
        metadata.retain_mut(|(name, value)| {
            match self.value(name, value, tally) {
                Verdict::Keep => {}
                Verdict::Change(changed) => *value = Text::from(changed),
                Verdict::DropField => return false,
                Verdict::DropLine => keep_line = false,
            }
            if let Some(changed) = self.name(name, tally) {
                *name = Text::from(changed);
            }
            true
        });
        keep_line
    }

    /// Labels cannot drop a line; a value that would is replaced.
    fn labels(&self, labels: &Labels, tally: &mut Tally) -> Labels {
        if self.clean_labels.lock().get(labels).is_some() {
            return labels.clone();
        }
        let counted = |tally: &Tally| tally.rules.iter().sum::<u64>() + tally.errors;
        let before = counted(tally);
        let redacted = self.labels_anew(labels, tally);
        if redacted == *labels && counted(tally) == before {
            self.clean_labels.lock().put(labels.clone(), ());
        }
        redacted
    }

    fn labels_anew(&self, labels: &Labels, tally: &mut Tally) -> Labels {
        let mut changed = false;
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(labels.len());
        for (name, value) in labels.iter() {
            let value = match self.value(name, value, tally) {
                Verdict::Keep => Cow::Borrowed(value),
                Verdict::Change(text) => Cow::Owned(text),
                Verdict::DropField => Cow::Borrowed(""),
                Verdict::DropLine => Cow::Borrowed(ERROR_LINE),
            };
            let name = self.name(name, tally).map_or(Cow::Borrowed(name), Cow::Owned);
            changed |= matches!(name, Cow::Owned(_))
                || matches!(value, Cow::Owned(_))
                || value.is_empty()
                || value == ERROR_LINE;
            pairs.push((name, value));
        }
        if !changed {
            return labels.clone();
        }
        Labels::from_pairs(pairs.into_iter().map(|(n, v)| (n.into_owned(), v.into_owned())))
    }

    /// A name that itself holds something, made a valid name again.
    fn name(&self, name: &str, tally: &mut Tally) -> Option<String> {
        let looked = self.engine.look(name, None, &mut tally.rules);
        match self.verdict(looked, tally) {
            Verdict::Keep => None,
            Verdict::Change(text) => Some(
                text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect(),
            ),
            Verdict::DropField | Verdict::DropLine => Some("redacted".to_owned()),
        }
    }
}

fn stream_key(tenant: &str, source: &str, labels: &Labels) -> u128 {
    let stream = labels.stream_id(tenant).0;
    stream ^ xxhash_rust::xxh3::xxh3_128(source.as_bytes())
}

fn digit_rules(rules: &[Rule]) -> Vec<(u16, RawDetector)> {
    indexed(rules)
        .filter_map(|(index, rule)| match rule.finder {
            Finder::Detector(
                detector @ (RawDetector::Card
                | RawDetector::Iban
                | RawDetector::Ip
                | RawDetector::Phone
                | RawDetector::Ssn),
            ) => Some((index, detector)),
            _ => None,
        })
        .collect()
}

fn everywhere_rules(rules: &[Rule]) -> Vec<u16> {
    indexed(rules)
        .filter(|(_, rule)| matches!(&rule.finder, Finder::Pattern(pattern) if pattern.everywhere))
        .map(|(index, _)| index)
        .collect()
}

fn indexed(rules: &[Rule]) -> impl Iterator<Item = (u16, &Rule)> {
    (0u16..).zip(rules)
}

/// The rules that are on: by preset, by name, later ones in place of earlier ones.
fn choose<'a>(
    sets: &'a [RuleSet],
    options: &Options,
    faults: &mut Vec<Diagnostic>,
) -> Vec<(&'a str, &'a RawRule)> {
    let raw = &options.raw;
    let mut order: Vec<&str> = Vec::new();
    let mut by_name: HashMap<&str, (&str, &RawRule)> = HashMap::new();
    for set in sets {
        for rule in &set.raw.rules {
            let name = rule.name.value.as_str();
            if by_name.insert(name, (&set.file, rule)).is_none() {
                order.push(name);
            }
        }
    }
    let mut presets: Vec<&str> =
        by_name.values().filter_map(|(_, rule)| rule.preset.as_deref()).collect();
    presets.push(PRESET_DEFAULT);
    presets.sort_unstable();
    presets.dedup();
    let mut fault = |what: &str, given: &str, at: Diagnostic, known: &[&str]| {
        if !known.contains(&given) {
            faults.push(Diagnostic { message: unknown(what, given, known), ..at });
        }
    };
    let place = |given: &Spanned<String>| Diagnostic::at(&options.file, given, "");
    for name in raw.enable.iter().chain(&raw.disable) {
        fault("rule", &name.value, place(name), &order);
    }
    for preset in &raw.presets {
        fault("preset", &preset.value, place(preset), &presets);
    }
    for (name, action) in &raw.actions {
        fault("rule", name, Diagnostic::at(&options.file, action, ""), &order);
    }
    let listed = |list: &[Spanned<String>], name: &str| list.iter().any(|item| item.value == name);
    order
        .into_iter()
        .filter_map(|name| by_name.get(name).copied())
        .filter(|(_, rule)| {
            let name = rule.name.value.as_str();
            let preset = rule.preset.as_deref().unwrap_or(PRESET_DEFAULT);
            let by_preset = listed(&raw.presets, preset)
                || (preset == PRESET_DEFAULT && raw.presets.is_empty());
            (by_preset || listed(&raw.enable, name)) && !listed(&raw.disable, name)
        })
        .collect()
}

fn option_faults(options: &Options) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    let mut fault = |message: String| faults.push(Diagnostic::new(&options.file, 0, 0, message));
    if !options.raw.enabled && !options.raw.i_understand {
        fault(
            "redaction.enabled is false: logs would be stored with secrets and personal data; \
             add `i_understand: true` to go on"
                .to_owned(),
        );
    }
    for key in &options.keys {
        if key.secret.len() < HASH_KEY_BYTES_MIN {
            fault(format!(
                "hash key {:?} has {} bytes; at least {HASH_KEY_BYTES_MIN} are needed",
                key.id,
                key.secret.len()
            ));
        }
        if key.id.is_empty() || !key.id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            fault(format!("hash key id {:?} may hold letters and digits only", key.id));
        }
    }
    let hashes = options.raw.actions.values().any(|action| action.value == RawAction::Hash);
    if hashes && options.keys.is_empty() {
        fault("an action is hash but there is no key; set redaction.hash_key_file".to_owned());
    }
    faults
}
