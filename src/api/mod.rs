//! The side door for machines: Loki's HTTP API and our own. No logic of its own; the only room
//! that knows status codes. Every request passes `access`, which knows who asks.

mod access;
mod admin;
mod alertmanager;
mod deletes;
mod elastic;
pub mod encode;
mod error;
mod foreign_alerts;
mod gate;
mod intake;
mod language;
mod metadata;
mod operator;
mod page;
pub mod params;
mod push;
mod query;
mod rules;
mod shown_config;
mod stats;
mod stockade_around;
mod stockade_explain;
mod stockade_query;
mod tail;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::HeaderMap;
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{Semaphore, broadcast};
use tower_http::compression::CompressionLayer;

pub use error::ApiError;
pub use gate::Gate;

use crate::clock::SharedClock;
use crate::collect::push::{Item, PushError, Shape};
use crate::config::{Limits, Span};
use crate::metrics::{Counters, Histograms, Metrics};
use crate::model::{TimeRange, Timestamp};
use crate::notify;
use crate::query::Engine;
use crate::store::TailBatch;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A push as it came over HTTP.
#[derive(Debug)]
pub struct PushBody {
    pub tenant: String,
    pub shape: Shape,
    pub encoding: Option<String>,
    pub body: Bytes,
}

/// What became of a push: all of it is on disk, or some entries broke a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    Stored,
    /// The rest is on disk; the message names what was left out.
    Partly {
        accepted: usize,
        rejected: usize,
        message: String,
    },
    /// For formats whose answer names each item: those without a fault are on disk.
    Items(Vec<Item>),
}

#[derive(Debug)]
pub enum PushFailure {
    Body(PushError),
    /// A rate or stream limit: the client should come again.
    Limited(String),
    /// Too much is under way.
    Busy(String),
    /// The disk is full or failing; nothing was accepted.
    Storage(String),
}

/// Takes pushes: redaction, pipeline and store stand behind it.
pub trait Ingest: Send + Sync {
    /// Resolves once everything that is going to be stored is on disk.
    fn push(&self, push: PushBody) -> BoxFuture<'_, Result<PushOutcome, PushFailure>>;
    /// Entries from now on, after they are on disk.
    fn subscribe(&self) -> broadcast::Receiver<Arc<TailBatch>>;
    /// For texts that end up in our own log.
    fn redact_text(&self, text: &str) -> String;
}

/// A delete request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteAsked {
    pub tenant: String,
    pub query: String,
    pub range: TimeRange,
}

/// A delete request as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteShown {
    pub id: String,
    pub query: String,
    pub start: Timestamp,
    pub end: Timestamp,
    pub created: Timestamp,
    pub status: String,
}

#[derive(Debug)]
pub enum DeleteFailure {
    NotFound(String),
    /// Not in this way, or not any more.
    Refused(String),
    Storage(String),
}

/// What the server says of itself and can be told to do.
pub trait Control: Send + Sync {
    /// `Err` with the reason while queries or pushes cannot be served.
    fn ready(&self) -> Result<(), String>;
    /// State of store, sources, alerts and notifications.
    fn status(&self) -> serde_json::Value;
    /// The configuration in force, secrets left out.
    fn config(&self) -> String;
    /// Of our own log.
    fn log_level(&self) -> String;
    fn set_log_level(&self, level: &str) -> Result<(), String>;
    fn reload(&self) -> BoxFuture<'_, Result<String, String>>;
    fn flush(&self) -> BoxFuture<'_, Result<(), String>>;
    /// Hides lines at once and has them removed; gives the id of the request.
    fn request_delete(&self, asked: DeleteAsked) -> BoxFuture<'_, Result<String, DeleteFailure>>;
    fn deletes(&self, tenant: &str) -> Vec<DeleteShown>;
    fn cancel_delete(
        &self,
        tenant: String,
        id: String,
        force: bool,
    ) -> BoxFuture<'_, Result<(), DeleteFailure>>;
    /// Makes a backup in a folder of the server's machine that holds nothing but a file with
    /// the proof: whoever asks must be able to write there.
    fn backup(&self, folder: PathBuf, proof: String) -> BoxFuture<'_, Result<Value, String>>;
    /// Rules and alerts as Prometheus shows them.
    fn rules(&self, tenant: &str) -> serde_json::Value;
    fn alerts(&self, tenant: &str) -> serde_json::Value;
    /// Rule groups as YAML by namespace; `None` as group means all of them.
    fn rule_groups(
        &self,
        tenant: &str,
        namespace: Option<&str>,
        group: Option<&str>,
    ) -> Option<String>;
    fn put_rule_group(&self, tenant: &str, namespace: &str, yaml: &str) -> Result<(), String>;
    /// Whether there was such a group.
    fn delete_rule_group(
        &self,
        tenant: &str,
        namespace: &str,
        group: Option<&str>,
    ) -> Result<bool, String>;
}

/// Everything a request may need.
pub struct Api {
    pub engine: Engine,
    pub ingest: Arc<dyn Ingest>,
    pub control: Arc<dyn Control>,
    pub limits: Arc<ArcSwap<Limits>>,
    pub metrics: Metrics,
    pub clock: SharedClock,
    pub multi_tenant: bool,
    /// Whether a query may name several tenants.
    pub multi_tenant_queries: bool,
    pub retention_period: Span,
    pub notifier: notify::Handle,
    started_at_ns: i64,
    counted: Counted,
    /// Queries that run at a time; more wait here instead of being refused.
    query_slots: Arc<Semaphore>,
    tails: tail::Tails,
}

struct Counted {
    requests: Counters,
    query_secs: Histograms,
}

const QUERY_SECS_BUCKETS: &[f64] = &[0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];

/// The parts of `Api` that app provides.
pub struct Parts {
    pub engine: Engine,
    pub ingest: Arc<dyn Ingest>,
    pub control: Arc<dyn Control>,
    pub limits: Arc<ArcSwap<Limits>>,
    pub metrics: Metrics,
    pub clock: SharedClock,
    pub multi_tenant: bool,
    /// Whether a query may name several tenants.
    pub multi_tenant_queries: bool,
    pub retention_period: Span,
    pub notifier: notify::Handle,
    pub queries_at_once: usize,
    /// Lines that wait for slow readers of tails, over all tails.
    pub tail_bytes_max: usize,
}

impl Api {
    pub fn new(parts: Parts) -> Arc<Api> {
        let counted = Counted {
            requests: parts.metrics.counters(
                "http_requests",
                "HTTP requests answered",
                &["route", "status"],
            ),
            query_secs: parts.metrics.histograms(
                "query_seconds",
                "Time queries took",
                &["kind"],
                QUERY_SECS_BUCKETS,
            ),
        };
        Arc::new(Api {
            engine: parts.engine,
            ingest: parts.ingest,
            control: parts.control,
            limits: parts.limits,
            metrics: parts.metrics,
            started_at_ns: parts.clock.now_ns(),
            clock: parts.clock,
            multi_tenant: parts.multi_tenant,
            multi_tenant_queries: parts.multi_tenant_queries,
            retention_period: parts.retention_period,
            notifier: parts.notifier,
            counted,
            query_slots: Arc::new(Semaphore::new(parts.queries_at_once)),
            tails: tail::Tails::new(parts.tail_bytes_max),
        })
    }
}

/// Queries may come in the URL or as a form.
fn both<H, T>(handler: H) -> MethodRouter<Arc<Api>>
where
    H: Handler<T, Arc<Api>>,
    T: 'static,
{
    get(handler.clone()).post(handler)
}

/// All routes. Loki's paths first, then the older aliases, then our own.
pub fn router(api: Arc<Api>) -> Router {
    let pushes = Router::new()
        .route("/loki/api/v1/push", post(push::loki))
        .route("/api/prom/push", post(push::loki))
        .merge(intake::routes())
        .merge(elastic::routes())
        .layer(DefaultBodyLimit::disable());
    let queries = Router::new()
        .route("/loki/api/v1/query", both(query::instant))
        .route("/loki/api/v1/query_range", both(query::range))
        .route("/api/prom/query", both(query::legacy))
        .route("/loki/api/v1/format_query", both(query::format))
        .route("/loki/api/v1/labels", both(metadata::labels))
        .route("/loki/api/v1/label", both(metadata::labels))
        .route("/loki/api/v1/label/{name}/values", both(metadata::label_values))
        .route("/api/prom/label", both(metadata::labels))
        .route("/api/prom/label/{name}/values", both(metadata::label_values))
        .route("/loki/api/v1/series", both(metadata::series))
        .route("/api/prom/series", both(metadata::series))
        .route("/loki/api/v1/index/stats", both(metadata::index_stats))
        .route("/loki/api/v1/index/volume", both(metadata::volume))
        .route("/loki/api/v1/index/volume_range", both(metadata::volume_range))
        .route("/loki/api/v1/detected_fields", both(metadata::detected_fields))
        .route("/loki/api/v1/detected_field/{name}/values", both(metadata::detected_field_values))
        .route("/loki/api/v1/detected_labels", both(metadata::detected_labels))
        .route("/loki/api/v1/patterns", both(metadata::patterns))
        .route("/loki/api/v1/tail", get(tail::tail))
        .route("/api/prom/tail", get(tail::tail))
        .route("/stockade/api/v1/query", both(stockade_query::query))
        .route("/stockade/api/v1/context", both(stockade_around::context))
        .route("/stockade/api/v1/nearest", both(stockade_around::nearest))
        .route("/stockade/api/v1/explain", both(stockade_explain::explain));
    let ruler = Router::new()
        .route("/loki/api/v1/rules", get(rules::list_all))
        .route(
            "/loki/api/v1/rules/{namespace}",
            get(rules::list).post(rules::put).delete(rules::delete_namespace),
        )
        .route(
            "/loki/api/v1/rules/{namespace}/{group}",
            get(rules::show).delete(rules::delete_group),
        )
        .route("/api/prom/rules", get(rules::list_all))
        .route(
            "/api/prom/rules/{namespace}",
            get(rules::list).post(rules::put).delete(rules::delete_namespace),
        )
        .route("/api/prom/rules/{namespace}/{group}", get(rules::show).delete(rules::delete_group))
        .route("/prometheus/api/v1/rules", get(rules::prometheus_rules))
        .route("/prometheus/api/v1/alerts", get(rules::prometheus_alerts));
    let alertmanager = Router::new()
        .route("/api/v2/silences", get(alertmanager::silences).post(alertmanager::put_silence))
        .route(
            "/api/v2/silence/{id}",
            get(alertmanager::silence).delete(alertmanager::expire_silence),
        )
        .route("/api/v2/alerts", get(alertmanager::alerts).post(foreign_alerts::put))
        .route("/api/v2/alerts/groups", get(alertmanager::groups))
        .route("/api/v2/receivers", get(alertmanager::receivers))
        .route("/api/v2/status", get(alertmanager::status));
    let own = Router::new()
        .route("/ready", get(admin::ready))
        .route("/healthz", get(admin::healthz))
        .route("/metrics", get(admin::metrics))
        .route("/config", get(admin::config))
        .route("/flush", get(admin::flush).post(admin::flush))
        .route("/-/reload", post(admin::reload))
        .route("/stockade/api/v1/backup", post(admin::backup))
        .route(
            "/loki/api/v1/delete",
            post(deletes::request).put(deletes::request).get(deletes::list).delete(deletes::cancel),
        )
        .route("/loki/api/v1/status/buildinfo", get(admin::buildinfo))
        .route("/stockade/api/v1/status", get(admin::status))
        .route("/runbooks/{alert}", get(rules::runbook));
    let mut router = Router::new().merge(queries).merge(ruler).merge(alertmanager).merge(own);
    router = router.merge(operator::routes());
    for asset in crate::ui::ASSETS {
        let path = format!("/{}", asset.path);
        // Clients of Elasticsearch ask at the root who is there.
        let answer = move |headers: HeaderMap| async move {
            let is_root = asset.path.is_empty();
            if is_root && elastic::is_asked(&headers) {
                elastic::info()
            } else {
                page::serve(asset)
            }
        };
        router = router.route(&path, get(answer));
    }
    router
        .layer(CompressionLayer::new())
        .merge(pushes)
        .fallback(admin::not_found)
        .layer(axum::middleware::from_fn_with_state(api.clone(), access::pass))
        .with_state(api)
}
