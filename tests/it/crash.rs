//! kill -9 at random moments under push and file load: every acknowledged push and every
//! written line is there exactly once.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::support::{Server, http, now_ns, wait_for};

/// 100 rounds as the promise says; fewer only for a quick look (`STOCKADE_CRASH_ROUNDS`).
fn rounds() -> usize {
    std::env::var("STOCKADE_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100)
}

/// A small deterministic generator; the seed is printed so that a run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Pushes batches of numbered lines until told to stop; a batch without an answer is sent again,
/// as clients do.
fn pusher(url: Arc<Mutex<String>>, stop: Arc<AtomicBool>) -> usize {
    let mut acknowledged = 0;
    let base = now_ns();
    while !stop.load(Ordering::Relaxed) {
        let values: Vec<_> = (0..50)
            .map(|n| acknowledged + n)
            .map(|n| json!([(base + n as i64).to_string(), format!("push {n:08}")]))
            .collect();
        let body = json!({"streams": [{"stream": {"job": "push"}, "values": values}]}).to_string();
        let target = format!("{}/loki/api/v1/push", url.lock().unwrap());
        let headers = [("Content-Type", "application/json")];
        if http("POST", &target, &headers, body.as_bytes()).0 == 204 {
            acknowledged += 50;
        } else {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    acknowledged
}

#[test]
fn kill_9_loses_nothing_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let config = format!(
        "sources: [{{files: {{include: ['{}/*.log'], start: beginning}}, labels: {{job: file}}}}]\nalerts: {{rules: []}}\n",
        logs.display()
    );
    let mut server = Server::start(&config, &folder.path().join("data"));
    let url = Arc::new(Mutex::new(server.url.clone()));
    let stop = Arc::new(AtomicBool::new(false));
    let pushes = std::thread::spawn({
        let (url, stop) = (url.clone(), stop.clone());
        move || pusher(url, stop)
    });
    let writes = std::thread::spawn({
        let stop = stop.clone();
        let path = logs.join("app.log");
        move || {
            let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
            let mut written = 0usize;
            while !stop.load(Ordering::Relaxed) {
                let text: String =
                    (written..written + 100).map(|n| format!("file {n:08}\n")).collect();
                file.write_all(text.as_bytes()).unwrap();
                written += 100;
                std::thread::sleep(Duration::from_millis(10));
            }
            written
        }
    });
    let seed = now_ns() as u64 | 1;
    eprintln!("seed {seed}");
    let mut random = Random(seed);
    for _ in 0..rounds() {
        std::thread::sleep(Duration::from_millis(random.below(150)));
        server.kill();
        server.restart();
        *url.lock().unwrap() = server.url.clone();
    }
    stop.store(true, Ordering::Relaxed);
    let (acknowledged, written) = (pushes.join().unwrap(), writes.join().unwrap());
    assert!(acknowledged > 0 && written > 0);
    wait_for("the last written line", || {
        (server.lines(r#"{job="file"}"#).len() >= written).then_some(())
    });
    check(&server.lines(r#"{job="file"}"#), "file", written);
    // A batch in flight at the end may be stored without having been acknowledged: the last one only.
    let pushed = server.lines(r#"{job="push"}"#);
    assert!(pushed.len() <= acknowledged + 50);
    check(&pushed, "push", pushed.len().max(acknowledged));
}

fn check(lines: &[String], kind: &str, wanted: usize) {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines {
        *count.entry(line.as_str()).or_default() += 1;
    }
    let repeated: Vec<_> = count.iter().filter(|(_, n)| **n > 1).take(10).collect();
    assert!(repeated.is_empty(), "repeated: {repeated:?}");
    let lost: Vec<String> = (0..wanted)
        .map(|n| format!("{kind} {n:08}"))
        .filter(|line| !count.contains_key(line.as_str()))
        .take(10)
        .collect();
    assert!(lost.is_empty(), "lost of {wanted}: {lost:?}");
}
