//! LogQL: syntax (pure), stage (lines), plan, run.

pub mod stage;
pub mod syntax;
