//! Metrics counted from logs as they are stored: lines, bytes, errors, failed logins and crashes
//! by service, for `/metrics`. Exact, unlike a query, and at hand without any rule.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, packed};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use regex::Regex;

use super::expr::OWN_SERVICE;
use crate::limits::DERIVED_SERVICES_MAX;
use crate::metrics::{Counters, Metrics};
use crate::model::{Batch, Entry, Labels};

/// Stands for all services over the limit.
const OTHER_SERVICE: &str = "other";

/// Lower-case words without which a line cannot be a failed login.
const AUTH_WORDS: &[&str] = &[
    "authentication fail",
    "auth fail",
    "failed password",
    "failed login",
    "login fail",
    "failed keyboard-interactive",
    "invalid credential",
    "bad credential",
    "invalid password",
    "incorrect password",
    "invalid user ",
];

/// The same for crashes.
const PANIC_WORDS: &[&str] = &[
    "panicked at",
    "panic: ",
    "fatal error: ",
    "panic serving",
    "traceback (most recent call last)",
    "exception in thread",
    "outofmemoryerror",
    "stackoverflowerror",
    "unhandledpromiserejection",
    "unhandled_rejection",
    "uncaught exception",
    "uncaughtexception",
    "heap out of memory",
    "segfault at",
];

const AUTH_REGEX: &str = r"(?i)(\bauth(entication)? fail(ed|ure)|\bfailed (password|login|keyboard-interactive)|\blogin fail(ed|ure)|\b(invalid|bad) credentials?\b|\b(invalid|incorrect) password\b|^.{0,200}\binvalid user \S+ from )";

const PANIC_REGEX: &str = r#"(thread '[^']*'( \(\d+\))? panicked at|(^|")panic: |fatal error: (all goroutines|concurrent map|runtime:|stack overflow|out of memory|unexpected signal)|http: panic serving|Traceback \(most recent call last\)|Exception in thread "|OutOfMemoryError|StackOverflowError|UnhandledPromiseRejection|ERR_UNHANDLED_REJECTION|(?i:uncaught ?exception)|heap out of memory|segfault at)"#;

/// Each of `AUTH_WORDS` holds one of these, in any case.
const AUTH_PIECES: &[&str] = &["fai", "d cr", "d pa", "t pa", "d us"];

/// Whatever `PANIC_REGEX` matches holds one of these as they are, or of the next in any case.
const PANIC_PIECES: &[&str] = &[
    "panic",
    "tal error: ",
    "Traceback",
    "xception in thread",
    "OfMemory",
    "kOverflow",
    "dPromise",
    "UNHANDLED",
    "p out of",
    "fault at",
];
const PANIC_PIECES_ANY_CASE: &[&str] = &["nca"];

/// All ways to write a word in small and capital letters.
fn cases(word: &str) -> Vec<String> {
    word.chars().fold(vec![String::new()], |all, letter| {
        let mut forms = vec![letter.to_ascii_lowercase(), letter.to_ascii_uppercase()];
        forms.dedup();
        forms
            .iter()
            .flat_map(|form| all.iter().map(move |start| format!("{start}{form}")))
            .collect()
    })
}

/// Finds pieces many bytes at a time; `None` on processors without the instructions for it.
fn pieces() -> Option<packed::Searcher> {
    let any_case = AUTH_PIECES.iter().chain(PANIC_PIECES_ANY_CASE).flat_map(|word| cases(word));
    let as_they_are = PANIC_PIECES.iter().map(ToString::to_string);
    packed::Searcher::new(any_case.chain(as_they_are))
}

/// Counts what it is shown. Meant for one feeding thread; scrapes read beside it.
pub struct DerivedMetrics {
    families: Families,
    services: Mutex<HashMap<String, ServiceCounters>>,
    /// The first look at a line; most end here.
    pieces: Option<packed::Searcher>,
    words: AhoCorasick,
    auth: Regex,
    panic: Regex,
}

impl std::fmt::Debug for DerivedMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DerivedMetrics")
    }
}

struct Families {
    lines: Counters,
    bytes: Counters,
    errors: Counters,
    auth_failures: Counters,
    panics: Counters,
}

type Count = Counter<u64, AtomicU64>;

#[derive(Clone)]
struct ServiceCounters {
    lines: Count,
    bytes: Count,
    errors: Count,
    auth_failures: Count,
    panics: Count,
}

/// What the lines of one stream add.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sums {
    bytes: u64,
    errors: u64,
    auth_failures: u64,
    panics: u64,
}

impl DerivedMetrics {
    /// The error can only come from the patterns above and names the one that does not compile.
    pub fn new(metrics: &Metrics) -> Result<Self, String> {
        let words = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .match_kind(MatchKind::Standard)
            .build(AUTH_WORDS.iter().chain(PANIC_WORDS))
            .map_err(|error| error.to_string())?;
        let families = Families {
            lines: metrics.counters("log_lines", "Log lines stored", &["service"]),
            bytes: metrics.counters("log_bytes", "Bytes of log lines stored", &["service"]),
            errors: metrics.counters(
                "log_errors",
                "Log lines of level error, critical or fatal",
                &["service"],
            ),
            auth_failures: metrics.counters(
                "log_auth_failures",
                "Log lines that tell of a failed login",
                &["service"],
            ),
            panics: metrics.counters("log_panics", "Log lines that tell of a crash", &["service"]),
        };
        Ok(DerivedMetrics {
            families,
            services: Mutex::default(),
            pieces: pieces(),
            words,
            auth: Regex::new(AUTH_REGEX).map_err(|error| error.to_string())?,
            panic: Regex::new(PANIC_REGEX).map_err(|error| error.to_string())?,
        })
    }

    /// Counts a batch; to be called once for each batch that was stored.
    pub fn observe(&self, batch: &Batch) {
        for stream in &batch.streams {
            if stream.entries.is_empty() {
                continue;
            }
            let service = stream.labels.get("service_name").unwrap_or("unknown_service");
            let mut sums = Sums::default();
            for entry in &stream.entries {
                sums.bytes += entry.line.len() as u64;
                sums.errors += u64::from(is_error(&stream.labels, entry));
                // Our own logs speak of rules about crashes; that is not a crash.
                if service != OWN_SERVICE {
                    self.classify(&entry.line, &mut sums);
                }
            }
            let counters = self.counters(service);
            counters.lines.inc_by(stream.entries.len() as u64);
            for (counter, by) in [
                (&counters.bytes, sums.bytes),
                (&counters.errors, sums.errors),
                (&counters.auth_failures, sums.auth_failures),
                (&counters.panics, sums.panics),
            ] {
                if by > 0 {
                    counter.inc_by(by);
                }
            }
        }
    }

    fn classify(&self, line: &str, sums: &mut Sums) {
        if self.pieces.as_ref().is_none_or(|pieces| pieces.find(line).is_some()) {
            self.classify_by_words(line, sums);
        }
    }

    fn classify_by_words(&self, line: &str, sums: &mut Sums) {
        let (mut auth, mut panic) = (false, false);
        for found in self.words.find_overlapping_iter(line) {
            if found.pattern().as_usize() < AUTH_WORDS.len() {
                auth = true;
            } else {
                panic = true;
            }
            if auth && panic {
                break;
            }
        }
        sums.auth_failures += u64::from(auth && self.auth.is_match(line));
        sums.panics += u64::from(panic && self.panic.is_match(line));
    }

    fn counters(&self, service: &str) -> ServiceCounters {
        let mut services = self.services.lock();
        if let Some(counters) = services.get(service) {
            return counters.clone();
        }
        let full = services.len() >= DERIVED_SERVICES_MAX;
        let service = if full { OTHER_SERVICE } else { service };
        // All counters of a service appear together, so that the rare ones start at zero and
        // their first event is an increase.
        let values = &[service];
        let counters = ServiceCounters {
            lines: self.families.lines.with(values),
            bytes: self.families.bytes.with(values),
            errors: self.families.errors.with(values),
            auth_failures: self.families.auth_failures.with(values),
            panics: self.families.panics.with(values),
        };
        if !full {
            services.insert(service.to_owned(), counters.clone());
        }
        counters
    }
}

fn is_error(labels: &Labels, entry: &Entry) -> bool {
    let detected = entry.metadata.iter().find(|(name, _)| name == "detected_level");
    let level = detected
        .map(|(_, level)| level.as_str())
        .or_else(|| labels.get("detected_level"))
        .or_else(|| labels.get("level"));
    level.is_some_and(|level| {
        ["error", "critical", "fatal"].iter().any(|name| level.eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Text, Timestamp};

    #[track_caller]
    fn check(line: &str, auth_failures: u64, panics: u64) {
        let derived = DerivedMetrics::new(&Metrics::default()).unwrap();
        let mut sums = Sums::default();
        derived.classify(line, &mut sums);
        assert_eq!((sums.auth_failures, sums.panics), (auth_failures, panics), "{line}");
    }

    #[test]
    fn every_auth_word_holds_a_piece() {
        for word in AUTH_WORDS {
            assert!(AUTH_PIECES.iter().any(|piece| word.contains(piece)), "{word}");
        }
        assert_eq!(cases("d u").len(), 4);
        #[cfg(target_arch = "x86_64")]
        assert!(pieces().is_some());
    }

    proptest::proptest! {
        /// Lines put together from parts of what is looked for, in any case.
        #[test]
        fn the_first_look_changes_nothing(parts in proptest::collection::vec(
            (0usize..AUTH_WORDS.len() + PANIC_WORDS.len() + 14, 0usize..20, 0u8..4), 1..5)
        ) {
            const MORE: &[&str] = &[
                "thread 'main' panicked at x", "\"panic: ", "fatal error: runtime: x",
                "http: panic serving", "Traceback (most recent call last)",
                "Exception in thread \"x\"", "OutOfMemoryError", "StackOverflowError",
                "UnhandledPromiseRejection", "ERR_UNHANDLED_REJECTION", "uncaught exception",
                "segfault at", "invalid user x from y", "invalid credentials ",
            ];
            let words: Vec<&str> =
                AUTH_WORDS.iter().chain(PANIC_WORDS).chain(MORE).copied().collect();
            let mut line = String::new();
            for (word, cut, case) in parts {
                let word = words[word];
                let word = &word[..word.len() - if cut < 4 { cut } else { 0 }];
                line.push_str(&match case {
                    0 => word.to_uppercase(),
                    1 => word.to_lowercase(),
                    _ => word.to_owned(),
                });
                line.push(' ');
            }
            let derived = DerivedMetrics::new(&Metrics::default()).unwrap();
            let (mut fast, mut slow) = (Sums::default(), Sums::default());
            derived.classify(&line, &mut fast);
            derived.classify_by_words(&line, &mut slow);
            proptest::prop_assert_eq!(fast, slow, "{}", line);
        }
    }

    #[test]
    fn classifies() {
        check(r#"{"level":"warn","msg":"login failed","user":"<email>"}"#, 1, 0);
        check("sshd[1]: Failed password for invalid user x from 10.0.0.9 port 1 ssh2", 1, 0);
        check("sshd[1]: Invalid user admin from 203.0.113.9 port 60022", 1, 0);
        check("Login successful", 0, 0);
        check("invalid user input", 0, 0);
        check("thread 'main' panicked at src/main.rs:4:5:", 0, 1);
        check("panic: runtime error: index out of range", 0, 1);
        check(r#"{"msg":"don't panic: all fine"}"#, 0, 0);
        check("fatal error: file not found", 0, 0);
        check("Traceback (most recent call last):", 0, 1);
        check("Caused by: java.lang.OutOfMemoryError: Java heap space", 0, 1);
        check("GET /no-panic-here 200", 0, 0);
    }

    #[test]
    fn counts_by_service_with_a_bound() {
        let metrics = Metrics::default();
        let derived = DerivedMetrics::new(&metrics).unwrap();
        let mut batch = Batch::new("fake");
        let mut entry = Entry::new(Timestamp(1), "boom");
        entry.metadata = vec![(Text::from("detected_level"), Text::from("error"))];
        for n in 0..DERIVED_SERVICES_MAX + 3 {
            let labels = Labels::from_pairs([("service_name", format!("s{n}"))]);
            batch.push(&labels, entry.clone());
        }
        derived.observe(&batch);
        derived.observe(&batch);
        let text = metrics.render();
        for line in [
            "log_lines_total{service=\"s0\"} 2\n",
            "log_bytes_total{service=\"s0\"} 8\n",
            "log_errors_total{service=\"s0\"} 2\n",
            "log_auth_failures_total{service=\"s0\"} 0\n",
            "log_panics_total{service=\"other\"} 0\n",
            "log_errors_total{service=\"other\"} 6\n",
        ] {
            assert!(text.contains(line), "{line} is not there");
        }
        assert!(!text.contains(&format!("\"s{DERIVED_SERVICES_MAX}\"")));
    }
}
