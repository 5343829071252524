//! `rate({..} | json [5m])`: lines to samples, samples to windows, in one pass over the rows.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::limits;
use crate::model::{Labels, MatchOp};
use crate::query::error::QueryError;
use crate::query::plan;
use crate::query::syntax::ast::{Grouping, RangeAggregation, RangeOp};
use crate::store::read::{Order, ScanRequest};

use super::accumulate::Fold;
use super::collect::{CacheUse, Collector};
use super::context::Context;
use super::extract::{Extractor, Metadata};
use super::grid::{Cuts, Grid, Lattice, Windows};
use super::memory::Memory;
use super::series::{Data, Method, SeriesSet, Shared, too_many_samples};
use super::vectors::Vectors;

/// Cells that a grid may have beyond those it needs so that results of parts can be kept.
const SHARED_CELLS_MAX: i64 = 20_000;

/// Evaluates a range aggregation; `pushed` is the grouping of a `sum` around it, so that series
/// it would put together are never kept apart.
pub fn evaluate(
    range: &RangeAggregation,
    pushed: Option<&Grouping>,
    grid: Grid,
    context: &mut Context<'_>,
) -> Result<Vectors, QueryError> {
    let mut extractor = Extractor::compile(range, pushed)?;
    let windows = Windows::new(grid, range.range_ns, range.offset_ns);
    let method = Method::of(range);
    let cache = cache_use(range, pushed, &windows, method, context);
    let lattice = match &cache {
        Some(cache) if !cache.whole => Lattice::Shared,
        _ => Lattice::Own,
    };
    let cuts = Arc::new(Cuts::new(&windows, lattice));
    let mut request = ScanRequest {
        tenant: context.tenant.to_owned(),
        matchers: range.log.matchers.clone(),
        range: windows.times(),
        hints: plan::hints(&range.log),
        order: Order::Any,
        cancel: context.cancel.clone(),
        bytes_max: context.bytes_left(),
        need_lines: extractor.need_lines,
        need_metadata: true,
        need_line_bytes: extractor.need_line_bytes,
        columns: extractor.need_lines,
    };
    let settled = settled_by_streams(&extractor.metadata, &request, context)?;
    request.need_metadata = settled.is_none();
    loop {
        let shared = Arc::new(Shared::new(Arc::clone(&context.memory)));
        let mut sink = Collector::new(extractor, method, &cuts, &shared, context);
        sink.cache.clone_from(&cache);
        if !request.need_metadata {
            sink.settled.clone_from(&settled);
        }
        let scanned = context.scan(&request, &mut sink);
        if let Some(failure) = shared.failure() {
            return Err(failure);
        }
        scanned?;
        if sink.has_missed_metadata() {
            // A stream has come up that lacks a label which metadata may have.
            extractor = sink.extractor;
            request.need_metadata = true;
            request.bytes_max = context.bytes_left();
            continue;
        }
        sink.end_recording();
        context.stats.rows_matched += sink.matched;
        let found = finish(sink.set, method, range, &windows, &cuts, &context.memory)?;
        if range.op == RangeOp::AbsentOverTime {
            return Ok(absent(range, &found));
        }
        return Ok(found);
    }
}

/// The names that all streams have as labels, if no other metadata matters: a stream's label
/// comes before metadata of its name.
fn settled_by_streams(
    metadata: &Metadata,
    request: &ScanRequest,
    context: &Context<'_>,
) -> Result<Option<Arc<[String]>>, QueryError> {
    let Metadata::Named(names) = metadata else { return Ok(None) };
    let is_matched = |name: &str| {
        let mut matchers = request.matchers.iter();
        matchers.any(|m| m.name == name && m.op == MatchOp::Eq && !m.value.is_empty())
    };
    if !names.iter().all(|name| is_matched(name)) {
        let (matchers, cancel) = (&request.matchers, &request.cancel);
        let streams = context.reader.streams(context.tenant, matchers, request.range, cancel)?;
        let has_all = |labels: &Labels| names.iter().all(|name| labels.get(name).is_some());
        if !streams.iter().all(|stats| has_all(&stats.stream.labels)) {
            return Ok(None);
        }
    }
    Ok(Some(names.as_slice().into()))
}

/// Whether and how results of parts are kept.
fn cache_use(
    range: &RangeAggregation,
    pushed: Option<&Grouping>,
    windows: &Windows,
    method: Method,
    context: &Context<'_>,
) -> Option<CacheUse> {
    let cache = context.cache.clone()?;
    let folds = matches!(method, Method::Fold(_) | Method::Rate);
    if !folds || method.is_ordered() || range.range_ns <= 0 {
        return None;
    }
    let step_ns = windows.grid.step_ns.max(1);
    let whole = windows.grid.count == 1;
    if !whole && range.range_ns / step_ns > SHARED_CELLS_MAX {
        return None;
    }
    // Of a single window every row of a part that lies in it is in the one cell; else cells
    // depend on where the steps are.
    let phase = if whole { None } else { Some((step_ns, windows.end_ns(0).rem_euclid(step_ns))) };
    let (length, offset) = (range.range_ns, range.offset_ns);
    let text = format!("{}\0{range}\0{pushed:?}\0{length}\0{offset}\0{phase:?}", context.tenant);
    Some(CacheUse { cache, query: xxh3_128(text.as_bytes()), whole })
}

/// What a point of a result takes, and the room a list of them has left over.
const POINT_BYTES: usize = 24;

fn finish(
    set: SeriesSet,
    method: Method,
    range: &RangeAggregation,
    windows: &Windows,
    cuts: &Cuts,
    memory: &Memory,
) -> Result<Vectors, QueryError> {
    let mut vectors = Vectors::new(windows.grid.count);
    let range_secs = range.range_ns as f64 / 1e9;
    let (mut points, mut counted) = (0, 0);
    for (id, series) in (0..).zip(set.list) {
        vectors.labels.push(series.labels);
        let mut push = |step, value| {
            points += 1;
            vectors.push(step, id, value);
        };
        match (series.data, method) {
            (Data::Cells(cells), Method::Rate) => {
                cells.windows(Fold::Sum, cuts, |step, sum| push(step, sum / range_secs));
            }
            (Data::Cells(cells), method) => cells.windows(method.fold(), cuts, push),
            (Data::Buckets(buckets), Method::Quantile(q)) => buckets.quantiles(q, cuts, push),
            (Data::Buckets(_), _) => {}
            (Data::Samples(samples), _) => samples.counter_rates(windows, push),
        }
        if points > limits::QUERY_SAMPLES_MAX {
            return Err(too_many_samples());
        }
        memory.take(((points - counted) * POINT_BYTES) as i64)?;
        counted = points;
    }
    Ok(vectors)
}

/// One where there is nothing, with the labels that the selector names exactly once.
fn absent(range: &RangeAggregation, found: &Vectors) -> Vectors {
    let matchers = &range.log.matchers;
    let labels = matchers.iter().filter(|matcher| {
        matcher.op == MatchOp::Eq
            && matchers.iter().filter(|other| other.name == matcher.name).count() == 1
    });
    let labels = Labels::from_pairs(labels.map(|matcher| (&*matcher.name, &*matcher.value)));
    let steps = found
        .steps
        .iter()
        .map(|samples| if samples.is_empty() { vec![(0, 1.0)] } else { Vec::new() })
        .collect();
    Vectors { labels: vec![labels], steps }
}
