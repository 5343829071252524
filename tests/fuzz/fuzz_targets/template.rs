//! Templates of every dialect end, parsed and rendered, whatever their text.

#![no_main]

#[allow(dead_code)] // Each target takes one of them.
mod language;
mod memory;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| memory::bounded(source.len(), 256, 160 << 20, || language::template(
    source
)));
