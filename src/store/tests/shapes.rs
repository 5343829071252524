//! What a scan shows of lines that are kept as shapes is what the lines say.

use std::sync::Arc;

use super::support::*;
use crate::clock::SimClock;
use crate::model::{Entry, Matcher, TimeRange, Timestamp};
use crate::store::files::faulty::FaultyFiles;
use crate::store::read::*;

/// Rows as columns and lines tell them.
#[derive(Default)]
struct Columns {
    rows: Vec<Row>,
    shaped: usize,
    whole: usize,
}

fn value(column: &Column<'_>, place: usize) -> String {
    match column {
        Column::Dictionary { values, codes } => values[usize::from(codes[place])].to_owned(),
        Column::Integers(numbers) => numbers[place].to_string(),
        Column::Decimals { numbers, scale } => {
            let width = usize::from(*scale);
            let digits = format!("{:0width$}", numbers[place].abs(), width = width + 1);
            let (whole, rest) = digits.split_at(digits.len() - width);
            format!("{}{whole}.{rest}", if numbers[place] < 0 { "-" } else { "" })
        }
        Column::Texts { text, ends } => {
            let from = if place == 0 { 0 } else { ends[place - 1] as usize };
            text[from..ends[place] as usize].to_owned()
        }
    }
}

impl RowSink for Columns {
    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        let labels = stream.labels.to_string();
        let mut lines = Vec::new();
        if let Some(shaped) = rows.shaped() {
            assert_eq!(rows.times().unwrap().len(), rows.len());
            assert_eq!(shaped.shape_ids().len(), rows.len());
            let shapes = shaped.shapes();
            let mut next: Vec<usize> =
                (0..shapes.len()).map(|shape| shaped.first_place(shape)).collect();
            for (row, id) in shaped.shape_ids().iter().enumerate() {
                let mut line = "before ".to_owned();
                shaped.line_into(row, &mut line)?;
                let line = line.strip_prefix("before ").unwrap().to_owned();
                if *id == WHOLE {
                    self.whole += 1;
                } else {
                    self.shaped += 1;
                    let shape = &shapes[usize::from(*id)];
                    let place = next[usize::from(*id)];
                    next[usize::from(*id)] += 1;
                    let mut built = shape.pieces[0].clone();
                    for hole in 0..shape.holes.len() {
                        built += &value(&shaped.column(usize::from(*id), hole)?, place);
                        built += &shape.pieces[hole + 1];
                    }
                    assert_eq!(built, line);
                }
                lines.push(line);
            }
        }
        rows.load_lines()?;
        for row in 0..rows.len() {
            assert!(lines.get(row).is_none_or(|line| line == rows.line(row)));
            assert_eq!(rows.line_bytes(row), rows.line(row).len());
            assert!(rows.times().is_none_or(|times| times[row] == rows.ts(row).0));
            self.rows.push((labels.clone(), rows.ts(row).0, rows.line(row).to_owned(), Vec::new()));
        }
        Ok(Flow::Continue)
    }
}

fn line(at: i64) -> String {
    match at % 7 {
        0 | 1 => format!(r#"{{"level":"info","status":{},"took":{}.25}}"#, 200 + at % 5, at % 90),
        2 | 3 => format!("level=warn msg=\"job {at} done\" id={:08x} n={at}", at * 7_654_321),
        4 | 5 => format!("10.0.{}.{} port {at} closed", at % 3, at % 200),
        _ => format!("odd {}", "x\"y\\ ".repeat(at as usize % 4)),
    }
}

#[test]
fn columns_and_lines_agree() {
    let clock = SimClock::new(DAY0);
    let mut options = options(Arc::new(FaultyFiles::default()), &clock);
    options.thresholds.block_bytes = 20_000;
    let store = open(options);
    for part in 0..3i64 {
        let entries = (0..600i64).map(|at| {
            let app = ["a", "b", "c"][(at / 7 % 3) as usize];
            (app, Entry::new(Timestamp(DAY0 + part * 10_000 + at), line(at)))
        });
        store.append_blocking(batch(entries.collect(), None)).unwrap();
        if part < 2 {
            store.flush().unwrap();
        }
    }
    let ranges = [
        TimeRange::ALL,
        TimeRange::new(Timestamp(DAY0 + 111), Timestamp(DAY0 + 10_333)),
        TimeRange::new(Timestamp(DAY0 + 10_040), Timestamp(DAY0 + 20_050)),
    ];
    for (range, matchers) in
        ranges.iter().flat_map(|range| [(range, vec![]), (range, vec![Matcher::eq("app", "b")])])
    {
        let mut request = request(matchers, *range);
        request.need_metadata = false;
        let expect = collect(&*store, &request);
        request.columns = true;
        let mut sink = Columns::default();
        let stats = store.scan(&request, &mut sink).unwrap();
        sink.rows.sort();
        assert_eq!(sink.rows, expect);
        assert!(sink.shaped > 100 && sink.whole > 10, "{} and {}", sink.shaped, sink.whole);
        assert_eq!(stats.rows as usize, expect.len());
    }
}
