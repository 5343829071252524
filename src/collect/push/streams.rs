//! Loki's limits on streams: how many a tenant may have, and how fast each may grow.

use std::fmt::Write as _;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::Rejected;
use super::rate::Bucket;
use crate::limits::TENANTS_ACTIVE_MAX;
use crate::model::{Entry, StreamBatch, StreamId};

/// A stream counts as active for so long after its last entry, and up to twice as long.
const ACTIVE_NS: i64 = 30 * 60 * 1_000_000_000;

/// Limits with Loki's names; 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StreamLimits {
    pub max_global_streams_per_user: usize,
    pub per_stream_rate_limit: f64,
    pub per_stream_rate_limit_burst: f64,
}

#[derive(Debug, Default)]
struct Tenant {
    /// Streams seen since `rotated_ns`, and those seen only in the time before.
    young: HashMap<StreamId, Bucket>,
    old: HashMap<StreamId, Bucket>,
    rotated_ns: i64,
}

/// The streams that are active, by tenant: some 60 bytes for each.
#[derive(Debug, Default)]
pub struct ActiveStreams {
    tenants: Mutex<HashMap<String, Tenant>>,
}

impl Tenant {
    fn rotate(&mut self, now_ns: i64) {
        let since_ns = now_ns.saturating_sub(self.rotated_ns);
        // A clock that was set back must not keep streams for years.
        if (0..ACTIVE_NS).contains(&since_ns) {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        if since_ns >= 2 * ACTIVE_NS {
            self.old.clear();
        }
        self.rotated_ns = now_ns;
    }

    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// The bucket of a stream that is active or may become so.
    fn bucket(&mut self, id: StreamId, streams_max: usize, new: Bucket) -> Option<&mut Bucket> {
        if !self.young.contains_key(&id) {
            let bucket = match self.old.remove(&id) {
                Some(bucket) => bucket,
                None if streams_max > 0 && self.len() >= streams_max => return None,
                None => new,
            };
            self.young.insert(id, bucket);
        }
        self.young.get_mut(&id)
    }
}

impl ActiveStreams {
    /// Takes streams out of a push that are too many or grow too fast, and says which. The rest
    /// may be stored; clients send everything again, and what is stored then is left out.
    pub fn limit(
        &self,
        tenant: &str,
        streams: &mut Vec<StreamBatch>,
        limits: &StreamLimits,
        now_ns: i64,
    ) -> Rejected {
        let mut rejected = Rejected::default();
        let (rate, streams_max) =
            (limits.per_stream_rate_limit, limits.max_global_streams_per_user);
        if streams_max == 0 && rate <= 0.0 {
            return rejected;
        }
        let burst = limits.per_stream_rate_limit_burst.max(rate);
        let mut tenants = self.tenants.lock();
        if !tenants.contains_key(tenant) {
            // Tenants that have gone quiet make room for new ones.
            tenants.retain(|_, tenant| {
                tenant.rotate(now_ns);
                tenant.len() > 0
            });
            if tenants.len() >= TENANTS_ACTIVE_MAX {
                for stream in streams.drain(..) {
                    let bytes = stream.entries.iter().map(Entry::bytes).sum();
                    rejected.add(stream.entries.len(), bytes, || {
                        format!(
                            "maximum of active tenants exceeded (limit: {TENANTS_ACTIVE_MAX}), user: '{tenant}'; come again when others are quiet"
                        )
                    });
                }
                return rejected;
            }
        }
        let active = tenants.entry_ref(tenant).or_default();
        active.rotate(now_ns);
        streams.retain(|stream| {
            let id = stream.labels.stream_id(tenant);
            let bytes = || stream.entries.iter().map(Entry::bytes).sum::<usize>();
            let new = Bucket::full(burst, now_ns);
            let Some(bucket) = active.bucket(id, streams_max, new) else {
                rejected.add(stream.entries.len(), bytes(), || {
                    format!(
                        "maximum active stream limit exceeded when trying to create stream {}, reduce the number of active streams (reduce labels or reduce label values), or raise max_global_streams_per_user (limit: {streams_max}), user: '{tenant}'",
                        stream.labels
                    )
                });
                return false;
            };
            if rate <= 0.0 {
                return true;
            }
            let bytes = bytes();
            let allowed = bucket.take(bytes, rate, burst, now_ns);
            if !allowed {
                rejected.add(stream.entries.len(), bytes, || {
                    let mut message = String::from("per stream rate limit exceeded");
                    let _ = write!(
                        message,
                        " (limit: {rate} bytes/sec) while attempting to ingest for stream '{}' totaling {bytes} bytes, consider splitting a stream via additional labels or raise per_stream_rate_limit",
                        stream.labels
                    );
                    message
                });
            }
            allowed
        });
        rejected
    }

    /// Active streams of all tenants.
    pub fn len(&self) -> usize {
        self.tenants.lock().values().map(Tenant::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Timestamp};

    const SEC: i64 = 1_000_000_000;

    fn stream(name: &str, bytes: usize) -> StreamBatch {
        let line = "x".repeat(bytes);
        StreamBatch {
            labels: Labels::from_pairs([("app", name)]),
            entries: vec![Entry::new(Timestamp(1), line)],
        }
    }

    /// The names of the streams that may pass, and the message for the others.
    fn pass(
        active: &ActiveStreams,
        names: &[&str],
        limits: &StreamLimits,
        now_ns: i64,
    ) -> (Vec<String>, String) {
        let mut streams: Vec<StreamBatch> = names.iter().map(|name| stream(name, 100)).collect();
        let rejected = active.limit("t", &mut streams, limits, now_ns);
        assert_eq!(streams.len() + rejected.entries, names.len());
        let left = streams.iter().map(|s| s.labels.get("app").unwrap().to_owned()).collect();
        (left, rejected.message())
    }

    #[test]
    fn counts_active_streams() {
        let limits = StreamLimits { max_global_streams_per_user: 2, ..StreamLimits::default() };
        let active = ActiveStreams::default();
        let (left, message) = pass(&active, &["a", "b", "c", "a"], &limits, 0);
        assert_eq!(left, ["a", "b", "a"]);
        assert!(message.starts_with(
            "maximum active stream limit exceeded when trying to create stream {app=\"c\"}"
        ));
        assert_eq!(pass(&active, &["a", "b", "c"], &limits, ACTIVE_NS).0, ["a", "b"]);
        // `b` is quiet from here on and makes room after a while.
        assert_eq!(pass(&active, &["c", "a"], &limits, 2 * ACTIVE_NS).0, ["a"]);
        assert_eq!(pass(&active, &["c", "a"], &limits, 3 * ACTIVE_NS).0, ["c", "a"]);
        assert_eq!(active.len(), 2);
        // Other tenants have their own count.
        let mut others = vec![stream("x", 1)];
        assert!(active.limit("u", &mut others, &limits, 3 * ACTIVE_NS).is_empty());
        // A clock that was set back.
        assert_eq!(pass(&active, &["d", "c", "a"], &limits, 0).0, ["c", "a"]);
        assert_eq!(pass(&active, &["d", "e"], &limits, 2 * ACTIVE_NS).0, ["d", "e"]);
    }

    #[test]
    fn limits_the_rate_of_each_stream() {
        let limits = StreamLimits {
            per_stream_rate_limit: 100.0,
            per_stream_rate_limit_burst: 200.0,
            ..StreamLimits::default()
        };
        let active = ActiveStreams::default();
        let (left, message) = pass(&active, &["a", "a", "a", "b"], &limits, 0);
        assert_eq!(left, ["a", "a", "b"]);
        assert!(message.contains("per stream rate limit exceeded (limit: 100 bytes/sec)"));
        assert!(message.contains("'{app=\"a\"}' totaling 100 bytes"));
        assert_eq!(pass(&active, &["a"], &limits, SEC / 2).0.len(), 0);
        assert_eq!(pass(&active, &["a"], &limits, SEC).0.len(), 1);
    }

    #[test]
    fn no_limits_keep_nothing() {
        let active = ActiveStreams::default();
        let (left, message) = pass(&active, &["a", "b"], &StreamLimits::default(), 0);
        assert_eq!((left.len(), message.as_str()), (2, ""));
        assert!(active.is_empty());
    }
}
