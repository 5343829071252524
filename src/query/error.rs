//! Why a query gives no answer.

use crate::store::read::ReadError;

use super::syntax::ParseError;

/// The faults of a query. All but the last three are the asker's to mend.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// The query is well formed but asks for something that makes no sense.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Limit(String),
    /// A line could not be processed, and the query does not say what to do with such lines.
    #[error("{0}")]
    Pipeline(String),
    #[error("the query took longer than {} seconds; narrow the time range or the selector", .limit_ms.div_ceil(1000))]
    Timeout { limit_ms: u64 },
    #[error("the query was cancelled")]
    Cancelled,
    #[error("{0}")]
    Read(ReadError),
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Cancelled => QueryError::Cancelled,
            ReadError::Budget { .. } => QueryError::Limit(error.to_string()),
            other => QueryError::Read(other),
        }
    }
}
