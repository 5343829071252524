//! Finds files, and decides where each is begun.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::encoding::Encoding;
use super::glob::Found;
use super::identity::{FileKey, HEAD_BYTES_SURE, read_exactly};
use super::names;
use super::poller::{Poller, Waiting};
use super::split::Mark;
use super::tail::{Stage, Tail, open_regular};
use crate::collect::settings::Start;
use crate::collect::status::SourceState;
use crate::limits::{FILE_BACKFILL_BYTES, FILES_MAX, LINE_BYTES_MAX};
use crate::model::Labels;

const SECOND_NS: i64 = 1_000_000_000;
/// Files are looked for this often; more often while there are few.
const SCAN_NS: i64 = 10 * SECOND_NS;
const SCAN_FEW_NS: i64 = 2 * SECOND_NS;
const FEW_FILES: usize = 500;
/// What the default start counts as recent.
const RECENT_NS: i64 = 24 * 3600 * SECOND_NS;

/// File times come from a coarse clock that may be this far behind.
const FILE_TIME_SLACK_NS: i64 = 50_000_000;

const ZERO: Mark = Mark { offset: 0, inside_cut_line: false };

impl Poller {
    pub(super) fn scan(&mut self, now_ns: i64) {
        let (found, errors) = self.find();
        let few = found.len() <= FEW_FILES;
        self.next_scan_ns = now_ns.saturating_add(if few { SCAN_FEW_NS } else { SCAN_NS });
        let mut seen = BTreeSet::new();
        for file in found.into_values() {
            seen.insert(file.key);
            self.meet(file, now_ns);
        }
        self.waiting.retain(|key, _| seen.contains(key));
        let mut rotated = BTreeSet::new();
        for tail in self.tails.values_mut() {
            if tail.stage == Stage::Live && !seen.contains(&tail.key) {
                tail.stage = Stage::Leaving { quiet_since_ns: now_ns };
                rotated.insert(tail.label_path.clone());
            }
        }
        if !self.scanned {
            self.scanned = true;
            if self.memory.unreadable > 0 {
                tracing::warn!(
                    source = %self.ctx.name,
                    positions = self.memory.unreadable,
                    "positions of files cannot be read; the files are begun as on a first start"
                );
            }
            rotated.extend(self.memory.paths());
        }
        for path in rotated {
            self.recover(&path, Lookout::Missed, now_ns);
        }
        self.memory.scanned_ns = now_ns;
        let notes = self.memory.forget(now_ns, &|key| self.tails.contains_key(&key));
        self.notes.extend(notes);
        match errors.first() {
            Some(error) => self.ctx.status.fail(SourceState::Running, error),
            None => self.ctx.status.set_state(SourceState::Running),
        }
    }

    /// All files that match, each inode once, in the order of their paths.
    fn find(&self) -> (BTreeMap<FileKey, Found>, Vec<String>) {
        let mut found = BTreeMap::new();
        let mut errors = Vec::new();
        for glob in &self.settings.include {
            let mut take = |file: Found| {
                let excluded = names::is_compressed(&file.path)
                    || self.settings.exclude.iter().any(|glob| glob.matches(&file.path));
                if !excluded && found.len() < FILES_MAX {
                    found.entry(file.key).or_insert(file);
                }
            };
            glob.walk(&mut take, &mut errors);
        }
        if found.len() >= FILES_MAX {
            errors.insert(0, format!("more than {FILES_MAX} files match; narrow the patterns"));
        }
        (found, errors)
    }

    /// A file that matches: one that is being read, or a new one.
    fn meet(&mut self, found: Found, now_ns: i64) {
        if let Some(tail) = self.tails.get_mut(&found.key) {
            if tail.path != found.path {
                self.ctx.status.remove_target(&tail.path.display().to_string());
                tail.path = found.path;
            }
            tail.stage = Stage::Live;
            return;
        }
        let too_old = self.settings.ignore_older.is_some_and(|age| {
            let age_ns = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
            now_ns.saturating_sub(found.modified_ns) > age_ns
        });
        if too_old || !self.ctx.claims.take(&found.key.to_string(), &self.ctx.name) {
            return;
        }
        if let Err(error) = self.adopt(&found, now_ns) {
            self.ctx.claims.release(&found.key.to_string(), &self.ctx.name);
            // Gone between the listing and now: the next look will tell.
            if error.kind() == io::ErrorKind::NotFound {
                return;
            }
            self.ctx.tally.errors.inc();
            let id = found.path.display().to_string();
            self.ctx.status.target(&id, &id, |target| {
                target.state = SourceState::Unreadable;
                target.last_error = Some(error.to_string());
            });
        }
    }

    /// Begins a new file where it ought to be begun.
    fn adopt(&mut self, found: &Found, now_ns: i64) -> io::Result<()> {
        let path = found.path.display().to_string();
        if self.labels_of(&path).is_none() {
            return Ok(());
        }
        let file = open_regular(&found.path)?;
        if FileKey::of(&file.metadata()?) != found.key {
            return Ok(());
        }
        if let Some(position) = self.memory.known.get(&found.key).cloned() {
            if position.print.fits(&file)? {
                // Rotation renamed it: its lines stay where its earlier lines are.
                let renamed = names::related(Path::new(&position.path), &found.path);
                let label_path = if renamed { position.path.clone() } else { path };
                return self.begin(found, file, &label_path, position.mark(), now_ns);
            }
            // Another content under a known inode: truncated, or the inode is used again.
            let notes = self.memory.retire(position);
            self.notes.extend(notes);
            return self.begin(found, file, &path, ZERO, now_ns);
        }
        let reading = |key: FileKey| self.tails.contains_key(&key);
        if let Some(position) = self.memory.recognize(&found.path, &file, &reading) {
            self.waiting.remove(&found.key);
            return self.begin(found, file, &path, position.mark(), now_ns);
        }
        if self.is_copy_in_the_making(found, &file, now_ns)? {
            return Ok(());
        }
        self.waiting.remove(&found.key);
        let mark = if self.scanned || self.appeared_while_away(found) {
            ZERO
        } else {
            self.first_mark(found, &file, now_ns)?
        };
        self.begin(found, file, &path, mark, now_ns)
    }

    pub(super) fn begin(
        &mut self,
        found: &Found,
        file: File,
        label_path: &str,
        mark: Mark,
        now_ns: i64,
    ) -> io::Result<()> {
        let Some(labels) = self.labels_of(label_path) else { return Ok(()) };
        let path = found.path.clone();
        let tail = Tail::open(path, label_path.to_owned(), labels, file, mark, now_ns)?;
        let id = found.path.display().to_string();
        self.ctx.status.target(&id, &id, |target| target.state = SourceState::Running);
        // Written at once, so that a file is never taken for an unknown one after a crash.
        self.moved.insert(tail.key);
        self.tails.insert(tail.key, tail);
        Ok(())
    }

    fn labels_of(&self, path: &str) -> Option<Labels> {
        let service = names::service_of(path);
        let native =
            [("filename", path), ("host", &*self.ctx.host), ("service_name", service.as_str())];
        let meta =
            [("__path__".to_owned(), path.to_owned()), ("filename".to_owned(), path.to_owned())];
        self.ctx.labeling.labels(&native, &meta)
    }

    /// Whether a file has the beginning of one that is being read: rotation copies a file and
    /// truncates it a moment later. What has not been truncated in time is a file of its own.
    fn is_copy_in_the_making(
        &mut self,
        found: &Found,
        file: &File,
        now_ns: i64,
    ) -> io::Result<bool> {
        let wait_ns = i64::try_from(self.settings.rotate_wait.as_nanos()).unwrap_or(i64::MAX);
        let mut original = None;
        for tail in self.tails.values() {
            let head = tail.head();
            let sure = head.len() >= HEAD_BYTES_SURE && head.iter().any(|byte| *byte != 0);
            if sure
                && names::related(&tail.path, &found.path)
                && read_exactly(file, 0, head.len())? == head
            {
                let diverged =
                    found.size >= tail.fingerprint().at && !tail.fingerprint().fits(file)?;
                original = (!diverged).then_some(tail.key);
                if original.is_some() {
                    break;
                }
            }
        }
        let Some(of) = original else { return Ok(false) };
        let waiting =
            self.waiting.entry(found.key).or_insert(Waiting { of, size: 0, since_ns: now_ns });
        if found.size > waiting.size || waiting.of != of {
            *waiting = Waiting { of, size: found.size, since_ns: now_ns };
        }
        Ok(now_ns.saturating_sub(waiting.since_ns) < wait_ns)
    }

    /// A file that came into being since the last run is read from its beginning.
    fn appeared_while_away(&self, found: &Found) -> bool {
        if self.memory.is_empty() {
            return false;
        }
        let newest_ns = self.memory.newest_ns();
        found
            .created_ns
            .is_some_and(|created_ns| created_ns > newest_ns.saturating_sub(FILE_TIME_SLACK_NS))
            || self.memory.knows_path(&found.path.to_string_lossy())
    }

    /// Where a file that was there before the first start is begun.
    fn first_mark(&self, found: &Found, file: &File, now_ns: i64) -> io::Result<Mark> {
        let age_ns = now_ns.saturating_sub(found.modified_ns);
        let encoding = Encoding::of(&read_exactly(file, 0, 2)?);
        if encoding != Encoding::Utf8 {
            // Line ends of two bytes are not searched for backwards.
            let recent = self.settings.start != Some(Start::End) && age_ns <= RECENT_NS;
            let offset = if recent { 0 } else { found.size / 2 * 2 };
            return Ok(Mark { offset, inside_cut_line: false });
        }
        let offset = match self.settings.start {
            Some(Start::Beginning) => 0,
            Some(Start::End) => line_start_before(file, found.size, 0)?,
            Some(Start::Tail(lines)) => line_start_before(file, found.size, lines)?,
            Some(Start::Within(age)) => {
                let age_max_ns = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
                if age_ns <= age_max_ns { 0 } else { line_start_before(file, found.size, 0)? }
            }
            None if age_ns > RECENT_NS => line_start_before(file, found.size, 0)?,
            None if found.size <= FILE_BACKFILL_BYTES => 0,
            None => line_start_before(file, found.size - FILE_BACKFILL_BYTES, 0)?,
        };
        Ok(Mark { offset, inside_cut_line: false })
    }

    /// Looks beside a path for what rotation made of it: files that were not read to their end,
    /// under whatever name, and copies of contents that have been truncated. With
    /// `Lookout::Missed`, files that came and were rotated away between two looks are read from
    /// their beginning. Says whether anything was found.
    pub(super) fn recover(&mut self, label_path: &str, lookout: Lookout, now_ns: i64) -> bool {
        let original = Path::new(label_path);
        let (Some(folder), Some(name)) = (original.parent(), original.file_name()) else {
            return false;
        };
        let Ok(entries) = fs::read_dir(folder) else { return false };
        let seen_ns = self.memory.seen_ns(label_path);
        let mut anything = false;
        for entry in entries.flatten() {
            let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
            if !metadata.is_file() || names::is_compressed(&path) {
                continue;
            }
            let found = Found::new(path, &metadata);
            if self.tails.contains_key(&found.key) {
                continue;
            }
            let Ok(file) = open_regular(&found.path) else { continue };
            let mark = match self.memory.known.get(&found.key) {
                Some(known) if known.print.fits(&file).unwrap_or(false) => {
                    (known.path == label_path).then_some(known.mark())
                }
                _ => {
                    let reading = |key: FileKey| self.tails.contains_key(&key);
                    let rotated = names::is_rotated_name(
                        &name.to_string_lossy(),
                        &entry.file_name().to_string_lossy(),
                    );
                    let mut copied = self.memory.recognize(&found.path, &file, &reading);
                    if copied.is_none() && rotated {
                        copied = self.memory.recognize_rotated(label_path, &file, &reading);
                    }
                    let born_ns = found.created_ns.unwrap_or(found.modified_ns);
                    let missed = lookout == Lookout::Missed
                        && rotated
                        && seen_ns
                            .is_some_and(|ns| born_ns > ns.saturating_sub(FILE_TIME_SLACK_NS));
                    copied.map(|position| position.mark()).or(missed.then_some(ZERO))
                }
            };
            let Some(mark) = mark.filter(|mark| mark.offset < found.size) else { continue };
            if !self.ctx.claims.take(&found.key.to_string(), &self.ctx.name) {
                continue;
            }
            if self.begin(&found, file, label_path, mark, now_ns).is_ok()
                && let Some(tail) = self.tails.get_mut(&found.key)
            {
                // If a pattern matches it, the next look makes it live.
                tail.stage = Stage::Leaving { quiet_since_ns: now_ns };
                self.waiting.remove(&found.key);
                anything = true;
            }
        }
        anything
    }
}

/// What to look for beside a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookout {
    Known,
    Missed,
}

/// The offset at which the line begins that is `lines` whole lines before `end`. Looks back over
/// a bounded stretch and takes its beginning when there are not as many lines.
fn line_start_before(file: &File, end: u64, lines: u64) -> io::Result<u64> {
    const BLOCK: u64 = 64 * 1024;
    let bottom = end.saturating_sub(FILE_BACKFILL_BYTES.max(LINE_BYTES_MAX as u64));
    let mut wanted = lines.saturating_add(1);
    let mut top = end;
    while top > bottom {
        let from = top.saturating_sub(BLOCK).max(bottom);
        let length = usize::try_from(top - from).unwrap_or_default();
        let block = read_exactly(file, from, length)?;
        for at in memchr::memrchr_iter(b'\n', &block) {
            wanted -= 1;
            if wanted == 0 {
                return Ok(from + at as u64 + 1);
            }
        }
        top = from;
    }
    Ok(bottom)
}
