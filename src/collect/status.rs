//! How each source is doing, for the targets page and the health check.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

use crate::metrics::{Counters, Metrics};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    Starting,
    /// What is read does not exist yet or does not answer; tried again for ever.
    Waiting,
    Running,
    /// It exists and may not or cannot be read; the error says why.
    Unreadable,
    Stopped,
}

/// One source and what it reads.
#[derive(Debug, Clone, Serialize)]
pub struct SourceStatus {
    pub name: Arc<str>,
    pub kind: &'static str,
    pub state: SourceState,
    pub last_error: Option<String>,
    pub lines: u64,
    pub bytes: u64,
    /// When the newest line was read, in nanoseconds since the epoch; 0 for never.
    pub last_line_ns: i64,
    /// By identity: container id, path, or journal.
    pub targets: BTreeMap<String, TargetStatus>,
}

/// One container, file or journal.
#[derive(Debug, Clone, Serialize)]
pub struct TargetStatus {
    pub name: String,
    pub state: SourceState,
    pub last_error: Option<String>,
    pub lines: u64,
    pub bytes: u64,
    /// Bytes there are that have not been read, where that is known.
    pub lag_bytes: Option<u64>,
    pub last_line_ns: i64,
}

impl TargetStatus {
    fn new(name: &str) -> Self {
        TargetStatus {
            name: name.to_owned(),
            state: SourceState::Starting,
            last_error: None,
            lines: 0,
            bytes: 0,
            lag_bytes: None,
            last_line_ns: 0,
        }
    }
}

/// Shared between a source, which writes it, and whoever shows it.
#[derive(Debug, Clone)]
pub struct StatusHandle(Arc<Mutex<SourceStatus>>);

impl StatusHandle {
    pub fn new(name: Arc<str>, kind: &'static str) -> Self {
        StatusHandle(Arc::new(Mutex::new(SourceStatus {
            name,
            kind,
            state: SourceState::Starting,
            last_error: None,
            lines: 0,
            bytes: 0,
            last_line_ns: 0,
            targets: BTreeMap::new(),
        })))
    }

    pub fn snapshot(&self) -> SourceStatus {
        self.0.lock().clone()
    }

    pub(super) fn set_state(&self, state: SourceState) {
        let mut status = self.0.lock();
        status.state = state;
        if state == SourceState::Running {
            status.last_error = None;
        }
    }

    pub(super) fn fail(&self, state: SourceState, error: impl Into<String>) {
        let mut status = self.0.lock();
        status.state = state;
        status.last_error = Some(error.into());
    }

    /// Changes a target, which is added when it is new.
    pub(super) fn target(&self, id: &str, name: &str, change: impl FnOnce(&mut TargetStatus)) {
        let mut status = self.0.lock();
        if let Some(target) = status.targets.get_mut(id) {
            change(target);
        } else {
            let mut target = TargetStatus::new(name);
            change(&mut target);
            status.targets.insert(id.to_owned(), target);
        }
    }

    pub(super) fn remove_target(&self, id: &str) {
        self.0.lock().targets.remove(id);
    }

    /// Notes what a target has read.
    pub(super) fn read(&self, id: &str, lines: u64, bytes: u64, now_ns: i64) {
        let mut status = self.0.lock();
        status.lines += lines;
        status.bytes += bytes;
        status.last_line_ns = status.last_line_ns.max(now_ns);
        if let Some(target) = status.targets.get_mut(id) {
            target.lines += lines;
            target.bytes += bytes;
            target.last_line_ns = now_ns;
        }
    }
}

/// The counters of all sources.
#[derive(Debug, Clone)]
pub struct SourceCounters {
    lines: Counters,
    bytes: Counters,
    errors: Counters,
    truncated: Counters,
    reconnects: Counters,
}

impl SourceCounters {
    pub fn new(metrics: &Metrics) -> Self {
        const LABELS: &[&str] = &["source", "kind"];
        SourceCounters {
            lines: metrics.counters("source_lines", "Lines read by a source", LABELS),
            bytes: metrics.counters("source_bytes", "Bytes of lines read by a source", LABELS),
            errors: metrics.counters("source_read_errors", "Reads that failed", LABELS),
            truncated: metrics.counters("source_truncated_lines", "Lines cut for length", LABELS),
            reconnects: metrics.counters("source_reconnects", "Streams opened again", LABELS),
        }
    }

    pub(super) fn of(&self, source: &str, kind: &'static str) -> Tally {
        let labels = [source, kind];
        Tally {
            lines: self.lines.with(&labels),
            bytes: self.bytes.with(&labels),
            errors: self.errors.with(&labels),
            truncated: self.truncated.with(&labels),
            reconnects: self.reconnects.with(&labels),
        }
    }
}

/// The counters of one source.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub lines: Counter,
    pub bytes: Counter,
    pub errors: Counter,
    pub truncated: Counter,
    pub reconnects: Counter,
}
