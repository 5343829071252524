//! A notifier whose clock is stepped and whose receivers are scripts.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value as Json;

use crate::clock::SimClock;
use crate::config::notify::parse_notify_file;
use crate::metrics::Metrics;
use crate::model::{Alert, Labels, SampleLine};
use crate::notify::deliver::AnswerFuture;
use crate::notify::{Answer, Deliver, Guard, Handle, Notifier, Parts, Request, Settings};

pub const SECOND_NS: i64 = 1_000_000_000;
/// 2023-11-14 22:13:20 UTC.
pub const START_NS: i64 = 1_700_000_000 * SECOND_NS;

/// Answers with what the script says, then with "ok"; keeps what it was sent.
#[derive(Default)]
pub struct Script {
    pub answers: Mutex<VecDeque<Answer>>,
    pub sent: Mutex<Vec<Request>>,
}

impl Deliver for Script {
    fn post(&self, request: Request) -> AnswerFuture {
        self.sent.lock().push(request);
        let answer = self.answers.lock().pop_front().unwrap_or_else(|| status(200, "ok"));
        Box::pin(async move { answer })
    }
}

pub fn status(code: u16, body: &str) -> Answer {
    Answer::Status { code, retry_after_secs: None, body: body.to_owned() }
}

pub struct Rig {
    pub clock: SimClock,
    pub notifier: Notifier,
    pub handle: Handle,
    pub script: Arc<Script>,
    pub metrics: Metrics,
    pub folder: tempfile::TempDir,
    yaml: String,
    /// What was sent when, one line a message.
    pub log: Vec<String>,
    seen: usize,
}

pub fn settings(yaml: &str) -> Settings {
    let raw = parse_notify_file("am.yml", yaml).unwrap();
    Settings::build("am.yml", &raw, Path::new(".")).unwrap()
}

pub fn alert(name: &str, labels: &[(&str, &str)], starts_at_ns: i64) -> Alert {
    Alert {
        labels: Labels::from_pairs(labels.iter().copied().chain([("alertname", name)])),
        annotations: Labels::from_pairs([("summary", format!("{name} happened"))]),
        starts_at_ns,
        ends_at_ns: None,
        value: 42.0,
        expr: "count_over_time({app=\"api\"}[5m]) > 20".to_owned(),
        window_start_ns: starts_at_ns - 300 * SECOND_NS,
        window_end_ns: starts_at_ns,
        count: 37,
        samples: vec![SampleLine { ts_ns: starts_at_ns, line: "it broke".to_owned() }],
        generator_url: "/explore?q=1".to_owned(),
    }
}

impl Rig {
    pub fn new(yaml: &str) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let clock = SimClock::new(START_NS);
        Rig::in_folder(yaml, folder, clock)
    }

    pub fn in_folder(yaml: &str, folder: tempfile::TempDir, clock: SimClock) -> Rig {
        let script = Arc::new(Script::default());
        let metrics = Metrics::default();
        let guard: Guard = Arc::new(|text| text.replace("hunter2", "[redacted]"));
        let (notifier, handle) = Notifier::open(Parts {
            settings: settings(yaml),
            clock: clock.shared(),
            deliver: script.clone(),
            guard,
            metrics: metrics.clone(),
            folder: folder.path().to_owned(),
            external_url: "http://logs.example".to_owned(),
        })
        .unwrap();
        Rig {
            clock,
            notifier,
            handle,
            script,
            metrics,
            folder,
            yaml: yaml.to_owned(),
            log: Vec::new(),
            seen: 0,
        }
    }

    /// Kill and start again, with the same folder. Answers not yet given are kept.
    pub fn restart(self) -> Rig {
        let yaml = self.yaml.clone();
        self.restart_with(&yaml)
    }

    pub fn restart_with(self, yaml: &str) -> Rig {
        let Rig { clock, script, folder, log, notifier, handle, .. } = self;
        drop((notifier, handle));
        let mut rig = Rig::in_folder(yaml, folder, clock);
        rig.log = log;
        *rig.script.answers.lock() = std::mem::take(&mut *script.answers.lock());
        rig
    }

    pub fn now_secs(&self) -> i64 {
        use crate::clock::Clock as _;
        (self.clock.now_ns() - START_NS) / SECOND_NS
    }

    pub fn give(&self, alert: Alert) {
        self.handle.alerts_in().try_send(vec![alert]).unwrap();
    }

    /// Fires now, or at a second given.
    pub fn fire(&self, name: &str, labels: &[(&str, &str)]) {
        self.give(alert(name, labels, START_NS + self.now_secs() * SECOND_NS));
    }

    pub fn resolve(&self, name: &str, labels: &[(&str, &str)], started_secs: i64) {
        let mut over = alert(name, labels, START_NS + started_secs * SECOND_NS);
        over.ends_at_ns = Some(START_NS + self.now_secs() * SECOND_NS);
        self.give(over);
    }

    /// Lets time pass up to this second, doing each thing at its moment.
    pub async fn until(&mut self, secs: i64) {
        let end_ns = START_NS + secs * SECOND_NS;
        loop {
            self.notifier.turn().await;
            self.note();
            let next_ns = self.notifier.next_deadline_ns();
            if next_ns > end_ns {
                break;
            }
            self.clock.set_ns(next_ns);
        }
        self.clock.set_ns(end_ns);
        self.notifier.turn().await;
        self.note();
    }

    pub fn note(&mut self) {
        let secs = self.now_secs();
        let sent = self.script.sent.lock();
        for request in sent.iter().skip(self.seen) {
            let body: Json = serde_json::from_str(&request.body).unwrap();
            self.log.push(format!("{secs} {}", shown(&body)));
        }
        self.seen = sent.len();
    }

    #[track_caller]
    pub fn expect(&mut self, lines: &[&str]) {
        assert_eq!(std::mem::take(&mut self.log), lines);
    }
}

/// `web first: A B, over C` for a webhook's body, the channel and text for Slack's.
fn shown(body: &Json) -> String {
    let Some(alerts) = body["alerts"].as_array() else {
        return format!(
            "{} {}",
            body["channel"].as_str().unwrap_or("-"),
            body["text"].as_str().unwrap_or("-")
        );
    };
    let names = |status: &str| {
        let chosen = alerts.iter().filter(|alert| alert["status"] == status);
        let mut names: Vec<&str> =
            chosen.filter_map(|alert| alert["labels"]["alertname"].as_str()).collect();
        names.sort_unstable();
        names.join(" ")
    };
    let reason = match body["notification_reason"].as_str().unwrap_or_default() {
        "first notification" => "first",
        "new alerts in group" => "new",
        "some alerts resolved" => "some over",
        "all alerts resolved" => "all over",
        _ => "repeat",
    };
    let (firing, over) = (names("firing"), names("resolved"));
    let over = if over.is_empty() { String::new() } else { format!(" -{over}") };
    let firing = if firing.is_empty() { String::new() } else { format!(" +{firing}") };
    format!("{} {reason}{firing}{over}", body["receiver"].as_str().unwrap_or_default())
}
