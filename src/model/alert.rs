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
    #[serde(with = "any_float")]
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
        Ok(Labels::of_series(BTreeMap::<String, String>::deserialize(from)?))
    }
}

/// JSON has no NaN and no infinities; those travel as text, so that stored alerts can be read back.
mod any_float {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Number(f64),
        Text(String),
    }

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            to.serialize_f64(*value)
        } else {
            to.serialize_str(&value.to_string())
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        match Stored::deserialize(from)? {
            Stored::Number(value) => Ok(value),
            Stored::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_can_be_stored() {
        for value in [1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let alert = Alert {
                labels: Labels::from_pairs([("alertname", "A")]),
                annotations: Labels::default(),
                starts_at_ns: 1,
                ends_at_ns: None,
                value,
                expr: String::new(),
                window_start_ns: 0,
                window_end_ns: 0,
                count: 0,
                samples: Vec::new(),
                generator_url: String::new(),
            };
            let text = serde_json::to_string(&alert).unwrap();
            let back: Alert = serde_json::from_str(&text).unwrap();
            assert_eq!(back.value.to_bits(), value.to_bits());
        }
    }
}
