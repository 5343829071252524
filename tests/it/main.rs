//! One binary for all integration tests: the server as users run it, real engines, real files.

mod support;

mod bad_input;
mod compat;
mod crash;
mod docker;
mod files;
mod journald;
mod page;
mod push;
mod tidy;
