//! Backups of a running server, and what comes back of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::support::{QUIET, Server, binary, http, now_ns, wait_for};

fn run(args: &[&str]) -> (bool, String) {
    let output = binary().args(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_backup_under_load_holds_everything_acknowledged_before() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let pushes = std::thread::spawn({
        let (stop, acknowledged, url) = (stop.clone(), acknowledged.clone(), server.url.clone());
        let base = now_ns() - 60_000_000_000;
        move || {
            while !stop.load(Ordering::Relaxed) {
                let from = acknowledged.load(Ordering::Relaxed);
                let values: Vec<_> = (from..from + 20)
                    .map(|n| json!([(base + n as i64).to_string(), format!("push {n:08}")]))
                    .collect();
                let body = json!({"streams": [{"stream": {"job": "x"}, "values": values}]});
                let headers = [("Content-Type", "application/json")];
                let url = format!("{url}/loki/api/v1/push");
                if http("POST", &url, &headers, body.to_string().as_bytes()).0 == 204 {
                    acknowledged.fetch_add(20, Ordering::Relaxed);
                }
            }
        }
    });
    let mut made = Vec::new();
    for name in ["one", "two"] {
        let known = wait_for("more pushes", || {
            let known = acknowledged.load(Ordering::Relaxed);
            (known >= made.last().map_or(0, |(_, before)| *before) + 100).then_some(known)
        });
        let dir = folder.path().join(name);
        let (fine, told) = run(&["backup", text(&dir), "--addr", &server.url]);
        assert!(fine, "{told}");
        made.push((dir, known));
    }
    stop.store(true, Ordering::Relaxed);
    pushes.join().unwrap();

    for (dir, known) in &made {
        let (fine, told) = run(&["backup", "verify", text(dir)]);
        assert!(fine && told.contains("is whole"), "{told}");
        let data = folder.path().join(format!("{}-restored", dir.display()));
        let (fine, told) = run(&["restore", text(dir), "--data-dir", text(&data)]);
        assert!(fine, "{told}");
        let restored = Server::start(QUIET, &data);
        let lines = restored.lines(r#"{job="x"}"#);
        assert!(lines.len() >= *known, "{} of {known}", lines.len());
        let expect: Vec<String> = (0..lines.len()).map(|n| format!("push {n:08}")).collect();
        assert_eq!(lines, expect, "nothing is missing, repeated or damaged");
        assert_eq!(restored.push_lines(json!({"job": "new"}), &[(now_ns(), "on".into())]).0, 204);
    }
    // The server went on as if nothing had been.
    assert_eq!(server.lines(r#"{job="x"}"#).len(), acknowledged.load(Ordering::Relaxed));
}

#[test]
fn a_damaged_backup_is_named_and_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(QUIET, &data);
    assert_eq!(server.push_lines(json!({"job": "x"}), &[(now_ns(), "one".into())]).0, 204);
    let dir = folder.path().join("backup");
    let (fine, told) = run(&["backup", text(&dir), "--data-dir", text(&data)]);
    assert!(!fine && told.contains("in use by another process"), "{told}");
    fs::remove_dir(&dir).unwrap();
    server.stop();
    // Without a server the command does it alone.
    let (fine, told) = run(&["backup", text(&dir), "--data-dir", text(&data)]);
    assert!(fine && told.contains("1 entries"), "{told}");
    let (fine, told) = run(&["backup", text(&dir), "--data-dir", text(&data)]);
    assert!(!fine && told.contains("is not empty"), "{told}");

    let target = folder.path().join("target");
    let restore = || run(&["restore", text(&dir), "--data-dir", text(&target)]);
    let list: serde_json::Value = {
        let text = fs::read_to_string(dir.join("backup.json")).unwrap();
        let end = text.trim_end().rfind('\n').unwrap();
        serde_json::from_str(&text[..end]).unwrap()
    };
    let files = list["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["path"].as_str().unwrap().ends_with(".part")));
    let mut paths: Vec<String> =
        files.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect();
    paths.push("backup.json".to_owned());
    for path in &paths {
        let file = dir.join(path);
        let good = fs::read(&file).unwrap();
        if good.is_empty() {
            continue;
        }
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        // Parts are hard links: the damage must not reach the data directory.
        fs::remove_file(&file).unwrap();
        fs::write(&file, &bad).unwrap();
        let (fine, told) = restore();
        assert!(!fine && told.contains(path.as_str()), "{path}: {told}");
        assert!(!target.exists(), "{path}: nothing was begun");
        fs::remove_file(&file).unwrap();
        let (fine, told) = run(&["backup", "verify", text(&dir)]);
        assert!(!fine && told.contains(path.as_str()), "{path}: {told}");
        fs::write(&file, &good).unwrap();
    }
    assert!(restore().0);
    let (fine, told) = restore();
    assert!(!fine && told.contains("empty"), "{told}");
    // A restore that was cut off is not taken for a store.
    fs::write(target.join("restoring"), "").unwrap();
    let output = binary()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&target)])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("restore again"), "{told}");
    fs::remove_file(target.join("restoring")).unwrap();
    let restored = Server::start(QUIET, &target);
    assert_eq!(restored.lines(r#"{job="x"}"#), ["one"]);
}

#[test]
fn over_http_only_who_can_write_to_the_folder_gets_a_backup_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let dir = folder.path().join("elsewhere");
    fs::create_dir(&dir).unwrap();
    for proof in ["x", ""] {
        let path = format!("/stockade/api/v1/backup?dir={}&proof={proof}", text(&dir));
        assert_eq!(server.post(&path, &[], &[]).0, 400);
    }
    fs::write(dir.join(".stockade-backup"), "y").unwrap();
    let path = format!("/stockade/api/v1/backup?dir={}&proof=x", text(&dir));
    assert_eq!(server.post(&path, &[], &[]).0, 400);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing was written");
}

/// State beside the store: a flipped byte in any of it is named, and the server serves the rest.
#[test]
fn damaged_state_is_named_and_the_rest_serves() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(QUIET, &data);
    assert_eq!(server.push_lines(json!({"job": "x"}), &[(now_ns(), "one".into())]).0, 204);
    let group = b"name: g\ninterval: 1s\nrules: [{alert: A, expr: 'count_over_time({job=\"x\"}[1m]) > 0'}]\n";
    assert_eq!(server.post("/loki/api/v1/rules/n", &[], group).0, 202);
    wait_for("the state of alerts", || data.join("alerts/state.json").exists().then_some(()));
    server.stop();
    let mut seen = Vec::new();
    for name in
        ["alerts/state.json", "rules/api.json", "notify/notify.json", "notify/silences.json"]
    {
        let path = data.join(name);
        let Ok(good) = fs::read(&path) else { continue };
        seen.push(name);
        let mut bad = good.clone();
        let at = bad.len() / 2;
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        server.restart();
        assert_eq!(server.lines(r#"{job="x"}"#), ["one"], "{name}");
        wait_for("the fault in the log", || {
            let base = Path::new(name).file_name().unwrap().to_str().unwrap();
            let log = server.log();
            let told = log.lines().any(|line| line.contains(base) && line.contains("damaged"));
            told.then_some(())
        });
        server.stop();
        assert_eq!(fs::read(path.with_extension("damaged")).unwrap(), bad, "{name}");
        fs::write(&path, &good).unwrap();
    }
    assert!(seen.len() >= 2, "{seen:?}");
}

#[test]
fn two_servers_do_not_share_a_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let output = binary()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&server.data)])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(told.contains("in use by another process; stop it"), "{told}");
}
