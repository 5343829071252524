//! Where lines come from. Pull sources (Docker, journald, files) remember how far they have
//! read in positions that are committed together with the entries; push inputs are in `push`.
//!
//! A source is built from its raw configuration (`build`), then run by the caller:
//! `source.run(out, shutdown)` sends `SourceBatch`es until told to stop. A full channel makes
//! the source wait, and with it whatever it reads from.

mod backoff;
mod batch;
mod build;
mod context;
mod detect;
mod docker;
mod files;
mod held;
mod journald;
mod line;
mod md5;
mod promtail;
pub mod push;
mod relabel;
mod settings;
mod stage_hint;
mod status;

pub use stage_hint::StageHint;

pub use docker::{DockerSource, PARSE_PIPELINE_PREFIX};
pub use files::FilesSource;
pub use journald::JournalSource;

pub use batch::{MemoryPositions, Positions, Shutdown, SourceBatch};
pub use build::{BuiltSources, Source, SourceDeps, build};
pub use status::{SourceCounters, SourceState, SourceStatus, StatusHandle, TargetStatus};
