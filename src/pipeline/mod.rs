//! From a line to structure: stages that read, label, rewrite and drop entries.

mod discover;
mod format;
mod item;
mod json_path;
mod json_scan;
mod level;
mod trace;

pub use discover::Discover;
