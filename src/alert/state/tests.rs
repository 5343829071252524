use super::*;

const MINUTE: i64 = 60_000_000_000;

fn observe(name: &str, value: f64) -> Observation {
    let labels = Labels::from_pairs([("alertname", "X"), ("s", name)]);
    Observation { series: labels.clone(), annotations: Labels::default(), labels, value }
}

/// `script` has one character a minute: `1` seen, `.` not seen, `!` the query failed.
#[track_caller]
fn check(hold_mins: i64, keep_mins: i64, script: &str, expect: &str) {
    let timing = Timing { hold_ns: hold_mins * MINUTE, keep_firing_ns: keep_mins * MINUTE };
    let mut state = RuleState::default();
    let mut shown = String::new();
    for (minute, seen) in script.chars().enumerate() {
        let now_ns = i64::try_from(minute).unwrap() * MINUTE;
        let seen = match seen {
            '1' => Seen::Samples(vec![observe("a", now_ns as f64)]),
            '.' => Seen::Samples(Vec::new()),
            _ => Seen::Failed,
        };
        let next = step(&state, &seen, timing, now_ns);
        shown.push(match next.changes.first() {
            None if next.state.alerts.is_empty() => '-',
            None => '=',
            Some((_, change)) => letter(*change),
        });
        state = next.state;
    }
    assert_eq!(shown, expect, "for {hold_mins}m, keep {keep_mins}m, {script}");
}

fn letter(change: Change) -> char {
    match change {
        Change::Pended => 'p',
        Change::Waited => 'w',
        Change::Dropped => 'd',
        Change::Fired => 'F',
        Change::Refreshed => 'f',
        Change::Missed => 'm',
        Change::Kept => 'k',
        Change::Returned => 'r',
        Change::Resolved => 'R',
        Change::Lingered => 'l',
        Change::Forgotten => 'x',
    }
}

#[test]
fn lives() {
    // Fires at once, is kept resolved for 15 minutes.
    check(0, 0, "1.", "FR");
    check(0, 0, "1.................", "FRlllllllllllllllx");
    // Fires when it has been active for exactly `for`.
    check(3, 0, "11111", "pwwFf");
    check(3, 0, "11.111", "pwdpww");
    // Flapping, without and with keep_firing_for.
    check(0, 0, "1.1.1.", "FRFRFR");
    check(0, 2, "1.1.1.", "Fmrmrm");
    // Counted from the first evaluation that missed it.
    check(0, 2, "1....", "FmkRl");
    // Failing queries freeze the state, and `for` goes on counting.
    check(0, 0, "1!!!1.", "F===fR");
    check(3, 0, "1!!!1", "p===F");
    check(0, 0, "!!", "--");
    check(0, 2, "1.!!!.", "Fm===R");
}

#[test]
fn refreshes_value_and_keeps_start() {
    let timing = Timing::default();
    let first = step(
        &RuleState::default(),
        &Seen::Samples(vec![observe("a", 1.0), observe("b", f64::NAN)]),
        timing,
        5,
    );
    let second = step(&first.state, &Seen::Samples(vec![observe("a", 2.0)]), timing, 9);
    let alert = &second.state.alerts[0];
    assert_eq!((alert.value, alert.fired_at_ns, alert.active_at_ns), (2.0, Some(5), 5));
    let gone = &second.state.alerts[1];
    assert_eq!((gone.phase, gone.resolved_at_ns), (Phase::Resolved, Some(9)));
}

#[test]
fn state_goes_through_json() {
    let mut state = step(
        &RuleState::default(),
        &Seen::Samples(vec![observe("a", f64::INFINITY), observe("b", 0.1)]),
        Timing::default(),
        5,
    )
    .state;
    state.alerts[0].sent_at_ns = Some(7);
    let back: RuleState = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    // Whether it was sent is forgotten on purpose.
    state.alerts[0].sent_at_ns = None;
    assert_eq!(back, state);
}

#[test]
fn a_clock_set_back_does_not_hold_alerts() {
    let timing = Timing { hold_ns: 5 * MINUTE, keep_firing_ns: 0 };
    let seen = Seen::Samples(vec![observe("a", 1.0)]);
    let hour = 60 * MINUTE;
    let state = step(&RuleState::default(), &seen, timing, hour).state;
    let state = step(&state, &seen, timing, MINUTE).state;
    assert_eq!(state.alerts[0].active_at_ns, MINUTE);
    let state = step(&state, &seen, timing, 6 * MINUTE).state;
    assert_eq!(state.alerts[0].phase, Phase::Firing);
}

#[test]
fn a_storm_keeps_what_is_active() {
    let seen = Seen::Samples(vec![observe("low", 1.0)]);
    let before = step(&RuleState::default(), &seen, Timing::default(), 0).state;
    let mut storm: Vec<Observation> =
        (0..10_000_i32).map(|n| observe(&format!("s{n}"), f64::from(n) + 10.0)).collect();
    storm.push(observe("low", 1.0));
    let (kept, cut) = within_limit(&before, storm, 100);
    assert_eq!((kept.len(), cut), (100, 9_901));
    assert!(kept.iter().any(|o| o.labels.get("s") == Some("low")));
    assert!(kept.iter().any(|o| o.labels.get("s") == Some("s9999")));
    assert!(!kept.iter().any(|o| o.labels.get("s") == Some("s1")));
}

#[test]
fn is_told_again_after_the_resend_time() {
    let seen = Seen::Samples(vec![observe("a", 1.0)]);
    let mut alert = step(&RuleState::default(), &seen, Timing::default(), 0).state.alerts.remove(0);
    assert!(alert.is_due(0, MINUTE));
    alert.sent_at_ns = Some(0);
    assert!(!alert.is_due(MINUTE - 1, MINUTE));
    assert!(alert.is_due(MINUTE, MINUTE));
    alert.phase = Phase::Pending;
    assert!(!alert.is_due(MINUTE, MINUTE));
}
