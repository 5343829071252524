//! Runs a poller on a thread of its own: reading files blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::poller::{Closed, FilesSettings, Pace, Poller};
use super::wake::{Hint, Wakes};
use crate::collect::batch::{Shutdown, SourceBatch, stopped};
use crate::collect::context::SourceContext;
use crate::collect::status::SourceState;

/// Between two rounds while files grow, and while nothing happens.
const POLL_MIN: Duration = Duration::from_millis(250);
const POLL_MAX: Duration = Duration::from_secs(2);
/// Rounds started by hints keep at least this distance, so that a busy file is read in blocks
/// and not line by line.
const HINT_PAUSE: Duration = Duration::from_millis(50);
const WATCH_EVERY: Duration = Duration::from_secs(10);

/// Log files.
pub struct FilesSource {
    pub(in crate::collect) ctx: SourceContext,
    settings: FilesSettings,
}

impl FilesSource {
    pub(in crate::collect) fn new(ctx: SourceContext, settings: FilesSettings) -> Self {
        FilesSource { ctx, settings }
    }

    /// Reads until told to stop. What is held is delivered before it returns.
    pub async fn run(self, out: mpsc::Sender<SourceBatch>, mut shutdown: Shutdown) {
        let stop = Arc::new(AtomicBool::new(false));
        let wakes = Wakes::new();
        let waker = wakes.waker();
        let status = self.ctx.status.clone();
        let seen = stop.clone();
        let mut reader =
            tokio::task::spawn_blocking(move || self.read_until_stopped(&out, wakes, &seen));
        tokio::select! {
            _ = &mut reader => {}
            () = stopped(&mut shutdown) => {
                stop.store(true, Ordering::Relaxed);
                waker.wake();
                if let Err(error) = reader.await {
                    tracing::error!(%error, "reader of files failed");
                }
            }
        }
        status.set_state(SourceState::Stopped);
    }

    fn read_until_stopped(
        self,
        out: &mpsc::Sender<SourceBatch>,
        mut wakes: Wakes,
        stop: &AtomicBool,
    ) {
        let clock = self.ctx.clock.clone();
        let mut deliver = |batch| out.blocking_send(batch).map_err(|_| Closed);
        let mut poller = Poller::new(self.ctx, self.settings);
        let mut pause = POLL_MIN;
        let mut watch_at = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            match poller.poll_once(clock.now_ns(), &mut deliver) {
                Err(Closed) => return,
                Ok(Pace::Behind) => continue,
                Ok(Pace::Busy) => pause = POLL_MIN,
                Ok(Pace::Idle) => pause = (pause * 2).min(POLL_MAX),
            }
            if began >= watch_at {
                wakes.watch(poller.folders());
                watch_at = began + WATCH_EVERY;
            }
            match wakes.wait(pause) {
                Hint::None => {}
                hint => {
                    if hint == Hint::Look {
                        poller.scan_soon();
                    }
                    pause = POLL_MIN;
                    std::thread::sleep(HINT_PAUSE.saturating_sub(began.elapsed()));
                }
            }
        }
        // Nobody listening is the one fault here, and then nothing is left to do.
        let _ = poller.flush(clock.now_ns(), &mut deliver);
    }
}
