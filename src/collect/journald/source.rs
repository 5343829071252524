//! Runs journalctl and reads what it writes: first everything since the last position, to the
//! end and over all boots, then, with `--follow`, what comes. Some versions of systemd make
//! `--follow` see the current boot alone, which would lose the lines before a crash.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::access::{self, Access};
use super::entry::{FIELDS, UnitFilter, convert};
use super::export::ExportDecoder;
use super::position::JournalPosition;
use crate::collect::backoff::Backoff;
use crate::collect::batch::{Shutdown, SourceBatch, stopped};
use crate::collect::context::SourceContext;
use crate::collect::status::SourceState;
use crate::limits::SOURCE_BATCH_BYTES_MAX;
use crate::model::{Batch, Position};

/// A batch is handed on when nothing more has come for this long.
const GATHER: Duration = Duration::from_millis(100);
/// Positions of entries that were all filtered out are written at most this often.
const POSITION_ONLY: Duration = Duration::from_secs(5);
/// After so much silence journalctl is started anew: it has been seen to go deaf when files are
/// rotated or the clock is set back. Nothing is read twice by that.
const SILENCE: Duration = Duration::from_secs(300);
/// Error text that is kept.
const STDERR_BYTES_MAX: usize = 4 * 1024;

pub(in crate::collect) struct JournalSettings {
    /// The program; another one in tests.
    pub journalctl: PathBuf,
    /// Options that filter, from the configuration.
    pub options: Vec<String>,
    /// Terms after all options.
    pub matches: Vec<String>,
    pub filter: UnitFilter,
    pub max_age: Duration,
    pub path: Option<PathBuf>,
    /// Lines are all fields as JSON.
    pub whole_as_json: bool,
}

/// The journal of a machine.
pub struct JournalSource {
    pub(in crate::collect) ctx: SourceContext,
    settings: JournalSettings,
}

/// How a run of journalctl ended.
#[derive(Debug)]
enum End {
    Exited { success: bool, message: String },
    Silent,
    Stopped,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    CatchUp,
    Follow,
}

impl JournalSource {
    pub(in crate::collect) fn new(ctx: SourceContext, settings: JournalSettings) -> Self {
        JournalSource { ctx, settings }
    }

    /// Reads until told to stop. What is held is delivered before it returns.
    pub async fn run(self, out: mpsc::Sender<SourceBatch>, mut shutdown: Shutdown) {
        let mut reader = Reader::new(&self.ctx, &self.settings, out);
        let mut backoff = Backoff::default();
        let mut told = false;
        loop {
            let began = Instant::now();
            match reader.round(&mut shutdown).await {
                Ok(End::Stopped | End::Closed) => break,
                Ok(End::Silent) => continue,
                Ok(End::Exited { message, .. }) => {
                    if began.elapsed() > Duration::from_secs(30) {
                        backoff.reset();
                    }
                    self.ctx.tally.reconnects.inc();
                    self.ctx.status.fail(SourceState::Waiting, format!("journalctl ended: {message}"));
                }
                Err((state, message)) => {
                    if !told {
                        tracing::warn!(source = %self.ctx.name, error = %message, "journal cannot be read");
                        told = true;
                    }
                    self.ctx.tally.errors.inc();
                    self.ctx.status.fail(state, message);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = stopped(&mut shutdown) => break,
            }
        }
        self.ctx.status.set_state(SourceState::Stopped);
    }
}

struct Reader<'a> {
    ctx: &'a SourceContext,
    settings: &'a JournalSettings,
    out: mpsc::Sender<SourceBatch>,
    position_name: String,
    position: Option<JournalPosition>,
    batch: Batch,
    batch_bytes: usize,
    moved: bool,
    sent: Instant,
}

impl<'a> Reader<'a> {
    fn new(
        ctx: &'a SourceContext,
        settings: &'a JournalSettings,
        out: mpsc::Sender<SourceBatch>,
    ) -> Self {
        let position_name = format!("journal:{}:{}", access::machine_id(), ctx.name);
        let text = ctx.positions.get(&position_name);
        let position = text.as_deref().and_then(JournalPosition::parse);
        if text.is_some() && position.is_none() {
            tracing::warn!(source = %ctx.name, "position cannot be read; begun as on a first start");
        }
        Reader {
            batch: ctx.batch(),
            ctx,
            settings,
            out,
            position_name,
            position,
            batch_bytes: 0,
            moved: false,
            sent: Instant::now(),
        }
    }

    /// Catches up and follows, once.
    async fn round(&mut self, shutdown: &mut Shutdown) -> Result<End, (SourceState, String)> {
        match access::check(self.settings.path.as_deref()) {
            Access::Readable => {}
            Access::Missing(message) => return Err((SourceState::Waiting, message)),
            Access::Denied(message) => return Err((SourceState::Unreadable, message)),
        }
        let start = self.start().await?;
        let mut end = self.read(Phase::CatchUp, start, shutdown).await?;
        if let End::Exited { success: false, message } = &end
            && let Some(position) = &self.position
            && message.to_ascii_lowercase().contains("cursor")
        {
            tracing::warn!(source = %self.ctx.name, "the journal does not know the saved cursor; resuming by time");
            let since = format!("--since=@{}", position.realtime_us / 1_000_000);
            end = self.read(Phase::CatchUp, vec![since], shutdown).await?;
        }
        match end {
            End::Exited { success: true, .. } => {}
            other => return Ok(other),
        }
        self.ctx.status.set_state(SourceState::Running);
        let start = match &self.position {
            Some(position) => vec![format!("--after-cursor={}", position.cursor)],
            None => vec![self.since_max_age()],
        };
        self.read(Phase::Follow, start, shutdown).await
    }

    fn since_max_age(&self) -> String {
        let age_ns = i64::try_from(self.settings.max_age.as_nanos()).unwrap_or(i64::MAX);
        let since_ns = self.ctx.clock.now_ns().saturating_sub(age_ns).max(0);
        format!("--since=@{}", since_ns / 1_000_000_000)
    }

    /// Options that say where reading begins.
    async fn start(&mut self) -> Result<Vec<String>, (SourceState, String)> {
        let Some(position) = self.position.clone() else {
            return Ok(vec![self.since_max_age()]);
        };
        let newest = self.newest().await?;
        if let Some(newest) = newest
            && newest.is_before_reset(&position)
        {
            // Everything there is came after the clock was set back or the journal made anew.
            tracing::warn!(source = %self.ctx.name, "the saved cursor lies in the future; reading the current journal");
            let other_boot = newest.boot() != position.boot();
            return Ok(vec![if other_boot { "--boot=0".to_owned() } else { self.since_max_age() }]);
        }
        Ok(vec![format!("--after-cursor={}", position.cursor)])
    }

    /// The newest entry of the whole journal.
    async fn newest(&self) -> Result<Option<JournalPosition>, (SourceState, String)> {
        let mut command = self.command();
        command.args(["--lines=1", "--output-fields=PRIORITY"]);
        let output = timeout(Duration::from_secs(30), command.output()).await;
        let output = match output {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(cannot_start(&error)),
            Err(_) => return Ok(None),
        };
        let mut decoder = ExportDecoder::default();
        decoder.push(&output.stdout);
        Ok(decoder.next_entry().as_ref().and_then(JournalPosition::of))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.settings.journalctl);
        command
            .args(["--output=export", "--all", "--no-pager", "--quiet"])
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(path) = &self.settings.path {
            command.arg(format!("--directory={}", path.display()));
        }
        command
    }

    async fn read(
        &mut self,
        phase: Phase,
        start: Vec<String>,
        shutdown: &mut Shutdown,
    ) -> Result<End, (SourceState, String)> {
        let mut command = self.command();
        if !self.settings.whole_as_json {
            command.arg(format!("--output-fields={}", FIELDS.join(",")));
        }
        if phase == Phase::Follow {
            command.args(["--follow", "--no-tail"]);
        }
        command.args(start).args(&self.settings.options).args(&self.settings.matches);
        let mut child = command.spawn().map_err(|error| cannot_start(&error))?;
        let end = self.read_child(&mut child, phase, shutdown).await;
        stop(&mut child).await;
        if self.send().await.is_err() {
            return Ok(End::Closed);
        }
        Ok(end)
    }

    async fn read_child(
        &mut self,
        child: &mut Child,
        phase: Phase,
        shutdown: &mut Shutdown,
    ) -> End {
        let gone = || End::Exited { success: false, message: "it has no output".to_owned() };
        let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take())
        else {
            return gone();
        };
        let mut decoder = ExportDecoder::default();
        let mut buffer = vec![0; 64 * 1024];
        let mut message = Vec::new();
        let mut message_part = [0; 512];
        let mut stderr_open = true;
        let mut heard = Instant::now();
        loop {
            let patience = if self.moved { GATHER } else { SILENCE };
            let read = tokio::select! {
                read = timeout(patience, stdout.read(&mut buffer)) => read,
                read = stderr.read(&mut message_part), if stderr_open => {
                    let read = read.unwrap_or(0);
                    stderr_open = read > 0;
                    let room = STDERR_BYTES_MAX.saturating_sub(message.len());
                    message.extend_from_slice(message_part.get(..read.min(room)).unwrap_or_default());
                    continue;
                }
                () = stopped(shutdown) => return End::Stopped,
            };
            match read {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(read)) => {
                    heard = Instant::now();
                    decoder.push(buffer.get(..read).unwrap_or_default());
                    self.take(&mut decoder);
                    if self.batch_bytes >= SOURCE_BATCH_BYTES_MAX && self.send().await.is_err() {
                        return End::Closed;
                    }
                }
                Err(_) => {
                    let due = !self.batch.streams.is_empty()
                        || (self.moved && self.sent.elapsed() >= POSITION_ONLY);
                    if due && self.send().await.is_err() {
                        return End::Closed;
                    }
                    if phase == Phase::Follow && heard.elapsed() >= SILENCE {
                        return End::Silent;
                    }
                }
            }
        }
        if stderr_open {
            let rest = timeout(Duration::from_secs(1), stderr.read(&mut message_part)).await;
            if let Ok(Ok(read)) = rest {
                message.extend_from_slice(message_part.get(..read).unwrap_or_default());
            }
        }
        let success = child.wait().await.is_ok_and(|status| status.success());
        let message = String::from_utf8_lossy(&message).trim().to_owned();
        End::Exited { success, message }
    }

    fn take(&mut self, decoder: &mut ExportDecoder) {
        let faults = std::mem::take(&mut decoder.faults);
        self.ctx.tally.truncated.inc_by(faults);
        let (mut lines, mut bytes) = (0, 0);
        while let Some(entry) = decoder.next_entry() {
            if let Some(position) = JournalPosition::of(&entry) {
                self.position = Some(position);
                self.moved = true;
            }
            if !self.settings.filter.takes(&entry) {
                continue;
            }
            let Some((labels, made)) = convert(self.ctx, &entry, self.settings.whole_as_json)
            else {
                continue;
            };
            lines += 1;
            bytes += made.line.len() as u64;
            self.batch_bytes += made.bytes();
            self.batch.push(&labels, made);
        }
        if lines > 0 {
            self.ctx.tally.lines.inc_by(lines);
            self.ctx.tally.bytes.inc_by(bytes);
            let name = &self.position_name;
            self.ctx.status.target(name, "journal", |target| target.state = SourceState::Running);
            self.ctx.status.read(name, lines, bytes, self.ctx.clock.now_ns());
        }
    }

    /// Hands on what has been read, with the position after it.
    async fn send(&mut self) -> Result<(), mpsc::error::SendError<SourceBatch>> {
        if !std::mem::take(&mut self.moved) {
            return Ok(());
        }
        let mut batch = std::mem::replace(&mut self.batch, self.ctx.batch());
        if let Some(position) = &self.position {
            let source = self.position_name.clone();
            batch.positions.push(Position { source, value: position.to_text() });
        }
        self.batch_bytes = 0;
        self.sent = Instant::now();
        self.out.send(self.ctx.deliver(batch)).await
    }
}

fn cannot_start(error: &std::io::Error) -> (SourceState, String) {
    let message = if error.kind() == std::io::ErrorKind::NotFound {
        "journalctl is not installed; install systemd here or leave the journal source out".to_owned()
    } else {
        format!("journalctl cannot be started: {error}")
    };
    (SourceState::Unreadable, message)
}

/// Ends the process and whatever it started, and leaves no zombie.
async fn stop(child: &mut Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait().await;
}
