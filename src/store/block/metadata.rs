//! Structured metadata as columns: which names a row has, run by run, and for each name its
//! values: one for all rows, a dictionary, or texts. A level on each row costs bits.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::store::varint::{Reader, put, put_bytes};

const DICTIONARY_MAX: usize = 255;

#[derive(Debug, Default)]
struct Column {
    name: Vec<u8>,
    /// Distinct values as ranges of `text`, as long as they are few.
    values: Vec<(u32, u32)>,
    seen: HashTable<u8>,
    indexes: Vec<u8>,
    last: u8,
    /// Once there are too many distinct values: each value's length, bytes in `text`.
    plain: Option<Vec<u32>>,
    text: Vec<u8>,
}

impl Column {
    fn value(text: &[u8], at: (u32, u32)) -> &[u8] {
        &text[at.0 as usize..at.1 as usize]
    }

    fn push(&mut self, value: &[u8]) {
        if let Some(lengths) = &mut self.plain {
            lengths.push(value.len() as u32);
            self.text.extend_from_slice(value);
            return;
        }
        if let Some(at) = self.values.get(usize::from(self.last))
            && Self::value(&self.text, *at) == value
        {
            self.indexes.push(self.last);
            return;
        }
        let hash = xxh3_64(value);
        let (text, values) = (&self.text, &self.values);
        let found = self
            .seen
            .find(hash, |at| Self::value(text, values[usize::from(*at)]) == value)
            .copied();
        if let Some(at) = found {
            self.last = at;
            self.indexes.push(at);
        } else if self.values.len() < DICTIONARY_MAX {
            let at = self.values.len() as u8;
            let start = self.text.len() as u32;
            self.text.extend_from_slice(value);
            self.values.push((start, self.text.len() as u32));
            let (text, values) = (&self.text, &self.values);
            self.seen
                .insert_unique(hash, at, |at| xxh3_64(Self::value(text, values[usize::from(*at)])));
            self.last = at;
            self.indexes.push(at);
        } else {
            let mut text = Vec::with_capacity(self.text.len() * 2);
            let mut lengths = Vec::with_capacity(self.indexes.len() * 2);
            for at in &self.indexes {
                let old = Self::value(&self.text, self.values[usize::from(*at)]);
                lengths.push(old.len() as u32);
                text.extend_from_slice(old);
            }
            lengths.push(value.len() as u32);
            text.extend_from_slice(value);
            let name = std::mem::take(&mut self.name);
            *self = Column { name, text, plain: Some(lengths), ..Column::default() };
        }
    }

    fn finish(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.name);
        if let Some(lengths) = &self.plain {
            out.push(KIND_PLAIN);
            put(out, lengths.len() as u64);
            lengths.iter().for_each(|length| put(out, u64::from(*length)));
            out.extend_from_slice(&self.text);
        } else if self.values.len() == 1 {
            out.push(KIND_CONST);
            put(out, self.indexes.len() as u64);
            put_bytes(out, &self.text);
        } else {
            out.push(KIND_DICTIONARY);
            put(out, self.values.len() as u64);
            for at in &self.values {
                put_bytes(out, Self::value(&self.text, *at));
            }
            put_bytes(out, &self.indexes);
        }
    }
}

const KIND_CONST: u8 = 0;
const KIND_DICTIONARY: u8 = 1;
const KIND_PLAIN: u8 = 2;

/// Collects the metadata of the rows of a block.
#[derive(Debug, Default)]
pub(super) struct MetadataBuilder {
    columns: Vec<Column>,
    /// Sequences of column numbers that rows have.
    shapes: Vec<Vec<u32>>,
    /// (shape, rows)
    runs: Vec<(u32, u32)>,
    scratch: Vec<u32>,
    any: bool,
}

impl MetadataBuilder {
    pub fn push<'a>(&mut self, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
        let mut bytes = 0;
        self.scratch.clear();
        for (name, value) in pairs {
            bytes += name.len() + value.len();
            let at = self.column(name.as_bytes());
            self.columns[at].push(value.as_bytes());
            self.scratch.push(at as u32);
        }
        self.any |= !self.scratch.is_empty();
        if let Some((shape, rows)) = self.runs.last_mut()
            && self.shapes[*shape as usize] == self.scratch
        {
            *rows += 1;
            return bytes;
        }
        let shape = match self.shapes.iter().position(|shape| *shape == self.scratch) {
            Some(at) => at,
            None => {
                self.shapes.push(self.scratch.clone());
                self.shapes.len() - 1
            }
        };
        self.runs.push((shape as u32, 1));
        bytes
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        // They came as `str`.
        self.columns.iter().map(|column| std::str::from_utf8(&column.name).unwrap_or_default())
    }

    fn column(&mut self, name: &[u8]) -> usize {
        // Names are few and come in the same order on each row.
        let guess = self.runs.last().and_then(|(shape, _)| {
            self.shapes[*shape as usize].get(self.scratch.len()).map(|at| *at as usize)
        });
        if let Some(at) = guess
            && self.columns[at].name == name
        {
            return at;
        }
        match self.columns.iter().position(|column| column.name == name) {
            Some(at) => at,
            None => {
                self.columns.push(Column { name: name.to_vec(), ..Column::default() });
                self.columns.len() - 1
            }
        }
    }

    /// Nothing at all when no row has metadata.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.any {
            put(out, self.columns.len() as u64);
            self.columns.iter().for_each(|column| column.finish(out));
            put(out, self.shapes.len() as u64);
            for shape in &self.shapes {
                put(out, shape.len() as u64);
                shape.iter().for_each(|at| put(out, u64::from(*at)));
            }
            put(out, self.runs.len() as u64);
            for (shape, rows) in &self.runs {
                put(out, u64::from(*shape));
                put(out, u64::from(*rows));
            }
        }
        *self = MetadataBuilder::default();
    }
}

type Span = (u32, u32);

/// Metadata of a block, laid open for access by row.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    raw: Vec<u8>,
    /// (name, value) as places in `raw`.
    pairs: Vec<(Span, Span)>,
    /// Where the pairs of a row start; one more than rows, or empty when there are none.
    starts: Vec<u32>,
}

impl Metadata {
    /// What is to be laid open is put here. Whatever was laid open before is forgotten.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.clear();
        &mut self.raw
    }

    pub fn clear(&mut self) {
        self.pairs.clear();
        self.starts.clear();
    }

    pub fn len(&self, row: usize) -> usize {
        match self.starts.get(row..row + 2) {
            Some([from, to]) => (to - from) as usize,
            _ => 0,
        }
    }

    pub fn get(&self, row: usize, at: usize) -> (&str, &str) {
        let text = |span: Span| {
            let bytes = self.raw.get(span.0 as usize..span.1 as usize).unwrap_or_default();
            // SAFETY: `parse` takes no other spans than those of UTF-8, and all are forgotten
            // before `raw` is changed.
            unsafe { std::str::from_utf8_unchecked(bytes) }
        };
        let pair = self.starts.get(row).and_then(|start| self.pairs.get(*start as usize + at));
        pair.map(|(name, value)| (text(*name), text(*value))).unwrap_or_default()
    }

    /// Lays open what `buffer` holds; `None` on damage.
    pub fn parse(&mut self, rows: usize) -> Option<()> {
        self.clear();
        if self.raw.is_empty() {
            return Some(());
        }
        let mut reader = Reader::new(&self.raw);
        let span = |reader: &mut Reader<'_>| -> Option<Span> {
            let bytes = reader.bytes().filter(|bytes| std::str::from_utf8(bytes).is_ok())?;
            let end = u32::try_from(reader.at()).ok()?;
            Some((end - bytes.len() as u32, end))
        };
        enum Values<'a> {
            Const(Span),
            Dictionary(Vec<Span>, &'a [u8]),
            Plain(Vec<Span>),
        }
        let mut columns = Vec::new();
        for _ in 0..reader.count()? {
            let name = span(&mut reader)?;
            let (count, values) = match reader.byte()? {
                KIND_CONST => {
                    let count = reader.size()?;
                    (count, Values::Const(span(&mut reader)?))
                }
                KIND_DICTIONARY => {
                    let count = reader.count()?;
                    let values =
                        (0..count).map(|_| span(&mut reader)).collect::<Option<Vec<Span>>>()?;
                    let indexes = reader.bytes()?;
                    (indexes.len(), Values::Dictionary(values, indexes))
                }
                KIND_PLAIN => {
                    let count = reader.count()?;
                    let lengths =
                        (0..count).map(|_| reader.size()).collect::<Option<Vec<usize>>>()?;
                    let mut spans = Vec::with_capacity(count);
                    for length in lengths {
                        let start = u32::try_from(reader.at()).ok()?;
                        std::str::from_utf8(reader.take(length)?).ok()?;
                        spans.push((start, u32::try_from(reader.at()).ok()?));
                    }
                    (count, Values::Plain(spans))
                }
                _ => return None,
            };
            columns.push((name, count, values, 0usize));
        }
        let mut shapes = Vec::new();
        for _ in 0..reader.count()? {
            let count = reader.count()?;
            shapes.push((0..count).map(|_| reader.size()).collect::<Option<Vec<usize>>>()?);
        }
        for _ in 0..reader.count()? {
            let shape = shapes.get(reader.size()?)?;
            let run = reader.size()?;
            if run > rows - self.starts.len().min(rows) {
                return None;
            }
            for _ in 0..run {
                self.starts.push(u32::try_from(self.pairs.len()).ok()?);
                for at in shape {
                    let (name, count, values, next) = columns.get_mut(*at)?;
                    if *next >= *count {
                        return None;
                    }
                    let value = match values {
                        Values::Const(value) => *value,
                        Values::Dictionary(values, indexes) => {
                            *values.get(usize::from(*indexes.get(*next)?))?
                        }
                        Values::Plain(spans) => *spans.get(*next)?,
                    };
                    *next += 1;
                    self.pairs.push((*name, value));
                }
            }
        }
        self.starts.push(u32::try_from(self.pairs.len()).ok()?);
        (self.starts.len() == rows + 1).then_some(())
    }
}
