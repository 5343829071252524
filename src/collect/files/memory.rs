//! What is known about files that have been read before, now or in an earlier life.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use super::identity::FileKey;
use super::names;
use super::position::{FilePosition, PAST_PREFIX, PREFIX, parse_key};
use crate::collect::batch::Positions;
use crate::limits::PAST_FILES_MAX;
use crate::model::Position;

/// How long the position of a vanished file is kept.
const KEEP_NS: i64 = 7 * 24 * 3600 * 1_000_000_000;

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The last position of each inode.
    pub known: BTreeMap<FileKey, FilePosition>,
    /// Contents that have been truncated or overwritten; a copy of one goes on where it ended.
    pub past: Vec<FilePosition>,
    /// Positions that could not be read: damaged, or of a newer version.
    pub unreadable: usize,
    /// When this run last looked for files: whatever is unknown came after that.
    pub scanned_ns: i64,
}

impl Memory {
    pub fn load(positions: &dyn Positions) -> Self {
        let mut memory = Memory::default();
        for (name, value) in positions.list(PREFIX) {
            match (FilePosition::parse(&value), parse_key(&name)) {
                (Some(position), Some(key)) => {
                    memory.known.insert(key, position);
                }
                (Some(position), None) if name.starts_with(PAST_PREFIX) => {
                    memory.past.push(position);
                }
                _ => memory.unreadable += 1,
            }
        }
        memory.past.sort_by_key(|position| position.seen_ns);
        memory
    }

    /// Whether nothing has ever been read.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.past.is_empty()
    }

    /// All paths of files that have been read.
    pub fn paths(&self) -> BTreeSet<String> {
        self.known.values().chain(&self.past).map(|position| position.path.clone()).collect()
    }

    /// When files were last looked for while this path was being read.
    pub fn seen_ns(&self, path: &str) -> Option<i64> {
        let positions = self.known.values().chain(&self.past);
        positions.filter(|position| position.path == path).map(|position| position.seen_ns).max()
    }

    pub fn newest_ns(&self) -> i64 {
        self.known.values().map(|position| position.seen_ns).max().unwrap_or(i64::MAX)
    }

    pub fn knows_path(&self, path: &str) -> bool {
        self.known.values().chain(&self.past).any(|position| position.path == path)
    }

    /// Remembers a content that is no longer in its file; gives the positions to write.
    pub fn retire(&mut self, position: FilePosition) -> Vec<Position> {
        if position.print.head_len == 0 {
            return Vec::new();
        }
        let mut notes = vec![Position { source: position.past_name(), value: position.to_text() }];
        self.past.push(position);
        let surplus = self.past.len().saturating_sub(PAST_FILES_MAX);
        for dropped in self.past.drain(..surplus) {
            notes.push(Position { source: dropped.past_name(), value: String::new() });
        }
        notes
    }

    /// The position of an earlier file whose content this new inode holds: a copy, or the same
    /// file moved across file systems. `reading` tells which inodes are being read.
    pub fn recognize(
        &self,
        path: &Path,
        file: &File,
        reading: &dyn Fn(FileKey) -> bool,
    ) -> Option<FilePosition> {
        self.left(reading)
            .filter(|position| position.print.is_sure())
            .filter(|position| names::related(Path::new(&position.path), path))
            .find(|position| position.print.fits(file).unwrap_or(false))
            .cloned()
    }

    /// Positions of files that nobody reads any more, those left last first.
    fn left(&self, reading: &dyn Fn(FileKey) -> bool) -> impl Iterator<Item = &FilePosition> {
        let gone = self.known.iter().filter(move |(key, _)| !reading(**key)).map(|(_, p)| p);
        self.past.iter().rev().chain(gone)
    }

    /// The same for a file whose name says that it was rotated away from `label_path`: a short
    /// beginning is then enough.
    pub fn recognize_rotated(
        &self,
        label_path: &str,
        file: &File,
        reading: &dyn Fn(FileKey) -> bool,
    ) -> Option<FilePosition> {
        self.left(reading)
            .filter(|position| position.path == label_path && position.print.head_len > 0)
            .find(|position| position.print.fits(file).unwrap_or(false))
            .cloned()
    }

    /// Forgets files that have been away for long; gives the positions to remove.
    pub fn forget(&mut self, now_ns: i64, reading: &dyn Fn(FileKey) -> bool) -> Vec<Position> {
        let old = |position: &FilePosition| now_ns.saturating_sub(position.seen_ns) > KEEP_NS;
        let mut notes = Vec::new();
        self.known.retain(|key, position| {
            let there = || {
                fs::metadata(&position.path).is_ok_and(|metadata| FileKey::of(&metadata) == *key)
            };
            let keep = !old(position) || reading(*key) || there();
            if !keep {
                notes.push(Position { source: key.to_string(), value: String::new() });
            }
            keep
        });
        self.past.retain(|position| {
            let keep = !old(position);
            if !keep {
                notes.push(Position { source: position.past_name(), value: String::new() });
            }
            keep
        });
        notes
    }
}
