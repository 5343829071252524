//! Rows out of a head.

use std::cmp::Reverse;
use std::ops::Range;

use super::sieve::Sieve;
use super::{Progress, matches};
use crate::model::Timestamp;
use crate::store::head::{EntryRef, Head, StreamRows};
use crate::store::read::{Flow, Order, ReadError, Rows, ScanRequest};

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

/// What a scan reads of a head: pieces of streams in the order that was wished for.
pub(super) struct HeadPlan {
    streams: Vec<StreamRows>,
    /// Which stream, and which of its entries.
    pub pieces: Vec<(usize, Range<usize>)>,
    heads_before: u64,
}

/// Numbers of arrival: heads are behind all parts.
const HEADS: u64 = 1 << 62;
const HEAD_BITS: u32 = 48;
const STREAM_BITS: u32 = 24;

impl HeadPlan {
    pub fn new(head: &Head, heads_before: u64, request: &ScanRequest) -> HeadPlan {
        let mut streams = head.rows(request.range, &|tenant, meta| {
            matches(&request.tenant, &request.matchers, tenant, meta)
        });
        if let Some(sieve) = Sieve::new(&request.hints) {
            sieve.keep(&mut streams, head.totals().entries);
        }
        let mut pieces = Vec::new();
        for (at, stream) in streams.iter().enumerate() {
            let rows = stream.refs.len();
            pieces.extend(
                (0..rows).step_by(ROWS_MAX).map(|from| (at, from..rows.min(from + ROWS_MAX))),
            );
        }
        let ts = |at: usize, row: usize| {
            streams.get(at).and_then(|stream| stream.refs.get(row)).map(|entry| entry.ts)
        };
        match request.order {
            Order::Any => {}
            Order::OldestFirst => pieces.sort_by_cached_key(|(at, rows)| ts(*at, rows.start)),
            Order::NewestFirst => {
                pieces.sort_by_cached_key(|(at, rows)| Reverse(ts(*at, rows.end - 1)));
            }
        }
        HeadPlan { streams, pieces, heads_before }
    }

    fn arrival(&self, at: usize) -> u64 {
        let (stream, piece) = self
            .pieces
            .get(at)
            .map_or((0, 0), |(stream, rows)| (*stream as u64, (rows.start / ROWS_MAX) as u64));
        HEADS + (self.heads_before << HEAD_BITS) + (stream << STREAM_BITS) + piece
    }

    pub fn scan_piece(&self, at: usize, progress: &mut Progress<'_>) -> Result<Flow, ReadError> {
        progress.check_cancel()?;
        let piece = self.pieces.get(at).and_then(|(stream, rows)| {
            let stream = self.streams.get(*stream)?;
            Some((stream, stream.refs.get(rows.clone())?))
        });
        let Some((stream, refs)) = piece else { return Ok(Flow::Continue) };
        let (Some(first), Some(last)) = (refs.first(), refs.last()) else {
            return Ok(Flow::Continue);
        };
        if !progress.wants(first.ts, last.ts) {
            progress.stats.blocks_pruned += 1;
            return Ok(Flow::Continue);
        }
        let request = progress.request;
        progress.stats.blocks += 1;
        progress.stats.rows += refs.len() as u64;
        if request.need_lines || request.need_line_bytes {
            let bytes = refs.iter().map(|entry| stream.entry(*entry).line.len() as u64).sum();
            progress.spend(bytes)?;
        }
        // Adding it up takes time, which is lost where there is no bound.
        if request.need_metadata && request.bytes_max < u64::MAX {
            let bytes_of = |entry| {
                let pairs = stream.entry(entry);
                pairs.metadata().map(|(name, value)| (name.len() + value.len()) as u64).sum::<u64>()
            };
            progress.charge(refs.iter().map(|entry| bytes_of(*entry)).sum())?;
        }
        progress.note_stream(stream.meta.id);
        progress.sink.block(self.arrival(at));
        let rows = HeadRows { stream, refs, lines: request.need_lines };
        progress.sink.rows(&stream.meta, &rows)
    }
}
