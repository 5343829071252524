//! A query that parses must print as a query that parses to the same tree.

#![no_main]

#[allow(dead_code)] // Each target takes one of them.
mod language;
mod memory;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|query: &str| memory::bounded(query.len(), 256, 64 << 20, || language::query(query)));
