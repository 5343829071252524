//! The line pipeline of LogQL: from stages to a line with its labels. One construct, one file.
//! It needs no store: whoever has a line and its labels can run it.

mod compile;
mod decolorize;
pub(in crate::query) mod errors;
mod format;
mod ip;
mod json;
mod json_path;
pub mod json_scan;
mod label_filter;
mod line_filter;
mod logfmt;
mod names;
mod parser;
mod pattern;
mod regexp;
mod row;
mod select;
mod unpack;

#[cfg(test)]
mod tests;

pub use compile::{Pipeline, Worker};
pub use errors::StageError;
pub use row::{Category, ERROR, ERROR_DETAILS, Row};

pub(in crate::query) use compile::{Pinned, labels_read};
pub(in crate::query) use ip::IpFilter;
pub(in crate::query) use label_filter::{LabelFilter, ValueTest, text_matcher};
pub(in crate::query) use line_filter::LineFilter;
pub(in crate::query) use names::{NO_NAME, NameId, Names, ROOT, Wanted};
