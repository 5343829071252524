//! The loop that starts evaluations when they are due.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::{Inner, Ruler};
use crate::alert::rule::{Group, GroupKey, RuleSet};
use crate::alert::schedule::Slots;
use crate::model::Alert;

const SECOND_NS: i64 = 1_000_000_000;
/// How often the alerts of removed rules are looked after.
const ORPHANS_EVERY_NS: i64 = 15 * SECOND_NS;
/// How often the newest evaluated slots are saved even though no alert changed: what a crash
/// makes us evaluate again.
const SAVE_EVERY_NS: i64 = 60 * SECOND_NS;

/// What runs in the background; the key is `None` for the looking after.
type Running = FuturesUnordered<BoxFuture<'static, Option<GroupKey>>>;

impl Ruler {
    /// Evaluates rules until `shutdown` ends, and hands alerts to `alerts`. When the channel is
    /// full, evaluation waits: alerts are never dropped.
    pub async fn run(
        self,
        alerts: mpsc::Sender<Vec<Alert>>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let mut shutdown = pin!(shutdown);
        let inner = self.0;
        let mut schedule = Schedule { inner: &inner, alerts: &alerts, planned: HashMap::new() };
        let mut running = Running::new();
        let mut busy: HashSet<GroupKey> = HashSet::new();
        let mut rules = inner.rules.load_full();
        let mut orphans_at_ns = inner.clock.now_ns();
        let mut save_at_ns = orphans_at_ns.saturating_add(SAVE_EVERY_NS);
        let mut housekeeping = false;
        loop {
            let now_ns = inner.clock.now_ns();
            let swapped = !Arc::ptr_eq(&rules, &inner.rules.load());
            if swapped && running.is_empty() {
                rules = inner.rules.load_full();
                orphans_at_ns = now_ns;
            }
            let mut wake_ns = i64::MAX;
            // After a swap nothing is started until all that runs has ended, so that a rule
            // that moved to another group is never evaluated by both at once.
            if !swapped || running.is_empty() {
                wake_ns = schedule.start_due(&rules, now_ns, &mut running, &mut busy);
                let due = now_ns >= orphans_at_ns || now_ns >= save_at_ns;
                if due && !housekeeping {
                    let save = now_ns >= save_at_ns;
                    running.push(schedule.look_after(now_ns, save));
                    housekeeping = true;
                    orphans_at_ns = now_ns.saturating_add(ORPHANS_EVERY_NS);
                    if save {
                        save_at_ns = now_ns.saturating_add(SAVE_EVERY_NS);
                    }
                }
                wake_ns = wake_ns.min(orphans_at_ns).min(save_at_ns);
            }
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = running.next(), if !running.is_empty() => match ended {
                    Some(key) => { busy.remove(&key); }
                    None => housekeeping = false,
                },
                () = inner.changed.notified() => {}
                () = inner.clock.sleep_until_ns(wake_ns) => {}
            }
        }
        inner.stopping.store(true, Ordering::Relaxed);
        while running.next().await.is_some() {}
        let last = tokio::task::spawn_blocking(move || inner.memory.save()).await;
        if !matches!(last, Ok(Ok(()))) {
            tracing::error!("alert state could not be saved at the end");
        }
    }
}

struct Schedule<'a> {
    inner: &'a Arc<Inner>,
    alerts: &'a mpsc::Sender<Vec<Alert>>,
    /// The newest slot each group was started for.
    planned: HashMap<GroupKey, i64>,
}

impl Schedule<'_> {
    /// Starts what is due and gives when to look again.
    fn start_due(
        &mut self,
        rules: &RuleSet,
        now_ns: i64,
        running: &mut Running,
        busy: &mut HashSet<GroupKey>,
    ) -> i64 {
        let mut wake_ns = i64::MAX;
        let mut due: Vec<(i64, &Arc<Group>, i64)> = Vec::new();
        for group in &rules.groups {
            let slots = Slots::of(group);
            let newest_ns = slots.newest(now_ns);
            let planned_ns = self.planned.get(&group.key()).copied();
            if planned_ns != Some(newest_ns) {
                due.push((planned_ns.unwrap_or(i64::MIN), group, newest_ns));
            } else {
                wake_ns = wake_ns.min(slots.after(newest_ns));
            }
        }
        // Who waits longest goes first, so that no group starves when all are slow.
        due.sort_by_key(|(planned_ns, _, _)| *planned_ns);
        for (_, group, newest_ns) in due {
            let key = group.key();
            // The end of a running evaluation wakes the loop again.
            if busy.len() >= self.inner.options.concurrency.max(1) || busy.contains(&key) {
                continue;
            }
            self.planned.insert(key.clone(), newest_ns);
            busy.insert(key.clone());
            running.push(self.evaluate(Arc::clone(group), key, newest_ns));
            wake_ns = wake_ns.min(Slots::of(group).after(newest_ns));
        }
        wake_ns
    }

    fn evaluate(
        &self,
        group: Arc<Group>,
        key: GroupKey,
        newest_ns: i64,
    ) -> BoxFuture<'static, Option<GroupKey>> {
        let inner = Arc::clone(self.inner);
        let alerts = self.alerts.clone();
        let work = tokio::task::spawn_blocking(move || {
            inner.run_group(&group, newest_ns, &mut |batch| send(&inner, &alerts, batch));
        });
        Box::pin(async move {
            if work.await.is_err() {
                tracing::error!(group = %key.name, "the evaluation of a rule group broke off");
            }
            Some(key)
        })
    }

    fn look_after(&self, now_ns: i64, save: bool) -> BoxFuture<'static, Option<GroupKey>> {
        let inner = Arc::clone(self.inner);
        let alerts = self.alerts.clone();
        let work = tokio::task::spawn_blocking(move || {
            inner.run_orphans(now_ns, &mut |batch| send(&inner, &alerts, batch));
            if save && let Err(error) = inner.memory.save() {
                inner.counters.save_failures.add(&[], 1);
                tracing::error!(%error, "alert state could not be saved");
            }
        });
        Box::pin(async move {
            if work.await.is_err() {
                tracing::error!("looking after removed rules broke off");
            }
            None
        })
    }
}

fn send(inner: &Inner, alerts: &mpsc::Sender<Vec<Alert>>, batch: Vec<Alert>) {
    if alerts.blocking_send(batch).is_err() {
        // The notifier is gone: what is firing is told again after the next start.
        inner.stopping.store(true, Ordering::Relaxed);
    }
}
