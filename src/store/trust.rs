//! How far the clock is believed before something is removed because of its age. A clock that
//! jumps ahead by years must not empty the store.

/// A time that is farther ahead of what was seen than this is not believed at once.
const AHEAD_NS_MAX: i64 = 2 * 86_400_000_000_000;
/// It is believed once the clock has gone on evenly for so long: a server that was off for weeks
/// removes old days after it, and somebody who looks at the log has had the time to act.
const STEADY_NS: i64 = 86_400_000_000_000;
/// A larger step between two looks, or one back, is no even going.
const STEP_NS_MAX: i64 = 6 * 3_600_000_000_000;

/// What is known about the clock. Looked at with every run of retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trust {
    /// The latest time that was believed.
    believed_ns: i64,
    seen_ns: i64,
    steady_ns: i64,
    doubted: bool,
}

/// The times to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Believed {
    /// For removal by age.
    pub now_ns: i64,
    /// The latest believed time: what is of this day counts as of today.
    pub latest_ns: i64,
    /// The clock has just begun to be doubted.
    pub newly_doubted: bool,
}

impl Trust {
    /// `last_ns`: the latest time that something was written at; `None` for a new store, which
    /// has nothing to lose.
    pub fn new(last_ns: Option<i64>, now_ns: i64) -> Self {
        let believed_ns = last_ns.unwrap_or(now_ns);
        Trust { believed_ns, seen_ns: now_ns, steady_ns: 0, doubted: false }
    }

    pub fn look(&mut self, now_ns: i64) -> Believed {
        let step_ns = now_ns.saturating_sub(self.seen_ns);
        self.seen_ns = now_ns;
        let even = (0..=STEP_NS_MAX).contains(&step_ns);
        self.steady_ns = if even { self.steady_ns.saturating_add(step_ns) } else { 0 };
        let ahead_ns = now_ns.saturating_sub(self.believed_ns);
        let doubted = ahead_ns > AHEAD_NS_MAX && self.steady_ns < STEADY_NS;
        if !doubted {
            self.believed_ns = self.believed_ns.max(now_ns);
        }
        let newly_doubted = doubted && !std::mem::replace(&mut self.doubted, doubted);
        self.doubted = doubted;
        Believed {
            now_ns: now_ns.min(self.believed_ns),
            latest_ns: self.believed_ns,
            newly_doubted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;
    const DAY: i64 = 24 * HOUR;
    const NOW: i64 = 20_000 * DAY;

    #[test]
    fn a_clock_that_goes_evenly_is_believed() {
        let mut trust = Trust::new(Some(NOW), NOW);
        for hours in 0..100 {
            let now = NOW + hours * HOUR;
            let expect = Believed { now_ns: now, latest_ns: now, newly_doubted: false };
            assert_eq!(trust.look(now), expect);
        }
    }

    #[test]
    fn a_jump_ahead_is_believed_after_a_day() {
        let mut trust = Trust::new(Some(NOW), NOW);
        trust.look(NOW);
        let far = NOW + 5000 * DAY;
        let doubted = Believed { now_ns: NOW, latest_ns: NOW, newly_doubted: true };
        assert_eq!(trust.look(far), doubted);
        for hours in 1..24 {
            let still = Believed { newly_doubted: false, ..doubted };
            assert_eq!(trust.look(far + hours * HOUR), still);
        }
        assert_eq!(trust.look(far + DAY).now_ns, far + DAY);
    }

    #[test]
    fn a_jump_that_is_taken_back_changes_nothing() {
        let mut trust = Trust::new(Some(NOW), NOW);
        for day in 0..50 {
            let now = NOW + day * HOUR;
            assert_eq!(trust.look(now).now_ns, now);
            assert!(trust.look(now + 5000 * DAY).newly_doubted);
        }
    }

    #[test]
    fn a_clock_behind_keeps_the_day_of_before() {
        let mut trust = Trust::new(Some(NOW), NOW);
        let behind = trust.look(NOW - 1000 * DAY);
        assert_eq!(behind.now_ns, NOW - 1000 * DAY);
        assert_eq!(behind.latest_ns, NOW);
        assert_eq!(trust.look(NOW + HOUR).now_ns, NOW + HOUR);
    }

    #[test]
    fn a_start_after_a_long_time_waits_a_day_too() {
        let mut trust = Trust::new(Some(NOW), NOW + 400 * DAY);
        assert!(trust.look(NOW + 400 * DAY).newly_doubted);
        let mut fresh = Trust::new(None, NOW + 400 * DAY);
        assert_eq!(fresh.look(NOW + 400 * DAY).now_ns, NOW + 400 * DAY);
    }
}
