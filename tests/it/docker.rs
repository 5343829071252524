//! The main job with a real Docker engine: containers log, stockade finds them by itself,
//! redacts, answers queries and sends one Slack message.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use crate::support::{Server, Slack, files_with, real_part, wait_for};

const IMAGE: &str = "stockade-test/busybox:latest";

fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().unwrap()
}

fn engine_is_here() -> bool {
    let answers = Command::new("docker").arg("version").output().is_ok_and(|o| o.status.success());
    if !real_part("a Docker engine", answers) {
        return false;
    }
    // No registry is needed: the image is made of the static busybox of the machine.
    if !docker(&["image", "inspect", IMAGE]).status.success() {
        let script = "set -e; d=$(mktemp -d); mkdir $d/bin; cp /bin/busybox $d/bin/busybox; \
             for t in sh echo sleep printf seq cat true; do ln -s busybox $d/bin/$t; done; \
             tar -C $d -c . | docker import - stockade-test/busybox:latest; rm -r $d";
        let made = Command::new("sh").args(["-c", script]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    true
}

/// A container that is removed with its logs when the test ends.
struct Container(String);

impl Container {
    fn run(name: &str, extra: &[&str], script: &str) -> Container {
        docker(&["rm", "-f", name]);
        let mut args = vec!["run", "-d", "--network", "none", "--name", name];
        args.extend(extra);
        args.extend([IMAGE, "/bin/sh", "-c", script]);
        let output = docker(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Container(name.to_owned())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.0]);
    }
}

fn config(only: &str) -> String {
    format!("sources: [{{docker: {{include: {{name: '{only}'}}}}}}]\n")
}

fn start(only: &str, data: &Path, slack: &Slack) -> Server {
    Server::start_with(&config(only), data, &[("SLACK_WEBHOOK_URL", &slack.url)])
}

#[test]
fn from_a_container_to_slack() {
    if !engine_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let slack = Slack::start();
    let server = start("st-e2e-*", &folder.path().join("data"), &slack);
    let script = r#"i=0; while [ $i -lt 8 ]; do i=$((i+1));
        echo "{\"level\":\"warn\",\"msg\":\"login failed\",\"user\":\"victim$i@example.com\",\"password\":\"canary-pass-$i\"}";
        done; echo '{"level":"info","msg":"ready"}' >&2; sleep 300"#;
    let secrets: Vec<String> = (1..9)
        .flat_map(|i| [format!("victim{i}@example.com"), format!("canary-pass-{i}")])
        .collect();
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let began = Instant::now();
    let labels = [
        "--label",
        "com.docker.compose.project=shop",
        "--label",
        "com.docker.compose.service=login",
    ];
    let _container = Container::run("st-e2e-login", &labels, script);
    let lines = wait_for("the lines to be found", || {
        let lines = server.lines(r#"{compose_project="shop", compose_service="login"}"#);
        (lines.len() == 9).then_some(lines)
    });
    let found_after = began.elapsed();
    for line in &lines {
        for secret in &secrets {
            assert!(!line.contains(secret), "{line}");
        }
    }
    assert_eq!(server.lines(r#"{service_name="login", stream="stderr"}"#).len(), 1);
    let message = wait_for("the Slack message", || slack.messages().into_iter().next());
    let alerted_after = began.elapsed();
    eprintln!("found after {found_after:?}, Slack message after {alerted_after:?}");
    assert!(message.contains("login failed"), "{message}");
    // Nothing follows for the same cause: the group's next look comes with no news.
    server.stop_and_sweep(&secrets, &slack, &message);
}

impl Server {
    fn stop_and_sweep(mut self, secrets: &[&str], slack: &Slack, first: &str) {
        assert_eq!(self.post("/flush", &[], b"").0, 204);
        self.stop();
        self.restart();
        assert_eq!(slack.messages(), [first.to_owned()], "one message, also after a restart");
        assert_eq!(files_with(&self.data, secrets), Vec::<String>::new());
        let told = format!("{}{}", self.log(), slack.messages().join("\n"));
        for secret in secrets {
            assert!(!told.contains(secret), "{secret} in log or message");
        }
    }
}

#[test]
fn long_lines_terminals_and_unterminated_ends() {
    if !engine_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let slack = Slack::start();
    let server = start("st-shapes-*", &folder.path().join("data"), &slack);
    let long = "head=$(printf '%032767d' 7); echo \"$head\"; printf 'no newline at the end'";
    let _long = Container::run("st-shapes-long", &[], long);
    let _tty = Container::run("st-shapes-tty", &["-t"], "echo one; echo two");
    let mut lines = wait_for("long lines", || {
        let lines = server.lines(r#"{container="st-shapes-long"}"#);
        (lines.len() == 2).then_some(lines)
    });
    lines.sort_by_key(String::len);
    assert_eq!(lines[0], "no newline at the end");
    assert_eq!(lines[1].len(), 32_767);
    let lines = wait_for("terminal lines", || {
        let lines = server.lines(r#"{container="st-shapes-tty"}"#);
        (lines.len() == 2).then_some(lines)
    });
    assert_eq!(lines, ["one", "two"]);
}

#[test]
fn kills_lose_and_repeat_no_container_line() {
    if !engine_is_here() {
        return;
    }
    const LINES: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let slack = Slack::start();
    let mut server = start("st-kill-*", &folder.path().join("data"), &slack);
    let script = format!("i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo \"line $i\"; done");
    let _container = Container::run("st-kill-writer", &[], &script);
    let query = r#"{container="st-kill-writer"}"#;
    for _ in 0..5 {
        let before = server.lines(query).len();
        wait_for("progress", || {
            let now = server.lines(query).len();
            (now > before || now == LINES).then_some(())
        });
        server.kill();
        server.restart();
    }
    let lines = wait_for("all lines", || {
        let lines = server.lines(query);
        (lines.len() >= LINES).then_some(lines)
    });
    let wanted: Vec<String> = (1..=LINES).map(|i| format!("line {i}")).collect();
    assert_eq!(lines.len(), LINES);
    let mut sorted = lines;
    sorted.sort_by_key(|l| l[5..].parse::<usize>().unwrap());
    assert_eq!(sorted, wanted);
}
