//! Nothing is lost, doubled or resolved by mistake when the process dies.

use std::sync::Arc;

use proptest::prelude::*;

use super::script::{INTERVAL, SECOND, Script, file, group, last_words, open, rule, shown, tick};
use crate::clock::SimClock;
use crate::model::Alert;

fn always(service: &'static str) -> Arc<Script> {
    Script::new(move |_, _| Ok(vec![(service, 1.0)]))
}

#[test]
fn for_goes_on_counting_over_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = always("api");
    let groups = || vec![group("g", vec![rule("Slow", 300 * SECOND, 60 * SECOND)])];
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    for at in [10, 20, 30] {
        assert!(tick(&ruler, &clock, at).is_empty());
    }
    drop(ruler);
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    for at in [40, 50, 60] {
        assert!(tick(&ruler, &clock, at).is_empty());
    }
    assert_eq!(shown(&tick(&ruler, &clock, 70)), ["Slow api 70-"]);
    // Down for longer than `for`: fires at the first evaluation after the start.
    drop(ruler);
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    let mut again = shown(&tick(&ruler, &clock, 500));
    again.dedup();
    assert_eq!(again, ["Slow api 70-"]);
}

#[test]
fn down_for_longer_than_for() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = always("api");
    let groups = || vec![group("g", vec![rule("Slow", 300 * SECOND, 60 * SECOND)])];
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    tick(&ruler, &clock, 10);
    drop(ruler);
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    assert_eq!(shown(&tick(&ruler, &clock, 200)), ["Slow api 200-"]);
}

#[test]
fn resolved_while_down_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, at| Ok(if at < 100 { vec![("api", 1.0)] } else { vec![] }));
    let groups = || vec![group("g", vec![rule("Bad", 300 * SECOND, 0)])];
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    assert_eq!(shown(&tick(&ruler, &clock, 10)), ["Bad api 10-"]);
    drop(ruler);
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    // First what may not have got out before the end, then the news.
    assert_eq!(shown(&tick(&ruler, &clock, 300)), ["Bad api 10-", "Bad api 10-300"]);
    assert_eq!(tick(&ruler, &clock, 310), []);
}

#[test]
fn what_was_saved_but_not_sent_is_sent_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = always("api");
    let groups = || vec![group("g", vec![rule("Bad", 300 * SECOND, 0)])];
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    let lost = tick(&ruler, &clock, 10);
    drop(ruler);
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    let again = tick(&ruler, &clock, 20);
    assert_eq!(shown(&again), shown(&lost));
}

#[test]
fn lines_of_a_pause_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    // Only the window that ends at 30 holds the event.
    let script = Script::new(|_, at| Ok(if at == 30 { vec![("api", 1.0)] } else { vec![] }));
    let groups = || vec![group("g", vec![rule("Event", INTERVAL, 0)])];
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    tick(&ruler, &clock, 10);
    ruler.0.memory.save().unwrap();
    drop(ruler);
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    assert_eq!(shown(&tick(&ruler, &clock, 50)), ["Event api 30-", "Event api 30-40"]);
    assert_eq!(script.asked("Event"), [10, 20, 30, 40, 50]);
}

#[test]
fn alerts_of_removed_rules_are_resolved_and_moved_rules_keep_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = always("api");
    let both = vec![rule("Stays", 60 * SECOND, 0), rule("Goes", 60 * SECOND, 0)];
    let (ruler, _) = open(folder.path(), vec![group("g", both)], &script, &clock);
    assert_eq!(shown(&tick(&ruler, &clock, 10)), ["Stays api 10-", "Goes api 10-"]);
    // Other group, other `for`, other window: still the same rule.
    ruler.reload(file(vec![group("other", vec![rule("Stays", 90 * SECOND, 300 * SECOND)])]));
    assert_eq!(shown(&tick(&ruler, &clock, 20)), ["Goes api 10-20"]);
    assert_eq!(shown(&tick(&ruler, &clock, 80)), ["Stays api 10-", "Goes api 10-20"]);
}

/// What happens at each slot: for services a, b and c whether the rule is true, or a failure.
fn scripts() -> impl Strategy<Value = Vec<Option<u8>>> {
    proptest::collection::vec(prop_oneof![4 => (0_u8..8).prop_map(Some), 1 => Just(None)], 1..40)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    No,
    BeforeSending,
    AfterSending,
}

fn kills() -> impl Strategy<Value = Vec<Kill>> {
    let kill = prop_oneof![3 => Just(Kill::No), 1 => Just(Kill::BeforeSending), 1 => Just(Kill::AfterSending)];
    proptest::collection::vec(kill, 40)
}

fn play(steps: &[Option<u8>], kills: &[Kill], hold_ns: i64, range_ns: i64) -> Vec<Alert> {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let truth = steps.to_vec();
    let script = Script::new(move |_, at| {
        let slot = usize::try_from(at / 10).unwrap();
        match truth.get(slot.wrapping_sub(1)) {
            Some(Some(bits)) => Ok([("a", 1), ("b", 2), ("c", 4)]
                .into_iter()
                .filter(|(_, bit)| bits & bit != 0)
                .map(|(service, _)| (service, 1.0))
                .collect()),
            Some(None) => Err("the store is away".to_owned()),
            None => Ok(Vec::new()),
        }
    });
    let groups = || vec![group("g", vec![rule("R", range_ns, hold_ns)])];
    let (mut ruler, _) = open(folder.path(), groups(), &script, &clock);
    let mut sent = Vec::new();
    let mut before = Kill::No;
    // A quiet slot at the end lets everything come to rest.
    for slot in 1..=i64::try_from(steps.len()).unwrap() + 1 {
        let kill = kills.get(usize::try_from(slot - 1).unwrap()).copied().unwrap_or(Kill::No);
        let batch = tick(&ruler, &clock, slot * 10);
        // The first words after a start are out before the next state is saved, so that two
        // such kills in a row cannot swallow them.
        if kill != Kill::BeforeSending || before == Kill::BeforeSending {
            sent.extend(batch);
        }
        before = kill;
        if kill != Kill::No {
            drop(ruler);
            ruler = open(folder.path(), groups(), &script, &clock).0;
        }
    }
    // What was lost by the last kill comes with the next evaluation.
    sent.extend(tick(&ruler, &clock, (i64::try_from(steps.len()).unwrap() + 2) * 10));
    sent
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]
    #[test]
    fn kills_change_nothing(
        steps in scripts(),
        kills in kills(),
        hold in 0_i64..4,
        range in prop_oneof![Just(INTERVAL), Just(30 * INTERVAL)],
    ) {
        let calm = last_words(&play(&steps, &[], hold * INTERVAL, range));
        let rough = last_words(&play(&steps, &kills, hold * INTERVAL, range));
        prop_assert_eq!(calm, rough);
    }
}
