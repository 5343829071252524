//! How much memory queries hold: each has a bound of its own, and all of them together another,
//! so that a query without measure ends with a message and not with the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::query::error::QueryError;

const MIB: u64 = 1 << 20;

/// What all queries hold together.
#[derive(Debug)]
pub struct MemoryPool {
    held: AtomicI64,
    bytes_max: u64,
}

impl MemoryPool {
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(MemoryPool { held: AtomicI64::new(0), bytes_max })
    }
}

/// What one query holds, counted over all threads that work on it. Given back when it is dropped.
#[derive(Debug)]
pub struct Memory {
    held: AtomicI64,
    bytes_max: u64,
    pool: Arc<MemoryPool>,
}

fn add(held: &AtomicI64, bytes: i64) -> u64 {
    u64::try_from(held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes)).unwrap_or(0)
}

impl Memory {
    /// For a query, which may take half of what there is for all.
    pub fn of(pool: &Arc<MemoryPool>) -> Arc<Self> {
        let bytes_max = pool.bytes_max / 2;
        Arc::new(Memory { held: AtomicI64::new(0), bytes_max, pool: Arc::clone(pool) })
    }

    /// Counts bytes that are about to be taken, or, below zero, were given back.
    pub fn take(&self, bytes: i64) -> Result<(), QueryError> {
        let own = add(&self.held, bytes);
        let all = add(&self.pool.held, bytes);
        if bytes > 0 && own > self.bytes_max {
            return Err(QueryError::Limit(format!(
                "the query needs more than {} MiB of memory; aggregate with sum by (..), narrow \
                 the selector or the time range, take fewer lines at once, or raise \
                 limits.memory_budget",
                self.bytes_max / MIB
            )));
        }
        if bytes > 0 && all > self.pool.bytes_max {
            return Err(QueryError::Limit(format!(
                "all queries that run now need more than {} MiB of memory together; send this \
                 one again in a moment, or raise limits.memory_budget",
                self.pool.bytes_max / MIB
            )));
        }
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        add(&self.pool.held, -self.held.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_query_and_all_have_bounds() {
        let pool = MemoryPool::new(100);
        let (first, second) = (Memory::of(&pool), Memory::of(&pool));
        assert!(first.take(50).is_ok());
        let error = first.take(1).unwrap_err().to_string();
        assert!(error.starts_with("the query needs more"), "{error}");
        assert!(first.take(-10).is_ok() && first.take(5).is_ok());
        assert!(second.take(50).is_ok());
        let third = Memory::of(&pool);
        let error = third.take(10).unwrap_err().to_string();
        assert!(error.starts_with("all queries"), "{error}");
        drop((first, second));
        assert!(third.take(30).is_ok());
        drop(third);
        assert_eq!(pool.held.load(Ordering::Relaxed), 0);
    }
}
