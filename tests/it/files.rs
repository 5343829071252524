//! Files that rotate by rename and by copytruncate while 20,000 lines a second are written.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Server, wait_for};

const LINES_PER_SECOND: usize = 20_000;
const SECONDS: usize = 4;

fn config(folder: &Path) -> String {
    format!(
        "sources: [{{files: {{include: ['{}/*.log'], start: beginning}}, labels: {{job: rotated}}}}]\nalerts: {{rules: []}}\n",
        folder.display()
    )
}

/// Writes numbered lines at the asked rate; calls `rotate` twice a second.
fn write_lines(path: &Path, mut rotate: impl FnMut(usize, &mut File)) -> usize {
    let open = || OpenOptions::new().create(true).append(true).open(path).unwrap();
    let mut file = open();
    let began = Instant::now();
    let total = LINES_PER_SECOND * SECONDS;
    let chunk = LINES_PER_SECOND / 100;
    for start in (0..total).step_by(chunk) {
        let mut text = String::new();
        for n in start..start + chunk {
            text.push_str(&format!("line {n:06} of the rotated file, padded to a usual length\n"));
        }
        file.write_all(text.as_bytes()).unwrap();
        if start % (LINES_PER_SECOND / 2) == 0 && start > 0 {
            rotate(start, &mut file);
        }
        // The pace of the writer is part of the scene, not a wait for the server.
        let due = Duration::from_secs_f64(start as f64 / LINES_PER_SECOND as f64);
        if let Some(early) = due.checked_sub(began.elapsed()) {
            std::thread::sleep(early);
        }
    }
    total
}

fn check(server: &Server, total: usize) {
    let query = r#"{job="rotated"}"#;
    let lines = wait_for("every line", || {
        let lines = server.lines(query);
        (lines.len() >= total).then_some(lines)
    });
    let mut numbers: Vec<usize> = lines.iter().map(|l| l[5..11].parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..total).collect::<Vec<_>>(), "every line exactly once");
}

#[test]
fn rotated_by_rename() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let server = Server::start(&config(&logs), &folder.path().join("data"));
    let path = logs.join("app.log");
    let total = write_lines(&path, |start, file| {
        fs::rename(&path, logs.join(format!("app.log.{start}"))).unwrap();
        *file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
    });
    check(&server, total);
}

#[test]
fn rotated_by_copytruncate() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let server = Server::start(&config(&logs), &folder.path().join("data"));
    let path = logs.join("app.log");
    let total = write_lines(&path, |start, file| {
        // copytruncate loses what is written between copy and truncation; this writer waits
        // meanwhile, and truncates only what the reader has had a chance to see.
        let written = start + LINES_PER_SECOND / 100;
        wait_for("the reader to catch up", || {
            let read = server.metric("source_lines_total{source=\"files\",kind=\"files\"}")?;
            (read as usize >= written).then_some(())
        });
        fs::copy(&path, logs.join(format!("app.log.{start}"))).unwrap();
        file.set_len(0).unwrap();
    });
    check(&server, total);
}
