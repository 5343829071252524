//! From a line to structure: stages that read, label, rewrite and drop entries, and what every
//! entry gets whether it has a pipeline or not.

mod check;
mod compile;
mod condition;
mod counters;
mod custom;
mod discover;
mod format;
mod guard;
mod item;
mod json_path;
mod json_scan;
mod level;
mod run;
mod shipped;
mod stages;
mod times;
mod trace;

pub use check::{TestReport, run_tests};
pub use compile::Setup;
pub use counters::PipelineMetrics;
pub use discover::Discover;
pub use guard::Guard;
pub use item::metadata_name;
pub use run::{EntryState, Joining, Pipeline, StageState};
pub use shipped::{Library, SHIPPED};

#[cfg(test)]
mod tests;
