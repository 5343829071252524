//! Names and values of stream labels, series, totals.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Labels, Matcher, TimeRange};
use crate::query::engine::{Engine, QueryContext};
use crate::query::error::QueryError;
use crate::query::tenants;
use crate::store::read::StreamStats;

/// Totals over the streams of a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexStats {
    pub streams: u64,
    pub chunks: u64,
    pub bytes: u64,
    pub entries: u64,
}

/// A stream label that is worth showing, with the number of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectedLabel {
    pub label: String,
    pub cardinality: u64,
}

/// Labels that are shown even when all their values are numbers or UUIDs.
const ALWAYS_SHOWN: [&str; 4] = ["cluster", "namespace", "instance", "pod"];

impl Engine {
    pub(in crate::query) fn streams(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<StreamStats>, QueryError> {
        self.running(context).check()?;
        Ok(self.reader.streams(&context.tenant, matchers, range, &context.cancel)?)
    }

    /// Names of the stream labels, sorted.
    pub fn labels(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<String>, QueryError> {
        let streams = self.streams(matchers, range, context)?;
        let mut names: BTreeSet<&str> = streams
            .iter()
            .flat_map(|stats| stats.stream.labels.iter())
            .map(|(name, _)| name)
            .collect();
        if context.tenant.contains(tenants::SEPARATOR) {
            names.insert(tenants::TENANT);
        }
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// Values of one stream label, sorted.
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<String>, QueryError> {
        if name == tenants::TENANT && context.tenant.contains(tenants::SEPARATOR) {
            // Of tenants without lines as well.
            return Ok(context.tenant.split(tenants::SEPARATOR).map(str::to_owned).collect());
        }
        let streams = self.streams(matchers, range, context)?;
        let values: BTreeSet<&str> =
            streams.iter().filter_map(|stats| stats.stream.labels.get(name)).collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// Streams that fit any of the selectors, sorted; without selectors all of them.
    pub fn series(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, QueryError> {
        let everything = [Vec::new()];
        let selectors = if selectors.is_empty() { &everything } else { selectors };
        let mut found = BTreeSet::new();
        for matchers in selectors {
            let streams = self.streams(matchers, range, context)?;
            found.extend(streams.into_iter().map(|stats| stats.stream.labels));
        }
        Ok(found.into_iter().collect())
    }

    pub fn index_stats(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<IndexStats, QueryError> {
        let streams = self.streams(matchers, range, context)?;
        Ok(streams.iter().fold(IndexStats::default(), |sum, stats| IndexStats {
            streams: sum.streams + 1,
            chunks: sum.chunks + stats.chunks,
            bytes: sum.bytes + stats.bytes,
            entries: sum.entries + stats.entries,
        }))
    }

    /// Labels that help to tell streams apart, sorted by name.
    pub fn detected_labels(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<DetectedLabel>, QueryError> {
        let streams = self.streams(matchers, range, context)?;
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, value) in streams.iter().flat_map(|stats| stats.stream.labels.iter()) {
            values.entry(name).or_default().insert(value);
        }
        Ok(values
            .into_iter()
            .filter(|(name, values)| ALWAYS_SHOWN.contains(name) || !are_ids(values))
            .map(|(name, values)| DetectedLabel {
                label: name.to_owned(),
                cardinality: values.len() as u64,
            })
            .collect())
    }
}

/// Whether all values are numbers or UUIDs; 0 and 1 alone are a flag.
fn are_ids(values: &BTreeSet<&str>) -> bool {
    let is_flag = values.iter().all(|value| matches!(*value, "0" | "1"));
    !is_flag && values.iter().all(|value| value.parse::<f64>().is_ok() || is_uuid(value))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], expect: bool) {
        assert_eq!(are_ids(&values.iter().copied().collect()), expect, "{values:?}");
    }

    #[test]
    fn ids_are_no_good_labels() {
        check(&["1", "2", "3"], true);
        check(&["0", "1"], false);
        check(&["1"], false);
        check(&["7"], true);
        check(&["f671d076-473c-4dda-af71-4da1683a2d7a"], true);
        check(&["api", "1"], false);
    }
}
