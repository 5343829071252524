//! Live tails over a WebSocket: history first, then entries as they reach the disk.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Extension;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use tokio::sync::broadcast::error::RecvError;

use super::access::Tenant;
use super::error::ApiError;
use super::params::Params;
use super::{Api, encode, query};
use crate::limits;
use crate::model::{Labels, TimeRange, Timestamp};
use crate::query::syntax::{self, Expr};
use crate::query::{Categorize, LogRow, QueryData, TailFilter, group_streams};

/// WebSocket close code for "the server cannot do this" (RFC 6455, 7.4.1).
const CLOSE_INTERNAL: u16 = 1011;

struct TailRequest {
    expr: Expr,
    tenant: String,
    range: TimeRange,
    limit: usize,
    form: Form,
}

/// What frames look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Streams(Categorize),
    /// That of `/api/prom/tail`.
    Legacy,
}

pub async fn tail(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let is_legacy = request.uri().path().starts_with("/api/prom/");
    let params = {
        use axum::extract::FromRequest as _;
        Params::from_request(request, &()).await?
    };
    let expr = syntax::parse(params.query()?)?;
    let upgrade = upgrade.map_err(|_| ApiError::bad_request("Bad Request"))?;
    let delay_secs: i64 = params.number("delay_for", 0)?;
    if delay_secs < 0 {
        return Err(ApiError::bad_request(format!(
            "delay_for value {delay_secs} is out of range [0, {}]",
            u32::MAX
        )));
    }
    if delay_secs > 5 {
        return Err(ApiError::bad_request("delay_for can't be greater than 5"));
    }
    let now = Timestamp(api.clock.now_ns());
    let start = params.bound("start", now.saturating_add_ns(-3_600_000_000_000))?;
    // Loki knows no tail without history; here 0 is one.
    let limit = if params.get("limit") == Some("0") { 0 } else { params.positive("limit", 100)? };
    let limit = limit.min(query::query_limits(&api).entries_max);
    let tails_max = api.limits.load().max_concurrent_tail_requests;
    let (place, tails) = Place::take(&api);
    if tails_max > 0 && tails > tails_max {
        return Err(ApiError::bad_request(format!(
            "max concurrent tail requests limit exceeded, count > limit ({tails} > {tails_max})"
        )));
    }
    let categorize = query::EncodingFlags::of(&headers).categorize();
    // A start that lies further back than queries may reach begins where they do.
    let length_max_ns = match api.limits.load().max_query_length.ns() {
        0 => i64::MAX,
        length => length,
    };
    let start = start.max(now.saturating_add_ns(-length_max_ns));
    let range = TimeRange::new(start, now.saturating_add_ns(1));
    let form = if is_legacy { Form::Legacy } else { Form::Streams(categorize) };
    let tail = TailRequest { expr, tenant, range, limit, form };
    Ok(upgrade
        .on_upgrade(move |socket| async move {
            let _place = place;
            run(api, tail, socket).await;
        })
        .into_response())
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

/// One of the bounded number of tails.
struct Place(Arc<Api>);

impl Place {
    /// The place, and how many are taken with it.
    fn take(api: &Arc<Api>) -> (Place, usize) {
        let before = api.tails.fetch_add(1, Ordering::Relaxed);
        (Place(api.clone()), before + 1)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.tails.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn close(mut socket: WebSocket, reason: &str) {
    let frame = CloseFrame { code: CLOSE_INTERNAL, reason: reason.to_owned().into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
}

async fn run(api: Arc<Api>, tail: TailRequest, mut socket: WebSocket) {
    let mut filter = match TailFilter::new(&tail.expr) {
        Ok(filter) => filter,
        Err(error) => return close(socket, &error.to_string()).await,
    };
    // Subscribed before history is read: an entry is in one of them or in both, never in none.
    let mut live = api.ingest.subscribe();
    let (expr, range, limit) = (tail.expr, tail.range, tail.limit);
    let history = query::blocking(&api, tail.tenant.clone(), "tail", move |api, context| {
        // Entries may have been stored after `range` was taken; they are live ones as well.
        query::history(api, expr, range, limit.max(1), context)
    })
    .await;
    let mut rows = match history {
        Ok(result) => match result.data {
            QueryData::Streams(rows) => rows,
            _ => Vec::new(),
        },
        Err(error) => return close(socket, &error.message).await,
    };
    rows.reverse();
    if limit == 0 {
        rows.clear();
    }
    let newest = range.end;
    let mut seen: HashSet<(Labels, i64, String)> =
        rows.iter().map(|row| (row.stream.clone(), row.ts.0, row.line.clone())).collect();
    if send_rows(&mut socket, &rows, tail.form, 0).await.is_err() {
        return;
    }
    let mut missed = Missed::default();
    let ends = tokio::time::sleep(Duration::from_secs(limits::TAIL_SECS_MAX));
    tokio::pin!(ends);
    let mut ping = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = &mut ends => return close(socket, "reached tail max duration limit").await,
            _ = ping.tick() => {
                if socket.send(Message::Ping(Default::default())).await.is_err() {
                    return;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            received = live.recv() => {
                let mut rows = Vec::new();
                let mut dropped = 0;
                let mut next = Some(received);
                // Everything that is already there goes out in one turn.
                while let Some(batch) = next.take() {
                    match batch {
                        Ok(batch) => {
                            // What is missing between two batches, whoever's it is: a filter
                            // cannot be asked about entries that are gone.
                            dropped += missed.before(batch.before, batch.entries() as u64, batch.skipped);
                            if batch.tenant == tail.tenant {
                                for stream in &batch.streams {
                                    for entry in &stream.entries {
                                        rows.extend(filter.filter(&stream.labels, entry));
                                    }
                                }
                            }
                        }
                        // The next batch tells how many entries that were.
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return close(socket, "the server is stopping").await,
                    }
                    if rows.len() < limits::TAIL_FRAME_ENTRIES_MAX * 10 {
                        next = live.try_recv().ok().map(Ok);
                    }
                }
                rows.retain(|row| {
                    row.ts >= newest
                        || seen.is_empty()
                        || !seen.remove(&(row.stream.clone(), row.ts.0, row.line.clone()))
                });
                rows.sort_by_key(|row| row.ts);
                if send_rows(&mut socket, &rows, tail.form, dropped).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn send_rows(
    socket: &mut WebSocket,
    rows: &[LogRow],
    form: Form,
    dropped: u64,
) -> Result<(), axum::Error> {
    let mut dropped = dropped;
    let mut chunks = rows.chunks(limits::TAIL_FRAME_ENTRIES_MAX);
    loop {
        let chunk = chunks.next().unwrap_or_default();
        if chunk.is_empty() && dropped == 0 {
            return Ok(());
        }
        socket.send(Message::Text(frame(chunk, form, dropped).into())).await?;
        dropped = 0;
    }
}

/// One frame in Loki's form; each entry is a stream object of its own.
fn frame(rows: &[LogRow], form: Form, dropped: u64) -> String {
    let mut out = String::from("{\"streams\":[");
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let Form::Streams(categorize) = form else {
            encode::legacy_group(&mut out, std::slice::from_ref(row), Categorize::No);
            continue;
        };
        out.push_str("{\"stream\":");
        for group in group_streams(std::slice::from_ref(row), categorize) {
            encode::pairs(&mut out, group.labels.iter().copied());
        }
        out.push_str(",\"values\":[");
        encode::entry(&mut out, row, categorize);
        out.push_str("]}");
    }
    out.push(']');
    if dropped > 0 {
        // Loki names each entry; of those that were never looked at there is only a number.
        let _ = write!(
            out,
            ",\"dropped_entries\":[{{\"timestamp\":\"0\",\"labels\":{{\"dropped\":\"{dropped}\"}}}}]"
        );
    }
    if form == Form::Streams(Categorize::Yes) {
        out.push_str(",\"encodingFlags\":[\"categorize-labels\"]");
    }
    out.push('}');
    out
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

    #[test]
    fn frames_say_what_is_missing() {
        assert_eq!(
            frame(&[], Form::Streams(Categorize::No), 7),
            r#"{"streams":[],"dropped_entries":[{"timestamp":"0","labels":{"dropped":"7"}}]}"#
        );
        assert_eq!(frame(&[], Form::Legacy, 0), r#"{"streams":[]}"#);
    }
}
