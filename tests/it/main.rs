//! One binary for all integration tests: the whole server in one process, real engines, real files.

mod tidy;
