//! Logs in memory with their lines as shapes and columns, cut in a naive way: what the store
//! does, without its haste.

use std::collections::BTreeSet;

use crate::model::{Entry, Labels, Matcher, TimeRange, Timestamp};
use crate::store::read::{
    Cancel, Column, Flow, Format, Hole, HoleKind, LogRead, Order, PartKey, ReadError, RowSink,
    Rows, ScanRequest, ScanStats, Shape, Shaped, StreamMeta, StreamStats, WHOLE,
};

/// Streams, each a part of its own.
pub struct ShapedLogs {
    pub streams: Vec<(StreamMeta, Block)>,
    /// Hands rows to forks.
    pub forks: bool,
    /// Counts the parts that were read.
    pub parts_read: std::sync::atomic::AtomicUsize,
}

/// Rows of one stream.
pub struct Block {
    entries: Vec<Entry>,
    times: Vec<i64>,
    shapes: Vec<Shape>,
    ids: Vec<u16>,
    columns: Vec<Vec<Values>>,
}

enum Values {
    Dictionary(Vec<&'static str>, Vec<u16>),
    Integers(Vec<i64>),
    Decimals(Vec<i64>, u8),
    Texts(String, Vec<u32>),
}

/// A line as pieces and values.
type Cut = (Shape, Vec<String>);

fn cut(line: &str, format: Format, holes: Vec<(Hole, usize, usize)>) -> Cut {
    let mut shape = Shape { format, pieces: Vec::new(), holes: Vec::new() };
    let mut values = Vec::new();
    let mut at = 0;
    for (hole, start, end) in holes {
        shape.pieces.push(line[at..start].to_owned());
        values.push(line[start..end].to_owned());
        shape.holes.push(hole);
        at = end;
    }
    shape.pieces.push(line[at..].to_owned());
    (shape, values)
}

struct JsonWalk<'a> {
    line: &'a str,
    at: usize,
    holes: Vec<(Hole, usize, usize)>,
}

impl JsonWalk<'_> {
    fn byte(&self) -> u8 {
        self.line.as_bytes()[self.at]
    }

    fn blank(&mut self) {
        while self.line[self.at..].starts_with([' ', '\t', '\n', '\r']) {
            self.at += 1;
        }
    }

    /// A string without escapes: where its body begins and ends.
    fn string(&mut self) -> Option<(usize, usize)> {
        let start = self.at + 1;
        let end = start + self.line[start..].find('"')?;
        self.at = end + 1;
        (!self.line[start..end].contains('\\')).then_some((start, end))
    }

    fn value(&mut self, path: &[String]) -> Option<()> {
        self.blank();
        let start = self.at;
        let kind = match self.byte() {
            b'{' => {
                self.at += 1;
                self.blank();
                while self.byte() != b'}' {
                    let (from, to) = self.string()?;
                    let mut below = path.to_vec();
                    below.push(self.line[from..to].to_owned());
                    self.blank();
                    self.at += 1;
                    self.value(&below)?;
                    self.blank();
                    if self.byte() == b',' {
                        self.at += 1;
                        self.blank();
                    }
                }
                self.at += 1;
                return Some(());
            }
            b'"' => {
                let (from, to) = self.string()?;
                let hole = Hole { path: path.to_vec(), kind: HoleKind::String };
                self.holes.push((hole, from, to));
                return Some(());
            }
            b'[' => {
                let mut depth = 0;
                let mut quoted = false;
                loop {
                    match (self.byte(), quoted) {
                        (b'"', _) => quoted = !quoted,
                        (b'\\', true) => self.at += 1,
                        (b'[', false) => depth += 1,
                        (b']', false) => depth -= 1,
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
                if self.line[start + 1..self.at - 1].trim().is_empty() {
                    return Some(());
                }
                HoleKind::Array
            }
            first => {
                let rest = &self.line[start..];
                let ends = [',', '}', ']', ' ', '\t', '\n', '\r'];
                self.at = start + rest.find(ends).unwrap_or(rest.len());
                match first {
                    b'n' => return Some(()),
                    b't' | b'f' => HoleKind::Bool,
                    _ => HoleKind::Number,
                }
            }
        };
        self.holes.push((Hole { path: path.to_vec(), kind }, start, self.at));
        Some(())
    }
}

fn cut_json(line: &str) -> Option<Cut> {
    let parsed: serde_json::Value = serde_json::from_str(line).ok()?;
    parsed.is_object().then_some(())?;
    let mut walk = JsonWalk { line, at: 0, holes: Vec::new() };
    walk.value(&[])?;
    let holes = walk.holes;
    Some(cut(line, Format::Json, holes))
}

fn cut_logfmt(line: &str) -> Option<Cut> {
    let mut holes = Vec::new();
    let mut keys = BTreeSet::new();
    let mut at = 0;
    loop {
        let rest = &line[at..];
        let len = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c)))?;
        let key = &rest[..len];
        if key.is_empty() || !rest[len..].starts_with('=') || !keys.insert(key.to_owned()) {
            return None;
        }
        at += len + 1;
        let rest = &line[at..];
        let (kind, start, end) = if let Some(body) = rest.strip_prefix('"') {
            let end = at + 1 + body.find('"')?;
            let start = at + 1;
            at = end + 1;
            (HoleKind::Quoted, start, end)
        } else {
            let start = at;
            at += rest.find(' ').unwrap_or(rest.len());
            (HoleKind::Bare, start, at)
        };
        let value = &line[start..end];
        if value.contains(['\\', '"']) || value.chars().any(|c| c.is_ascii_control()) {
            return None;
        }
        if kind == HoleKind::Bare && value.contains('=') {
            return None;
        }
        if kind == HoleKind::Quoted || !value.is_empty() {
            holes.push((Hole { path: vec![key.to_owned()], kind }, start, end));
        }
        match line[at..].chars().next() {
            None => return Some(cut(line, Format::Logfmt, holes)),
            Some(' ') => at += 1,
            Some(_) => return None,
        }
    }
}

fn cut_text(line: &str) -> Cut {
    let mut holes = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let rest = &line[at..];
        let len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if rest[..len].contains(|c: char| c.is_ascii_digit()) {
            let hole = Hole { path: Vec::new(), kind: HoleKind::Token };
            holes.push((hole, at, at + len));
        }
        at += len + rest[len..].chars().next().map_or(0, char::len_utf8);
    }
    cut(line, Format::Text, holes)
}

fn scaled(value: &str) -> Option<(i64, u8)> {
    let (whole, rest) = value.split_once('.')?;
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_plain(digits) || !is_plain(rest) || rest.len() > 9 {
        return None;
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    let number: i64 = format!("{whole}{rest}").parse().ok()?;
    (number != 0 || !whole.starts_with('-')).then_some((number, rest.len() as u8))
}

impl Values {
    fn of(values: &[String]) -> Values {
        let integers: Option<Vec<i64>> = values
            .iter()
            .map(|v| v.parse::<i64>().ok().filter(|number| number.to_string() == *v))
            .collect();
        if let Some(integers) = integers {
            return Values::Integers(integers);
        }
        let decimals: Option<Vec<(i64, u8)>> = values.iter().map(|v| scaled(v)).collect();
        if let Some(decimals) = decimals
            && decimals.iter().all(|(_, scale)| *scale == decimals[0].1)
        {
            let scale = decimals[0].1;
            return Values::Decimals(decimals.into_iter().map(|(n, _)| n).collect(), scale);
        }
        let distinct: BTreeSet<&String> = values.iter().collect();
        if distinct.len() * 2 <= values.len() + 1 {
            // Tests are short: the few texts may stay.
            let texts: Vec<&'static str> =
                distinct.iter().map(|v| &*Box::leak(v.as_str().into())).collect();
            let code = |v: &String| texts.iter().position(|text| text == v).unwrap() as u16;
            let codes = values.iter().map(code).collect();
            return Values::Dictionary(texts, codes);
        }
        let mut text = String::new();
        let mut ends = Vec::new();
        for value in values {
            text.push_str(value);
            ends.push(text.len() as u32);
        }
        Values::Texts(text, ends)
    }
}

impl Block {
    pub fn new(entries: Vec<Entry>) -> Block {
        let mut entries = entries;
        entries.sort_by_key(|entry| entry.ts);
        let mut block = Block {
            times: entries.iter().map(|entry| entry.ts.0).collect(),
            entries,
            shapes: Vec::new(),
            ids: Vec::new(),
            columns: Vec::new(),
        };
        let mut values: Vec<Vec<Vec<String>>> = Vec::new();
        for (at, entry) in block.entries.iter().enumerate() {
            if at % 11 == 10 {
                block.ids.push(WHOLE);
                continue;
            }
            let line: &str = &entry.line;
            let (shape, of_line) =
                cut_json(line).or_else(|| cut_logfmt(line)).unwrap_or_else(|| cut_text(line));
            let known = block.shapes.iter().position(|known| *known == shape);
            let id = known.unwrap_or_else(|| {
                values.push(vec![Vec::new(); shape.holes.len()]);
                block.shapes.push(shape);
                block.shapes.len() - 1
            });
            for (column, value) in values[id].iter_mut().zip(of_line) {
                column.push(value);
            }
            block.ids.push(id as u16);
        }
        block.columns =
            values.iter().map(|holes| holes.iter().map(|v| Values::of(v)).collect()).collect();
        block
    }
}

struct Run<'a> {
    block: &'a Block,
    from: usize,
    to: usize,
    columns: bool,
}

impl Rows for Run<'_> {
    fn len(&self) -> usize {
        self.to - self.from
    }
    fn ts(&self, row: usize) -> Timestamp {
        Timestamp(self.block.times[self.from + row])
    }
    fn line(&self, row: usize) -> &str {
        assert!(!self.columns, "a line was read that was not built");
        &self.block.entries[self.from + row].line
    }
    fn line_bytes(&self, row: usize) -> usize {
        self.block.entries[self.from + row].line.len()
    }
    fn metadata_len(&self, row: usize) -> usize {
        self.block.entries[self.from + row].metadata.len()
    }
    fn metadata(&self, row: usize, at: usize) -> (&str, &str) {
        let (name, value) = &self.block.entries[self.from + row].metadata[at];
        (name, value)
    }
    fn times(&self) -> Option<&[i64]> {
        Some(&self.block.times[self.from..self.to])
    }
    fn shaped(&self) -> Option<&dyn Shaped> {
        self.columns.then_some(self as &dyn Shaped)
    }
}

impl Shaped for Run<'_> {
    fn shapes(&self) -> &[Shape] {
        &self.block.shapes
    }
    fn shape_ids(&self) -> &[u16] {
        &self.block.ids[self.from..self.to]
    }
    fn first_place(&self, shape: usize) -> usize {
        self.block.ids[..self.from].iter().filter(|id| usize::from(**id) == shape).count()
    }
    fn column(&self, shape: usize, hole: usize) -> Result<Column<'_>, ReadError> {
        Ok(match &self.block.columns[shape][hole] {
            Values::Dictionary(values, codes) => Column::Dictionary { values, codes },
            Values::Integers(numbers) => Column::Integers(numbers),
            Values::Decimals(numbers, scale) => Column::Decimals { numbers, scale: *scale },
            Values::Texts(text, ends) => Column::Texts { text, ends },
        })
    }
    fn line_into(&self, row: usize, out: &mut String) -> Result<(), ReadError> {
        out.push_str(&self.block.entries[self.from + row].line);
        Ok(())
    }
}

impl ShapedLogs {
    pub fn new(streams: Vec<(Labels, Vec<Entry>)>, tenant: &str) -> Self {
        let streams = streams
            .into_iter()
            .map(|(labels, entries)| {
                (StreamMeta { id: labels.stream_id(tenant), labels }, Block::new(entries))
            })
            .collect();
        ShapedLogs { streams, forks: false, parts_read: Default::default() }
    }

    /// The runs of a query, and whether all rows of a stream lie in the range.
    fn runs(&self, matchers: &[Matcher], range: TimeRange) -> Vec<(usize, usize, usize, bool)> {
        let mut runs = Vec::new();
        for (at, (meta, block)) in self.streams.iter().enumerate() {
            let value = |name: &str| meta.labels.get(name).unwrap_or_default().to_owned();
            if !matchers.iter().all(|m| m.matches(&value(&m.name))) {
                continue;
            }
            let from = block.times.partition_point(|ts| *ts < range.start.0);
            let to = block.times.partition_point(|ts| *ts < range.end.0);
            if from < to {
                runs.push((at, from, to, from == 0 && to == block.times.len()));
            }
        }
        runs
    }
}

impl LogRead for ShapedLogs {
    fn streams(
        &self,
        _: &str,
        matchers: &[Matcher],
        range: TimeRange,
        _: &Cancel,
    ) -> Result<Vec<StreamStats>, ReadError> {
        let stats = self.runs(matchers, range).into_iter().map(|(at, from, to, _)| {
            let (meta, block) = &self.streams[at];
            StreamStats {
                stream: meta.clone(),
                entries: (to - from) as u64,
                bytes: 1,
                chunks: 1,
                first: Timestamp(block.times[from]),
                last: Timestamp(block.times[to - 1]),
            }
        });
        Ok(stats.collect())
    }

    fn scan(&self, request: &ScanRequest, sink: &mut dyn RowSink) -> Result<ScanStats, ReadError> {
        let mut runs = self.runs(&request.matchers, request.range);
        let times = |at: usize| &self.streams[at].1.times;
        match request.order {
            Order::Any => {}
            Order::OldestFirst => runs.sort_by_key(|(at, from, ..)| times(*at)[*from]),
            Order::NewestFirst => {
                runs.sort_by_key(|(at, _, to, _)| std::cmp::Reverse(times(*at)[to - 1]));
            }
        }
        let mut fork = if self.forks { sink.fork() } else { None };
        for (nth, (at, from, to, all)) in runs.into_iter().enumerate() {
            let (meta, block) = &self.streams[at];
            let key = PartKey(at as u64);
            // A part whose result may be kept has forks of its own.
            if all && fork.is_some() {
                if !sink.begin_part(key) {
                    continue;
                }
                self.parts_read.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let middle = (from + to) / 2;
                let mut forks = Vec::new();
                let mut flow = Flow::Continue;
                for (from, to) in [(from, middle), (middle, to)] {
                    let Some(mut fork) = sink.fork() else { continue };
                    if from < to && flow == Flow::Continue {
                        let run = Run { block, from, to, columns: request.columns };
                        flow = std::thread::scope(|scope| {
                            let rows = || fork.rows(meta, &run);
                            scope.spawn(rows).join().unwrap()
                        })?;
                    }
                    forks.push(fork);
                }
                for fork in forks {
                    sink.join(fork)?;
                }
                if flow == Flow::Stop {
                    break;
                }
                sink.end_part(key);
                continue;
            }
            let sink: &mut dyn RowSink = match &mut fork {
                Some(fork) if nth % 2 == 1 => &mut **fork,
                _ => &mut *sink,
            };
            let last = Timestamp(block.times[to - 1]);
            if !sink.wants(Timestamp(block.times[from]), last) || (all && !sink.begin_part(key)) {
                continue;
            }
            self.parts_read.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // The sink sees part of the rows, then the rest: two blocks of a part.
            let middle = from + (to - from) / 3;
            let columns = request.columns && nth % 5 != 4;
            let mut flow = Flow::Continue;
            let mut halves = vec![(from, middle), (middle, to)];
            if request.order == Order::NewestFirst {
                halves.reverse();
            }
            for (from, to) in halves {
                if from < to && flow == Flow::Continue {
                    flow = sink.rows(meta, &Run { block, from, to, columns })?;
                }
            }
            if flow == Flow::Stop {
                break;
            }
            if all {
                sink.end_part(key);
            }
        }
        if let Some(fork) = fork {
            sink.join(fork)?;
        }
        Ok(ScanStats::default())
    }
}

#[test]
fn lines_are_cut_as_the_store_does() {
    let show = |line: &str| {
        let (shape, values) =
            cut_json(line).or_else(|| cut_logfmt(line)).unwrap_or_else(|| cut_text(line));
        let paths: Vec<String> = shape.holes.iter().map(|hole| hole.path.join("/")).collect();
        format!("{:?} {} {}", shape.format, paths.join(","), values.join(","))
    };
    let json = r#"{"a": 1 ,"b":{"c":"x","d":[],"e":[1,"]"]},"n":null,"t":true}"#;
    assert_eq!(show(json), r#"Json a,b/c,b/e,t 1,x,[1,"]"],true"#);
    assert_eq!(show(r#"{"a":"\n"}"#), "Text  ");
    assert_eq!(show("a=1 b= c=\"x y\""), "Logfmt a,c 1,x y");
    assert_eq!(show("took 15ms at 7"), "Text , 15ms,7");
}
