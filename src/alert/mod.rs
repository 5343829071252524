//! Rules on a clock: from rule files to alerts that are pending, firing and resolved; recording
//! rules; metrics counted from logs. Alerts leave through a channel; who hears of them is the
//! notifier's business.

mod engine;
mod error;
mod evaluate;
mod expr;
mod rule;
mod text;

mod check;
mod load;
mod namespaces;
mod shipped;
mod yaml;

mod judge;
mod schedule;
mod state;

mod derived;
mod listing;
mod memory;
mod recorded;
mod ruler;

pub use check::{Failure, Report, RuleTest, run_tests};
pub use derived::DerivedMetrics;
pub use engine::EngineEvaluate;
pub use error::AlertError;
pub use evaluate::{Evaluate, Evidence, Sample};
pub use expr::{OWN_SERVICE, looks_at_own_logs};
pub use listing::{
    AlertListing, Alerts, GroupListing, Health, RuleGroups, RuleListing, RuleType, StateName,
};
pub use load::{GroupDefaults, RuleFile, load_group, load_path, load_text};
pub use rule::{Group, GroupKey, Origin, Rule, RuleId, RuleKind, RuleSet};
pub use ruler::{Ruler, RulerOptions};
pub use shipped::{runbook, shipped};

#[cfg(test)]
mod expr_tests;
#[cfg(test)]
mod load_tests;
