//! A block: about 2 MiB of lines of one or more streams, sorted by (stream, time, arrival), as
//! columns that can be read apart from each other.
//!
//! Layout: a header, then the sections rows (stream runs and line lengths), times, metadata and
//! lines. The lines come last, so that counting reads the front alone. Header and sections have
//! a checksum each. The first byte is the version of the format.

mod bits;
mod builder;
mod check;
mod metadata;
mod reader;
mod section;

pub use builder::BlockBuilder;
pub use check::is_sound;
#[cfg(any(test, feature = "fuzz"))]
pub use check::with_right_checksums;
pub use reader::{BlockBuf, Wanted};

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
}

impl LineEncoding {
    fn from_byte(byte: u8) -> Option<LineEncoding> {
        match byte {
            0 => Some(LineEncoding::Plain),
            _ => None,
        }
    }
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests;
