//! The command line. What was typed, nothing done yet.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it failed: the message says what and what to do next
  2  the command line or a configuration file is wrong
  3  tests or checks failed";

/// Collects, redacts, stores, searches and alerts on container logs.
///
/// Without a subcommand it serves: no configuration is needed, http://localhost:3100 shows the
/// logs of every container, of journald and of /var/log.
#[derive(Debug, Parser)]
#[command(
    name = "stockade",
    version,
    after_help = EXIT_CODES,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Without a subcommand it serves, with the same options and variables as `serve`.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// What our own log holds: error, warn, info, debug, or a filter such as stockade=debug
    #[arg(
        long,
        global = true,
        env = "STOCKADE_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log: String,
    /// How our own log is written
    #[arg(long, global = true, env = "STOCKADE_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

impl Cli {
    /// Reads the command line of the process; ends it with help or an error where that is all
    /// there is to do.
    pub fn read() -> Cli {
        Cli::read_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn read_from<T: Into<OsString> + Clone>(
        words: impl IntoIterator<Item = T>,
    ) -> Result<Cli, clap::Error> {
        let mut command = Cli::command();
        let matches = command.try_get_matches_from_mut(words)?;
        // Options of `serve` in front of another command would be taken and do nothing.
        // clap's own setting against this would refuse `--log` there too.
        if let Some(name) = matches.subcommand_name() {
            let typed = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
            if let Some(id) = ["config", "listen", "data_dir"].into_iter().find(typed) {
                let option = id.replace('_', "-");
                let message =
                    format!("--{option} stands behind the command: stockade {name} --{option} ...");
                return Err(command.error(ErrorKind::ArgumentConflict, message));
            }
        }
        Cli::from_arg_matches(&matches)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (also what happens without a subcommand)
    Serve(ServeArgs),
    /// Read the configuration and everything it names, and say what is wrong
    Check(ConfigArg),
    /// Run a LogQL query against a running server
    Query(QueryArgs),
    /// Run the `tests:` of pipeline, redaction and alert files
    Test(TestArgs),
    /// Redact standard input to standard output; counts go to standard error
    Redact(ConfigArg),
    /// Send a message marked TEST through one receiver
    NotifyTest(NotifyTestArgs),
    /// Push generated lines to a Loki-compatible server and measure it
    Bench(BenchArgs),
    /// Ask a running server whether it is ready (for container health checks)
    Healthcheck(ServerArg),
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args, Clone, Default)]
pub struct ConfigArg {
    /// Configuration file (YAML); everything has a default
    #[arg(long, short, env = "STOCKADE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args, Clone, Default)]
pub struct ServeArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Address to listen on [default: 0.0.0.0:3100]
    #[arg(long, env = "STOCKADE_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where everything is kept [default: ./data, in the image /data]
    #[arg(long, env = "STOCKADE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, Args, Clone)]
pub struct ServerArg {
    /// The server to ask
    #[arg(
        long,
        env = "STOCKADE_ADDR",
        default_value = "http://127.0.0.1:3100",
        value_name = "URL",
        value_parser = http_url
    )]
    pub addr: String,
}

fn http_url(text: &str) -> Result<String, String> {
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err("write http://HOST:PORT or https://HOST".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct QueryArgs {
    #[command(flatten)]
    pub server: ServerArg,
    /// LogQL, for instance '{service_name="api"} |= "error"'; plain words search every stream
    pub query: String,
    /// How far back to look
    #[arg(long, default_value = "1h", value_name = "DURATION", conflicts_with = "from")]
    pub since: String,
    /// Start: RFC 3339 or Unix time
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// End: RFC 3339 or Unix time [default: now]
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// At most this many entries; 0 = all of them
    #[arg(long, default_value_t = 30)]
    pub limit: usize,
    /// Resolution of metric queries
    #[arg(long, value_name = "DURATION")]
    pub step: Option<String>,
    /// Oldest first
    #[arg(long)]
    pub forward: bool,
    /// Go on printing as lines come in
    #[arg(long, short)]
    pub follow: bool,
    /// How entries are printed
    #[arg(long, short, default_value = "default")]
    pub output: Output,
    /// Colors
    #[arg(long, default_value = "auto")]
    pub color: Color,
    /// Tenant (X-Scope-OrgID)
    #[arg(long, env = "STOCKADE_TENANT", value_name = "ID")]
    pub tenant: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Time, labels, line
    Default,
    /// One JSON object an entry
    Jsonl,
    /// The line alone
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files with a `tests:` block; without any: those shipped in the binary
    pub files: Vec<PathBuf>,
    /// Print every case, not only failures
    #[arg(long, short)]
    pub verbose: bool,
}

#[derive(Debug, Args)]
pub struct NotifyTestArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Name of the receiver, as in the configuration
    pub receiver: String,
}

/// The completion script of a shell.
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "stockade", &mut script);
    script
}

#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub server: ServerArg,
    /// Path in front of /loki/api/v1, for servers that have one
    #[arg(long, value_name = "PATH")]
    pub path_prefix: Option<String>,
    /// Megabytes of line to push
    #[arg(long, default_value_t = 500)]
    pub megabytes: u64,
    /// Hours that the lines are spread over, ending now
    #[arg(long, default_value_t = 1)]
    pub hours: u64,
    /// Connections that push at the same time
    #[arg(long, default_value_t = 4)]
    pub connections: usize,
    /// Process id of the server, to measure its CPU time and memory
    #[arg(long)]
    pub pid: Option<u32>,
    /// Data directory of the server, to measure what it stored
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Runs of each query
    #[arg(long, default_value_t = 5)]
    pub query_runs: usize,
    /// Push nothing, run the queries over the last `--hours`
    #[arg(long)]
    pub queries_only: bool,
    /// Queries to run instead of the built-in ones, for servers with another language: on each
    /// line a name, a path and its parameters as KEY=VALUE, parted by tabs
    #[arg(long, value_name = "FILE")]
    pub queries: Option<PathBuf>,
    /// Seed of the generator: the same seed gives the same lines
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_needs_no_subcommand() {
        let cli = Cli::read_from(["stockade", "--listen", "127.0.0.1:1"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.listen.as_deref(), Some("127.0.0.1:1"));
        for words in [["--log", "debug", "query", "x"], ["query", "x", "--log", "debug"]] {
            let cli = Cli::read_from([["stockade"].as_slice(), &words].concat()).unwrap();
            assert!(matches!(cli.command, Some(Command::Query(_))));
            assert_eq!(cli.log, "debug");
        }
    }

    #[test]
    fn options_that_would_do_nothing_are_refused() {
        for words in [
            ["stockade", "--config", "a.yaml", "check"].as_slice(),
            &["stockade", "--data-dir", "x", "serve"],
            &["stockade", "query", "x", "--addr", "box:3100"],
            &["stockade", "query", "x", "--addr", "box"],
        ] {
            assert_eq!(Cli::read_from(words).unwrap_err().exit_code(), 2, "{words:?}");
        }
    }
}
