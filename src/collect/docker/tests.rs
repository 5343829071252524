//! The whole source against an engine of our own making.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};

use super::{DockerFilter, DockerSettings, DockerSource, Endpoint};
use crate::clock::SystemClock;
use crate::collect::batch::{MemoryPositions, SourceBatch};
use crate::collect::context::SourceContext;
use crate::collect::settings::Start;
use crate::config::sources::RawDockerFilter;

#[derive(Default, Clone)]
struct FakeContainer {
    name: String,
    labels: BTreeMap<String, String>,
    terminal: bool,
    running: bool,
    finished_ns: i64,
    /// Kind of stream, time, text.
    log: Vec<(u8, i64, String)>,
    /// How many frames each of the next connections gives before it is cut.
    cuts: Vec<usize>,
    /// Answers to requests for the log.
    status: Option<u16>,
    reads: usize,
}

#[derive(Default)]
struct Fakes {
    containers: BTreeMap<String, FakeContainer>,
    events: Vec<Value>,
}

/// A container engine that is as unreliable as it is told to be.
#[derive(Clone)]
struct Engine {
    fakes: Arc<Mutex<Fakes>>,
    changed: Arc<watch::Sender<u64>>,
    folder: Arc<tempfile::TempDir>,
}

fn stamp(ts: i64) -> String {
    chrono::DateTime::from_timestamp_nanos(ts).format("%Y-%m-%dT%H:%M:%S%.9fZ").to_string()
}

fn id(number: u8) -> String {
    format!("{number:064x}")
}

impl Engine {
    fn new() -> Self {
        Engine {
            fakes: Arc::default(),
            changed: Arc::new(watch::Sender::new(0)),
            folder: Arc::new(tempfile::tempdir().unwrap()),
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn serve(&self) {
        let router = Router::new()
            .route("/info", get(|| async { Json(json!({"Name": "engine-host"})) }))
            .route("/events", get(events))
            .route("/containers/json", get(list))
            .route("/containers/{id}/json", get(inspect))
            .route("/containers/{id}/logs", get(logs))
            .with_state(self.clone());
        let version = Json(json!({"ApiVersion": "1.41", "MinAPIVersion": "1.24", "Version": "20"}));
        let router = router.route("/version", get(move || async move { version }));
        let listener = UnixListener::bind(self.socket()).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    fn change(&self, number: u8, change: impl FnOnce(&mut FakeContainer)) {
        let mut fakes = self.fakes.lock();
        change(fakes.containers.entry(id(number)).or_default());
        drop(fakes);
        self.changed.send_modify(|version| *version += 1);
    }

    /// Waits until the log of a container has been asked for this often.
    async fn reads(&self, number: u8, reads: usize) {
        let mut changed = self.changed.subscribe();
        while self.fakes.lock().containers[&id(number)].reads < reads {
            let wait = tokio::time::timeout(Duration::from_secs(30), changed.changed()).await;
            wait.expect("nobody reads the log").unwrap();
        }
    }

    fn event(&self, number: u8, action: &str) {
        let event = json!({"Type": "container", "Action": action, "Actor": {"ID": id(number)}});
        self.fakes.lock().events.push(event);
        self.changed.send_modify(|version| *version += 1);
    }

    fn running(&self, number: u8, name: &str, lines: &[(u8, i64, &str)]) {
        self.change(number, |container| {
            container.name = name.to_owned();
            container.running = true;
            let lines = lines.iter().map(|(kind, ts, text)| (*kind, *ts, (*text).to_owned()));
            container.log.extend(lines);
        });
    }
}

async fn events(State(engine): State<Engine>) -> Response {
    let mut changed = engine.changed.subscribe();
    let (sender, receiver) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    tokio::spawn(async move {
        let mut sent = 0;
        loop {
            let next = engine.fakes.lock().events.get(sent).cloned();
            if let Some(event) = next {
                sent += 1;
                if sender.send(Ok(Bytes::from(format!("{event}\n")))).await.is_err() {
                    return;
                }
            } else if changed.changed().await.is_err() {
                return;
            }
        }
    });
    Response::new(Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver)))
}

async fn list(
    State(engine): State<Engine>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    let filters: Value = serde_json::from_str(&query["filters"]).unwrap();
    let fakes = engine.fakes.lock();
    let wanted = fakes
        .containers
        .iter()
        .filter(|(id, _)| filters["id"].is_null() || filters["id"][0] == id.as_str());
    Json(
        wanted
            .map(|(id, container)| {
                json!({
                    "Id": id,
                    "Names": [format!("/{}", container.name)],
                    "Image": "busybox",
                    "Labels": container.labels,
                    "State": if container.running { "running" } else { "exited" },
                    "NetworkSettings": null,
                })
            })
            .collect(),
    )
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"message": "No such container"}))).into_response()
}

async fn inspect(State(engine): State<Engine>, Path(id): Path<String>) -> Response {
    let fakes = engine.fakes.lock();
    let Some(container) = fakes.containers.get(&id) else { return missing() };
    Json(json!({
        "Config": {"Tty": container.terminal},
        "State": {"Running": container.running, "FinishedAt": stamp(container.finished_ns)},
    }))
    .into_response()
}

fn frame(terminal: bool, kind: u8, ts: i64, text: &str) -> Bytes {
    let body = format!("{} {text}", stamp(ts));
    if terminal {
        return Bytes::from(body);
    }
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(body.as_bytes());
    Bytes::from(bytes)
}

async fn logs(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let since_ns = query.get("since").map_or(i64::MIN, |since| {
        let (secs, nanos) = since.split_once('.').unwrap();
        secs.parse::<i64>().unwrap() * 1_000_000_000 + nanos.parse::<i64>().unwrap()
    });
    let mut changed = engine.changed.subscribe();
    let cut = {
        let mut fakes = engine.fakes.lock();
        let Some(container) = fakes.containers.get_mut(&id) else { return missing() };
        container.reads += 1;
        engine.changed.send_modify(|version| *version += 1);
        if let Some(code) = container.status {
            return (StatusCode::from_u16(code).unwrap(), Json(json!({"message": "no"})))
                .into_response();
        }
        if container.cuts.is_empty() { usize::MAX } else { container.cuts.remove(0) }
    };
    let (sender, receiver) = mpsc::channel::<Result<Bytes, Infallible>>(4);
    tokio::spawn(async move {
        let (mut at, mut sent) = (0, 0);
        while sent < cut {
            let (next, running) = {
                let fakes = engine.fakes.lock();
                let Some(container) = fakes.containers.get(&id) else { return };
                let next = container
                    .log
                    .get(at)
                    .map(|(kind, ts, text)| (*ts, frame(container.terminal, *kind, *ts, text)));
                (next, container.running)
            };
            match next {
                Some((ts, bytes)) => {
                    at += 1;
                    if ts >= since_ns {
                        sent += 1;
                        if sender.send(Ok(bytes)).await.is_err() {
                            return;
                        }
                    }
                }
                None if running => {
                    if changed.changed().await.is_err() {
                        return;
                    }
                }
                None => return,
            }
        }
    });
    Response::new(Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver)))
}

/// A source over the engine.
struct Run {
    batches: mpsc::Receiver<SourceBatch>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    positions: Arc<MemoryPositions>,
    lines: Vec<String>,
}

impl Run {
    fn start(engine: &Engine, positions: &Arc<MemoryPositions>) -> Self {
        let ctx = SourceContext::for_tests(positions.clone(), SystemClock::shared());
        let none = RawDockerFilter::default();
        let settings = DockerSettings {
            endpoint: Endpoint::Unix(engine.socket()),
            filter: DockerFilter::new(&none, &none, false).unwrap(),
            rule: None,
            start: Some(Start::Beginning),
            api_filters: Vec::new(),
        };
        let (out, batches) = mpsc::channel(8);
        let (stop, shutdown) = watch::channel(false);
        let task = tokio::spawn(DockerSource::new(ctx, settings).run(out, shutdown));
        Run { batches, stop, task, positions: positions.clone(), lines: Vec::new() }
    }

    fn keep(&mut self, batch: &SourceBatch) {
        self.positions.commit(&batch.batch);
        for stream in &batch.batch.streams {
            let container = stream.labels.get("container").unwrap();
            for entry in &stream.entries {
                let line = if entry.line.len() > 60 {
                    format!("{}*{}", &entry.line[..1], entry.line.len())
                } else {
                    entry.line.to_string()
                };
                self.lines.push(format!("{container} {line}"));
            }
        }
    }

    /// Receives and commits until there are this many lines.
    async fn until(&mut self, lines: usize) {
        while self.lines.len() < lines {
            let next = tokio::time::timeout(Duration::from_secs(30), self.batches.recv()).await;
            match next {
                Ok(Some(batch)) => self.keep(&batch),
                _ => panic!("no more lines after {:?}", self.lines),
            }
        }
    }

    /// Stops and commits what is still delivered.
    async fn stop(mut self) -> Vec<String> {
        self.stop.send_replace(true);
        while let Some(batch) = self.batches.recv().await {
            self.keep(&batch);
        }
        self.task.await.unwrap();
        self.lines
    }

    /// Dies without a word.
    fn kill(self) -> Vec<String> {
        self.task.abort();
        self.lines
    }
}

const SECOND: i64 = 1_000_000_000;
const T0: i64 = 1_700_000_000 * SECOND;

#[tokio::test]
async fn cut_streams_and_crashes_neither_lose_nor_repeat() {
    let engine = Engine::new();
    // Every hundred lines share one instant.
    let text: Vec<String> = (0..1_000).map(|number| format!("{number}\n")).collect();
    let log: Vec<(u8, i64, &str)> = text
        .iter()
        .enumerate()
        .map(|(at, text)| (1 + u8::from(at % 3 == 0), T0 + at as i64 / 100 * SECOND, text.as_str()))
        .collect();
    engine.running(1, "web", &log[..900]);
    engine.change(1, |container| container.cuts = vec![150, 399, 1, 450]);
    engine.serve();
    let positions = Arc::new(MemoryPositions::default());
    let mut run = Run::start(&engine, &positions);
    run.until(300).await;
    let mut lines = run.kill();
    let mut run = Run::start(&engine, &positions);
    run.until(900 - lines.len()).await;
    engine.running(1, "web", &log[900..]);
    run.until(1_000 - lines.len()).await;
    lines.extend(run.stop().await);
    let got: Vec<&str> = lines.iter().map(|line| line.strip_prefix("web ").unwrap()).collect();
    let mut expect: Vec<&str> = text.iter().map(|line| line.trim_end()).collect();
    expect.sort_unstable();
    let mut sorted = got.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expect);
    // Stopped cleanly and started once more: nothing comes.
    let run = Run::start(&engine, &positions);
    engine.change(1, |container| container.log.push((1, T0 + 20 * SECOND, "last\n".to_owned())));
    let mut run = run;
    run.until(1).await;
    assert_eq!(run.stop().await, ["web last"]);
}

#[tokio::test]
async fn long_lines_terminals_and_ends_of_processes() {
    let engine = Engine::new();
    let piece = "x".repeat(16 * 1024);
    engine.running(1, "long", &[(1, T0, &piece), (2, T0 + 1, "err\n"), (1, T0 + 2, "end\n")]);
    engine.running(2, "tty", &[(1, T0, "10%\r20%\r\n"), (1, T0 + 1, "rest")]);
    engine.change(2, |container| container.terminal = true);
    engine.running(3, "ends", &[(1, T0, "x")]);
    engine.change(3, |container| container.running = false);
    engine.serve();
    let mut run = Run::start(&engine, &Arc::default());
    run.until(4).await;
    engine.change(2, |container| container.running = false);
    run.until(5).await;
    // The same container is started again.
    engine.running(3, "ends", &[(1, T0 + 5, "y\n")]);
    engine.event(3, "start");
    run.until(6).await;
    let mut lines = run.stop().await;
    lines.sort();
    assert_eq!(lines, ["ends x", "ends y", "long err", "long x*16387", "tty 10%\r20%", "tty rest"]);
}

#[tokio::test]
async fn containers_come_go_and_are_renamed() {
    let engine = Engine::new();
    engine.running(1, "old", &[(1, T0, "a\n")]);
    let positions = Arc::new(MemoryPositions::default());
    let mut run = Run::start(&engine, &positions);
    // The engine starts later than we do.
    tokio::task::yield_now().await;
    engine.serve();
    run.until(1).await;
    engine.running(2, "brief", &[(1, T0, "b\n")]);
    engine.event(2, "start");
    run.until(2).await;
    engine.change(1, |container| container.name = "new".to_owned());
    engine.event(1, "rename");
    engine.reads(1, 2).await;
    engine.running(1, "new", &[(1, T0 + SECOND, "c\n")]);
    run.until(3).await;
    engine.fakes.lock().containers.remove(&id(2));
    engine.event(2, "die");
    engine.running(3, "off", &[(1, T0, "not wanted\n")]);
    engine.change(3, |container| {
        container.labels.insert("stockade.enable".to_owned(), "false".to_owned());
    });
    engine.event(3, "start");
    engine.running(4, "on", &[(1, T0, "d\n")]);
    engine.event(4, "start");
    run.until(4).await;
    assert_eq!(run.stop().await, ["old a", "brief b", "new c", "on d"]);
    assert_eq!(engine.fakes.lock().containers[&id(3)].reads, 0);
}

#[tokio::test]
async fn an_ended_container_is_read_once() {
    let engine = Engine::new();
    engine.running(1, "done", &[(1, T0, "a\n")]);
    engine.change(1, |container| {
        container.running = false;
        container.finished_ns = T0 + SECOND;
    });
    engine.running(2, "unreadable", &[]);
    engine.change(2, |container| container.status = Some(501));
    engine.serve();
    let positions = Arc::new(MemoryPositions::default());
    let mut run = Run::start(&engine, &positions);
    run.until(1).await;
    // The position that says so comes after the last line.
    while crate::collect::Positions::get(&*positions, &super::container::key(&id(1)))
        .is_none_or(|text| text.contains("\"drained\":0"))
    {
        let batch = run.batches.recv().await.unwrap();
        run.keep(&batch);
    }
    run.stop().await;
    let reads = engine.fakes.lock().containers[&id(1)].reads;
    engine.running(3, "other", &[(1, T0, "b\n")]);
    let mut run = Run::start(&engine, &positions);
    run.until(1).await;
    assert_eq!(run.stop().await, ["other b"]);
    assert_eq!(engine.fakes.lock().containers[&id(1)].reads, reads);
}
