//! One file of the WAL: a header, then records as length, checksum, bytes.

use std::io;
use std::path::Path;

use super::record::Record;
use crate::store::files::{Files, ReadFile, WriteFile};
use crate::store::varint::Reader;

const MAGIC: &[u8; 8] = b"STKWAL\x00\x01";
pub const RECORD_HEADER_BYTES: usize = 8;

pub fn segment_name(number: u64) -> String {
    format!("{number:012}.wal")
}

pub fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".wal")?.parse().ok()
}

/// A segment open for writing. Bytes up to `synced` are safe, up to `written` whole; what an
/// error leaves behind them is cut off before anything else is written.
pub struct Segment {
    pub number: u64,
    file: Box<dyn WriteFile>,
    synced: u64,
    written: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// A write failed: bytes behind `written` may be torn.
    Torn,
    /// A sync failed: the system may have dropped pages that it reports as written, so this
    /// file takes no more records.
    Lost,
}

impl Segment {
    pub fn create(files: &dyn Files, folder: &Path, number: u64) -> io::Result<Segment> {
        let mut file = files.create(&folder.join(segment_name(number)))?;
        file.append(MAGIC)?;
        file.sync()?;
        files.sync_folder(folder)?;
        let bytes = MAGIC.len() as u64;
        Ok(Segment { number, file, synced: bytes, written: bytes, state: State::Good })
    }

    pub fn bytes(&self) -> u64 {
        self.synced
    }

    /// Whether a new segment must be started because this one cannot be trusted any more.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        if self.state == State::Torn {
            self.file.truncate(self.written)?;
            self.state = State::Good;
        }
        let bytes = record.bytes();
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut header = [0; RECORD_HEADER_BYTES];
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..].copy_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        let written = self.file.append(&header).and_then(|()| self.file.append(bytes));
        if written.is_err() {
            self.state = State::Torn;
            // Frees the space at once; when even that fails it is tried again later.
            if self.file.truncate(self.written).is_ok() {
                self.state = State::Good;
            }
        } else {
            self.written += (RECORD_HEADER_BYTES + bytes.len()) as u64;
        }
        written
    }

    pub fn sync(&mut self) -> io::Result<()> {
        let synced = self.file.sync();
        match synced {
            Ok(()) => self.synced = self.written,
            Err(_) => {
                self.state = State::Lost;
                let _ = self.file.truncate(self.synced);
            }
        }
        synced
    }
}

/// What was found in a segment.
#[derive(Default)]
pub struct Replayed {
    pub records: Vec<Record>,
    /// Bytes that were no whole record at the end, as a crash leaves them, now cut off.
    pub torn: Vec<u8>,
    /// Damaged records with good ones behind them.
    pub damaged: Vec<Vec<u8>>,
}

/// What lies at a place of a segment.
enum Found {
    Record(Record, u64),
    /// Something with a length, up to the given place.
    Damaged(Vec<u8>, u64),
    Nothing,
}

fn read(file: &dyn ReadFile, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
    file.read_at(&mut content, at)?;
    Ok(content)
}

fn record_at(file: &dyn ReadFile, size: u64, at: u64) -> io::Result<Found> {
    let body_at = at + RECORD_HEADER_BYTES as u64;
    if body_at > size {
        return Ok(Found::Nothing);
    }
    let header = read(file, at, RECORD_HEADER_BYTES as u64)?;
    let mut reader = Reader::new(&header);
    let (Some(length), Some(crc)) = (reader.u32(), reader.u32()) else {
        return Ok(Found::Nothing);
    };
    let next = body_at + u64::from(length);
    if next > size {
        return Ok(Found::Nothing);
    }
    let body = read(file, body_at, u64::from(length))?;
    if crc32fast::hash(&body) != crc {
        return Ok(Found::Damaged([header, body].concat(), next));
    }
    Ok(match Record::check(body) {
        Some(record) => Found::Record(record, next),
        None => Found::Damaged(header, next),
    })
}

/// Reads a segment. A torn tail is cut off, so that a later start sees the same records; a
/// damaged record in the middle is left out and handed back.
pub fn replay(files: &dyn Files, path: &Path) -> io::Result<Replayed> {
    let file = files.open(path)?;
    let size = file.bytes()?;
    let magic_bytes = MAGIC.len() as u64;
    let mut found = Replayed::default();
    // A header that never reached the disk holds no acknowledged record behind it.
    let is_whole = size >= magic_bytes && read(&*file, 0, magic_bytes)? == MAGIC;
    let mut good = if is_whole { magic_bytes } else { 0 };
    while good > 0 && good < size {
        match record_at(&*file, size, good)? {
            Found::Record(record, next) => {
                found.records.push(record);
                good = next;
            }
            Found::Damaged(bytes, next)
                if matches!(record_at(&*file, size, next)?, Found::Record(..)) =>
            {
                found.damaged.push(bytes);
                good = next;
            }
            Found::Damaged(..) | Found::Nothing => break,
        }
    }
    if good < size {
        found.torn = read(&*file, good, size - good)?;
        drop(file);
        files.truncate(path, good)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Batch, Entry, Labels, Timestamp};
    use crate::store::files::faulty::FaultyFiles;

    fn record(text: &str) -> Record {
        let mut batch = Batch::new("fake");
        batch.push(&Labels::from_pairs([("a", "1")]), Entry::new(Timestamp(7), text));
        Record::encode(&batch)
    }

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
    fn a_tail_torn_at_any_byte_is_cut() {
        let all = ["one", "two \u{e9}", ""];
        let (files, path, ends) = written(&all);
        let whole = files.read(&path).unwrap();
        for cut in 0..=whole.len() {
            files.change(&path, |bytes| *bytes = whole[..cut].to_vec());
            let found = replay(&files, &path).unwrap();
            let expect = ends.iter().skip(1).filter(|end| **end <= cut).count();
            assert_eq!(found.records.len(), expect, "cut at {cut}");
            let again = replay(&files, &path).unwrap();
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
                let found = texts(&replay(&files, &path).unwrap());
                assert!(found.iter().all(|text| good.contains(text)));
                let in_length_of = ends.iter().position(|end| (*end..*end + 4).contains(&at));
                if at >= ends[0] && in_length_of.is_none() {
                    assert!(found.len() >= 2, "byte {at}");
                }
            }
        }
    }
}
