//! A block: about 2 MiB of lines of one or more streams, sorted by (stream, time, arrival), as
//! columns that can be read apart from each other.
//!
//! Layout: a header, then the sections rows (stream runs), times, metadata and lines. The lines
//! come last, so that counting reads the front alone. Lines are a directory of shapes and
//! columns and then the sections of the columns. Header and sections have a checksum each. The
//! first byte is the version of the format; blocks of version 1 hold lines as they are, and their
//! lengths with the runs.

mod bits;
mod builder;
mod check;
mod metadata;
mod reader;
mod section;
mod shape;

pub use builder::BlockBuilder;
pub use check::is_sound;
#[cfg(any(test, feature = "fuzz"))]
pub use check::with_right_checksums;
pub use reader::{BlockBuf, BuiltLines, Wanted};

/// Rows of one stream inside a block; streams are numbered by the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub stream: u32,
    pub rows: u32,
}

/// How lines are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEncoding {
    /// Lines one after the other, each followed by a line feed, compressed as one frame.
    Plain = 0,
    /// What lines have in common once, their values as columns.
    Shapes = 1,
}

impl LineEncoding {
    fn from_byte(byte: u8) -> Option<LineEncoding> {
        match byte {
            0 => Some(LineEncoding::Plain),
            1 => Some(LineEncoding::Shapes),
            _ => None,
        }
    }
}

const VERSION: u8 = 2;
/// The first version, still read: lines as they are.
const VERSION_PLAIN: u8 = 1;

#[cfg(test)]
mod tests;
