//! A part: one immutable file with the entries of one day, or of a piece of it.
//!
//! Layout: magic with the format version, blocks, filters, the files of the index, the table
//! (streams, blocks, where everything lies), a footer of fixed size. All of it has checksums:
//! blocks and filters their own, index files in the table, the table in the footer.

mod bundle;
mod cache;
mod cursor;
mod dictionary;
mod file;
mod index;
mod prune;
mod runs;
mod table;
mod writer;

pub use cache::PartCache;
pub use cursor::Cursor;
pub use dictionary::{BlockSet, BlockTerms};
pub use file::{Opened, Part, PartFile};
pub use prune::Clauses;
pub use runs::RunAt;
pub use table::{BlockRow, RunRow, StreamRow, Table};
pub use writer::{About, PartWriter, StoredBlock};

/// The last byte is the version of the format. Version 2 says more of blocks in the table, and
/// its filters can be read in pieces.
pub(crate) const MAGIC: &[u8; 8] = b"STKPART\x02";
pub(crate) const VERSION: u8 = MAGIC[7];
pub(crate) const OLDEST_VERSION: u8 = 1;
pub(crate) const FOOTER_MAGIC: &[u8; 8] = b"STKPEND\x01";
pub(crate) const FOOTER_BYTES: usize = 8 + 4 + 4 + 4 + 4 + 8;

/// `000000000042.part`
pub fn part_name(id: u64) -> String {
    format!("{id:012}.part")
}

pub fn part_number(name: &str) -> Option<u64> {
    name.strip_suffix(".part")?.parse().ok()
}
