//! Whole files in real folders, with the poller stepped by hand.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::glob::Glob;
use super::poller::{FilesSettings, Poller};
use crate::clock::{Clock, SimClock, SystemClock};
use crate::collect::batch::{MemoryPositions, SourceBatch};
use crate::collect::context::SourceContext;
use crate::collect::settings::{Start, multiline_preset};
use crate::limits::LINE_BYTES_MAX;

/// A folder with log files, a poller over it, and what has been committed.
struct World {
    folder: tempfile::TempDir,
    positions: Arc<MemoryPositions>,
    poller: Poller,
    settings: fn(&str) -> FilesSettings,
    clock: SimClock,
    /// Delivered and not yet committed: lost by a crash.
    pending: Vec<SourceBatch>,
    /// Committed lines by file name.
    lines: BTreeMap<String, Vec<String>>,
}

fn settings(folder: &str) -> FilesSettings {
    FilesSettings {
        include: Glob::parse(&format!("{folder}/*.log")).unwrap(),
        exclude: Vec::new(),
        rule: None,
        start: None,
        ignore_older: None,
        rotate_wait: Duration::from_secs(10),
        open_max: 100,
    }
}

fn poller(
    folder: &tempfile::TempDir,
    positions: &Arc<MemoryPositions>,
    settings: fn(&str) -> FilesSettings,
    clock: &SimClock,
) -> Poller {
    let ctx = SourceContext::for_tests(positions.clone(), clock.shared());
    Poller::new(ctx, settings(&folder.path().display().to_string()))
}

impl World {
    fn new(settings: fn(&str) -> FilesSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let positions = Arc::new(MemoryPositions::default());
        let clock = SimClock::new(SystemClock.now_ns());
        let poller = poller(&folder, &positions, settings, &clock);
        World {
            folder,
            positions,
            poller,
            settings,
            clock,
            pending: Vec::new(),
            lines: BTreeMap::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn copytruncate(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
        OpenOptions::new().write(true).open(self.path(from)).unwrap().set_len(0).unwrap();
    }

    /// One round that looks for files too.
    fn poll(&mut self) {
        let pending = &mut self.pending;
        self.poller.scan_soon();
        self.poller
            .poll_once(self.clock.now_ns(), &mut |batch| {
                pending.push(batch);
                Ok(())
            })
            .unwrap();
    }

    fn wait(&mut self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
        self.poll();
    }

    fn commit(&mut self, batches: usize) {
        let count = batches.min(self.pending.len());
        for SourceBatch { batch, .. } in self.pending.drain(..count) {
            self.positions.commit(&batch);
            for stream in batch.streams {
                let name = stream.labels.get("filename").unwrap();
                let name = name.rsplit('/').next().unwrap().to_owned();
                let lines = self.lines.entry(name).or_default();
                lines.extend(stream.entries.iter().map(|entry| entry.line.to_string()));
            }
        }
    }

    /// Dies, and starts again with what was committed.
    fn kill(&mut self) {
        self.pending.clear();
        self.restart();
    }

    fn restart(&mut self) {
        self.poller = poller(&self.folder, &self.positions, self.settings, &self.clock);
    }

    /// Polls, commits everything, and shows what has come since the last time.
    #[track_caller]
    fn check(&mut self, expect: &[(&str, &[&str])]) {
        self.poll();
        self.poll();
        self.commit(usize::MAX);
        let got: Vec<(String, Vec<String>)> = std::mem::take(&mut self.lines).into_iter().collect();
        let expect: Vec<(String, Vec<String>)> = expect
            .iter()
            .map(|(name, lines)| {
                ((*name).to_owned(), lines.iter().map(|line| (*line).to_owned()).collect())
            })
            .collect();
        assert_eq!(got, expect);
    }
}

/// A first line that is long enough to recognize a file by.
fn banner(name: &str) -> String {
    format!("{name} {}", "=".repeat(300))
}

#[test]
fn reads_what_is_appended_and_keeps_half_lines() {
    let mut world = World::new(settings);
    world.append("a.log", "one\ntw");
    world.append("b.txt", "no\n");
    world.check(&[("a.log", &["one"])]);
    world.append("a.log", "o\r\n\nthree\n");
    world.check(&[("a.log", &["two", "", "three"])]);
    world.check(&[]);
    world.append("a.log", "half");
    world.check(&[]);
    world.kill();
    world.append("a.log", " done\n");
    world.check(&[("a.log", &["half done"])]);
}

#[test]
fn follows_a_renamed_file_to_its_end() {
    let mut world = World::new(settings);
    world.append("a.log", "1\n");
    world.check(&[("a.log", &["1"])]);
    let mut late = OpenOptions::new().append(true).open(world.path("a.log")).unwrap();
    late.write_all(b"2\n").unwrap();
    world.rename("a.log", "a.log.1");
    world.append("a.log", "4\n");
    late.write_all(b"3\n").unwrap();
    world.check(&[("a.log", &["2", "3", "4"])]);
    late.write_all(b"late").unwrap();
    world.check(&[]);
    world.wait(11);
    world.check(&[("a.log", &["late"])]);
    assert!(world.poller.tails.len() == 1);
}

#[test]
fn reads_a_deleted_file_to_its_end() {
    let mut world = World::new(settings);
    world.append("a.log", "1\n");
    world.poll();
    world.append("a.log", "2\nrest");
    fs::remove_file(world.path("a.log")).unwrap();
    world.poll();
    world.wait(11);
    world.check(&[("a.log", &["1", "2", "rest"])]);
    assert!(world.poller.tails.is_empty());
}

#[test]
fn rotation_while_away_loses_nothing() {
    let mut world = World::new(settings);
    world.append("a.log", "1\n");
    world.check(&[("a.log", &["1"])]);
    world.append("a.log", "2\n");
    world.rename("a.log", "a.log.1");
    world.append("a.log", "3\n");
    world.rename("a.log.1", "a.log.2");
    world.rename("a.log", "a.log.1");
    world.append("a.log", "4\n");
    world.append("a.log.notes", "not ours\n");
    world.kill();
    world.poll();
    world.poll();
    world.commit(usize::MAX);
    let mut lines = world.lines.remove("a.log").unwrap();
    lines.sort();
    assert_eq!(lines, ["2", "3", "4"]);
    world.wait(20);
    world.check(&[]);
    world.kill();
    world.check(&[]);
}

#[test]
fn copytruncate_is_noticed_whatever_the_new_length() {
    for (after, name) in
        [("n\n", "shorter"), ("new line\n", "equal"), ("new line and more\n", "longer")]
    {
        let mut world = World::new(settings);
        world.append("a.log", "old line\n");
        world.check(&[("a.log", &["old line"])]);
        world.copytruncate("a.log", "a.log.1");
        world.append("a.log", after);
        // Even a file system with coarse times must show that something was written.
        let later = std::time::SystemTime::now() + Duration::from_secs(1);
        File::options()
            .append(true)
            .open(world.path("a.log"))
            .unwrap()
            .set_modified(later)
            .unwrap();
        world.check(&[("a.log", &[after.trim_end()])]);
        assert!(world.poller.tails.len() == 1, "{name}");
    }
}

#[test]
fn what_was_truncated_unread_is_read_in_the_copy() {
    let mut world = World::new(settings);
    let banner = banner("a");
    world.append("a.log", format!("{banner}\n1\n"));
    world.check(&[("a.log", &[&banner, "1"])]);
    world.append("a.log", "2\n");
    world.copytruncate("a.log", "a.log.1");
    world.append("a.log", "3\n");
    world.check(&[("a.log", &["2", "3"])]);
    world.append("a.log", "4\n");
    world.copytruncate("a.log", "a.log.2");
    world.kill();
    world.append("a.log", "5\n");
    world.check(&[("a.log", &["4", "5"])]);
}

#[test]
fn a_copy_that_the_pattern_matches_is_not_read_again() {
    let mut world = World::new(settings);
    let banner = banner("a");
    world.append("a.log", format!("{banner}\n1\n"));
    world.check(&[("a.log", &[&banner, "1"])]);
    // The copy is seen before the truncation.
    fs::copy(world.path("a.log"), world.path("a-1.log")).unwrap();
    world.check(&[]);
    world.append("a.log", "2\n");
    world.append("a-1.log", "2\n");
    world.check(&[("a.log", &["2"])]);
    OpenOptions::new().write(true).open(world.path("a.log")).unwrap().set_len(0).unwrap();
    world.check(&[]);
    world.wait(60);
    world.check(&[]);
    world.kill();
    world.check(&[]);
}

#[test]
fn files_that_only_begin_alike_are_all_read() {
    let mut world = World::new(settings);
    let banner = format!("{}\n", banner("same").repeat(8));
    for number in 0..20 {
        world.append(&format!("job-{number}.log"), &banner);
    }
    world.poll();
    for number in 20..40 {
        world.append(&format!("job-{number}.log"), &banner);
    }
    world.poll();
    for number in 0..40 {
        world.append(&format!("job-{number}.log"), format!("{number}\n"));
    }
    world.wait(11);
    world.wait(11);
    world.commit(usize::MAX);
    assert_eq!(world.lines.len(), 40);
    for (name, lines) in &world.lines {
        assert_eq!(lines.len(), 2, "{name}");
    }
}

#[test]
fn an_inode_used_again_is_a_new_file() {
    let mut world = World::new(settings);
    world.append("a.log", "first\n");
    world.check(&[("a.log", &["first"])]);
    // What reuse of the inode looks like to a reader that had closed the file.
    fs::write(world.path("a.log"), "other content\n").unwrap();
    world.kill();
    world.check(&[("a.log", &["other content"])]);
}

#[test]
fn few_descriptors_are_enough_for_many_files() {
    let mut world = World::new(|folder| FilesSettings { open_max: 3, ..settings(folder) });
    for number in 0..20 {
        world.append(&format!("{number}.log"), "1\n");
    }
    world.poll();
    for number in 0..20 {
        world.append(&format!("{number}.log"), "2\n");
        world.rename(&format!("{number}.log"), &format!("{number}.log.1"));
        world.append(&format!("{number}.log"), "3\n");
    }
    world.poll();
    assert!(world.poller.tails.values().filter(|tail| tail.is_open()).count() <= 3);
    world.poll();
    world.commit(usize::MAX);
    for lines in world.lines.values() {
        assert_eq!(lines.len(), 3, "{:?}", world.lines);
    }
}

#[test]
fn links_and_compressed_files_are_not_read_twice() {
    let mut world = World::new(|folder| FilesSettings {
        include: Glob::parse(&format!("{folder}/*")).unwrap(),
        ..settings(folder)
    });
    world.append("a.log", "1\n");
    std::os::unix::fs::symlink(world.path("a.log"), world.path("b.log")).unwrap();
    world.append("a.log.1.gz", "1\n");
    world.check(&[("a.log", &["1"])]);
    // A link that is set to another file is a rotation.
    world.append("c", "2\n");
    fs::remove_file(world.path("b.log")).unwrap();
    world.check(&[("c", &["2"])]);
}

#[test]
fn overlong_lines_and_holes() {
    let mut world = World::new(settings);
    world.append("a.log", vec![b'x'; LINE_BYTES_MAX + 5]);
    world.poll();
    world.poll();
    world.commit(usize::MAX);
    let lines = world.lines.remove("a.log").unwrap();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() == LINE_BYTES_MAX && lines[0].ends_with("...[cut]"));
    world.kill();
    world.append("a.log", "still the long line\nnext\n\0\0\0\0after a hole\n");
    world.check(&[("a.log", &["next", "after a hole"])]);
}

#[test]
fn starts() {
    let text = "1\n2\n3\nhal";
    for (start, expect) in [
        (None, &["1", "2", "3", "half"][..]),
        (Some(Start::Beginning), &["1", "2", "3", "half"]),
        (Some(Start::End), &["half"]),
        (Some(Start::Tail(2)), &["2", "3", "half"]),
        (Some(Start::Tail(9)), &["1", "2", "3", "half"]),
        (Some(Start::Within(Duration::from_secs(60))), &["1", "2", "3", "half"]),
    ] {
        let mut world = World::new(settings);
        world.append("a.log", text);
        world.poller.settings.start = start;
        world.poll();
        world.append("a.log", "f\n");
        // A file that comes later is always read from its beginning.
        world.append("b.log", "all\n");
        world.check(&[("a.log", expect), ("b.log", &["all"])]);
    }
    let mut world = World::new(settings);
    world.append("a.log", text);
    world.clock.advance(Duration::from_secs(25 * 3600));
    world.check(&[]);
    world.append("a.log", "f\n");
    world.check(&[("a.log", &["half"])]);
}

fn with_rule(folder: &str) -> FilesSettings {
    let mut rule = multiline_preset("postgres").unwrap();
    rule.firstline = regex::Regex::new(r"^\S").unwrap();
    FilesSettings { rule: Some(rule), ..settings(folder) }
}

#[test]
fn a_record_of_several_lines_survives_a_crash_and_a_rotation() {
    let mut world = World::new(with_rule);
    world.append("a.log", "x\ntrace\n at 1\n");
    world.check(&[("a.log", &["x"])]);
    world.kill();
    world.append("a.log", " at 2\n");
    world.check(&[]);
    world.rename("a.log", "a.log.1");
    world.append("a.log", "y\nz\n");
    world.wait(2);
    world.wait(4);
    world.check(&[("a.log", &["y", "trace\n at 1\n at 2", "z"])]);
    world.kill();
    world.wait(4);
    world.check(&[]);
}

#[test]
fn damaged_positions_do_not_stop_reading() {
    let mut world = World::new(settings);
    world.append("a.log", "1\n");
    world.check(&[("a.log", &["1"])]);
    let mut batch = crate::model::Batch::new("fake");
    let name = crate::collect::batch::Positions::list(&*world.positions, "file:")[0].0.clone();
    batch.positions.push(crate::model::Position { source: name, value: "\0\0\0".to_owned() });
    world.positions.commit(&batch);
    world.kill();
    world.check(&[("a.log", &["1"])]);
}

#[derive(Debug, Clone)]
enum Op {
    Write(u8),
    WriteHalf,
    Rename,
    CopyTruncate,
    Poll,
    Commit(u8),
    Kill,
    Stop,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (1u8..20).prop_map(Op::Write),
        1 => Just(Op::WriteHalf),
        1 => Just(Op::Rename),
        1 => Just(Op::CopyTruncate),
        5 => Just(Op::Poll),
        3 => (1u8..4).prop_map(Op::Commit),
        1 => Just(Op::Kill),
        1 => Just(Op::Stop),
    ];
    proptest::collection::vec(op, 1..60)
}

/// Runs the operations and gives the committed lines beside those written.
fn run_model(ops: &[Op], settings: fn(&str) -> FilesSettings) -> (Vec<String>, Vec<String>) {
    let mut world = World::new(settings);
    let mut written: Vec<String> = Vec::new();
    let mut half = false;
    let mut rotations = 0;
    let next = |written: &mut Vec<String>| {
        let line = format!("line {} {}", written.len(), "-".repeat(280));
        written.push(line.clone());
        line
    };
    // The source has seen the file before anything is rotated.
    let line = next(&mut written);
    world.append("a.log", format!("{line}\n"));
    world.poll();
    world.commit(usize::MAX);
    for op in ops {
        match op {
            Op::Write(count) => {
                for _ in 0..*count {
                    if std::mem::take(&mut half) {
                        let line = written.last().unwrap();
                        world.append("a.log", format!("{}\n", &line[10..]));
                    }
                    let line = next(&mut written);
                    world.append("a.log", format!("{line}\n"));
                }
            }
            Op::WriteHalf if !half => {
                let line = next(&mut written);
                world.append("a.log", &line[..10]);
                half = true;
            }
            Op::Rename if !half => {
                for number in (1..=rotations).rev() {
                    world.rename(&format!("a.log.{number}"), &format!("a.log.{}", number + 1));
                }
                rotations += 1;
                world.rename("a.log", "a.log.1");
                let line = next(&mut written);
                world.append("a.log", format!("{line}\n"));
            }
            // A copy can only be recognized by content that had been read and committed.
            Op::CopyTruncate if !half => {
                world.poll();
                world.commit(usize::MAX);
                for _ in 0..3 {
                    let line = next(&mut written);
                    world.append("a.log", format!("{line}\n"));
                }
                for number in (1..=rotations).rev() {
                    world.rename(&format!("a.log.{number}"), &format!("a.log.{}", number + 1));
                }
                rotations += 1;
                world.copytruncate("a.log", "a.log.1");
                let line = next(&mut written);
                world.append("a.log", format!("{line}\n"));
                world.poll();
                world.commit(usize::MAX);
            }
            Op::Poll => world.poll(),
            Op::Commit(count) => world.commit((*count).into()),
            Op::Kill => world.kill(),
            Op::Stop => {
                let pending = &mut world.pending;
                let now_ns = world.clock.now_ns();
                world
                    .poller
                    .flush(now_ns, &mut |batch| {
                        pending.push(batch);
                        Ok(())
                    })
                    .unwrap();
                world.commit(usize::MAX);
                world.restart();
            }
            Op::WriteHalf | Op::Rename | Op::CopyTruncate => {}
        }
        // Files get the times of the real clock.
        world.clock.set_ns(SystemClock.now_ns());
    }
    if half {
        let line = written.last().unwrap();
        world.append("a.log", format!("{}\n", &line[10..]));
    }
    for _ in 0..3 {
        world.poll();
    }
    world.wait(11);
    world.commit(usize::MAX);
    let mut committed: Vec<String> = world.lines.into_values().flatten().collect();
    committed.sort();
    written.sort();
    (committed, written)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_line_exactly_once(ops in ops()) {
        let (committed, written) = run_model(&ops, settings);
        prop_assert_eq!(committed, written);
    }

    #[test]
    fn every_line_exactly_once_with_records(ops in ops()) {
        let (committed, written) = run_model(&ops, with_rule);
        prop_assert_eq!(committed, written);
    }
}
