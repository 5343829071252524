//! JSON lines: any bytes are decoded or refused, and what comes out keeps the limits.

#![no_main]

mod body;

use libfuzzer_sys::fuzz_target;
use stockade::collect::push::{FieldNames, Shape};

fuzz_target!(|bytes: &[u8]| body::check(&Shape::JsonLines(FieldNames::default()), bytes));
