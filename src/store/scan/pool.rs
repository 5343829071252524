//! Threads that help scans. They belong to the store and live as long as it is open. A scan
//! runs on the thread that asked for it; helpers take blocks off it while they have nothing else
//! to do, so many scans at once get along with as many threads as there are cores.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::part_rows::Buffers;
use super::share::Job;
use crate::store::options::IDLE_AFTER;
use crate::store::read::ReadError;

/// Buffers of the size of a block that are kept from scan to scan, so that they need not be
/// asked of the system again. Each is a few megabytes.
const BUFFERS_MAX: usize = 4;

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Arc<Job>>,
    buffers: Vec<Buffers>,
    closed: bool,
}

#[derive(Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

/// Scans that want help wait here, each as often as it can use a thread.
pub(in crate::store) struct Pool {
    inner: Arc<Inner>,
    workers: usize,
}

impl Pool {
    /// For so many threads at one scan, the one that asked for it included.
    pub fn start(workers: usize, idle: fn()) -> io::Result<(Pool, Vec<JoinHandle<()>>)> {
        let inner = Arc::new(Inner::default());
        let pool = Pool { inner: inner.clone(), workers: workers.max(1) };
        let mut threads = Vec::new();
        for at in 1..pool.workers {
            let inner = inner.clone();
            let spawned = std::thread::Builder::new()
                .name(format!("store-scan-{at}"))
                .spawn(move || help(&inner, idle));
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    pool.close();
                    return Err(error);
                }
            }
        }
        Ok((pool, threads))
    }

    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Asks for help; whoever comes first is helped first.
    pub(super) fn post(&self, job: &Arc<Job>, helpers: usize) {
        let mut waiting = self.inner.waiting.lock();
        if waiting.closed {
            return;
        }
        for _ in 0..helpers.min(self.workers - 1) {
            waiting.jobs.push_back(job.clone());
            self.inner.wake.notify_one();
        }
    }

    /// Helpers end after the block they are at; scans go on without them.
    pub fn close(&self) {
        let mut waiting = self.inner.waiting.lock();
        waiting.closed = true;
        waiting.jobs.clear();
        waiting.buffers.clear();
        self.inner.wake.notify_all();
    }

    pub(super) fn take_buffers(&self) -> Result<Buffers, ReadError> {
        let kept = self.inner.waiting.lock().buffers.pop();
        kept.map_or_else(Buffers::new, Ok)
    }

    /// Lets go of buffers that no scan uses.
    pub fn drop_unused(&self) {
        self.inner.waiting.lock().buffers.clear();
    }

    pub(super) fn give_buffers(&self, buffers: Buffers) {
        let mut waiting = self.inner.waiting.lock();
        if !waiting.closed && waiting.buffers.len() < BUFFERS_MAX {
            waiting.buffers.push(buffers);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

fn help(inner: &Inner, idle: fn()) {
    let mut waiting = inner.waiting.lock();
    let mut worked = false;
    loop {
        if waiting.closed {
            return;
        }
        let Some(job) = waiting.jobs.pop_front() else {
            if !worked {
                inner.wake.wait(&mut waiting);
            } else if inner.wake.wait_for(&mut waiting, IDLE_AFTER).timed_out() {
                worked = false;
                MutexGuard::unlocked(&mut waiting, idle);
            }
            continue;
        };
        worked = true;
        drop(waiting);
        let is_wanted_elsewhere = || {
            let waiting = inner.waiting.lock();
            waiting.closed || waiting.jobs.iter().any(|other| !Arc::ptr_eq(other, &job))
        };
        let unfinished = job.help(&is_wanted_elsewhere);
        waiting = inner.waiting.lock();
        // Others had to wait long enough; this one comes after them.
        if unfinished && !waiting.closed {
            waiting.jobs.push_back(job);
        }
    }
}
