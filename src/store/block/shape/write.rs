//! Writes the lines of a block as shapes.

use std::io;

use super::column::{ColumnWriter, put_texts};
use super::directory::{Parts, Place};
use super::find::Finder;
use super::ints::put_ints;
use super::scan::Span;
use crate::store::block::section::{Packer, Section};
use crate::store::read::WHOLE;
use crate::store::tokens::TokenSet;

/// Columns below this share a section: each section costs a checksum and a frame.
const ALONE_MIN: usize = 1024;
/// A shared section is closed when it is this large, so that one column of it is read fast.
const SHARED_MAX: usize = 8 * 1024;

/// All scratch is kept from block to block.
#[derive(Default)]
pub(in crate::store::block) struct ShapeWriter {
    finder: Finder,
    columns: ColumnWriter,
    column: Vec<u8>,
    shared: Vec<u8>,
    /// Columns in `shared`, which do not know their section yet.
    waiting: Vec<usize>,
    places: Vec<Place>,
    sections: Vec<Section>,
    data: Vec<u8>,
    directory: Vec<u8>,
    lengths: Vec<i64>,
    values: Vec<Span>,
}

impl ShapeWriter {
    /// Adds the directory and the sections of the lines to `out` and gives the directory's
    /// entry. Each line is followed by a line feed, the last one by the padding that `TokenSet`
    /// needs; the tokens of all lines go to `tokens`.
    pub fn put(
        &mut self,
        out: &mut Vec<u8>,
        packer: &mut Packer,
        text: &[u8],
        lengths: &[u32],
        tokens: &mut TokenSet,
    ) -> io::Result<Section> {
        self.places.clear();
        self.sections.clear();
        self.data.clear();
        self.finder.find(text, lengths);

        let finder = std::mem::take(&mut self.finder);
        let mut values = std::mem::take(&mut self.values);
        for shape in &finder.shapes {
            let holes = shape.holes();
            let of_first = shape.spans.get(..holes).unwrap_or_default();
            let mut from = shape.first.from;
            for span in of_first {
                tokens.add_text(text, from as usize, span.from as usize, shape.rows > 1);
                from = span.to;
            }
            tokens.add_text(text, from as usize, shape.first.to as usize, shape.rows > 1);
            for hole in 0..holes {
                // Side by side, since they are gone over several times.
                values.clear();
                values.extend(shape.spans.iter().skip(hole).step_by(holes));
                self.column.clear();
                let compress = self.columns.put(&mut self.column, text, &values);
                self.add_column(packer, compress)?;
                if self.columns.is_distinct {
                    let distinct = &self.columns.distinct;
                    for (span, count) in distinct.firsts.iter().zip(&distinct.counts) {
                        tokens.add_text(text, span.from as usize, span.to as usize, *count > 1);
                    }
                } else {
                    for span in &values {
                        tokens.add_rare(text, span.from as usize, span.to as usize);
                    }
                }
            }
        }

        // Lines that are kept whole.
        let mut whole = Vec::new();
        let mut at = 0;
        for (id, length) in finder.ids.iter().zip(lengths) {
            let end = at + *length as usize;
            if *id == WHOLE {
                whole.push(Span::new(at, end));
                tokens.add_text(text, at, end, false);
            }
            at = end + 1;
        }
        self.column.clear();
        if !whole.is_empty() {
            put_texts(&mut self.column, text, &whole, &mut self.lengths);
        }
        self.add_column(packer, true)?;

        self.column.clear();
        self.lengths.clear();
        self.lengths.extend(finder.ids.iter().map(|id| i64::from(*id as i16)));
        put_ints(&mut self.column, &self.lengths);
        self.add_column(packer, true)?;
        self.close_shared(packer)?;

        let places = self.places.as_slice();
        let (ids, places) =
            places.split_last().map_or((Place::default(), places), |(a, b)| (*a, b));
        let (of_whole, columns) =
            places.split_last().map_or((Place::default(), places), |(a, b)| (*a, b));
        self.directory.clear();
        let parts = Parts {
            shapes: &finder.shapes,
            sections: &self.sections,
            columns,
            ids,
            whole: of_whole,
            whole_rows: whole.len(),
        };
        parts.put(&mut self.directory);
        self.finder = finder;
        self.values = values;
        let section = packer.put(out, &self.directory)?;
        out.extend_from_slice(&self.data);
        Ok(section)
    }

    /// Puts `column` into a section.
    fn add_column(&mut self, packer: &mut Packer, compress: bool) -> io::Result<()> {
        let bytes = self.column.len() as u32;
        if self.column.len() >= ALONE_MIN {
            let section = if compress {
                packer.put(&mut self.data, &self.column)?
            } else {
                packer.put_dense(&mut self.data, &self.column)?
            };
            self.places.push(Place { section: self.sections.len() as u32, from: 0, bytes });
            self.sections.push(section);
            return Ok(());
        }
        if self.shared.len() + self.column.len() > SHARED_MAX {
            self.close_shared(packer)?;
        }
        self.waiting.push(self.places.len());
        self.places.push(Place { section: 0, from: self.shared.len() as u32, bytes });
        self.shared.extend_from_slice(&self.column);
        Ok(())
    }

    fn close_shared(&mut self, packer: &mut Packer) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let section = self.sections.len() as u32;
        self.sections.push(packer.put(&mut self.data, &self.shared)?);
        for waiting in self.waiting.drain(..) {
            if let Some(place) = self.places.get_mut(waiting) {
                place.section = section;
            }
        }
        self.shared.clear();
        Ok(())
    }
}
