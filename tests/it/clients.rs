//! Libraries and programs that people send logs with, as they are published: each sends lines,
//! which are then read back through Loki's API. `tests/clients/install.sh` puts them in place.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{QUIET, Server, http, now_ns, real_part, wait_for};

const COUNT: usize = 25;

/// Where the clients are: `STOCKADE_CLIENTS`, or the cache folder that .ci/run fills.
fn clients() -> PathBuf {
    std::env::var_os("STOCKADE_CLIENTS").map_or_else(
        || {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_default())
                .join(".cache/stockade-ci/clients")
        },
        PathBuf::from,
    )
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Runs a client against a new server and expects its lines, each once.
fn check(
    name: &str,
    needs: &Path,
    command: impl FnOnce(&Path) -> Command,
    query: &str,
    line: &str,
) {
    if !real_part(name, needs.exists()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let output = command(&scripts()).args([&server.url, &COUNT.to_string()]).output().unwrap();
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{name}: {told}");
    let mut expect: Vec<String> = (0..COUNT).map(|number| format!("{line} {number}")).collect();
    expect.sort();
    // Some clients send the last batch when they are already on their way out.
    let found = wait_for(&format!("the lines of {name}: {told}"), || {
        let mut found = server.lines(query);
        found.sort();
        (found.len() >= COUNT).then_some(found)
    });
    let texts: Vec<String> = found.iter().map(|found| text(found)).collect();
    let mut texts: Vec<String> = texts;
    texts.sort();
    assert_eq!(texts, expect, "{name}");
}

/// The message, for clients that send the whole record as JSON.
fn text(line: &str) -> String {
    let Ok(Value::Object(record)) = serde_json::from_str(line) else {
        return line.split(" {").next().unwrap_or_default().trim().to_owned();
    };
    let message = record.get("msg").or(record.get("message")).and_then(Value::as_str);
    message.unwrap_or(line).to_owned()
}

fn python(script: &'static str) -> impl FnOnce(&Path) -> Command {
    move |scripts| {
        let mut command = Command::new(clients().join("python/bin/python"));
        command.arg(scripts.join("python").join(script));
        command
    }
}

fn node(script: &'static str) -> impl FnOnce(&Path) -> Command {
    move |scripts| {
        let mut command = Command::new("node");
        command.arg(scripts.join("node").join(script)).current_dir(clients().join("node"));
        command
    }
}

#[test]
fn python_logging_loki() {
    let needs = clients().join("python/bin/python");
    let query = r#"{app="python-loki", severity="warning", part="x"}"#;
    check("python-logging-loki", &needs, python("loki_handler.py"), query, "python line");
}

#[test]
fn python_opentelemetry() {
    let needs = clients().join("python/bin/python");
    let query = r#"{service_name="python-otel"} | service_version="1.2.3" | detected_level="error" | user_id=~".+" | scope_name="client""#;
    check("the OpenTelemetry SDK", &needs, python("otel.py"), query, "otel line");
}

#[test]
fn node_pino() {
    let needs = clients().join("node/node_modules/pino-loki");
    check("pino-loki", &needs, node("pino.mjs"), r#"{app="node-pino"}"#, "pino line");
}

#[test]
fn node_winston() {
    let needs = clients().join("node/node_modules/winston-loki");
    check("winston-loki", &needs, node("winston.mjs"), r#"{app="node-winston"}"#, "winston line");
}

#[test]
fn rust_tracing_loki() {
    let program = clients().join("rust/debug/stockade-client");
    let command = |_: &Path| Command::new(clients().join("rust/debug/stockade-client"));
    check(
        "tracing-loki",
        &program,
        command,
        r#"{app="rust-tracing", level="warn"}"#,
        "tracing line",
    );
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn prometheus_scrapes_the_metrics() {
    let program = std::env::var_os("PROMETHEUS").unwrap_or_else(|| "prometheus".into());
    let is_here = Command::new(&program).arg("--version").output().is_ok();
    if !real_part("prometheus", is_here) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let line = [(now_ns(), "counted".to_owned())];
    assert_eq!(server.push_lines(serde_json::json!({"app": "a"}), &line).0, 204);
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let target = server.url.trim_start_matches("http://");
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs: [{{job_name: stockade, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
    );
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let child = Command::new(&program)
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _running = Running(child);
    let ask = |path: &str| -> Option<Value> {
        let (status, body) = http("GET", &format!("http://127.0.0.1:{port}{path}"), &[], &[]);
        if status != 200 {
            return None;
        }
        serde_json::from_str(&body).ok()
    };
    wait_for("the target to be up", || {
        let targets = ask("/api/v1/targets")?;
        let target = &targets["data"]["activeTargets"][0];
        assert_ne!(target["health"], "down", "{}", target["lastError"]);
        (target["health"] == "up").then_some(())
    });
    let value = wait_for("the count of lines", || {
        let found = ask("/api/v1/query?query=ingested_lines_total%7Binput%3D%22push%22%7D")?;
        found["data"]["result"][0]["value"][1].as_str().map(ToOwned::to_owned)
    });
    assert_eq!(value, "1");
}
