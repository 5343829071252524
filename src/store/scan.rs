//! Reading: from a request to rows. A scan takes a snapshot of heads and parts and walks it
//! from the end that is wanted first; nothing it does holds up ingest. Where the sink can be
//! forked, the blocks are shared among threads (`share`), else they come one after the other.

mod head_rows;
mod part_rows;
mod plan;
mod pool;
mod share;
mod sieve;
mod streams;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::head_rows::HeadPlan;
use self::part_rows::Buffers;
use self::plan::{Asked, PartPlan};
use super::deletes::Active;
use super::part::Part;
use super::read::{
    Cancel, Flow, LogRead, Order, ReadError, RowSink, ScanRequest, ScanStats, StreamMeta,
    StreamStats,
};
use super::state::HeadUnit;
use super::store::{Shared, Store};
use crate::model::{Matcher, StreamId, TimeRange, Timestamp};

pub(super) use self::pool::Pool;

/// What a scan has done so far, or a thread of it.
#[derive(Debug, Default)]
struct Tally {
    stats: ScanStats,
    streams: HashSet<StreamId>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.stats.add(&other.stats);
        if self.streams.is_empty() {
            self.streams = other.streams;
        } else {
            self.streams.extend(other.streams);
        }
    }

    fn finish(mut self) -> ScanStats {
        self.stats.streams = self.streams.len() as u64;
        self.stats
    }
}

/// A scan on its way: rows go to the sink.
struct Progress<'a> {
    request: &'a ScanRequest,
    sink: &'a mut dyn RowSink,
    stats: &'a mut ScanStats,
    streams: &'a mut HashSet<StreamId>,
    /// Bytes of line that all threads of the scan have read.
    spent: &'a AtomicU64,
}

impl<'a> Progress<'a> {
    fn new(
        request: &'a ScanRequest,
        sink: &'a mut dyn RowSink,
        tally: &'a mut Tally,
        spent: &'a AtomicU64,
    ) -> Progress<'a> {
        Progress { request, sink, stats: &mut tally.stats, streams: &mut tally.streams, spent }
    }

    fn check_cancel(&self) -> Result<(), ReadError> {
        if self.request.cancel.is_cancelled() { Err(ReadError::Cancelled) } else { Ok(()) }
    }

    /// Asks the sink about the piece of a span that lies in the range.
    fn wants(&mut self, first: Timestamp, last: Timestamp) -> bool {
        let range = self.request.range;
        let end = Timestamp(range.end.0.saturating_sub(1));
        self.sink.wants(first.max(range.start), last.min(end))
    }

    fn spend(&mut self, bytes: u64) -> Result<(), ReadError> {
        self.stats.bytes += bytes;
        self.charge(bytes)
    }

    /// Of what is read beside lines.
    fn charge(&mut self, bytes: u64) -> Result<(), ReadError> {
        let bytes_max = self.request.bytes_max;
        let before = self.spent.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > bytes_max {
            Err(ReadError::Budget { bytes_max })
        } else {
            Ok(())
        }
    }

    fn note_stream(&mut self, id: StreamId) {
        self.streams.insert(id);
    }
}

fn matches(tenant: &str, matchers: &[Matcher], of_tenant: &str, meta: &StreamMeta) -> bool {
    of_tenant == tenant
        && matchers.iter().all(|m| m.matches(meta.labels.get(&m.name).unwrap_or_default()))
}

enum Source {
    /// A head, and how many there are before it.
    Head(Arc<HeadUnit>, u64),
    /// A part, and delete requests that may hide rows of it.
    Part(Arc<Part>, Vec<Arc<Active>>),
}

/// Everything that may have rows of the range, by the end that is wanted first.
fn sources(shared: &Shared, request: &ScanRequest, stats: &mut ScanStats) -> Vec<Source> {
    let snapshot = shared.state.read().clone();
    let all = snapshot.parts.len();
    let mut parts: Vec<&Arc<Part>> =
        snapshot.parts.iter().filter(|part| part.touches(request.range)).collect();
    stats.parts_pruned += (all - parts.len()) as u64;
    let of_part = |part: &Arc<Part>| {
        Source::Part(part.clone(), snapshot.hidden.concerning(&part.info, &request.tenant))
    };
    let heads: Vec<Arc<HeadUnit>> = snapshot.heads().cloned().collect();
    let heads = (0..).zip(heads).map(|(at, unit)| Source::Head(unit, at));
    let heads = heads.collect::<Vec<_>>().into_iter();
    let mut sources: Vec<Source> = Vec::with_capacity(parts.len() + 3);
    match request.order {
        Order::Any | Order::NewestFirst => {
            sources.extend(heads.rev());
            parts.sort_by_key(|part| std::cmp::Reverse(part.last()));
            sources.extend(parts.into_iter().map(of_part));
        }
        Order::OldestFirst => {
            parts.sort_by_key(|part| part.first());
            sources.extend(parts.into_iter().map(of_part));
            sources.extend(heads);
        }
    }
    sources
}

impl LogRead for Store {
    fn streams(
        &self,
        tenant: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &Cancel,
    ) -> Result<Vec<StreamStats>, ReadError> {
        streams::streams(&self.shared, tenant, matchers, range, cancel)
    }

    fn scan(&self, request: &ScanRequest, sink: &mut dyn RowSink) -> Result<ScanStats, ReadError> {
        let mut tally = Tally::default();
        let sources = sources(&self.shared, request, &mut tally.stats);
        if self.shared.pool.workers() > 1
            && let Some(fork) = sink.fork()
        {
            return share::scan(&self.shared, request, sources, sink, fork, tally);
        }
        let asked = Asked::new(request);
        let spent = AtomicU64::new(0);
        let mut progress = Progress::new(request, sink, &mut tally, &spent);
        let mut buffers = self.shared.pool.take_buffers()?;
        let walked = one_by_one(&self.shared, sources, &asked, &mut progress, &mut buffers);
        self.shared.pool.give_buffers(buffers);
        walked.map(|_| tally.finish())
    }
}

fn one_by_one(
    shared: &Shared,
    sources: Vec<Source>,
    asked: &Asked,
    progress: &mut Progress<'_>,
    buffers: &mut Buffers,
) -> Result<Flow, ReadError> {
    for source in sources {
        progress.check_cancel()?;
        match source {
            Source::Head(unit, heads_before) => {
                let plan = HeadPlan::new(&unit.head, heads_before, progress.request);
                for at in 0..plan.pieces.len() {
                    if plan.scan_piece(at, progress)? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
            }
            Source::Part(part, hidden) => {
                if !progress.wants(part.first(), part.last()) {
                    progress.stats.parts_pruned += 1;
                    continue;
                }
                let plan = PartPlan::new(shared, &part, hidden, asked, progress.request)?;
                if one_part(shared, &plan, progress, buffers)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
        }
    }
    Ok(Flow::Continue)
}

/// All of a part, on the calling thread.
fn one_part(
    shared: &Shared,
    plan: &PartPlan,
    progress: &mut Progress<'_>,
    buffers: &mut Buffers,
) -> Result<Flow, ReadError> {
    plan.note(progress.stats);
    let key = (plan.whole && !plan.blocks.is_empty()).then(|| plan.part.key());
    if key.is_some_and(|key| !progress.sink.begin_part(key)) {
        return Ok(Flow::Continue);
    }
    let (flow, complete) = blocks_of(shared, plan, progress, buffers)?;
    if let Some(key) = key.filter(|_| complete) {
        progress.sink.end_part(key);
    }
    Ok(flow)
}

/// Hands over the blocks of a part, and tells whether these were all of it.
fn blocks_of(
    shared: &Shared,
    plan: &PartPlan,
    progress: &mut Progress<'_>,
    buffers: &mut Buffers,
) -> Result<(Flow, bool), ReadError> {
    let mut complete = true;
    for block in &plan.blocks {
        if !progress.wants(block.first, block.last) {
            progress.check_cancel()?;
            progress.stats.blocks_pruned += 1;
            complete = false;
            continue;
        }
        if part_rows::scan_block(shared, plan, *block, progress, buffers)? == Flow::Stop {
            return Ok((Flow::Stop, false));
        }
    }
    Ok((Flow::Continue, complete))
}
