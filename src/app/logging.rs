//! Our own log: to standard error, so that standard output belongs to the commands.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::Exit;
use super::cli::{Command, LogFormat};

pub fn start(filter: &str, format: LogFormat, command: Option<&Command>) -> Result<(), Exit> {
    // One-shot commands speak through their output; their log holds warnings at most.
    let is_server = matches!(command, None | Some(Command::Serve(_)));
    let filter = if filter == "info" && !is_server { "warn" } else { filter };
    // Dependencies are quiet unless somebody asks for them by name.
    let directives = match filter {
        "error" | "warn" | "info" | "debug" | "trace" => {
            format!("warn,stockade={filter}")
        }
        other => other.to_owned(),
    };
    let filter = EnvFilter::try_new(&directives).map_err(|error| {
        Exit::Usage(format!("--log {filter:?}: {error}; use info, debug or stockade=debug"))
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start (tests) keeps the first.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
