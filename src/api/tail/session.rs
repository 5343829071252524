//! One tail from its first frame to its last. Lines are taken in whether or not the client
//! reads: what it does not take in time waits in the outbox, and what has no room there is
//! named to it.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::broadcast::error::RecvError;

use super::frame::{Form, frame};
use super::outbox::Outbox;
use super::seam::Seam;
use crate::api::{Api, ApiError, query};
use crate::limits;
use crate::model::{TimeRange, Timestamp};
use crate::query::syntax::Expr;
use crate::query::{LogRow, QueryData, QueryResult, TailFilter};
use crate::store::TailBatch;

/// WebSocket close code for "the server cannot do this" (RFC 6455, 7.4.1).
const CLOSE_INTERNAL: u16 = 1011;

/// Time for a last word to a client that may not be reading.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Entries looked at before others have their turn.
const ENTRIES_A_TURN: usize = 4096;

pub struct TailRequest {
    pub expr: Expr,
    pub tenant: String,
    pub start: Timestamp,
    /// Lines of history.
    pub limit: usize,
    pub form: Form,
}

/// Counts entries that lie between the batches that came.
#[derive(Default)]
struct Missed {
    /// Where the next batch begins, once one has come.
    expected: Option<u64>,
}

impl Missed {
    /// How many entries are missing before a batch that begins at `start`. Of the first one only
    /// those are known that nobody was given (`skipped`).
    fn before(&mut self, start: u64, entries: u64, skipped: u64) -> u64 {
        let known = self.expected.unwrap_or_else(|| start.saturating_sub(skipped));
        self.expected = Some(start + entries);
        start.saturating_sub(known)
    }
}

/// What a tail has taken in and not yet sent.
struct Session {
    tenant: String,
    filter: TailFilter,
    outbox: Outbox,
    seam: Seam,
    missed: Missed,
}

async fn close(mut sink: SplitSink<WebSocket, Message>, reason: &str) {
    let frame = CloseFrame { code: CLOSE_INTERNAL, reason: reason.to_owned().into() };
    let _ = tokio::time::timeout(CLOSE_WAIT, sink.send(Message::Close(Some(frame)))).await;
}

pub async fn run(api: Arc<Api>, tail: TailRequest, socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let filter = match TailFilter::new(&tail.expr) {
        Ok(filter) => filter,
        Err(error) => return close(sink, &error.to_string()).await,
    };
    // Subscribed before history is read, and history reaches as far as there are lines: an entry
    // is in one of them or in both, never in none.
    let mut live = api.ingest.subscribe();
    let range = TimeRange::new(tail.start, Timestamp::MAX);
    let (expr, limit, form) = (tail.expr, tail.limit, tail.form);
    let history = query::blocking(&api, tail.tenant.clone(), "tail", move |api, context| {
        query::history(api, expr, range, limit.max(1), context)
    });
    tokio::pin!(history);
    let mut reads_history = limit > 0;
    let mut session = Session {
        tenant: tail.tenant,
        filter,
        outbox: Outbox::new(api.tails.room.clone()),
        seam: Seam::default(),
        missed: Missed::default(),
    };
    let ends = tokio::time::sleep(Duration::from_secs(limits::TAIL_SECS_MAX));
    tokio::pin!(ends);
    let mut ping = tokio::time::interval(Duration::from_secs(1));
    let mut ping_is_due = false;
    let mut is_flushed = true;
    let mut written_at = Instant::now();
    loop {
        // Nothing live may be sent before history.
        let has_lines = !reads_history && !session.outbox.is_empty();
        let writes = ping_is_due || has_lines;
        tokio::select! {
            () = &mut ends => return close(sink, "reached tail max duration limit").await,
            _ = ping.tick() => {
                let now = Instant::now();
                session.seam.tick(now);
                // A ping waits for longer than pings may: the client takes nothing.
                let stuck = now.duration_since(written_at).as_secs() >= limits::TAIL_STUCK_SECS_MAX;
                if ping_is_due && stuck {
                    return;
                }
                ping_is_due = true;
            }
            message = stream.next() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            found = &mut history, if reads_history => match found {
                Ok(found) => {
                    reads_history = false;
                    session.begin(found);
                }
                Err(ApiError { message, .. }) => return close(sink, &message).await,
            },
            received = live.recv() => match received {
                Ok(batch) => session.take_in(&batch).await,
                // The next batch tells how many entries that were.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return close(sink, "the server is stopping").await,
            },
            ready = poll_fn(|cx| match writes {
                true => sink.poll_ready_unpin(cx),
                false => sink.poll_flush_unpin(cx),
            }), if writes || !is_flushed => {
                if ready.is_err() {
                    return;
                }
                is_flushed = !writes;
                if !writes {
                    continue;
                }
                let message = if std::mem::take(&mut ping_is_due) {
                    Message::Ping(Default::default())
                } else {
                    let (rows, dropped) = session.outbox.next();
                    Message::Text(frame(&rows, form, &dropped).into())
                };
                if sink.start_send_unpin(message).is_err() {
                    return;
                }
                written_at = Instant::now();
            }
        }
    }
}

impl Session {
    /// Puts history in front of what came while it was read.
    fn begin(&mut self, found: QueryResult) {
        let QueryData::Streams(mut rows) = found.data else { return };
        rows.reverse();
        self.seam = Seam::new(&rows, Instant::now());
        self.outbox.retain_live(|row| self.seam.is_new(row));
        self.outbox.begin_with(rows);
    }

    async fn take_in(&mut self, batch: &TailBatch) {
        // What is missing between two batches, whoever's it is: a filter cannot be asked about
        // entries that are gone.
        let entries = batch.entries() as u64;
        self.outbox.miss(self.missed.before(batch.before, entries, batch.skipped));
        if batch.tenant != self.tenant {
            return;
        }
        let mut rows: Vec<LogRow> = Vec::new();
        let mut looked_at = 0;
        for stream in &batch.streams {
            if !self.filter.selects(&stream.labels) {
                continue;
            }
            for entry in &stream.entries {
                rows.extend(self.filter.filter(&stream.labels, entry));
                looked_at += 1;
                if looked_at == ENTRIES_A_TURN {
                    looked_at = 0;
                    self.give(&mut rows);
                    tokio::task::yield_now().await;
                }
            }
        }
        self.give(&mut rows);
    }

    fn give(&mut self, rows: &mut Vec<LogRow>) {
        rows.sort_by_key(|row| row.ts);
        for row in rows.drain(..) {
            if self.seam.is_new(&row) {
                self.outbox.push(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_between_batches_are_counted() {
        let mut missed = Missed::default();
        assert_eq!(missed.before(100, 10, 3), 3);
        assert_eq!(missed.before(110, 5, 0), 0);
        assert_eq!(missed.before(200, 1, 7), 85);
        assert_eq!(missed.before(201, 1, 0), 0);
    }
}
