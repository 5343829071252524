//! One file that is being read.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::encoding::Encoding;
use super::identity::{FileKey, Fingerprint, HEAD_BYTES_MAX, NEAR_BYTES_MAX, read_exactly};
use super::position::FilePosition;
use super::split::{Mark, RawLine, Splitter};
use crate::collect::held::{HeldLines, Record};
use crate::collect::line::{self, Extent};
use crate::model::{Entry, Labels, Timestamp};
use crate::text::multiline::MultilineRule;

/// Bytes of one read.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;

pub(super) struct Tail {
    pub key: FileKey,
    /// Where the file is found now.
    pub path: PathBuf,
    /// The name its lines are stored under; stays when rotation renames the file.
    pub label_path: String,
    pub labels: Labels,
    pub stage: Stage,
    /// When something was last read, to choose what to close.
    pub active_ns: i64,
    file: Option<File>,
    splitter: Splitter,
    held: HeldLines<LineMark>,
    /// The first bytes of the file and those before the next read, to notice that the file has
    /// been replaced under the same inode.
    head: Vec<u8>,
    near: Vec<u8>,
    verified_mtime: (i64, i64),
    last_ts: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A pattern matches it.
    Live,
    /// Renamed or deleted: read to its end, then let go.
    Leaving { quiet_since_ns: i64 },
}

#[derive(Debug, Clone, Copy)]
struct LineMark {
    start: u64,
    ts: Timestamp,
    extent: Extent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Idle,
    /// Something was read; `left_bytes` are known to be there still.
    Read {
        left_bytes: u64,
    },
    /// The file has been truncated or written anew; nothing was read.
    Replaced,
    /// The file is not there any more.
    Gone,
}

/// What a step read.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub entries: Vec<Entry>,
    pub lines: u64,
    pub bytes: u64,
    pub cut: u64,
}

impl Tail {
    /// Goes on at a mark in a file that has been recognized (or is new, with a mark of zero).
    pub fn open(
        path: PathBuf,
        label_path: String,
        labels: Labels,
        file: File,
        mark: Mark,
        now_ns: i64,
    ) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let head = read_exactly(&file, 0, HEAD_BYTES_MAX)?;
        let encoding = Encoding::of(&head);
        let known = usize::try_from(mark.offset).unwrap_or(usize::MAX).min(head.len());
        let near_len = mark.offset.min(NEAR_BYTES_MAX as u64);
        let near = read_exactly(
            &file,
            mark.offset - near_len,
            usize::try_from(near_len).unwrap_or_default(),
        )?;
        Ok(Tail {
            key: FileKey::of(&metadata),
            path,
            label_path,
            labels,
            stage: Stage::Live,
            active_ns: now_ns,
            file: Some(file),
            splitter: Splitter::at(mark, encoding),
            held: HeldLines::default(),
            head: head.get(..known).unwrap_or_default().to_vec(),
            near,
            verified_mtime: (0, 0),
            last_ts: Timestamp(0),
        })
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Gives the file descriptor back; the next step that finds something to read opens it again.
    pub fn close(&mut self) {
        self.file = None;
    }

    pub fn head(&self) -> &[u8] {
        &self.head
    }

    pub fn nul_bytes(&self) -> u64 {
        self.splitter.nul_bytes
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.head, self.splitter.next_offset(), &self.near)
    }

    /// `seen_ns` is when files were last looked for.
    pub fn position(&self, seen_ns: i64) -> FilePosition {
        let mark = match self.held.oldest() {
            Some(oldest) => Mark { offset: oldest.start, inside_cut_line: false },
            None => self.splitter.mark(),
        };
        FilePosition::new(mark, self.fingerprint(), self.label_path.clone(), seen_ns)
    }

    /// Reads what there is, up to about `quota_bytes`.
    pub fn step(
        &mut self,
        now_ns: i64,
        quota_bytes: usize,
        rule: Option<&MultilineRule>,
        buffer: &mut [u8],
        taken: &mut Taken,
    ) -> io::Result<Step> {
        if self.file.is_none() && !self.reopen()? {
            return Ok(if self.is_elsewhere() { Step::Gone } else { Step::Idle });
        }
        let Some(file) = self.file.take() else { return Ok(Step::Gone) };
        let step = self.read(&file, now_ns, quota_bytes, rule, buffer, taken);
        self.file = Some(file);
        step
    }

    /// Opens the file again if there is something to read.
    fn reopen(&mut self) -> io::Result<bool> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) if FileKey::of(&metadata) == self.key => metadata,
            Ok(_) => return Ok(self.reopen_moved()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.reopen_moved()),
            Err(error) => return Err(error),
        };
        if metadata.len() == self.splitter.next_offset()
            && (metadata.mtime(), metadata.mtime_nsec()) == self.verified_mtime
        {
            return Ok(false);
        }
        match open_regular(&self.path) {
            Ok(file) if FileKey::of(&file.metadata()?) == self.key => self.file = Some(file),
            Ok(_) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Looks for the file under another name in its folder.
    fn reopen_moved(&mut self) -> bool {
        let Some(moved) = find_moved(&self.path, self.key) else { return false };
        self.file = open_regular(&moved).ok();
        self.path = moved;
        self.file.is_some()
    }

    fn is_elsewhere(&self) -> bool {
        fs::metadata(&self.path).map_or(true, |metadata| FileKey::of(&metadata) != self.key)
    }

    fn read(
        &mut self,
        file: &File,
        now_ns: i64,
        quota_bytes: usize,
        rule: Option<&MultilineRule>,
        buffer: &mut [u8],
        taken: &mut Taken,
    ) -> io::Result<Step> {
        let metadata = file.metadata()?;
        let mtime = (metadata.mtime(), metadata.mtime_nsec());
        let unit_bytes = self.splitter.encoding().unit_bytes();
        let mut read_bytes = 0;
        loop {
            let offset = self.splitter.next_offset();
            let length = file.metadata()?.len();
            if length < offset {
                return Ok(Step::Replaced);
            }
            if length == offset {
                if read_bytes == 0 {
                    // Truncated and written again to the very same length.
                    if mtime != self.verified_mtime && !self.is_same(file)? {
                        return Ok(Step::Replaced);
                    }
                    self.verified_mtime = mtime;
                    return Ok(Step::Idle);
                }
                return Ok(Step::Read { left_bytes: 0 });
            }
            if read_bytes >= quota_bytes {
                return Ok(Step::Read { left_bytes: length - offset });
            }
            let wanted = buffer.len() / unit_bytes * unit_bytes;
            let read = match file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), offset) {
                Ok(read) => read / unit_bytes * unit_bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // Only what is seen after the read proves that the bytes belong to what was read
            // before: a truncation cannot be undone.
            if !self.is_same(file)? {
                return Ok(Step::Replaced);
            }
            if read == 0 {
                return Ok(if read_bytes == 0 { Step::Idle } else { Step::Read { left_bytes: 0 } });
            }
            let block = Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default());
            self.absorb(&block, now_ns, rule, taken);
            read_bytes += read;
            self.active_ns = now_ns;
            if let Stage::Leaving { quiet_since_ns } = &mut self.stage {
                *quiet_since_ns = now_ns;
            }
        }
    }

    fn is_same(&self, file: &File) -> io::Result<bool> {
        let near_at = self.splitter.next_offset() - self.near.len() as u64;
        Ok(read_exactly(file, 0, self.head.len())? == self.head
            && read_exactly(file, near_at, self.near.len())? == self.near)
    }

    fn absorb(
        &mut self,
        block: &Bytes,
        now_ns: i64,
        rule: Option<&MultilineRule>,
        taken: &mut Taken,
    ) {
        if self.splitter.next_offset() == 0 {
            let encoding = Encoding::of(block);
            if encoding != self.splitter.encoding() {
                let mark = Mark { offset: 0, inside_cut_line: false };
                self.splitter = Splitter::at(mark, encoding);
            }
        }
        if self.head.len() < HEAD_BYTES_MAX && self.head.len() as u64 == self.splitter.next_offset()
        {
            let more = block.len().min(HEAD_BYTES_MAX - self.head.len());
            self.head.extend_from_slice(block.get(..more).unwrap_or_default());
        }
        self.near.extend_from_slice(
            block.get(block.len().saturating_sub(NEAR_BYTES_MAX)..).unwrap_or_default(),
        );
        self.near.drain(..self.near.len().saturating_sub(NEAR_BYTES_MAX));
        let mut lines = Vec::new();
        self.splitter.push(block, &mut lines);
        taken.bytes += block.len() as u64;
        for raw in lines {
            self.take_line(raw, now_ns, rule, taken);
        }
    }

    fn take_line(
        &mut self,
        raw: RawLine,
        now_ns: i64,
        rule: Option<&MultilineRule>,
        taken: &mut Taken,
    ) {
        let RawLine { bytes, start, extent } = raw;
        taken.lines += 1;
        taken.cut += u64::from(extent == Extent::Cut);
        let decoded = self.splitter.encoding().decode(bytes);
        let text = decoded.slice(..line::trim_end(&decoded).len());
        // Lines of one file keep their order when sorted by time.
        let ts = Timestamp(now_ns.max(self.last_ts.0.saturating_add(1)));
        self.last_ts = ts;
        let entry = line::entry(ts, text, extent);
        let Some(rule) = rule else {
            taken.entries.push(entry);
            return;
        };
        let mark = LineMark { start, ts, extent };
        for record in self.held.push(rule, &entry.line, mark, now_ns) {
            taken.entries.extend(record_entry(record));
        }
    }

    /// Gives out a record for which no further line has come in time.
    pub fn flush_idle(&mut self, rule: &MultilineRule, now_ns: i64, taken: &mut Taken) {
        let record = self.held.flush_idle(rule, now_ns);
        taken.entries.extend(record.and_then(record_entry));
    }

    /// Gives out a held record. A line without its end stays in the file.
    pub fn flush_held(&mut self, taken: &mut Taken) {
        taken.entries.extend(self.held.flush().and_then(record_entry));
    }

    /// Gives out everything, the last line without its end too: nothing more will come.
    pub fn finish(&mut self, now_ns: i64, rule: Option<&MultilineRule>, taken: &mut Taken) {
        if let Some(rest) = self.splitter.finish() {
            self.take_line(rest, now_ns, rule, taken);
        }
        self.flush_held(taken);
    }

    /// Begins again at the start of the file and forgets what is held.
    pub fn begin_again(&mut self) {
        self.held = HeldLines::default();
        let mark = Mark { offset: 0, inside_cut_line: false };
        self.splitter = Splitter::at(mark, Encoding::Utf8);
        self.head.clear();
        self.near.clear();
        self.verified_mtime = (0, 0);
    }
}

fn record_entry(record: Record<LineMark>) -> Option<Entry> {
    let first = record.marks.first()?;
    let cut = record.marks.iter().any(|mark| mark.extent == Extent::Cut);
    let mut entry = line::entry(first.ts, Bytes::from(record.text), Extent::Whole);
    if cut {
        line::flag_cut(&mut entry);
    }
    Some(entry)
}

/// Opens without ever waiting, should the name stand for a pipe by now.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// The name a file of this folder has now.
pub(super) fn find_moved(path: &Path, key: FileKey) -> Option<PathBuf> {
    fs::read_dir(path.parent()?)
        .ok()?
        .flatten()
        .find(|entry| {
            entry
                .metadata()
                .is_ok_and(|metadata| metadata.is_file() && FileKey::of(&metadata) == key)
        })
        .map(|entry| entry.path())
}
