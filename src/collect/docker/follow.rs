//! Reads the log of one container, over as many streams as it takes, until it is removed.

use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::body::Incoming;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::assemble::Assembler;
use super::client::{ApiError, Client, next_chunk};
use super::container::{Container, Inspected};
use super::frames::{Frame, FrameDecoder, Framing, Stream, split_timestamp};
use crate::collect::backoff::Backoff;
use crate::collect::batch::{Shutdown, stopped};
use crate::collect::context::SourceContext;
use crate::collect::settings::Start;
use crate::collect::status::SourceState;
use crate::model::Entry;

/// What has been read is handed on when this much has come, or when nothing more comes.
const PIECE_BYTES: usize = 64 * 1024;
const PIECE_WAIT: Duration = Duration::from_millis(100);
/// A stream that shows nothing for so long has caught up.
const CAUGHT_UP: Duration = Duration::from_millis(300);
/// After so much silence the newest line is asked for, as streams are known to freeze.
const SILENCE: Duration = Duration::from_secs(60);

/// Entries of one container, and its position after them.
#[derive(Debug)]
pub(super) struct Piece {
    pub container: Arc<Container>,
    pub entries: Vec<(Stream, Entry)>,
    pub position: Option<String>,
}

/// What all followers of a source share.
#[derive(Clone)]
pub(super) struct Follow {
    pub ctx: SourceContext,
    pub client: Client,
    pub pieces: mpsc::Sender<Piece>,
    /// Bounds how many logs are caught up on at once.
    pub catchups: Arc<Semaphore>,
    /// What to read of a container without a position.
    pub start: Start,
}

/// How a stream came to its end.
#[derive(Debug)]
enum End {
    Eof,
    Failed(ApiError),
    Frozen,
    Stopped,
}

impl Follow {
    /// Runs until the container is gone or the source stops. `woken` says that the container
    /// may have started. Gives the last position, for a follower that takes over.
    pub async fn run(
        self,
        container: Arc<Container>,
        position: Option<String>,
        woken: Arc<Notify>,
        mut shutdown: Shutdown,
    ) -> Option<String> {
        let mut assembler = self.restore(&container, position);
        self.read_all(&container, &mut assembler, &woken, &mut shutdown).await;
        assembler.position(self.ctx.clock.now_ns())
    }

    fn restore(&self, container: &Container, position: Option<String>) -> Assembler {
        let position = position.or_else(|| self.ctx.positions.get(&container.key()));
        let known = position.as_deref().map(|text| Assembler::restore(text).ok_or(()));
        if known.as_ref().is_some_and(Result::is_err) {
            tracing::warn!(container = %container.name, "position cannot be read; begun anew");
        }
        let mut assembler = known.and_then(Result::ok).unwrap_or_default();
        assembler.set_rule(container.rule.clone());
        assembler
    }

    async fn read_all(
        &self,
        container: &Arc<Container>,
        assembler: &mut Assembler,
        woken: &Notify,
        shutdown: &mut Shutdown,
    ) {
        let mut backoff = Backoff::default();
        if assembler.newest_ns().is_some()
            && let Ok(state) = self.inspect(&container.id).await
            && !state.is_running()
            && state.finished_ns().is_some_and(|ns| assembler.is_drained(ns))
        {
            // Reading it again would make the engine decode all of its files for nothing.
            self.ctx.status.target(&container.id, &container.name, |target| {
                target.state = SourceState::Running;
            });
            tokio::select! {
                () = woken.notified() => {}
                () = stopped(shutdown) => return,
            }
        }
        loop {
            let began = Instant::now();
            let accepted = assembler.accepted;
            let end = self.read(container, assembler, shutdown).await;
            if assembler.accepted != accepted || began.elapsed() > Duration::from_secs(10) {
                backoff.reset();
            }
            let wait = match end {
                End::Stopped => {
                    self.finish(container, assembler).await;
                    return;
                }
                End::Eof => match self.inspect(&container.id).await {
                    Ok(state) if state.is_running() => Wait::Backoff,
                    Ok(state) => {
                        if !self.read_rest(container, assembler, shutdown, &state).await {
                            return;
                        }
                        Wait::Start
                    }
                    Err(error) if error.code() == Some(404) => Wait::Gone,
                    Err(_) => Wait::Backoff,
                },
                End::Frozen => Wait::Backoff,
                End::Failed(error) => self.judge(container, &error),
            };
            match wait {
                Wait::Gone => {
                    self.finish(container, assembler).await;
                    return;
                }
                Wait::Backoff => {
                    self.ctx.tally.reconnects.inc();
                    tokio::select! {
                        () = tokio::time::sleep(backoff.next()) => {}
                        () = stopped(shutdown) => {
                            self.finish(container, assembler).await;
                            return;
                        }
                    }
                }
                Wait::Start => {
                    tokio::select! {
                        () = woken.notified() => {}
                        () = stopped(shutdown) => return,
                    }
                }
            }
        }
    }

    fn judge(&self, container: &Container, error: &ApiError) -> Wait {
        match error.code() {
            Some(404 | 409) => Wait::Gone,
            // A logging driver that keeps nothing to read.
            Some(501) => {
                let message = format!("its logging driver cannot be read ({error})");
                tracing::warn!(container = %container.name, "logging driver cannot be read");
                self.fail(container, SourceState::Unreadable, message);
                Wait::Start
            }
            _ => {
                self.ctx.tally.errors.inc();
                self.fail(container, SourceState::Waiting, error.to_string());
                Wait::Backoff
            }
        }
    }

    fn fail(&self, container: &Container, state: SourceState, message: String) {
        self.ctx.status.target(&container.id, &container.name, |target| {
            target.state = state;
            target.last_error = Some(message);
        });
    }

    async fn inspect(&self, id: &str) -> Result<Inspected, ApiError> {
        self.client.inspect(id).await
    }

    /// The process has ended: what was written last may have come after the stream's end.
    /// False when the source stops.
    async fn read_rest(
        &self,
        container: &Arc<Container>,
        assembler: &mut Assembler,
        shutdown: &mut Shutdown,
        state: &Inspected,
    ) -> bool {
        let end = self.read(container, assembler, shutdown).await;
        self.finish(container, assembler).await;
        if let (End::Eof, Some(finished_ns)) = (&end, state.finished_ns()) {
            assembler.set_drained(finished_ns);
            self.send(container, assembler, Vec::new()).await;
        }
        !matches!(end, End::Stopped)
    }

    async fn finish(&self, container: &Arc<Container>, assembler: &mut Assembler) {
        let mut entries = Vec::new();
        assembler.flush(self.ctx.clock.now_ns(), &mut entries);
        self.hand_on(container, assembler, &mut entries).await;
    }

    fn logs_path(&self, container: &Container, assembler: &Assembler) -> String {
        let now_ns = self.ctx.clock.now_ns();
        let id = &container.id;
        let base = format!("/containers/{id}/logs?follow=1&stdout=1&stderr=1&timestamps=1");
        let since = |ns: i64| {
            let (secs, nanos) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000));
            format!("{base}&since={secs}.{nanos:09}")
        };
        match (assembler.since_ns(), self.start) {
            (Some(since_ns), _) => since(since_ns),
            (None, Start::Beginning) => base,
            (None, Start::End) => since(now_ns),
            (None, Start::Tail(lines)) => format!("{base}&tail={lines}"),
            (None, Start::Within(age)) => {
                let age_ns = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
                since(now_ns.saturating_sub(age_ns).max(0))
            }
        }
    }

    /// Reads one stream to its end.
    async fn read(
        &self,
        container: &Arc<Container>,
        assembler: &mut Assembler,
        shutdown: &mut Shutdown,
    ) -> End {
        let permit = tokio::select! {
            permit = self.catchups.acquire() => permit.ok(),
            () = stopped(shutdown) => return End::Stopped,
        };
        let path = self.logs_path(container, assembler);
        // Asked at the same time: a container that lives for a moment may be gone before a
        // second question.
        let both = async { tokio::join!(self.client.open(&path), self.inspect(&container.id)) };
        let (response, inspected) = tokio::select! {
            both = both => both,
            () = stopped(shutdown) => return End::Stopped,
        };
        let response = match response {
            Ok(response) => response,
            Err(error) => return End::Failed(error),
        };
        let terminal = match content_framing(&response) {
            Some(framing) => framing == Framing::Terminal,
            None => inspected.as_ref().is_ok_and(Inspected::has_terminal),
        };
        let running = inspected.as_ref().is_ok_and(Inspected::is_running);
        self.ctx.status.target(&container.id, &container.name, |target| {
            target.state = SourceState::Running;
            target.last_error = container.complaint.clone();
        });
        assembler.begin_stream(terminal);
        let framing = if terminal { Framing::Terminal } else { Framing::Multiplexed };
        let mut reading = Reading {
            follow: self,
            container,
            assembler,
            decoder: FrameDecoder::new(framing),
            entries: Vec::new(),
            bytes: 0,
            moved: false,
        };
        let end = reading.until_end(response.into_body(), permit, shutdown).await;
        if matches!(end, End::Eof) && !running {
            // The last line of a terminal that was closed in the middle of it.
            if let Some(Frame::Log { stream, body }) = reading.decoder.finish() {
                let now_ns = self.ctx.clock.now_ns();
                reading.assembler.message(stream, &body, now_ns, &mut reading.entries);
            }
        }
        reading.hand_on().await;
        end
    }

    async fn hand_on(
        &self,
        container: &Arc<Container>,
        assembler: &mut Assembler,
        entries: &mut Vec<(Stream, Entry)>,
    ) {
        if entries.is_empty() {
            return;
        }
        self.send(container, assembler, std::mem::take(entries)).await;
    }

    async fn send(
        &self,
        container: &Arc<Container>,
        assembler: &mut Assembler,
        entries: Vec<(Stream, Entry)>,
    ) {
        self.ctx.tally.truncated.inc_by(std::mem::take(&mut assembler.cut_lines));
        let position = assembler.position(self.ctx.clock.now_ns());
        // Without a receiver the source is stopping.
        let _ = self.pieces.send(Piece { container: container.clone(), entries, position }).await;
    }

    /// Whether the engine has a newer line than the stream has shown.
    async fn is_frozen(&self, container: &Container, newest_ns: Option<i64>) -> bool {
        let path =
            format!("/containers/{}/logs?stdout=1&stderr=1&timestamps=1&tail=1", container.id);
        let newest = async {
            let response = self.client.open(&path).await?;
            let framing = content_framing(&response).unwrap_or(Framing::Multiplexed);
            let mut decoder = FrameDecoder::new(framing);
            let mut frames = Vec::new();
            let mut body = response.into_body();
            while let Some(chunk) = next_chunk(&mut body).await? {
                decoder.push(&chunk, &mut frames);
            }
            Ok::<_, ApiError>(frames)
        };
        let Ok(Ok(frames)) = timeout(Duration::from_secs(10), newest).await else { return true };
        frames.iter().any(|frame| match frame {
            Frame::Log { body, .. } => {
                split_timestamp(body).is_some_and(|(ts, _)| Some(ts) > newest_ns)
            }
            Frame::SystemError(_) | Frame::Garbage => false,
        })
    }
}

enum Wait {
    Backoff,
    /// Until the container is started again.
    Start,
    Gone,
}

/// One stream while it is read.
struct Reading<'a> {
    follow: &'a Follow,
    container: &'a Arc<Container>,
    assembler: &'a mut Assembler,
    decoder: FrameDecoder,
    entries: Vec<(Stream, Entry)>,
    bytes: usize,
    moved: bool,
}

impl Reading<'_> {
    async fn until_end(
        &mut self,
        mut body: Incoming,
        permit: Option<tokio::sync::SemaphorePermit<'_>>,
        shutdown: &mut Shutdown,
    ) -> End {
        let mut permit = permit;
        let opened = Instant::now();
        let mut heard = Instant::now();
        let mut frames = Vec::new();
        loop {
            let waiting = !self.entries.is_empty() || self.assembler.is_holding();
            let patience = if waiting {
                PIECE_WAIT
            } else if permit.is_some() {
                CAUGHT_UP
            } else {
                SILENCE
            };
            let chunk = tokio::select! {
                chunk = timeout(patience, next_chunk(&mut body)) => chunk,
                () = stopped(shutdown) => return End::Stopped,
            };
            let now_ns = self.follow.ctx.clock.now_ns();
            match chunk {
                Ok(Ok(Some(chunk))) => {
                    heard = Instant::now();
                    self.decoder.push(&chunk, &mut frames);
                    for frame in frames.drain(..) {
                        match frame {
                            Frame::Log { stream, body } => {
                                self.bytes += body.len();
                                self.moved = true;
                                let entries = &mut self.entries;
                                self.assembler.message(stream, &body, now_ns, entries);
                            }
                            Frame::SystemError(message) => {
                                return End::Failed(ApiError::Broken(message));
                            }
                            Frame::Garbage => {
                                let message = "what came is no log stream".to_owned();
                                return End::Failed(ApiError::Broken(message));
                            }
                        }
                    }
                    if self.bytes >= PIECE_BYTES {
                        self.hand_on().await;
                    }
                    // A log that grows faster than it is read must not keep others waiting.
                    let caught_up = self
                        .assembler
                        .newest_ns()
                        .is_some_and(|newest_ns| now_ns.saturating_sub(newest_ns) < 1_000_000_000);
                    if caught_up && opened.elapsed() > CAUGHT_UP {
                        permit = None;
                    }
                }
                Ok(Ok(None)) => return End::Eof,
                Ok(Err(error)) => return End::Failed(error),
                Err(_) => {
                    self.assembler.flush_idle(now_ns, &mut self.entries);
                    self.hand_on().await;
                    if heard.elapsed() >= CAUGHT_UP {
                        permit = None;
                    }
                    if heard.elapsed() >= SILENCE {
                        let newest_ns = self.assembler.newest_ns();
                        if self.follow.is_frozen(self.container, newest_ns).await {
                            return End::Frozen;
                        }
                        heard = Instant::now();
                    }
                }
            }
        }
    }

    async fn hand_on(&mut self) {
        self.bytes = 0;
        self.follow.hand_on(self.container, self.assembler, &mut self.entries).await;
    }
}

/// Newer engines say how the stream is framed.
fn content_framing(response: &Response<Incoming>) -> Option<Framing> {
    match response.headers().get("content-type")?.to_str().ok()? {
        "application/vnd.docker.multiplexed-stream" => Some(Framing::Multiplexed),
        // Older engines say this of both kinds.
        _ => None,
    }
}
