//! Hints that something has changed. Polling alone is correct; hints only make it prompt.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher};

use crate::limits::WATCHED_FOLDERS_MAX;

/// Ends a wait early.
#[derive(Debug, Clone)]
pub(super) struct Waker(SyncSender<()>);

impl Waker {
    pub fn wake(&self) {
        // A full channel holds a wake-up already.
        let _ = self.0.try_send(());
    }
}

pub(super) struct Wakes {
    receiver: Receiver<()>,
    waker: Waker,
    /// A file came, went or was renamed, or events were lost.
    rescan: Arc<AtomicBool>,
    watcher: Option<notify::RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Wakes {
    pub fn new() -> Self {
        let (sender, receiver) = sync_channel(1);
        let waker = Waker(sender);
        let rescan = Arc::new(AtomicBool::new(false));
        let watcher = Self::watcher(waker.clone(), rescan.clone());
        Wakes { receiver, waker, rescan, watcher, watched: BTreeSet::new() }
    }

    fn watcher(waker: Waker, rescan: Arc<AtomicBool>) -> Option<notify::RecommendedWatcher> {
        let told = move |event: notify::Result<notify::Event>| {
            let looks_again = match &event {
                // Our own reading shows up as access.
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
                Ok(event) => {
                    event.need_rescan()
                        || matches!(event.kind, EventKind::Create(_) | EventKind::Remove(_))
                        || matches!(
                            event.kind,
                            EventKind::Modify(notify::event::ModifyKind::Name(_))
                        )
                }
                Err(_) => true,
            };
            if looks_again {
                rescan.store(true, Ordering::Relaxed);
            }
            waker.wake();
        };
        notify::recommended_watcher(told)
            .map_err(|error| tracing::info!(%error, "no file change events; files are polled"))
            .ok()
    }

    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Watches these folders and no others, as far as the kernel allows.
    pub fn watch(&mut self, folders: BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.watched.difference(&folders) {
            // It fails when the folder itself is gone, which is what is wanted.
            let _ = watcher.unwatch(gone);
        }
        self.watched.retain(|folder| folders.contains(folder));
        for folder in folders {
            if self.watched.len() >= WATCHED_FOLDERS_MAX {
                break;
            }
            if self.watched.contains(&folder) || !folder.is_dir() {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder);
                }
                Err(error) => {
                    // Out of watches or instances: the rest is polled.
                    tracing::debug!(%error, "folder cannot be watched; its files are polled");
                    break;
                }
            }
        }
    }

    /// Waits for a hint or the end of the time.
    pub fn wait(&self, at_most: Duration) -> Hint {
        match self.receiver.recv_timeout(at_most) {
            Err(RecvTimeoutError::Timeout) => Hint::None,
            // We hold a sender, so the channel is never disconnected.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                if self.rescan.swap(false, Ordering::Relaxed) { Hint::Look } else { Hint::Read }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    None,
    /// A file has grown.
    Read,
    /// Files have come or gone.
    Look,
}
