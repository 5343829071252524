//! The mix: a third JSON with random trace and user ids, the rest access logs, logfmt, sshd and
//! Java lines, over 260 streams. The same seed gives the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::encode;

/// xorshift64*: good enough to look like ids, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

pub struct Generator {
    random: Random,
    now_ns: i64,
    end_ns: i64,
    left_bytes: u64,
}

pub struct Batch {
    pub message: Vec<u8>,
    pub line_bytes: usize,
    pub lines: usize,
}

const SERVICES: [(&str, u64); 5] =
    [("api", 33), ("web", 25), ("worker", 20), ("sshd", 7), ("billing", 15)];
const LEVELS: [&str; 8] = ["info", "info", "info", "info", "info", "debug", "warn", "error"];
const PATHS: [&str; 8] = [
    "/api/v1/orders",
    "/api/v1/users",
    "/api/v1/cart",
    "/healthz",
    "/api/v1/search",
    "/login",
    "/api/v1/payments",
    "/static/app.js",
];

impl Generator {
    /// The span ends now; times advance evenly through it.
    pub fn new(seed: u64, span_ns: i64, total_bytes: u64) -> Self {
        use crate::clock::{Clock as _, SystemClock};
        let end_ns = SystemClock.now_ns();
        Generator {
            random: Random::new(seed),
            now_ns: end_ns - span_ns,
            end_ns,
            left_bytes: total_bytes,
        }
    }

    pub fn end_ns(&self) -> i64 {
        self.end_ns
    }

    /// A trace id from the middle of what this seed makes.
    pub fn a_trace_id(seed: u64, span_ns: i64, total_bytes: u64) -> Option<String> {
        let mut generator = Generator::new(seed, span_ns, total_bytes);
        let mut line = String::new();
        let mut made = 0_u64;
        loop {
            line.clear();
            generator.line(&mut line);
            made += line.len() as u64;
            if made >= total_bytes / 2
                && let Some((_, rest)) = line.split_once("\"trace_id\":\"")
            {
                return rest.get(..32).map(str::to_owned);
            }
            if made >= total_bytes {
                return None;
            }
        }
    }

    /// A line takes as much of the time that is left as of the bytes, so that the last ends with
    /// the span and no two lines of it have one time.
    fn next_ns(&self, bytes: u64, left_bytes: u64) -> i64 {
        let left_ns = i128::from(self.end_ns - 1 - self.now_ns);
        let step_ns = left_ns * i128::from(bytes) / i128::from(left_bytes.max(bytes).max(1));
        let next = self.now_ns.saturating_add(i64::try_from(step_ns).unwrap_or(i64::MAX).max(1));
        next.min(self.end_ns - 1)
    }

    /// The next push of about `bytes` of line; `None` when everything has been made.
    pub fn batch(&mut self, bytes: usize) -> Option<Batch> {
        if self.left_bytes == 0 {
            return None;
        }
        let mut streams: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let (mut line_bytes, mut lines) = (0, 0);
        let mut line = String::new();
        while line_bytes < bytes && (line_bytes as u64) < self.left_bytes {
            line.clear();
            let labels = self.line(&mut line);
            let left = self.left_bytes - line_bytes as u64;
            self.now_ns = self.next_ns(line.len() as u64, left);
            let message = streams.entry(labels).or_default();
            encode::entry(message, self.now_ns, line.as_bytes());
            line_bytes += line.len();
            lines += 1;
        }
        self.left_bytes = self.left_bytes.saturating_sub(line_bytes as u64);
        let mut message = Vec::with_capacity(line_bytes * 2);
        for (labels, entries) in streams {
            let mut stream = Vec::with_capacity(entries.len() + 128);
            encode::field(&mut stream, 1, labels.as_bytes());
            stream.extend_from_slice(&entries);
            encode::field(&mut message, 1, &stream);
        }
        Some(Batch { message, line_bytes, lines })
    }

    /// Writes one line and gives the labels of its stream: 5 services x 4 levels x 13 pods.
    fn line(&mut self, out: &mut String) -> String {
        let random = &mut self.random;
        let mut at = random.below(100);
        let mut service = SERVICES[0].0;
        for (name, share) in SERVICES {
            service = name;
            if at < share {
                break;
            }
            at -= share;
        }
        let level = random.pick(&LEVELS);
        let pod = random.below(13);
        let env = if pod < 10 { "prod" } else { "dev" };
        // Writing to a String cannot fail.
        let _ = match service {
            "api" => api_line(out, random, level),
            "web" => web_line(out, random),
            "worker" => worker_line(out, random, level),
            "sshd" => sshd_line(out, random),
            _ => java_line(out, random, level),
        };
        format!(
            "{{env=\"{env}\", job=\"{service}\", level=\"{level}\", pod=\"{service}-{pod}\", service=\"{service}\"}}"
        )
    }
}

fn api_line(out: &mut String, random: &mut Random, level: &str) -> std::fmt::Result {
    let status = match level {
        "error" => [500, 502, 503][random.below(3) as usize],
        "warn" => [400, 404, 429][random.below(3) as usize],
        _ => 200,
    };
    let (a, b, user) = (random.next(), random.next(), random.next());
    write!(
        out,
        r#"{{"level":"{level}","msg":"request done","method":"{}","path":"{}","status":{status},"latency_ms":{},"trace_id":"{a:016x}{b:016x}","user_id":"u-{user:012x}","bytes":{}}}"#,
        random.pick(&["GET", "GET", "GET", "POST", "PUT"]),
        random.pick(&PATHS),
        random.below(800) + random.below(40),
        random.below(40_000),
    )
}

fn web_line(out: &mut String, random: &mut Random) -> std::fmt::Result {
    write!(
        out,
        r#"10.{}.{}.{} - - [20/Nov/2026:09:{:02}:{:02} +0000] "GET {}?id={} HTTP/1.1" {} {} "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36""#,
        random.below(20),
        random.below(250),
        random.below(250),
        random.below(60),
        random.below(60),
        random.pick(&PATHS),
        random.below(100_000),
        [200, 200, 200, 304, 404, 502][random.below(6) as usize],
        random.below(60_000),
    )
}

fn worker_line(out: &mut String, random: &mut Random, level: &str) -> std::fmt::Result {
    let (id, rest) = (random.next() as u32, random.next());
    let message = match random.below(400) {
        0 => "deadlock detected, transaction rolled back",
        1..20 => "job failed, will be tried again",
        _ => "job done",
    };
    write!(
        out,
        "ts=2026-11-20T09:{:02}:{:02}Z level={level} msg=\"{message}\" job_id={id:08x}-{:04x}-{:012x} queue={} attempt={} duration={}ms",
        random.below(60),
        random.below(60),
        rest as u16,
        rest >> 16,
        random.pick(&["mail", "thumbnails", "billing", "search"]),
        random.below(5) + 1,
        random.below(9000),
    )
}

fn sshd_line(out: &mut String, random: &mut Random) -> std::fmt::Result {
    let (user, ip) = (random.pick(&["root", "admin", "deploy", "test"]), random.below(250));
    let (pid, port) = (random.below(60_000), 1024 + random.below(60_000));
    match random.below(3) {
        0 => write!(
            out,
            "sshd[{pid}]: Accepted publickey for {user} from 10.0.3.{ip} port {port} ssh2"
        ),
        1 => write!(
            out,
            "sshd[{pid}]: Failed password for invalid user {user} from 203.0.113.{ip} port {port} ssh2"
        ),
        _ => write!(out, "sshd[{pid}]: Connection closed by 203.0.113.{ip} port {port} [preauth]"),
    }
}

fn java_line(out: &mut String, random: &mut Random, level: &str) -> std::fmt::Result {
    write!(
        out,
        "2026-11-20 09:{:02}:{:02},{:03} {} [pool-{}-thread-{}] com.example.billing.{} - invoice {} of customer {} took {} ms",
        random.below(60),
        random.below(60),
        random.below(1000),
        level.to_ascii_uppercase(),
        random.below(4),
        random.below(32),
        random.pick(&["InvoiceService", "PaymentGateway", "LedgerWriter", "TaxTable"]),
        random.below(10_000_000),
        random.below(90_000),
        random.below(2000),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_grow_evenly_to_the_end_of_the_span() {
        let span_ns = 3_600_000_000_000;
        let mut generator = Generator::new(7, span_ns, 1_000_000);
        let start_ns = generator.now_ns;
        let mut made = 0;
        while let Some(batch) = generator.batch(50_000) {
            made += batch.line_bytes as i64;
            let expected = start_ns + (span_ns as f64 * made as f64 / 1e6) as i64;
            assert!(generator.now_ns.abs_diff(expected) < 10_000_000_000, "after {made} bytes");
        }
        assert!(generator.now_ns < generator.end_ns);
        // No two lines have one time.
        let mut now_ns = start_ns;
        for left in (0..1_000_000u64).rev().step_by(200) {
            generator.now_ns = now_ns;
            let next = generator.next_ns(200, left);
            assert!(next > now_ns && next < generator.end_ns);
            now_ns = next;
        }
    }
}
