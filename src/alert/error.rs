//! What can go wrong in the alert room.

use crate::config::Diagnostic;
use crate::durable::DurableError;

#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// All faults of the files that were read, in order.
    #[error("{}", lines(.0))]
    Rules(Vec<Diagnostic>),
    #[error("{path}: {source}")]
    Io { path: std::path::PathBuf, source: std::io::Error },
    #[error("alert state: {0}")]
    State(#[from] DurableError),
    #[error(
        "rule namespace {0:?} is not valid: use 1 to 255 characters without control characters"
    )]
    Namespace(String),
    #[error(
        "{namespace:?} holds rules from a file, which the API cannot change; edit the file and reload"
    )]
    ReadOnly { namespace: String },
    #[error("no rule groups found")]
    NotFound,
    #[error("{groups} rule groups made through the API are the most that are kept; delete some")]
    TooMany { groups: usize },
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
