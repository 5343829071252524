//! Holds labels to the limits behind a pipeline: names, number, length, and how many streams one
//! source may make. What does not fit becomes structured metadata instead of being refused.

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

use crate::config::Limits;
use crate::limits::SOURCE_STREAMS_MAX;
use crate::metrics::Counters;
use crate::model::{Labels, StreamId, Text};

use super::PipelineMetrics;
use super::discover::SERVICE_NAME;
use super::item::metadata_name;

/// Labels that say where lines come from; they are never moved to metadata for being varied.
const KEPT: [&str; 6] =
    [SERVICE_NAME, "job", "host", "source", "compose_project", "compose_service"];

/// The limits for one source, and the streams it has made so far.
#[derive(Debug)]
pub struct Guard {
    source: String,
    names_max: usize,
    value_bytes_max: usize,
    name_bytes_max: usize,
    streams_max: usize,
    demotions: Counters,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    streams: HashSet<StreamId>,
    values: HashMap<String, HashSet<u64>>,
    demoted: Vec<String>,
}

/// Labels that fit, and what had to leave them.
#[derive(Debug)]
pub(crate) struct Held {
    pub labels: Labels,
    pub demoted: Vec<(Text, Text)>,
}

impl Guard {
    /// `source` names the source in warnings and counters.
    pub fn new(source: &str, limits: &Limits, metrics: &PipelineMetrics) -> Guard {
        Guard {
            source: source.to_owned(),
            names_max: limits.max_label_names_per_series,
            value_bytes_max: limits.max_label_value_length,
            name_bytes_max: limits.max_label_name_length,
            streams_max: SOURCE_STREAMS_MAX,
            demotions: metrics.demoted.clone(),
            seen: Mutex::default(),
        }
    }

    /// The same with another number of streams.
    pub fn streams_max(mut self, streams_max: usize) -> Guard {
        self.streams_max = streams_max.max(1);
        self
    }

    pub(crate) fn hold(&self, labels: Labels) -> Held {
        let mut seen = self.seen.lock();
        let mut held = self.fit(labels, &seen.demoted);
        let id = held.labels.stream_id("");
        if seen.streams.contains(&id) {
            return held;
        }
        if seen.streams.len() >= self.streams_max
            && let Some(label) = most_varied(&seen, &held.labels)
        {
            tracing::warn!(
                source = self.source,
                label,
                streams_max = self.streams_max,
                "a source makes too many streams; its most varied label becomes structured metadata"
            );
            seen.demoted.push(label);
            seen.streams.clear();
            seen.values.clear();
            held = self.fit(held.labels, &seen.demoted).after(held.demoted);
        }
        // Beyond the cap with nothing left to demote, streams go through uncounted: refusing
        // lines would be worse, and the store has its own limit.
        if seen.streams.len() < self.streams_max {
            seen.streams.insert(held.labels.stream_id(""));
            for (name, value) in held.labels.iter() {
                let hash = xxhash_rust::xxh3::xxh3_64(value.as_bytes());
                match seen.values.get_mut(name) {
                    Some(values) => {
                        values.insert(hash);
                    }
                    None => {
                        seen.values.insert(name.to_owned(), HashSet::from_iter([hash]));
                    }
                }
            }
        }
        held
    }

    fn fit(&self, labels: Labels, demoted: &[String]) -> Held {
        let fits = |name: &str, value: &str| {
            Labels::is_valid_name(name)
                && name.len() <= self.name_bytes_max
                && value.len() <= self.value_bytes_max
                && !demoted.iter().any(|own| own == name)
        };
        let counted = labels.iter().filter(|(name, _)| *name != SERVICE_NAME).count();
        if counted <= self.names_max && labels.iter().all(|(name, value)| fits(name, value)) {
            return Held { labels, demoted: Vec::new() };
        }
        let mut kept = Vec::new();
        let mut moved = Vec::new();
        let mut room = self.names_max;
        // The labels of the source itself come first when there are too many.
        let (first, rest): (Vec<_>, Vec<_>) =
            labels.iter().partition(|(name, _)| KEPT.contains(name));
        for (name, value) in first.into_iter().chain(rest) {
            let free = name == SERVICE_NAME;
            if fits(name, value) && (free || room > 0) {
                room -= usize::from(!free);
                kept.push((name, value));
            } else {
                self.demotions.add(&[&self.source, &metadata_name(name)], 1);
                moved.push((metadata_name(name), Text::from(value)));
            }
        }
        Held { labels: Labels::from_pairs(kept), demoted: moved }
    }
}

impl Held {
    fn after(mut self, mut earlier: Vec<(Text, Text)>) -> Held {
        earlier.append(&mut self.demoted);
        self.demoted = earlier;
        self
    }
}

fn most_varied(seen: &Seen, labels: &Labels) -> Option<String> {
    seen.values
        .iter()
        .filter(|(name, values)| {
            values.len() > 1 && !KEPT.contains(&name.as_str()) && labels.get(name).is_some()
        })
        .max_by_key(|(name, values)| (values.len(), std::cmp::Reverse(name.as_str())))
        .map(|(name, _)| name.clone())
}
