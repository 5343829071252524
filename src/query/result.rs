//! What queries give.

use std::collections::BTreeMap;

use crate::model::{Labels, Timestamp};
use crate::store::read::ScanStats;

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryResult {
    pub data: QueryData,
    pub stats: QueryStats,
}

#[derive(Debug, Clone, PartialEq)]
pub enum QueryData {
    /// Lines in the order that was asked for, over all streams.
    Streams(Vec<LogRow>),
    /// Sorted by labels.
    Matrix(Vec<Series>),
    /// Sorted by labels, unless the query sorts by value.
    Vector(Vec<Sample>),
    Scalar(Timestamp, f64),
}

/// One line of a log query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    pub ts: Timestamp,
    pub line: String,
    /// What is left of the stream's labels after the query's stages.
    pub stream: Labels,
    /// Sorted by name.
    pub metadata: Vec<(String, String)>,
    /// Labels made by stages, sorted by name; the error labels are among them.
    pub parsed: Vec<(String, String)>,
}

impl LogRow {
    /// What it takes in memory, about.
    pub fn memory_bytes(&self) -> usize {
        let pairs = self.metadata.iter().chain(&self.parsed);
        let pairs: usize = pairs.map(|(name, value)| name.len() + value.len() + 48).sum();
        size_of::<LogRow>() + self.line.len() + pairs
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub labels: Labels,
    pub points: Vec<(Timestamp, f64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub labels: Labels,
    pub ts: Timestamp,
    pub value: f64,
}

/// What a query cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryStats {
    pub scan: ScanStats,
    /// Rows that passed all stages.
    pub rows_matched: u64,
    pub duration_ns: u64,
}

impl QueryStats {
    pub(super) fn add(&mut self, scan: &ScanStats) {
        self.scan.add(scan);
    }
}

/// How labels are shown: all in one set, or each kind for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Categorize {
    Yes,
    No,
}

/// Lines that share a label set, as Loki sends them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamGroup<'a> {
    /// Sorted by name. Values may be empty.
    pub labels: Vec<(&'a str, &'a str)>,
    pub rows: Vec<&'a LogRow>,
}

/// Groups rows by stream labels alone, or by all labels together. Groups are sorted by labels,
/// rows keep their order.
pub fn group_streams(rows: &[LogRow], categorize: Categorize) -> Vec<StreamGroup<'_>> {
    let mut groups: BTreeMap<Vec<(&str, &str)>, Vec<&LogRow>> = BTreeMap::new();
    for row in rows {
        let labels = match categorize {
            Categorize::Yes => row.stream.iter().collect(),
            Categorize::No => merged_labels(row),
        };
        groups.entry(labels).or_default().push(row);
    }
    groups.into_iter().map(|(labels, rows)| StreamGroup { labels, rows }).collect()
}

/// All labels of a row in one set, sorted by name; parsed ones win over metadata, metadata over
/// stream labels.
pub fn merged_labels(row: &LogRow) -> Vec<(&str, &str)> {
    let mut merged: BTreeMap<&str, &str> = row.stream.iter().collect();
    let others = row.metadata.iter().chain(&row.parsed);
    merged.extend(others.map(|(name, value)| (name.as_str(), value.as_str())));
    merged.into_iter().collect()
}
