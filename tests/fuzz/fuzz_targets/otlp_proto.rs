//! OTLP logs as protobuf: any bytes are decoded or refused, and what comes out keeps the limits.

#![no_main]

mod body;
mod memory;

use libfuzzer_sys::fuzz_target;
use stockade::collect::push::{Shape, otlp};

fuzz_target!(|bytes: &[u8]| memory::bounded(bytes.len(), 160, 256 << 10, || {
    body::check(&Shape::Otlp(otlp::Encoding::Protobuf), bytes);
}));
