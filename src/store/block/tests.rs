//! What goes into a block comes out of it; damage is noticed.

use proptest::prelude::*;

use super::*;
use crate::model::Timestamp;

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
    let ends = builder.finish(&mut out).unwrap();
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

const ALL: Wanted = Wanted { lines: true, metadata: true };

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
        prop_assert_eq!(buffer.read(front, Wanted { lines: false, metadata: false }), Some(()));
        prop_assert_eq!(buffer.rows(), rows.len());
        for (row, (_, ts, line, _)) in rows.iter().enumerate() {
            prop_assert_eq!(buffer.ts(row).0, *ts);
            prop_assert_eq!(buffer.line(row), "");
            prop_assert_eq!(buffer.line_bytes(row), line.len());
        }
        let front = &block[..ends.metadata as usize];
        prop_assert_eq!(buffer.read(front, Wanted { lines: false, metadata: true }), Some(()));
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
