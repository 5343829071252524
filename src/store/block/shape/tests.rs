//! Lines come back byte for byte, columns say what parsers would say, tokens are those of the
//! lines, damage is noticed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::model::Timestamp;
use crate::store::block::{BlockBuf, BlockBuilder, Wanted};
use crate::store::read::{Column, Format, HoleKind, Shape, WHOLE};
use crate::store::tokens::{PADDING, TokenSet};
use crate::text::logfmt::{Pair, Scanner};

const EAGER: Wanted = Wanted { lines: true, line_bytes: false, columns: false, metadata: false };
const LAZY: Wanted = Wanted { lines: true, line_bytes: true, columns: true, metadata: false };

fn encode(lines: &[String]) -> (Vec<u8>, TokenSet, Vec<u8>) {
    let mut builder = BlockBuilder::new().unwrap();
    for (at, line) in lines.iter().enumerate() {
        let stream = (at * 3 / lines.len()) as u32;
        builder.push(stream, Timestamp(at as i64), line, std::iter::empty());
    }
    let (mut out, mut tokens) = (Vec::new(), TokenSet::default());
    builder.encode(&mut out, &mut tokens).unwrap();
    let text = builder.text().to_vec();
    (out, tokens, text)
}

pub(crate) fn value(column: &Column<'_>, place: usize) -> String {
    match column {
        Column::Dictionary { values, codes } => values[usize::from(codes[place])].to_owned(),
        Column::Integers(numbers) => numbers[place].to_string(),
        Column::Decimals { numbers, scale } => {
            let one = 10i64.pow(u32::from(*scale));
            let number = numbers[place];
            let sign = if number < 0 { "-" } else { "" };
            let (whole, rest) = (number.abs() / one, number.abs() % one);
            format!("{sign}{whole}.{rest:0width$}", width = usize::from(*scale))
        }
        Column::Texts { text, ends } => {
            let from = if place == 0 { 0 } else { ends[place - 1] as usize };
            text[from..ends[place] as usize].to_owned()
        }
    }
}

type Split = (BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>, Vec<u64>, crate::store::tokens::Sealed);

fn split(set: &mut TokenSet, text: &[u8]) -> Split {
    let (mut indexed, mut runs) = (BTreeSet::new(), BTreeSet::new());
    let split = set.split(
        text,
        |token| {
            indexed.insert(token.to_vec());
        },
        |run| {
            runs.insert(run.to_vec());
        },
    );
    let (filtered, sealed) = (split.filtered.to_vec(), split.sealed);
    (indexed, runs, filtered, sealed)
}

/// A leaf of a JSON object: its keys, and it as written.
fn leaves<'a>(
    value: &'a serde_json::value::RawValue,
    path: &mut Vec<String>,
    found: &mut Vec<(Vec<String>, HoleKind, &'a str)>,
) {
    let text = value.get();
    let kind = match text.as_bytes()[0] {
        b'{' => {
            for (key, value) in pairs(text) {
                path.push(key);
                leaves(value, path, found);
                path.pop();
            }
            return;
        }
        b'[' if serde_json::from_str::<Vec<serde_json::Value>>(text).unwrap().is_empty() => return,
        b'n' => return,
        b'[' => HoleKind::Array,
        b't' | b'f' => HoleKind::Bool,
        b'"' => {
            let inside = &text[1..text.len() - 1];
            assert_eq!(serde_json::from_str::<String>(text).unwrap(), inside);
            found.push((path.clone(), HoleKind::String, inside));
            return;
        }
        _ => HoleKind::Number,
    };
    found.push((path.clone(), kind, text));
}

/// The members of an object in order, repeated keys as well.
fn pairs(text: &str) -> Vec<(String, &serde_json::value::RawValue)> {
    struct Pairs;
    impl<'de> serde::de::Visitor<'de> for Pairs {
        type Value = Vec<(String, &'de serde_json::value::RawValue)>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    use serde::Deserializer;
    serde_json::Deserializer::from_str(text).deserialize_map(Pairs).unwrap()
}

/// Holds a line and what the columns say about it against the promises of `Shape`.
fn check_contract(shape: &Shape, values: &[String], line: &str) {
    assert_eq!(shape.pieces.len(), shape.holes.len() + 1);
    let mut whole = String::new();
    for (piece, value) in shape.pieces.iter().zip(values) {
        whole += piece;
        whole += value;
    }
    whole += shape.pieces.last().unwrap();
    assert_eq!(whole, line);
    let holes: Vec<(Vec<String>, HoleKind, &str)> = shape
        .holes
        .iter()
        .zip(values)
        .map(|(hole, value)| (hole.path.clone(), hole.kind, value.as_str()))
        .collect();
    match shape.format {
        Format::Json => {
            let raw: &serde_json::value::RawValue =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(serde_json::from_str::<serde_json::Value>(line).unwrap().is_object());
            let mut found = Vec::new();
            leaves(raw, &mut Vec::new(), &mut found);
            assert_eq!(holes, found, "{line}");
        }
        Format::Logfmt => {
            let mut keys = BTreeSet::new();
            let mut expect = Vec::new();
            for pair in Scanner::new(line) {
                let (key, found) = match pair {
                    Pair::Value { key, value, quoted } => {
                        let kind = if quoted { HoleKind::Quoted } else { HoleKind::Bare };
                        (key, Some((kind, value.into_owned())))
                    }
                    Pair::Empty { key } => (key, None),
                    Pair::Malformed { message } => panic!("{message}: {line}"),
                };
                assert!(keys.insert(key.to_owned()), "{line}");
                expect.extend(found.map(|(kind, value)| (vec![key.to_owned()], kind, value)));
            }
            // An empty quoted value is a hole here, and nothing there.
            let found: Vec<(Vec<String>, HoleKind, String)> = holes
                .iter()
                .filter(|(_, kind, value)| *kind != HoleKind::Quoted || !value.is_empty())
                .map(|(path, kind, value)| (path.clone(), *kind, (*value).to_owned()))
                .collect();
            assert_eq!(found, expect, "{line}");
            assert!(line.split(' ').all(|word| !word.is_empty() || line.contains('"')));
        }
        Format::Text => {
            assert!(
                shape
                    .holes
                    .iter()
                    .all(|hole| { hole.path.is_empty() && hole.kind == HoleKind::Token })
            );
        }
    }
}

/// Everything about one block; gives how many lines have a shape of each format, and are whole.
fn check(lines: &[String]) -> [usize; 4] {
    let (block, mut tokens, text) = encode(lines);
    let mut by_line = TokenSet::default();
    let mut padded = text.clone();
    padded.resize(text.len() + PADDING, 0);
    by_line.clear();
    by_line.add_text(&padded, 0, text.len(), false);
    assert_eq!(split(&mut tokens, &text), split(&mut by_line, &text));

    let mut buffer = BlockBuf::new().unwrap();
    assert_eq!(buffer.read(&block, EAGER), Some(()));
    for (row, line) in lines.iter().enumerate() {
        assert_eq!(buffer.line(row), line);
        assert_eq!(buffer.line_bytes(row), line.len());
    }
    assert_eq!(buffer.read(&block, LAZY), Some(()));
    let mut kinds = [0; 4];
    let (ids, places) = buffer.shape_ids();
    assert_eq!(ids.len(), lines.len());
    let shapes = buffer.shapes();
    let mut next = vec![0; shapes.len()];
    for (row, line) in lines.iter().enumerate() {
        assert_eq!(buffer.line_bytes(row), line.len());
        let mut built = Vec::new();
        buffer.push_line(row, &mut built).unwrap();
        assert_eq!(std::str::from_utf8(&built), Ok(line.as_str()));
        let id = ids[row];
        if id == WHOLE {
            kinds[3] += 1;
            continue;
        }
        let shape = &shapes[usize::from(id)];
        kinds[shape.format as usize] += 1;
        let place = places[row] as usize;
        assert_eq!(place, next[usize::from(id)], "rows of a shape follow one by one");
        next[usize::from(id)] += 1;
        let values: Vec<String> = (0..shape.holes.len())
            .map(|hole| value(&buffer.column(usize::from(id), hole).unwrap(), place))
            .collect();
        check_contract(shape, &values, line);
    }
    let (from, to) = (lines.len() / 3, lines.len() - lines.len() / 4);
    let some = buffer.build_lines(from..to).unwrap();
    for (at, line) in lines[from..to].iter().enumerate() {
        assert_eq!(some.line(at), line);
    }
    kinds
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[0-9]{1,4}",
        1 => "-?[1-9][0-9]{0,20}",
        1 => "-?[0-9]{1,3}\\.[0-9]{1,3}",
        1 => prop::sample::select(vec![
            "-0", "0", "1e5", "1E+5", "1.50", "01", "-0.0", "0.00", "1e999", "9223372036854775807",
            "9223372036854775808", "1.", "123456789012345678901234567890", "1e-7", "--1", "-",
        ]).prop_map(str::to_owned),
    ]
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "info", "error", "GET", "", "10.0.0.1", "2026-11-20T10:00:00.123Z", "user_12",
            "4bf92f3577b34da6a3ce929d0e0e4736", "\u{e9}t\u{e9}", "a b", "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
            "20/Nov/2026:10:00:00", "2026-11-20 10:00:00,123", "{}", "[]", "x=y", "tab\there",
        ]).prop_map(str::to_owned),
        2 => "[a-z0-9]{1,8}",
        1 => "[0-9a-f]{8}",
        1 => number(),
        1 => "\\PC{0,6}",
    ]
}

fn json() -> impl Strategy<Value = String> {
    let plain = |word: String| word.replace(['"', '\\'], "'");
    let leaf = prop_oneof![
        4 => word().prop_map(move |word| format!("\"{}\"", plain(word))),
        1 => word().prop_map(|word| serde_json::to_string(&word).unwrap()),
        3 => number(),
        1 => prop::sample::select(vec![
            "true", "false", "null", "{}", "[]", "[1]", "[ ]", "[{\"a\":[]}, \"b\"]", "nul", "\"\\u00e9\"",
            "[\"\\\"\"]", "{ }", "True", "\"\\ud800\"",
        ]).prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(2, 8, 4, |inner| {
        prop::collection::vec((key(), inner), 0..4).prop_map(|pairs| object(&pairs, ""))
    });
    (
        prop::collection::vec((key(), value), 0..5),
        prop::sample::select(vec!["", " ", "", "\t", "\r\n"]),
    )
        .prop_map(|(pairs, space)| object(&pairs, space))
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "msg", "level", "a.b", "", "\u{e9}", "k\\u0041", "x y"])
        .prop_map(str::to_owned)
}

fn object(pairs: &[(String, String)], space: &str) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(key, value)| format!("\"{key}\"{space}:{value}{space}")).collect();
    format!("{{{space}{}}}", pairs.join(","))
}

fn logfmt() -> impl Strategy<Value = String> {
    let pair = (
        prop::sample::select(vec!["a", "b", "level", "msg", "x.y", "a-b", "\u{e9}", "", "a b"]),
        prop::sample::select(vec!["=", "=", "=", "=", "", "=="]),
        word(),
        any::<bool>(),
    )
        .prop_map(|(key, sign, value, quoted)| {
            if quoted { format!("{key}{sign}\"{value}\"") } else { format!("{key}{sign}{value}") }
        });
    (
        prop::collection::vec(pair, 0..5),
        prop::sample::select(vec![" ", " ", " ", "  "]),
        any::<u8>(),
    )
        .prop_map(|(pairs, space, odd)| {
            let line = pairs.join(space);
            match odd {
                0..20 => format!("{line} "),
                20..40 => format!("{line}\r"),
                40..50 => format!(" {line}"),
                _ => line,
            }
        })
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        (word(), prop::sample::select(vec![" ", "", "=", "-", ", \"", "_", ":", "\n"])),
        0..8,
    )
    .prop_map(|words| words.into_iter().map(|(word, after)| word + after).collect())
}

/// Changes a little about a line, so that many are alike.
fn vary(line: &str, by: u64) -> String {
    let mut random = by;
    line.chars()
        .map(|c| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if c.is_ascii_digit() && random >> 63 == 0 {
                char::from(b'0' + (random >> 40) as u8 % 10)
            } else {
                c
            }
        })
        .collect()
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = || prop_oneof![3 => json(), 3 => logfmt(), 3 => text(), 1 => "\\PC{0,30}"];
    let forms = prop::collection::vec(line(), 1..6);
    let picks = prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 1..150);
    let some = (forms, picks).prop_map(|(forms, picks)| {
        picks
            .iter()
            .map(|(pick, by)| vary(&forms[pick.index(forms.len())], *by))
            .collect::<Vec<_>>()
    });
    (some, prop::collection::vec(line(), 0..20)).prop_map(|(mut some, more)| {
        some.extend(more);
        some
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn lines_come_back(lines in lines()) {
        check(&lines);
    }

    #[test]
    fn damage_is_noticed(lines in lines(), at in any::<prop::sample::Index>(), bit in 0u32..8) {
        let (mut block, _, _) = encode(&lines);
        let mut buffer = BlockBuf::new().unwrap();
        buffer.read(&block, EAGER).unwrap();
        let at = at.index(block.len());
        block[at] ^= 1 << bit;
        prop_assert_eq!(buffer.read(&block, EAGER), None);
        // What is still read in pieces is right, or an error.
        if buffer.read(&block, Wanted { line_bytes: false, ..LAZY }).is_some() {
            for (row, line) in lines.iter().enumerate() {
                let mut built = Vec::new();
                if buffer.push_line(row, &mut built).is_some() {
                    prop_assert_eq!(std::str::from_utf8(&built), Ok(line.as_str()));
                }
            }
        }
        prop_assert_eq!(buffer.read(&block[..at], EAGER), None);
    }

    /// A checksum that fits does not make content right: nothing may panic on it.
    #[test]
    fn wrong_content_is_no_panic(
        lines in lines(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut raw = Vec::new();
        let text: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
        let mut padded = text.clone();
        padded.resize(text.len() + PADDING, 0);
        let lengths: Vec<u32> = lines.iter().map(|line| line.len() as u32).collect();
        let mut packer = crate::store::block::section::Packer::new().unwrap();
        let mut tokens = TokenSet::default();
        tokens.clear();
        let section = super::ShapeWriter::default()
            .put(&mut raw, &mut packer, &padded, &lengths, &mut tokens)
            .unwrap();
        let (front, columns) = raw.split_at(section.stored as usize);
        let mut directory = Vec::new();
        section.unpack(front, &mut zstd::bulk::Decompressor::new().unwrap(), &mut directory).unwrap();
        for (at, byte) in &changes {
            let at = at.index(directory.len());
            directory[at] = *byte;
        }
        let mut shaped = super::ShapedLines::default();
        if shaped.read(&directory, columns, lines.len()).is_some() {
            let _ = shaped.build(0..lines.len());
            let _ = shaped.starts(&mut Vec::new());
        }
        for changes in changes.chunks(2) {
            let mut column: Vec<u8> = directory.clone();
            let (at, byte) = changes[0];
            let place = at.index(column.len());
            column[place] = byte;
            let _ = super::data::Data::default().read(&column, lines.len());
        }
    }
}

#[test]
fn the_usual_formats_have_shapes() {
    let json: Vec<String> = (0..100)
        .map(|at| {
            format!(
                r#"{{"level":"info","status":{},"took":{}.50,"a":[{at}],"ok":true}}"#,
                at % 7,
                at
            )
        })
        .collect();
    assert_eq!(check(&json), [100, 0, 0, 0]);
    let logfmt: Vec<String> = (0..100)
        .map(|at| {
            format!(
                "ts=2026-11-20T10:00:{:02}Z level=info msg=\"job done\" id={at} empty=",
                at % 60
            )
        })
        .collect();
    assert_eq!(check(&logfmt), [0, 100, 0, 0]);
    let text: Vec<String> = (0..100)
        .map(|at| format!("Failed password for user{at} from 10.0.0.{} port {}", at % 256, at * 31))
        .collect();
    assert_eq!(check(&text), [0, 0, 100, 0]);
    // Words vary.
    let words: Vec<String> = (0..100u32)
        .map(|at| {
            let word: String =
                (0..6).map(|i| char::from(b'a' + ((at * 7 + i * (at % 5)) % 26) as u8)).collect();
            format!("GET \"/{word}/x\" in {at} ms")
        })
        .collect();
    assert_eq!(check(&words), [0, 0, 100, 0]);
    let single: Vec<String> = (0..3).map(|at| format!("line {at}")).collect();
    assert_eq!(check(&single), [0, 0, 0, 3]);
}

#[test]
fn columns_are_what_queries_count_with() {
    let lines: Vec<String> = (0..200i64)
        .map(|at| {
            format!(
                r#"{{"status":{},"bytes":{},"took":{:.2},"id":"{:032x}"}}"#,
                200 + at % 3,
                at * 7919 % 100_003,
                at as f64 / 7.0,
                (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            )
        })
        .collect();
    let (block, _, _) = encode(&lines);
    let mut buffer = BlockBuf::new().unwrap();
    buffer.read(&block, LAZY).unwrap();
    let column = |hole: usize| buffer.column(0, hole).unwrap();
    assert!(matches!(column(0), Column::Dictionary { values, .. } if values.len() == 3));
    assert!(matches!(column(1), Column::Integers(numbers) if numbers.len() == 200));
    assert!(matches!(column(2), Column::Decimals { scale: 2, .. }));
    assert!(matches!(column(3), Column::Texts { .. }));
    assert!(buffer.column(0, 4).is_none());
    assert!(buffer.column(1, 0).is_none());
}

/// Lines that real programs wrote, and those of Loghub where `STOCKADE_LOGHUB` names its folder.
#[test]
fn real_logs_come_back() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lines");
    let loghub = std::env::var_os("STOCKADE_LOGHUB").map(PathBuf::from);
    let files = std::iter::once(own).chain(loghub).flat_map(|f| std::fs::read_dir(f).unwrap());
    let paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    assert!(paths.len() >= 6);
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        let lines: Vec<String> =
            String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
        let raw: usize = lines.iter().map(|line| line.len() + 1).sum();
        let kinds = check(&lines);
        let (block, _, text) = encode(&lines);
        let plain = zstd::bulk::compress(&text, 1).unwrap().len();
        println!(
            "{:<24} {raw:>8} raw {:>7} shaped {plain:>7} zstd; json, logfmt, text, whole {kinds:?}",
            path.file_name().unwrap().to_string_lossy(),
            block.len(),
        );
    }
}
