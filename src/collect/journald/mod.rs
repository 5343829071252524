//! The systemd journal, by way of journalctl, which always knows the host's file format.

mod access;
mod entry;
mod export;
mod position;
mod source;

pub use source::JournalSource;

pub(super) use access::{Access, check as check_access};
pub(super) use entry::UnitFilter;
pub(super) use source::JournalSettings;
