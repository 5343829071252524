//! Finds containers by list and events, and runs a follower for each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

use super::client::{ApiError, Client, Endpoint};
use super::container::{Container, KEY_PREFIX, ListedContainer, key};
use super::engine::Filters;
use super::events::Events;
use super::filter::DockerFilter;
use super::follow::{Follow, Piece};
use super::own;
use super::ring::Ring;
use crate::collect::backoff::Backoff;
use crate::collect::batch::{Shutdown, SourceBatch, stopped};
use crate::collect::context::SourceContext;
use crate::collect::settings::Start;
use crate::collect::status::SourceState;
use crate::limits::{DOCKER_CATCHUPS_MAX, SOURCE_BATCH_BYTES_MAX};
use crate::model::{Batch, Position};
use crate::text::multiline::MultilineRule;

/// The list is compared with what is being read this often, should an event have been missed.
const RECONCILE: Duration = Duration::from_secs(30);
/// Lines of all containers are put together for this long, so that many containers with few
/// lines do not make many small batches.
const GATHER: Duration = Duration::from_millis(100);
const PIECES_MAX: usize = 64;
/// Positions of removed containers are kept this long.
const KEEP_NS: i64 = 7 * 24 * 3600 * 1_000_000_000;
/// What is read of containers that were there before the very first start.
const FIRST_START: Duration = Duration::from_secs(24 * 3600);

pub(in crate::collect) struct DockerSettings {
    pub endpoint: Endpoint,
    pub filter: DockerFilter,
    pub rule: Option<MultilineRule>,
    pub start: Option<Start>,
    /// Filters for the engine: name and values.
    pub api_filters: Vec<(String, Vec<String>)>,
}

/// The containers of one engine.
pub struct DockerSource {
    pub(in crate::collect) ctx: SourceContext,
    settings: DockerSettings,
}

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "Name")]
    name: Option<String>,
}

impl DockerSource {
    pub(in crate::collect) fn new(ctx: SourceContext, settings: DockerSettings) -> Self {
        DockerSource { ctx, settings }
    }

    /// Reads until told to stop. What is held is delivered before it returns.
    pub async fn run(self, out: mpsc::Sender<SourceBatch>, shutdown: Shutdown) {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let gather = gather(self.ctx.clone(), pieces, &out);
        let status = self.ctx.status.clone();
        let manage = async {
            // When nobody takes batches any more, reading on is of no use.
            tokio::select! {
                () = Manager::new(self, sender).run(&out, shutdown) => {}
                () = out.closed() => {}
            }
        };
        tokio::join!(gather, manage);
        status.set_state(SourceState::Stopped);
    }
}

struct Manager {
    ctx: SourceContext,
    settings: DockerSettings,
    follow: Follow,
    own_id: Option<String>,
    host: String,
    tasks: JoinSet<(String, Option<String>)>,
    /// Where followers that have ended stood, should the container be read further.
    left_at: HashMap<String, String>,
    running: HashMap<String, Running>,
    /// Containers that filters leave out, so that they are not looked at with each list.
    left_out: HashSet<String>,
    events_since_ns: i64,
}

struct Running {
    woken: Arc<Notify>,
    stop: tokio::sync::watch::Sender<bool>,
    was_running: bool,
}

impl Manager {
    fn new(source: DockerSource, pieces: mpsc::Sender<Piece>) -> Self {
        let DockerSource { ctx, settings } = source;
        let client = Client::new(settings.endpoint.clone());
        let first_ever = ctx.positions.list(KEY_PREFIX).is_empty();
        let start = match settings.start {
            Some(start) => start,
            None if first_ever => Start::Within(FIRST_START),
            // Whatever has no position has come since the last run.
            None => Start::Beginning,
        };
        let follow = Follow {
            ctx: ctx.clone(),
            client,
            pieces,
            catchups: Arc::new(Semaphore::new(DOCKER_CATCHUPS_MAX)),
            start,
        };
        Manager {
            host: ctx.host.to_string(),
            events_since_ns: ctx.clock.now_ns(),
            own_id: own::container_id(),
            ctx,
            settings,
            follow,
            tasks: JoinSet::new(),
            left_at: HashMap::new(),
            running: HashMap::new(),
            left_out: HashSet::new(),
        }
    }

    async fn run(mut self, out: &mpsc::Sender<SourceBatch>, mut shutdown: Shutdown) {
        let mut backoff = Backoff::default();
        let mut told = false;
        let mut first = true;
        loop {
            let result = tokio::select! {
                result = self.session(out, &mut first, &mut backoff) => result,
                () = stopped(&mut shutdown) => break,
            };
            let message = match result {
                // Proxies cut streams that are quiet; nothing is lost by it.
                Ok(()) => "the event stream ended".to_owned(),
                Err(error) => {
                    self.ctx.status.fail(SourceState::Waiting, error.to_string());
                    error.to_string()
                }
            };
            if !told && first {
                tracing::warn!(source = %self.ctx.name, error = %message, "waiting for the container engine");
                told = true;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = stopped(&mut shutdown) => break,
            }
        }
        for task in self.running.values() {
            task.stop.send_replace(true);
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// Watches the engine until the connection breaks.
    async fn session(
        &mut self,
        out: &mpsc::Sender<SourceBatch>,
        first: &mut bool,
        backoff: &mut Backoff,
    ) -> Result<(), ApiError> {
        // First the events, then the list: what happens in between is seen twice, not never.
        let mut events = Events::open(&self.follow.client, self.events_since_ns).await?;
        if let Ok(Info { name: Some(name) }) = self.follow.client.info::<Info>().await {
            self.host = name;
        }
        self.reconcile().await?;
        self.ctx.status.set_state(SourceState::Running);
        if std::mem::take(first) {
            self.forget_positions(out).await;
        }
        let mut ticks = interval_at(Instant::now() + RECONCILE, RECONCILE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event? else { return Ok(()) };
                    backoff.reset();
                    self.events_since_ns =
                        event.time_ns.unwrap_or(0).max(self.events_since_ns);
                    let Some(id) = event.container_id() else { continue };
                    self.happened(event.action(), id).await?;
                }
                _ = ticks.tick() => self.reconcile().await?,
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Ok((id, last)) = done {
                        self.ended(&id, last);
                        // Renamed containers go on under their new name.
                        self.meet_listed(&self.list(Some(by_id(&id))).await?);
                    }
                }
            }
        }
    }

    async fn happened(&mut self, action: &str, id: &str) -> Result<(), ApiError> {
        match action {
            "start" => match self.running.get_mut(id) {
                Some(task) => {
                    task.was_running = true;
                    task.woken.notify_one();
                }
                None => {
                    self.meet_listed(&self.list(Some(by_id(id))).await?);
                }
            },
            "rename" | "update" => {
                // Labels are made anew: the follower ends and the next list begins another.
                if let Some(task) = self.running.get(id) {
                    task.stop.send_replace(true);
                }
                self.left_out.remove(id);
            }
            "destroy" => {
                self.left_out.remove(id);
            }
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, id: &str, last: Option<String>) {
        if let Some(last) = last {
            self.left_at.insert(id.to_owned(), last);
        }
        self.running.remove(id);
        self.ctx.status.remove_target(id);
        self.ctx.claims.release(&key(id), &self.ctx.name);
    }

    /// `filters` in place of those that were configured.
    async fn list(&self, filters: Option<Filters>) -> Result<Vec<ListedContainer>, ApiError> {
        let filters =
            filters.unwrap_or_else(|| self.settings.api_filters.iter().cloned().collect());
        self.follow.client.list(&filters).await
    }

    async fn reconcile(&mut self) -> Result<(), ApiError> {
        while let Some(done) = self.tasks.try_join_next() {
            if let Ok((id, last)) = done {
                self.ended(&id, last);
            }
        }
        let listed = self.list(None).await?;
        let there: HashSet<&str> = listed.iter().filter_map(|item| item.id.as_deref()).collect();
        self.left_out.retain(|id| there.contains(id.as_str()));
        self.left_at.retain(|id, _| there.contains(id.as_str()));
        for (id, task) in &self.running {
            // A follower that waits for a container that is gone would wait for ever.
            if !there.contains(id.as_str()) {
                task.woken.notify_one();
            }
        }
        self.meet_listed(&listed);
        Ok(())
    }

    fn meet_listed(&mut self, listed: &[ListedContainer]) {
        for item in listed {
            let Some(id) = item.id.as_deref() else { continue };
            let running = item.state.as_deref().is_none_or(|state| {
                matches!(state, "running" | "restarting" | "paused" | "removing")
            });
            if let Some(task) = self.running.get_mut(id) {
                if running && !std::mem::replace(&mut task.was_running, running) {
                    task.woken.notify_one();
                }
                continue;
            }
            let own = self.own_id.as_deref() == Some(id);
            if own || self.left_out.contains(id) {
                continue;
            }
            let rule = self.settings.rule.as_ref();
            let Some(container) =
                Container::new(&self.ctx, &self.settings.filter, rule, &self.host, item)
            else {
                self.left_out.insert(id.to_owned());
                continue;
            };
            if self.ctx.claims.take(&container.key(), &self.ctx.name) {
                self.begin(container, running);
            }
        }
    }

    fn begin(&mut self, container: Container, was_running: bool) {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let woken = Arc::new(Notify::new());
        let id = container.id.clone();
        let name = container.name.clone();
        self.ctx.status.target(&id, &name, |target| target.state = SourceState::Starting);
        let follow = self.follow.clone();
        let task_woken = woken.clone();
        let task_id = id.clone();
        let position = self.left_at.remove(&id);
        self.tasks.spawn(async move {
            let last = follow.run(Arc::new(container), position, task_woken, stopped).await;
            (task_id, last)
        });
        self.running.insert(id, Running { woken, stop, was_running });
    }

    /// Removes positions of containers that have been gone for long.
    async fn forget_positions(&self, out: &mpsc::Sender<SourceBatch>) {
        let now_ns = self.ctx.clock.now_ns();
        let mut batch = self.ctx.batch();
        for (source, value) in self.ctx.positions.list(KEY_PREFIX) {
            let id = source.strip_prefix(KEY_PREFIX).unwrap_or_default();
            let there = self.running.contains_key(id) || self.left_out.contains(id);
            if !there && now_ns.saturating_sub(Ring::saved_at_ns(&value)) > KEEP_NS {
                batch.positions.push(Position { source, value: String::new() });
            }
        }
        if !batch.positions.is_empty() {
            // Without a receiver the source is stopping.
            let _ = out.send(self.ctx.deliver(batch)).await;
        }
    }
}

/// A filter for one container.
fn by_id(id: &str) -> Filters {
    Filters::from([("id".to_owned(), vec![id.to_owned()])])
}

/// Puts pieces of many containers together into batches, one for each pipeline.
async fn gather(
    ctx: SourceContext,
    mut pieces: mpsc::Receiver<Piece>,
    out: &mpsc::Sender<SourceBatch>,
) {
    while let Some(piece) = pieces.recv().await {
        let mut gathered = Gathered::default();
        let deadline = Instant::now() + GATHER;
        gathered.add(&ctx, piece);
        while gathered.bytes < SOURCE_BATCH_BYTES_MAX {
            match timeout_at(deadline, pieces.recv()).await {
                Ok(Some(piece)) => gathered.add(&ctx, piece),
                Ok(None) | Err(_) => break,
            }
        }
        for (pipeline, batch) in gathered.batches {
            let source = ctx.name.clone();
            if out.send(SourceBatch { source, pipeline, batch }).await.is_err() {
                return;
            }
        }
    }
}

#[derive(Default)]
struct Gathered {
    batches: Vec<(Option<Arc<str>>, Batch)>,
    bytes: usize,
}

impl Gathered {
    fn add(&mut self, ctx: &SourceContext, piece: Piece) {
        let Piece { container, entries, position } = piece;
        let at = match self.batches.iter().position(|(name, _)| *name == container.pipeline) {
            Some(at) => at,
            None => {
                self.batches.push((container.pipeline.clone(), ctx.batch()));
                self.batches.len() - 1
            }
        };
        let Some((_, batch)) = self.batches.get_mut(at) else { return };
        let (lines, mut bytes) = (entries.len() as u64, 0);
        for (stream, mut entry) in entries {
            let Some(labels) = container.labels(stream) else { continue };
            bytes += entry.line.len();
            entry.metadata.extend(container.metadata.iter().cloned());
            self.bytes += entry.bytes();
            batch.push(labels, entry);
        }
        ctx.tally.lines.inc_by(lines);
        ctx.tally.bytes.inc_by(bytes as u64);
        ctx.status.read(&container.id, lines, bytes as u64, ctx.clock.now_ns());
        if let Some(value) = position {
            let source = container.key();
            batch.positions.retain(|position| position.source != source);
            batch.positions.push(Position { source, value });
        }
    }
}
