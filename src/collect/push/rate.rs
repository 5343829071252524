//! Token buckets for Loki's ingestion rate limits.

use parking_lot::Mutex;

/// One bucket: refilled at so many bytes per second, never above its burst.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    tokens: f64,
    at_ns: i64,
}

impl Bucket {
    pub fn full(burst_bytes: f64, now_ns: i64) -> Self {
        Bucket { tokens: burst_bytes, at_ns: now_ns }
    }

    /// Takes `bytes` tokens if they are there. The rate is an argument so that a reload changes
    /// it without losing the bucket.
    pub fn take(
        &mut self,
        bytes: usize,
        bytes_per_sec: f64,
        burst_bytes: f64,
        now_ns: i64,
    ) -> bool {
        let passed_secs = now_ns.saturating_sub(self.at_ns).max(0) as f64 / 1e9;
        self.tokens = (self.tokens + passed_secs * bytes_per_sec).min(burst_bytes);
        self.at_ns = now_ns;
        let enough = self.tokens >= bytes as f64;
        if enough {
            self.tokens -= bytes as f64;
        }
        enough
    }
}

/// A bucket that pushes share.
#[derive(Debug)]
pub struct RateLimiter {
    bucket: Mutex<Bucket>,
}

impl RateLimiter {
    pub fn new(burst_bytes: f64, now_ns: i64) -> Self {
        RateLimiter { bucket: Mutex::new(Bucket::full(burst_bytes, now_ns)) }
    }

    /// See `Bucket::take`.
    pub fn take(&self, bytes: usize, bytes_per_sec: f64, burst_bytes: f64, now_ns: i64) -> bool {
        self.bucket.lock().take(bytes, bytes_per_sec, burst_bytes, now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refills_up_to_the_burst() {
        let bucket = RateLimiter::new(100.0, 0);
        assert!(bucket.take(100, 10.0, 100.0, 0));
        assert!(!bucket.take(1, 10.0, 100.0, 0));
        assert!(bucket.take(10, 10.0, 100.0, 1_000_000_000));
        assert!(!bucket.take(101, 10.0, 100.0, 1_000_000_000_000));
        assert!(bucket.take(100, 10.0, 100.0, 1_000_000_000_000));
    }
}
