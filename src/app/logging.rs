//! Our own log: to standard error, so that standard output belongs to the commands.

use std::io::IsTerminal as _;

use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;

use super::Exit;
use super::cli::{Command, LogFormat};

pub fn start(filter: &str, format: LogFormat, command: Option<&Command>) -> Result<(), Exit> {
    // One-shot commands speak through their output; their log holds warnings at most.
    let is_server = matches!(command, None | Some(Command::Serve(_)));
    let filter = if filter == "info" && !is_server { "warn" } else { filter };
    let level = filter.to_owned();
    let filter = EnvFilter::try_new(directives(filter)).map_err(|error| {
        Exit::Usage(format!("--log {filter:?}: {error}; use info, debug or stockade=debug"))
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start (tests) keeps the first.
    match format {
        LogFormat::Text => {
            let builder = builder.with_target(false).with_filter_reloading();
            let handle = builder.reload_handle();
            if builder.try_init().is_ok() {
                keep(level, move |filter| handle.reload(filter).map_err(|e| e.to_string()));
            }
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            if builder.try_init().is_ok() {
                keep(level, move |filter| handle.reload(filter).map_err(|e| e.to_string()));
            }
        }
    }
    Ok(())
}

/// Dependencies are quiet unless somebody asks for them by name.
fn directives(filter: &str) -> String {
    match filter {
        "error" | "warn" | "info" | "debug" | "trace" => format!("warn,stockade={filter}"),
        other => other.to_owned(),
    }
}

/// How the level is changed while the process runs; the subscriber is the process's own as well.
struct Dial {
    level: String,
    set: Box<dyn Fn(EnvFilter) -> Result<(), String> + Send>,
}

static DIAL: Mutex<Option<Dial>> = Mutex::new(None);

fn keep(level: String, set: impl Fn(EnvFilter) -> Result<(), String> + Send + 'static) {
    *DIAL.lock() = Some(Dial { level, set: Box::new(set) });
}

pub fn level() -> String {
    DIAL.lock().as_ref().map_or_else(|| "info".to_owned(), |dial| dial.level.clone())
}

/// Takes Loki's names of levels.
pub fn set_level(level: &str) -> Result<(), String> {
    if !["debug", "info", "warn", "error"].contains(&level) {
        return Err(format!("unrecognized log level {level:?}"));
    }
    let filter = EnvFilter::try_new(directives(level)).map_err(|error| error.to_string())?;
    if let Some(dial) = DIAL.lock().as_mut() {
        (dial.set)(filter)?;
        level.clone_into(&mut dial.level);
    }
    Ok(())
}
