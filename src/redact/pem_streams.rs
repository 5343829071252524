//! Private keys that reach over several entries: which streams are inside of one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::limits;
use crate::model::Timestamp;

/// A key that has begun and not ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenKey {
    lines_left: usize,
    until: Timestamp,
}

impl OpenKey {
    pub(super) fn new(at: Timestamp) -> Self {
        OpenKey {
            lines_left: limits::PEM_LINES_MAX,
            until: at.saturating_add_ns(limits::PEM_WAIT_NS_MAX),
        }
    }

    /// One more line of the stream; false when the key is given up.
    pub(super) fn takes_line(&mut self, at: Timestamp) -> bool {
        self.lines_left = self.lines_left.saturating_sub(1);
        self.lines_left > 0 && at <= self.until
    }
}

/// Streams with open keys. Shared by a redactor and the one that replaces it on reload, so that
/// a key in flight is not forgotten.
#[derive(Debug, Default)]
pub(super) struct PemStreams {
    active: AtomicUsize,
    open: Mutex<HashMap<u128, OpenKey>>,
}

impl PemStreams {
    /// Takes out what is known of a stream. Costs one atomic load when no key is open anywhere.
    pub(super) fn take(&self, stream: impl FnOnce() -> u128) -> Option<OpenKey> {
        if self.active.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut open = self.open.lock();
        let key = open.remove(&stream());
        self.active.store(open.len(), Ordering::Release);
        key
    }

    pub(super) fn put(&self, stream: u128, key: OpenKey) {
        let mut open = self.open.lock();
        if open.len() >= limits::PEM_STREAMS_MAX {
            let oldest = open.iter().min_by_key(|(_, key)| key.until).map(|(stream, _)| *stream);
            if let Some(oldest) = oldest {
                open.remove(&oldest);
            }
        }
        open.insert(stream, key);
        self.active.store(open.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_given_up_after_a_while() {
        let mut key = OpenKey::new(Timestamp::from_secs(10));
        assert!(key.takes_line(Timestamp::from_secs(15)));
        assert!(!key.takes_line(Timestamp::from_secs(16)));
        let mut key = OpenKey::new(Timestamp::from_secs(10));
        let taken = (0..1000).take_while(|_| key.takes_line(Timestamp::from_secs(10))).count();
        assert_eq!(taken, limits::PEM_LINES_MAX - 1);
    }

    #[test]
    fn remembers_a_bounded_number_of_streams() {
        let streams = PemStreams::default();
        assert!(streams.take(|| unreachable!()).is_none());
        for stream in 0..u128::try_from(limits::PEM_STREAMS_MAX).unwrap() + 10 {
            let at = Timestamp::from_secs(i64::try_from(stream).unwrap());
            streams.put(stream, OpenKey::new(at));
        }
        assert_eq!(streams.active.load(Ordering::Acquire), limits::PEM_STREAMS_MAX);
        assert!(streams.take(|| 3).is_none());
        assert!(streams.take(|| 50).is_some());
    }
}
