//! Measures the store: how many bytes of log it takes in for each second of processor time
//! (log ahead, head, parts), how many it keeps on disk, and how long queries take.
//!
//! `cargo bench --features bench --bench store -- [megabytes] [copies]`: with copies the queries run
//! a third time, on a store that was opened anew with so many times the parts.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use stockade::clock::SystemClock;
use stockade::metrics::Metrics;
use stockade::model::{Batch, Entry, Labels, Matcher, TENANT_DEFAULT, Text, TimeRange, Timestamp};
use stockade::redact::Redacted;
use stockade::store::read::*;
use stockade::store::{Store, StoreOptions};

const START_NS: i64 = 1_795_132_800_000_000_000;
const STREAMS: u64 = 260;

/// A small generator, the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

const PATHS: [&str; 8] = [
    "/api/v1/users",
    "/api/v1/orders",
    "/login",
    "/static/app.js",
    "/health",
    "/api/v2/search",
    "/cart/items",
    "/metrics",
];
const LEVELS: [&str; 8] = ["info", "info", "info", "info", "info", "debug", "warn", "error"];
const CLASSES: [&str; 5] =
    ["OrderService", "PaymentGateway", "UserRepository", "SessionManager", "InventoryClient"];

fn line(kind: u64, random: &mut Random, out: &mut String) {
    use std::fmt::Write;
    out.clear();
    let (level, path) = (random.of(&LEVELS), random.of(&PATHS));
    let status = [200, 200, 200, 201, 204, 301, 404, 500][random.below(8) as usize];
    let written = match kind {
        0 | 1 => write!(
            out,
            r#"{{"level":"{level}","msg":"request completed","method":"GET","path":"{path}/{}","status":{status},"latency_ms":{},"trace_id":"{:016x}{:016x}","user_id":{},"remote":"10.{}.{}.{}"}}"#,
            random.below(100_000),
            random.below(3000),
            random.next(),
            random.next(),
            random.below(50_000),
            random.below(4),
            random.below(256),
            random.below(256),
        ),
        2 => write!(
            out,
            r#"10.0.{}.{} - - [20/Nov/2026:10:{:02}:{:02} +0000] "GET {path}?id={} HTTP/1.1" {status} {} "-" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36""#,
            random.below(256),
            random.below(256),
            random.below(60),
            random.below(60),
            random.below(1_000_000),
            random.below(100_000),
        ),
        3 => write!(
            out,
            "ts=2026-11-20T10:00:00.{:03}Z level={level} caller=ingester.go:{} msg=\"flushed chunk\" series={:08x} bytes={} duration={}us",
            random.below(1000),
            random.below(900),
            random.next() as u32,
            random.below(2_000_000),
            random.below(90_000),
        ),
        4 => write!(
            out,
            "Failed password for invalid user {} from 203.0.{}.{} port {} ssh2",
            random.of(&["admin", "root", "test", "oracle", "postgres"]),
            random.below(256),
            random.below(256),
            random.below(65_000),
        ),
        _ => write!(
            out,
            "2026-11-20 10:00:00,{:03} {} [http-nio-8080-exec-{}] com.example.shop.{} - Processing order {} for customer {} took {} ms",
            random.below(1000),
            level.to_uppercase(),
            random.below(64),
            random.of(&CLASSES),
            random.below(10_000_000),
            random.below(100_000),
            random.below(5000),
        ),
    };
    let _ = written;
}

fn cpu() -> Duration {
    // SAFETY: the structure is plain data that the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn thread_cpu() -> Duration {
    // SAFETY: the structure is plain data that the call fills.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time);
        time
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Counts rows, and those with a needle, by minute; or keeps the newest of them.
#[derive(Default)]
struct Count {
    needle: String,
    found: u64,
    steps: Vec<u64>,
    newest: Option<Newest>,
    alone: bool,
}

#[derive(Default)]
struct Newest {
    limit: usize,
    times: std::collections::BinaryHeap<std::cmp::Reverse<i64>>,
}

impl Count {
    fn note(&mut self, ts: i64) {
        self.found += 1;
        if let Some(newest) = &mut self.newest {
            newest.times.push(std::cmp::Reverse(ts));
            if newest.times.len() > newest.limit {
                newest.times.pop();
            }
            return;
        }
        let step = ((ts - START_NS) / 60_000_000_000) as usize;
        if step >= self.steps.len() {
            self.steps.resize(step + 1, 0);
        }
        self.steps[step] += 1;
    }
}

impl RowSink for Count {
    fn wants(&mut self, _: Timestamp, last: Timestamp) -> bool {
        self.newest.as_ref().is_none_or(|newest| {
            newest.times.len() < newest.limit
                || newest.times.peek().is_none_or(|least| last.0 > least.0)
        })
    }

    fn rows(&mut self, _stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        if !self.needle.is_empty() {
            let finder = memchr::memmem::Finder::new(&self.needle).into_owned();
            for row in 0..rows.len() {
                if finder.find(rows.line(row).as_bytes()).is_some() {
                    self.note(rows.ts(row).0);
                }
            }
            return Ok(Flow::Continue);
        }
        match rows.times() {
            Some(times) => times.iter().rev().for_each(|ts| self.note(*ts)),
            None => (0..rows.len()).rev().for_each(|row| self.note(rows.ts(row).0)),
        }
        Ok(Flow::Continue)
    }

    fn fork(&self) -> Option<Box<dyn ForkedSink>> {
        let fork = || Count { needle: self.needle.clone(), ..Count::default() };
        (!self.alone).then(|| Box::new(fork()) as Box<dyn ForkedSink>)
    }

    fn join(&mut self, fork: Box<dyn ForkedSink>) -> Result<(), ReadError> {
        let fork = fork.into_any().downcast::<Count>();
        let fork = fork.map_err(|_| ReadError::Sink("a foreign sink".to_owned()))?;
        self.found += fork.found;
        let steps = self.steps.len().max(fork.steps.len());
        self.steps.resize(steps, 0);
        self.steps.iter_mut().zip(&fork.steps).for_each(|(step, more)| *step += more);
        Ok(())
    }
}

impl ForkedSink for Count {
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send> {
        self
    }
}

#[derive(Default)]
struct Ask<'a> {
    matchers: &'a [Matcher],
    needle: &'a str,
    newest: usize,
    alone: bool,
}

fn query(store: &Store, what: &str, ask: &Ask<'_>) {
    let (mut times, mut cpus) = (Vec::new(), Vec::new());
    let mut last = (ScanStats::default(), 0);
    for _ in 0..11 {
        let mut request = ScanRequest {
            tenant: TENANT_DEFAULT.to_owned(),
            matchers: ask.matchers.to_vec(),
            range: TimeRange::ALL,
            hints: Hints::default(),
            order: Order::NewestFirst,
            cancel: Cancel::default(),
            bytes_max: u64::MAX,
            need_lines: !ask.needle.is_empty() || ask.newest > 0,
            need_metadata: false,
            need_line_bytes: false,
            columns: false,
        };
        if !ask.needle.is_empty() {
            request.hints.substrings = vec![vec![ask.needle.to_owned()]];
        }
        let newest = (ask.newest > 0).then(|| Newest { limit: ask.newest, ..Newest::default() });
        let alone = ask.alone || newest.is_some();
        let mut sink = Count { needle: ask.needle.to_owned(), newest, alone, ..Count::default() };
        let (start, cpu_start) = (Instant::now(), cpu());
        match store.scan(&request, &mut sink) {
            Ok(stats) => last = (stats, sink.found),
            Err(error) => return say(&format!("{what}: {error}")),
        }
        times.push(start.elapsed());
        cpus.push(cpu() - cpu_start);
    }
    let first = times[0];
    times.sort();
    cpus.sort();
    say(&format!(
        "{what:<28} median {:>9.2?} cpu {:>9.2?} least {:>9.2?} first {:>9.2?}  blocks {:>5} of {:>5}  found {}",
        times[times.len() / 2],
        cpus[cpus.len() / 2],
        cpus[0],
        first,
        last.0.blocks,
        last.0.blocks + last.0.blocks_pruned,
        last.1,
    ));
}

/// The same queries on whatever is stored.
fn queries(store: &Store, trace: &str) {
    let nothing = Ask::default();
    query(store, "count all by minute", &nothing);
    query(store, "the same on one thread", &Ask { alone: true, ..nothing });
    let api_errors = [Matcher::eq("service", "service-3"), Matcher::eq("level", "error")];
    query(store, "newest 100", &Ask { matchers: &api_errors, newest: 100, ..nothing });
    query(store, "absent word", &Ask { needle: "kernelpanic", ..nothing });
    let absent = "4bf92f3577b34da6a3ce929d0e0e4736";
    query(store, "absent id", &Ask { needle: absent, ..nothing });
    query(store, "one trace id", &Ask { needle: trace, ..nothing });
    let prod = [Matcher::eq("env", "prod")];
    query(store, "word by minute", &Ask { matchers: &prod, needle: "error", ..nothing });
    query(store, "substring", &Ask { needle: "assword for inv", ..nothing });
    query(store, "number", &Ask { needle: "customer 4711 ", ..nothing });
}

/// Gives the store more days by copies of its parts, so that opening many is measured without
/// writing many.
fn multiply(folder: &Path, copies: u64) -> std::io::Result<()> {
    let parts = folder.join("parts");
    let mut found = Vec::new();
    for day in std::fs::read_dir(&parts)? {
        for part in std::fs::read_dir(day?.path())? {
            found.push(part?.path());
        }
    }
    let mut next = 1_000;
    for copy in 1..copies {
        let day = parts.join(format!("2026-10-{:02}", 1 + copy % 30));
        std::fs::create_dir_all(&day)?;
        for part in &found {
            std::fs::copy(part, day.join(format!("{next:012}.part")))?;
            next += 1;
        }
    }
    // The store makes it anew from the parts.
    std::fs::remove_file(folder.join("manifest"))?;
    std::fs::remove_file(folder.join("manifest-copy"))
}

fn say_sizes(store: &Store) {
    match store.sizes() {
        Ok(sizes) => say(&format!("{sizes:?}")),
        Err(error) => say(&error.to_string()),
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse::<u64>().ok());
    let megabytes = numbers.next().unwrap_or(256);
    let copies = numbers.next().unwrap_or(1);
    let folder = match tempfile::tempdir_in(".") {
        Ok(folder) => folder,
        Err(error) => return say(&format!("no folder to measure in: {error}")),
    };
    let options = StoreOptions::new(folder.path(), SystemClock::shared(), &Metrics::default());
    let store = match Store::open(options) {
        Ok(store) => store,
        Err(error) => return say(&error.to_string()),
    };
    let mut random = Random(88_172_645_463_325_252);
    let streams: Vec<Labels> = (0..STREAMS)
        .map(|at| {
            Labels::from_pairs([
                ("service", format!("service-{}", at % 13)),
                ("level", LEVELS[3 + at as usize / 13 % 5].to_owned()),
                ("pod", format!("pod-{}", at / 65)),
                ("env", if at % 13 < 9 { "prod" } else { "test" }.to_owned()),
            ])
        })
        .collect();
    let mut trace = String::new();
    let mut ts = START_NS;
    let (mut raw, mut lines) = (0u64, 0u64);
    let mut text = String::new();
    let mut generating = Duration::ZERO;
    let (start, cpu_start) = (Instant::now(), cpu());
    while raw < megabytes << 20 {
        let before = thread_cpu();
        let mut batch = Batch::new(TENANT_DEFAULT);
        let stream = random.below(STREAMS);
        let mut entries = Vec::new();
        let mut bytes = 0;
        while bytes < 64 * 1024 {
            line(stream % 6, &mut random, &mut text);
            // An hour for 500 MB.
            ts += random.below(2_880_000) as i64;
            bytes += text.len();
            if raw > megabytes << 19
                && trace.is_empty()
                && let Some((_, rest)) = text.split_once("trace_id\":\"")
            {
                trace = rest.chars().take(32).collect();
            }
            let mut entry = Entry::new(Timestamp(ts), text.as_str());
            entry.metadata.push((Text::from_static("detected_level"), Text::from_static("info")));
            entries.push(entry);
        }
        raw += bytes as u64;
        lines += entries.len() as u64;
        batch.streams.push(stockade::model::StreamBatch {
            labels: streams[stream as usize].clone(),
            entries,
        });
        let batch = Redacted::for_test(batch);
        generating += thread_cpu() - before;
        // The sealer may fall behind a generator that knows no pause.
        loop {
            let before = thread_cpu();
            let copy = batch.clone();
            generating += thread_cpu() - before;
            match store.append_blocking(copy) {
                Ok(_) => break,
                Err(stockade::store::AppendError::Full) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return say(&error.to_string()),
            }
        }
    }
    if let Err(error) = store.flush() {
        return say(&error.to_string());
    }
    let spent = (cpu() - cpu_start).saturating_sub(generating);
    let megabytes = raw as f64 / (1 << 20) as f64;
    say(&format!(
        "{megabytes:.0} MB, {lines} lines: {:.1} MB per CPU second ({spent:.2?} CPU, {:.2?} elapsed)",
        megabytes / spent.as_secs_f64(),
        start.elapsed(),
    ));
    let status = store.status();
    say(&format!(
        "stored {} bytes in {} parts: {:.3} of raw",
        status.part_bytes,
        status.parts,
        status.part_bytes as f64 / raw as f64
    ));
    say_sizes(&store);
    for round in ["sealed", "compacted"] {
        say(&format!("-- {round}: {} parts", store.status().parts));
        queries(&store, &trace);
        let (start, cpu_start) = (Instant::now(), cpu());
        let mut merged = 0;
        while let Ok(Some(compacted)) = store.compact_once() {
            merged += compacted.parts;
        }
        if merged > 0 {
            let spent = cpu() - cpu_start;
            let status = store.status();
            say(&format!(
                "compacted {merged} parts: {:.1} MB per CPU second, {:.2?} elapsed, {:.3} of raw",
                megabytes / spent.as_secs_f64(),
                start.elapsed(),
                status.part_bytes as f64 / raw as f64
            ));
            say_sizes(&store);
        }
    }
    store.close();
    drop(store);
    if copies > 1 {
        if let Err(error) = multiply(folder.path(), copies) {
            return say(&error.to_string());
        }
        let options = StoreOptions::new(folder.path(), SystemClock::shared(), &Metrics::default());
        let store = match Store::open(options) {
            Ok(store) => store,
            Err(error) => return say(&error.to_string()),
        };
        say(&format!("-- {copies} times as much: {} parts", store.status().parts));
        queries(&store, &trace);
        store.close();
    }
}
