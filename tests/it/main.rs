//! One binary for all integration tests: the server as users run it, real engines, real files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking"
)]

mod support;

mod alerts;

mod backup;
mod bad_input;
mod cli;
mod compat;
mod crash;
mod deletes;
mod docker;
mod files;
mod journald;
mod page;
mod push;
mod tidy;
