//! What can go wrong beside delivery itself, which the outbox deals with.

use crate::durable::DurableError;

#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error("{0}")]
    Durable(#[from] DurableError),
    #[error("{0}")]
    Silence(String),
    #[error("there is no silence {0:?}")]
    NoSilence(String),
    #[error("there is no receiver {name:?}; configured are: {known}")]
    NoReceiver { name: String, known: String },
    #[error("there is no dead letter {0}")]
    NoDeadLetter(u64),
    #[error("the http client could not be built: {0}")]
    Client(String),
}
