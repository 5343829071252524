//! Many live tails at once: each gets every line that its query means, or is told which it did
//! not get.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{PATIENCE, QUIET, Server, now_ns};

type Socket = WebSocketStream<TcpStream>;

/// A WebSocket whose client takes in little that it has not been asked for.
async fn connect(server: &str, params: &[(&str, &str)]) -> Socket {
    let params = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    let address = server.strip_prefix("http://").unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let url = format!("ws://{address}/loki/api/v1/tail?{params}");
    tokio_tungstenite::client_async(url, stream).await.unwrap().0
}

/// What one tail was sent and told.
#[derive(Default)]
struct Got {
    /// Times and lines, as often as they came.
    lines: Vec<(i64, String)>,
    /// Times and labels of lines that were dropped.
    named: Vec<(i64, Value)>,
    /// Lines dropped beyond those.
    more: usize,
    unread: usize,
}

impl Got {
    fn frame(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).unwrap();
        let number = |value: &Value| value.as_str().unwrap().parse::<i64>().unwrap();
        for stream in frame["streams"].as_array().unwrap() {
            for value in stream["values"].as_array().unwrap() {
                self.lines.push((number(&value[0]), value[1].as_str().unwrap().to_owned()));
            }
        }
        for missing in frame["dropped_entries"].as_array().into_iter().flatten() {
            let labels = &missing["labels"];
            if let Some(count) = labels["dropped"].as_str() {
                self.more += count.parse::<usize>().unwrap();
            } else if let Some(count) = labels["unread"].as_str() {
                self.unread += count.parse::<usize>().unwrap();
            } else {
                self.named.push((number(&missing["timestamp"]), labels.clone()));
            }
        }
    }

    fn accounted(&self) -> usize {
        self.lines.len() + self.named.len() + self.more
    }

    async fn message(&mut self, socket: &mut Socket) -> Message {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await;
        let message = message.unwrap_or_else(|_| panic!("{} lines, no more", self.accounted()));
        let message = message.unwrap().unwrap();
        if let Message::Text(text) = &message {
            self.frame(text);
        }
        message
    }

    /// Reads until the first ping: from then on lines that are stored are followed.
    async fn begin(&mut self, socket: &mut Socket) {
        while !self.message(socket).await.is_ping() {}
    }

    async fn read(&mut self, socket: &mut Socket, enough: impl Fn(&Got) -> bool) {
        while !enough(self) {
            self.message(socket).await;
        }
    }
}

const APPS: usize = 10;
const LINES: usize = 16_000;
const LINES_A_PUSH: usize = 250;

struct Line {
    ts: i64,
    app: String,
    level: &'static str,
    text: String,
}

/// Lines of a kilobyte, so that all of them are more than what lies between a server and a
/// reader that does not read.
fn lines() -> Vec<Line> {
    let now = now_ns();
    let line = |n: usize| {
        let level = ["info", "warn", "error"][n % 3];
        Line {
            ts: now + i64::try_from(n).unwrap(),
            app: format!("a{}", n % APPS),
            level,
            text: json!({"level": level, "n": n, "pad": "x".repeat(960)}).to_string(),
        }
    };
    (0..LINES).map(line).collect()
}

/// A query, whether its reader is slow, and which lines it means.
type Case = (String, bool, Box<dyn Fn(&Line) -> bool>);

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for n in 0..APPS {
        let app = format!("a{n}");
        let is_app = move |line: &Line| line.app == app;
        cases.push((format!("{{app=\"a{n}\"}}"), false, Box::new(is_app.clone())));
        let is_error = is_app.clone();
        cases.push((
            format!("{{app=\"a{n}\"}} | json | level=\"error\""),
            false,
            Box::new(move |line| is_error(line) && line.level == "error"),
        ));
        let has_needle = is_app;
        cases.push((
            format!("{{app=\"a{n}\"}} |= \"3{n},\""),
            n % 2 == 1,
            Box::new(move |line| has_needle(line) && line.text.contains(&format!("3{n},"))),
        ));
        let above = format!("a{n}");
        cases.push((
            format!("{{app=~\"a[{n}-9]\"}} |~ \"warn|error\" | logfmt"),
            n == 0,
            Box::new(move |line| line.app >= above && line.level != "info"),
        ));
        let wants = n % 3 == 0;
        cases.push((
            "{app=~\".+\"}".to_owned() + if wants { "" } else { " | json | n < 1000" },
            wants,
            Box::new(move |line| {
                wants || line.text.contains("\"n\":") && number_of(&line.text) < 1000
            }),
        ));
    }
    cases
}

fn number_of(line: &str) -> usize {
    let value: Value = serde_json::from_str(line).unwrap();
    usize::try_from(value["n"].as_u64().unwrap()).unwrap()
}

#[test]
fn fifty_tails_get_all_lines_or_know_which_they_miss() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let lines = Arc::new(lines());
    let cases = cases();
    assert_eq!(cases.len(), 50);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    let begun = Arc::new(AtomicUsize::new(0));
    let (pushed, is_pushed) = watch::channel(false);
    let mut tails = Vec::new();
    for (query, slow, means) in &cases {
        let wanted = lines.iter().filter(|line| means(line)).count();
        assert!(wanted > 0, "{query}");
        let (url, query, slow) = (server.url.clone(), query.clone(), *slow);
        let (begun, mut is_pushed) = (begun.clone(), is_pushed.clone());
        tails.push(runtime.spawn(async move {
            let mut socket = connect(&url, &[("query", &query), ("limit", "0")]).await;
            let mut got = Got::default();
            got.begin(&mut socket).await;
            begun.fetch_add(1, Ordering::SeqCst);
            if slow {
                is_pushed.wait_for(|done| *done).await.unwrap();
            }
            got.read(&mut socket, |got| got.accounted() >= wanted).await;
            got
        }));
    }
    crate::support::wait_for("all tails to follow", || {
        (begun.load(Ordering::SeqCst) >= cases.len()).then_some(())
    });
    for part in lines.chunks(LINES_A_PUSH) {
        let mut streams: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for line in part {
            let values = streams.entry(&line.app).or_default();
            values.push(json!([line.ts.to_string(), line.text]));
        }
        let streams: Vec<Value> = streams
            .into_iter()
            .map(|(app, values)| json!({"stream": {"app": app}, "values": values}))
            .collect();
        assert_eq!(server.push_json(&json!({"streams": streams})).0, 204);
    }
    pushed.send(true).unwrap();
    let (mut received, mut dropped) = (0, 0);
    for ((query, slow, means), tail) in cases.iter().zip(tails) {
        let got = runtime.block_on(tail).unwrap();
        let mut wanted: BTreeMap<i64, &Line> =
            lines.iter().filter(|line| means(line)).map(|line| (line.ts, line)).collect();
        for (ts, text) in &got.lines {
            let line = wanted.remove(ts).unwrap_or_else(|| panic!("{query}: twice or foreign"));
            assert_eq!(&line.text, text, "{query}");
        }
        for (ts, labels) in &got.named {
            let line = wanted.remove(ts).unwrap_or_else(|| panic!("{query}: {ts} was not missed"));
            assert_eq!(labels["app"], line.app.as_str(), "{query}");
        }
        assert_eq!((got.more, got.unread), (wanted.len(), 0), "{query}");
        let missed = got.named.len() + got.more;
        assert!(*slow || missed == 0, "{query} misses {missed} although it is read");
        let is_everything = query == "{app=~\".+\"}";
        assert!(!is_everything || missed > 0, "what nobody reads cannot all be kept");
        received += got.lines.len();
        dropped += missed;
    }
    eprintln!("{} tails: {received} lines received, {dropped} dropped and told", cases.len());
}

#[test]
fn history_goes_over_into_live_lines_without_gap_or_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    let (stop, begun) = (AtomicBool::new(false), Arc::new(AtomicUsize::new(0)));
    let base = now_ns();
    let total = std::thread::scope(|scope| {
        // However this ends, the pusher does too.
        let _stop = AtEnd(&stop);
        // Four lines share each time; a fifth lies in the future, as of a host whose clock is fast.
        let pusher = scope.spawn(|| {
            let mut n = 0;
            while !stop.load(Ordering::SeqCst) {
                let minute = 60_000_000_000;
                let lines: Vec<(i64, String)> = (n..n + 5)
                    .map(|k| (base + n + if k % 5 == 4 { minute } else { 0 }, k.to_string()))
                    .collect();
                assert_eq!(server.push_lines(json!({"app": "s"}), &lines).0, 204);
                n += 5;
            }
            n
        });
        let mut tails = Vec::new();
        for round in 0..12 {
            let url = server.url.clone();
            let is_begun = begun.clone();
            let limit = ["5000", "7", "0"][round % 3];
            let tail = runtime.spawn(async move {
                let params = [("query", "{app=\"s\"}"), ("limit", limit)];
                let mut socket = connect(&url, &params).await;
                let mut got = Got::default();
                got.begin(&mut socket).await;
                is_begun.fetch_add(1, Ordering::SeqCst);
                let least = limit.parse::<usize>().unwrap().min(200) + 100;
                got.read(&mut socket, |got| got.lines.len() >= least).await;
                (got, socket)
            });
            tails.push((limit, tail));
            // They begin at different moments of the pushing.
            crate::support::wait_for("a tail to follow", || {
                (begun.load(Ordering::SeqCst) > round).then_some(())
            });
        }
        let read: Vec<_> = tails
            .into_iter()
            .map(|(limit, tail)| (limit, runtime.block_on(tail).unwrap()))
            .collect();
        stop.store(true, Ordering::SeqCst);
        let total = pusher.join().unwrap();
        let last = (total - 1).to_string();
        for (limit, (mut got, mut socket)) in read {
            // The last line in the future is the last of all.
            runtime.block_on(
                got.read(&mut socket, |got| got.lines.iter().any(|(_, line)| *line == last)),
            );
            check_seam(limit, &got, total);
        }
        total
    });
    assert!(total > 100);
}

/// Says stop when it goes.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Live lines are all there, each once, and history has the newest lines before them.
#[track_caller]
fn check_seam(limit: &str, got: &Got, total: i64) {
    assert_eq!((got.named.len(), got.more, got.unread), (0, 0, 0));
    let numbers: Vec<i64> = got.lines.iter().map(|(_, line)| line.parse().unwrap()).collect();
    let distinct: BTreeSet<i64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "limit {limit}: a line came twice");
    // A limit leaves out the oldest lines: those of the present, as the others are of the future.
    // From the first one that there is nothing may be missing.
    let first = distinct.iter().find(|n| *n % 5 != 4).copied().unwrap();
    let missing: Vec<i64> = (first..total).filter(|n| !distinct.contains(n)).collect();
    assert_eq!(missing, [] as [i64; 0], "limit {limit}, from {first} to {total}");
}
