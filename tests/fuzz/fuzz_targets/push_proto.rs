//! Loki's protobuf, after decompression: any bytes are decoded or refused, and what comes out keeps the limits.

#![no_main]

mod body;
mod memory;

use libfuzzer_sys::fuzz_target;
use stockade::collect::push::{Format, Shape};

fuzz_target!(|bytes: &[u8]| memory::bounded(bytes.len(), 160, 256 << 10, || {
    body::check(&Shape::Loki(Format::Protobuf), bytes);
}));
