//! Lines of one kind put together, with `<_>` where they differ: after Drain (He et al., 2017).

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::DetectedPattern;
use super::tokens::{Tokens, varies};
use crate::limits;
use crate::model::Timestamp;
use crate::query::run::cache::Weigh;

/// Stands for the parts in which lines of one pattern differ; a `|>` filter reads it.
const HOLE: &str = "<_>";
/// Telling words of a line and its template that must agree for the line to belong to it.
const SIMILARITY_MIN: f64 = 0.5;
/// Templates with the same skeleton, and skeletons, that are kept apart.
const TEMPLATES_MAX: usize = 64;
const SKELETONS_MAX: usize = 4096;

/// Lines by level, by step.
pub type Counts = BTreeMap<String, BTreeMap<i64, u64>>;

/// Lines of one shape: the same gaps, and words of which enough agree.
#[derive(Debug, Clone)]
struct Template {
    words: Vec<Option<Box<str>>>,
    gaps: Vec<Box<str>>,
    telling: (usize, usize),
    counts: Counts,
}

fn add_counts(to: &mut Counts, from: &Counts) {
    for (level, steps) in from {
        let known = match to.get_mut(level) {
            Some(known) => known,
            None => to.entry(level.clone()).or_default(),
        };
        for (&at, &count) in steps {
            *known.entry(at).or_default() += count;
        }
    }
}

impl Template {
    /// How many of the telling words agree. Two that hold digits say nothing either way.
    fn agreement<'a>(&self, mut word: impl FnMut(usize) -> Option<&'a str>) -> f64 {
        let (from, to) = self.telling;
        let (mut same, mut asked) = (0_usize, 0_usize);
        for at in from..to {
            let own = self.words.get(at).and_then(Option::as_deref);
            let other = word(at);
            if own.is_some() && own == other {
                same += 1;
                asked += 1;
            } else if !(own.is_none_or(varies) && other.is_none_or(varies)) {
                asked += 1;
            }
        }
        if asked == 0 { 1.0 } else { same as f64 / asked as f64 }
    }

    fn widen<'a>(&mut self, mut word: impl FnMut(usize) -> Option<&'a str>) {
        for (at, own) in self.words.iter_mut().enumerate() {
            if own.as_deref() != word(at) {
                *own = None;
            }
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (at, gap) in self.gaps.iter().enumerate() {
            text.push_str(gap);
            match self.words.get(at) {
                Some(Some(word)) => text.push_str(word),
                Some(None) => text.push_str(HOLE),
                None => {}
            }
        }
        text
    }

    fn bytes(&self) -> usize {
        let words = self.words.iter().flatten().map(|word| word.len());
        let gaps = self.gaps.iter().map(|gap| gap.len());
        let counts = self.counts.values().map(|steps| steps.len() * 32 + 64);
        words.chain(gaps).chain(counts).sum::<usize>() + (self.words.len() + self.gaps.len()) * 16
    }
}

/// Templates found so far.
#[derive(Debug, Clone, Default)]
pub struct Miner {
    /// By the gaps of a line and its first telling word, if that is one that repeats.
    skeletons: HashMap<u64, Vec<Template>>,
}

impl Weigh for Miner {
    fn bytes(&self) -> usize {
        let templates = self.skeletons.values().flatten();
        templates.map(Template::bytes).sum::<usize>() + self.skeletons.len() * 64
    }
}

fn skeleton(gaps: &[impl AsRef<str>], first: Option<&str>) -> u64 {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    for gap in gaps {
        hash.update(gap.as_ref().as_bytes());
        hash.update(&[0]);
    }
    if let Some(first) = first.filter(|first| !varies(first)) {
        hash.update(first.as_bytes());
    }
    hash.digest()
}

impl Miner {
    /// The template that fits best, made if there is none; `None` when there are too many.
    fn find<'a, 'm>(
        &'m mut self,
        key: u64,
        word: impl Fn(usize) -> Option<&'a str>,
        make: impl FnOnce() -> Template,
    ) -> Option<&'m mut Template> {
        if !self.skeletons.contains_key(&key) && self.skeletons.len() >= SKELETONS_MAX {
            return None;
        }
        let templates = self.skeletons.entry(key).or_default();
        let best = templates
            .iter()
            .enumerate()
            .map(|(at, template)| (template.agreement(&word), at))
            .filter(|(agreement, _)| *agreement >= SIMILARITY_MIN)
            // Of equal ones the first.
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        let at = match best {
            Some((_, at)) => at,
            None if templates.len() < TEMPLATES_MAX => {
                templates.push(make());
                templates.len() - 1
            }
            None => return None,
        };
        let template = templates.get_mut(at)?;
        template.widen(word);
        Some(template)
    }

    /// Counts lines that are like this one.
    pub fn add(&mut self, line: &str, counts: &Counts) {
        let Some(tokens) = Tokens::of(line) else { return };
        let first = tokens.words.get(tokens.telling.0).copied().flatten();
        let key = skeleton(&tokens.gaps, first);
        let word = |at: usize| tokens.words.get(at).copied().flatten();
        let found = self.find(key, word, || Template {
            words: tokens.words.iter().map(|word| word.map(Into::into)).collect(),
            gaps: tokens.gaps.iter().map(|gap| (*gap).into()).collect(),
            telling: tokens.telling,
            counts: Counts::new(),
        });
        if let Some(template) = found {
            add_counts(&mut template.counts, counts);
        }
    }

    /// One line more of a level and step.
    pub fn add_line(&mut self, line: &str, level: &str, step: i64) {
        self.add(line, &BTreeMap::from([(level.to_owned(), BTreeMap::from([(step, 1)]))]));
    }

    /// Takes in what another has found.
    pub fn append(&mut self, other: &Miner) {
        // In an order of its own, so that the same parts give the same patterns.
        let mut keys: Vec<&u64> = other.skeletons.keys().collect();
        keys.sort_unstable();
        for key in keys {
            for theirs in other.skeletons.get(key).into_iter().flatten() {
                let word = |at: usize| theirs.words.get(at).and_then(Option::as_deref);
                let empty = || Template { counts: Counts::new(), ..theirs.clone() };
                if let Some(template) = self.find(*key, word, empty) {
                    add_counts(&mut template.counts, &theirs.counts);
                }
            }
        }
    }

    pub fn finish(self, step_ns: i64, limit: usize) -> Vec<DetectedPattern> {
        // Templates that have become the same text are one pattern.
        let mut found: BTreeMap<String, Counts> = BTreeMap::new();
        for template in self.skeletons.into_values().flatten() {
            add_counts(found.entry(template.text()).or_default(), &template.counts);
        }
        let mut patterns = Vec::new();
        for (pattern, counts) in found {
            for (level, steps) in counts {
                let samples = filled(&steps, step_ns);
                patterns.push(DetectedPattern { pattern: pattern.clone(), level, samples });
            }
        }
        patterns.sort_by_cached_key(|found| {
            (std::cmp::Reverse(found.total()), found.pattern.clone(), found.level.clone())
        });
        patterns.truncate(limit);
        patterns
    }
}

/// The counts from the first step to the last, without holes if they are not too many.
fn filled(counts: &BTreeMap<i64, u64>, step_ns: i64) -> Vec<(Timestamp, u64)> {
    let (Some((&first, _)), Some((&last, _))) = (counts.first_key_value(), counts.last_key_value())
    else {
        return Vec::new();
    };
    let steps = last.saturating_sub(first) / step_ns;
    if usize::try_from(steps).is_ok_and(|steps| steps > limits::PATTERN_STEPS_MAX) {
        return counts.iter().map(|(&at, &count)| (Timestamp(at), count)).collect();
    }
    (0..=steps)
        .map(|step| first.saturating_add(step.saturating_mul(step_ns)))
        .map(|at| (Timestamp(at), counts.get(&at).copied().unwrap_or(0)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mined(lines: &[&str]) -> Miner {
        let mut miner = Miner::default();
        for line in lines {
            miner.add_line(line, "unknown", 0);
        }
        miner
    }

    #[track_caller]
    fn check(lines: &[&str], expect: &[(&str, u64)]) {
        let shown = |miner: Miner| -> Vec<(String, u64)> {
            miner.finish(1, 100).into_iter().map(|p| (p.pattern.clone(), p.total())).collect()
        };
        let expect: Vec<(String, u64)> =
            expect.iter().map(|(p, n)| ((*p).to_owned(), *n)).collect();
        assert_eq!(shown(mined(lines)), expect);
        // The same in two parts.
        let (a, b) = lines.split_at(lines.len() / 2);
        let mut both = mined(a);
        both.append(&mined(b));
        assert_eq!(shown(both), expect, "in parts");
    }

    #[test]
    fn lines_that_differ_in_few_words_are_one_pattern() {
        check(
            &[
                "Failed password for root from 10.0.0.1 port 22 ssh2",
                "Failed password for admin from 10.0.0.2 port 23 ssh2",
                "session opened for user root(uid=0)",
                "session opened for user root(uid=0)",
                "session opened for user root(uid=0)",
            ],
            &[
                ("session opened for user root(uid=0)", 3),
                ("Failed password for <_> from <_> port <_> ssh2", 2),
            ],
        );
        check(
            &["level=info user=ann took=1s", "level=info user=bob took=2s"],
            &[("level=info user=<_> took=<_>", 2)],
        );
        check(&["", "   "], &[]);
    }

    #[test]
    fn messages_tell_lines_apart() {
        check(
            &[
                r#"{"level":"info","msg":"cache miss","user":"ann","ms":12}"#,
                r#"{"level":"info","msg":"cache miss","user":"bob","ms":13}"#,
                r#"{"level":"info","msg":"request done","user":"bob","ms":7}"#,
            ],
            &[
                (r#"{"level":"info","msg":"cache miss","user":"<_>","ms":<_>}"#, 2),
                (r#"{"level":"info","msg":"request done","user":"bob","ms":<_>}"#, 1),
            ],
        );
    }

    #[test]
    fn counts_by_step_have_no_holes() {
        let mut miner = Miner::default();
        for step in [10, 40, 10] {
            miner.add_line("ready to serve", "info", step);
        }
        let found = miner.finish(10, 10);
        let at = |ns: i64, count: u64| (Timestamp(ns), count);
        assert_eq!(found[0].samples, [at(10, 2), at(20, 0), at(30, 0), at(40, 1)]);
    }
}
