//! What fuzzers start from and what they have found, replayed and changed a little.
//!
//! Seeds are made anew from a data directory by
//! `STOCKADE_CORPUS=tests/corpus/store cargo test --lib store::tests::corpus`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::store::files::Files;
use crate::store::part::Opened;
use crate::store::wal::{End, replay};
use crate::store::{RealFiles, fuzz};

type Door = fn(&[u8]) -> Option<usize>;

const DOORS: [(&str, Door); 5] = [
    ("block", fuzz::block),
    ("table", fuzz::table),
    ("part", fuzz::part),
    ("wal", fuzz::wal),
    ("list", fuzz::list),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Pieces of the committed data directory, the smallest of each kind.
fn write_seeds(to: &Path) {
    let set = root().join("tests/fixtures/store-v1");
    let put = |kind: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(to.join(kind)).unwrap();
        fs::write(to.join(kind).join(name), bytes).unwrap();
    };
    let manifest = fs::read(set.join("manifest")).unwrap();
    put("list", "manifest", &manifest[4..]);
    let request = r#"{"version":1,"generation":3,"next_seq":2,"requests":[{"id":"0a1b2c3d","seq":1,"tenant":"fake","query":"{app=\"a\"}","start_ns":0,"end_ns":5,"created_ns":9,"state":"received","parts":2}]}"#;
    put("list", "deletes", request.as_bytes());
    let folder = set.join("parts/2026-11-20");
    for file in RealFiles.list(&folder).unwrap() {
        let path = folder.join(&file.name);
        let opened = Opened::open(&RealFiles, &path).unwrap();
        put("table", &file.name, &opened.table.encode());
        let mut stored = Vec::new();
        let smallest = opened.table.blocks.iter().min_by_key(|block| block.bytes).unwrap();
        opened.read_stored(smallest, &mut stored).unwrap();
        put("block", &file.name, &stored);
        put("part", &file.name, &fs::read(&path).unwrap());
    }
    let temporary = tempfile::tempdir().unwrap();
    for file in RealFiles.list(&set.join("wal")).unwrap() {
        let copy = temporary.path().join(&file.name);
        fs::copy(set.join("wal").join(&file.name), &copy).unwrap();
        let records = replay(&RealFiles, &copy, End::MayBeTorn).unwrap().records;
        let smallest = records.iter().min_by_key(|record| record.bytes().len()).unwrap();
        put("wal", &file.name, smallest.bytes());
    }
}

#[test]
fn no_bytes_make_a_reader_panic() {
    if let Some(to) = std::env::var_os("STOCKADE_CORPUS") {
        write_seeds(Path::new(&to));
    }
    let mut seed = 1u64;
    let mut below = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (seed >> 33) as usize % bound.max(1)
    };
    for (kind, door) in DOORS {
        let folder = root().join("tests/corpus/store").join(kind);
        let mut read = 0;
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in &files {
            let bytes = fs::read(file).unwrap();
            read += usize::from(door(&bytes).is_some_and(|found| found > 0));
            // However many files there are, it takes the same few seconds.
            for _ in 0..800 / files.len() {
                let mut changed = bytes.clone();
                for _ in 0..=below(3) {
                    let at = below(changed.len());
                    match below(5) {
                        0 => changed.truncate(at),
                        1 => changed.insert(at, below(256) as u8),
                        2 => drop(changed.drain(at..(at + below(8)).min(changed.len()))),
                        3 => {
                            let piece = changed[at..(at + below(16)).min(changed.len())].to_vec();
                            let to = below(changed.len() + 1);
                            changed.splice(to..to, piece);
                        }
                        _ => {
                            if let Some(byte) = changed.get_mut(at) {
                                *byte ^= 1 << below(8);
                            }
                        }
                    }
                }
                door(&changed);
            }
        }
        assert!(read > 0, "{kind}: the corpus holds at least one that can be read");
    }
}
