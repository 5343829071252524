//! From a line to a sample: its value, and the series it belongs to.

use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use crate::model::{Labels, Timestamp};
use crate::query::columnar::Plan;
use crate::query::error::QueryError;
use crate::query::stage::{ERROR, LabelFilter, NameId, Pinned};
use crate::query::stage::{Pipeline, Row, Wanted, Worker, errors, labels_read};
use crate::query::syntax::ast::{
    self, Conversion, Grouping, LabelFilter as LabelFilterSyntax, RangeOp, StageKind, Unwrap,
};
use crate::text::convert;

/// Turns lines into samples.
#[derive(Debug)]
pub struct Extractor {
    worker: Worker,
    pipeline: Pipeline,
    shape: Shape,
    /// What the store must provide.
    pub need_lines: bool,
    pub need_line_bytes: bool,
    pub metadata: Metadata,
    /// The same as columns see it.
    pub plan: Plan,
}

/// Which metadata can make a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// Any.
    All,
    /// That with these names, and only in streams that do not have labels of these names.
    Named(Vec<String>),
}

/// What becomes of a line that passed all stages.
#[derive(Debug, Clone)]
struct Shape {
    measure: Measure,
    identity: Identity,
    /// Lines with an error become samples that carry it as a label, as the query asks for it.
    keeps_errors: bool,
    stream: StreamKey,
}

/// The identity of lines that have no labels but those of their stream.
#[derive(Debug, Clone, Default)]
struct StreamKey {
    key: Option<SeriesKey>,
}

#[derive(Debug, Clone)]
enum Measure {
    Count,
    Bytes,
    Unwrap { name: NameId, conversion: Option<Conversion>, filters: Vec<LabelFilter> },
}

/// Which labels tell series apart.
#[derive(Debug, Clone)]
enum Identity {
    Nothing,
    All,
    By(Vec<NameId>),
    Without(Vec<NameId>),
}

/// A hash of the labels of a series; the sum of those of its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeriesKey(pub u128);

impl SeriesKey {
    /// The key with one label more. An empty value is one.
    pub fn with(self, name_seed: u64, value: &str) -> SeriesKey {
        SeriesKey(self.0.wrapping_add(xxh3_128_with_seed(value.as_bytes(), name_seed)))
    }
}

/// A line's sample. The labels are made only for the first sample of a series.
pub struct Sample<'a> {
    pub key: SeriesKey,
    pub value: f64,
    row: Row<'a>,
    identity: &'a Identity,
}

/// Why a line gives no sample.
pub enum Miss {
    Dropped,
    Failed(QueryError),
}

impl Extractor {
    /// For another thread.
    pub fn fork(&self) -> Extractor {
        Extractor {
            worker: self.pipeline.worker(),
            pipeline: self.pipeline.clone(),
            shape: Shape { stream: StreamKey::default(), ..self.shape.clone() },
            metadata: self.metadata.clone(),
            plan: self.plan.clone(),
            ..*self
        }
    }

    /// `pushed` is the grouping of a `sum` around the aggregation.
    pub fn compile(
        range: &ast::RangeAggregation,
        pushed: Option<&Grouping>,
    ) -> Result<Self, QueryError> {
        let grouping = range.grouping.as_ref().or(pushed);
        let nothing = range.op == RangeOp::AbsentOverTime
            || grouping.is_some_and(|grouping| grouping.labels.is_empty() && !grouping.without);
        let stages = without_useless_formats(range);
        let is_grouped = nothing || grouping.is_some_and(|grouping| !grouping.without);
        let wanted = wanted(range, &stages, grouping, nothing);
        let keeps_errors = is_grouped && asks_for_errors(range, grouping);
        let mut pinned = Pinned::default();
        let measure = measure(range, &mut pinned)?;
        let mut ids = |grouping: &Grouping| -> Vec<NameId> {
            let mut ids: Vec<NameId> = grouping.labels.iter().map(|name| pinned.id(name)).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let mut identity = match grouping {
            _ if nothing => Identity::Nothing,
            Some(grouping) if grouping.without => Identity::Without(ids(grouping)),
            Some(grouping) => Identity::By(ids(grouping)),
            None => Identity::All,
        };
        if let Measure::Unwrap { name, .. } = &measure {
            // The label that became the value is no label of the series.
            match &mut identity {
                Identity::All => identity = Identity::Without(vec![*name]),
                Identity::Without(names) => names.push(*name),
                Identity::Nothing | Identity::By(_) => {}
            }
        }
        let nothing_wanted = wanted == Wanted::Nothing;
        let plan = Plan::metric(range, &stages, grouping, nothing, nothing_wanted)
            .map_err(QueryError::Invalid)?;
        let pipeline = Pipeline::build(&stages, wanted, pinned)
            .map_err(|error| QueryError::Invalid(format!("parse error : {error}")))?;
        Ok(Extractor {
            need_lines: !pipeline.reads_no_line(),
            need_line_bytes: matches!(measure, Measure::Bytes),
            metadata: plan.metadata(),
            worker: pipeline.worker(),
            pipeline,
            shape: Shape { measure, identity, keeps_errors, stream: StreamKey::default() },
            plan,
        })
    }

    pub fn set_stream(&mut self, labels: &Labels) {
        self.worker.set_stream(labels);
        self.shape.stream = StreamKey::default();
    }

    pub fn sample<'a>(
        &'a mut self,
        ts: Timestamp,
        line: &'a str,
        stored_bytes: usize,
        metadata: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Sample<'a>, Miss> {
        let Extractor { worker, shape, .. } = self;
        let mut row = worker.run(ts, line, metadata).ok_or(Miss::Dropped)?;
        let value = shape.measure.value(&mut row, stored_bytes).ok_or(Miss::Dropped)?;
        // Only what a parser failed at can be asked for; filters and conversions fail the query.
        let may_keep = shape.keeps_errors && row.error().is_some_and(errors::is_of_parser);
        if row.error().is_some() && !may_keep {
            return Err(Miss::Failed(pipeline_error(&row)));
        }
        let key = if row.is_plain() {
            *shape.stream.key.get_or_insert_with(|| shape.identity.key(&row))
        } else {
            shape.identity.key(&row)
        };
        Ok(Sample { key, value, row, identity: &shape.identity })
    }
}

impl Sample<'_> {
    pub fn labels(&self) -> Labels {
        let row = &self.row;
        if row.error().is_some() {
            return row.all_labels();
        }
        let pick = |keep: &dyn Fn(NameId) -> bool| {
            Labels::of_series(
                row.labels()
                    .filter(|(name, _, _)| keep(*name))
                    .map(|(name, _, value)| (row.name(name), value)),
            )
        };
        match self.identity {
            Identity::Nothing => Labels::default(),
            Identity::All if row.is_plain() => row.stream(),
            Identity::All => row.all_labels(),
            Identity::By(names) => pick(&|name| names.contains(&name)),
            Identity::Without(names) => pick(&|name| !names.contains(&name)),
        }
    }
}

impl Identity {
    fn key(&self, row: &Row<'_>) -> SeriesKey {
        let has_error = row.error().is_some();
        let counts = |name: NameId| match self {
            _ if has_error => true,
            Identity::Nothing => false,
            Identity::All => true,
            Identity::By(names) => names.contains(&name),
            Identity::Without(names) => !names.contains(&name),
        };
        if matches!(self, Identity::Nothing) && !has_error {
            return SeriesKey(0);
        }
        // The order of labels makes no difference to their sum.
        let mut sum = row
            .labels()
            .filter(|(name, _, _)| counts(*name))
            .fold(0_u128, |sum, (name, _, value)| sum.wrapping_add(row.label_hash(name, value)));
        if let Some(error) = row.error() {
            sum = sum.wrapping_add(xxh3_128(error.as_bytes()));
        }
        if has_error || matches!(self, Identity::All) {
            let details = row.shown_details().map(|details| xxh3_128(details.as_bytes()));
            sum = sum.wrapping_add(details.unwrap_or_default().rotate_left(1));
        }
        SeriesKey(sum)
    }
}

impl Measure {
    fn value(&self, row: &mut Row<'_>, stored_bytes: usize) -> Option<f64> {
        match self {
            Measure::Count => Some(1.0),
            Measure::Bytes if row.line_changed() => Some(row.line().len() as f64),
            Measure::Bytes => Some(stored_bytes as f64),
            Measure::Unwrap { name, conversion, filters } => {
                let text = row.value(*name).filter(|text| !text.is_empty())?;
                let value = unwrapped(*conversion, text).unwrap_or_else(|details| {
                    row.set_error(errors::SAMPLE, &details);
                    0.0
                });
                let mut kept = true;
                for filter in filters {
                    kept &= filter.keeps(row);
                }
                kept.then_some(value)
            }
        }
    }
}

/// The number that a label's text stands for.
pub fn unwrapped(conversion: Option<Conversion>, text: &str) -> Result<f64, String> {
    match conversion {
        None => convert::number(text),
        Some(Conversion::Duration | Conversion::DurationSeconds) => {
            convert::duration_ns(text).map(|ns| ns as f64 / 1e9)
        }
        Some(Conversion::Bytes) => convert::bytes(text).map(|bytes| bytes as f64),
    }
}

fn measure(range: &ast::RangeAggregation, pinned: &mut Pinned) -> Result<Measure, QueryError> {
    if let Some(Unwrap { label, conversion, filters, .. }) = &range.unwrap {
        let filters = filters
            .iter()
            .map(|filter| LabelFilter::compile(filter, pinned).map_err(QueryError::Invalid))
            .collect::<Result<_, _>>()?;
        let conversion = *conversion;
        return Ok(Measure::Unwrap { name: pinned.id(label), conversion, filters });
    }
    Ok(match range.op {
        RangeOp::BytesRate | RangeOp::BytesOverTime => Measure::Bytes,
        RangeOp::Rate | RangeOp::CountOverTime | RangeOp::AbsentOverTime => Measure::Count,
        _ => {
            let text = "parse error : invalid aggregation without unwrap".to_owned();
            return Err(QueryError::Invalid(text));
        }
    })
}

/// Which labels parsers must extract. A series that keeps all its labels needs them all; one
/// that is grouped needs what groups, filters and formats name.
fn wanted(
    range: &ast::RangeAggregation,
    stages: &[ast::Stage],
    grouping: Option<&Grouping>,
    nothing: bool,
) -> Wanted {
    let by_labels = grouping.is_some_and(|grouping| !grouping.without);
    if !nothing && !by_labels {
        return Wanted::All;
    }
    let Some(mut names) = labels_read(stages) else { return Wanted::All };
    if let Some(unwrap) = &range.unwrap {
        let filters: Vec<ast::Stage> = unwrap
            .filters
            .iter()
            .map(|filter| ast::Stage {
                kind: StageKind::LabelFilter(filter.clone()),
                span: ast::Span::default(),
            })
            .collect();
        names.extend(labels_read(&filters).unwrap_or_default());
        names.push(unwrap.label.clone());
    }
    if let Some(grouping) = grouping.filter(|_| !nothing) {
        names.extend(grouping.labels.iter().cloned());
    }
    // Whether a parser will add the suffix is known only when it meets the line.
    let stems: Vec<String> = names
        .iter()
        .filter_map(|name| name.strip_suffix("_extracted").map(str::to_owned))
        .collect();
    names.extend(stems);
    names.sort();
    names.dedup();
    if names.is_empty() { Wanted::Nothing } else { Wanted::Only(names) }
}

/// Whether a filter or the grouping names the error label.
fn asks_for_errors(range: &ast::RangeAggregation, grouping: Option<&Grouping>) -> bool {
    let mut filters: Vec<&LabelFilterSyntax> = Vec::new();
    for stage in &range.log.stages {
        if let StageKind::LabelFilter(filter) = &stage.kind {
            filters.push(filter);
        }
    }
    filters.extend(range.unwrap.iter().flat_map(|unwrap| &unwrap.filters));
    let grouped = grouping.into_iter().flat_map(|grouping| &grouping.labels);
    filters.iter().flat_map(|filter| filter.label_names()).any(|name| name == ERROR)
        || grouped.into_iter().any(|name| name == ERROR)
}

/// A `line_format` whose line nobody reads changes nothing, so it is left out.
fn without_useless_formats(range: &ast::RangeAggregation) -> Vec<ast::Stage> {
    let stages = &range.log.stages;
    let reads_line = |stage: &ast::Stage| {
        matches!(
            stage.kind,
            StageKind::Json { .. }
                | StageKind::Logfmt { .. }
                | StageKind::Regexp { .. }
                | StageKind::Pattern { .. }
                | StageKind::Unpack
                | StageKind::LineFilter(_)
        )
    };
    let counts_bytes = matches!(range.op, RangeOp::BytesRate | RangeOp::BytesOverTime);
    let mut kept = Vec::with_capacity(stages.len());
    for (at, stage) in stages.iter().enumerate() {
        let behind = stages.get(at + 1..).unwrap_or_default();
        let is_useless = matches!(stage.kind, StageKind::LineFormat { .. })
            && !counts_bytes
            && !behind.iter().any(reads_line);
        if !is_useless {
            kept.push(stage.clone());
        }
    }
    kept
}

fn pipeline_error(row: &Row<'_>) -> QueryError {
    let error = row.error().unwrap_or_default();
    let labels = row.all_labels();
    QueryError::Pipeline(format!(
        "pipeline error: '{error}' for series: '{labels}'.\n\
         Use a label filter to intentionally skip this error. (e.g | __error__!=\"{error}\").\n\
         To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n\
         The label filter can also be specified after unwrap. \
         (e.g | unwrap latency | __error__=\"\" )\n"
    ))
}
