//! A real journal: written with the native tools, found redacted, exactly once over kills.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{Server, files_with, now_ns, real_part, wait_for};

fn journal_is_here() -> bool {
    let answers = std::path::Path::new("/run/systemd/journal/socket").exists()
        && Command::new("journalctl").args(["-n", "1"]).output().is_ok_and(|o| o.status.success());
    real_part("a journal that can be read", answers)
}

fn write(identifier: &str, lines: impl Iterator<Item = String>) {
    let mut child = Command::new("systemd-cat")
        .args(["-t", identifier, "-p", "warning"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn journal_lines_come_redacted_and_exactly_once() {
    if !journal_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let identifier = format!("stockade-it-{}", now_ns());
    let config = format!("sources: [{{journal: {{matches: [SYSLOG_IDENTIFIER={identifier}]}}}}]\n");
    let mut server = Server::start(&config, &folder.path().join("data"));
    let secret = "journal.canary@example.com";
    write(&identifier, [format!("mail to {secret} failed")].into_iter());
    let query = format!("{{service_name=\"{identifier}\"}}");
    let first = wait_for("the first line", || server.lines(&query).pop());
    assert!(first.starts_with("mail to <email") && first.ends_with(" failed"), "{first}");
    let level = format!("{query} | detected_level=\"warn\"");
    assert_eq!(server.lines(&level).len(), 1);

    const ROUNDS: usize = 4;
    const LINES: usize = 500;
    for round in 0..ROUNDS {
        write(&identifier, (0..LINES).map(|n| format!("round {round} line {n}")));
        server.kill();
        // Written while nobody was there.
        write(&identifier, (0..LINES).map(|n| format!("round {round} late {n}")));
        server.restart();
    }
    let wanted = 1 + ROUNDS * LINES * 2;
    let lines = wait_for("all lines", || {
        let lines = server.lines(&query);
        (lines.len() >= wanted).then_some(lines)
    });
    let distinct: std::collections::BTreeSet<&String> = lines.iter().collect();
    assert_eq!((lines.len(), distinct.len()), (wanted, wanted));
    assert_eq!(server.post("/flush", &[], b"").0, 204);
    assert_eq!(files_with(&server.data, &[secret]), Vec::<String>::new());
}
