//! Queries over several tenants at once (`X-Scope-OrgID: a|b`): each is read on its own, and the
//! label `__tenant_id__` says whose a stream is. A stream that brings a label of that name keeps
//! it as `original___tenant_id__`.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Labels, Matcher, TimeRange, Timestamp};
use crate::store::read::{
    Cancel, Flow, ForkedSink, LogRead, ReadError, RowSink, Rows, ScanRequest, ScanStats,
    StreamMeta, StreamStats,
};

/// Between the names of tenants; no name of one tenant holds it.
pub const SEPARATOR: char = '|';
pub const TENANT: &str = "__tenant_id__";
const ORIGINAL: &str = "original___tenant_id__";

/// A reader that knows such lists. What names one tenant goes through unchanged.
pub struct Tenants(pub Arc<dyn LogRead>);

/// The tenants of a list that the matchers let through, and what is left to match in each.
fn chosen<'a>(list: &'a str, matchers: &[Matcher]) -> (BTreeSet<&'a str>, Vec<Matcher>) {
    let (own, mut others): (Vec<Matcher>, Vec<Matcher>) =
        matchers.iter().cloned().partition(|matcher| matcher.name == TENANT);
    for matcher in &mut others {
        if matcher.name == ORIGINAL {
            matcher.name = TENANT.to_owned();
        }
    }
    let tenants = list.split(SEPARATOR);
    let tenants = tenants.filter(|tenant| own.iter().all(|matcher| matcher.matches(tenant)));
    (tenants.collect(), others)
}

fn named(labels: &Labels, tenant: &str) -> Labels {
    let own =
        labels.iter().map(|(name, value)| (if name == TENANT { ORIGINAL } else { name }, value));
    Labels::from_pairs(own.chain([(TENANT, tenant)]))
}

impl LogRead for Tenants {
    fn streams(
        &self,
        tenant: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &Cancel,
    ) -> Result<Vec<StreamStats>, ReadError> {
        if !tenant.contains(SEPARATOR) {
            return self.0.streams(tenant, matchers, range, cancel);
        }
        let (tenants, matchers) = chosen(tenant, matchers);
        let mut found = Vec::new();
        for tenant in tenants {
            let mut streams = self.0.streams(tenant, &matchers, range, cancel)?;
            for stats in &mut streams {
                stats.stream.labels = named(&stats.stream.labels, tenant);
            }
            found.append(&mut streams);
        }
        found.sort_by(|a, b| a.stream.labels.cmp(&b.stream.labels));
        Ok(found)
    }

    fn scan(&self, request: &ScanRequest, sink: &mut dyn RowSink) -> Result<ScanStats, ReadError> {
        if !request.tenant.contains(SEPARATOR) {
            return self.0.scan(request, sink);
        }
        let (tenants, matchers) = chosen(&request.tenant, &request.matchers);
        let mut all = ScanStats::default();
        for tenant in tenants {
            let one = ScanRequest {
                tenant: tenant.to_owned(),
                matchers: matchers.clone(),
                bytes_max: request.bytes_max.saturating_sub(all.bytes),
                ..request.clone()
            };
            // One that has enough of this tenant may still want rows of the next.
            let found = self.0.scan(&one, &mut Named { tenant, sink: &mut *sink })?;
            all.add(&found);
        }
        Ok(all)
    }
}

/// Gives the streams of a tenant their label on the way. Results of parts are not offered: a
/// part holds several tenants, and its key says nothing of whose rows were read.
struct Named<'a> {
    tenant: &'a str,
    sink: &'a mut dyn RowSink,
}

fn meta(stream: &StreamMeta, tenant: &str) -> StreamMeta {
    StreamMeta { id: stream.id, labels: named(&stream.labels, tenant) }
}

impl RowSink for Named<'_> {
    fn wants(&mut self, first: Timestamp, last: Timestamp) -> bool {
        self.sink.wants(first, last)
    }

    fn block(&mut self, arrival: u64) {
        self.sink.block(arrival);
    }

    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        self.sink.rows(&meta(stream, self.tenant), rows)
    }

    fn fork(&self) -> Option<Box<dyn ForkedSink>> {
        let fork = self.sink.fork()?;
        Some(Box::new(NamedFork { tenant: self.tenant.to_owned(), fork }))
    }

    fn join(&mut self, fork: Box<dyn ForkedSink>) -> Result<(), ReadError> {
        match fork.into_any().downcast::<NamedFork>() {
            Ok(named) => self.sink.join(named.fork),
            Err(_) => Err(ReadError::Sink("a fork came back to another query".to_owned())),
        }
    }
}

struct NamedFork {
    tenant: String,
    fork: Box<dyn ForkedSink>,
}

impl RowSink for NamedFork {
    fn wants(&mut self, first: Timestamp, last: Timestamp) -> bool {
        self.fork.wants(first, last)
    }

    fn block(&mut self, arrival: u64) {
        self.fork.block(arrival);
    }

    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        self.fork.rows(&meta(stream, &self.tenant), rows)
    }
}

impl ForkedSink for NamedFork {
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
