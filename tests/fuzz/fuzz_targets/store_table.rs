//! The table of a part: no bytes make its reader panic.

#![no_main]

mod memory;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| memory::bounded(bytes.len(), 256, 4 << 20, || {
    let _ = stockade::store::fuzz::table(bytes);
}));
