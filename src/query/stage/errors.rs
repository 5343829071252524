//! What goes wrong with a line is a label of the line, and what goes wrong with a stage fails
//! the query.

pub const JSON: &str = "JSONParserErr";
pub const LOGFMT: &str = "LogfmtParserErr";
pub const LABEL_FILTER: &str = "LabelFilterErr";
pub const TEMPLATE: &str = "TemplateFormatErr";
pub const SAMPLE: &str = "SampleExtractionErr";

/// Whether a parser set this error.
pub fn is_of_parser(error: &str) -> bool {
    error == JSON || error == LOGFMT
}

/// A stage that cannot be compiled. `stage` is the index in the list that was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StageError {
    pub stage: usize,
    pub message: String,
}
