//! Rules and alerts in the shape of Prometheus' API, for `/prometheus/api/v1/rules` and
//! `/prometheus/api/v1/alerts`.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::model::Labels;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleType {
    Alerting,
    Recording,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleGroups {
    pub groups: Vec<GroupListing>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupListing {
    pub name: String,
    pub file: String,
    pub rules: Vec<RuleListing>,
    /// Seconds.
    pub interval: f64,
    pub limit: usize,
    pub last_evaluation: String,
    pub evaluation_time: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleListing {
    /// Alerts only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StateName>,
    pub name: String,
    pub query: String,
    /// Seconds of `for`; alerts only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<f64>,
    #[serde(serialize_with = "as_map")]
    pub labels: Labels,
    #[serde(serialize_with = "as_optional_map", skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Labels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Vec<AlertListing>>,
    pub health: Health,
    pub last_error: String,
    #[serde(rename = "type")]
    pub kind: RuleType,
    pub last_evaluation: String,
    pub evaluation_time: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StateName {
    Inactive,
    Pending,
    Firing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    #[default]
    Unknown,
    Ok,
    Err,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alerts {
    pub alerts: Vec<AlertListing>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertListing {
    #[serde(serialize_with = "as_map")]
    pub labels: Labels,
    #[serde(serialize_with = "as_map")]
    pub annotations: Labels,
    pub state: StateName,
    pub active_at: String,
    /// Set while the alert is held by `keep_firing_for` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_firing_since: Option<String>,
    pub value: String,
}

/// A number as Go's `strconv.FormatFloat(v, 'e', -1, 64)` writes it: `5e+00`.
pub fn format_value(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn as_map<S: Serializer>(labels: &Labels, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(labels.len()))?;
    for (name, value) in labels.iter() {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

fn as_optional_map<S: Serializer>(labels: &Option<Labels>, to: S) -> Result<S::Ok, S::Error> {
    match labels {
        Some(labels) => as_map(labels, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_like_go() {
        for (value, expect) in [
            (5.0, "5e+00"),
            (0.05, "5e-02"),
            (1234.5, "1.2345e+03"),
            (0.0, "0e+00"),
            (-1e100, "-1e+100"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(format_value(value), expect);
        }
    }
}
