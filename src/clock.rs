//! Real and simulated time. Alerting and retention take their time from here alone, so that
//! tests step a clock instead of sleeping.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;

/// A future that ends when a deadline has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where "now" comes from, in nanoseconds since the Unix epoch.
pub trait Clock: Send + Sync + 'static {
    fn now_ns(&self) -> i64;
    /// Ends once `now_ns() >= deadline_ns`.
    fn sleep_until_ns(&self, deadline_ns: i64) -> Sleep;
}

pub type SharedClock = Arc<dyn Clock>;

/// The wall clock of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl SystemClock {
    pub fn shared() -> SharedClock {
        Arc::new(SystemClock)
    }
}

impl Clock for SystemClock {
    fn now_ns(&self) -> i64 {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
    }

    fn sleep_until_ns(&self, deadline_ns: i64) -> Sleep {
        let clock = *self;
        Box::pin(async move {
            // Short naps, so that a jump of the wall clock is noticed within seconds.
            loop {
                let left_ns = deadline_ns - clock.now_ns();
                let Ok(left_ns) = u64::try_from(left_ns) else { return };
                if left_ns == 0 {
                    return;
                }
                let nap =
                    std::time::Duration::from_nanos(left_ns).min(std::time::Duration::from_secs(2));
                tokio::time::sleep(nap).await;
            }
        })
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Clone)]
pub struct SimClock {
    now: Arc<watch::Sender<i64>>,
}

impl SimClock {
    pub fn new(now_ns: i64) -> Self {
        SimClock { now: Arc::new(watch::Sender::new(now_ns)) }
    }

    pub fn set_ns(&self, now_ns: i64) {
        self.now.send_replace(now_ns);
    }

    pub fn advance(&self, by: std::time::Duration) {
        let by_ns = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.now.send_modify(|now| *now = now.saturating_add(by_ns));
    }

    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for SimClock {
    fn now_ns(&self) -> i64 {
        *self.now.borrow()
    }

    fn sleep_until_ns(&self, deadline_ns: i64) -> Sleep {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            // The sender lives as long as any handle to the clock; if it is gone nobody
            // can move time any more, and waiting on would hang.
            let _ = now.wait_for(|now_ns| *now_ns >= deadline_ns).await;
        })
    }
}
