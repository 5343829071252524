//! Delete requests, as Loki's API has them. Rows that a request means are hidden from queries
//! at once; when the time in which it can be taken back is over, the parts that hold such rows
//! are written anew without them.
//!
//! A request is about what was stored when it came: the head is sealed first, so every row it
//! can mean is in a part. Each part knows the last request that does not concern it
//! (`PartInfo::deletes_seq`); parts made later, and parts that were written anew, carry the
//! number of the request and are never asked again.

mod book;
mod hide;
mod work;

use std::sync::Arc;

pub(super) use book::{Book, load};
pub use book::{DeleteRequest, DeleteState};
pub(super) use hide::{Active, Hidden, Hiding};
pub(super) use work::at_start;
pub use work::{DeleteError, DeleteStatus};

use crate::model::{Labels, Matcher, TimeRange, Timestamp};

use super::read::Hints;

/// A new request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelete {
    pub tenant: String,
    /// A selector with filters, in the language that `Language` reads.
    pub query: String,
    pub range: TimeRange,
}

/// Reads the query of a delete request. The store knows no query language, so whoever opens it
/// brings one along.
pub trait Language: Send + Sync + 'static {
    /// `Err` says what is wrong with the query.
    fn compile(&self, query: &str) -> Result<Selection, String>;
}

/// What the query of a delete request means.
pub struct Selection {
    pub matchers: Vec<Matcher>,
    pub hints: Hints,
    /// `None`: all rows of the streams.
    pub rows: Option<Arc<dyn RowFilter>>,
    /// The query without the texts it looked for, which may be the very secret that had to go.
    /// It takes the place of the query once the request is carried out.
    pub afterwards: String,
}

/// Tells which rows of the selected streams are meant.
pub trait RowFilter: Send + Sync {
    /// Filters keep buffers, so each thread has its own.
    fn worker(&self) -> Box<dyn RowWorker>;
}

pub trait RowWorker {
    /// Rows that follow are of this stream.
    fn set_stream(&mut self, labels: &Labels);
    fn matches<'a>(
        &mut self,
        ts: Timestamp,
        line: &'a str,
        metadata: &mut dyn Iterator<Item = (&'a str, &'a str)>,
    ) -> bool;
}

/// For stores that nobody asks to delete.
pub struct NoLanguage;

impl Language for NoLanguage {
    fn compile(&self, _query: &str) -> Result<Selection, String> {
        Err("this store was opened without a query language".to_owned())
    }
}
