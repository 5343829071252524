//! How the memory allocator gives memory back. A log server works in bursts: what a burst took
//! is not to stay for hours.

use std::cell::Cell;
use std::time::{Duration, Instant};

const RELEASE_EVERY: Duration = Duration::from_secs(10);

/// Milliseconds that freed memory is kept for the next use, before it goes back to the system;
/// arenas wait ten times as long. The allocator's own value keeps it ten seconds, in which a burst of
/// pushes takes a third more.
#[cfg(feature = "mimalloc")]
const PURGE_DELAY_MS: std::ffi::c_long = 100;

/// `mi_option_purge_delay` of mimalloc's header; the bindings leave it out.
#[cfg(feature = "mimalloc")]
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// To be called once, at the start. What the environment says (`MIMALLOC_PURGE_DELAY`) stays.
pub fn tune() {
    #[cfg(feature = "mimalloc")]
    // SAFETY: sets a number that the allocator reads; any value is sound.
    unsafe {
        libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS);
    }
}

/// Gives back what is free now: purging is else only thought of when something is freed, which
/// does not happen while nothing goes on.
pub fn release() {
    #[cfg(feature = "mimalloc")]
    // SAFETY: no pointers are involved.
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}

/// For a thread that rests often and briefly.
pub fn release_now_and_then() {
    thread_local! {
        static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let now = Instant::now();
    if LAST.get().is_none_or(|last| now.duration_since(last) >= RELEASE_EVERY) {
        LAST.set(Some(now));
        release();
    }
}
