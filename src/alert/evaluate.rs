//! What rules need of a query engine. Behind this trait a rule may be answered by a scan of the
//! store, or later by running counters that are fed as lines arrive; both must give the same
//! answer, and rules cannot tell them apart.

use crate::model::{Labels, SampleLine, TimeRange, Timestamp};
use crate::query::syntax::ast::{LogExpr, MetricExpr};

/// One series of an instant query.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub labels: Labels,
    pub value: f64,
}

/// The lines behind an alert.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// How many lines of the window fit.
    pub count: u64,
    /// The newest of them, newest first.
    pub lines: Vec<SampleLine>,
}

/// Answers the queries of rules. Calls block; they come from blocking threads, several at a
/// time. An error freezes the state of the rule, so "no data" must be an empty answer.
pub trait Evaluate: Send + Sync + 'static {
    fn instant(
        &self,
        tenant: &str,
        expr: &MetricExpr,
        at: Timestamp,
    ) -> Result<Vec<Sample>, String>;

    /// Counts the lines that `log` lets through in `range` and keeps the newest `lines_max`.
    fn evidence(
        &self,
        tenant: &str,
        log: &LogExpr,
        range: TimeRange,
        lines_max: usize,
    ) -> Result<Evidence, String>;
}
