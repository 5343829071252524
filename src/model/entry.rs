//! What walks through the house: batches of entries, and the source positions they advance.

use super::{Labels, Text, Timestamp};

/// The tenant of everything as long as tenants are off (Loki's own constant).
pub const TENANT_DEFAULT: &str = "fake";

/// Names and values beside the line that are not part of the stream's identity
/// (Loki: structured metadata).
pub type Metadata = Vec<(Text, Text)>;

/// One log line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    pub ts: Timestamp,
    pub line: Text,
    pub metadata: Metadata,
}

impl Entry {
    pub fn new(ts: Timestamp, line: impl Into<Text>) -> Self {
        Entry { ts, line: line.into(), metadata: Vec::new() }
    }

    /// Bytes of line and metadata, the measure of queues and limits.
    pub fn bytes(&self) -> usize {
        self.line.len() + self.metadata.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>()
    }
}

/// Entries of one stream, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamBatch {
    pub labels: Labels,
    pub entries: Vec<Entry>,
}

/// Where a pull source stands after a batch: opaque to all but the source itself. An empty
/// value removes the position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub source: String,
    pub value: String,
}

/// What is written to the WAL as one record: entries together with the positions they advance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    pub tenant: String,
    pub streams: Vec<StreamBatch>,
    pub positions: Vec<Position>,
}

impl Batch {
    pub fn new(tenant: impl Into<String>) -> Self {
        Batch { tenant: tenant.into(), streams: Vec::new(), positions: Vec::new() }
    }

    pub fn entries(&self) -> usize {
        self.streams.iter().map(|s| s.entries.len()).sum()
    }

    pub fn bytes(&self) -> usize {
        self.streams.iter().flat_map(|s| &s.entries).map(Entry::bytes).sum()
    }

    /// Adds an entry to the stream with these labels; meant for small batches of pull sources.
    pub fn push(&mut self, labels: &Labels, entry: Entry) {
        match self.streams.iter_mut().rev().find(|s| &s.labels == labels) {
            Some(stream) => stream.entries.push(entry),
            None => self.streams.push(StreamBatch { labels: labels.clone(), entries: vec![entry] }),
        }
    }
}

/// Which entries of a batch a pipeline changed, so that redaction looks again at those alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Changes {
    #[default]
    Nothing,
    /// One flag an entry, in the shape of the batch: `[stream][entry]`. The labels of a stream
    /// with any changed entry count as changed too.
    Entries(Vec<Vec<bool>>),
}
