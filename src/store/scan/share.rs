//! One scan on several threads: the one that asked for it, and helpers of the pool. All of them
//! take the next thing to do from one queue: a block for a fork of the sink, or a part to plan.
//!
//! The thread that asked walks through the parts in order. A part whose result the sink may keep
//! has forks of its own, which are joined before the next such part begins; meanwhile whoever
//! has nothing to do in it plans the parts that follow, or reads blocks that belong to no such
//! part.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::head_rows::HeadPlan;
use super::part_rows::{self, Buffers};
use super::plan::{Asked, PartPlan, WantedBlock};
use super::{Progress, Source, Tally};
use crate::model::Timestamp;
use crate::store::deletes::Active;
use crate::store::part::Part;
use crate::store::read::{Flow, ForkedSink, Order, ReadError, RowSink, ScanRequest, ScanStats};
use crate::store::store::Shared;

/// Parts that are planned before their turn, for each worker.
const AHEAD: usize = 4;
/// The same where those that come first may make the others needless.
const AHEAD_IN_ORDER: usize = 1;
/// A helper looks so often, in blocks, whether another scan has waited for it.
const TURN: usize = 8;

enum Task {
    Head(Arc<HeadPlan>, usize),
    Block(Arc<PartPlan>, WantedBlock),
}

struct Fork {
    at: usize,
    sink: Box<dyn ForkedSink>,
    tally: Tally,
    used: bool,
}

/// Tasks whose rows go to the same forks.
#[derive(Default)]
struct Group {
    tasks: VecDeque<Task>,
    running: usize,
    idle: Vec<Fork>,
    /// A fork did not want a block.
    left_out: bool,
}

impl Group {
    fn is_done(&self) -> bool {
        self.tasks.is_empty() && self.running == 0
    }

    fn give(&mut self, forks: Vec<Box<dyn ForkedSink>>) {
        let forks = forks.into_iter().enumerate().rev();
        self.idle.extend(forks.map(|(at, sink)| Fork {
            at,
            sink,
            tally: Tally::default(),
            used: false,
        }));
    }
}

/// The part that has begun, and all that belongs to none.
const PART: usize = 0;
const LOOSE: usize = 1;

#[derive(Default)]
struct Queue {
    groups: [Group; 2],
    unplanned: VecDeque<(usize, Arc<Part>, Vec<Arc<Active>>)>,
    planning: usize,
    /// By place of the part; `None` for one that nobody wants any more.
    plans: BTreeMap<usize, Option<PartPlan>>,
    /// Asked whether a part is still wanted, where the order makes a difference.
    probe: Option<Box<dyn ForkedSink>>,
    /// Helpers that are here or asked for.
    helpers: usize,
    error: Option<ReadError>,
    over: bool,
}

impl Queue {
    fn to_do(&self) -> usize {
        self.unplanned.len() + self.groups.iter().map(|group| group.tasks.len()).sum::<usize>()
    }
}

enum Work {
    Plan(usize, Arc<Part>, Vec<Arc<Active>>),
    /// A part that nobody wants any more.
    LeaveOut(usize),
    Rows(usize, Task, Fork),
}

enum Done {
    Plan(usize, Option<PartPlan>),
    Rows { group: usize, fork: Fork, flow: Flow, left_out: bool },
}

pub(super) struct Job {
    shared: Arc<Shared>,
    request: ScanRequest,
    asked: Asked,
    spent: AtomicU64,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// However the scan ends, helpers are to leave it.
struct End<'a>(&'a Job);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().over = true;
        self.0.changed.notify_all();
    }
}

pub(super) fn scan(
    shared: &Arc<Shared>,
    request: &ScanRequest,
    sources: Vec<Source>,
    sink: &mut dyn RowSink,
    fork: Box<dyn ForkedSink>,
    mut tally: Tally,
) -> Result<ScanStats, ReadError> {
    let spent = AtomicU64::new(0);
    let mut queue = Queue::default();
    let mut progress = Progress::new(request, sink, &mut tally, &spent);
    progress.check_cancel()?;
    let mut parts = 0;
    for source in sources {
        match source {
            Source::Head(unit, heads_before) => {
                let plan = Arc::new(HeadPlan::new(&unit.head, heads_before, request));
                let pieces = (0..plan.pieces.len()).map(|at| Task::Head(plan.clone(), at));
                queue.groups[LOOSE].tasks.extend(pieces);
            }
            Source::Part(part, hidden) if progress.wants(part.first(), part.last()) => {
                queue.unplanned.push_back((parts, part, hidden));
                parts += 1;
            }
            Source::Part(..) => progress.stats.parts_pruned += 1,
        }
    }
    let workers = shared.pool.workers();
    let mut forks = vec![fork];
    forks.extend((1..workers).map_while(|_| sink.fork()));
    queue.probe = if request.order == Order::Any { None } else { sink.fork() };
    queue.groups[LOOSE].give(forks);
    let job = Arc::new(Job {
        shared: shared.clone(),
        request: request.clone(),
        asked: Asked::new(request),
        spent,
        queue: Mutex::new(queue),
        changed: Condvar::new(),
    });
    let mut buffers = None;
    let end = End(&job);
    let walked = job.walk(parts, sink, &mut tally, &mut buffers);
    drop(end);
    if let Some(buffers) = buffers {
        shared.pool.give_buffers(buffers);
    }
    walked.map(|()| tally.finish())
}

impl Job {
    fn walk(
        self: &Arc<Self>,
        parts: usize,
        sink: &mut dyn RowSink,
        tally: &mut Tally,
        buffers: &mut Option<Buffers>,
    ) -> Result<(), ReadError> {
        self.ask_for_help();
        for place in 0..parts {
            let mut plan = None;
            self.work_until(buffers, |queue| {
                plan = queue.plans.remove(&place);
                plan.is_some()
            })?;
            // The scan was stopped by a fork.
            let Some(plan) = plan else { break };
            let Some(plan) = plan else {
                tally.stats.parts_pruned += 1;
                continue;
            };
            plan.note(&mut tally.stats);
            // Of so few blocks not every thread would have one.
            if plan.whole && plan.blocks.len() >= 2 * self.shared.pool.workers() {
                self.whole_part(plan, sink, tally, buffers)?;
            } else {
                self.add_tasks(LOOSE, plan);
            }
        }
        self.work_until(buffers, |queue| queue.groups[LOOSE].is_done())?;
        self.join(LOOSE, sink, tally)?;
        Ok(())
    }

    fn whole_part(
        self: &Arc<Self>,
        plan: PartPlan,
        sink: &mut dyn RowSink,
        tally: &mut Tally,
        buffers: &mut Option<Buffers>,
    ) -> Result<(), ReadError> {
        let key = plan.part.key();
        if !sink.begin_part(key) {
            return Ok(());
        }
        let workers = self.shared.pool.workers();
        let forks: Vec<_> = (0..workers).map_while(|_| sink.fork()).collect();
        let complete = if forks.is_empty() {
            // Its rows must not come to the forks of another part.
            let buffers = buffers_of(buffers, &self.shared)?;
            let mut progress = Progress::new(&self.request, sink, tally, &self.spent);
            let (flow, complete) = super::blocks_of(&self.shared, &plan, &mut progress, buffers)?;
            self.queue.lock().over |= flow == Flow::Stop;
            complete
        } else {
            self.queue.lock().groups[PART].give(forks);
            self.add_tasks(PART, plan);
            self.work_until(buffers, |queue| queue.groups[PART].is_done())?;
            self.join(PART, sink, tally)?
        };
        if complete {
            sink.end_part(key);
        }
        Ok(())
    }

    fn add_tasks(self: &Arc<Self>, group: usize, plan: PartPlan) {
        let plan = Arc::new(plan);
        let tasks = plan.blocks.iter().map(|block| Task::Block(plan.clone(), *block));
        self.queue.lock().groups[group].tasks.extend(tasks);
        self.changed.notify_all();
        self.ask_for_help();
    }

    /// As many helpers as there is work for them beside this thread.
    fn ask_for_help(self: &Arc<Self>) {
        let mut queue = self.queue.lock();
        let most = (self.shared.pool.workers() - 1).min(queue.to_do().saturating_sub(1));
        let more = most.saturating_sub(queue.helpers);
        queue.helpers += more;
        drop(queue);
        self.shared.pool.post(self, more);
    }

    /// Waits for what the forks of a group are at, takes in what they have, and tells whether it
    /// is all there was.
    fn join(
        &self,
        group: usize,
        sink: &mut dyn RowSink,
        tally: &mut Tally,
    ) -> Result<bool, ReadError> {
        let mut queue = self.queue.lock();
        while queue.groups[group].running > 0 {
            self.changed.wait(&mut queue);
        }
        if let Some(error) = queue.error.take() {
            return Err(error);
        }
        let joined = std::mem::take(&mut queue.groups[group]);
        let complete = joined.tasks.is_empty() && !joined.left_out && !queue.over;
        drop(queue);
        let mut forks = joined.idle;
        forks.sort_by_key(|fork| fork.at);
        for fork in forks.into_iter().filter(|fork| fork.used) {
            tally.add(fork.tally);
            sink.join(fork.sink)?;
        }
        Ok(complete)
    }

    /// Does what there is to do until `done`, or until the scan is over.
    fn work_until(
        &self,
        buffers: &mut Option<Buffers>,
        mut done: impl FnMut(&mut Queue) -> bool,
    ) -> Result<(), ReadError> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(error) = queue.error.take() {
                return Err(error);
            }
            if done(&mut queue) || queue.over {
                return Ok(());
            }
            match self.take(&mut queue) {
                Some(work) => queue = self.step(queue, work, buffers),
                None => self.changed.wait(&mut queue),
            }
        }
    }

    /// What a helper does. Tells whether it has left before the end, because others wait.
    pub fn help(&self, is_wanted_elsewhere: &dyn Fn() -> bool) -> bool {
        let mut buffers = None;
        let mut steps = 0;
        let mut queue = self.queue.lock();
        let unfinished = loop {
            if queue.over {
                break false;
            }
            match self.take(&mut queue) {
                Some(work) => {
                    queue = self.step(queue, work, &mut buffers);
                    steps += 1;
                    if steps % TURN == 0 && is_wanted_elsewhere() {
                        break true;
                    }
                }
                None if is_wanted_elsewhere() => break false,
                None => self.changed.wait(&mut queue),
            }
        };
        if !unfinished {
            queue.helpers -= 1;
        }
        drop(queue);
        if let Some(buffers) = buffers {
            self.shared.pool.give_buffers(buffers);
        }
        unfinished
    }

    fn step<'q>(
        &'q self,
        queue: MutexGuard<'q, Queue>,
        work: Work,
        buffers: &mut Option<Buffers>,
    ) -> MutexGuard<'q, Queue> {
        drop(queue);
        let group = match &work {
            Work::Plan(..) | Work::LeaveOut(_) => None,
            Work::Rows(group, ..) => Some(*group),
        };
        let ran = catch_unwind(AssertUnwindSafe(|| self.run(work, buffers)));
        if ran.is_err() {
            // Nobody knows what is in them.
            *buffers = None;
        }
        let ran = ran.unwrap_or_else(|_| {
            Err(ReadError::Sink("a thread of the scan panicked; the log says where".to_owned()))
        });
        let mut queue = self.queue.lock();
        match group {
            Some(group) => queue.groups[group].running -= 1,
            None => queue.planning -= 1,
        }
        match ran {
            Ok(Done::Plan(place, plan)) => {
                queue.plans.insert(place, plan);
                self.changed.notify_all();
            }
            Ok(Done::Rows { group, fork, flow, left_out }) => {
                queue.over |= flow == Flow::Stop;
                let over = queue.over;
                let group = &mut queue.groups[group];
                group.idle.push(fork);
                group.left_out |= left_out;
                if over || group.is_done() {
                    self.changed.notify_all();
                }
            }
            Err(error) => {
                queue.over = true;
                queue.error.get_or_insert(error);
                self.changed.notify_all();
            }
        }
        queue
    }

    fn run(&self, work: Work, buffers: &mut Option<Buffers>) -> Result<Done, ReadError> {
        let (group, task, mut fork) = match work {
            Work::Plan(place, part, hidden) => {
                if self.request.cancel.is_cancelled() {
                    return Err(ReadError::Cancelled);
                }
                let plan = PartPlan::new(&self.shared, &part, hidden, &self.asked, &self.request)?;
                return Ok(Done::Plan(place, Some(plan)));
            }
            Work::LeaveOut(place) => return Ok(Done::Plan(place, None)),
            Work::Rows(group, task, fork) => (group, task, fork),
        };
        fork.used = true;
        let Fork { sink, tally, .. } = &mut fork;
        let mut progress = Progress::new(&self.request, &mut **sink, tally, &self.spent);
        let mut left_out = false;
        let flow = match task {
            Task::Head(plan, at) => plan.scan_piece(at, &mut progress)?,
            Task::Block(_, block) if !progress.wants(block.first, block.last) => {
                progress.check_cancel()?;
                progress.stats.blocks_pruned += 1;
                left_out = true;
                Flow::Continue
            }
            Task::Block(plan, block) => {
                let buffers = buffers_of(buffers, &self.shared)?;
                part_rows::scan_block(&self.shared, &plan, block, &mut progress, buffers)?
            }
        };
        Ok(Done::Rows { group, fork, flow, left_out })
    }

    /// Rows first, so that a part that has begun comes to its end.
    fn take(&self, queue: &mut Queue) -> Option<Work> {
        for (at, group) in queue.groups.iter_mut().enumerate() {
            if !group.tasks.is_empty()
                && let Some(fork) = group.idle.pop()
                && let Some(task) = group.tasks.pop_front()
            {
                group.running += 1;
                return Some(Work::Rows(at, task, fork));
            }
        }
        let ahead = if queue.probe.is_some() { AHEAD_IN_ORDER } else { AHEAD };
        if queue.plans.len() + queue.planning >= ahead * self.shared.pool.workers() {
            return None;
        }
        let (place, part, hidden) = queue.unplanned.pop_front()?;
        queue.planning += 1;
        let wanted = self.is_wanted(queue, &part);
        Some(if wanted { Work::Plan(place, part, hidden) } else { Work::LeaveOut(place) })
    }

    fn is_wanted(&self, queue: &mut Queue, part: &Part) -> bool {
        let range = self.request.range;
        let end = Timestamp(range.end.0.saturating_sub(1));
        let (first, last) = (part.first().max(range.start), part.last().min(end));
        queue.probe.as_mut().is_none_or(|probe| probe.wants(first, last))
    }
}

fn buffers_of<'a>(
    buffers: &'a mut Option<Buffers>,
    shared: &Shared,
) -> Result<&'a mut Buffers, ReadError> {
    match buffers {
        Some(buffers) => Ok(buffers),
        none => Ok(none.insert(shared.pool.take_buffers()?)),
    }
}
