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
mod clients;
mod compat;
mod compat_http;
mod corpus;
mod crash;
mod deletes;
mod docker;
mod files;
mod hostile;
mod intake;
mod journald;
mod own_api;
mod page;
mod paging;
mod patterns;
mod push;
mod push_limits;
mod ruler_api;
mod silences;
mod start;
mod tails;
mod tenants;
mod tidy;
