//! Measures the store: how many bytes of log it takes in for each second of processor time
//! (log ahead, head, parts), how many it keeps on disk, and how long queries take.
//!
//! `cargo bench --features bench --bench store -- [megabytes]`

use std::io::Write;
use std::time::{Duration, Instant};

use stockade::clock::SystemClock;
use stockade::metrics::Metrics;
use stockade::model::{Batch, Entry, Labels, Matcher, TENANT_DEFAULT, Text, TimeRange, Timestamp};
use stockade::redact::Redacted;
use stockade::store::read::*;
use stockade::store::{Store, StoreOptions};

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

#[derive(Default)]
struct Count {
    rows: u64,
    found: u64,
    needle: String,
}

impl RowSink for Count {
    fn rows(&mut self, _stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        self.rows += rows.len() as u64;
        if !self.needle.is_empty() {
            for row in 0..rows.len() {
                self.found += u64::from(rows.line(row).contains(&self.needle));
            }
        }
        Ok(Flow::Continue)
    }
}

fn query(store: &Store, what: &str, matchers: &[Matcher], needle: &str, need_lines: bool) {
    let mut times = Vec::new();
    let mut last = (ScanStats::default(), 0);
    for _ in 0..7 {
        let mut request = ScanRequest {
            tenant: TENANT_DEFAULT.to_owned(),
            matchers: matchers.to_vec(),
            range: TimeRange::ALL,
            hints: Hints::default(),
            order: Order::NewestFirst,
            cancel: Cancel::default(),
            bytes_max: u64::MAX,
            need_lines,
            need_metadata: false,
            need_line_bytes: true,
            columns: false,
        };
        if !needle.is_empty() {
            request.hints.substrings = vec![vec![needle.to_owned()]];
        }
        let mut sink = Count { needle: needle.to_owned(), ..Count::default() };
        let start = Instant::now();
        match store.scan(&request, &mut sink) {
            Ok(stats) => last = (stats, sink.found),
            Err(error) => return say(&format!("{what}: {error}")),
        }
        times.push(start.elapsed());
    }
    let first = times[0];
    times.sort();
    say(&format!(
        "{what:<28} median {:>9.2?} first {:>9.2?}  blocks {:>5} of {:>5}  found {}",
        times[times.len() / 2],
        first,
        last.0.blocks,
        last.0.blocks + last.0.blocks_pruned,
        last.1,
    ));
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
    let megabytes: u64 = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(256);
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
    let streams: Vec<Labels> = (0..16)
        .map(|at| Labels::from_pairs([("app", format!("app-{at}")), ("env", "prod".to_owned())]))
        .collect();
    let mut ts = 1_795_132_800_000_000_000i64;
    let (mut raw, mut lines) = (0u64, 0u64);
    let mut text = String::new();
    let mut generating = Duration::ZERO;
    let (start, cpu_start) = (Instant::now(), cpu());
    while raw < megabytes << 20 {
        let before = thread_cpu();
        let mut batch = Batch::new(TENANT_DEFAULT);
        let stream = random.below(16);
        let mut entries = Vec::new();
        let mut bytes = 0;
        while bytes < 512 * 1024 {
            line(stream % 6, &mut random, &mut text);
            ts += 1_000 + random.below(200_000) as i64;
            bytes += text.len();
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
        query(&store, "count all", &[], "", false);
        query(&store, "one stream", &[Matcher::eq("app", "app-3")], "", false);
        query(&store, "absent word", &[], "kernelpanic", true);
        query(&store, "absent id", &[], "4bf92f3577b34da6a3ce929d0e0e4736", true);
        query(&store, "word", &[], "flushed", true);
        query(&store, "substring", &[], "assword for inv", true);
        query(&store, "number", &[], "customer 4711 ", true);
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
}
