//! JSON lines: any bytes are decoded or refused, and what comes out keeps the limits.

#![no_main]

mod body;
mod memory;

use libfuzzer_sys::fuzz_target;
use stockade::collect::push::{FieldNames, Shape};

fuzz_target!(|bytes: &[u8]| memory::bounded(bytes.len(), 512, 256 << 10, || {
    body::check(&Shape::JsonLines(FieldNames::default()), bytes);
}));
