//! Log queries over entries as they come in.

use crate::model::{Entry, Labels, Matcher};

use super::error::QueryError;
use super::result::LogRow;
use super::run::log::{compile, log_row};
use super::stage::Worker;
use super::syntax::Expr;

/// Says of each entry whether a log query would give it, and how.
#[derive(Debug)]
pub struct TailFilter {
    matchers: Vec<Matcher>,
    worker: Worker,
    stream: Option<Labels>,
}

impl TailFilter {
    pub fn new(expr: &Expr) -> Result<Self, QueryError> {
        let Expr::Log(log) = expr else {
            return Err(QueryError::Invalid("only log selector is supported".to_owned()));
        };
        Ok(TailFilter {
            matchers: log.matchers.clone(),
            worker: compile(log)?.worker(),
            stream: None,
        })
    }

    /// Whether entries of this stream can matter.
    pub fn selects(&self, stream: &Labels) -> bool {
        self.matchers
            .iter()
            .all(|matcher| matcher.matches(stream.get(&matcher.name).unwrap_or_default()))
    }

    pub fn filter(&mut self, stream: &Labels, entry: &Entry) -> Option<LogRow> {
        if self.stream.as_ref() != Some(stream) {
            if !self.selects(stream) {
                return None;
            }
            self.worker.set_stream(stream);
            self.stream = Some(stream.clone());
        }
        let metadata = entry.metadata.iter().map(|(name, value)| (name, value));
        let row = self.worker.run(entry.ts, &entry.line, metadata)?;
        Some(log_row(&row))
    }
}
