//! Where lines come from: pull sources (docker, journald, files) and pushes.

pub mod push;
