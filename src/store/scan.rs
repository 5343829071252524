//! Reading: from a request to rows.

mod head_rows;

use super::read::{
    Flow, LogRead, ReadError, RowSink, ScanRequest, ScanStats, StreamMeta, StreamStats,
};
use super::store::Store;
use crate::model::{Matcher, TimeRange};

/// Ends a scan early or counts on.
pub(super) struct Progress<'a> {
    pub request: &'a ScanRequest,
    pub sink: &'a mut dyn RowSink,
    pub stats: ScanStats,
}

impl Progress<'_> {
    pub fn check_cancel(&self) -> Result<(), ReadError> {
        if self.request.cancel.is_cancelled() { Err(ReadError::Cancelled) } else { Ok(()) }
    }

    pub fn spend(&mut self, bytes: u64) -> Result<(), ReadError> {
        self.stats.bytes += bytes;
        let bytes_max = self.request.bytes_max;
        if self.stats.bytes > bytes_max { Err(ReadError::Budget { bytes_max }) } else { Ok(()) }
    }
}

pub(super) fn matches(
    tenant: &str,
    matchers: &[Matcher],
    of_tenant: &str,
    meta: &StreamMeta,
) -> bool {
    of_tenant == tenant
        && matchers.iter().all(|m| m.matches(meta.labels.get(&m.name).unwrap_or_default()))
}

impl LogRead for Store {
    fn streams(
        &self,
        tenant: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<StreamStats>, ReadError> {
        let snapshot = self.shared.state.read().clone();
        let mut found: Vec<StreamStats> = Vec::new();
        for unit in snapshot.heads() {
            for stats in unit.head.stats(range, &|t, meta| matches(tenant, matchers, t, meta)) {
                found.push(StreamStats {
                    stream: stats.meta,
                    entries: stats.entries,
                    bytes: stats.bytes,
                    chunks: 1,
                    first: stats.first,
                    last: stats.last,
                });
            }
        }
        Ok(merged(found))
    }

    fn scan(&self, request: &ScanRequest, sink: &mut dyn RowSink) -> Result<ScanStats, ReadError> {
        let snapshot = self.shared.state.read().clone();
        let mut progress = Progress { request, sink, stats: ScanStats::default() };
        for unit in snapshot.heads() {
            if head_rows::scan(&unit.head, &mut progress)? == Flow::Stop {
                break;
            }
        }
        Ok(progress.stats)
    }
}

/// One row a stream, sorted by labels.
fn merged(mut found: Vec<StreamStats>) -> Vec<StreamStats> {
    found.sort_by(|a, b| a.stream.labels.cmp(&b.stream.labels));
    let mut merged: Vec<StreamStats> = Vec::with_capacity(found.len());
    for stats in found {
        match merged.last_mut() {
            Some(last) if last.stream.id == stats.stream.id => {
                last.entries += stats.entries;
                last.bytes += stats.bytes;
                last.chunks += stats.chunks;
                last.first = last.first.min(stats.first);
                last.last = last.last.max(stats.last);
            }
            _ => merged.push(stats),
        }
    }
    merged
}
