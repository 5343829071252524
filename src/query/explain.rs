//! Why a query took as long as it did: what the store was asked, what it could leave out, what
//! was read, and what would make it faster, in words.

use std::time::{Duration, Instant};

use crate::model::TimeRange;
use crate::store::read::Hints;
use crate::text::units;

use super::engine::{Engine, QueryContext, RangeQuery};
use super::error::QueryError;
use super::plan;
use super::result::{QueryData, QueryStats};
use super::syntax::LogExpr;
use super::syntax::ast::{LineOp, LineOperand, StageKind};

/// Below this a query needs no advice.
const FAST_ENOUGH: Duration = Duration::from_millis(100);
const ROWS_MANY: u64 = 100_000;
/// As many streams as one service has at most, as a rule.
const STREAMS_MANY: usize = 100;

/// One selector of the query, and what it asks of the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    pub selector: String,
    pub stages: Vec<String>,
    pub hints: Hints,
    pub streams: usize,
    /// From the index alone, before anything is read; edges count whole.
    pub bytes_in_range: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub selections: Vec<Selection>,
    pub stats: QueryStats,
    /// Lines or series in the answer.
    pub results: usize,
    pub plan_time: Duration,
    pub run_time: Duration,
    pub advice: Vec<String>,
}

impl Engine {
    /// Runs a query and says what it cost. Metric queries look back by their ranges.
    pub fn explain(
        &self,
        query: &RangeQuery,
        context: &QueryContext,
    ) -> Result<Explanation, QueryError> {
        let began = Instant::now();
        let mut selections = Vec::new();
        let window = query.expr.as_metric().map_or(0, |metric| metric.max_window());
        let range = TimeRange::new(query.start.saturating_add_ns(-window), query.end);
        for log in query.expr.log_exprs() {
            let streams = self.streams(&log.matchers, range, context)?;
            let matchers: Vec<String> = log.matchers.iter().map(ToString::to_string).collect();
            selections.push(Selection {
                selector: format!("{{{}}}", matchers.join(", ")),
                stages: log.stages.iter().map(ToString::to_string).collect(),
                hints: plan::hints(log),
                streams: streams.len(),
                bytes_in_range: streams.iter().map(|stream| stream.bytes).sum(),
            });
        }
        let plan_time = began.elapsed();
        let began = Instant::now();
        let result = self.range(query, context)?;
        let run_time = began.elapsed();
        let results = match &result.data {
            QueryData::Streams(rows) => rows.len(),
            QueryData::Matrix(series) => series.len(),
            QueryData::Vector(samples) => samples.len(),
            QueryData::Scalar(..) => 1,
        };
        let logs = query.expr.log_exprs();
        let seen = Seen { stats: &result.stats, selections: &selections, run_time, results };
        let advice = seen.advice(&logs);
        Ok(Explanation { advice, stats: result.stats, selections, results, plan_time, run_time })
    }
}

struct Seen<'a> {
    stats: &'a QueryStats,
    selections: &'a [Selection],
    run_time: Duration,
    results: usize,
}

impl Seen<'_> {
    fn advice(&self, logs: &[&LogExpr]) -> Vec<String> {
        let mut advice = Vec::new();
        let scan = &self.stats.scan;
        if self.selections.iter().all(|selection| selection.streams == 0) {
            advice.push(
                "no stream matches the selector in this range: check the labels, or widen the range"
                    .to_owned(),
            );
            return advice;
        }
        if self.run_time < FAST_ENOUGH && scan.rows < ROWS_MANY {
            advice.push("nothing to improve: little was read".to_owned());
            return advice;
        }
        for (log, selection) in logs.iter().zip(self.selections) {
            self.filters(log, selection, &mut advice);
            if selection.streams > STREAMS_MANY {
                advice.push(format!(
                    "{} selects {} streams: name the service, e.g. service_name=\"...\"",
                    selection.selector, selection.streams
                ));
            }
        }
        let has_hints = self.selections.iter().any(|s| !is_empty(&s.hints));
        if has_hints && scan.blocks > 0 && scan.blocks_pruned < scan.blocks {
            advice.push(format!(
                "the text that is filtered by occurs in {} of {} blocks: a rarer word (an id, a whole message) would leave out more",
                scan.blocks,
                scan.blocks + scan.blocks_pruned
            ));
        }
        if scan.rows >= ROWS_MANY && self.stats.rows_matched * 100 < scan.rows {
            advice.push(format!(
                "{} of {} lines that were read passed the filters: what tells them apart is found line by line",
                self.stats.rows_matched, scan.rows
            ));
        }
        if advice.is_empty() {
            advice.push(format!(
                "{} of line were read for {} results: a shorter time range reads less",
                units::format_ibytes(scan.bytes),
                self.results
            ));
        }
        advice
    }

    fn filters(&self, log: &LogExpr, selection: &Selection, advice: &mut Vec<String>) {
        let mut has_line_filter = false;
        for stage in &log.stages {
            let StageKind::LineFilter(filter) = &stage.kind else { continue };
            has_line_filter = true;
            let is_regex = filter.op == LineOp::Match;
            let of_text = |operand: &LineOperand| matches!(operand, LineOperand::Text(text) if !text.is_empty());
            let alone = LogExpr { stages: vec![stage.clone()], ..(*log).clone() };
            if is_regex && filter.operands.iter().any(of_text) && is_empty(&plan::hints(&alone)) {
                advice.push(format!(
                    "`{stage}` has no fixed text of two characters or more: every line is tried; add a filter with a word, |= \"...\""
                ));
            }
        }
        if !has_line_filter && is_empty(&selection.hints) {
            let wide = units::format_ibytes(selection.bytes_in_range);
            advice.push(format!(
                "{} has no line filter, so all {wide} of its streams in the range are candidates: add |= \"text that the lines hold\"",
                selection.selector
            ));
        }
    }
}

fn is_empty(hints: &Hints) -> bool {
    *hints == Hints::default()
}
