//! Limits with Loki's names and meanings (`limits_config`).

use serde::Deserialize;

use super::values::{Size, Span};

/// Loki's list of labels that name a service, in its order.
pub const SERVICE_NAME_LABELS: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

/// 0 means "no limit" wherever Loki has it so. Ingestion rates default to no limit: they protect
/// tenants from each other, and here there is one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Memory that heads, queues, caches and queries share; 0 = half of what the container or the
    /// machine has, at most 256 MiB. Read at the start alone. Not one of Loki's.
    pub memory_budget: Size,
    /// MB of line per second and tenant; 0 = unlimited.
    pub ingestion_rate_mb: f64,
    pub ingestion_burst_size_mb: f64,
    /// Bytes per second and stream; 0 = unlimited.
    pub per_stream_rate_limit: Size,
    pub per_stream_rate_limit_burst: Size,
    pub max_line_size: Size,
    pub max_line_size_truncate: bool,
    pub max_label_name_length: usize,
    pub max_label_value_length: usize,
    pub max_label_names_per_series: usize,
    pub allow_structured_metadata: bool,
    pub max_structured_metadata_size: Size,
    pub max_structured_metadata_entries_count: usize,
    pub reject_old_samples: bool,
    pub reject_old_samples_max_age: Span,
    pub creation_grace_period: Span,
    /// Active streams of a tenant; 0 = unlimited.
    pub max_global_streams_per_user: usize,

    pub max_entries_limit_per_query: usize,
    pub max_query_series: usize,
    pub max_query_length: Span,
    /// How far back queries may look; 0 = unlimited.
    pub max_query_lookback: Span,
    /// Longest `[range]` in a query; 0 = unlimited.
    pub max_query_range: Span,
    /// Bytes of line one query may read; 0 = unlimited.
    pub max_query_bytes_read: Size,
    pub query_timeout: Span,
    pub max_concurrent_tail_requests: usize,
    pub volume_enabled: bool,
    pub volume_max_series: usize,

    pub discover_service_name: Vec<String>,
    pub discover_log_levels: bool,
    pub log_level_fields: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        let strings = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Limits {
            memory_budget: Size::default(),
            ingestion_rate_mb: 0.0,
            ingestion_burst_size_mb: 0.0,
            per_stream_rate_limit: Size::default(),
            per_stream_rate_limit_burst: Size::default(),
            max_line_size: Size::kib(256),
            max_line_size_truncate: false,
            max_label_name_length: 1024,
            max_label_value_length: 2048,
            max_label_names_per_series: 15,
            allow_structured_metadata: true,
            max_structured_metadata_size: Size::kib(64),
            max_structured_metadata_entries_count: 128,
            reject_old_samples: true,
            reject_old_samples_max_age: Span::hours(7 * 24),
            creation_grace_period: Span::from_secs(600),
            max_global_streams_per_user: 100_000,
            max_entries_limit_per_query: 5000,
            max_query_series: 500,
            max_query_length: Span::hours(721),
            max_query_lookback: Span::default(),
            max_query_range: Span::default(),
            max_query_bytes_read: Size::default(),
            query_timeout: Span::from_secs(60),
            max_concurrent_tail_requests: 100,
            volume_enabled: true,
            volume_max_series: 1000,
            discover_service_name: strings(&SERVICE_NAME_LABELS),
            discover_log_levels: true,
            log_level_fields: strings(&[
                "level",
                "LEVEL",
                "Level",
                "log.level",
                "severity",
                "SEVERITY",
                "Severity",
                "SeverityText",
                "lvl",
                "LVL",
                "Lvl",
                "severity_text",
                "Severity_Text",
                "SEVERITY_TEXT",
            ]),
        }
    }
}
