//! What the rule engine hands to the notifier.

use serde::{Deserialize, Serialize};

use super::Labels;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    Inactive,
    Pending,
    Firing,
}

/// A redacted line that shows why an alert fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleLine {
    pub ts_ns: i64,
    pub line: String,
}

/// One alert as Alertmanager knows it: identity is the label set, `ends_at_ns` says resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Includes `alertname`.
    #[serde(with = "labels_as_map")]
    pub labels: Labels,
    #[serde(with = "labels_as_map")]
    pub annotations: Labels,
    pub starts_at_ns: i64,
    /// Set once the alert is resolved.
    pub ends_at_ns: Option<i64>,
    pub value: f64,
    /// The rule's expression and the window it looked at, for the link to the query.
    pub expr: String,
    pub window_start_ns: i64,
    pub window_end_ns: i64,
    /// Lines matched in the window, and a few of them.
    pub count: u64,
    pub samples: Vec<SampleLine>,
    /// Link to the query on our own page.
    pub generator_url: String,
}

impl Alert {
    pub fn name(&self) -> &str {
        self.labels.get("alertname").unwrap_or_default()
    }

    pub fn is_resolved(&self) -> bool {
        self.ends_at_ns.is_some()
    }
}

mod labels_as_map {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Labels;

    pub fn serialize<S: Serializer>(labels: &Labels, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(labels.iter())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Labels, D::Error> {
        Ok(Labels::from_pairs(BTreeMap::<String, String>::deserialize(from)?))
    }
}
