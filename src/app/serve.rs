//! `stockade serve`: sinks first, sources last; stopped in the reverse order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, interval, interval_at};

use super::allocator;
use super::cli::ServeArgs;
use super::control::{Desk, Whole, join};
use super::ingest::{Door, Intake};
use super::memory::{self, Budget};
use super::retention::{LogqlDeletes, retention};
use super::rules::{Ground, Loaded, build_rules, load_alert_rules, load_config};
use super::{Exit, runtime};
use crate::alert::{DerivedMetrics, EngineEvaluate, Ruler, RulerOptions};
use crate::api;
use crate::clock::{SharedClock, SystemClock};
use crate::config::Diagnostic;
use crate::limits;
use crate::metrics::Metrics;
use crate::model::Timestamp;
use crate::notify::{self, HttpDeliver, Notifier};
use crate::pipeline::PipelineMetrics;
use crate::query::Engine;
use crate::redact::RedactMetrics;
use crate::store::{OpenProgress, Store, StoreError, StoreOptions, TailBatch};

/// Longest time an orderly stop may take; what is in the WAL is safe anyway.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Merging is cheap where full blocks are copied, and a query asks every part.
const MERGES_EVERY: Duration = Duration::from_secs(60);
const RETENTION_EVERY: Duration = Duration::from_secs(60);
const DELETES_EVERY: Duration = Duration::from_secs(5);
/// What was read of parts and not used for this long (up to twice that) is dropped.
const UNUSED_AFTER: Duration = Duration::from_secs(30);
/// The same for results, in so many times `UNUSED_AFTER`.
const RESULTS_UNUSED_AFTER: u64 = 10;

pub fn serve(args: &ServeArgs) -> Result<(), Exit> {
    let config = args.config.config.as_deref();
    let loaded = load_config(config).map_err(|faults| Exit::Usage(join(&faults)))?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(run(args, loaded));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// What `server:` says, as far as it can be judged without listening.
pub fn check_server(loaded: &Loaded) -> Result<(), Vec<Diagnostic>> {
    let server = &loaded.config.server;
    let mut faults = Vec::new();
    let mut fault = |message: String| faults.push(Diagnostic::new(&loaded.file, 0, 0, message));
    let port = server.listen.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() {
        fault(format!("server.listen {:?} is not HOST:PORT", server.listen));
    }
    if let Some(url) = &server.external_url
        && !url.starts_with("http://")
        && !url.starts_with("https://")
    {
        fault(format!("server.external_url {url:?} does not begin with http:// or https://"));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn data_dir(args: &ServeArgs, loaded: &Loaded) -> PathBuf {
    args.data_dir
        .clone()
        .or_else(|| loaded.config.data_dir.clone())
        .unwrap_or_else(|| PathBuf::from("./data"))
}

async fn run(args: &ServeArgs, loaded: Loaded) -> Result<(), Exit> {
    let clock = SystemClock::shared();
    let metrics = Metrics::default();
    let data_dir = data_dir(args, &loaded);
    std::fs::create_dir_all(&data_dir)
        .with_context(|| format!("the data directory {}", data_dir.display()))?;
    let ground = Ground {
        redact_metrics: RedactMetrics::register(&metrics),
        pipeline_metrics: PipelineMetrics::new(&metrics),
        clock: clock.clone(),
        data_dir: Some(data_dir.clone()),
    };
    // Everything that can be wrong in a file is found before anything is opened.
    let usage = |faults: Vec<Diagnostic>| Exit::Usage(join(&faults));
    let rules = build_rules(&loaded, &ground, None).map_err(usage)?;
    let alert_rules = load_alert_rules(&loaded).map_err(usage)?;
    let slack_webhook_url = super::notify::slack_webhook_url();
    let plan = super::notify::plan(&loaded, slack_webhook_url.as_deref()).map_err(usage)?;
    super::notify::log_warnings(&plan);
    super::sources::check(&loaded).map_err(usage)?;
    check_server(&loaded).map_err(usage)?;
    retention(&loaded).map_err(usage)?;
    for warning in rules.pipelines.warnings() {
        tracing::warn!(%warning, "configuration");
    }

    let available = memory::available(Path::new("/"));
    let budget = Budget::new(rules.limits.memory_budget.bytes(), available.as_ref());
    budget.log(available.as_ref());

    // The port answers from here on, though reading the WAL may take a while yet.
    let listen = args.listen.clone().unwrap_or_else(|| loaded.config.server.listen.clone());
    let listener = TcpListener::bind(&listen)
        .await
        .with_context(|| format!("listening on {listen}; choose another with --listen"))?;
    let address = listener.local_addr().context("the address listened on")?;
    let progress = Arc::new(OpenProgress::default());
    let gate = api::Gate::new({
        let progress = progress.clone();
        move || match progress.percent() {
            100 => "starting".to_owned(),
            percent => format!("replaying the WAL: {percent}%"),
        }
    });
    let (stop, stopping) = watch::channel(false);
    let server = tokio::spawn(serve_http(listener, gate.router(), stopping.clone()));
    tracing::info!(%address, data_dir = %data_dir.display(), "listening");

    let store = open_store(&data_dir, &loaded, &clock, &metrics, &budget, progress).await?;
    let limits = Arc::new(ArcSwap::new(rules.limits.clone()));
    let rules = Arc::new(ArcSwap::from_pointee(rules));
    let engine = budget.engine(store.clone());
    let external_url = loaded
        .config
        .server
        .external_url
        .clone()
        .unwrap_or_else(|| format!("http://localhost:{}", address.port()));

    let guard = {
        let rules = rules.clone();
        Arc::new(move |text: &str| rules.load().redactor.redact_text(text).into_owned())
    };
    let (notifier, notify) = Notifier::open(notify::Parts {
        settings: plan,
        clock: clock.clone(),
        deliver: Arc::new(HttpDeliver::new().context("the HTTP client of notifications")?),
        guard,
        metrics: metrics.clone(),
        folder: data_dir.join("notify"),
        external_url: external_url.clone(),
    })
    .context("opening the state of notifications")?;
    let ruler = Ruler::open(
        RulerOptions { external_url, ..RulerOptions::new(&data_dir) },
        alert_rules,
        Arc::new(EngineEvaluate::new(engine.clone())),
        clock.clone(),
        &metrics,
    )
    .context("opening the state of alerts")?;
    let intake =
        Intake::new(store.clone(), rules.clone(), clock.clone(), &metrics, budget.push_bytes_max);
    let sources = super::sources::build(&loaded, &store, &clock, &metrics).map_err(usage)?;
    let whole = Arc::new(Whole {
        config_path: args.config.config.clone(),
        ground,
        rules,
        limits: limits.clone(),
        store: store.clone(),
        data_dir: data_dir.clone(),
        ruler: ruler.clone(),
        notifier: notify.clone(),
        sources: sources.iter().map(|source| source.status()).collect(),
        clock: clock.clone(),
        started_at_ns: clock.now_ns(),
        slack_webhook_url,
    });

    // Downstream first: whoever sends finds somebody who takes.
    let mut sinks = JoinSet::new();
    sinks.spawn(notifier.run(until(stopping.clone())));
    sinks.spawn(ruler.run(notify.alerts_in(), until(stopping.clone())));
    // A start has enough to do without merging.
    let merging = interval_at(Instant::now() + MERGES_EVERY, MERGES_EVERY);
    sinks.spawn(maintain(store.clone(), merging, stopping.clone(), merge_parts));
    let deleting = interval(DELETES_EVERY);
    sinks.spawn(maintain(store.clone(), deleting, stopping.clone(), carry_out_deletes));
    let now = clock.clone();
    let retain = move |store: &Store| store.retain_once(Timestamp(now.now_ns())).map(drop);
    sinks.spawn(maintain(store.clone(), interval(RETENTION_EVERY), stopping.clone(), retain));
    sinks.spawn(give_back(store.clone(), engine.clone(), stopping.clone()));
    let derived = DerivedMetrics::new(&metrics).map_err(|error| anyhow!(error))?;
    sinks.spawn(count(derived, store.subscribe(), stopping.clone()));
    let api = api::Api::new(api::Parts {
        engine,
        ingest: Arc::new(Door(intake.clone())),
        control: Arc::new(Desk(whole.clone())),
        limits,
        metrics,
        clock,
        multi_tenant: loaded.config.server.multi_tenant,
        retention_period: loaded.config.retention.period,
        multi_tenant_queries: loaded.config.querier.multi_tenant_queries_enabled,
        notifier: notify.clone(),
        queries_at_once: budget.queries_at_once,
        tail_bytes_max: budget.tail_bytes_max,
    });
    gate.open(api::router(api));
    let (stop_sources, sources_stopping) = watch::channel(false);
    let mut readers = JoinSet::new();
    let mut takers = JoinSet::new();
    for source in sources {
        // A channel of its own for each source: a slow one stalls nobody else.
        let (out, batches) = mpsc::channel(limits::SOURCE_QUEUE_BATCHES_MAX);
        takers.spawn(intake.clone().run(batches));
        readers.spawn(source.run(out, sources_stopping.clone()));
    }
    tracing::info!(%address, "ready");

    wait_for_the_end(&whole).await?;

    tracing::info!("stopping");
    let orderly = async {
        stop_sources.send_replace(true);
        while readers.join_next().await.is_some() {}
        while takers.join_next().await.is_some() {}
        stop.send_replace(true);
        let _ = server.await;
        while sinks.join_next().await.is_some() {}
    };
    if tokio::time::timeout(STOP_MAX, orderly).await.is_err() {
        tracing::warn!("some tasks did not stop in time; what they had not stored is read again");
    }
    let closing = tokio::task::spawn_blocking(move || store.close());
    let _ = tokio::time::timeout(STOP_MAX, closing).await;
    Ok(())
}

async fn open_store(
    data_dir: &Path,
    loaded: &Loaded,
    clock: &SharedClock,
    metrics: &Metrics,
    budget: &Budget,
    progress: Arc<OpenProgress>,
) -> Result<Arc<Store>, Exit> {
    let mut options = StoreOptions::new(data_dir, clock.clone(), metrics);
    options.thresholds = budget.thresholds();
    options.progress = progress;
    options.idle = allocator::release;
    options.retention = retention(loaded).map_err(|faults| Exit::Usage(join(&faults)))?;
    options.language = Arc::new(LogqlDeletes);
    options.delete_cancel_period = loaded.config.retention.delete_request_cancel_period.duration();
    let opened = tokio::task::spawn_blocking(move || Store::open(options))
        .await
        .map_err(|error| anyhow!("opening the store: {error}"))?;
    Ok(opened.context("opening the store")?)
}

/// Feeds the counters derived from logs with what reaches the disk.
async fn count(
    derived: DerivedMetrics,
    mut stored: broadcast::Receiver<Arc<TailBatch>>,
    stopping: watch::Receiver<bool>,
) {
    let mut stopped = std::pin::pin!(until(stopping));
    let derived = Arc::new(derived);
    loop {
        let received = tokio::select! {
            () = &mut stopped => return,
            received = stored.recv() => received,
        };
        match received {
            Ok(batch) => {
                let derived = derived.clone();
                let _ = tokio::task::spawn_blocking(move || derived.observe(&batch)).await;
            }
            // Counters then miss what was skipped; they are told to be lower bounds under load.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Ends when the flag turns true, or its sender is gone.
async fn until(mut flag: watch::Receiver<bool>) {
    let _ = flag.wait_for(|stop| *stop).await;
}

async fn serve_http(listener: TcpListener, router: axum::Router, stopping: watch::Receiver<bool>) {
    let ended = axum::serve(listener, router).with_graceful_shutdown(until(stopping)).await;
    if let Err(error) = ended {
        tracing::error!(%error, "the HTTP server ended");
    }
}

/// Merges until there is nothing left that is worth it. A day that cannot be merged now keeps no
/// other from it.
fn merge_parts(store: &Store) -> Result<(), StoreError> {
    let (mut failed, mut merged) = (None, false);
    loop {
        match store.compact_once() {
            Ok(Some(_)) => merged = true,
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "merging parts failed");
                failed = Some(error);
            }
        }
    }
    if merged {
        // What was freed on this thread goes back on this thread alone.
        allocator::release();
    }
    failed.map_or(Ok(()), Err)
}

fn carry_out_deletes(store: &Store) -> Result<(), StoreError> {
    while store.delete_once()? {}
    Ok(())
}

/// A piece of maintenance on its own beat, off the async threads. Each has a task of its own: a
/// long merge must not keep retention from making room on the disk.
async fn maintain(
    store: Arc<Store>,
    mut beat: Interval,
    stopping: watch::Receiver<bool>,
    work: impl Fn(&Store) -> Result<(), StoreError> + Clone + Send + 'static,
) {
    let mut stopped = std::pin::pin!(until(stopping));
    loop {
        tokio::select! {
            () = &mut stopped => return,
            _ = beat.tick() => {}
        }
        let (store, work) = (store.clone(), work.clone());
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "maintenance of the store failed"),
            Err(error) => tracing::error!(%error, "maintenance of the store failed"),
        }
    }
}

/// Drops what nobody has asked for in a while, and hands free memory to the system.
async fn give_back(store: Arc<Store>, engine: Engine, stopping: watch::Receiver<bool>) {
    let mut stopped = std::pin::pin!(until(stopping));
    let mut beat = tokio::time::interval(UNUSED_AFTER);
    for round in 0u64.. {
        tokio::select! {
            () = &mut stopped => return,
            _ = beat.tick() => {}
        }
        let (store, engine) = (store.clone(), engine.clone());
        let dropped = tokio::task::spawn_blocking(move || {
            store.drop_unused();
            // A dashboard may be refreshed every few minutes.
            if round.is_multiple_of(RESULTS_UNUSED_AFTER) {
                engine.drop_unused();
            }
            allocator::release();
        });
        let _ = dropped.await;
    }
}

/// SIGTERM and SIGINT end the server; SIGHUP reloads.
async fn wait_for_the_end(whole: &Arc<Whole>) -> Result<(), Exit> {
    let listen = |kind| signal(kind).context("listening for signals");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => {
                let whole = whole.clone();
                let reloaded = tokio::task::spawn_blocking(move || whole.reload()).await;
                if let Ok(Err(reason)) = reloaded {
                    tracing::error!(reason, "reload refused; the old configuration stays in force");
                }
            }
        }
    }
}
