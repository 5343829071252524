//! What the API asks of the whole: readiness, status, reload, rules.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Value, json};

use super::backup;
use super::ingest::Rules;
use super::logging;
use super::rules::{Ground, build_rules, load_alert_rules, load_config};
use crate::alert::{AlertError, Ruler};
use crate::api::{BoxFuture, Control, DeleteAsked, DeleteFailure, DeleteShown};
use crate::clock::SharedClock;
use crate::collect::StatusHandle;
use crate::config::{Diagnostic, Limits};
use crate::model::Timestamp;
use crate::notify::Handle;
use crate::store::{DeleteError, DeleteStatus, NewDelete, Store};

/// The running parts, as reload and status need them.
pub struct Whole {
    pub config_path: Option<PathBuf>,
    pub ground: Ground,
    pub rules: Arc<ArcSwap<Rules>>,
    pub limits: Arc<ArcSwap<Limits>>,
    pub store: Arc<Store>,
    pub data_dir: PathBuf,
    pub ruler: Ruler,
    pub notifier: Handle,
    pub sources: Vec<StatusHandle>,
    pub clock: SharedClock,
    pub started_at_ns: i64,
    pub slack_webhook_url: Option<String>,
}

pub fn join(faults: &[Diagnostic]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Whole {
    /// Reads the configuration again and swaps pipelines, redaction, alerts, notification and
    /// limits, all or nothing. Listen address, data directory and sources need a restart.
    pub fn reload(&self) -> Result<String, String> {
        let loaded = load_config(self.config_path.as_deref()).map_err(|faults| join(&faults))?;
        let current = self.rules.load();
        let built = build_rules(&loaded, &self.ground, Some(&current));
        let alerts = load_alert_rules(&loaded);
        let notify = super::notify::plan(&loaded, self.slack_webhook_url.as_deref());
        let mut faults = Vec::new();
        let mut keep = |found: Vec<Diagnostic>| faults.extend(found);
        let built = built.map_err(&mut keep).ok();
        let alerts = alerts.map_err(&mut keep).ok();
        let notify = notify.map_err(&mut keep).ok();
        let (Some(built), Some(alerts), Some(notify)) = (built, alerts, notify) else {
            return Err(join(&faults));
        };
        super::notify::log_warnings(&notify);
        let groups: usize = alerts.iter().map(|file| file.groups.len()).sum();
        self.limits.store(built.limits.clone());
        self.rules.store(Arc::new(built));
        self.ruler.reload(alerts);
        self.notifier.reload(notify);
        let told = format!(
            "reloaded {}: redaction, pipelines, limits, {groups} rule groups and routes are in force",
            loaded.file
        );
        tracing::info!(file = loaded.file, rule_groups = groups, "configuration reloaded");
        Ok(told)
    }
}

fn delete_failure(error: &DeleteError) -> DeleteFailure {
    match error {
        DeleteError::NotFound => DeleteFailure::NotFound(error.to_string()),
        DeleteError::Store(_) => DeleteFailure::Storage(error.to_string()),
        DeleteError::Query(_)
        | DeleteError::TooMany(_)
        | DeleteError::InProcess
        | DeleteError::PastDeadline(_) => DeleteFailure::Refused(error.to_string()),
    }
}

/// `Whole` as the API sees it.
pub struct Desk(pub Arc<Whole>);

impl Control for Desk {
    fn ready(&self) -> Result<(), String> {
        match self.0.store.status().degraded {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    fn status(&self) -> Value {
        let whole = &self.0;
        let sources: Vec<_> = whole.sources.iter().map(StatusHandle::snapshot).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started_at_ns": whole.started_at_ns,
            "uptime_secs": (whole.clock.now_ns() - whole.started_at_ns) / 1_000_000_000,
            "redaction": {
                "enabled": whole.rules.load().redactor.is_enabled(),
                "rules": whole.rules.load().redactor.rule_names().collect::<Vec<_>>(),
            },
            "store": whole.store.status(),
            "sources": sources,
            "notify": {
                "receivers": whole.notifier.receivers(),
                "waiting": whole.notifier.outbox().len(),
                "dead_letters": whole.notifier.dead_letters().len(),
            },
        })
    }

    /// The file as it stands, variables not expanded, and redacted like any other text.
    fn config(&self) -> String {
        let Some(path) = &self.0.config_path else {
            return "# no configuration file: everything has its default\n".to_owned();
        };
        match std::fs::read_to_string(path) {
            Ok(text) => self.0.rules.load().redactor.redact_text(&text).into_owned(),
            Err(error) => format!("# {}: {error}\n", path.display()),
        }
    }

    fn log_level(&self) -> String {
        logging::level()
    }

    fn set_log_level(&self, level: &str) -> Result<(), String> {
        logging::set_level(level)
    }

    fn reload(&self) -> BoxFuture<'_, Result<String, String>> {
        let whole = self.0.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || whole.reload())
                .await
                .unwrap_or_else(|error| Err(format!("reloading failed: {error}")))
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), String>> {
        let store = self.0.store.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || store.flush())
                .await
                .map_err(|error| error.to_string())?
                .map_err(|error| error.to_string())
        })
    }

    fn request_delete(&self, asked: DeleteAsked) -> BoxFuture<'_, Result<String, DeleteFailure>> {
        let store = self.0.store.clone();
        Box::pin(async move {
            let DeleteAsked { tenant, query, range } = asked;
            let new = NewDelete { tenant, query, range };
            tokio::task::spawn_blocking(move || store.request_delete(&new))
                .await
                .map_err(|error| DeleteFailure::Storage(error.to_string()))?
                .map_err(|error| delete_failure(&error))
        })
    }

    fn deletes(&self, tenant: &str) -> Vec<DeleteShown> {
        let shown = |status: DeleteStatus| DeleteShown {
            status: status.text(),
            id: status.request.id,
            query: status.request.query,
            start: Timestamp(status.request.start_ns),
            end: Timestamp(status.request.end_ns),
            created: Timestamp(status.request.created_ns),
        };
        self.0.store.deletes(tenant).into_iter().map(shown).collect()
    }

    fn cancel_delete(
        &self,
        tenant: String,
        id: String,
        force: bool,
    ) -> BoxFuture<'_, Result<(), DeleteFailure>> {
        let store = self.0.store.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || store.cancel_delete(&tenant, &id, force))
                .await
                .map_err(|error| DeleteFailure::Storage(error.to_string()))?
                .map_err(|error| delete_failure(&error))
        })
    }

    fn backup(&self, folder: PathBuf, proof: String) -> BoxFuture<'_, Result<Value, String>> {
        let whole = self.0.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || {
                backup::serve_backup(&whole.store, &whole.data_dir, &folder, &proof)
            })
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("{error:#}"))
        })
    }

    fn rules(&self, tenant: &str) -> Value {
        serde_json::to_value(self.0.ruler.list_rules(tenant)).unwrap_or_default()
    }

    fn alerts(&self, tenant: &str) -> Value {
        serde_json::to_value(self.0.ruler.list_alerts(tenant)).unwrap_or_default()
    }

    fn rule_groups(
        &self,
        tenant: &str,
        namespace: Option<&str>,
        group: Option<&str>,
    ) -> Option<String> {
        let ruler = &self.0.ruler;
        match (namespace, group) {
            (Some(namespace), Some(group)) => ruler.group_yaml(tenant, namespace, group).ok(),
            _ => ruler.groups_yaml(tenant, namespace).ok(),
        }
    }

    fn put_rule_group(&self, tenant: &str, namespace: &str, yaml: &str) -> Result<(), String> {
        self.0.ruler.put_group(tenant, namespace, yaml).map_err(|error| error.to_string())
    }

    fn delete_rule_group(
        &self,
        tenant: &str,
        namespace: &str,
        group: Option<&str>,
    ) -> Result<bool, String> {
        match self.0.ruler.delete(tenant, namespace, group) {
            Ok(()) => Ok(true),
            Err(AlertError::NotFound) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }
}
