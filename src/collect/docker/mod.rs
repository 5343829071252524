//! Container logs by the engine's API: found by list and events, read by one follower each,
//! resumed to the nanosecond with an overlap in which repeats are dropped.

mod assemble;
mod client;
mod container;
mod engine;
mod events;
mod filter;
mod follow;
mod frames;
mod own;
mod ring;
mod source;
#[cfg(test)]
mod tests;

pub use container::PARSE_PIPELINE_PREFIX;
pub use source::DockerSource;

pub(super) use client::Endpoint;
pub(super) use filter::{DockerFilter, wildcard};
pub(super) use source::DockerSettings;
