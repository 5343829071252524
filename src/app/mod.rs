//! Wiring and lifetime: builds everything from configuration, starts it (sinks first, sources
//! last), reloads, drains and stops it. The only room that may import all others.

mod allocator;
mod backup;
mod backup_files;
mod bench;
mod check;
mod cli;
mod control;
mod health;
mod ingest;
mod logging;
mod memory;
mod notify;
mod notify_test;
mod query;
mod redact;
mod retention;
mod rules;
mod serve;
mod sources;
mod test;
#[cfg(test)]
mod tests;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
pub use cli::Cli;

use cli::Command;

/// What a command ends with when it did not simply succeed.
#[derive(Debug)]
pub enum Exit {
    /// It failed.
    Failed(anyhow::Error),
    /// The command line or a file is wrong.
    Usage(String),
    /// Tests or checks found something; it has been printed.
    Found,
}

impl From<anyhow::Error> for Exit {
    fn from(error: anyhow::Error) -> Self {
        Exit::Failed(error)
    }
}

/// Runs one command and turns its outcome into an exit code.
pub fn main(cli: Cli) -> ExitCode {
    allocator::tune();
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough (`stockade query ... | head`).
        Err(Exit::Failed(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(Exit::Failed(error)) => {
            eprintln!("stockade: {error:#}");
            ExitCode::from(1)
        }
        Err(Exit::Usage(message)) => {
            eprintln!("stockade: {message}");
            ExitCode::from(2)
        }
        Err(Exit::Found) => ExitCode::from(3),
    }
}

fn run(cli: Cli) -> Result<(), Exit> {
    logging::start(&cli.log, cli.log_format, cli.command.as_ref())?;
    match cli.command {
        None => serve::serve(&cli.serve),
        Some(Command::Serve(args)) => serve::serve(&args),
        Some(Command::Check(args)) => check::check(&args),
        Some(Command::Query(args)) => query::query(&args),
        Some(Command::Test(args)) => test::test(&args),
        Some(Command::Backup(args)) => backup::backup(&args),
        Some(Command::Restore(args)) => backup::restore(&args),
        Some(Command::Redact(args)) => redact::redact(&args),
        Some(Command::NotifyTest(args)) => notify_test::notify_test(&args),
        Some(Command::Bench(args)) => bench::bench(&args),
        Some(Command::Healthcheck(args)) => health::healthcheck(&args),
        Some(Command::Completions { shell }) => Ok(write_out(&cli::completions(shell))?),
    }
}

/// Writes to standard output, where a closed pipe is an error and not a panic.
fn write_out(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("writing the output")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind =
        error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}

/// The async runtime; two worker threads at least, so that one blocked task stops nothing.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(2))
        .max_blocking_threads(64)
        .enable_all()
        .thread_name("stockade")
        .on_thread_park(allocator::release_now_and_then)
        .build()?)
}
