//! Sorts the lines of a block into shapes.

use hashbrown::HashTable;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::scan::{self, Holes, Span};
use crate::store::read::{Format, HoleKind, WHOLE};
use crate::store::short::strip;
use crate::store::tokens::class;
use crate::store::varint::put;

/// Shapes looked at while a block is scanned: with more the lines have little in common, and
/// the bookkeeping would grow with every line.
const CANDIDATES_MAX: usize = 4096;
/// Shapes kept for a block. Reading a block lays all of them open.
pub(super) const SHAPES_MAX: usize = 1024;
/// Fewer lines do not pay for a shape and its columns.
const ROWS_MIN: usize = 12;
/// Shapes that are tried before a line is scanned anew. One that begins like those before it is
/// tried only from where they failed, so that many cost little.
const RECENT: usize = 16;

/// A shape and where in the text of the block its values lie.
#[derive(Debug)]
pub(super) struct Found {
    pub format: Format,
    /// All pieces one after the other, and where each ends.
    pub pieces: Vec<u8>,
    pub piece_ends: Vec<u32>,
    pub kinds: Vec<HoleKind>,
    pub paths: Vec<Vec<Vec<u8>>>,
    /// For each piece a hash of all pieces and kinds of holes before it.
    prefixes: Vec<u64>,
    pub rows: usize,
    /// Of each row one after the other, as many as there are holes.
    pub spans: Vec<Span>,
    /// Where the first line lies.
    pub first: Span,
}

impl Found {
    pub fn piece(&self, at: usize) -> &[u8] {
        let end = |at: usize| self.piece_ends.get(at).map_or(0, |end| *end as usize);
        let from = at.checked_sub(1).map_or(0, end);
        self.pieces.get(from..end(at)).unwrap_or_default()
    }

    pub fn holes(&self) -> usize {
        self.kinds.len()
    }

    /// Takes the values out of a line of this shape, going on where another shape failed. When
    /// this one does not fit either, `tried` says how far it went.
    #[inline]
    fn take(&self, line: &[u8], tried: &mut Tried) -> bool {
        if self.prefixes.get(tried.piece) != Some(&tried.prefix) {
            return false;
        }
        for piece_at in tried.piece..self.piece_ends.len() {
            let piece = self.piece(piece_at);
            let start = tried.at;
            if piece_at > tried.piece {
                tried.piece = piece_at;
                tried.prefix = self.prefixes.get(piece_at).copied().unwrap_or_default();
            }
            if line.get(start..).and_then(|rest| strip(rest, piece)).is_none() {
                return false;
            }
            let at = start + piece.len();
            let Some(kind) = self.kinds.get(piece_at) else { return at == line.len() };
            let end = match kind {
                HoleKind::String | HoleKind::Quoted => scan::string_end(line, at),
                HoleKind::Number => scan::number_end(line, at),
                HoleKind::Bool => scan::bool_end(line, at),
                HoleKind::Array => scan::array_end(line, at),
                HoleKind::Bare => scan::bare_end(line, at),
                HoleKind::Token => match scan::token_end(line, at) {
                    (end, true) => Some(end),
                    _ => None,
                },
            };
            let Some(end) = end else { return false };
            tried.spans.push(Span::new(at, end));
            tried.at = end;
        }
        false
    }
}

/// How far a line was like the shapes that were tried.
#[derive(Debug, Default)]
struct Tried {
    /// The first piece that did not fit, and where it should stand.
    piece: usize,
    at: usize,
    /// Of the pieces before it.
    prefix: u64,
    spans: Vec<Span>,
}

impl Tried {
    fn clear(&mut self) {
        self.piece = 0;
        self.at = 0;
        self.prefix = 0;
        self.spans.clear();
    }
}

/// Finds shapes. Reused from block to block.
#[derive(Default)]
pub(super) struct Finder {
    pub shapes: Vec<Found>,
    /// The shape of each row.
    pub ids: Vec<u16>,
    seen: HashTable<u16>,
    keys: Vec<Vec<u8>>,
    recent: [u16; RECENT],
    holes: Holes,
    tried: Tried,
    key: Vec<u8>,
}

impl Finder {
    /// Finds the shape of every line of a text in which each is followed by a line feed.
    pub fn find(&mut self, text: &[u8], lengths: &[u32]) {
        self.clear();
        let mut at = 0;
        for length in lengths {
            let end = at + *length as usize;
            let line = text.get(at..end).unwrap_or_default();
            let id = self.add_line(line, at, false).unwrap_or(WHOLE);
            self.ids.push(id);
            at = end + 1;
        }
        self.again_coarse(text, lengths);
        self.settle();
    }

    fn clear(&mut self) {
        self.shapes.clear();
        self.ids.clear();
        self.seen.clear();
        self.keys.clear();
        self.recent = [0; RECENT];
    }

    fn add_line(&mut self, line: &[u8], at: usize, coarse: bool) -> Option<u16> {
        if !coarse {
            self.tried.clear();
            for place in 0..RECENT.min(self.shapes.len()) {
                let id = self.recent[place];
                if let Some(shape) = self.shapes.get(usize::from(id))
                    && shape.take(line, &mut self.tried)
                {
                    self.recent[..=place].rotate_right(1);
                    let tried = std::mem::take(&mut self.tried);
                    self.add_row(id, &tried.spans, at);
                    self.tried = tried;
                    return Some(id);
                }
            }
        }
        let format = if coarse {
            scan::scan_coarse(line, &mut self.holes)
        } else {
            scan::scan(line, &mut self.holes)
        }?;
        if !self.is_clean(line) {
            return None;
        }
        self.make_key(line, format, coarse);
        let hash = xxh3_64(&self.key);
        let (keys, key) = (&self.keys, &self.key);
        let found = self.seen.find(hash, |id| keys.get(usize::from(*id)) == Some(key)).copied();
        let id = match found {
            Some(id) => id,
            None => self.add_shape(line, at, format, hash)?,
        };
        let spans = std::mem::take(&mut self.holes.spans);
        self.add_row(id, &spans, at);
        self.holes.spans = spans;
        if !coarse {
            self.recent.rotate_right(1);
            self.recent[0] = id;
        }
        Some(id)
    }

    fn add_row(&mut self, id: u16, spans: &[Span], at: usize) {
        if let Some(shape) = self.shapes.get_mut(usize::from(id)) {
            shape.rows += 1;
            let base = at as u32;
            shape.spans.extend(
                spans.iter().map(|span| Span { from: span.from + base, to: span.to + base }),
            );
        }
    }

    /// No token may reach over the border of a hole: tokens are taken from pieces and values
    /// apart from each other.
    fn is_clean(&self, line: &[u8]) -> bool {
        let is_border =
            |at: Option<usize>| at.and_then(|at| line.get(at)).is_none_or(|byte| class(*byte) == 0);
        self.holes.spans.iter().all(|span| {
            is_border((span.from as usize).checked_sub(1)) && is_border(Some(span.to as usize))
        })
    }

    fn make_key(&mut self, line: &[u8], format: Format, coarse: bool) {
        let key = &mut self.key;
        key.clear();
        key.push(format as u8 | u8::from(coarse) << 7);
        let mut from = 0;
        for (span, kind) in self.holes.spans.iter().zip(&self.holes.kinds) {
            let piece = line.get(from..span.from as usize).unwrap_or_default();
            put(key, piece.len() as u64);
            key.extend_from_slice(piece);
            key.push(*kind as u8);
            from = span.to as usize;
        }
        key.extend_from_slice(line.get(from..).unwrap_or_default());
    }

    fn add_shape(&mut self, line: &[u8], at: usize, format: Format, hash: u64) -> Option<u16> {
        let id = u16::try_from(self.shapes.len()).ok()?;
        // Shapes with large holes come on top of those that were too rare.
        let coarse = self.key.first().is_some_and(|byte| byte >> 7 == 1);
        if self.shapes.len() >= CANDIDATES_MAX * (1 + usize::from(coarse)) {
            return None;
        }
        let mut shape = Found {
            format,
            pieces: Vec::new(),
            piece_ends: Vec::new(),
            kinds: self.holes.kinds.clone(),
            paths: Vec::new(),
            prefixes: vec![0],
            rows: 0,
            spans: Vec::new(),
            first: Span::new(at, at + line.len()),
        };
        let mut from = 0;
        for (hole, span) in self.holes.spans.iter().enumerate() {
            shape.pieces.extend_from_slice(line.get(from..span.from as usize).unwrap_or_default());
            shape.piece_ends.push(shape.pieces.len() as u32);
            let before = shape.prefixes.last().copied().unwrap_or_default();
            let kind = shape.kinds.get(hole).map_or(0, |kind| *kind as u64 + 1);
            shape.prefixes.push(xxh3_64_with_seed(shape.piece(hole), before ^ kind));
            from = span.to as usize;
            let path = self.holes.path(hole);
            shape.paths.push(path.iter().map(|key| key.of(line).to_vec()).collect());
        }
        shape.pieces.extend_from_slice(line.get(from..).unwrap_or_default());
        shape.piece_ends.push(shape.pieces.len() as u32);
        self.shapes.push(shape);
        self.keys.push(self.key.clone());
        self.seen.insert_unique(hash, id, |id| {
            xxh3_64(self.keys.get(usize::from(*id)).map_or(&[], Vec::as_slice))
        });
        Some(id)
    }

    fn rows_of(&self, id: u16) -> usize {
        self.shapes.get(usize::from(id)).map_or(0, |shape| shape.rows)
    }

    /// Lines of shapes that are too rare get a second chance with larger holes.
    fn again_coarse(&mut self, text: &[u8], lengths: &[u32]) {
        let rare: Vec<bool> = self.shapes.iter().map(|shape| shape.rows < ROWS_MIN).collect();
        let is_rare = |id: u16| rare.get(usize::from(id)).copied().unwrap_or(true);
        if !self.ids.iter().any(|id| is_rare(*id)) {
            return;
        }
        let mut at = 0;
        for (row, length) in lengths.iter().enumerate() {
            let end = at + *length as usize;
            if self.ids.get(row).is_some_and(|id| is_rare(*id)) {
                let line = text.get(at..end).unwrap_or_default();
                let id = self.add_line(line, at, true).unwrap_or(WHOLE);
                if let Some(slot) = self.ids.get_mut(row) {
                    *slot = id;
                }
            }
            at = end + 1;
        }
        for (shape, is_rare) in self.shapes.iter_mut().zip(&rare) {
            if *is_rare {
                shape.rows = 0;
            }
        }
    }

    /// Drops shapes that do not pay and numbers the others anew, in the order of first sight.
    fn settle(&mut self) {
        let mut kept = 0u16;
        let places: Vec<u16> = (0..self.shapes.len())
            .map(|id| {
                if self.rows_of(id as u16) < ROWS_MIN || usize::from(kept) >= SHAPES_MAX {
                    return WHOLE;
                }
                kept += 1;
                kept - 1
            })
            .collect();
        let mut id = 0;
        self.shapes.retain(|_| {
            id += 1;
            places.get(id - 1).is_some_and(|place| *place != WHOLE)
        });
        for id in &mut self.ids {
            *id = places.get(usize::from(*id)).copied().unwrap_or(WHOLE);
        }
    }
}
