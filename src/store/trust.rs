//! How far the clock is believed before something is removed because of its age. A clock that
//! jumps ahead by years must not empty the store, nor one that is wrong for a weekend.

use serde::{Deserialize, Serialize};

/// A time that is farther ahead of what was seen than this is not believed at once.
const AHEAD_NS_MAX: i64 = 2 * DAY_NS;
/// It is followed once the clock has gone on evenly for so long: a server that was off for weeks
/// removes old days after it, and somebody who looks at the log has had the time to act.
const STEADY_NS: i64 = DAY_NS;
/// It is then followed in steps that cost a day of what is stored each, and so far apart: the
/// clock alone cannot tell a server that was off from a clock that is wrong.
const BETWEEN_STEPS_NS: i64 = 6 * 3_600_000_000_000;
/// A larger step between two looks is no even going: the machine slept, or was off. That does
/// not count, nor does it take away what was seen before, or machines that are off every night
/// would never be believed. A step back, or one so large that it is doubted itself, does.
const STEP_NS_MAX: i64 = 6 * 3_600_000_000_000;
const DAY_NS: i64 = 86_400_000_000_000;

/// What is known about the clock. Looked at with every run of retention, and kept with the list
/// of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trust {
    /// What removal by age goes by.
    believed_ns: i64,
    /// The latest time that was ever believed.
    latest_ns: i64,
    seen_ns: i64,
    steady_ns: i64,
    /// So steady the clock must be for the next step.
    step_at_ns: i64,
    /// Not kept, so that a start says it again.
    #[serde(skip)]
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
    /// A step towards a doubted clock was made.
    pub stepped: bool,
}

impl Trust {
    /// `last_ns`: the latest time that was believed; `None` for a new store, which has nothing
    /// to lose.
    pub fn new(last_ns: Option<i64>, now_ns: i64) -> Self {
        let believed_ns = last_ns.unwrap_or(now_ns);
        Trust {
            believed_ns,
            latest_ns: believed_ns,
            seen_ns: now_ns,
            steady_ns: 0,
            step_at_ns: STEADY_NS,
            doubted: false,
        }
    }

    /// `next_loss` tells when, after a time, something is past its time.
    pub fn look(&mut self, now_ns: i64, next_loss: impl FnOnce(i64) -> Option<i64>) -> Believed {
        match self.steady_at(now_ns) {
            Some(steady_ns) => self.steady_ns = steady_ns,
            None => (self.steady_ns, self.step_at_ns) = (0, STEADY_NS),
        }
        self.seen_ns = now_ns;
        let ahead_ns = now_ns.saturating_sub(self.believed_ns);
        let far = ahead_ns > AHEAD_NS_MAX;
        let stepped = far && self.steady_ns >= self.step_at_ns;
        if stepped {
            self.step_at_ns = self.steady_ns.saturating_add(BETWEEN_STEPS_NS);
            // Time in which nothing is lost is passed over.
            let loss_ns = next_loss(self.believed_ns).unwrap_or(i64::MAX);
            self.believed_ns = self.believed_ns.saturating_add(DAY_NS).max(loss_ns).min(now_ns);
        } else if !far && ahead_ns >= 0 {
            self.believed_ns = now_ns;
        } else if ahead_ns < -AHEAD_NS_MAX && self.steady_ns >= STEADY_NS {
            // It was the time before that was wrong.
            self.believed_ns = now_ns;
        }
        self.latest_ns = self.latest_ns.max(self.believed_ns);
        let doubted = far && self.believed_ns < now_ns;
        let newly_doubted = doubted && !self.doubted;
        self.doubted = doubted;
        Believed {
            now_ns: now_ns.min(self.believed_ns),
            latest_ns: self.latest_ns,
            newly_doubted,
            stepped: stepped && doubted,
        }
    }

    /// For how long the clock has gone on evenly, were it looked at now; `None` after a jump.
    fn steady_at(&self, now_ns: i64) -> Option<i64> {
        match now_ns.saturating_sub(self.seen_ns) {
            step_ns @ 0..=STEP_NS_MAX => Some(self.steady_ns.saturating_add(step_ns)),
            0..=AHEAD_NS_MAX => Some(self.steady_ns),
            _ => None,
        }
    }

    /// The time for what somebody waits for and may still take back: a clock that is far ahead
    /// counts as soon as it has gone on evenly for a day.
    pub fn time(&self, now_ns: i64) -> i64 {
        let far = now_ns.saturating_sub(self.believed_ns) > AHEAD_NS_MAX;
        let steady = self.steady_at(now_ns).is_some_and(|steady_ns| steady_ns >= STEADY_NS);
        if far && !steady { self.believed_ns } else { now_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believed(now_ns: i64) -> Believed {
        Believed { now_ns, latest_ns: now_ns, newly_doubted: false, stepped: false }
    }

    const HOUR: i64 = 3_600_000_000_000;
    const DAY: i64 = 24 * HOUR;
    const NOW: i64 = 20_000 * DAY;

    #[test]
    fn a_clock_that_goes_evenly_is_believed() {
        let mut trust = Trust::new(Some(NOW), NOW);
        for hours in 0..100 {
            let now = NOW + hours * HOUR;
            assert_eq!(trust.look(now, |_| None), believed(now));
        }
    }

    #[test]
    fn a_jump_ahead_is_believed_after_a_day() {
        let mut trust = Trust::new(Some(NOW), NOW);
        trust.look(NOW, |_| None);
        let far = NOW + 5000 * DAY;
        let doubted = Believed { newly_doubted: true, ..believed(NOW) };
        assert_eq!(trust.look(far, |_| None), doubted);
        for hours in 1..24 {
            let still = Believed { newly_doubted: false, ..doubted };
            assert_eq!(trust.look(far + hours * HOUR, |_| None), still);
        }
        assert_eq!(trust.look(far + DAY, |_| None).now_ns, far + DAY);
    }

    #[test]
    fn a_jump_that_is_taken_back_changes_nothing() {
        let mut trust = Trust::new(Some(NOW), NOW);
        for day in 0..50 {
            let now = NOW + day * HOUR;
            assert_eq!(trust.look(now, |_| None).now_ns, now);
            assert!(trust.look(now + 5000 * DAY, |_| None).newly_doubted);
        }
    }

    #[test]
    fn a_clock_behind_keeps_the_day_of_before() {
        let mut trust = Trust::new(Some(NOW), NOW);
        let behind = trust.look(NOW - 1000 * DAY, |_| None);
        assert_eq!(behind.now_ns, NOW - 1000 * DAY);
        assert_eq!(behind.latest_ns, NOW);
        assert_eq!(trust.look(NOW + HOUR, |_| None).now_ns, NOW + HOUR);
    }

    #[test]
    fn a_start_after_a_long_time_waits_a_day_too() {
        let mut trust = Trust::new(Some(NOW), NOW + 400 * DAY);
        assert!(trust.look(NOW + 400 * DAY, |_| None).newly_doubted);
        let mut fresh = Trust::new(None, NOW + 400 * DAY);
        assert_eq!(fresh.look(NOW + 400 * DAY, |_| None).now_ns, NOW + 400 * DAY);
    }

    #[test]
    fn a_time_that_costs_something_is_followed_day_by_day() {
        let mut trust = Trust::new(Some(NOW), NOW);
        let far = NOW + 5000 * DAY;
        // Something is past its time on each of three days, the next long after.
        let losses = [NOW + 100 * DAY, NOW + 101 * DAY, NOW + 102 * DAY, far + 90 * DAY];
        let next = |after| losses.into_iter().find(|at| *at > after);
        let mut seen = Vec::new();
        for hours in 0..60 {
            seen.push(trust.look(far + hours * HOUR, next).now_ns);
        }
        seen.dedup();
        assert_eq!(seen[..4], [NOW, losses[0], losses[1], losses[2]]);
        assert_eq!(seen[4], far + (24 + 18) * HOUR, "nothing more to lose");
        assert_eq!(seen.last(), Some(&(far + 59 * HOUR)));
    }

    #[test]
    fn a_clock_that_goes_on_evenly_far_behind_is_believed_too() {
        let mut trust = Trust::new(Some(NOW), NOW);
        let before = NOW - 300 * DAY;
        for hours in 0..=24 {
            trust.look(before + hours * HOUR, |_| None);
        }
        let looked = trust.look(before + 25 * HOUR, |_| None);
        assert_eq!((trust.believed_ns, looked.latest_ns), (before + 25 * HOUR, NOW));
        assert!(trust.look(NOW, |_| None).newly_doubted);
    }

    #[test]
    fn a_machine_that_is_off_every_night_is_believed_in_the_end() {
        let mut trust = Trust::new(Some(NOW), NOW);
        let back = NOW + 9 * DAY;
        let mut believed = 0;
        for day in 0..4 {
            for hours in 0..=9 {
                let now = back + day * DAY + hours * HOUR;
                believed += i32::from(trust.look(now, |_| None).now_ns == now);
            }
            let kept = serde_json::to_vec(&trust).unwrap();
            trust = serde_json::from_slice(&kept).unwrap();
        }
        assert!((10..15).contains(&believed), "{believed}");
    }

    #[test]
    fn what_can_be_taken_back_waits_for_a_steady_clock_alone() {
        let mut trust = Trust::new(Some(NOW), NOW);
        trust.look(NOW, |_| None);
        assert_eq!(trust.time(NOW + DAY), NOW + DAY);
        assert_eq!(trust.time(NOW - 9 * DAY), NOW - 9 * DAY);
        let far = NOW + 50 * DAY;
        assert_eq!(trust.time(far), NOW);
        for hours in 0..=23 {
            trust.look(far + hours * HOUR, Some);
        }
        assert_eq!(trust.time(far + 23 * HOUR), NOW);
        assert_eq!(trust.time(far + DAY), far + DAY);
        assert_eq!(trust.time(far + DAY + 40 * HOUR), NOW, "another jump");
    }
}
