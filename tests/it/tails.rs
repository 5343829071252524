//! Many live tails at once: each gets every line, or is told how many it did not get.

use std::time::Instant;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{PATIENCE, QUIET, Server, now_ns};

const TAILS: usize = 50;
/// A few seconds' worth here; `STOCKADE_TAIL_LINES` makes it last longer.
const LINES: usize = 6_000;
const LINES_A_PUSH: usize = 300;

fn lines_wanted() -> usize {
    std::env::var("STOCKADE_TAIL_LINES").ok().and_then(|text| text.parse().ok()).unwrap_or(LINES)
}

/// Follows until all lines have come or are told to be missing.
async fn follow(
    url: String,
    wanted: usize,
    ready: tokio::sync::mpsc::Sender<()>,
) -> (usize, usize) {
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let (mut lines, mut dropped) = (0, 0);
    let mut known = false;
    while lines + dropped < wanted {
        let message = tokio::time::timeout(PATIENCE, socket.next());
        let message = message.await.unwrap_or_else(|_| {
            panic!("{lines} lines and {dropped} dropped of {wanted}, then nothing more")
        });
        match message.unwrap().unwrap() {
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                for stream in frame["streams"].as_array().unwrap() {
                    lines += stream["values"].as_array().unwrap().len();
                }
                for missing in frame["dropped_entries"].as_array().into_iter().flatten() {
                    let count = missing["labels"]["dropped"].as_str().unwrap();
                    dropped += count.parse::<usize>().unwrap();
                }
            }
            // The server pings only once the live part has begun.
            Message::Ping(_) if !known => {
                known = true;
                ready.send(()).await.unwrap();
            }
            _ => {}
        }
    }
    (lines, dropped)
}

#[test]
fn fifty_tails_get_all_lines_or_know_what_they_miss() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let wanted = lines_wanted();
    let url = format!(
        "{}/loki/api/v1/tail?query=%7Bapp%3D%22t%22%7D&limit=0",
        server.url.replace("http://", "ws://")
    );
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    let (ready, mut is_ready) = tokio::sync::mpsc::channel(TAILS);
    let tails: Vec<_> =
        (0..TAILS).map(|_| runtime.spawn(follow(url.clone(), wanted, ready.clone()))).collect();
    runtime.block_on(async {
        for _ in 0..TAILS {
            tokio::time::timeout(PATIENCE, is_ready.recv()).await.expect("a tail begins");
        }
    });
    let began = Instant::now();
    let mut bytes = 0;
    for first in (0..wanted).step_by(LINES_A_PUSH) {
        let lines: Vec<(i64, String)> = (first..wanted.min(first + LINES_A_PUSH))
            .map(|n| (now_ns(), format!("line {n} {}", "x".repeat(180))))
            .collect();
        bytes += lines.iter().map(|(_, line)| line.len()).sum::<usize>();
        assert_eq!(server.push_lines(json!({"app": "t"}), &lines).0, 204);
    }
    let pushed_at = bytes as f64 / began.elapsed().as_secs_f64() / 1e6;
    let mut missing = 0;
    for tail in tails {
        let (lines, dropped) = runtime.block_on(tail).unwrap();
        assert_eq!(lines + dropped, wanted);
        missing += dropped;
    }
    eprintln!("{TAILS} tails, {wanted} lines at {pushed_at:.1} MB/s: {missing} dropped and told");
}
