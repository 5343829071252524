//! Text tools that several rooms share: Go templates, Go time layouts, RE2 patterns, units,
//! logfmt, LogQL's `<capture>` patterns and multi-line joining. Pure; imports nothing of ours but `model`.

pub mod convert;
pub mod gotime;
pub mod logfmt;
pub mod multiline;
pub mod pattern;
pub mod re2;
pub mod template;
pub mod units;
