//! Waiting longer after each failure, with jitter, for ever.

use std::time::Duration;

const FIRST_MS: u64 = 200;
const LAST_MS: u64 = 30_000;

#[derive(Debug, Clone, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait now: 0.2 s doubling to 30 s, between half and all of it.
    pub fn next(&mut self) -> Duration {
        let full_ms = FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(LAST_MS);
        self.failures = self.failures.saturating_add(1);
        let mut random = [0; 2];
        // Without randomness the wait is only less spread out.
        let _ = getrandom::fill(&mut random);
        let half_ms = full_ms / 2;
        Duration::from_millis(half_ms + half_ms * u64::from(u16::from_le_bytes(random)) / 65_535)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_limit_and_starts_again() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> =
            (0..20).map(|_| u64::try_from(backoff.next().as_millis()).unwrap()).collect();
        assert!((100..=200).contains(&waits[0]), "{waits:?}");
        assert!((200..=400).contains(&waits[1]), "{waits:?}");
        assert!(waits[10..].iter().all(|ms| (15_000..=30_000).contains(ms)), "{waits:?}");
        backoff.reset();
        assert!(backoff.next().as_millis() <= 200);
    }
}
