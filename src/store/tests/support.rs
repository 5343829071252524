//! What tests of the store share.

use std::sync::Arc;

use crate::clock::SimClock;
use crate::metrics::Metrics;
use crate::model::{Batch, Entry, Labels, Matcher, Position, TimeRange, Timestamp};
use crate::redact::Redacted;
use crate::store::files::Files;
use crate::store::read::*;
use crate::store::{Language, RowFilter, RowWorker, Selection, Store, StoreOptions, Thresholds};

/// Queries of delete requests in tests: an app, and perhaps a text that the line must hold.
pub struct Words;

struct Holds(String);

impl Language for Words {
    fn compile(&self, query: &str) -> Result<Selection, String> {
        let (app, text) = query.split_once(' ').unwrap_or((query, ""));
        if app.is_empty() {
            return Err("name an app".to_owned());
        }
        let hints = Hints { substrings: vec![vec![text.to_owned()]], ..Hints::default() };
        Ok(Selection {
            matchers: vec![Matcher::eq("app", app)],
            hints: if text.is_empty() { Hints::default() } else { hints },
            rows: (!text.is_empty())
                .then(|| Arc::new(Holds(text.to_owned())) as Arc<dyn RowFilter>),
            afterwards: app.to_owned(),
        })
    }
}

impl RowFilter for Holds {
    fn worker(&self) -> Box<dyn RowWorker> {
        Box::new(Holds(self.0.clone()))
    }
}

impl RowWorker for Holds {
    fn set_stream(&mut self, _: &Labels) {}
    fn matches<'a>(
        &mut self,
        _: Timestamp,
        line: &'a str,
        _: &mut dyn Iterator<Item = (&'a str, &'a str)>,
    ) -> bool {
        line.contains(&self.0)
    }
}

pub const TENANT: &str = "fake";
/// 2026-11-20T00:00:00Z
pub const DAY0: i64 = 1_795_132_800_000_000_000;

pub fn options(files: Arc<dyn Files>, clock: &SimClock) -> StoreOptions {
    let mut options = StoreOptions::new("/data", clock.shared(), &Metrics::default());
    options.files = files;
    options.language = Arc::new(Words);
    options.thresholds = Thresholds {
        block_bytes: 600,
        seal_retry: std::time::Duration::from_millis(1),
        ..Thresholds::default()
    };
    options.retention.disk_free_stop_bytes = 0;
    options.retention.disk_free_min_bytes = 0;
    options
}

pub fn labels(app: &str) -> Labels {
    Labels::from_pairs([("app", app), ("env", "test")])
}

pub fn batch(entries: Vec<(&str, Entry)>, position: Option<(&str, &str)>) -> Redacted<Batch> {
    let mut batch = Batch::new(TENANT);
    for (app, entry) in entries {
        batch.push(&labels(app), entry);
    }
    batch.positions.extend(
        position.map(|(source, value)| Position { source: source.into(), value: value.into() }),
    );
    Redacted::for_test(batch)
}

pub fn request(matchers: Vec<Matcher>, range: TimeRange) -> ScanRequest {
    ScanRequest {
        tenant: TENANT.to_owned(),
        matchers,
        range,
        hints: Hints::default(),
        order: Order::Any,
        cancel: Cancel::default(),
        bytes_max: u64::MAX,
        need_lines: true,
        need_metadata: true,
        need_line_bytes: true,
        columns: false,
    }
}

pub type Row = (String, i64, String, Vec<(String, String)>);

#[derive(Default)]
pub struct Collect {
    pub rows: Vec<Row>,
    pub lines_bytes: usize,
}

impl RowSink for Collect {
    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        let mut before = Timestamp::MIN;
        for row in 0..rows.len() {
            assert!(before <= rows.ts(row), "rows come in time order");
            before = rows.ts(row);
            let metadata = (0..rows.metadata_len(row))
                .map(|at| rows.metadata(row, at))
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect();
            self.lines_bytes += rows.line_bytes(row);
            self.rows.push((
                stream.labels.to_string(),
                rows.ts(row).0,
                rows.line(row).to_owned(),
                metadata,
            ));
        }
        Ok(Flow::Continue)
    }
}

/// All rows of a scan, sorted.
pub fn collect(logs: &dyn LogRead, request: &ScanRequest) -> Vec<Row> {
    let mut sink = Collect::default();
    logs.scan(request, &mut sink).unwrap();
    sink.rows.sort();
    sink.rows
}

pub fn all(logs: &dyn LogRead) -> Vec<Row> {
    collect(logs, &request(Vec::new(), TimeRange::ALL))
}

pub fn open(options: StoreOptions) -> Arc<Store> {
    Store::open(options).unwrap()
}
