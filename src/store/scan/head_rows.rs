//! Rows out of a head.

use super::{Progress, matches};
use crate::model::Timestamp;
use crate::store::head::{EntryRef, Head, StreamRows};
use crate::store::read::{Flow, Order, ReadError, Rows};

/// Rows handed over at once, so that a sink with a limit can stop early.
const ROWS_MAX: usize = 8192;

struct HeadRows<'a> {
    stream: &'a StreamRows,
    refs: &'a [EntryRef],
    lines: bool,
}

impl Rows for HeadRows<'_> {
    fn len(&self) -> usize {
        self.refs.len()
    }
    fn ts(&self, row: usize) -> Timestamp {
        self.refs[row].ts
    }
    fn line(&self, row: usize) -> &str {
        if self.lines { self.stream.entry(self.refs[row]).line } else { "" }
    }
    fn line_bytes(&self, row: usize) -> usize {
        self.stream.entry(self.refs[row]).line.len()
    }
    fn metadata_len(&self, row: usize) -> usize {
        self.stream.entry(self.refs[row]).metadata_len
    }
    fn metadata(&self, row: usize, at: usize) -> (&str, &str) {
        self.stream.entry(self.refs[row]).metadata().nth(at).unwrap_or_default()
    }
}

pub(super) fn scan(head: &Head, progress: &mut Progress<'_>) -> Result<Flow, ReadError> {
    let request = progress.request;
    let streams = head.rows(request.range, &|tenant, meta| {
        matches(&request.tenant, &request.matchers, tenant, meta)
    });
    // Chunks of all streams, by the end that is wanted first.
    let mut chunks: Vec<(&StreamRows, &[EntryRef])> = streams
        .iter()
        .flat_map(|stream| stream.refs.chunks(ROWS_MAX).map(move |refs| (stream, refs)))
        .collect();
    match request.order {
        Order::Any => {}
        Order::OldestFirst => chunks.sort_by_key(|(_, refs)| refs.first().map(|entry| entry.ts)),
        Order::NewestFirst => {
            chunks.sort_by_key(|(_, refs)| std::cmp::Reverse(refs.last().map(|entry| entry.ts)));
        }
    }
    for (stream, refs) in chunks {
        progress.check_cancel()?;
        let (Some(first), Some(last)) = (refs.first(), refs.last()) else { continue };
        if !progress.wants(first.ts, last.ts) {
            progress.stats.blocks_pruned += 1;
            continue;
        }
        progress.stats.blocks += 1;
        progress.stats.rows += refs.len() as u64;
        let bytes = refs.iter().map(|entry| stream.entry(*entry).line.len() as u64).sum();
        progress.spend(bytes)?;
        progress.note_stream(stream.meta.id);
        let rows = HeadRows { stream, refs, lines: request.need_lines };
        if progress.sink.rows(&stream.meta, &rows)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Continue)
}
