//! Shapes of lines: which texts repeat, with `<_>` where they differ. A miner after Drain over
//! the newest lines of a query.

use std::collections::{BTreeMap, HashMap};

use crate::limits;
use crate::model::{TimeRange, Timestamp};
use crate::query::engine::{Engine, QueryContext};
use crate::query::error::QueryError;
use crate::query::plan;
use crate::query::run::log::compile;
use crate::query::stage::Worker;
use crate::query::syntax::ast::LogExpr;
use crate::store::read::{Flow, Order, ReadError, RowSink, Rows, ScanRequest, StreamMeta};

#[derive(Debug, Clone)]
pub struct PatternQuery {
    pub log: LogExpr,
    pub range: TimeRange,
    pub step_ns: i64,
    /// The most frequent patterns that are given.
    pub limit: usize,
}

/// A pattern of one level, with counts by step; steps without lines in between count zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectedPattern {
    pub pattern: String,
    pub level: String,
    pub samples: Vec<(Timestamp, u64)>,
}

impl DetectedPattern {
    pub fn total(&self) -> u64 {
        self.samples.iter().map(|(_, count)| count).sum()
    }
}

/// Stands for the parts in which lines of one pattern differ; a `|>` filter reads it.
const HOLE: &str = "<_>";
/// Words of a line and its template that must agree for the line to belong to it.
const SIMILARITY_MIN: f64 = 0.5;
/// Longer lines are rarely texts that repeat.
const WORDS_MAX: usize = 100;
/// Templates with the same skeleton, and skeletons, that are kept apart.
const TEMPLATES_MAX: usize = 64;
const SKELETONS_MAX: usize = 4096;
const LEVEL: &str = "detected_level";
const LEVEL_UNKNOWN: &str = "unknown";

impl Engine {
    /// Patterns of the newest lines, the most frequent first.
    pub fn patterns(
        &self,
        query: &PatternQuery,
        context: &QueryContext,
    ) -> Result<Vec<DetectedPattern>, QueryError> {
        if query.step_ns <= 0 {
            return Err(QueryError::Invalid("the step must be positive".to_owned()));
        }
        let mut running = self.running(context);
        let request = ScanRequest {
            tenant: context.tenant.clone(),
            matchers: query.log.matchers.clone(),
            range: query.range,
            hints: plan::hints(&query.log),
            order: Order::NewestFirst,
            cancel: context.cancel.clone(),
            bytes_max: running.bytes_left(),
            need_lines: true,
            need_metadata: true,
            need_line_bytes: true,
            columns: false,
        };
        let mut sink = Sink {
            worker: compile(&query.log)?.worker(),
            miner: Miner::default(),
            step_ns: query.step_ns,
            rows_left: limits::PATTERN_ROWS_MAX,
        };
        running.scan(&request, &mut sink)?;
        Ok(sink.miner.finish(query.step_ns, query.limit))
    }
}

struct Sink {
    worker: Worker,
    miner: Miner,
    step_ns: i64,
    rows_left: usize,
}

impl RowSink for Sink {
    fn wants(&mut self, _first: Timestamp, _last: Timestamp) -> bool {
        self.rows_left > 0
    }

    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        self.worker.set_stream(&stream.labels);
        for at in (0..rows.len()).rev() {
            if self.rows_left == 0 {
                return Ok(Flow::Stop);
            }
            self.rows_left -= 1;
            let metadata = (0..rows.metadata_len(at)).map(|entry| rows.metadata(at, entry));
            let Some(row) = self.worker.run(rows.ts(at), rows.line(at), metadata) else {
                continue;
            };
            let level = row.get(LEVEL).unwrap_or(LEVEL_UNKNOWN);
            let bucket = row.ts().0.div_euclid(self.step_ns).saturating_mul(self.step_ns);
            self.miner.add(row.line(), level, bucket);
        }
        Ok(Flow::Continue)
    }
}

/// A line cut into words and what stands between them.
struct Tokens<'a> {
    words: Vec<&'a str>,
    gaps: Vec<&'a str>,
}

fn is_gap(c: char) -> bool {
    c.is_whitespace() || "=,;()[]{}<>\"'|&?".contains(c)
}

impl<'a> Tokens<'a> {
    fn of(line: &'a str) -> Option<Tokens<'a>> {
        let mut tokens = Tokens { words: Vec::new(), gaps: Vec::new() };
        let mut rest = line;
        loop {
            // A colon beside a gap belongs to it: `"status":200`, `error: no`. Others are part of
            // times and addresses.
            let word = rest.find(|c| !is_gap(c) && c != ':').unwrap_or(rest.len());
            let (gap, after) = rest.split_at(word);
            tokens.gaps.push(gap);
            if after.is_empty() {
                return Some(tokens).filter(|tokens| !tokens.words.is_empty());
            }
            let end = after.find(is_gap).unwrap_or(after.len());
            let word = after.get(..end).unwrap_or_default().trim_end_matches(':');
            let after = after.get(word.len()..).unwrap_or_default();
            tokens.words.push(word);
            if tokens.words.len() > WORDS_MAX {
                return None;
            }
            rest = after;
        }
    }
}

/// Lines of one shape: the same gaps, and words of which enough agree.
struct Template {
    words: Vec<Option<String>>,
    gaps: Vec<String>,
    /// By level, by step.
    counts: BTreeMap<String, BTreeMap<i64, u64>>,
}

impl Template {
    fn agreement(&self, words: &[&str]) -> f64 {
        let same =
            self.words.iter().zip(words).filter(|(own, word)| own.as_deref() == Some(**word));
        same.count() as f64 / words.len().max(1) as f64
    }

    fn take(&mut self, words: &[&str], level: &str, bucket: i64) {
        for (own, word) in self.words.iter_mut().zip(words) {
            if own.as_deref() != Some(*word) {
                *own = None;
            }
        }
        let steps = match self.counts.get_mut(level) {
            Some(steps) => steps,
            None => self.counts.entry(level.to_owned()).or_default(),
        };
        *steps.entry(bucket).or_default() += 1;
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
}

#[derive(Default)]
struct Miner {
    /// By the gaps of a line and its first word, if that is one that repeats.
    skeletons: HashMap<u64, Vec<Template>>,
}

impl Miner {
    fn add(&mut self, line: &str, level: &str, bucket: i64) {
        let Some(tokens) = Tokens::of(line) else { return };
        let first = tokens.words.first().copied().unwrap_or_default();
        let mut skeleton = tokens.gaps.join("\u{0}");
        if !first.bytes().any(|byte| byte.is_ascii_digit()) {
            skeleton.push_str(first);
        }
        let key = xxhash_rust::xxh3::xxh3_64(skeleton.as_bytes());
        if !self.skeletons.contains_key(&key) && self.skeletons.len() >= SKELETONS_MAX {
            return;
        }
        let templates = self.skeletons.entry(key).or_default();
        let best = templates
            .iter_mut()
            .map(|template| (template.agreement(&tokens.words), template))
            .filter(|(agreement, _)| *agreement >= SIMILARITY_MIN)
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        if let Some((_, template)) = best {
            template.take(&tokens.words, level, bucket);
        } else if templates.len() < TEMPLATES_MAX {
            let mut template = Template {
                words: tokens.words.iter().map(|word| Some((*word).to_owned())).collect(),
                gaps: tokens.gaps.iter().map(|gap| (*gap).to_owned()).collect(),
                counts: BTreeMap::new(),
            };
            template.take(&tokens.words, level, bucket);
            templates.push(template);
        }
    }

    fn finish(self, step_ns: i64, limit: usize) -> Vec<DetectedPattern> {
        let mut patterns = Vec::new();
        for template in self.skeletons.into_values().flatten() {
            let pattern = template.text();
            for (level, counts) in template.counts {
                let samples = filled(&counts, step_ns);
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

    #[track_caller]
    fn check(lines: &[&str], expect: &[(&str, u64)]) {
        let mut miner = Miner::default();
        for line in lines {
            miner.add(line, LEVEL_UNKNOWN, 0);
        }
        let found = miner.finish(1, 100);
        let found: Vec<(&str, u64)> =
            found.iter().map(|found| (found.pattern.as_str(), found.total())).collect();
        assert_eq!(found, expect);
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
    fn counts_by_step_have_no_holes() {
        let mut miner = Miner::default();
        for bucket in [10, 40, 10] {
            miner.add("ready to serve", "info", bucket);
        }
        let found = miner.finish(10, 10);
        let at = |ns: i64, count: u64| (Timestamp(ns), count);
        assert_eq!(found[0].samples, [at(10, 2), at(20, 0), at(30, 0), at(40, 1)]);
    }
}
