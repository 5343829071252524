//! What a start finds on disk, and how it becomes a store again.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::counters::Counters;
use super::deletes::{self, Book};
use super::error::StoreError;
use super::files::{Files, Kind, move_file};
use super::kept::{self, Copies, Loaded};
use super::manifest::{Manifest, PartInfo};
use super::part::{Opened, Part, part_name, part_number};
use super::wal::{segment_name, segment_number};

/// Lies in a data directory while a backup is copied into it.
pub(super) const RESTORING: &str = "restoring";

pub(super) struct Recovered {
    pub manifest: Manifest,
    pub deletes: Book,
    pub parts: Vec<Arc<Part>>,
    /// Segments of the WAL that are not in parts; still to be replayed.
    pub segments: Vec<u64>,
    pub next_segment: u64,
}

struct Recovery<'a> {
    files: &'a Arc<dyn Files>,
    folder: &'a Path,
    counters: &'a Counters,
}

pub(super) fn recover(
    files: &Arc<dyn Files>,
    folder: &Path,
    counters: &Counters,
) -> Result<Recovered, StoreError> {
    let recovery = Recovery { files, folder, counters };
    recovery.check_whole()?;
    let segments = recovery.segments()?;
    let (mut deletes, deletes_fault) = deletes::load(files, folder)?;
    let (mut manifest, copies) = match kept::load::<Manifest>(&**files, folder)? {
        Loaded::Good(manifest, copies) => (manifest, copies),
        Loaded::Missing => (recovery.rebuild(&segments, &deletes, "missing")?, Copies::Both),
        Loaded::Damaged => (recovery.rebuild(&segments, &deletes, "damaged")?, Copies::Both),
    };
    if let Some(fault) = deletes_fault {
        counters.quarantined("deletes");
        manifest.quarantined.push(fault);
    }
    // Numbers go on even when the list of requests was lost.
    let used = manifest.parts.iter().map(|info| info.deletes_seq).max().unwrap_or_default();
    deletes.next_seq = deletes.next_seq.max(used + 1);
    recovery.remove_unlisted(&mut manifest, copies)?;
    kept::mend(&manifest, copies, &**files, folder);

    let parts_folder = folder.join("parts");
    let parts =
        manifest.parts.iter().map(|info| Part::new(files, &parts_folder, info.clone())).collect();
    for number in segments.iter().filter(|number| **number < manifest.wal_floor) {
        let path = folder.join("wal").join(segment_name(*number));
        files.remove(&path).map_err(StoreError::io(&path))?;
    }
    let next_segment =
        segments.last().map_or(manifest.wal_floor, |last| manifest.wal_floor.max(last + 1));
    let segments = segments.into_iter().filter(|number| *number >= manifest.wal_floor).collect();
    Ok(Recovered { manifest, deletes, parts, segments, next_segment })
}

impl Recovery<'_> {
    /// A restore that did not get to its end has left a mark.
    fn check_whole(&self) -> Result<(), StoreError> {
        match self.files.open(&self.folder.join(RESTORING)) {
            Ok(_) => Err(StoreError::Restoring { path: self.folder.to_owned() }),
            Err(_) => Ok(()),
        }
    }

    fn segments(&self) -> Result<Vec<u64>, StoreError> {
        let folder = self.folder.join("wal");
        let listed = self.files.list(&folder).map_err(StoreError::io(&folder))?;
        let mut numbers: Vec<u64> =
            listed.iter().filter_map(|listed| segment_number(&listed.name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// All part files as (day, name, number), and names that are no parts.
    fn part_files(&self) -> Result<Vec<(String, String)>, StoreError> {
        let parts = self.folder.join("parts");
        let mut found = Vec::new();
        for day in self.files.list(&parts).map_err(StoreError::io(&parts))? {
            if day.kind != Kind::Folder {
                continue;
            }
            let folder = parts.join(&day.name);
            for file in self.files.list(&folder).map_err(StoreError::io(&folder))? {
                found.push((day.name.clone(), file.name));
            }
        }
        Ok(found)
    }

    /// Makes the list of parts from the parts themselves. Source positions of before the WAL
    /// are gone; sources then read again from where they were told to start, and what they
    /// send twice is dropped.
    fn rebuild(&self, segments: &[u64], deletes: &Book, why: &str) -> Result<Manifest, StoreError> {
        let mut manifest = Manifest::default();
        let mut found = Vec::new();
        for (day, name) in self.part_files()? {
            let Some(id) = part_number(&name) else { continue };
            let path = self.folder.join("parts").join(&day).join(&name);
            manifest.next_part = manifest.next_part.max(id + 1);
            match Opened::open(&**self.files, &path) {
                Ok(opened) => found.push((id, day, opened)),
                Err(StoreError::Damaged { what, .. }) => {
                    self.quarantine(&mut manifest, &day, id, &what)?;
                }
                Err(error) => return Err(error),
            }
        }
        // A new part counts only when the segments it was made of are gone: before that, other
        // parts of the same head may be missing, and the WAL still has everything.
        let is_open = |wal_segment: u64| segments.iter().any(|number| *number <= wal_segment);
        let replaced: BTreeSet<u64> =
            found.iter().flat_map(|(_, _, opened)| opened.table.replaces.iter().copied()).collect();
        for (id, day, opened) in found {
            let table = &opened.table;
            if replaced.contains(&id) || (table.level == 0 && is_open(table.wal_segment)) {
                continue;
            }
            manifest.wal_floor = manifest.wal_floor.max(table.wal_segment + 1);
            let mut info = table.info(id, &day, opened.disk_bytes);
            // Which requests came before a part was written only its time tells.
            let before =
                deletes.requests.iter().filter(|request| request.created_ns < table.created_ns);
            info.deletes_seq = before.map(|request| request.seq).max().unwrap_or_default();
            manifest.parts.push(info);
        }
        manifest.parts.sort_by_key(|info| info.id);
        if !manifest.parts.is_empty() || why == "damaged" {
            tracing::error!(why, parts = manifest.parts.len(), "made the manifest anew from parts");
            manifest.save(&**self.files, self.folder)?;
        }
        Ok(manifest)
    }

    fn quarantine(
        &self,
        manifest: &mut Manifest,
        day: &str,
        id: u64,
        what: &str,
    ) -> Result<(), StoreError> {
        let name = move_aside(&**self.files, self.folder, day, id)?;
        tracing::error!(part = %name, what, "moved a damaged part to the quarantine folder");
        self.counters.quarantined("part");
        manifest.quarantined.push(format!("{name}: {what}"));
        Ok(())
    }

    /// Removes what a crash left: parts that never got into the manifest or have left it.
    /// Parts that were to be moved aside are, and so are those that a newer manifest may have
    /// listed. Listed parts that are gone are named.
    fn remove_unlisted(&self, manifest: &mut Manifest, copies: Copies) -> Result<(), StoreError> {
        let may_be_older = copies == Copies::Second;
        let next_part = manifest.next_part;
        let mut present = BTreeSet::new();
        for (day, name) in self.part_files()? {
            let id = part_number(&name);
            let is_listed =
                |id: u64| manifest.parts.iter().any(|info| info.id == id && info.day == day);
            let is_named = |id: u64| {
                let start = format!("{}:", quarantine_name(&day, id));
                manifest.quarantined.iter().any(|named| named.starts_with(&start))
            };
            match id {
                Some(id) if is_listed(id) => {
                    present.insert(id);
                }
                Some(id) if is_named(id) => {
                    move_aside(&**self.files, self.folder, &day, id)?;
                }
                Some(id) if may_be_older && id >= next_part => {
                    manifest.next_part = manifest.next_part.max(id + 1);
                    self.quarantine(manifest, &day, id, "not in the older list of parts")?;
                }
                _ => {
                    let folder = self.folder.join("parts").join(&day);
                    let path = folder.join(&name);
                    self.files.remove(&path).map_err(StoreError::io(&path))?;
                    let _ = self.files.remove_folder(&folder);
                }
            }
        }
        let missing: Vec<PartInfo> =
            manifest.parts.iter().filter(|info| !present.contains(&info.id)).cloned().collect();
        for info in missing {
            tracing::error!(day = %info.day, part = info.id, "a part is missing");
            self.counters.quarantined("missing");
            manifest.quarantined.push(format!("{}: missing", quarantine_name(&info.day, info.id)));
            manifest.parts.retain(|other| other.id != info.id);
        }
        Ok(())
    }
}

/// Moves a part to the quarantine folder and gives its name there. After it neither folder
/// forgets that, so a list that names the part no more can be saved.
pub(super) fn move_aside(
    files: &dyn Files,
    folder: &Path,
    day: &str,
    id: u64,
) -> Result<String, StoreError> {
    let name = quarantine_name(day, id);
    let from = folder.join("parts").join(day).join(part_name(id));
    let to = folder.join("quarantine").join(&name);
    move_file(files, &from, &to).map_err(StoreError::io(&from))?;
    Ok(name)
}

pub(super) fn quarantine_name(day: &str, id: u64) -> String {
    format!("{day}-{}", part_name(id))
}
