//! Tests of the whole room: shipped rules over every way in which lines are written.

mod batches;
mod formats;
mod properties;
mod rules;

use super::{HashKey, Options, RedactMetrics, Redactor, RuleSet};
use crate::config::parse_yaml_plain;
use crate::metrics::Metrics;

/// A redactor with the shipped rules and this `redaction:` part.
#[track_caller]
pub(super) fn redactor(yaml: &str) -> Redactor {
    build(yaml).unwrap_or_else(|faults| panic!("{faults:?}"))
}

pub(super) fn build(yaml: &str) -> Result<Redactor, Vec<crate::config::Diagnostic>> {
    let yaml = if yaml.is_empty() { "{}" } else { yaml };
    let raw = parse_yaml_plain("test.yaml", yaml).map_err(|fault| vec![fault])?;
    let sets = RuleSet::load("test.yaml", &raw, std::path::Path::new("."))?;
    let keys = match &raw.hash_key_file {
        Some(_) => vec![HashKey { id: "k1".to_owned(), secret: vec![b'k'; 32] }],
        None => Vec::new(),
    };
    let options = Options { file: "test.yaml".to_owned(), raw, keys };
    Redactor::compile(&sets, &options, &RedactMetrics::register(&Metrics::default()))
}
