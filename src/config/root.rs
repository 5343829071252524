//! The main file: one optional YAML. Everything has a default; unknown keys are errors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::limits::Limits;
use super::notify::RawNotify;
use super::pipeline::Node;
use super::redaction::RawRedaction;
use super::retention::Retention;
use super::sources::{RawScrapeConfig, RawSources};
use super::{Diagnostic, Spanned, parse_yaml};

/// `stockade.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub data_dir: Option<PathBuf>,
    /// Absent: docker, journald and /var/log are found by themselves.
    pub sources: RawSources<Node>,
    /// Promtail's way to say the same.
    pub scrape_configs: Vec<RawScrapeConfig<Node>>,
    /// Pipelines by name, beside the shipped ones.
    pub pipelines: BTreeMap<String, Node>,
    pub redaction: RawRedaction,
    pub retention: Retention,
    pub limits: Limits,
    pub querier: Querier,
    pub alerts: Alerts,
    /// Receivers and routes as in alertmanager.yml, written in place ...
    pub notify: Option<RawNotify>,
    /// ... or an alertmanager.yml by path.
    pub notify_file: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// HOST:PORT; port 0 takes a free one.
    pub listen: String,
    /// How people reach this server; links in alerts begin with it.
    pub external_url: Option<String>,
    /// Tenants by X-Scope-OrgID, strictly apart.
    pub multi_tenant: bool,
}

/// Loki's name for what concerns queries alone.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Querier {
    /// Whether `X-Scope-OrgID: a|b` asks several tenants at once.
    pub multi_tenant_queries_enabled: bool,
}

impl Default for Server {
    fn default() -> Self {
        Server { listen: "0.0.0.0:3100".to_owned(), external_url: None, multi_tenant: false }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// Rule files and folders; the word `shipped` stands for the rules in the binary. Absent:
    /// the shipped ones; an empty list: none.
    pub rules: Option<Vec<Spanned<String>>>,
}

impl Config {
    pub fn parse(file: &str, text: &str) -> Result<Config, Diagnostic> {
        // An empty file, or one that holds comments alone, is all defaults.
        let is_empty =
            text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        if is_empty {
            return Ok(Config::default());
        }
        parse_yaml(file, text)
    }
}
