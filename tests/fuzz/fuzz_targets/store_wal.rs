//! A record of the log ahead: no bytes make its reader panic.

#![no_main]

mod memory;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| memory::bounded(bytes.len(), 64, 1 << 20, || {
    let _ = stockade::store::fuzz::wal(bytes);
}));
