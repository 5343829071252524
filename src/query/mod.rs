//! LogQL: syntax (pure), plan, run.

pub mod syntax;
