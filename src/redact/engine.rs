//! One text through all rules: a scan, the rules that were hit, and the replacements.

use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::action::{self, HashKey};
use super::boundary::{at, stands_free};
use super::candidate::{self, Candidate};
use super::detect::key_value::{self, flatten};
use super::detect::{card, cookie, email, iban, ip, pem, phone, ssn, url};
use super::json::Strings;
use super::prefilter::{Hit, Hits, Prefilter};
use super::rule::{Finder, Pattern, Rule};
use super::validate::is_valid;
use super::view::{Colors, View};
use crate::config::redaction::{RawAction, RawCategory, RawDetector};

/// Work that one text may cause: so much for each of its bytes, and so much in any case. Work is
/// counted in bytes looked at by rules that were hit; usual lines stay below ten per byte.
const WORK_PER_BYTE_MAX: usize = 256;
const WORK_MIN: usize = 1024 * 1024;
/// How often a text is looked at again after matches got in each other's way.
const ROUNDS_MAX: usize = 4;
/// Matches kept of one text; a text with more is beyond repair.
const CANDIDATES_MAX: usize = 100_000;

/// Names of fields that tie records together or order them. Rules about personal data leave
/// them alone, since ids and times look like numbers of every kind.
const PROTECTED_FIELDS: [&str; 24] = [
    "timestamp",
    "ts",
    "time",
    "datetime",
    "epoch",
    "traceid",
    "spanid",
    "parentid",
    "parentspanid",
    "requestid",
    "xrequestid",
    "reqid",
    "correlationid",
    "xcorrelationid",
    "transactionid",
    "containerid",
    "podid",
    "poduid",
    "uuid",
    "uid",
    "dockerid",
    "imageid",
    "commit",
    "sha",
];

/// Rules compiled into one scan.
pub(super) struct Engine {
    pub(super) rules: Vec<Rule>,
    pub(super) prefilter: Prefilter,
    /// Rules that look at digits, addresses or everything and have no literals.
    pub(super) digit_rules: Vec<(u16, RawDetector)>,
    pub(super) everywhere: Vec<u16>,
    /// Some rule looks at every text, whatever the first scan found.
    pub(super) scans_all: bool,
    pub(super) labels: HashSet<String>,
    pub(super) own_domains: Vec<String>,
    pub(super) allow_values: HashSet<String>,
    pub(super) allow_fields: HashSet<String>,
    /// The first is used, the others are only searched for.
    pub(super) hash_keys: Vec<HashKey>,
}

/// What became of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Untouched,
    Changed(String),
    DropLine,
    /// Too much work or a fault of ours: nothing of the text may be shown.
    Failed,
}

/// The outcome, and whether a private key begins in the text that does not end in it.
pub(super) struct Looked {
    pub(super) outcome: Outcome,
    pub(super) opens_key: bool,
    /// Read by tests alone, which hold it linear.
    pub(super) work: usize,
}

impl Looked {
    fn done(outcome: Outcome) -> Self {
        Looked { outcome, opens_key: false, work: 0 }
    }
}

/// How often a text may still be looked at, the work already done on it, and how much may be.
#[derive(Debug, Clone, Copy)]
struct Round {
    left: usize,
    work: usize,
    budget: usize,
}

#[derive(Default)]
struct Scratch {
    hits: Hits,
    view_hits: Hits,
    candidates: Vec<Candidate>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The work done on one text, and what was found in it.
struct Search<'a> {
    engine: &'a Engine,
    raw: &'a [u8],
    /// The name of the label or metadata that holds the text.
    field: Option<&'a str>,
    found: &'a mut Vec<Candidate>,
    work: usize,
    opens_key: bool,
}

impl Engine {
    /// Redacts one text and counts per rule. A fault inside makes the text fail, not the caller.
    pub(super) fn look(&self, text: &str, field: Option<&str>, tally: &mut [u64]) -> Looked {
        let budget = WORK_MIN + text.len() * WORK_PER_BYTE_MAX;
        let first = Round { left: ROUNDS_MAX, work: 0, budget };
        let look = AssertUnwindSafe(|| {
            SCRATCH.with_borrow_mut(|scratch| self.look_with(text, field, tally, scratch, first))
        });
        catch_unwind(look).unwrap_or_else(|_| Looked::done(Outcome::Failed))
    }

    /// The rule that takes any value of a field with this name.
    pub(super) fn rule_of_field(&self, name: &str) -> Option<(u16, &Rule)> {
        SCRATCH.with_borrow_mut(|scratch| {
            self.prefilter.scan(name.as_bytes(), &mut scratch.hits);
            scratch.hits.literals.iter().filter(|hit| hit.is_key && hit.end == name.len()).find_map(
                |hit| {
                    let rule = self.rules.get(usize::from(hit.rule))?;
                    match &rule.finder {
                        Finder::Keys(keys) if keys.names_field(name) => Some((hit.rule, rule)),
                        Finder::Detector(RawDetector::Cookie) => Some((hit.rule, rule)),
                        _ => None,
                    }
                },
            )
        })
    }

    /// Whether a value is our own output or nothing, so that it needs no rule.
    pub(super) fn is_ours(&self, content: &[u8]) -> bool {
        let inner = content.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">"));
        let label = inner.and_then(|inner| inner.split(|b| *b == b':').next());
        label
            .and_then(|label| std::str::from_utf8(label).ok())
            .is_some_and(|label| self.labels.contains(label))
            || memchr::memmem::find(content, b"***").is_some()
    }

    fn look_with(
        &self,
        text: &str,
        field: Option<&str>,
        tally: &mut [u64],
        scratch: &mut Scratch,
        round: Round,
    ) -> Looked {
        let raw = text.as_bytes();
        let Scratch { hits, view_hits, candidates } = scratch;
        self.prefilter.scan(raw, hits);
        if hits.is_empty() && !self.scans_all {
            return Looked { outcome: Outcome::Untouched, opens_key: false, work: round.work };
        }
        candidates.clear();
        let budget = round.budget;
        let mut search = Search {
            engine: self,
            raw,
            field,
            found: candidates,
            work: round.work,
            opens_key: false,
        };
        search.names_and_keys(hits, budget);
        let escaped = hits.hides || memchr::memchr(b'\\', raw).is_some();
        if escaped && (hits.hides || search.has_value_hits(hits)) {
            let ways: &[Colors] = match View::has_colors(raw) {
                true => &[Colors::Nothing, Colors::Blank],
                false => &[Colors::Nothing],
            };
            for colors in ways {
                let view = View::new(raw, *colors);
                self.prefilter.scan(view.text(), view_hits);
                search.values(Some(&view), view.text(), view_hits, budget);
            }
        } else {
            search.values(None, raw, hits, budget);
        }
        let (work, opens_key) = (search.work, search.opens_key);
        if work > budget || candidates.len() > CANDIDATES_MAX {
            return Looked { outcome: Outcome::Failed, opens_key, work };
        }
        if candidates.is_empty() {
            return Looked { outcome: Outcome::Untouched, opens_key, work };
        }
        match self.apply(text, candidates, tally) {
            // A replacement gives its neighbors other neighbors: what was glued to a match before
            // may stand free now. Looking again makes redaction of its own output a no-op.
            Outcome::Changed(changed) if round.left > 1 => {
                let again = self.look_with(
                    &changed,
                    field,
                    tally,
                    scratch,
                    Round { left: round.left - 1, work, budget },
                );
                let outcome = match again.outcome {
                    Outcome::Untouched => Outcome::Changed(changed),
                    other => other,
                };
                Looked { outcome, opens_key, work: again.work }
            }
            outcome => Looked { outcome, opens_key, work },
        }
    }

    fn apply(&self, text: &str, candidates: &mut Vec<Candidate>, tally: &mut [u64]) -> Outcome {
        candidates.retain(|found| {
            let shadow = self.action(found.rule) == RawAction::Count;
            if shadow {
                count(tally, found.rule);
            }
            !shadow
        });
        candidate::merge(candidates, &self.rules);
        if candidates.is_empty() {
            return Outcome::Untouched;
        }
        for found in candidates.iter() {
            count(tally, found.rule);
        }
        if candidates.iter().any(|found| self.action(found.rule) == RawAction::DropLine) {
            return Outcome::DropLine;
        }
        match candidate::apply(text, candidates, |found, value| self.replacement(found, value)) {
            Some(changed) => Outcome::Changed(changed),
            None => Outcome::Failed,
        }
    }

    fn action(&self, rule: u16) -> RawAction {
        self.rules.get(usize::from(rule)).map_or(RawAction::Replace, |rule| rule.action)
    }

    fn replacement(&self, found: &Candidate, value: &str) -> Option<String> {
        let rule = self.rules.get(usize::from(found.rule))?;
        if rule.action == RawAction::DropField && found.field.is_some() {
            return None;
        }
        let value = found.decoded.as_deref().unwrap_or(value);
        Some(self.replacement_of(rule, value))
    }

    pub(super) fn replacement_of(&self, rule: &Rule, value: &str) -> String {
        action::replacement(
            rule.action,
            &rule.label,
            rule.value_kind,
            value,
            self.hash_keys.first(),
        )
    }
}

pub(super) fn count(tally: &mut [u64], rule: u16) {
    if let Some(count) = tally.get_mut(usize::from(rule)) {
        *count += 1;
    }
}

impl Search<'_> {
    fn rule(&self, index: u16) -> Option<&Rule> {
        self.engine.rules.get(usize::from(index))
    }

    fn has_value_hits(&self, hits: &Hits) -> bool {
        !(hits.digit_runs.is_empty() && hits.plus_digits.is_empty() && hits.iban_starts.is_empty())
            || hits.literals.iter().any(|hit| !hit.is_key)
            || self.engine.scans_all
    }

    /// Rules that need the notation of the line as it is: named fields, cookies, private keys.
    fn names_and_keys(&mut self, hits: &Hits, budget: usize) {
        let engine = self.engine;
        let raw = self.raw;
        let mut covered = 0;
        let mut strings = Strings::new(raw);
        for hit in &hits.literals {
            if self.work > budget {
                return;
            }
            let Some(rule) = engine.rules.get(usize::from(hit.rule)) else { continue };
            match &rule.finder {
                // Inside of a value that goes anyway there is nothing left to find.
                Finder::Keys(keys) if hit.is_key && hit.start >= covered => {
                    let is_ours = |content: &[u8]| engine.is_ours(content);
                    let found = keys.find(
                        raw,
                        (hit.start, hit.end),
                        strings.string_at(hit.end),
                        &is_ours,
                        &mut self.work,
                    );
                    if let Some(found) = found {
                        covered = covered.max(found.end);
                        self.found.push(Candidate {
                            start: found.start,
                            end: found.end,
                            rule: hit.rule,
                            add_quote: found.add_quote,
                            field: Some(found.field),
                            decoded: None,
                        });
                    }
                }
                Finder::Detector(RawDetector::Cookie) if hit.is_key => {
                    let found = &mut *self.found;
                    let outer = strings.string_at(hit.end);
                    cookie::find(raw, hit.end, outer, &mut self.work, |start, end| {
                        if raw.get(start..end).is_some_and(|value| !engine.is_ours(value)) {
                            found.push(Candidate::plain(start, end, hit.rule));
                        }
                    });
                }
                Finder::Detector(RawDetector::Pem) if hit.start >= covered => {
                    if let Some(key) = pem::find(raw, hit.start) {
                        self.work += key.end - key.start;
                        covered = covered.max(key.end);
                        self.found.push(Candidate::plain(key.start, key.end, hit.rule));
                        if key.open && !std::mem::replace(&mut self.opens_key, true) {
                            self.work += raw.len() - key.end;
                            let found = &mut *self.found;
                            pem::remains(raw, key.end, |start, end| {
                                found.push(Candidate::plain(start, end, hit.rule));
                            });
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Rules that look at values, in the text as its reader sees it.
    fn values(&mut self, view: Option<&View<'_>>, text: &[u8], hits: &Hits, budget: usize) {
        for hit in &hits.literals {
            if self.work > budget {
                return;
            }
            if !hit.is_key {
                self.at_literal(view, text, hit);
            }
        }
        let engine = self.engine;
        for (rule, detector) in &engine.digit_rules {
            self.in_digits(view, text, hits, *rule, *detector);
        }
        for index in &engine.everywhere {
            self.work += text.len();
            self.everywhere(view, text, *index, budget);
        }
    }

    fn everywhere(&mut self, view: Option<&View<'_>>, text: &[u8], index: u16, budget: usize) {
        let engine = self.engine;
        let Some(Rule { finder: Finder::Pattern(pattern), .. }) =
            engine.rules.get(usize::from(index))
        else {
            return;
        };
        for found in pattern.regex.captures_iter(text) {
            if self.work > budget {
                return;
            }
            self.work += 64;
            self.accept(view, text, pattern, &found, 0, index);
        }
    }

    fn at_literal(&mut self, view: Option<&View<'_>>, text: &[u8], hit: &Hit) {
        let engine = self.engine;
        let Some(rule) = engine.rules.get(usize::from(hit.rule)) else { return };
        match &rule.finder {
            Finder::Pattern(pattern) => self.at_pattern(view, text, hit, pattern),
            Finder::Detector(RawDetector::Email) => {
                self.work += 64;
                if let Some((start, end)) = email::find(text, hit.start, &engine.own_domains) {
                    self.push(view, text, start, end, hit.rule);
                }
            }
            Finder::Detector(RawDetector::UrlUserinfo) => {
                self.work += 128;
                if let Some((start, end)) = url::find(text, hit.start) {
                    self.push(view, text, start, end, hit.rule);
                }
            }
            Finder::Keys(_) | Finder::Detector(_) => {}
        }
    }

    fn at_pattern(&mut self, view: Option<&View<'_>>, text: &[u8], hit: &Hit, pattern: &Pattern) {
        let end = text.len().min(hit.start + pattern.after_bytes);
        let start = hit.start.saturating_sub(pattern.before_bytes);
        // The left neighbor of an anchored match is known before the pattern runs.
        if pattern.before_bytes == 0 && !stands_free(text, start, text.len(), pattern.boundary) {
            return;
        }
        let Some(window) = text.get(start..end) else { return };
        self.work += window.len();
        if pattern.before_bytes == 0 {
            if let Some(found) = pattern.regex.captures(window) {
                self.accept(view, text, pattern, &found, start, hit.rule);
            }
        } else {
            for found in pattern.regex.captures_iter(window) {
                self.accept(view, text, pattern, &found, start, hit.rule);
            }
        }
    }

    fn accept(
        &mut self,
        view: Option<&View<'_>>,
        text: &[u8],
        pattern: &Pattern,
        found: &regex::bytes::Captures<'_>,
        offset: usize,
        rule: u16,
    ) {
        let Some(secret) = found.get(1).or_else(|| found.get(0)) else { return };
        let (start, end) = (secret.start() + offset, secret.end() + offset);
        let whole = found.get(0).map_or((start, end), |m| (m.start() + offset, m.end() + offset));
        let valid = pattern.validator.is_none_or(|check| is_valid(check, secret.as_bytes()));
        if start < end && valid && stands_free(text, whole.0, whole.1, pattern.boundary) {
            self.push(view, text, start, end, rule);
        }
    }

    fn in_digits(
        &mut self,
        view: Option<&View<'_>>,
        text: &[u8],
        hits: &Hits,
        rule: u16,
        detector: RawDetector,
    ) {
        let mut all: Vec<(usize, usize)> = Vec::new();
        let mut add = |start, end| all.push((start, end));
        match detector {
            RawDetector::Card => {
                for run in hits.digit_runs.iter().filter(|run| run.1 - run.0 >= 13) {
                    self.work += 3 * (run.1 - run.0);
                    card::find(text, *run, &mut add);
                }
            }
            RawDetector::Ssn => {
                for run in hits.digit_runs.iter().filter(|run| run.1 - run.0 >= 11) {
                    self.work += run.1 - run.0;
                    ssn::find(text, *run, &mut add);
                }
            }
            RawDetector::Phone => {
                let mut covered = 0;
                for first in hits.plus_digits.iter().filter(|first| at(text, **first) != b'0') {
                    self.work += 32;
                    if *first >= covered
                        && let Some((start, end)) = phone::find(text, *first)
                    {
                        covered = end;
                        add(start, end);
                    }
                }
            }
            RawDetector::Iban => {
                for start in &hits.iban_starts {
                    self.work += 32;
                    if let Some(end) = iban::find(text, *start) {
                        add(*start, end);
                    }
                }
            }
            RawDetector::Ip => {
                self.work += text.len();
                ip::find(text, &mut add);
            }
            _ => {}
        }
        for (start, end) in all {
            self.push(view, text, start, end, rule);
        }
    }

    /// Keeps a match in `text` unless its field or its value is exempt.
    fn push(&mut self, view: Option<&View<'_>>, text: &[u8], start: usize, end: usize, index: u16) {
        let Some(rule) = self.rule(index) else { return };
        let Some(value) = text.get(start..end) else { return };
        let category = rule.category;
        if self.engine.is_ours(value) || self.is_allowed(text, start, value, category) {
            return;
        }
        let (raw_start, raw_end) = match view {
            Some(view) => view.raw_range(start, end),
            None => (start, end),
        };
        let mut found = Candidate::plain(raw_start, raw_end, index);
        if view.is_some() {
            found.decoded = Some(String::from_utf8_lossy(value).into_owned());
        }
        found.add_quote = candidate::number_quote(self.raw, raw_start, raw_end);
        self.found.push(found);
    }

    fn is_allowed(&self, text: &[u8], start: usize, value: &[u8], category: RawCategory) -> bool {
        let engine = self.engine;
        if !engine.allow_values.is_empty() {
            let lower = String::from_utf8_lossy(value).to_lowercase();
            if engine.allow_values.contains(&lower) {
                return true;
            }
        }
        if category == RawCategory::Secret {
            return false;
        }
        let exempt = |name: &[u8]| {
            let flat = flatten(name);
            PROTECTED_FIELDS.contains(&flat.as_str()) || engine.allow_fields.contains(&flat)
        };
        self.field.is_some_and(|name| exempt(name.as_bytes()))
            || key_value::name_before(text, start).is_some_and(exempt)
    }
}
