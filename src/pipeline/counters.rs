//! What pipelines count, and the registry of the metrics that users define in `metrics` stages.

use std::sync::Arc;

use crate::metrics::{Counters, Metrics};

use super::custom::CustomMetrics;

/// Made once per process; pipelines compiled later, at a reload too, count on.
#[derive(Clone)]
pub struct PipelineMetrics {
    pub(crate) dropped: Counters,
    pub(crate) truncated: Counters,
    pub(crate) demoted: Counters,
    pub(crate) custom: Arc<CustomMetrics>,
}

impl PipelineMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let custom = Arc::new(CustomMetrics::default());
        metrics.collector(Box::new(Arc::clone(&custom)));
        PipelineMetrics {
            dropped: metrics.counters(
                "stockade_pipeline_dropped_lines",
                "Lines that a pipeline stage dropped",
                &["reason"],
            ),
            truncated: metrics.counters(
                "stockade_pipeline_truncated",
                "Lines, labels and other values that a pipeline stage cut",
                &["field"],
            ),
            demoted: metrics.counters(
                "stockade_pipeline_demoted_labels",
                "Label values that were moved to structured metadata because of a limit",
                &["source", "label"],
            ),
            custom,
        }
    }
}

impl std::fmt::Debug for PipelineMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PipelineMetrics")
    }
}
