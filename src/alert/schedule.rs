//! When groups and rules are due, decided purely.

use xxhash_rust::xxh3::xxh3_64;

use super::expr::Look;
use super::rule::{Group, GroupKey};
use crate::limits::RULE_CATCH_UP_MAX;

/// A clock that went back by more than this was set; slots then start anew from its time.
const CLOCK_SET_NS: i64 = 5 * 60 * 1_000_000_000;

/// The slots of a group: one each interval, moved by a hash of its name so that groups do not
/// all run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    pub interval_ns: i64,
    phase_ns: i64,
}

impl Slots {
    pub fn of(group: &Group) -> Slots {
        Slots::new(&group.key(), group.interval_ns)
    }

    pub fn new(key: &GroupKey, interval_ns: i64) -> Slots {
        let interval_ns = interval_ns.max(1);
        let GroupKey { tenant, namespace, name } = key;
        let hash = xxh3_64(format!("{tenant}\u{0}{namespace}\u{0}{name}").as_bytes());
        // Halved so that it fits an i64.
        let phase_ns = i64::try_from(hash / 2).unwrap_or(0).rem_euclid(interval_ns);
        Slots { interval_ns, phase_ns }
    }

    /// The newest slot that is not in the future.
    pub fn newest(&self, now_ns: i64) -> i64 {
        now_ns - now_ns.saturating_sub(self.phase_ns).rem_euclid(self.interval_ns)
    }

    pub fn after(&self, slot_ns: i64) -> i64 {
        slot_ns.saturating_add(self.interval_ns)
    }
}

/// What is to be done for a rule at the newest slot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Slots to evaluate, oldest first; empty when the newest was evaluated already.
    pub slots_ns: Vec<i64>,
    /// Slots that nobody will look at.
    pub missed: u64,
}

/// The slots a rule evaluates when `newest_ns` is the newest and `last_ns` was its last.
///
/// After a pause, a rule that counts events is evaluated also for the past, as often as it takes
/// for each moment of the pause to lie in some window; other rules would fire on lines that were
/// not there to be seen, and look at the present alone.
pub fn plan(look: &Look, last_ns: Option<i64>, newest_ns: i64, interval_ns: i64) -> Plan {
    let Some(last_ns) = last_ns else {
        return Plan { slots_ns: vec![newest_ns], missed: 0 };
    };
    if newest_ns <= last_ns {
        let set_back = last_ns - newest_ns > CLOCK_SET_NS.max(interval_ns);
        return Plan { slots_ns: if set_back { vec![newest_ns] } else { Vec::new() }, missed: 0 };
    }
    let interval_ns = interval_ns.max(1);
    let passed = u64::try_from((newest_ns - last_ns) / interval_ns).unwrap_or(0).max(1);
    let mut slots_ns = vec![newest_ns];
    if look.counts_events {
        let stride_ns = (look.range_ns / interval_ns).max(1).saturating_mul(interval_ns);
        let mut slot_ns = newest_ns.saturating_sub(stride_ns);
        while slot_ns > last_ns && slots_ns.len() < RULE_CATCH_UP_MAX {
            slots_ns.push(slot_ns);
            slot_ns = slot_ns.saturating_sub(stride_ns);
        }
        slots_ns.reverse();
    }
    let missed = passed.saturating_sub(slots_ns.len() as u64);
    Plan { slots_ns, missed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn looks(range_secs: i64, counts_events: bool) -> Look {
        Look {
            evidence: None,
            range_ns: range_secs * SECOND,
            reach_ns: range_secs * SECOND,
            counts_events,
            absent_reach_ns: 0,
        }
    }

    #[track_caller]
    fn check(range_secs: i64, last: Option<i64>, newest: i64, slots: &[i64], missed: u64) {
        let plan = plan(
            &looks(range_secs, true),
            last.map(|at| at * SECOND),
            newest * SECOND,
            60 * SECOND,
        );
        let got: Vec<i64> = plan.slots_ns.iter().map(|ns| ns / SECOND).collect();
        assert_eq!((got.as_slice(), plan.missed), (slots, missed));
    }

    #[test]
    fn plans_slots() {
        check(60, None, 600, &[600], 0);
        check(60, Some(540), 600, &[600], 0);
        check(60, Some(600), 600, &[], 0);
        // Three slots missed, each minute's lines are looked at.
        check(60, Some(360), 600, &[420, 480, 540, 600], 0);
        // One window of five minutes covers the gap.
        check(300, Some(360), 600, &[600], 3);
        // Two windows cover seven minutes.
        check(300, Some(180), 600, &[300, 600], 5);
        // A window shorter than the interval.
        check(30, Some(480), 600, &[540, 600], 0);
    }

    #[test]
    fn bounds_what_is_made_up_for() {
        let plan = plan(&looks(60, true), Some(0), 1_000_000 * 60 * SECOND, 60 * SECOND);
        assert_eq!(plan.slots_ns.len(), RULE_CATCH_UP_MAX);
        assert_eq!(plan.missed, 1_000_000 - RULE_CATCH_UP_MAX as u64);
        assert!(plan.slots_ns.is_sorted());
    }

    #[test]
    fn rules_about_absence_look_at_the_present() {
        let plan = plan(&looks(60, false), Some(0), 600 * SECOND, 60 * SECOND);
        assert_eq!(plan.slots_ns, [600 * SECOND]);
    }

    #[test]
    fn waits_for_a_clock_that_went_back_a_little() {
        check(60, Some(600), 540, &[], 0);
        // Two hours back: set by hand, so start anew.
        check(60, Some(7800), 600, &[600], 0);
    }

    #[test]
    fn slots_are_spread_and_stable() {
        let key = |name: &str| GroupKey {
            tenant: "t".into(),
            namespace: "f".to_owned(),
            name: name.to_owned(),
        };
        let (a, b) = (Slots::new(&key("a"), 60 * SECOND), Slots::new(&key("b"), 60 * SECOND));
        assert_eq!(a, Slots::new(&key("a"), 60 * SECOND));
        assert_ne!(a.phase_ns, b.phase_ns);
        for now in [0, 1, 59, 60, 61, 12345] {
            let slot = a.newest(now * SECOND);
            assert!(slot <= now * SECOND && now * SECOND < a.after(slot));
            assert_eq!((slot - a.phase_ns) % (60 * SECOND), 0);
        }
    }
}
