//! What there is to query: labels, series, volumes, fields found in lines. Thin functions over
//! what the store tells of its streams, and over samples of rows.

mod fields;
mod labels;
mod patterns;
mod volume;

pub use fields::{DetectedField, FieldKind, FieldParser, FieldQuery};
pub use labels::{DetectedLabel, IndexStats};
pub use patterns::{DetectedPattern, Miner, PatternQuery};
pub use volume::{Volume, VolumeBy, VolumeQuery, VolumeSeries};
