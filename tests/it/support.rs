//! The kit: the real binary on a free port, a double of Slack, and ways to wait for things.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest time anything in these tests may take to come about; a failure, never a pace.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer. Panics with `what` after `PATIENCE`.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    let mut nap = Duration::from_millis(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(200));
    }
}

/// A running `stockade serve`. Killed when dropped.
pub struct Server {
    child: Child,
    pub url: String,
    pub data: PathBuf,
    config: String,
    env: Vec<(String, String)>,
    log: Arc<Mutex<String>>,
}

/// Nothing is collected, no rules, every entry is welcome.
pub const QUIET: &str = "\
sources: []
alerts: {rules: []}
limits: {reject_old_samples: false, ingestion_rate_mb: 0}
";

pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_stockade"))
}

impl Server {
    /// Starts with a configuration (YAML) and the data directory; waits until it is ready.
    pub fn start(config: &str, data: &Path) -> Server {
        Server::start_with(config, data, &[])
    }

    pub fn start_with(config: &str, data: &Path, env: &[(&str, &str)]) -> Server {
        let env: Vec<(String, String)> =
            env.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let (child, url, log) = spawn(config, data, &env);
        let server =
            Server { child, url, data: data.to_owned(), config: config.to_owned(), env, log };
        server.wait_ready();
        server
    }

    pub fn wait_ready(&self) {
        wait_for("the server to be ready", || (self.get("/ready").0 == 200).then_some(()));
    }

    /// kill -9, as a power cut would have it for the process.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts again on the same data after `kill` or `stop`.
    pub fn restart(&mut self) {
        self.begin();
        self.wait_ready();
    }

    /// The same without waiting until it is ready.
    pub fn begin(&mut self) {
        let (child, url, log) = spawn(&self.config, &self.data, &self.env);
        (self.child, self.url, self.log) = (child, url, log);
    }

    /// SIGTERM, and waits for the orderly end.
    pub fn stop(&mut self) {
        signal(self.child.id(), "TERM");
        let status = wait_for("the server to stop", || self.child.try_wait().unwrap());
        assert!(status.success(), "stopped with {status}; log:\n{}", self.log());
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn hang_up(&self) {
        signal(self.child.id(), "HUP");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        http("GET", &format!("{}{path}", self.url), &[], &[])
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        http("POST", &format!("{}{path}", self.url), headers, body)
    }

    pub fn push_json(&self, body: &Value) -> (u16, String) {
        let body = body.to_string();
        self.post("/loki/api/v1/push", &[("Content-Type", "application/json")], body.as_bytes())
    }

    /// Pushes lines of one stream; times are nanoseconds.
    pub fn push_lines(&self, labels: Value, lines: &[(i64, String)]) -> (u16, String) {
        let values: Vec<Value> =
            lines.iter().map(|(ts, line)| serde_json::json!([ts.to_string(), line])).collect();
        self.push_json(&serde_json::json!({"streams": [{"stream": labels, "values": values}]}))
    }

    /// All lines that a log query finds in the last day and the next hour, oldest first.
    pub fn lines(&self, query: &str) -> Vec<String> {
        let now = now_ns();
        self.lines_between(query, now - 86_400_000_000_000, now + 3_600_000_000_000)
    }

    /// All lines of a range (ns), oldest first, however many there are.
    pub fn lines_between(&self, query: &str, start: i64, end: i64) -> Vec<String> {
        let mut found: Vec<(i64, String)> = Vec::new();
        let mut from = start;
        loop {
            let page = self.entries(query, from, end, 5000);
            let full = page.len() == 5000;
            let edge = found.last().map(|(ts, _)| *ts);
            let known: Vec<String> = found
                .iter()
                .rev()
                .take_while(|(ts, _)| Some(*ts) == edge)
                .map(|(_, line)| line.clone())
                .collect();
            // Equal lines at the border are told apart by count: the first `known` come again.
            let mut again = known;
            for (ts, line) in page {
                if Some(ts) == edge
                    && let Some(at) = again.iter().position(|l| *l == line)
                {
                    again.swap_remove(at);
                    continue;
                }
                found.push((ts, line));
            }
            match found.last() {
                Some((last, _)) if full => {
                    assert!(*last > from || from == start, "5000 entries at one time");
                    from = *last;
                }
                _ => break,
            }
        }
        found.into_iter().map(|(_, line)| line).collect()
    }

    fn entries(&self, query: &str, start: i64, end: i64, limit: usize) -> Vec<(i64, String)> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("start", &start.to_string())
            .append_pair("end", &end.to_string())
            .append_pair("limit", &limit.to_string())
            .append_pair("direction", "forward")
            .finish();
        let (status, body) = self.get(&format!("/loki/api/v1/query_range?{query}"));
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let mut entries: Vec<(i64, String)> = Vec::new();
        for stream in answer["data"]["result"].as_array().unwrap() {
            for value in stream["values"].as_array().unwrap() {
                let ts = value[0].as_str().unwrap().parse().unwrap();
                entries.push((ts, value[1].as_str().unwrap().to_owned()));
            }
        }
        entries.sort_by_key(|(ts, _)| *ts);
        entries
    }

    /// The value of one metric line, for instance `redactions_total{rule="email"}`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics");
        text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

type Spawned = (Child, String, Arc<Mutex<String>>);

fn spawn(config: &str, data: &Path, env: &[(String, String)]) -> Spawned {
    std::fs::create_dir_all(data).unwrap();
    let file = data.with_extension("yaml");
    std::fs::write(&file, config).unwrap();
    let mut child = binary()
        .args(["serve", "--config"])
        .arg(&file)
        .args(["--listen", "127.0.0.1:0", "--log-format", "json", "--data-dir"])
        .arg(data)
        .env_remove("SLACK_WEBHOOK_URL")
        .envs(env.iter().map(|(n, v)| (n.as_str(), v.as_str())))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log_lines = BufReader::new(child.stderr.take().unwrap());
    let log = Arc::new(Mutex::new(String::new()));
    let mut address = None;
    let mut line = String::new();
    while address.is_none() {
        line.clear();
        let read = log_lines.read_line(&mut line).unwrap();
        assert!(read > 0, "the server ended at its start:\n{}", log.lock().unwrap());
        log.lock().unwrap().push_str(&line);
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["message"] == "listening" {
            address = event["address"].as_str().map(ToOwned::to_owned);
        }
    }
    let kept = log.clone();
    std::thread::spawn(move || {
        let mut line = String::new();
        while log_lines.read_line(&mut line).is_ok_and(|read| read > 0) {
            kept.lock().unwrap().push_str(&line);
            line.clear();
        }
    });
    (child, format!("http://{}", address.unwrap()), log)
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

pub fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_nanos()).unwrap()
}

/// One request on a connection of its own. Status 0: no answer.
pub fn http(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = {
            let _ = rustls::crypto::ring::default_provider().install_default();
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
        };
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
            let mut request = client.request(method.parse().unwrap(), url).body(body.to_vec());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            match request.send().await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    (status, response.text().await.unwrap_or_default())
                }
                Err(error) => (0, error.to_string()),
            }
        })
    })
}

/// Like `http`, with the headers of the answer, and its body as it came over the wire.
pub fn http_whole(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, reqwest::header::HeaderMap, Vec<u8>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_gzip().build().unwrap();
        let mut request = client.request(method.parse().unwrap(), url).body(body.to_vec());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.bytes().await.unwrap().to_vec())
    })
}

/// A double of Slack's incoming webhooks: keeps what it was sent, answers as it is told.
pub struct Slack {
    pub url: String,
    messages: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<(u16, &'static str)>>,
}

impl Slack {
    pub fn start() -> Slack {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/services/T0/B0/x", listener.local_addr().unwrap());
        let messages: Arc<Mutex<Vec<String>>> = Arc::default();
        let answer = Arc::new(Mutex::new((200, "ok")));
        let (kept, reply) = (messages.clone(), answer.clone());
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let app = axum::Router::new().fallback(move |body: String| {
                    let (kept, reply) = (kept.clone(), reply.clone());
                    async move {
                        let (status, text) = *reply.lock().unwrap();
                        if status == 200 {
                            kept.lock().unwrap().push(body);
                        }
                        (axum::http::StatusCode::from_u16(status).unwrap(), text)
                    }
                });
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        Slack { url, messages, answer }
    }

    pub fn answer_with(&self, status: u16, text: &'static str) {
        *self.answer.lock().unwrap() = (status, text);
    }

    pub fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }
}

/// Every file under a folder that holds one of the secrets, as raw bytes.
pub fn files_with(folder: &Path, secrets: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, secrets));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        for secret in secrets {
            if memchr::memmem::find(&bytes, secret.as_bytes()).is_some() {
                found.push(format!("{} holds {secret}", path.display()));
            }
        }
    }
    found
}

/// A real part that must be there in CI; elsewhere its absence skips the test, loudly.
pub fn real_part(name: &str, is_there: bool) -> bool {
    if !is_there {
        assert!(std::env::var_os("CI").is_none(), "{name} must be there in CI");
        eprintln!("skipped: {name} is not here; README, \"Tests\", says how to have it");
    }
    is_there
}
