//! What a tail is still to be sent, in bounded memory, and what it will not be sent because its
//! client reads too slowly. Each line that matched is in one of the two.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits;
use crate::model::{Labels, Timestamp};
use crate::query::LogRow;

/// Memory that the lines of all tails share.
#[derive(Debug)]
pub struct Room {
    held: AtomicUsize,
    bytes_max: usize,
}

impl Room {
    pub fn new(bytes_max: usize) -> Arc<Room> {
        Arc::new(Room { held: AtomicUsize::new(0), bytes_max })
    }

    /// Takes the bytes if they are there.
    fn take(&self, bytes: usize) -> bool {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let fits = held <= self.bytes_max;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    /// Takes them whether they are there or not.
    fn take_anyhow(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Lines that matched and were not sent, until the client is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dropped {
    /// One by one, as Loki tells them.
    pub named: Vec<(Timestamp, Labels)>,
    /// How many more, and the time of the last one.
    pub more: u64,
    pub more_until: Timestamp,
    /// Lines, of whatever stream, that were gone before they could be looked at.
    pub unread: u64,
}

impl Dropped {
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.more == 0 && self.unread == 0
    }

    fn add(&mut self, row: &LogRow) {
        if self.named.len() < limits::TAIL_DROPPED_NAMED_MAX {
            self.named.push((row.ts, row.stream.clone()));
        } else {
            self.more += 1;
            self.more_until = row.ts;
        }
    }
}

#[derive(Debug)]
pub struct Outbox {
    /// History, in front of everything that is live.
    first: VecDeque<LogRow>,
    live: VecDeque<LogRow>,
    bytes: usize,
    room: Arc<Room>,
    dropped: Dropped,
}

impl Outbox {
    pub fn new(room: Arc<Room>) -> Outbox {
        Outbox {
            first: VecDeque::new(),
            live: VecDeque::new(),
            bytes: 0,
            room,
            dropped: Dropped::default(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.live.is_empty() && self.dropped.is_empty()
    }

    /// Puts history before what is live; it is bounded by the limit on lines of a query.
    pub fn begin_with(&mut self, rows: Vec<LogRow>) {
        let bytes = rows.iter().map(LogRow::memory_bytes).sum();
        self.room.take_anyhow(bytes);
        self.bytes += bytes;
        self.first = rows.into();
    }

    /// Adds a live line, or notes that there is no room for it. One line always has room.
    pub fn push(&mut self, row: LogRow) {
        let bytes = row.memory_bytes();
        if self.live.is_empty() {
            self.room.take_anyhow(bytes);
        } else if self.bytes + bytes > limits::TAIL_OUTBOX_BYTES_MAX || !self.room.take(bytes) {
            self.dropped.add(&row);
            return;
        }
        self.bytes += bytes;
        self.live.push_back(row);
    }

    /// Notes lines that nobody looked at.
    pub fn miss(&mut self, entries: u64) {
        self.dropped.unread += entries;
    }

    /// Takes out the live lines that history holds too.
    pub fn retain_live(&mut self, mut keep: impl FnMut(&LogRow) -> bool) {
        let mut freed = 0;
        self.live.retain(|row| {
            let kept = keep(row);
            freed += if kept { 0 } else { row.memory_bytes() };
            kept
        });
        self.free(freed);
    }

    /// The lines of the next frame, and what was dropped since the last one.
    pub fn next(&mut self) -> (Vec<LogRow>, Dropped) {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while rows.len() < limits::TAIL_FRAME_ENTRIES_MAX && bytes < limits::TAIL_FRAME_BYTES_MAX {
            let Some(row) = self.first.pop_front().or_else(|| self.live.pop_front()) else { break };
            bytes += row.memory_bytes();
            rows.push(row);
        }
        self.free(bytes);
        (rows, std::mem::take(&mut self.dropped))
    }

    fn free(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.room.give_back(bytes);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.room.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ts: i64, bytes: usize) -> LogRow {
        LogRow {
            ts: Timestamp(ts),
            line: "x".repeat(bytes),
            stream: Labels::from_pairs([("app", "a")]),
            metadata: Vec::new(),
            parsed: Vec::new(),
        }
    }

    fn times(rows: &[LogRow]) -> Vec<i64> {
        rows.iter().map(|row| row.ts.0).collect()
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let room = Room::new(usize::MAX);
        let mut outbox = Outbox::new(room.clone());
        let half = limits::TAIL_OUTBOX_BYTES_MAX / 2;
        outbox.push(row(1, half));
        outbox.push(row(2, half));
        outbox.push(row(3, 10));
        let (rows, dropped) = outbox.next();
        assert_eq!(times(&rows), [1], "a frame has a size too");
        assert_eq!(times(&outbox.next().0), [3]);
        assert_eq!(dropped.named, [(Timestamp(2), Labels::from_pairs([("app", "a")]))]);
        assert!(outbox.is_empty() && room.held.load(Ordering::Relaxed) == 0);
        outbox.push(row(4, 2 * half));
        assert_eq!(times(&outbox.next().0), [4], "one always fits");
    }

    #[test]
    fn tails_share_room() {
        let room = Room::new(3 * row(1, 1000).memory_bytes());
        let (mut slow, mut other) = (Outbox::new(room.clone()), Outbox::new(room.clone()));
        (1..=4).for_each(|ts| slow.push(row(ts, 1000)));
        other.push(row(1, 1000));
        other.push(row(2, 1000));
        assert_eq!(times(&slow.next().0), [1, 2, 3]);
        let (rows, dropped) = other.next();
        assert_eq!((times(&rows), dropped.named.len()), (vec![1], 1));
        slow.push(row(5, 1000));
        drop(slow);
        assert_eq!(room.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn after_so_many_names_there_is_a_number() {
        let mut outbox = Outbox::new(Room::new(0));
        let names = i64::try_from(limits::TAIL_DROPPED_NAMED_MAX).unwrap();
        (0..names + 6).for_each(|ts| outbox.push(row(ts, 1)));
        outbox.miss(7);
        let (rows, dropped) = outbox.next();
        assert_eq!((rows.len(), dropped.named.len()), (1, limits::TAIL_DROPPED_NAMED_MAX));
        assert_eq!((dropped.more, dropped.more_until), (5, Timestamp(names + 5)));
        assert_eq!(dropped.unread, 7);
        assert_eq!(outbox.next().1, Dropped::default());
    }

    #[test]
    fn history_goes_first() {
        let mut outbox = Outbox::new(Room::new(usize::MAX));
        (5..8).for_each(|ts| outbox.push(row(ts, 1)));
        outbox.begin_with(vec![row(4, 1), row(5, 1)]);
        outbox.retain_live(|row| row.ts.0 != 5);
        assert_eq!(times(&outbox.next().0), [4, 5, 6, 7]);
    }
}
