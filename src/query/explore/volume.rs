//! How many bytes came from where.

use std::collections::BTreeMap;

use crate::model::{Labels, Matcher, TimeRange, Timestamp};
use crate::query::engine::{Engine, QueryContext};
use crate::query::error::QueryError;
use crate::store::read::{Flow, Hints, Order, ReadError, RowSink, Rows, ScanRequest, StreamMeta};

/// What volumes are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VolumeBy {
    /// Combinations of label values.
    #[default]
    Series,
    /// Label names alone.
    Labels,
}

#[derive(Debug, Clone)]
pub struct VolumeQuery {
    pub matchers: Vec<Matcher>,
    pub range: TimeRange,
    pub limit: usize,
    /// Labels that count; empty for those of the matchers.
    pub target_labels: Vec<String>,
    pub by: VolumeBy,
}

/// The label set of a volume; by label names the value is empty.
type Key = Vec<(String, String)>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub labels: Vec<(String, String)>,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSeries {
    pub labels: Vec<(String, String)>,
    pub points: Vec<(Timestamp, u64)>,
}

const MS: i64 = 1_000_000;

impl VolumeQuery {
    fn keys(&self, labels: &Labels) -> Vec<Key> {
        let named: Vec<&str> = if self.target_labels.is_empty() {
            self.matchers.iter().map(|matcher| matcher.name.as_str()).collect()
        } else {
            self.target_labels.iter().map(String::as_str).collect()
        };
        let counts = |name: &str| named.is_empty() || named.contains(&name);
        match self.by {
            VolumeBy::Series => {
                let key: Key = labels
                    .iter()
                    .filter(|(name, _)| counts(name))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                if key.is_empty() { Vec::new() } else { vec![key] }
            }
            VolumeBy::Labels => labels
                .iter()
                .filter(|(name, _)| self.target_labels.is_empty() || counts(name))
                .map(|(name, _)| vec![(name.to_owned(), String::new())])
                .collect(),
        }
    }
}

impl Engine {
    /// Volumes over the whole range, largest first.
    pub fn volume(
        &self,
        query: &VolumeQuery,
        context: &QueryContext,
    ) -> Result<Vec<Volume>, QueryError> {
        let mut sums: BTreeMap<Key, u64> = BTreeMap::new();
        for stats in self.streams(&query.matchers, query.range, context)? {
            for key in query.keys(&stats.stream.labels) {
                *sums.entry(key).or_default() += stats.bytes;
            }
        }
        let mut volumes: Vec<Volume> =
            sums.into_iter().map(|(labels, bytes)| Volume { labels, bytes }).collect();
        volumes.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.labels.cmp(&b.labels)));
        volumes.truncate(query.limit);
        Ok(volumes)
    }

    /// Volumes by steps. A point stands at the last millisecond of its step.
    pub fn volume_range(
        &self,
        query: &VolumeQuery,
        step_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<VolumeSeries>, QueryError> {
        let range = query.range;
        if step_ns <= 0 {
            return Err(QueryError::Invalid("the step must be positive".to_owned()));
        }
        let steps = range.end.0.saturating_sub(range.start.0) / step_ns;
        if usize::try_from(steps).is_ok_and(|steps| steps > context.limits.points_max) {
            return Err(QueryError::Invalid(format!(
                "exceeded maximum resolution of {} points per time series. Try increasing the \
                 value of the step parameter",
                context.limits.points_max
            )));
        }
        let mut running = self.running(context);
        let request = ScanRequest {
            tenant: context.tenant.clone(),
            matchers: query.matchers.clone(),
            range,
            hints: Hints::default(),
            order: Order::Any,
            cancel: context.cancel.clone(),
            bytes_max: running.bytes_left(),
            need_lines: false,
            need_metadata: false,
            need_line_bytes: true,
            columns: false,
        };
        let mut sink = Buckets { query, step_ns, sums: BTreeMap::new() };
        running.scan(&request, &mut sink)?;
        let mut series: Vec<(u64, VolumeSeries)> = sink
            .sums
            .into_iter()
            .map(|(labels, buckets)| {
                let total = buckets.values().sum();
                let points = buckets.into_iter().map(|(at, bytes)| (Timestamp(at), bytes));
                (total, VolumeSeries { labels, points: points.collect() })
            })
            .collect();
        series.sort_by_key(|(total, _)| std::cmp::Reverse(*total));
        series.truncate(query.limit);
        Ok(series.into_iter().map(|(_, series)| series).collect())
    }
}

struct Buckets<'a> {
    query: &'a VolumeQuery,
    step_ns: i64,
    sums: BTreeMap<Key, BTreeMap<i64, u64>>,
}

impl Buckets<'_> {
    fn bucket(&self, ts: Timestamp) -> i64 {
        let end = ts.0.div_euclid(self.step_ns).saturating_add(1).saturating_mul(self.step_ns);
        // The range holds its last moment, so its end is one past it.
        let last = self.query.range.end.0.saturating_sub(1);
        if end >= last { last } else { end - MS }
    }
}

impl RowSink for Buckets<'_> {
    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        let mut sums: BTreeMap<i64, u64> = BTreeMap::new();
        for row in 0..rows.len() {
            let bucket = self.bucket(rows.ts(row));
            *sums.entry(bucket).or_default() += rows.line_bytes(row) as u64;
        }
        for key in self.query.keys(&stream.labels) {
            let series = self.sums.entry(key).or_default();
            for (bucket, bytes) in &sums {
                *series.entry(*bucket).or_default() += bytes;
            }
        }
        Ok(Flow::Continue)
    }
}
