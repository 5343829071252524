//! Reads a segment as a start finds it. A crash leaves a torn end, which holds nothing that was
//! acknowledged; a bad disk leaves damage anywhere, and what is behind it was acknowledged. So
//! records are looked for behind everything that is no record.

use std::cell::Cell;
use std::io;
use std::path::Path;

use super::record::Record;
use super::segment::{MAGIC, RECORD_HEADER_BYTES};
use crate::limits::WAL_RECORD_BYTES_MAX;
use crate::store::error::is_unreadable;
use crate::store::files::{Files, ReadFile};
use crate::store::varint::Reader;

/// Tenant, number of positions, number of streams.
const RECORD_BYTES_MIN: u64 = 3;
/// Read at once while records are looked for.
const CHUNK_BYTES: u64 = 256 << 10;
/// So much of a record tells whether it is worth a checksum.
const START_BYTES: usize = 256;
/// A sector that cannot be read takes no more than this with it.
const PAGE_BYTES: u64 = 4096;
/// Checksums taken while records are looked for: so many bytes for each of the segment.
const HASHED_SHARE: u64 = 8;

/// Whether a crash may have cut the end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is the last one.
    MayBeTorn,
    /// Another was begun after it, so all of it was safe.
    IsWhole,
}

/// What was found in a segment.
#[derive(Default)]
pub struct Replayed {
    pub records: Vec<Record>,
    /// Bytes that are no record and should be.
    pub damaged: Vec<Vec<u8>>,
    /// Bytes at the end that are no whole record, as a crash leaves them.
    pub torn: Vec<u8>,
    /// Where nothing is left of the segment but what is to be cut off.
    pub end: u64,
    pub bytes: u64,
}

/// What lies at a place of a segment.
enum Found {
    Record(Record, u64),
    /// Something with a length, up to the given place.
    Damaged(u64),
    /// Its length leads behind the end.
    Cut,
    Nothing,
}

/// Where reading goes on after damage.
enum Next {
    At(u64),
    /// Of the record only the header was damaged.
    Record(Record, u64),
}

struct Source<'a> {
    file: &'a dyn ReadFile,
    bytes: u64,
    end: End,
    /// Some of it could not be read, which no crash does.
    unreadable: Cell<bool>,
}

/// Reads a segment and changes nothing.
pub fn replay(files: &dyn Files, path: &Path, end: End) -> io::Result<Replayed> {
    let file = files.open(path)?;
    let bytes = file.bytes()?;
    let source = Source { file: &*file, bytes, end, unreadable: Cell::new(false) };
    let mut found = Replayed { bytes, ..Replayed::default() };
    let begin = MAGIC.len() as u64;
    let is_begun = bytes >= begin && source.read(0, begin)? == MAGIC;
    let mut at = if is_begun { begin } else { 0 };
    while at < bytes {
        if at >= begin
            && let Found::Record(record, next) = source.record_at(at)?
        {
            found.records.push(record);
            at = next;
            continue;
        }
        let (record, next) = match source.next_after(at)? {
            Some(Next::At(next)) => (None, next),
            Some(Next::Record(record, next)) => (Some(record), next),
            None => break,
        };
        let header_end = at + RECORD_HEADER_BYTES as u64;
        let damage_end = if record.is_some() { header_end } else { next };
        found.damaged.push(source.read(at, damage_end - at)?);
        found.records.extend(record);
        at = next;
    }
    found.end = at;
    if at < bytes {
        let rest = source.read(at, bytes - at)?;
        if end == End::MayBeTorn && !source.unreadable.get() {
            found.torn = rest;
        } else {
            found.damaged.push(rest);
        }
    }
    Ok(found)
}

impl Source<'_> {
    /// Bytes that cannot be read are zeros, so that they are damage like any other.
    fn read(&self, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
        let mut content = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        match self.file.read_at(&mut content, at) {
            Err(error) if is_unreadable(&error) => self.unreadable.set(true),
            read => return read.map(|()| content),
        }
        let mut rest = content.as_mut_slice();
        let mut from = at;
        while !rest.is_empty() {
            let in_page = PAGE_BYTES - from % PAGE_BYTES;
            let bytes = usize::try_from(in_page).map_or(rest.len(), |bytes| bytes.min(rest.len()));
            let (page, behind) = rest.split_at_mut(bytes);
            match self.file.read_at(page, from) {
                Err(error) if is_unreadable(&error) => page.fill(0),
                read => read?,
            }
            from += bytes as u64;
            rest = behind;
        }
        Ok(content)
    }

    fn record_at(&self, at: u64) -> io::Result<Found> {
        let body_at = at + RECORD_HEADER_BYTES as u64;
        if body_at > self.bytes {
            return Ok(Found::Nothing);
        }
        let Some((length, crc)) = header(&self.read(at, RECORD_HEADER_BYTES as u64)?) else {
            return Ok(Found::Nothing);
        };
        let next = body_at + length;
        if length > WAL_RECORD_BYTES_MAX as u64 {
            return Ok(Found::Nothing);
        }
        if next > self.bytes {
            return Ok(Found::Cut);
        }
        let body = self.read(body_at, length)?;
        let is_whole = crc32fast::hash(&body) == crc;
        Ok(match is_whole.then(|| Record::check(body)).flatten() {
            Some(record) => Found::Record(record, next),
            None => Found::Damaged(next),
        })
    }

    /// Where records go on behind a place that holds none; `None` when there are no more.
    fn next_after(&self, at: u64) -> io::Result<Option<Next>> {
        let here = self.record_at(at)?;
        // The lengths of damaged records lead to whole ones, as long as they are right.
        if let Found::Damaged(mut next) = here {
            loop {
                match self.record_at(next)? {
                    Found::Record(..) => return Ok(Some(Next::At(next))),
                    Found::Damaged(further) => next = further,
                    Found::Cut | Found::Nothing => break,
                }
            }
        }
        if let Some((record, next)) = self.without_length(at)? {
            return Ok(Some(Next::Record(record, next)));
        }
        let Some(found) = self.look_for_record(at + 1)? else { return Ok(None) };
        // The text of a record that a crash has cut was written by anybody and may look like
        // one. Where this may be such a record, those behind it must lead to the very end.
        let may_be_cut = self.end == End::MayBeTorn && !matches!(here, Found::Nothing);
        Ok((!may_be_cut || self.leads_to_end(found)?).then_some(Next::At(found)))
    }

    fn leads_to_end(&self, mut at: u64) -> io::Result<bool> {
        while at < self.bytes {
            match self.record_at(at)? {
                Found::Record(_, next) | Found::Damaged(next) => at = next,
                Found::Cut | Found::Nothing => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The record here, were only its length wrong: where else its checksum fits.
    fn without_length(&self, at: u64) -> io::Result<Option<(Record, u64)>> {
        let body_at = at + RECORD_HEADER_BYTES as u64;
        if at < MAGIC.len() as u64 || body_at >= self.bytes {
            return Ok(None);
        }
        let Some((_, crc)) = header(&self.read(at, RECORD_HEADER_BYTES as u64)?) else {
            return Ok(None);
        };
        let mut hasher = crc32fast::Hasher::new();
        let until = self.bytes.min(body_at + WAL_RECORD_BYTES_MAX as u64);
        let mut from = body_at;
        while from < until {
            let chunk = self.read(from, CHUNK_BYTES.min(until - from))?;
            for (byte, end) in chunk.chunks(1).zip(from + 1..) {
                hasher.update(byte);
                let length = end - body_at;
                if length >= RECORD_BYTES_MIN && hasher.clone().finalize() == crc {
                    let record = Record::check(self.read(body_at, length)?);
                    if let Some(record) = record {
                        return Ok(Some((record, end)));
                    }
                }
            }
            from += chunk.len() as u64;
        }
        Ok(None)
    }

    /// The first place from here on at which a whole record begins.
    fn look_for_record(&self, from: u64) -> io::Result<Option<u64>> {
        let window = RECORD_HEADER_BYTES + START_BYTES;
        let mut hashed_left = self.bytes.saturating_mul(HASHED_SHARE);
        let mut from = from.max(MAGIC.len() as u64);
        while from < self.bytes {
            let chunk = self.read(from, (CHUNK_BYTES + window as u64).min(self.bytes - from))?;
            let is_last = from + chunk.len() as u64 == self.bytes;
            let places = if is_last { chunk.len() } else { chunk.len() - window };
            for (place, at) in (0..places).zip(from..) {
                let rest = chunk.get(place..).unwrap_or_default();
                let Some((length, _)) = header(rest) else { break };
                let start = rest.get(RECORD_HEADER_BYTES..).unwrap_or_default();
                let room = self.bytes - at - RECORD_HEADER_BYTES as u64;
                if !(RECORD_BYTES_MIN..=room).contains(&length) || !is_start(start) {
                    continue;
                }
                if hashed_left < length {
                    return Ok(None);
                }
                hashed_left -= length;
                if let Found::Record(..) = self.record_at(at)? {
                    return Ok(Some(at));
                }
            }
            from += places as u64;
        }
        Ok(None)
    }
}

/// Length and checksum of a record.
fn header(bytes: &[u8]) -> Option<(u64, u32)> {
    let mut reader = Reader::new(bytes);
    Some((u64::from(reader.u32()?), reader.u32()?))
}

/// Whether a record may begin so: with the name of a tenant.
fn is_start(body: &[u8]) -> bool {
    let mut reader = Reader::new(body.get(..START_BYTES).unwrap_or(body));
    reader.text().is_some_and(|tenant| !tenant.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Batch, Entry, Labels, Timestamp};
    use crate::store::files::faulty::FaultyFiles;
    use crate::store::wal::{Segment, segment_name};

    fn record(text: &str) -> Record {
        let mut batch = Batch::new("fake");
        batch.push(&Labels::from_pairs([("a", "1")]), Entry::new(Timestamp(7), text));
        Record::encode(&batch)
    }

    /// A segment with these lines, and where each record ends.
    fn written(texts: &[&str]) -> (FaultyFiles, std::path::PathBuf, Vec<usize>) {
        let files = FaultyFiles::default();
        let mut segment = Segment::create(&files, Path::new("/wal"), 3).unwrap();
        let mut ends = vec![MAGIC.len()];
        for text in texts {
            segment.append(&record(text)).unwrap();
            segment.sync().unwrap();
            ends.push(segment.bytes() as usize);
        }
        (files, Path::new("/wal").join(segment_name(3)), ends)
    }

    fn texts(found: &Replayed) -> Vec<Vec<u8>> {
        found.records.iter().map(|record| record.bytes().to_vec()).collect()
    }

    #[test]
    fn a_tail_torn_at_any_byte_is_found() {
        let all = ["one", "two \u{e9}", ""];
        let (files, path, ends) = written(&all);
        let whole = files.read(&path).unwrap();
        for cut in 0..=whole.len() {
            files.change(&path, |bytes| *bytes = whole[..cut].to_vec());
            let found = replay(&files, &path, End::MayBeTorn).unwrap();
            let expect = ends.iter().skip(1).filter(|end| **end <= cut).count();
            assert_eq!(found.records.len(), expect, "cut at {cut}");
            assert!(found.damaged.is_empty());
            assert_eq!(found.end as usize + found.torn.len(), cut);
            files.truncate(&path, found.end).unwrap();
            let again = replay(&files, &path, End::MayBeTorn).unwrap();
            assert_eq!(texts(&again), texts(&found));
            assert!(again.torn.is_empty());
        }
    }

    #[test]
    fn a_flipped_bit_costs_one_record_at_most_and_never_invents_one() {
        let all = ["one", "two", "three"];
        let (files, path, ends) = written(&all);
        let whole = files.read(&path).unwrap();
        let good: Vec<Vec<u8>> = all.iter().map(|text| record(text).bytes().to_vec()).collect();
        for at in 0..whole.len() {
            for bit in 0..8 {
                files.change(&path, |bytes| {
                    *bytes = whole.clone();
                    bytes[at] ^= 1 << bit;
                });
                let found = replay(&files, &path, End::MayBeTorn).unwrap();
                let in_header = at < ends[0] || ends.iter().any(|e| (*e..*e + 4).contains(&at));
                let of_last = at >= ends[2] && !in_header;
                assert_eq!(found.damaged.len(), usize::from(!of_last), "byte {at}");
                let found = texts(&found);
                assert!(found.iter().all(|text| good.contains(text)));
                assert_eq!(found.len(), if in_header { 3 } else { 2 }, "byte {at}");
            }
        }
    }

    #[test]
    fn records_are_found_behind_all_kinds_of_damage() {
        let all = ["one one one", "two two two", "three three", "four"];
        let (files, path, ends) = written(&all);
        let whole = files.read(&path).unwrap();
        let good: Vec<Vec<u8>> = all.iter().map(|text| record(text).bytes().to_vec()).collect();
        type Change = fn(&mut [u8]);
        let changes: [(&str, Change); 5] = [
            ("zeros", |bytes| bytes.fill(0)),
            ("ones", |bytes| bytes.fill(0xff)),
            ("text", |bytes| bytes.fill(b'x')),
            ("lengths and checksums", |bytes| bytes[..8].fill(3)),
            ("checksums", |bytes| bytes[4] ^= 1),
        ];
        for from in 0..3usize {
            for to in from + 1..4 {
                for (what, change) in changes {
                    files.change(&path, |bytes| {
                        *bytes = whole.clone();
                        // Each record by itself, so that headers are hit.
                        (from..to).for_each(|at| change(&mut bytes[ends[at]..ends[at + 1]]));
                    });
                    let found = replay(&files, &path, End::MayBeTorn).unwrap();
                    let rest = [&good[..from], &good[to..]].concat();
                    assert_eq!(texts(&found), rest, "{what} {from} {to}");
                    assert_eq!((found.damaged.len(), found.torn.len()), (1, 0), "{what}");
                }
            }
        }
    }

    #[test]
    fn a_record_in_the_text_of_one_that_was_cut_is_none() {
        let inner = record("forged");
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&(inner.bytes().len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(inner.bytes()).to_le_bytes());
        bytes.extend_from_slice(inner.bytes());
        let (files, path, _) = written(&["one", "two"]);
        let whole = files.read(&path).unwrap();
        bytes.extend_from_slice(b"more of the line");
        for length in [bytes.len() as u32, 1000] {
            files.change(&path, |content| {
                *content = whole.clone();
                content.extend_from_slice(&length.to_le_bytes());
                content.extend_from_slice(&[7; 4]);
                content.extend_from_slice(&bytes);
            });
            let found = replay(&files, &path, End::MayBeTorn).unwrap();
            assert_eq!((found.records.len(), found.damaged.len()), (2, 0), "{length}");
            assert_eq!(found.torn.len(), bytes.len() + RECORD_HEADER_BYTES);
        }
    }

    #[test]
    fn an_unreadable_sector_costs_what_it_holds() {
        let long = "x".repeat(3000);
        let (files, path, ends) = written(&[&long, &long, &long, "last"]);
        for (bad, expect) in [(0..8, 4), (8..9, 3), (ends[1]..ends[1] + 1, 3), (5000..5001, 3)] {
            files.set_bad(&path, bad.clone());
            let found = replay(&files, &path, End::MayBeTorn).unwrap();
            assert_eq!(found.records.len(), expect, "{bad:?}");
            assert_eq!((found.damaged.len(), found.torn.len()), (1, 0), "{bad:?}");
        }
    }

    #[test]
    fn what_is_behind_the_last_record_of_an_earlier_segment_is_damage() {
        let (files, path, ends) = written(&["one", "two"]);
        files.change(&path, |bytes| bytes.truncate(ends[2] - 1));
        for (end, damaged) in [(End::MayBeTorn, 0), (End::IsWhole, 1)] {
            let found = replay(&files, &path, end).unwrap();
            assert_eq!((found.records.len(), found.damaged.len()), (1, damaged));
            assert_eq!((found.end as usize, found.torn.is_empty()), (ends[1], damaged == 1));
        }
    }
}
