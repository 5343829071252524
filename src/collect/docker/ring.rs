//! Which messages of a container have been taken, so far as a reconnect may deliver them again.

use std::collections::{HashMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use xxhash_rust::xxh3::Xxh3;

use super::frames::Stream;
use crate::limits::{DOCKER_RING_FRAMES_MAX, DOCKER_RING_SAVED};

/// Messages are asked for again from this long before the newest: stdout and stderr may be
/// slightly out of order.
const OVERLAP_NS: i64 = 2_000_000_000;
/// Messages are remembered for this long, for records that wait for their last line.
const MEMORY_NS: i64 = 10_000_000_000;
/// Of each message's hash this much is kept.
const HASH_BYTES: usize = 6;
const VERSION: u8 = 1;

/// One message: its time, and a hash over time, stream and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub ts: i64,
    hash: u64,
}

impl Seen {
    pub fn new(ts: i64, stream: Stream, body: &[u8]) -> Self {
        let mut hasher = Xxh3::new();
        hasher.update(&ts.to_le_bytes());
        hasher.update(stream.as_str().as_bytes());
        hasher.update(body);
        Seen { ts, hash: hasher.digest() & ((1 << (8 * HASH_BYTES)) - 1) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Ring {
    seen: VecDeque<Seen>,
    newest_ns: Option<i64>,
    last_ns: i64,
    /// Everything later than this that was taken is in `seen`.
    forgotten_ns: Option<i64>,
    /// What was in `seen` when the stream was opened, to be dropped once if it comes again.
    expected: HashMap<u64, u32>,
    /// The end of the last process whose log has been read to the end; 0 for none.
    pub drained_ns: i64,
}

/// A ring as it is kept in the store.
#[derive(serde::Serialize, serde::Deserialize)]
struct Saved {
    v: u8,
    newest: i64,
    since: i64,
    ring: String,
    /// Streams in the middle of a line that has been cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cut: Vec<String>,
    #[serde(default)]
    drained: i64,
    #[serde(default)]
    seen_ns: i64,
}

impl Ring {
    pub fn newest_ns(&self) -> Option<i64> {
        self.newest_ns
    }

    /// Remembers a message that has been taken for good.
    pub fn take(&mut self, seen: Seen) {
        self.seen.push_back(seen);
        self.last_ns = seen.ts;
        let newest_ns = self.newest_ns.map_or(seen.ts, |newest| newest.max(seen.ts));
        self.newest_ns = Some(newest_ns);
        while let Some(oldest) = self.seen.front() {
            let old = oldest.ts < newest_ns.saturating_sub(MEMORY_NS);
            if !old && self.seen.len() <= DOCKER_RING_FRAMES_MAX {
                break;
            }
            self.forgotten_ns = self.forgotten_ns.max(Some(oldest.ts));
            self.seen.pop_front();
        }
    }

    /// From when messages are to be asked for. `pending_ns` is the oldest message that has been
    /// received and not taken.
    pub fn since_ns(&self, pending_ns: Option<i64>) -> Option<i64> {
        self.floor_ns(pending_ns, usize::MAX)
    }

    fn floor_ns(&self, pending_ns: Option<i64>, saved_max: usize) -> Option<i64> {
        let newest_ns = self.newest_ns?;
        let mut floor_ns = newest_ns.saturating_sub(OVERLAP_NS);
        if self.seen.len() > saved_max {
            let mut times: Vec<i64> = self.seen.iter().map(|seen| seen.ts).collect();
            times.sort_unstable_by(|a, b| b.cmp(a));
            floor_ns = floor_ns.max(times.get(saved_max - 1).copied().unwrap_or(floor_ns));
        }
        if let Some(forgotten_ns) = self.forgotten_ns {
            floor_ns = floor_ns.max(forgotten_ns.saturating_add(1)).min(newest_ns);
        }
        // After the clock was set back, better twice than never.
        floor_ns = floor_ns.min(self.last_ns);
        Some(pending_ns.map_or(floor_ns, |pending_ns| floor_ns.min(pending_ns)))
    }

    /// A new stream begins at `since_ns`: what is remembered will come again.
    pub fn expect_repeats(&mut self) {
        self.expected.clear();
        for seen in &self.seen {
            *self.expected.entry(seen.hash).or_default() += 1;
        }
    }

    /// Whether a message has been taken before; each repeat is recognized once.
    pub fn is_repeat(&mut self, seen: &Seen) -> bool {
        match self.expected.get_mut(&seen.hash) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }

    pub fn to_text(&self, pending_ns: Option<i64>, cut: &[Stream], seen_ns: i64) -> Option<String> {
        let newest = self.newest_ns?;
        let since = self.floor_ns(pending_ns, DOCKER_RING_SAVED)?;
        let mut bytes = Vec::new();
        for seen in self.seen.iter().filter(|seen| seen.ts >= since) {
            bytes.extend_from_slice(&seen.hash.to_le_bytes()[..HASH_BYTES]);
        }
        let cut = cut.iter().map(|stream| stream.as_str().to_owned()).collect();
        let ring = BASE64.encode(bytes);
        // Numbers and strings cannot fail to be written.
        let drained = self.drained_ns;
        serde_json::to_string(&Saved { v: VERSION, newest, since, ring, cut, drained, seen_ns }).ok()
    }

    /// The ring and the streams inside a cut line. `None` for text of another version or that
    /// has been damaged.
    pub fn parse(text: &str) -> Option<(Ring, Vec<Stream>)> {
        let saved: Saved = serde_json::from_str(text).ok()?;
        let bytes = BASE64.decode(&saved.ring).ok()?;
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        if saved.v != VERSION || !rest.is_empty() || hashes.len() > 2 * DOCKER_RING_FRAMES_MAX {
            return None;
        }
        let seen = hashes.iter().map(|hash| {
            let mut wide = [0; 8];
            wide[..HASH_BYTES].copy_from_slice(hash);
            // The time of each is not kept; the newest keeps them for as long as needed.
            Seen { ts: saved.newest, hash: u64::from_le_bytes(wide) }
        });
        let ring = Ring {
            seen: seen.collect(),
            newest_ns: Some(saved.newest),
            last_ns: saved.since,
            forgotten_ns: saved.since.checked_sub(1),
            expected: HashMap::new(),
            drained_ns: saved.drained,
        };
        let cut =
            Stream::ALL.into_iter().filter(|stream| saved.cut.iter().any(|c| c == stream.as_str()));
        Some((ring, cut.collect()))
    }

    /// When the position was written, without reading the rest.
    pub fn saved_at_ns(text: &str) -> i64 {
        serde_json::from_str::<Saved>(text).map_or(0, |saved| saved.seen_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ts: i64, body: &str) -> Seen {
        Seen::new(ts, Stream::Stdout, body.as_bytes())
    }

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_repeat_is_dropped_as_often_as_it_was_taken() {
        let mut ring = Ring::default();
        for body in ["a", "a", "b"] {
            ring.take(seen(5 * SECOND, body));
        }
        let text = ring.to_text(None, &[Stream::Stderr], 0).unwrap();
        let (mut restored, cut) = Ring::parse(&text).unwrap();
        assert_eq!(cut, [Stream::Stderr]);
        for ring in [&mut ring, &mut restored] {
            assert_eq!(ring.since_ns(None), Some(3 * SECOND));
            ring.expect_repeats();
            let repeats: Vec<bool> =
                ["a", "b", "a", "a"].map(|body| ring.is_repeat(&seen(5 * SECOND, body))).to_vec();
            assert_eq!(repeats, [true, true, true, false]);
        }
    }

    #[test]
    fn what_is_saved_reaches_back_to_where_reading_resumes() {
        let mut ring = Ring::default();
        // Two messages a microsecond, more than a position holds.
        for number in 0..20_000i64 {
            ring.take(seen(SECOND + number / 2 * 1_000, &number.to_string()));
        }
        assert!(ring.seen.len() <= DOCKER_RING_FRAMES_MAX);
        let text = ring.to_text(None, &[], 0).unwrap();
        assert!(text.len() < 8 * 1024, "{}", text.len());
        let (mut restored, _) = Ring::parse(&text).unwrap();
        let since_ns = restored.since_ns(None).unwrap();
        restored.expect_repeats();
        for number in 0..20_000i64 {
            let ts = SECOND + number / 2 * 1_000;
            if ts >= since_ns {
                assert!(restored.is_repeat(&seen(ts, &number.to_string())), "{number}");
            }
        }
        assert!(!restored.is_repeat(&seen(2 * SECOND, "new")));
    }

    #[test]
    fn many_messages_of_one_instant_are_saved_together() {
        let mut ring = Ring::default();
        for number in 0..5_000 {
            ring.take(seen(SECOND, &number.to_string()));
        }
        let (mut restored, _) = Ring::parse(&ring.to_text(None, &[], 0).unwrap()).unwrap();
        restored.expect_repeats();
        assert!((0..5_000).all(|number| restored.is_repeat(&seen(SECOND, &number.to_string()))));
    }

    #[test]
    fn what_is_pending_is_asked_for_again() {
        let mut ring = Ring::default();
        for second in 0..8 {
            ring.take(seen(second * SECOND, "x"));
        }
        assert_eq!(ring.since_ns(None), Some(5 * SECOND));
        assert_eq!(ring.since_ns(Some(2 * SECOND)), Some(2 * SECOND));
        let (mut restored, _) =
            Ring::parse(&ring.to_text(Some(2 * SECOND), &[], 0).unwrap()).unwrap();
        assert_eq!(restored.since_ns(None), Some(2 * SECOND));
        restored.expect_repeats();
        assert!((2..8).all(|second| restored.is_repeat(&seen(second * SECOND, "x"))));
    }

    #[test]
    fn damaged_text() {
        let mut ring = Ring::default();
        ring.take(seen(1, "x"));
        let text = ring.to_text(None, &[], 0).unwrap();
        for bad in ["", "\0", "{}", &text.replace("\"v\":1", "\"v\":9"), &text[1..]] {
            assert!(Ring::parse(bad).is_none(), "{bad}");
        }
    }
}
