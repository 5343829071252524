//! LogQL: syntax (pure), stage (lines), plan, run.

pub mod stage;
pub mod syntax;

mod columnar;
mod engine;
mod error;
mod explain;
mod explore;
mod export;
pub mod plain;
mod plan;
mod result;
mod run;
mod tail;
mod tenants;

pub use engine::{Engine, InstantQuery, QueryContext, QueryLimits, RangeQuery};
pub use error::QueryError;
pub use explain::{Explanation, Selection};
pub use explore::{
    DetectedField, DetectedLabel, DetectedPattern, FieldKind, FieldParser, FieldQuery, IndexStats,
    PatternQuery, Volume, VolumeBy, VolumeQuery, VolumeSeries,
};
pub use export::{Nearest, Page, PageQuery, Ties};
pub use plan::hints;
pub use result::{
    Categorize, LogRow, QueryData, QueryResult, QueryStats, Sample, Series, StreamGroup,
    group_streams, merged_labels,
};
pub use run::log::Direction;
pub use stage::StageError;
pub use tail::TailFilter;
pub use tenants::SEPARATOR as TENANT_SEPARATOR;

#[cfg(test)]
mod tests;
