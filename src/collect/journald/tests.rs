//! The whole source over a journalctl of our own making: a script with a journal of numbered
//! entries, of which more come with each start.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::{JournalSettings, JournalSource, UnitFilter};
use crate::clock::SystemClock;
use crate::collect::batch::{MemoryPositions, Positions, SourceBatch};
use crate::collect::context::SourceContext;

/// Prints entries after the cursor: five to catch up on, then two more and, with a broken pipe
/// of a journal, its end. Notes how it was called.
const JOURNALCTL: &str = r#"#!/bin/sh
echo "$*" >> "$(dirname "$0")/calls"
from=0
to=5
for arg in "$@"; do
  case "$arg" in
    --after-cursor=s=1\;i=*) from="${arg##*i=}"; ;;
    --lines=1) from=$to; to=$((to + 1)) ;;
  esac
done
case "$*" in *--follow*) to=$((from + 2)) ;; esac
while [ "$from" -lt "$to" ]; do
  from=$((from + 1))
  printf '__CURSOR=s=1;i=%s\n__REALTIME_TIMESTAMP=%s000000\n' "$from" "$from"
  [ $((from % 4)) = 0 ] && echo "CONTAINER_ID_FULL=x"
  printf 'MESSAGE=%s\n\n' "$from"
done
case "$*" in *--follow*) echo "Bad message" >&2; exit 1 ;; esac
"#;

struct World {
    folder: tempfile::TempDir,
    positions: Arc<MemoryPositions>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("journalctl");
        std::fs::write(&script, JOURNALCTL).unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join("system.journal"), "").unwrap();
        World { folder, positions: Arc::default() }
    }

    fn settings(&self) -> JournalSettings {
        JournalSettings {
            journalctl: self.folder.path().join("journalctl"),
            options: vec!["--priority=info".to_owned()],
            matches: vec!["_UID=0".to_owned()],
            filter: UnitFilter { skip_containers: true, ..UnitFilter::default() },
            max_age: Duration::from_secs(3600),
            path: Some(self.folder.path().to_owned()),
            whole_as_json: false,
        }
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("calls")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Runs the source until it has given so many lines.
    async fn run(&self, settings: JournalSettings, lines: usize) -> Vec<String> {
        let ctx = SourceContext::for_tests(self.positions.clone(), SystemClock::shared());
        let (out, mut batches) = mpsc::channel::<SourceBatch>(8);
        let (stop, shutdown) = watch::channel(false);
        let task = tokio::spawn(JournalSource::new(ctx, settings).run(out, shutdown));
        let mut got = Vec::new();
        while got.len() < lines {
            let next = tokio::time::timeout(Duration::from_secs(30), batches.recv()).await;
            let SourceBatch { batch, .. } = next.expect("no more lines").unwrap();
            self.positions.commit(&batch);
            let entries = batch.streams.into_iter().flat_map(|stream| stream.entries);
            got.extend(entries.map(|entry| entry.line.to_string()));
        }
        stop.send_replace(true);
        // What is delivered after the last line is not committed: as in a crash.
        batches.close();
        task.await.unwrap();
        got
    }
}

#[tokio::test]
async fn catches_up_follows_and_starts_again_where_it_was() {
    let world = World::new();
    let mut got = world.run(world.settings(), 6).await;
    let last: usize = got.last().unwrap().parse().unwrap();
    let more = world.run(world.settings(), 3).await;
    got.extend(more);
    let got: Vec<usize> = got.iter().map(|line| line.parse().unwrap()).collect();
    // Each number once and in order, without the entries of containers.
    let expect: Vec<usize> = (1..).filter(|number| number % 4 != 0).take(got.len()).collect();
    assert_eq!(got, expect);
    let calls = world.calls();
    assert!(calls[0].contains("--since=@") && calls[0].ends_with("--priority=info _UID=0"));
    assert!(!calls[0].contains("--follow") && !calls[0].contains("_CMDLINE"));
    assert!(calls[1].contains("--follow --no-tail --after-cursor=s=1;i=5 "), "{}", calls[1]);
    let resumed = format!("--after-cursor=s=1;i={last} ");
    assert!(calls.iter().any(|call| call.contains(&resumed) && !call.contains("--follow")));
}

#[tokio::test]
async fn says_what_is_wrong() {
    let world = World::new();
    for (settings, expect) in [
        (
            JournalSettings {
                journalctl: PathBuf::from("/nowhere/journalctl"),
                ..world.settings()
            },
            "journalctl is not installed",
        ),
        (
            JournalSettings { path: Some(PathBuf::from("/nowhere")), ..world.settings() },
            "no journal in /nowhere",
        ),
    ] {
        let ctx = SourceContext::for_tests(world.positions.clone(), SystemClock::shared());
        let status = ctx.status.clone();
        let (out, _batches) = mpsc::channel(8);
        let (stop, shutdown) = watch::channel(false);
        let task = tokio::spawn(JournalSource::new(ctx, settings).run(out, shutdown));
        let error = loop {
            if let Some(error) = status.snapshot().last_error {
                break error;
            }
            tokio::task::yield_now().await;
        };
        assert!(error.starts_with(expect), "{error}");
        stop.send_replace(true);
        task.await.unwrap();
    }
    assert!(world.positions.list("journal:").is_empty());
}
