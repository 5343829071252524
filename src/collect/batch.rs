//! What a source hands on, and where it learns how far it had come.

use std::sync::Arc;

use tokio::sync::watch;

use crate::model::Batch;

/// Entries of one source on their way to a pipeline, with the positions they advance.
#[derive(Debug, Clone)]
pub struct SourceBatch {
    pub source: Arc<str>,
    /// The pipeline to run; the default one when there is none.
    pub pipeline: Option<Arc<str>>,
    pub batch: Batch,
}

/// Committed positions. Sources read them when they start and write them only by way of
/// `Batch::positions`, so that a position can never be ahead of its entries.
pub trait Positions: Send + Sync {
    fn get(&self, source: &str) -> Option<String>;
    /// Names and values of all positions whose name starts with the prefix.
    fn list(&self, prefix: &str) -> Vec<(String, String)>;
}

/// Turns true once, when sources are to stop.
pub type Shutdown = watch::Receiver<bool>;

/// Ends when sources are to stop, also when nobody is left who could say so.
pub(super) async fn stopped(shutdown: &mut Shutdown) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Positions in memory, for runs that keep nothing (`tail --dry-run`) and for tests.
#[derive(Debug, Default)]
pub struct MemoryPositions(parking_lot::Mutex<std::collections::BTreeMap<String, String>>);

impl MemoryPositions {
    /// Takes over the positions of a batch, as the store does when it commits one.
    pub fn commit(&self, batch: &Batch) {
        let mut held = self.0.lock();
        for position in &batch.positions {
            if position.value.is_empty() {
                held.remove(&position.source);
            } else {
                held.insert(position.source.clone(), position.value.clone());
            }
        }
    }
}

impl Positions for MemoryPositions {
    fn get(&self, source: &str) -> Option<String> {
        self.0.lock().get(source).cloned()
    }

    fn list(&self, prefix: &str) -> Vec<(String, String)> {
        self.0
            .lock()
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}
