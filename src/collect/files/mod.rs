//! Log files: found by pattern, followed through rotation, read from where they were left.
//!
//! `poller` does everything in steps; `source` runs it on a thread; the rest are its parts in
//! the order in which a file meets them.

mod encoding;
mod glob;
mod identity;
mod memory;
mod names;
mod poller;
mod position;
mod scan;
mod source;
mod split;
mod tail;
#[cfg(test)]
mod tests;
mod wake;

pub(super) use glob::Glob;
pub(super) use names::service_of;
pub(super) use poller::FilesSettings;
pub use source::FilesSource;
