//! A whole part: no bytes make its reader panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = stockade::store::fuzz::part(bytes);
});
