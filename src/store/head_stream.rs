//! The entries of one stream in the head, in the order they came in: which of them are sorted
//! already, and whether an entry is there.

use std::sync::Arc;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::read::StreamMeta;
use super::wal::{EntryView, Record};
use crate::model::{TimeRange, Timestamp};

/// Where an entry lies: a record of the head and a place in it.
#[derive(Debug, Clone, Copy)]
pub struct EntryRef {
    pub ts: Timestamp,
    pub(super) record: u32,
    pub(super) at: u32,
}

/// Hashes of entries with their places. Built for a stream when so many entries share one time
/// that comparing them one by one would take long.
type Seen = HashTable<(u64, u32)>;

/// Entries of one time that are compared one by one.
const SAME_TIME_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct HeadStream {
    pub meta: StreamMeta,
    pub tenant: Arc<str>,
    pub refs: Vec<EntryRef>,
    pub first: Timestamp,
    pub last: Timestamp,
    pub line_bytes: u64,
    /// Where sorted runs of `refs` start, but for the first one. Clients that send over several
    /// connections come in runs; each is merged with the one before it when it is at least half
    /// as long, so there are few, and each entry is moved few times. Not kept up once `seen` is.
    runs: Vec<u32>,
    seen: Option<Seen>,
}

fn entry_hash(ts: Timestamp, line: &str) -> u64 {
    xxh3_64_with_seed(line.as_bytes(), ts.0 as u64)
}

fn view(records: &[Record], of: EntryRef) -> Option<EntryView<'_>> {
    records.get(of.record as usize).map(|record| record.entry(of.at))
}

/// What looking for an entry one by one gave.
enum Look {
    Found,
    Absent,
    /// Too many entries of that time.
    GaveUp,
}

impl HeadStream {
    pub fn new(meta: StreamMeta, tenant: Arc<str>, first: Timestamp) -> Self {
        HeadStream {
            meta,
            tenant,
            refs: Vec::new(),
            first,
            last: Timestamp::MIN,
            line_bytes: 0,
            runs: Vec::new(),
            seen: None,
        }
    }

    fn is_sorted(&self) -> bool {
        self.runs.is_empty() && self.seen.is_none()
    }

    /// Adds an entry unless exactly that one is here.
    pub fn add(&mut self, records: &[Record], of: EntryRef, entry: &EntryView<'_>) -> bool {
        if of.ts <= self.last && !self.refs.is_empty() {
            let found = match self.look(records, of.ts, entry) {
                Look::Found => true,
                Look::Absent => false,
                Look::GaveUp => {
                    self.start_noting(records);
                    self.noted(records, of.ts, entry)
                }
            };
            if found {
                return false;
            }
        }
        self.note(of, entry);
        self.first = self.first.min(of.ts);
        self.last = self.last.max(of.ts);
        self.line_bytes += entry.line.len() as u64;
        true
    }

    fn note(&mut self, of: EntryRef, entry: &EntryView<'_>) {
        let at = self.refs.len() as u32;
        if let Some(seen) = &mut self.seen {
            let hash = entry_hash(of.ts, entry.line);
            seen.insert_unique(hash, (hash, at), |(hash, _)| *hash);
        } else if self.refs.last().is_some_and(|last| of.ts < last.ts) {
            self.merge_runs();
            self.runs.push(at);
        }
        self.refs.push(of);
    }

    fn merge_runs(&mut self) {
        let end = self.refs.len();
        while let Some(start) = self.runs.last().map(|start| *start as usize) {
            let before = self.runs.iter().rev().nth(1).map_or(0, |before| *before as usize);
            if (end - start) * 2 < start - before {
                break;
            }
            // Stable: entries of one time stay in the order they came in.
            if let Some(both) = self.refs.get_mut(before..) {
                both.sort_by_key(|entry| entry.ts);
            }
            self.runs.pop();
        }
    }

    /// The sorted runs.
    fn pieces(&self) -> impl Iterator<Item = &[EntryRef]> {
        let starts = std::iter::once(0).chain(self.runs.iter().map(|start| *start as usize));
        let ends = self.runs.iter().map(|end| *end as usize).chain([self.refs.len()]);
        starts.zip(ends).map(|(from, to)| self.refs.get(from..to).unwrap_or_default())
    }

    fn look(&self, records: &[Record], ts: Timestamp, entry: &EntryView<'_>) -> Look {
        if self.seen.is_some() {
            return if self.noted(records, ts, entry) { Look::Found } else { Look::Absent };
        }
        let mut compared = 0;
        for piece in self.pieces() {
            let outside =
                |end: Option<&EntryRef>, is_before: fn(&Timestamp, &Timestamp) -> bool| {
                    end.is_none_or(|end| is_before(&ts, &end.ts))
                };
            if outside(piece.first(), Timestamp::lt) || outside(piece.last(), Timestamp::gt) {
                continue;
            }
            let from = piece.partition_point(|other| other.ts < ts);
            for other in piece.iter().skip(from).take_while(|other| other.ts == ts) {
                if view(records, *other).is_some_and(|other| other.same_as(entry)) {
                    return Look::Found;
                }
                compared += 1;
            }
            if compared > SAME_TIME_MAX {
                return Look::GaveUp;
            }
        }
        Look::Absent
    }

    /// Whether exactly this entry is here.
    pub fn holds(&self, records: &[Record], ts: Timestamp, entry: &EntryView<'_>) -> bool {
        match self.look(records, ts, entry) {
            Look::Found => true,
            Look::Absent => false,
            Look::GaveUp => self.pieces().any(|piece| {
                let from = piece.partition_point(|other| other.ts < ts);
                let same = piece.iter().skip(from).take_while(|other| other.ts == ts);
                same.filter_map(|other| view(records, *other)).any(|other| other.same_as(entry))
            }),
        }
    }

    fn noted(&self, records: &[Record], ts: Timestamp, entry: &EntryView<'_>) -> bool {
        let hash = entry_hash(ts, entry.line);
        self.seen.as_ref().is_some_and(|seen| {
            seen.find(hash, |(other_hash, at)| {
                *other_hash == hash
                    && self.refs.get(*at as usize).is_some_and(|other| {
                        other.ts == ts
                            && view(records, *other).is_some_and(|other| other.same_as(entry))
                    })
            })
            .is_some()
        })
    }

    fn start_noting(&mut self, records: &[Record]) {
        let mut seen = Seen::with_capacity(self.refs.len() * 2);
        for (at, entry) in self.refs.iter().enumerate() {
            let line = view(records, *entry).map_or("", |entry| entry.line);
            let hash = entry_hash(entry.ts, line);
            seen.insert_unique(hash, (hash, at as u32), |(hash, _)| *hash);
        }
        self.seen = Some(seen);
        self.runs = Vec::new();
    }

    /// Entries of a range, sorted by (time, arrival).
    pub fn range(&self, range: TimeRange) -> Vec<EntryRef> {
        if self.is_sorted() {
            let from = self.refs.partition_point(|entry| entry.ts < range.start);
            let to = self.refs.partition_point(|entry| entry.ts < range.end);
            self.refs.get(from..to).unwrap_or_default().to_vec()
        } else {
            let mut refs: Vec<EntryRef> =
                self.refs.iter().filter(|entry| range.contains(entry.ts)).copied().collect();
            refs.sort_by_key(|entry| entry.ts);
            refs
        }
    }

    /// All entries, sorted by (time, arrival).
    pub fn sorted(&self) -> Vec<EntryRef> {
        let mut refs = self.refs.clone();
        if !self.is_sorted() {
            refs.sort_by_key(|entry| entry.ts);
        }
        refs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Batch, Entry, Labels, StreamId};
    use proptest::prelude::*;

    fn one(ts: i64, line: &str) -> Record {
        let mut batch = Batch::new("t");
        batch.push(&Labels::default(), Entry::new(Timestamp(ts), line));
        Record::encode(&batch)
    }

    fn stream() -> HeadStream {
        let meta = StreamMeta { id: StreamId(1), labels: Labels::default() };
        HeadStream::new(meta, "t".into(), Timestamp(0))
    }

    /// Adds entries one by one and gives what was taken, in order of arrival.
    fn fill(entries: &[(i64, u8)]) -> (HeadStream, Vec<Record>, Vec<(i64, u8)>) {
        let (mut stream, mut records, mut taken) = (stream(), Vec::new(), Vec::new());
        for (ts, line) in entries {
            records.push(one(*ts, &line.to_string()));
            let record = records.len() as u32 - 1;
            let mut walk = records[record as usize].walk().unwrap();
            let place = walk.next_stream().unwrap().unwrap().next_entry().unwrap().unwrap();
            let of = EntryRef { ts: place.ts, record, at: place.at };
            if stream.add(&records, of, &records[record as usize].entry(place.at)) {
                taken.push((*ts, *line));
            }
        }
        (stream, records, taken)
    }

    #[track_caller]
    fn check(entries: &[(i64, u8)]) {
        let (stream, records, taken) = fill(entries);
        let mut expect: Vec<(i64, u8)> = Vec::new();
        for entry in entries {
            if !expect.contains(entry) {
                expect.push(*entry);
            }
        }
        assert_eq!(taken, expect);
        expect.sort_by_key(|(ts, _)| *ts);
        let shown = |refs: Vec<EntryRef>| -> Vec<(i64, u8)> {
            let line = |of| view(&records, of).unwrap().line.parse().unwrap();
            refs.into_iter().map(|of| (of.ts.0, line(of))).collect()
        };
        assert_eq!(shown(stream.sorted()), expect);
        assert_eq!(shown(stream.range(TimeRange::ALL)), expect);
        let half = TimeRange { start: Timestamp(3), end: Timestamp(7) };
        expect.retain(|(ts, _)| (3..7).contains(ts));
        assert_eq!(shown(stream.range(half)), expect);
    }

    proptest! {
        #[test]
        fn takes_each_entry_once_and_sorts_by_arrival(
            entries in proptest::collection::vec((0i64..10, 0u8..60), 0..300)
        ) {
            check(&entries);
        }
    }

    #[test]
    fn reversed_order_makes_few_runs() {
        let entries: Vec<(i64, u8)> = (0..2000).rev().map(|ts| (ts, 1)).collect();
        let (stream, ..) = fill(&entries);
        assert!(stream.runs.len() < 16, "{}", stream.runs.len());
        assert_eq!(stream.sorted().len(), 2000);
    }
}
