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

#[test]
fn promtail_multiline_joins_over_reads() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let config = format!(
        "scrape_configs:\n- job_name: app\n  static_configs: [{{targets: [localhost], labels: {{job: app, __path__: '{}/*.log'}}}}]\n  pipeline_stages:\n  - multiline: {{firstline: '^\\d{{4}}-', max_wait_time: 30s}}\n  - regex: {{expression: '^\\S+ (?P<kind>\\w+)'}}\n  - labels: {{kind: ''}}\nalerts: {{rules: []}}\n",
        logs.display()
    );
    let server = Server::start(&config, &folder.path().join("data"));
    let mut file = File::create(logs.join("app.log")).unwrap();
    let read = |lines: f64| {
        wait_for("the lines to be read", || {
            let (_, text) = server.get("/metrics");
            let counter = text.lines().find(|l| l.starts_with("source_lines_total{"))?;
            (counter.rsplit(' ').next()?.parse::<f64>().ok()? >= lines).then_some(())
        });
    };
    // The trace comes in two pieces, with a read in between.
    file.write_all(b"2026-11-20 ERROR it broke\n").unwrap();
    read(1.0);
    file.write_all(b"  at one\n  at two\n2026-11-20 INFO next\n").unwrap();
    let joined = wait_for("the joined record", || server.lines(r#"{kind="ERROR"}"#).pop());
    assert_eq!(joined, "2026-11-20 ERROR it broke\n  at one\n  at two");
}
