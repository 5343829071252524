//! Clocks that are wrong: they cost nothing, or little, of what was there before.

use std::sync::Arc;
use std::time::Duration;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, Matcher, TimeRange, Timestamp};
use crate::store::files::faulty::FaultyFiles;
use crate::store::{DeleteState, NewDelete, Store, StoreOptions, StreamRetention};

const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;
const YEAR_NS: i64 = 365 * DAY_NS;

fn days(count: u64) -> Duration {
    Duration::from_secs(86_400 * count)
}

/// Sends a line at a time and makes a part of it.
fn put(store: &Store, ts: i64) {
    let entry = Entry::new(Timestamp(ts), format!("line of {ts}"));
    store.append_blocking(batch(vec![("a", entry)], None)).unwrap();
    store.flush().unwrap();
}

/// What retention removes when the clock stands there.
fn removed(store: &Store, clock: &SimClock, at: i64) -> (usize, u64) {
    clock.set_ns(at);
    let retained = store.retain_once(Timestamp(at)).unwrap();
    (retained.removed_parts, retained.removed_entries)
}

/// Lets the clock go on evenly, as it does between two runs of retention.
fn go_on(store: &Store, clock: &SimClock, from: i64, hours: i64) -> usize {
    (1..=hours).map(|hour| removed(store, clock, from + hour * HOUR_NS).0).sum()
}

fn settings(files: &FaultyFiles, clock: &SimClock) -> StoreOptions {
    let mut options = options(Arc::new(files.clone()), clock);
    options.retention.age = days(90);
    options
}

#[test]
fn a_jump_takes_no_streams() {
    let clock = SimClock::new(DAY0);
    let mut options = settings(&FaultyFiles::default(), &clock);
    let matchers = vec![Matcher::eq("app", "a")];
    options.retention.streams = vec![StreamRetention { matchers, priority: 1, age: days(7) }];
    let store = open(options);
    put(&store, DAY0);
    assert_eq!(removed(&store, &clock, DAY0), (0, 0));
    assert_eq!(removed(&store, &clock, DAY0 + YEAR_NS), (0, 0));
    assert_eq!(removed(&store, &clock, DAY0 + HOUR_NS), (0, 0));
    assert_eq!(all(&*store).len(), 1);
    // Day after day it is past its time in the end.
    let gone: u64 = (1..=8).map(|day| removed(&store, &clock, DAY0 + day * DAY_NS).1).sum();
    assert_eq!(gone, 1);
}

#[test]
fn a_start_while_the_clock_is_wrong_removes_nothing() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(settings(&files, &clock));
    put(&store, DAY0 - DAY_NS);
    assert_eq!(removed(&store, &clock, DAY0), (0, 0));
    assert_eq!(removed(&store, &clock, DAY0 + YEAR_NS), (0, 0));
    // Made while the clock is doubted, whatever its entries say.
    put(&store, DAY0);
    store.close();
    drop(store);
    let store = open(settings(&files, &clock));
    assert_eq!(removed(&store, &clock, DAY0 + YEAR_NS), (0, 0));
    while store.compact_once().unwrap().is_some() {}
    store.close();
    drop(store);
    clock.set_ns(DAY0 + HOUR_NS);
    let store = open(settings(&files, &clock));
    assert_eq!(removed(&store, &clock, DAY0 + HOUR_NS), (0, 0));
    // Nor is the next jump believed because there was one before.
    assert_eq!(removed(&store, &clock, DAY0 + YEAR_NS - DAY_NS), (0, 0));
    assert_eq!(all(&*store).len(), 2);
}

/// A store of an earlier version says nothing of what it believed.
#[test]
fn a_list_without_a_believed_time_goes_by_the_entries() {
    let clock = SimClock::new(DAY0 + YEAR_NS);
    let files = FaultyFiles::default();
    let store = open(settings(&files, &clock));
    put(&store, DAY0);
    put(&store, DAY0 + HOUR_NS);
    assert_eq!(store.shared.manifest.lock().clock, None);
    store.close();
    drop(store);
    let store = open(settings(&files, &clock));
    assert_eq!(removed(&store, &clock, DAY0 + YEAR_NS), (0, 0));
}

/// Somebody comes back on Monday.
#[test]
fn a_clock_that_is_wrong_for_a_weekend_costs_the_oldest_days_alone() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let mut options = settings(&files, &clock);
    options.retention.age = days(30);
    let store = open(options);
    for day in (0..30).rev() {
        put(&store, DAY0 - day * DAY_NS);
    }
    assert_eq!(removed(&store, &clock, DAY0), (0, 0));
    let wrong = DAY0 + YEAR_NS;
    assert_eq!(removed(&store, &clock, wrong), (0, 0));
    assert_eq!(go_on(&store, &clock, wrong, 23), 0);
    let gone = go_on(&store, &clock, wrong + 23 * HOUR_NS, 37);
    assert!((4..=8).contains(&gone), "{gone}");
    // What was believed meanwhile is taken back.
    let monday = DAY0 + 60 * HOUR_NS;
    assert_eq!(removed(&store, &clock, monday), (0, 0));
    assert_eq!(go_on(&store, &clock, monday, 30), 0);
    let later = monday + 30 * HOUR_NS;
    assert_eq!(removed(&store, &clock, later + YEAR_NS / 2), (0, 0));
    assert_eq!(all(&*store).len(), 30 - gone);
}

/// A server that was off for long: what is past its time goes day by day, and the time between,
/// of which there is nothing, takes none.
#[test]
fn a_server_that_was_off_removes_old_days_in_the_end() {
    let clock = SimClock::new(DAY0);
    let files = FaultyFiles::default();
    let store = open(settings(&files, &clock));
    for day in (0..4).rev() {
        put(&store, DAY0 - day * DAY_NS);
    }
    assert_eq!(removed(&store, &clock, DAY0), (0, 0));
    store.close();
    drop(store);
    let back = DAY0 + 10 * YEAR_NS;
    clock.set_ns(back);
    let store = open(settings(&files, &clock));
    put(&store, back);
    assert_eq!(go_on(&store, &clock, back, 23), 0);
    assert_eq!(go_on(&store, &clock, back + 23 * HOUR_NS, 25), 4);
    assert_eq!(all(&*store).len(), 1);
}

fn delete_all(store: &Store) -> String {
    let range = TimeRange::new(Timestamp(0), Timestamp(i64::MAX));
    let query = format!("a {}", store.deletes(TENANT).len());
    store.request_delete(&NewDelete { tenant: TENANT.to_owned(), query, range }).unwrap()
}

fn processed(store: &Store) -> Vec<bool> {
    while store.delete_once().unwrap() {}
    let all = store.deletes(TENANT);
    all.iter().map(|status| status.request.state == DeleteState::Processed).collect()
}

#[test]
fn a_delete_request_of_a_wrong_clock_holds_up_no_others() {
    for both in [false, true] {
        let clock = SimClock::new(DAY0);
        let files = FaultyFiles::default();
        let store = open(settings(&files, &clock));
        put(&store, DAY0 - HOUR_NS);
        clock.set_ns(DAY0 + YEAR_NS);
        delete_all(&store);
        clock.set_ns(DAY0 + HOUR_NS);
        let count = if both {
            delete_all(&store);
            2
        } else {
            1
        };
        assert_eq!(processed(&store), vec![false; count]);
        store.close();
        drop(store);
        let store = open(settings(&files, &clock));
        // The time in which it can be taken back begins when the clock is right again.
        clock.set_ns(DAY0 + DAY_NS);
        assert_eq!(processed(&store), vec![false; count]);
        clock.set_ns(DAY0 + DAY_NS + HOUR_NS);
        assert_eq!(processed(&store), vec![true; count]);
    }
}

#[test]
fn a_jump_does_not_end_the_time_in_which_a_delete_is_taken_back() {
    let clock = SimClock::new(DAY0);
    let store = open(settings(&FaultyFiles::default(), &clock));
    put(&store, DAY0 - HOUR_NS);
    let id = delete_all(&store);
    clock.set_ns(DAY0 + YEAR_NS);
    assert_eq!(processed(&store), [false]);
    store.cancel_delete(TENANT, &id, false).unwrap();
    assert_eq!(all(&*store).len(), 1);
    // A clock that goes on evenly for a day is gone by.
    delete_all(&store);
    removed(&store, &clock, DAY0 + YEAR_NS);
    go_on(&store, &clock, DAY0 + YEAR_NS, 25);
    assert_eq!(processed(&store), [true]);
}
