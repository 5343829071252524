//! The commands as people type them: what they print, where, and their exit codes.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::json;

use crate::support::{QUIET, Server, Slack, binary, now_ns};

/// Runs a command in a folder with standard input; the environment is ours alone.
fn run_with(folder: &Path, args: &[&str], input: &str, env: &[(&str, &str)]) -> Output {
    let mut child = binary()
        .args(args)
        .current_dir(folder)
        .env_remove("SLACK_WEBHOOK_URL")
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Runs a command; checks its exit code and a piece of what it says on either stream.
#[track_caller]
fn check(folder: &Path, args: &[&str], code: i32, says: &str) {
    let output = run_with(folder, args, "", &[]);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(says), "{args:?} does not say {says:?}:\n{said}");
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn check_names_the_place_of_every_fault() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "web.yaml", "name: web\nstages: [{parse: logfmt}]\n");
    for (yaml, code, says) in [
        ("", 0, "fine"),
        ("retention: {period: 2160h}\n", 0, "fine"),
        ("sources: [docker, journal]\n", 0, "fine"),
        ("sources: []\npipelines: {web: web.yaml}\n", 0, "fine"),
        ("pipelines: {web: [{drop: {drop_counter_reason: health}}]}\n", 0, "fine"),
        ("retention: {perod: 90d}\n", 2, "c.yaml:1:13: unknown key \"perod\"; did you mean"),
        ("pipelines:\n  web: gone.yaml\n", 2, "c.yaml:2:8: "),
        ("sources:\n- files: {include: a}\n  pipeline: nope\n", 2, "c.yaml:2:3: unknown pipeline"),
        ("sources:\n- docker: {start: x}\n", 2, "1 fault found"),
        ("alerts:\n  rules: [shipped, ./gone]\n", 2, "c.yaml:2:20: "),
        ("redaction: {hash_key_file: gone}\n", 2, "c.yaml:1:28: "),
        ("server: {listen: here}\n", 2, "is not HOST:PORT"),
        ("server: {external_url: logs}\n", 2, "does not begin with http"),
        ("redaction: {enabled: false}\n", 2, "i_understand"),
        (
            "notify: {global: {slack_api_url: YOUR_WEBHOOK}, route: {receiver: a}, receivers: [{name: a, slack_configs: [{channel: x}]}]}\n",
            2,
            "is a placeholder",
        ),
        ("a: ${NO_SUCH_VARIABLE}\n", 2, "c.yaml:1:4: environment variable NO_SUCH_VARIABLE"),
    ] {
        write(folder, "c.yaml", yaml);
        check(folder, &["check", "--config", "c.yaml"], code, says);
    }
    check(folder, &["check", "--config", "none.yaml"], 2, "none.yaml: No such file");
}

/// An alertmanager.yml as Alertmanager's own guides have it.
#[test]
fn notify_test_goes_through_an_alertmanager_file() {
    let slack = Slack::start();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let url = &slack.url;
    write(
        folder,
        "alertmanager.yml",
        &format!(
            "global:\n  slack_api_url: '{url}'\nroute:\n  receiver: 'slack-notifications'\n  group_by: ['alertname', 'severity']\n  group_wait: 10s\nreceivers:\n  - name: 'slack-notifications'\n    slack_configs:\n      - channel: '#alerts'\n        text: '{{{{ range .Alerts }}}}{{{{ .Annotations.description }}}}{{{{ end }}}}'\n"
        ),
    );
    write(folder, "c.yaml", "notify_file: alertmanager.yml\n");
    let with = ["--config", "c.yaml"];
    check(folder, &["check", with[0], with[1]], 0, "fine");
    let test = |name| ["notify-test", name, with[0], with[1]];
    check(folder, &test("slack-notifications"), 0, "slack: delivered");
    assert!(slack.messages()[0].contains("TEST"), "{:?}", slack.messages());
    check(folder, &test("nobody"), 2, "configured are: slack-notifications");
    slack.answer_with(404, "no_service");
    check(folder, &test("slack-notifications"), 1, "answered 404");
    check(folder, &["notify-test", "x"], 2, "set SLACK_WEBHOOK_URL");
    let env = [("SLACK_WEBHOOK_URL", url.as_str())];
    slack.answer_with(200, "ok");
    let output = run_with(folder, &["notify-test", "incidents"], "", &env);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn tests_of_files_pass_fail_and_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("empty")).unwrap();
    let rule = |out: &str| {
        format!(
            "rules:\n- name: staff\n  category: pii\n  literals: [EMP-]\n  pattern: 'EMP-[0-9]{{6}}'\n  after_bytes: 10\n  tests:\n    match: [{{in: by EMP-123456, out: by {out}}}]\n    keep: [EMP-12]\n"
        )
    };
    let stages = |method: &str| {
        format!(
            "name: mine\nstages: [{{parse: json}}, {{labels: [method]}}]\ntests:\n- input: {{line: '{{\"method\":\"GET\"}}'}}\n  expect: {{labels: {{method: {method}}}}}\n"
        )
    };
    let alert = |state: &str| {
        format!(
            "groups:\n- name: g\n  rules:\n  - alert: Boom\n    expr: 'sum(count_over_time({{service_name=\"x\"}} |= \"boom\" [5m])) > 1'\n    for: 5m\ntests:\n- lines: [{{at: 10s, labels: {{service_name: x}}, line: boom, repeat: 30, every: 20s}}]\n  at: 8m\n  expect: [{{alert: Boom, state: {state}}}]\n"
        )
    };
    for (good, bad) in [
        (rule("<staff>"), rule("<x>")),
        (stages("GET"), stages("POST")),
        (alert("firing"), alert("inactive")),
    ] {
        write(folder, "good.yaml", &good);
        check(folder, &["test", "good.yaml"], 0, " passed, 0 failed in 1 file\n");
        write(folder, "bad.yaml", &bad);
        check(folder, &["test", "good.yaml", "bad.yaml"], 3, ", 1 failed in 2 files");
    }
    check(folder, &["test", "none.yaml"], 2, "none.yaml: No such file");
    check(folder, &["test", "empty"], 2, "empty: no .yaml or .yml file");
    write(folder, "good.yaml", "other: 1\n");
    check(folder, &["test", "good.yaml"], 2, "neither groups: (alerts)");
}

#[test]
fn redact_takes_rules_and_key_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "key", "0123456789abcdef0123456789abcdef0123456789abcdef\n");
    write(folder, "c.yaml", "redaction: {actions: {email: hash}, hash_key_file: key}\n");
    let redact = |args: &[&str]| {
        let output = run_with(folder, args, "from joe@foo.org\n", &[]);
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(redact(&["redact"]), "from <email>\n");
    let hashed = redact(&["redact", "--config", "c.yaml"]);
    assert!(hashed.starts_with("from <email:k1:"), "{hashed}");
    assert_eq!(redact(&["redact", "--config", "c.yaml"]), hashed, "the key makes hashes equal");
}

#[test]
fn queries_print_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let now = now_ns();
    let lines: Vec<(i64, String)> =
        (0..6000).map(|n| (now - n * 1_000_000, format!("level=error n={n} Boom"))).collect();
    assert_eq!(server.push_lines(json!({"service_name": "api"}), &lines).0, 204);
    let folder = folder.path();
    let env = [("STOCKADE_ADDR", server.url.as_str())];
    let query = |args: &[&str]| {
        let output = run_with(folder, &[&["query"], args].concat(), "", &env);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), said)
    };
    let (code, out, _) = query(&["boom -n=1", "--limit", "0", "--output", "raw"]);
    assert_eq!((code, out.lines().count()), (Some(0), 6000 - 1111), "all pages, `-word` left out");
    let (_, out, _) = query(&["\"n=17 boom\"", "--output", "jsonl"]);
    let entry: serde_json::Value = serde_json::from_str(out.trim()).unwrap();
    assert_eq!(entry["labels"]["service_name"], "api");
    assert_eq!(entry["line"], "level=error n=17 Boom");
    let (_, out, _) = query(&["{service_name=\"api\"}", "--limit", "1", "--color", "always"]);
    assert!(out.contains("\x1b[31mlevel=error n=0 Boom"), "{out:?}");
    let (code, out, _) = query(&["sum(count_over_time({service_name=\"api\"}[1h]))"]);
    assert!(code == Some(0) && out.starts_with("{}\n  2"), "{out}");
    let (code, _, said) = query(&["vector(1)", "--follow"]);
    assert!(code == Some(2) && said.contains("--follow needs a log query"), "{said}");
    for (args, expect) in [
        (["{a=", "--limit=1"], "parse error at line 1, col 4"),
        (["x", "--since=soon"], "use a duration"),
        (["x", "--from=now"], "use RFC 3339"),
        (["x", "--addr=box"], "write http://HOST:PORT"),
    ] {
        let (code, _, said) = query(&args);
        assert!(code == Some(2) && said.contains(expect), "{args:?}: {said}");
    }
    let (code, _, said) = query(&["x", "--addr", "http://127.0.0.1:1"]);
    assert!(code == Some(1) && said.contains("is the server running? (--addr)"), "{said}");
    check(folder, &["healthcheck", "--addr", &server.url], 0, "");
    check(folder, &["healthcheck", "--addr", "http://127.0.0.1:1"], 1, "asking http://127");
}

#[test]
fn a_closed_pipe_is_the_end_and_no_failure() {
    for args in [["completions", "bash"].as_slice(), &["test", "--verbose"]] {
        let mut child =
            binary().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_command_line_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    check(folder, &["--help"], 0, "Exit codes:");
    check(folder, &["foo"], 2, "unrecognized subcommand");
    check(folder, &["--config", "a.yaml", "check"], 2, "stands behind the command");
    check(folder, &["--config", "none.yaml"], 2, "none.yaml: No such file");
    check(folder, &["check", "--log", "=="], 2, "--log");
    for (shell, piece) in [("bash", "_stockade()"), ("zsh", "#compdef"), ("fish", "complete -c")] {
        check(folder, &["completions", shell], 0, piece);
    }
}
