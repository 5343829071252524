//! Everything that fuzzing found worth keeping is decoded again: no input may panic.

use std::path::Path;

use stockade::collect::push::{FieldNames, Format, Shape, otlp};

#[path = "../fuzz/fuzz_targets/body/mod.rs"]
mod body;
#[path = "../fuzz/fuzz_targets/language/mod.rs"]
mod language;

/// The targets of `tests/fuzz` that decode bodies, and what they take them for.
pub fn shapes() -> Vec<(&'static str, Shape)> {
    vec![
        ("push_proto", Shape::Loki(Format::Protobuf)),
        ("push_json", Shape::Loki(Format::Json)),
        ("otlp_proto", Shape::Otlp(otlp::Encoding::Protobuf)),
        ("otlp_json", Shape::Otlp(otlp::Encoding::Json)),
        ("bulk", Shape::Bulk { index: None, names: FieldNames::default() }),
        ("jsonline", Shape::JsonLines(FieldNames::default())),
    ]
}

fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[test]
fn every_kept_body_is_decoded_without_a_panic() {
    for (target, shape) in shapes() {
        for bytes in kept(target) {
            body::check(&shape, &bytes);
        }
    }
}

/// xorshift64: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }
}

/// Changes a few bytes, cuts, repeats a piece, or puts in a piece of another body.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let to = (at + random.below(16)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..to)),
            3 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let from = random.below(other.len() + 1);
                let until = (from + random.below(64)).min(other.len());
                bytes.splice(at..at, other[from..until].iter().copied());
            }
            _ => bytes
                .insert(at, *b"\0\xff\x80{}[]\":,\n\\-0e.".get(random.below(18)).unwrap_or(&b'1')),
        }
    }
    bytes.truncate(4096);
}

/// What coverage-guided fuzzing does better, in a few seconds and for every change.
/// `STOCKADE_FUZZ_SECS` makes it last longer, for each format.
#[test]
fn mutated_bodies_are_decoded_or_refused() {
    let secs = std::env::var("STOCKADE_FUZZ_SECS").ok().and_then(|text| text.parse().ok());
    for (target, shape) in shapes() {
        let mut pool = kept(target);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let began = std::time::Instant::now();
        let mut runs = 0u64;
        while secs.map_or(runs < 2_000, |secs: u64| began.elapsed().as_secs() < secs) {
            let mut bytes = pool[random.below(pool.len())].clone();
            let other = pool[random.below(pool.len())].clone();
            mutate(&mut bytes, &other, &mut random);
            body::check(&shape, &bytes);
            // Some mutants have mutants of their own.
            if runs.is_multiple_of(97) && pool.len() < 512 {
                pool.push(bytes);
            }
            runs += 1;
        }
        eprintln!("{target}: {runs} bodies in {:?}", began.elapsed());
    }
}

#[test]
fn every_kept_text_holds_what_its_target_says() {
    type Check = fn(&str);
    let targets: [(&str, Check); 3] = [
        ("logql_parse", language::query),
        ("template", language::template),
        ("re2", language::regex),
    ];
    for (target, check) in targets {
        for text in kept(target) {
            // As the fuzzer has it: what is no UTF-8 is no text.
            if let Ok(text) = std::str::from_utf8(&text) {
                check(text);
            }
        }
    }
}
