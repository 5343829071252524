//! The list of what the lines of a block consist of.

use crate::store::block::section::Section;
use crate::store::read::{Format, Hole, HoleKind, Shape};
use crate::store::varint::{Reader, put, put_bytes};

use super::find::{Found, SHAPES_MAX};
use super::scan::HOLES_MAX;

/// Where a column lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub section: u32,
    /// Inside the section, once that is laid open.
    pub from: u32,
    pub bytes: u32,
}

/// Columns of each shape follow each other; `first_columns` has one more than shapes.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub sections: Vec<Section>,
    /// The shape of each row.
    pub ids: Place,
    /// Lines that are kept whole.
    pub whole: Place,
    pub whole_rows: u32,
    pub shapes: Vec<Shape>,
    pub rows: Vec<u32>,
    pub columns: Vec<Place>,
    pub first_columns: Vec<u32>,
}

fn format_byte(format: Format) -> u8 {
    match format {
        Format::Json => 0,
        Format::Logfmt => 1,
        Format::Text => 2,
    }
}

fn format_of(byte: u8) -> Option<Format> {
    [Format::Json, Format::Logfmt, Format::Text].get(usize::from(byte)).copied()
}

const KINDS: [HoleKind; 7] = [
    HoleKind::String,
    HoleKind::Number,
    HoleKind::Bool,
    HoleKind::Array,
    HoleKind::Bare,
    HoleKind::Quoted,
    HoleKind::Token,
];

fn put_place(out: &mut Vec<u8>, place: Place) {
    [place.section, place.from, place.bytes].iter().for_each(|part| put(out, u64::from(*part)));
}

fn read_place(reader: &mut Reader<'_>) -> Option<Place> {
    let mut part = || u32::try_from(reader.varint()?).ok();
    Some(Place { section: part()?, from: part()?, bytes: part()? })
}

/// What the writer knows. `columns` are those of the shapes in their order.
pub(super) struct Parts<'a> {
    pub shapes: &'a [Found],
    pub sections: &'a [Section],
    pub columns: &'a [Place],
    pub ids: Place,
    pub whole: Place,
    pub whole_rows: usize,
}

impl Parts<'_> {
    pub fn put(&self, out: &mut Vec<u8>) {
        put(out, self.sections.len() as u64);
        self.sections.iter().for_each(|section| section.put_entry(out));
        put_place(out, self.ids);
        put(out, self.whole_rows as u64);
        put_place(out, self.whole);

        let mut keys: Vec<&[u8]> = Vec::new();
        let mut paths: Vec<u64> = Vec::new();
        for path in self.shapes.iter().flat_map(|shape| &shape.paths) {
            paths.push(path.len() as u64);
            for key in path {
                // The same few names again and again, mostly in the same order.
                let at = keys.iter().position(|other| other == key).unwrap_or_else(|| {
                    keys.push(key);
                    keys.len() - 1
                });
                paths.push(at as u64);
            }
        }
        put(out, keys.len() as u64);
        keys.iter().for_each(|key| put_bytes(out, key));

        put(out, self.shapes.len() as u64);
        let mut columns = self.columns.iter();
        let mut paths = paths.into_iter();
        for shape in self.shapes {
            out.push(format_byte(shape.format));
            put(out, shape.rows as u64);
            put(out, shape.holes() as u64);
            for (hole, kind) in shape.kinds.iter().enumerate() {
                put_bytes(out, shape.piece(hole));
                let kind = KINDS.iter().position(|other| other == kind).unwrap_or_default();
                out.push(kind as u8);
                let keys = paths.next().unwrap_or_default();
                put(out, keys);
                paths.by_ref().take(keys as usize).for_each(|key| put(out, key));
            }
            put_bytes(out, shape.piece(shape.holes()));
            columns.by_ref().take(shape.holes()).for_each(|place| put_place(out, *place));
        }
    }
}

/// The sections that columns lie in, out of a directory alone; `None` on damage.
pub(in crate::store::block) fn column_sections(directory: &[u8]) -> Option<Vec<Section>> {
    let mut reader = Reader::new(directory);
    (0..reader.count()?).map(|_| Section::read_entry(&mut reader)).collect()
}

impl Directory {
    /// `None` on damage.
    pub fn read(&mut self, bytes: &[u8], rows: usize) -> Option<()> {
        self.sections.clear();
        self.shapes.clear();
        self.rows.clear();
        self.columns.clear();
        self.first_columns.clear();
        let mut reader = Reader::new(bytes);
        for _ in 0..reader.count()? {
            self.sections.push(Section::read_entry(&mut reader)?);
        }
        self.ids = read_place(&mut reader)?;
        self.whole_rows = u32::try_from(reader.varint()?).ok()?;
        self.whole = read_place(&mut reader)?;
        let keys: Vec<&str> =
            (0..reader.count()?).map(|_| reader.text()).collect::<Option<Vec<&str>>>()?;
        let mut left = u64::try_from(rows).ok()?.checked_sub(u64::from(self.whole_rows))?;
        let shapes = reader.count().filter(|shapes| *shapes <= SHAPES_MAX)?;
        for _ in 0..shapes {
            let format = format_of(reader.byte()?)?;
            let rows = u32::try_from(reader.varint()?).ok()?;
            left = left.checked_sub(u64::from(rows))?;
            let count = reader.count().filter(|count| *count <= HOLES_MAX)?;
            let mut shape = Shape {
                format,
                pieces: Vec::with_capacity(count + 1),
                holes: Vec::with_capacity(count),
            };
            for _ in 0..count {
                shape.pieces.push(reader.text()?.to_owned());
                let kind = *KINDS.get(usize::from(reader.byte()?))?;
                let path = (0..reader.count()?)
                    .map(|_| Some((*keys.get(reader.size()?)?).to_owned()))
                    .collect::<Option<Vec<String>>>()?;
                shape.holes.push(Hole { path, kind });
            }
            shape.pieces.push(reader.text()?.to_owned());
            self.first_columns.push(self.columns.len() as u32);
            for _ in 0..count {
                self.columns.push(read_place(&mut reader)?);
            }
            self.shapes.push(shape);
            self.rows.push(rows);
        }
        self.first_columns.push(self.columns.len() as u32);
        (left == 0 && reader.is_done()).then_some(())
    }
}
