//! Runs queries: lines of log queries, windows and vectors of metric queries.

pub mod accumulate;
pub mod aggregate;
pub mod binary;
pub mod cache;
pub mod collect;
pub mod context;
pub mod eval;
pub mod extract;
pub mod grid;
pub mod log;
pub mod memory;
pub mod placed;
pub mod quantiles;
pub mod range;
pub mod reach;
pub mod samples;
pub mod series;
pub mod vectors;
