//! Regular expressions as RE2 reads them, and what they say that a text must hold.

#![no_main]

#[allow(dead_code)] // Each target takes one of them.
mod language;
mod memory;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| memory::bounded(input.len(), 64, 64 << 20, || language::regex(input)));
