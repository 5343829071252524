//! What goes into a block comes out of it; damage is noticed.

use proptest::prelude::*;

use super::*;
use crate::model::Timestamp;
use crate::store::tokens::TokenSet;
use crate::store::varint::put;

type Row = (u32, i64, String, Vec<(String, String)>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let metadata = prop::collection::vec(
        (prop::sample::select(vec!["level", "trace", "x"]), prop_oneof!["[a-c]", "\\PC{0,12}"]),
        0..3,
    );
    let row = (0u32..4, -50i64..50, "\\PC{0,40}|a\nb", metadata).prop_map(
        |(stream, ts, line, metadata)| {
            let metadata = metadata.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
            (stream, ts, line, metadata)
        },
    );
    prop::collection::vec(row, 1..600).prop_map(|mut rows: Vec<Row>| {
        rows.sort_by_key(|row| (row.0, row.1));
        rows
    })
}

fn encode(rows: &[Row]) -> (Vec<u8>, builder::Ends) {
    let mut builder = BlockBuilder::new().unwrap();
    for (stream, ts, line, metadata) in rows {
        let pairs = metadata.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        builder.push(*stream, Timestamp(*ts), line, pairs);
    }
    let mut out = Vec::new();
    let ends = builder.encode(&mut out, &mut TokenSet::default()).unwrap();
    builder.clear();
    (out, ends)
}

fn decode(buffer: &BlockBuf) -> Vec<Row> {
    let mut rows = Vec::new();
    for run in buffer.runs() {
        for _ in 0..run.rows {
            let row = rows.len();
            let metadata = (0..buffer.metadata_len(row))
                .map(|at| buffer.metadata(row, at))
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect();
            rows.push((run.stream, buffer.ts(row).0, buffer.line(row).to_owned(), metadata));
        }
    }
    rows
}

const ALL: Wanted = Wanted { lines: true, line_bytes: false, columns: false, metadata: true };
const FRONT: Wanted = Wanted { lines: false, line_bytes: false, columns: false, metadata: false };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn rows_come_back(rows in rows(), more in rows()) {
        let (block, ends) = encode(&rows);
        let (other, _) = encode(&more);
        let mut buffer = BlockBuf::new().unwrap();
        // A used buffer must not show through.
        prop_assert_eq!(buffer.read(&other, ALL), Some(()));
        prop_assert_eq!(buffer.read(&block, ALL), Some(()));
        prop_assert_eq!(decode(&buffer), rows.clone());

        let front = &block[..ends.counting as usize];
        prop_assert_eq!(buffer.read(front, FRONT), Some(()));
        prop_assert_eq!(buffer.rows(), rows.len());
        for (row, (_, ts, _, _)) in rows.iter().enumerate() {
            prop_assert_eq!(buffer.ts(row).0, *ts);
            prop_assert_eq!(buffer.line(row), "");
        }
        let front = &block[..ends.metadata as usize];
        prop_assert_eq!(buffer.read(front, Wanted { metadata: true, ..FRONT }), Some(()));
        prop_assert_eq!(buffer.metadata_len(0), rows[0].3.len());
        prop_assert_eq!(buffer.read(front, ALL), None);
    }
}

#[test]
fn many_distinct_values_stay_apart() {
    let rows: Vec<Row> = (0..1000)
        .map(|i| (0, i, format!("line {i}"), vec![("id".to_owned(), format!("{}", i * 7 % 601))]))
        .collect();
    let mut buffer = BlockBuf::new().unwrap();
    assert_eq!(buffer.read(&encode(&rows).0, ALL), Some(()));
    assert_eq!(decode(&buffer), rows);
}

#[test]
fn a_level_on_each_row_costs_next_to_nothing() {
    let plain: Vec<Row> = (0..5000).map(|i| (0, i, format!("line {i}"), Vec::new())).collect();
    let mut leveled = plain.clone();
    for (at, row) in leveled.iter_mut().enumerate() {
        let level = if at % 40 == 0 { "error" } else { "info" };
        row.3.push(("detected_level".to_owned(), level.to_owned()));
    }
    let cost = encode(&leveled).0.len() - encode(&plain).0.len();
    assert!(cost < 200, "{cost} bytes for 5000 rows");
}

#[test]
fn every_flipped_byte_is_noticed() {
    let rows: Vec<Row> = (0..50)
        .map(|i| (i / 20, i64::from(i), format!("line {i} of it"), vec![("a".into(), "b".into())]))
        .collect();
    let (block, _) = encode(&rows);
    let mut buffer = BlockBuf::new().unwrap();
    for at in 0..block.len() {
        let mut damaged = block.clone();
        damaged[at] ^= 0x10;
        assert_eq!(buffer.read(&damaged, ALL), None, "byte {at}");
    }
    for cut in 0..block.len() {
        assert_eq!(buffer.read(&block[..cut], ALL), None, "cut at {cut}");
    }
}

/// A block as the first version wrote it.
fn encode_plain(rows: &[Row]) -> Vec<u8> {
    let mut sections = [section::Section::default(); 4];
    let mut packer = section::Packer::new().unwrap();
    let mut body = Vec::new();
    let mut runs: Vec<Run> = Vec::new();
    let mut metadata = metadata::MetadataBuilder::default();
    for (stream, _, _, pairs) in rows {
        match runs.last_mut() {
            Some(run) if run.stream == *stream => run.rows += 1,
            _ => runs.push(Run { stream: *stream, rows: 1 }),
        }
        metadata.push(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    }
    let mut raw = Vec::new();
    put(&mut raw, runs.len() as u64);
    for run in &runs {
        put(&mut raw, u64::from(run.stream));
        put(&mut raw, u64::from(run.rows));
    }
    rows.iter().for_each(|row| put(&mut raw, row.2.len() as u64));
    sections[0] = packer.put(&mut body, &raw).unwrap();
    raw.clear();
    let times: Vec<i64> = rows.iter().map(|row| row.1).collect();
    bits::put_times(&mut raw, &times, &runs);
    sections[1] = packer.put(&mut body, &raw).unwrap();
    raw.clear();
    metadata.finish(&mut raw);
    sections[2] = packer.put(&mut body, &raw).unwrap();
    let text: Vec<u8> = rows.iter().flat_map(|row| [row.2.as_bytes(), b"\n"].concat()).collect();
    sections[3] = packer.put(&mut body, &text).unwrap();
    let mut block = vec![1, 0];
    block.extend_from_slice(&(rows.len() as u32).to_le_bytes());
    sections.iter().for_each(|section| section.put_entry(&mut block));
    block.extend_from_slice(&crc32fast::hash(&block).to_le_bytes());
    block.extend_from_slice(&body);
    block
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn the_first_version_is_still_read(rows in rows(), more in rows()) {
        let block = encode_plain(&rows);
        let mut buffer = BlockBuf::new().unwrap();
        prop_assert_eq!(buffer.read(&encode(&more).0, ALL), Some(()));
        for columns in [false, true] {
            let wanted = Wanted { line_bytes: true, columns, ..ALL };
            prop_assert_eq!(buffer.read(&block, wanted), Some(()));
            prop_assert!(!buffer.is_shaped());
            prop_assert_eq!(decode(&buffer), rows.clone());
            prop_assert_eq!(buffer.line_bytes(0), rows[0].2.len());
        }
    }
}
