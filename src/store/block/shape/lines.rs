//! Reads lines that were written as shapes, column by column as they are asked for.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;

use zstd::bulk::Decompressor;

use super::data::{Data, Picked, pick_value, push_value, seek_values, value_bytes};
use super::directory::{Directory, Place};
use super::ints::read_ints;
use crate::store::block::section::Section;
use crate::store::read::{Column, Seek, Shape, WHOLE};
use crate::store::varint::Reader;

/// Buffers of columns kept for the next block; more would hold memory for nothing.
const SPARE_MAX: usize = 256;

/// A column is laid open once more than one in so many of its values were asked for one by one.
const PICKS_SHARE: u32 = 64;

/// Lines put together, each followed by a line feed.
#[derive(Debug, Default)]
pub(in crate::store::block) struct Built {
    pub text: String,
    /// Where lines start; one more than lines.
    pub starts: Vec<u32>,
}

#[derive(Default)]
struct Scratch {
    unpacker: Option<Decompressor<'static>>,
    raw: Vec<u8>,
    spare: Vec<Data>,
    spare_raw: Vec<Vec<u8>>,
    spare_built: Vec<Built>,
}

/// The lines of a block. All memory is kept from block to block.
#[derive(Default)]
pub(in crate::store::block) struct ShapedLines {
    directory: Directory,
    stored: Vec<u8>,
    /// Where each section lies in `stored`.
    offsets: Vec<u32>,
    ids: Vec<u16>,
    places: Vec<u32>,
    columns: Vec<OnceCell<Data>>,
    /// Values that were taken out of columns which are not laid open.
    picks: Vec<Cell<u32>>,
    whole: OnceCell<Data>,
    /// Sections that several columns share, or values are taken from one by one.
    unpacked: Vec<OnceCell<Vec<u8>>>,
    scratch: RefCell<Scratch>,
}

impl ShapedLines {
    /// Reads the directory and which row has which shape; `None` on damage. `stored` are the
    /// sections behind the directory.
    pub fn read(&mut self, directory: &[u8], stored: &[u8], rows: usize) -> Option<()> {
        self.clear();
        self.directory.read(directory, rows)?;
        let mut offset = 0u32;
        self.offsets.clear();
        for section in &self.directory.sections {
            self.offsets.push(offset);
            offset = offset.checked_add(section.stored)?;
        }
        if offset as usize != stored.len() {
            return None;
        }
        self.stored.extend_from_slice(stored);
        self.unpacked.resize_with(self.directory.sections.len(), OnceCell::new);
        self.columns.resize_with(self.directory.columns.len(), OnceCell::new);
        self.picks.resize_with(self.directory.columns.len(), Cell::default);
        self.read_ids(rows)
    }

    fn clear(&mut self) {
        let scratch = self.scratch.get_mut();
        let columns = self.columns.drain(..).filter_map(OnceCell::into_inner);
        let columns = columns.chain(self.whole.take()).filter(Data::is_small);
        scratch.spare.extend(columns);
        scratch.spare.truncate(SPARE_MAX);
        scratch.spare_raw.extend(self.unpacked.drain(..).filter_map(OnceCell::into_inner));
        scratch.spare_raw.truncate(SPARE_MAX);
        self.picks.clear();
        self.stored.clear();
        self.ids.clear();
        self.places.clear();
    }

    fn read_ids(&mut self, rows: usize) -> Option<()> {
        let mut numbers = Vec::new();
        self.with_bytes(self.directory.ids, false, |bytes| {
            let mut reader = Reader::new(bytes);
            read_ints(&mut reader, rows, &mut numbers)?;
            reader.is_done().then_some(())
        })?;
        let mut next = vec![0u32; self.directory.shapes.len()];
        let mut whole = 0;
        for number in numbers {
            let id = i16::try_from(number).ok()? as u16;
            let next = if id == WHOLE { &mut whole } else { next.get_mut(usize::from(id))? };
            self.ids.push(id);
            self.places.push(*next);
            *next += 1;
        }
        (whole == self.directory.whole_rows && next == self.directory.rows).then_some(())
    }

    /// Calls `with` with the bytes of a column. `keep` says that it is read again.
    fn with_bytes<T>(
        &self,
        place: Place,
        keep: bool,
        with: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let at = place.section as usize;
        let section = self.directory.sections.get(at)?;
        let range = place.from as usize..place.from.checked_add(place.bytes)? as usize;
        let cell = self.unpacked.get(at)?;
        let is_alone = place.from == 0 && place.bytes == section.raw;
        if is_alone && !keep && cell.get().is_none() {
            let mut raw = std::mem::take(&mut self.scratch.borrow_mut().raw);
            let result = self.unpack(at, section, &mut raw).and_then(|()| with(&raw));
            self.scratch.borrow_mut().raw = raw;
            return result;
        }
        if cell.get().is_none() {
            let mut raw = self.scratch.borrow_mut().spare_raw.pop().unwrap_or_default();
            self.unpack(at, section, &mut raw)?;
            // It was empty a moment ago, and nobody else has it.
            let _ = cell.set(raw);
        }
        with(cell.get()?.get(range)?)
    }

    fn unpack(&self, at: usize, section: &Section, raw: &mut Vec<u8>) -> Option<()> {
        let from = *self.offsets.get(at)? as usize;
        let stored = self.stored.get(from..from.checked_add(section.stored as usize)?)?;
        let mut scratch = self.scratch.borrow_mut();
        let unpacker = match &mut scratch.unpacker {
            Some(unpacker) => unpacker,
            none => none.insert(Decompressor::new().ok()?),
        };
        section.unpack(stored, unpacker, raw)
    }

    fn load<'a>(&self, cell: &'a OnceCell<Data>, place: Place, rows: u32) -> Option<&'a Data> {
        if cell.get().is_none() {
            let mut data = self.scratch.borrow_mut().spare.pop().unwrap_or_default();
            self.with_bytes(place, false, |bytes| data.read(bytes, rows as usize))?;
            // It was empty a moment ago, and nobody else has it.
            let _ = cell.set(data);
        }
        cell.get()
    }

    pub fn shapes(&self) -> &[Shape] {
        &self.directory.shapes
    }

    /// The shape of each row.
    pub fn ids(&self) -> &[u16] {
        &self.ids
    }

    /// For each row, which of the rows of its shape it is.
    pub fn places(&self) -> &[u32] {
        &self.places
    }

    fn column_at(&self, shape: usize, hole: usize) -> Option<usize> {
        let first = *self.directory.first_columns.get(shape)? as usize;
        let end = *self.directory.first_columns.get(shape + 1)? as usize;
        first.checked_add(hole).filter(|at| *at < end)
    }

    /// `None` on damage.
    pub fn column(&self, shape: usize, hole: usize) -> Option<Column<'_>> {
        let at = self.column_at(shape, hole)?;
        let place = *self.directory.columns.get(at)?;
        let rows = *self.directory.rows.get(shape)?;
        self.load(self.columns.get(at)?, place, rows).map(Data::column)
    }

    /// See `Shaped::seek`; the outer `None` is damage.
    pub fn seek(&self, shape: usize, hole: usize, question: Seek<'_>) -> Option<Option<Vec<u32>>> {
        let at = self.column_at(shape, hole)?;
        if self.columns.get(at)?.get().is_some() {
            return Some(None);
        }
        let place = *self.directory.columns.get(at)?;
        let rows = *self.directory.rows.get(shape)?;
        self.with_bytes(place, true, |bytes| seek_values(bytes, rows as usize, question))
    }

    /// Adds one value to `out`. Where few are asked for, the others are not made.
    fn push_value(&self, shape: usize, hole: usize, row: usize, out: &mut Vec<u8>) -> Option<()> {
        let at = self.column_at(shape, hole)?;
        if let Some(open) = self.columns.get(at)?.get() {
            return push_value(&open.column(), row, out);
        }
        let place = *self.directory.columns.get(at)?;
        let rows = *self.directory.rows.get(shape)?;
        let picks = self.picks.get(at)?;
        if picks.get() <= rows / PICKS_SHARE {
            picks.set(picks.get() + 1);
            let pick = |bytes: &[u8]| pick_value(bytes, rows as usize, row, out);
            match self.with_bytes(place, true, pick)? {
                Picked::Done => return Some(()),
                Picked::Unread => picks.set(u32::MAX),
            }
        }
        push_value(&self.column(shape, hole)?, row, out)
    }

    fn whole(&self) -> Option<Column<'_>> {
        let Directory { whole, whole_rows, .. } = self.directory;
        self.load(&self.whole, whole, whole_rows).map(Data::column)
    }

    /// Adds one line to `out`; `None` on damage.
    pub fn push_line(&self, row: usize, out: &mut Vec<u8>) -> Option<()> {
        let place = *self.places.get(row)? as usize;
        let id = *self.ids.get(row)?;
        if id == WHOLE {
            return push_value(&self.whole()?, place, out);
        }
        let shape = self.directory.shapes.get(usize::from(id))?;
        let mut pieces = shape.pieces.iter();
        for (hole, piece) in (0..shape.holes.len()).zip(pieces.by_ref()) {
            out.extend_from_slice(piece.as_bytes());
            self.push_value(usize::from(id), hole, place, out)?;
        }
        out.extend_from_slice(pieces.next()?.as_bytes());
        Some(())
    }

    /// Pieces and columns of the shapes that a range of rows has, one shape after the other, and
    /// where each ends.
    fn plan(&self, rows: Range<usize>) -> Option<Plan<'_>> {
        let shapes = &self.directory.shapes;
        let mut used = vec![false; shapes.len()];
        let mut plan = Plan { steps: Vec::new(), spans: vec![(0, 0); shapes.len()], whole: None };
        for id in self.ids.get(rows)? {
            if *id == WHOLE {
                if plan.whole.is_none() {
                    plan.whole = Some(self.whole()?);
                }
            } else {
                *used.get_mut(usize::from(*id))? = true;
            }
        }
        for (at, shape) in shapes.iter().enumerate() {
            if used.get(at) != Some(&true) {
                continue;
            }
            let from = plan.steps.len();
            for (hole, piece) in shape.pieces.iter().enumerate() {
                let column = if hole < shape.holes.len() {
                    self.column(at, hole)?
                } else {
                    Column::Integers(&[])
                };
                plan.steps.push((piece, column));
            }
            *plan.spans.get_mut(at)? = (from, plan.steps.len());
        }
        Some(plan)
    }

    /// Puts the lines of a range of rows together; `None` on damage.
    pub fn build(&self, rows: Range<usize>) -> Option<Built> {
        let mut built = self.scratch.borrow_mut().spare_built.pop().unwrap_or_default();
        let mut text = std::mem::take(&mut built.text).into_bytes();
        text.clear();
        built.starts.clear();
        built.starts.push(0);
        let plan = self.plan(rows.clone())?;
        let (ids, places) = (self.ids.get(rows.clone())?, self.places.get(rows)?);
        for (id, place) in ids.iter().zip(places) {
            let place = *place as usize;
            if *id == WHOLE {
                push_value(plan.whole.as_ref()?, place, &mut text)?;
            } else {
                let (from, to) = *plan.spans.get(usize::from(*id))?;
                let (last, steps) = plan.steps.get(from..to)?.split_last()?;
                for (piece, column) in steps {
                    text.extend_from_slice(piece.as_bytes());
                    push_value(column, place, &mut text)?;
                }
                text.extend_from_slice(last.0.as_bytes());
            }
            text.push(b'\n');
            built.starts.push(u32::try_from(text.len()).ok()?);
        }
        built.text = String::from_utf8(text).ok()?;
        Some(built)
    }

    /// Where the lines of all rows would start, each followed by a line feed; `None` on damage.
    pub fn starts(&self, starts: &mut Vec<u32>) -> Option<()> {
        starts.clear();
        starts.push(0);
        let plan = self.plan(0..self.ids.len())?;
        let mut start = 0u32;
        for (id, place) in self.ids.iter().zip(&self.places) {
            let place = *place as usize;
            let mut bytes = 1;
            if *id == WHOLE {
                bytes += value_bytes(plan.whole.as_ref()?, place)?;
            } else {
                let (from, to) = *plan.spans.get(usize::from(*id))?;
                let (last, steps) = plan.steps.get(from..to)?.split_last()?;
                for (piece, column) in steps {
                    bytes += piece.len() + value_bytes(column, place)?;
                }
                bytes += last.0.len();
            }
            start = start.checked_add(u32::try_from(bytes).ok()?)?;
            starts.push(start);
        }
        Some(())
    }

    /// Keeps memory for lines that are built later.
    pub fn give_back(&self, built: Built) {
        let mut scratch = self.scratch.borrow_mut();
        if scratch.spare_built.is_empty() {
            scratch.spare_built.push(built);
        }
    }
}

struct Plan<'a> {
    /// The column behind the last piece of a shape means nothing.
    steps: Vec<(&'a String, Column<'a>)>,
    spans: Vec<(usize, usize)>,
    whole: Option<Column<'a>>,
}
