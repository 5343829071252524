//! Token buckets for Loki's ingestion rate limits.

use parking_lot::Mutex;

/// One bucket: refilled at `bytes_per_sec`, never above `burst_bytes`.
#[derive(Debug)]
pub struct RateLimiter {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    at_ns: i64,
}

impl RateLimiter {
    pub fn new(burst_bytes: f64, now_ns: i64) -> Self {
        RateLimiter { state: Mutex::new(State { tokens: burst_bytes, at_ns: now_ns }) }
    }

    /// Takes `bytes` tokens if they are there. The rate is an argument so that a reload changes
    /// it without losing the bucket.
    pub fn take(&self, bytes: usize, bytes_per_sec: f64, burst_bytes: f64, now_ns: i64) -> bool {
        let mut state = self.state.lock();
        let passed_secs = (now_ns - state.at_ns).max(0) as f64 / 1e9;
        state.tokens = (state.tokens + passed_secs * bytes_per_sec).min(burst_bytes);
        state.at_ns = now_ns;
        if state.tokens < bytes as f64 {
            return false;
        }
        state.tokens -= bytes as f64;
        true
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
