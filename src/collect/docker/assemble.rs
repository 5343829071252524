//! Messages of one container to entries: repeats dropped, pieces of long lines joined, records
//! of several lines held back, and the position that goes with all that.

use bytes::Bytes;

use super::frames::{Stream, split_timestamp};
use super::ring::{Ring, Seen};
use crate::collect::held::{HeldLines, Record};
use crate::collect::line::{self, Extent};
use crate::limits::LINE_BYTES_MAX;
use crate::model::{Entry, Timestamp};
use crate::text::multiline::MultilineRule;

/// The logging drivers cut lines after this many bytes.
const PIECE_BYTES: usize = 16 * 1024;
/// A line whose next piece does not come is given out after this long.
const PIECE_WAIT_NS: i64 = 1_000_000_000;

#[derive(Debug, Default)]
pub(super) struct Assembler {
    ring: Ring,
    rule: Option<MultilineRule>,
    terminal: bool,
    streams: [StreamState; 2],
    pub cut_lines: u64,
    /// Messages that were no repeats.
    pub accepted: u64,
}

#[derive(Debug, Default)]
struct StreamState {
    partial: Option<Partial>,
    /// The rest of a line that has been cut is still coming.
    inside_cut_line: bool,
    held: HeldLines<LineMark>,
}

/// A line of which pieces have come.
#[derive(Debug)]
struct Partial {
    ts: i64,
    bytes: Vec<u8>,
    seen: Vec<Seen>,
    last_ns: i64,
}

#[derive(Debug, Clone)]
struct LineMark {
    ts: i64,
    seen: Vec<Seen>,
    extent: Extent,
}

impl Assembler {
    /// Goes on from a position. `None` for one that cannot be read.
    pub fn restore(position: &str) -> Option<Self> {
        let (ring, cut) = Ring::parse(position)?;
        let mut assembler = Assembler { ring, ..Assembler::default() };
        for stream in cut {
            assembler.streams[stream.index()].inside_cut_line = true;
        }
        Some(assembler)
    }

    pub fn set_rule(&mut self, rule: Option<MultilineRule>) {
        self.rule = rule;
    }

    pub fn newest_ns(&self) -> Option<i64> {
        self.ring.newest_ns()
    }

    /// The log of a process that ended then has been read to its end.
    pub fn set_drained(&mut self, finished_ns: i64) {
        self.ring.drained_ns = finished_ns;
    }

    pub fn is_drained(&self, finished_ns: i64) -> bool {
        finished_ns <= self.ring.drained_ns
    }

    /// From when to ask for messages; `None` when there have been none yet.
    pub fn since_ns(&self) -> Option<i64> {
        self.ring.since_ns(None)
    }

    /// A new stream is being read. What was held from the last one comes again with it.
    pub fn begin_stream(&mut self, terminal: bool) {
        self.terminal = terminal;
        for state in &mut self.streams {
            state.partial = None;
            state.held = HeldLines::default();
        }
        self.ring.expect_repeats();
    }

    pub fn position(&self, now_ns: i64) -> Option<String> {
        let held = self.streams.iter().flat_map(|state| state.held.marks()).map(|mark| mark.ts);
        let partial = self.streams.iter().filter_map(|state| Some(state.partial.as_ref()?.ts));
        let cut: Vec<Stream> = Stream::ALL
            .into_iter()
            .filter(|stream| self.streams[stream.index()].inside_cut_line)
            .collect();
        self.ring.to_text(held.chain(partial).min(), &cut, now_ns)
    }

    /// Takes one message and gives the entries it completes.
    pub fn message(
        &mut self,
        stream: Stream,
        body: &Bytes,
        now_ns: i64,
        entries: &mut Vec<(Stream, Entry)>,
    ) {
        let (ts, text) = match split_timestamp(body) {
            Some(split) => split,
            // Not what was asked for; kept as it is, at about the right time.
            None => (self.ring.newest_ns().unwrap_or(now_ns), body.clone()),
        };
        let seen = Seen::new(ts, stream, &text);
        if self.ring.is_repeat(&seen) {
            return;
        }
        self.accepted += 1;
        let text = if self.terminal { join_terminal(&text) } else { text };
        let ends = text.ends_with(b"\n");
        let state = &mut self.streams[stream.index()];
        if state.inside_cut_line {
            state.inside_cut_line = !ends && text.len() >= PIECE_BYTES;
            self.ring.take(seen);
            return;
        }
        let whole = ends || self.terminal || text.len() < PIECE_BYTES;
        if whole && state.partial.is_none() {
            let mark = LineMark { ts, seen: vec![seen], extent: Extent::Whole };
            self.line(stream, text, mark, now_ns, entries);
            return;
        }
        let partial = state.partial.get_or_insert_with(|| Partial {
            ts,
            bytes: Vec::new(),
            seen: Vec::new(),
            last_ns: now_ns,
        });
        partial.last_ns = now_ns;
        partial.seen.push(seen);
        let room = (LINE_BYTES_MAX + 2).saturating_sub(partial.bytes.len());
        let overlong = text.len() > room;
        partial.bytes.extend_from_slice(text.get(..text.len().min(room)).unwrap_or_default());
        if whole || overlong {
            state.inside_cut_line = overlong && !whole;
            self.finish_partial(stream, now_ns, entries);
        }
    }

    fn finish_partial(
        &mut self,
        stream: Stream,
        now_ns: i64,
        entries: &mut Vec<(Stream, Entry)>,
    ) {
        let Some(partial) = self.streams[stream.index()].partial.take() else { return };
        let over = line::trim_end(&partial.bytes).len() > LINE_BYTES_MAX;
        let extent = if over { Extent::Cut } else { Extent::Whole };
        let mark = LineMark { ts: partial.ts, seen: partial.seen, extent };
        self.line(stream, Bytes::from(partial.bytes), mark, now_ns, entries);
    }

    fn line(
        &mut self,
        stream: Stream,
        text: Bytes,
        mark: LineMark,
        now_ns: i64,
        entries: &mut Vec<(Stream, Entry)>,
    ) {
        let text = text.slice(..line::trim_end(&text).len());
        let entry = line::entry(Timestamp(mark.ts), text, mark.extent);
        self.cut_lines += u64::from(mark.extent == Extent::Cut);
        let Some(rule) = &self.rule else {
            mark.seen.into_iter().for_each(|seen| self.ring.take(seen));
            entries.push((stream, entry));
            return;
        };
        let state = &mut self.streams[stream.index()];
        for record in state.held.push(rule, &entry.line, mark, now_ns) {
            give_out(&mut self.ring, stream, record, entries);
        }
    }

    /// Gives out what has waited long enough for its continuation.
    pub fn flush_idle(&mut self, now_ns: i64, entries: &mut Vec<(Stream, Entry)>) {
        for stream in Stream::ALL {
            let state = &self.streams[stream.index()];
            let waited = state.partial.as_ref().is_some_and(|partial| {
                now_ns.saturating_sub(partial.last_ns) >= PIECE_WAIT_NS
            });
            if waited {
                self.finish_partial(stream, now_ns, entries);
            }
            if let Some(rule) = &self.rule
                && let Some(record) =
                    self.streams[stream.index()].held.flush_idle(rule, now_ns)
            {
                give_out(&mut self.ring, stream, record, entries);
            }
        }
    }

    /// Gives out everything: the process has ended, or we are about to.
    pub fn flush(&mut self, now_ns: i64, entries: &mut Vec<(Stream, Entry)>) {
        for stream in Stream::ALL {
            self.finish_partial(stream, now_ns, entries);
            let state = &mut self.streams[stream.index()];
            state.inside_cut_line = false;
            if let Some(record) = state.held.flush() {
                give_out(&mut self.ring, stream, record, entries);
            }
        }
    }

    /// Whether something waits for its continuation.
    pub fn is_holding(&self) -> bool {
        self.streams.iter().any(|state| state.partial.is_some() || !state.held.is_empty())
    }
}

fn give_out(
    ring: &mut Ring,
    stream: Stream,
    record: Record<LineMark>,
    entries: &mut Vec<(Stream, Entry)>,
) {
    let ts = record.marks.first().map_or(0, |mark| mark.ts);
    let cut = record.marks.iter().any(|mark| mark.extent == Extent::Cut);
    let mut entry = line::entry(Timestamp(ts), Bytes::from(record.text), Extent::Whole);
    if cut {
        line::flag_cut(&mut entry);
    }
    record.marks.into_iter().flat_map(|mark| mark.seen).for_each(|seen| ring.take(seen));
    entries.push((stream, entry));
}

/// On a terminal the pieces of a long line come on one line, each with its timestamp.
fn join_terminal(text: &Bytes) -> Bytes {
    if text.len() <= PIECE_BYTES || split_timestamp(&text.slice(PIECE_BYTES..)).is_none() {
        return text.clone();
    }
    let mut joined = Vec::with_capacity(text.len());
    let mut rest = text.clone();
    while rest.len() > PIECE_BYTES {
        let piece = rest.split_to(PIECE_BYTES);
        joined.extend_from_slice(&piece);
        match split_timestamp(&rest) {
            Some((_, after)) => rest = after,
            None => break,
        }
    }
    joined.extend_from_slice(&rest);
    Bytes::from(joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::settings::multiline_preset;

    /// Seconds after some point in time as the engine writes them.
    fn stamp(ts: i64) -> String {
        chrono::DateTime::from_timestamp_nanos(ts).format("%Y-%m-%dT%H:%M:%S%.9fZ").to_string()
    }

    fn feed(assembler: &mut Assembler, messages: &[(Stream, i64, &str)]) -> Vec<String> {
        let mut entries = Vec::new();
        for (stream, ts, text) in messages {
            let body = Bytes::from(format!("{} {text}", stamp(*ts)));
            assembler.message(*stream, &body, 0, &mut entries);
        }
        show(entries)
    }

    fn show(entries: Vec<(Stream, Entry)>) -> Vec<String> {
        entries
            .into_iter()
            .map(|(stream, entry)| {
                let line = &entry.line;
                let line = if line.len() > 40 {
                    format!("{}*{}", &line[..1], line.len())
                } else {
                    line.to_string()
                };
                format!("{} {} {line}", stream.as_str(), entry.ts.0)
            })
            .collect()
    }

    use Stream::{Stderr, Stdout};

    #[test]
    fn joins_pieces_per_stream() {
        let piece = "x".repeat(PIECE_BYTES);
        let got = feed(
            &mut Assembler::default(),
            &[
                (Stdout, 1, &piece),
                (Stderr, 2, "other\r\n"),
                (Stdout, 3, &piece),
                (Stdout, 4, "end\n"),
                // Exactly as long as a piece, with and without a line end.
                (Stdout, 5, &format!("{piece}\n")),
                (Stdout, 6, &piece),
                (Stdout, 7, "\n"),
                // A process that ended in the middle of a line, and the next one.
                (Stdout, 8, "short"),
                (Stdout, 9, "next\n"),
            ],
        );
        assert_eq!(
            got,
            [
                "stderr 2 other",
                "stdout 1 x*32771",
                "stdout 5 x*16384",
                "stdout 6 x*16384",
                "stdout 8 short",
                "stdout 9 next"
            ]
        );
    }

    #[test]
    fn an_overlong_line_is_cut_and_its_rest_left_out_also_after_a_restart() {
        let piece = "x".repeat(PIECE_BYTES);
        let mut assembler = Assembler::default();
        let many: Vec<_> = (0..40).map(|ts| (Stdout, ts, piece.as_str())).collect();
        assert_eq!(feed(&mut assembler, &many), [format!("stdout 0 x*{LINE_BYTES_MAX}")]);
        assert_eq!(assembler.cut_lines, 1);
        let mut restored = Assembler::restore(&assembler.position(0).unwrap()).unwrap();
        restored.begin_stream(false);
        let mut again = many.clone();
        again.extend([(Stdout, 50, piece.as_str()), (Stdout, 51, "end\n"), (Stdout, 52, "new\n")]);
        assert_eq!(feed(&mut restored, &again), ["stdout 52 new"]);
    }

    #[test]
    fn a_restart_in_the_middle_of_a_line_reads_it_whole() {
        let piece = "x".repeat(PIECE_BYTES);
        let mut assembler = Assembler::default();
        let first = [(Stdout, 1, "a\n"), (Stdout, 2, &*piece), (Stderr, 3, "b\n")];
        assert_eq!(feed(&mut assembler, &first), ["stdout 1 a", "stderr 3 b"]);
        let mut restored = Assembler::restore(&assembler.position(0).unwrap()).unwrap();
        assert!(restored.since_ns().unwrap() <= 2);
        for assembler in [&mut assembler, &mut restored] {
            assembler.begin_stream(false);
            let mut again = first.to_vec();
            again.push((Stdout, 4, "end\n"));
            assert_eq!(feed(assembler, &again), ["stdout 2 x*16387"]);
        }
    }

    #[test]
    fn terminals() {
        let piece = "x".repeat(PIECE_BYTES);
        let mut assembler = Assembler::default();
        assembler.begin_stream(true);
        let long = format!("{piece}{} {piece}{} end\r\n", stamp(2), stamp(3));
        let got = feed(&mut assembler, &[(Stdout, 1, &long), (Stdout, 4, "10%\r20%\r\n")]);
        assert_eq!(got, ["stdout 1 x*32771", "stdout 4 10%\r20%"]);
    }

    #[test]
    fn records_are_read_again_until_they_are_given_out() {
        let mut rule = multiline_preset("java").unwrap();
        rule.firstline = regex::Regex::new(r"^\S").unwrap();
        let mut assembler = Assembler::default();
        assembler.set_rule(Some(rule.clone()));
        let first = [(Stdout, 1, "a\n"), (Stdout, 2, "b\n"), (Stdout, 3, " at\n"), (Stderr, 4, "e\n")];
        assert_eq!(feed(&mut assembler, &first), ["stdout 1 a"]);
        let mut restored = Assembler::restore(&assembler.position(0).unwrap()).unwrap();
        restored.set_rule(Some(rule));
        restored.begin_stream(false);
        assert!(feed(&mut restored, &first).is_empty());
        assert!(restored.is_holding());
        let mut entries = Vec::new();
        restored.flush_idle(3_000_000_000, &mut entries);
        assert_eq!(show(entries), ["stdout 2 b\n at", "stderr 4 e"]);
        assert!(!restored.is_holding());
    }

    #[test]
    fn a_missing_continuation_is_not_waited_for() {
        let piece = "x".repeat(PIECE_BYTES);
        let mut assembler = Assembler::default();
        assert!(feed(&mut assembler, &[(Stdout, 1, &piece)]).is_empty());
        let mut entries = Vec::new();
        assembler.flush_idle(PIECE_WAIT_NS - 1, &mut entries);
        assert!(entries.is_empty());
        assembler.flush_idle(PIECE_WAIT_NS, &mut entries);
        assert_eq!(show(entries), ["stdout 1 x*16384"]);
    }
}
