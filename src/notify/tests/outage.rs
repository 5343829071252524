//! Receivers that are away, restarts at the worst moment, letters that nobody takes.

use super::rig::{Rig, status};
use crate::notify::{Answer, FailKind};

const HOOK: &str = "
route: {receiver: web, group_by: [alertname], group_wait: 10s, group_interval: 60s, repeat_interval: 12h}
receivers: [{name: web, webhook_configs: [{url: 'http://h/secret-path'}]}]
";

fn sent(rig: &Rig, result: &str) -> bool {
    rig.metrics
        .render()
        .contains(&format!("notifications_total{{receiver=\"web\",result=\"{result}\"}}"))
}

#[tokio::test]
async fn an_outage_loses_nothing_and_repeats_nothing() {
    let mut rig = Rig::new(HOOK);
    rig.script.answers.lock().extend((0..5).map(|_| status(500, "")));
    rig.fire("A", &[]);
    rig.until(11).await;
    rig.fire("B", &[]);
    rig.until(200).await;
    let log = std::mem::take(&mut rig.log);
    // Five tries failed; when the receiver is back each group is told once.
    let tries = log.iter().filter(|line| line.ends_with("+A")).count();
    let told_b = log.iter().filter(|line| line.ends_with("+B")).count();
    assert_eq!(tries + told_b, 7, "{log:?}");
    assert!(rig.handle.outbox().is_empty());
    rig.until(2000).await;
    rig.expect(&[]);
    assert!(sent(&rig, "sent") && sent(&rig, "retried"));
}

#[tokio::test]
async fn pauses_grow_and_are_bounded() {
    let mut rig = Rig::new(HOOK);
    rig.script.answers.lock().extend((0..1000).map(|_| Answer::Failed(FailKind::Connect)));
    rig.fire("A", &[]);
    rig.until(3600).await;
    let times: Vec<i64> =
        rig.log.iter().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] <= 2 && gaps[3] >= 8, "{gaps:?}");
    assert!(gaps.iter().skip(9).all(|gap| (300..=361).contains(gap)), "{gaps:?}");
}

#[tokio::test]
async fn waits_as_long_as_it_is_told() {
    let mut rig = Rig::new(HOOK);
    rig.script.answers.lock().push_back(Answer::Status {
        code: 429,
        retry_after_secs: Some(30),
        body: String::new(),
    });
    rig.fire("A", &[]);
    rig.until(15).await;
    rig.fire("B", &[]);
    rig.until(100).await;
    // All messages of the receiver wait.
    rig.expect(&["10 web first +A", "40 web first +B", "40 web first +A"]);
}

#[tokio::test]
async fn what_ended_while_the_receiver_was_away_is_one_message() {
    let mut rig = Rig::new(HOOK);
    rig.script.answers.lock().extend((0..6).map(|_| status(503, "")));
    rig.fire("A", &[]);
    rig.until(20).await;
    rig.resolve("A", &[], 0);
    rig.until(3000).await;
    let log = std::mem::take(&mut rig.log);
    assert!(log.last().unwrap().ends_with("-A"), "{log:?}");
    assert_eq!(log.iter().filter(|line| line.contains("-A")).count(), log.len() - 4, "{log:?}");
    assert!(rig.handle.outbox().is_empty());
}

#[tokio::test]
async fn refused_letters_are_kept_and_can_be_sent_again() {
    let mut rig = Rig::new(HOOK);
    rig.script.answers.lock().push_back(status(404, "no_service"));
    rig.fire("A", &[]);
    rig.until(500).await;
    rig.expect(&["10 web first +A"]);
    let dead = rig.handle.dead_letters();
    assert_eq!(dead[0].error, "answered 404 no_service");
    assert!(sent(&rig, "dead"));
    let mut rig = rig.restart();
    rig.handle.retry_dead_letter(dead[0].job.id).unwrap();
    assert!(rig.handle.retry_dead_letter(dead[0].job.id).is_err());
    rig.until(501).await;
    rig.expect(&["500 web first +A"]);
    assert!(rig.handle.dead_letters().is_empty());
    assert!(rig.handle.drop_dead_letter(7).is_err());
}

#[tokio::test]
async fn gives_up_after_a_day() {
    let mut rig = Rig::new(HOOK);
    rig.script.answers.lock().extend((0..1000).map(|_| Answer::Failed(FailKind::Timeout)));
    rig.fire("A", &[]);
    rig.until(23 * 3600).await;
    // The repeat after twelve hours starts the day anew: the news is fresh again.
    assert_eq!(rig.handle.outbox().len(), 1);
    rig.resolve("A", &[], 0);
    rig.until(72 * 3600).await;
    assert!(rig.handle.outbox().is_empty());
    assert_eq!(
        rig.handle.dead_letters()[0].error,
        "given up after 24 hours; last error: timed out"
    );
}

#[tokio::test]
async fn restart_while_waiting_in_the_group() {
    let mut rig = Rig::new(HOOK);
    rig.fire("A", &[]);
    rig.until(5).await;
    let mut rig = rig.restart();
    rig.until(100).await;
    rig.expect(&["10 web first +A"]);
    let mut rig = rig.restart();
    rig.fire("A", &[]);
    rig.until(1000).await;
    rig.expect(&[]);
}

#[tokio::test]
async fn restart_with_letters_in_the_outbox() {
    let mut rig = Rig::new(HOOK);
    rig.script.answers.lock().extend((0..3).map(|_| status(500, "")));
    rig.fire("A", &[]);
    rig.until(12).await;
    assert_eq!(rig.handle.outbox().len(), 1);
    let mut rig = rig.restart();
    rig.script.answers.lock().clear();
    rig.until(1000).await;
    let log = std::mem::take(&mut rig.log);
    assert_eq!(rig.script.sent.lock().len(), 1, "{log:?}");
}

#[tokio::test]
async fn power_cut_between_answer_and_note_repeats_one_message() {
    let mut rig = Rig::new(HOOK);
    rig.fire("A", &[]);
    rig.until(9).await;
    rig.clock.advance(std::time::Duration::from_secs(1));
    rig.notifier.turn_until_sent().await;
    assert_eq!(rig.script.sent.lock().len(), 1);
    let first_id = rig.script.sent.lock()[0].headers[0].1.clone();
    let mut rig = rig.restart();
    rig.until(1000).await;
    // The event id says that it is the same message.
    let sent = rig.script.sent.lock();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].headers[0].1, first_id);
}

#[tokio::test]
async fn resolved_while_down_is_told_once() {
    let mut rig = Rig::new(HOOK);
    rig.fire("A", &[]);
    rig.until(20).await;
    let mut rig = rig.restart();
    rig.clock.advance(std::time::Duration::from_secs(3600));
    rig.resolve("A", &[], 0);
    rig.until(5000).await;
    assert_eq!(rig.log.len(), 2, "{:?}", rig.log);
    assert!(rig.log[1].ends_with("all over -A"));
}

#[tokio::test]
async fn a_receiver_that_is_gone_leaves_a_dead_letter() {
    let mut rig = Rig::new(HOOK);
    rig.script.answers.lock().extend((0..9).map(|_| status(500, "")));
    rig.fire("A", &[]);
    rig.until(12).await;
    let mut rig = rig.restart_with(&HOOK.replace(": web,", ": new,"));
    rig.script.answers.lock().clear();
    rig.log.clear();
    rig.until(100).await;
    rig.expect(&["22 new first +A"]);
    assert_eq!(rig.handle.dead_letters()[0].error, "receiver \"web\" is no longer configured");
}

#[tokio::test]
async fn a_damaged_state_does_not_stop_the_start() {
    let mut rig = Rig::new(HOOK);
    rig.fire("A", &[]);
    rig.until(20).await;
    let path = rig.folder.path().join("notify.json");
    std::fs::write(&path, b"rubbish").unwrap();
    let rig = rig.restart();
    assert!(rig.handle.alerts().is_empty());
    assert!(path.with_extension("damaged").exists());
}

#[tokio::test]
async fn the_state_on_disk_holds_no_hook() {
    let mut rig = Rig::new(HOOK);
    rig.script.answers.lock().push_back(status(404, "no hook at http://h/secret-path"));
    rig.fire("A", &[]);
    rig.until(20).await;
    let bytes = std::fs::read(rig.folder.path().join("notify.json")).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("secret-path"));
    assert!(!format!("{:?}", rig.handle.dead_letters()).contains("secret-path"));
}
