//! Token buckets for Loki's ingestion rate limits.

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::limits::TENANTS_ACTIVE_MAX;

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

    /// Whether it holds all that it ever will.
    fn is_full(&self, bytes_per_sec: f64, burst_bytes: f64, now_ns: i64) -> bool {
        self.level(bytes_per_sec, burst_bytes, now_ns) >= burst_bytes
    }

    fn level(&self, bytes_per_sec: f64, burst_bytes: f64, now_ns: i64) -> f64 {
        let passed_secs = now_ns.saturating_sub(self.at_ns).max(0) as f64 / 1e9;
        (self.tokens + passed_secs * bytes_per_sec).min(burst_bytes)
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
        self.tokens = self.level(bytes_per_sec, burst_bytes, now_ns);
        self.at_ns = now_ns;
        let enough = self.tokens >= bytes as f64;
        if enough {
            self.tokens -= bytes as f64;
        }
        enough
    }
}

/// A bucket for each tenant, so that one over its limit holds up no other.
#[derive(Debug, Default)]
pub struct TenantRates {
    tenants: Mutex<HashMap<String, Bucket>>,
}

/// The bucket of tenants for which there is no room: no tenant has this name.
const OTHERS: &str = "";

impl TenantRates {
    /// See `Bucket::take`. A tenant that is not known begins with a full bucket.
    pub fn take(
        &self,
        tenant: &str,
        bytes: usize,
        bytes_per_sec: f64,
        burst_bytes: f64,
        now_ns: i64,
    ) -> bool {
        let mut tenants = self.tenants.lock();
        let mut name = tenant;
        if !tenants.contains_key(tenant) && tenants.len() >= TENANTS_ACTIVE_MAX {
            // A full bucket is what a tenant gets that is not known.
            tenants.retain(|_, bucket| !bucket.is_full(bytes_per_sec, burst_bytes, now_ns));
            if tenants.len() >= TENANTS_ACTIVE_MAX {
                name = OTHERS;
            }
        }
        let bucket = tenants.entry_ref(name).or_insert_with(|| Bucket::full(burst_bytes, now_ns));
        bucket.take(bytes, bytes_per_sec, burst_bytes, now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: i64 = 1_000_000_000;

    #[test]
    fn refills_up_to_the_burst() {
        let rates = TenantRates::default();
        assert!(rates.take("a", 100, 10.0, 100.0, 0));
        assert!(!rates.take("a", 1, 10.0, 100.0, 0));
        assert!(rates.take("a", 10, 10.0, 100.0, SEC));
        assert!(!rates.take("a", 101, 10.0, 100.0, 1000 * SEC));
        assert!(rates.take("a", 100, 10.0, 100.0, 1000 * SEC));
        // A reload raised the burst: what was full before is not full now.
        assert!(!rates.take("a", 101, 10.0, 200.0, 1001 * SEC));
    }

    #[test]
    fn tenants_do_not_hold_up_each_other() {
        let rates = TenantRates::default();
        assert!(rates.take("a", 100, 10.0, 100.0, 0));
        assert!(!rates.take("a", 100, 10.0, 100.0, 0));
        assert!(rates.take("b", 100, 10.0, 100.0, 0));
    }

    #[test]
    fn so_many_tenants_are_told_apart() {
        let rates = TenantRates::default();
        for n in 0..TENANTS_ACTIVE_MAX {
            assert!(rates.take(&n.to_string(), 100, 10.0, 100.0, 0));
        }
        // The others share a bucket.
        assert!(rates.take("x", 60, 10.0, 100.0, SEC));
        assert!(!rates.take("y", 60, 10.0, 100.0, SEC));
        assert!(!rates.take("0", 60, 10.0, 100.0, SEC));
        assert!(rates.tenants.lock().len() <= TENANTS_ACTIVE_MAX + 1);
        // Those that have been quiet make room.
        assert!(rates.take("z", 60, 10.0, 100.0, 10 * SEC));
        assert!(rates.take("y", 60, 10.0, 100.0, 10 * SEC));
        assert!(rates.tenants.lock().len() < 5);
    }
}
