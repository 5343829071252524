//! Loki's JSON: any bytes are decoded or refused, and what comes out keeps the limits.

#![no_main]

mod body;

use libfuzzer_sys::fuzz_target;
use stockade::collect::push::{Format, Shape};

fuzz_target!(|bytes: &[u8]| body::check(&Shape::Loki(Format::Json), bytes));
