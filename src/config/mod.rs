//! YAML to raw values, with line and column. Parsing does no work: each room turns its own raw
//! part into what it needs.

pub mod alerts;
mod diagnostic;
mod env;
mod limits;
pub mod notify;
pub mod pipeline;
pub mod redaction;
mod retention;
mod root;
pub mod sources;
mod values;

use serde::de::DeserializeOwned;

pub use diagnostic::{Diagnostic, unknown};
pub use env::expand_env;
pub use limits::{Limits, SERVICE_NAME_LABELS};
pub use retention::Retention;
pub use root::Config;
pub use serde_saphyr::Spanned;
pub use values::{Size, Span};

/// Reads one YAML document into a raw value. `${NAME}` and `${NAME:-default}` are expanded
/// first; unknown keys are errors with a suggestion.
pub fn parse_yaml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Diagnostic> {
    let expanded =
        expand_env(text, &|name| std::env::var(name).ok()).map_err(|error| error.in_file(file))?;
    parse_yaml_plain(file, &expanded)
}

/// The same without expansion, for files in which `${...}` is content (rules, templates).
pub fn parse_yaml_plain<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Diagnostic> {
    serde_saphyr::from_str(text).map_err(|error| Diagnostic::from_yaml(file, &error))
}
