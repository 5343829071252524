//! Speed of redaction on one core: `cargo bench --bench redact`. The lines are generated, the
//! same on every run.

use std::time::Instant;

use stockade::metrics::Metrics;
use stockade::model::{Batch, Entry, Labels, Timestamp};
use stockade::redact::{Options, RedactMetrics, Redactor, RuleSet};

const LINES: usize = 200_000;
const ROUNDS: usize = 5;

/// A linear congruential generator: enough for lines that differ.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// JSON, logfmt, access log, sshd and Java, without anything to redact.
fn clean(random: &mut Random, i: usize) -> String {
    let (a, b, c) = (random.below(256), random.next(), random.below(60));
    let second = i % 60;
    match i % 5 {
        0 => format!(
            r#"{{"ts":"2024-03-05T10:{c:02}:{second:02}.123Z","level":"info","msg":"request done","method":"GET","path":"/api/v1/items/{a}","status":200,"latency_ms":{c},"trace_id":"{b:016x}{b:016x}"}}"#
        ),
        1 => format!(
            r#"ts=2024-03-05T10:{c:02}:{second:02}Z level=info caller=main.go:{a} msg="query done" rows={a} duration={c}.{a}ms shard={c} worker=w-{a}"#
        ),
        2 => format!(
            r#"10.0.{c}.{a} - - [05/Mar/2024:10:{c:02}:{second:02} +0000] "GET /static/app-{b:08x}.js HTTP/1.1" 200 {b} "-" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/122.0 Safari/537.36""#
        ),
        3 => format!(
            "Mar  5 10:{c:02}:{second:02} host{c} sshd[{a}]: Connection closed by 10.1.{c}.{a} port {} [preauth]",
            b % 65_536
        ),
        _ => format!(
            "2024-03-05 10:{c:02}:{second:02},{a:03} INFO [pool-1-thread-{c}] com.example.store.BlockManager: Stored block {a} of {c} in memory (estimated size {a}.{c} KiB, free {b} bytes)"
        ),
    }
}

/// The same with addresses, tokens and numbers in one line of four.
fn mixed(random: &mut Random, i: usize) -> String {
    let (a, b) = (random.below(1000), random.next());
    match i % 20 {
        3 => format!(
            r#"{{"level":"info","user":"user{a}@example.com","msg":"login","order":{b}{b}}}"#
        ),
        7 => format!("level=warn msg=\"login failed\" user=u{a} password=hunter{b} attempt={a}"),
        11 => {
            format!("GET /cb?email=user{a}%40example.com&access_token={b:016x}&x={a} HTTP/1.1 302")
        }
        15 => format!("paid order {a} card 4111 1111 1111 1111 amount {a}.00 at 1700000{a:06}"),
        19 => format!("connect postgres://app:pw{b:x}@db{a}.internal:5432/main pool={a}"),
        _ => clean(random, i),
    }
}

fn measure(name: &str, redactor: &Redactor, line: impl Fn(&mut Random, usize) -> String) {
    let mut random = Random(42);
    let labels = Labels::from_pairs([("app", "bench"), ("host", "h1")]);
    let mut batch = Batch::new("fake");
    for i in 0..LINES {
        let text = line(&mut random, i);
        batch.push(&labels, Entry::new(Timestamp(0), text));
    }
    let bytes = batch.bytes();
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let input = batch.clone();
        let start = Instant::now();
        let output = redactor.redact(input, "bench");
        best = best.min(start.elapsed().as_secs_f64());
        assert_eq!(output.entries(), LINES);
    }
    println!(
        "{name}: {:.0} MB/s, {:.0} ns a line of {} bytes",
        bytes as f64 / best / 1e6,
        best / LINES as f64 * 1e9,
        bytes / LINES
    );
}

fn main() {
    let sets = RuleSet::shipped().expect("the shipped rules parse");
    let metrics = RedactMetrics::register(&Metrics::default());
    let redactor = Redactor::compile(&sets, &Options::default(), &metrics).expect("they compile");
    measure("clean", &redactor, clean);
    measure("mixed", &redactor, mixed);
}
