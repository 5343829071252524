//! Counts what is allocated, so that an input that takes far more memory than its size is a
//! finding while it is still small.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grown(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, held: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(held, layout) }
    }

    unsafe fn realloc(&self, held: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // Both exist while one is copied to the other.
        grown(bytes);
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(held, layout, bytes) }
    }
}

/// Runs `check` on an input of `length` bytes, which may take `times` its size, and `bytes_max`
/// for everything that does not depend on it.
pub fn bounded(length: usize, times: usize, bytes_max: usize, check: impl FnOnce()) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    check();
    let taken = PEAK.load(Relaxed).saturating_sub(before);
    assert!(taken <= length * times + bytes_max, "{length} bytes took {taken} bytes of memory");
}
