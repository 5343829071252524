//! What the store does with delete requests: takes them in, lets them be taken back, and carries
//! them out when their time has come.

use std::cell::RefCell;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::NewDelete;
use super::book::{Book, DeleteRequest, DeleteState};
use super::hide::{Active, Hidden, Hiding};
use crate::limits;
use crate::store::block::{BlockBuf, Wanted};
use crate::store::error::StoreError;
use crate::store::merge::{LeaveOut, noted};
use crate::store::part::{BlockSet, Clauses, Part};
use crate::store::store::{Shared, Store};
use crate::store::wal::{segment_name, segment_number};

#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The query cannot be understood.
    #[error("{0}")]
    Query(String),
    #[error("there are {0} delete requests that wait already; wait until some are carried out")]
    TooMany(usize),
    #[error("could not find delete request with given id")]
    NotFound,
    #[error("deletion of request which is in process or already processed is not allowed")]
    InProcess,
    #[error(
        "deletion of request past the deadline of {0} since its creation is not allowed; with force=true what is not gone yet comes back"
    )]
    PastDeadline(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A request and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteStatus {
    pub request: DeleteRequest,
    /// Parts that are done, of `request.parts`.
    pub parts_done: u64,
}

impl DeleteStatus {
    /// As Loki words it: `received`, `NN% Complete`, `processed`.
    pub fn text(&self) -> String {
        match self.request.state {
            DeleteState::Processed => "processed".to_owned(),
            DeleteState::Received if self.parts_done == 0 => "received".to_owned(),
            DeleteState::Received => {
                format!("{}% Complete", self.parts_done * 100 / self.request.parts.max(1))
            }
        }
    }
}

impl Shared {
    /// Replaces the list on disk, then what queries see of it.
    fn change_deletes(
        &self,
        change: impl FnOnce(&mut Book, &mut Hidden),
    ) -> Result<(), StoreError> {
        let mut book = self.deletes.lock();
        let mut changed = book.clone();
        let mut hidden = self.state.read().hidden.clone();
        change(&mut changed, &mut hidden);
        changed.save(&*self.files, &self.options.data_dir)?;
        *book = changed;
        self.state.write().hidden = hidden;
        Ok(())
    }

    /// The time for what is due: a clock that jumps ahead ends no time to think.
    fn believed_ns(&self) -> i64 {
        self.trust.lock().time(self.options.clock.now_ns())
    }

    /// Requests that came under a clock that was ahead count as if they had come now, or they,
    /// and all later ones with them, would wait until that time has come.
    fn date_back(&self) -> Result<(), StoreError> {
        let now_ns = self.options.clock.now_ns();
        if self.deletes.lock().waiting().all(|request| request.created_ns <= now_ns) {
            return Ok(());
        }
        self.change_deletes(|book, hidden| {
            for request in &mut book.requests {
                request.created_ns = request.created_ns.min(now_ns);
            }
            let dated = hidden.active.iter().map(|active| active.dated_back(now_ns));
            hidden.active = Arc::new(dated.collect());
        })
    }

    fn cancel_period_ns(&self) -> i64 {
        i64::try_from(self.options.delete_cancel_period.as_nanos()).unwrap_or(i64::MAX)
    }
}

/// What queries do not see, as the list on disk has it at the start.
pub(in crate::store) fn at_start(book: &Book, options: &crate::store::StoreOptions) -> Hidden {
    let mut active = Vec::new();
    for request in book.waiting() {
        match Active::new(request, &*options.language) {
            Ok(request) => active.push(request),
            Err(error) => tracing::error!(
                id = request.id,
                error,
                "a delete request cannot be read any more and hides nothing; cancel it and send it again"
            ),
        }
    }
    Hidden { active: Arc::new(active) }
}

impl Store {
    /// Takes a request in and gives its id. When this returns, its rows are not seen any more,
    /// whatever happens to the machine. The same request sent again is not taken twice.
    /// Blocks, so not for async code.
    pub fn request_delete(&self, new: &NewDelete) -> Result<String, DeleteError> {
        let shared = &self.shared;
        shared.options.language.compile(&new.query).map_err(DeleteError::Query)?;
        let same = |other: &DeleteRequest| {
            other.tenant == new.tenant && other.query == new.query && other.range() == new.range
        };
        {
            let book = shared.deletes.lock();
            if let Some(known) = book.waiting().find(|other| same(other)) {
                return Ok(known.id.clone());
            }
            let waiting = book.waiting().count();
            if waiting >= limits::DELETES_WAITING_MAX {
                return Err(DeleteError::TooMany(waiting));
            }
        }
        // All that is there now goes into parts: a request means whole parts and no heads.
        self.flush()?;
        let mut id = String::new();
        let mut refused = None;
        shared.change_deletes(|book, hidden| {
            let seq = book.next_seq;
            let mut request = DeleteRequest {
                id: fresh_id(book, new),
                seq,
                tenant: new.tenant.clone(),
                query: new.query.clone(),
                start_ns: new.range.start.0,
                end_ns: new.range.end.0.saturating_sub(1),
                created_ns: shared.options.clock.now_ns(),
                state: DeleteState::Received,
                parts: 0,
            };
            match Active::new(&request, &*shared.options.language) {
                Ok(active) => {
                    let parts = shared.state.read().parts.clone();
                    let concerned = parts.iter().filter(|part| active.concerns(&part.info));
                    request.parts = concerned.count() as u64;
                    let mut all = hidden.active.as_ref().clone();
                    all.push(active);
                    hidden.active = Arc::new(all);
                }
                Err(error) => refused = Some(error),
            }
            id.clone_from(&request.id);
            if refused.is_none() {
                book.next_seq += 1;
                book.requests.push(request);
            }
        })?;
        if let Some(error) = refused {
            return Err(DeleteError::Query(error));
        }
        tracing::info!(tenant = new.tenant, id, "took a delete request; its lines are hidden");
        Ok(id)
    }

    /// All requests of a tenant, oldest first.
    pub fn deletes(&self, tenant: &str) -> Vec<DeleteStatus> {
        let shared = &self.shared;
        let requests = shared.deletes.lock().requests.clone();
        let state = shared.state.read().clone();
        let of_tenant = requests.into_iter().filter(|request| request.tenant == tenant);
        of_tenant
            .map(|request| {
                let active = state.hidden.active.iter().find(|active| active.seq == request.seq);
                let left = active.map_or(0, |active| {
                    let parts = state.parts.iter();
                    parts.filter(|part| active.concerns(&part.info)).count() as u64
                });
                let parts_done = request.parts.saturating_sub(left);
                DeleteStatus { request, parts_done }
            })
            .collect()
    }

    /// Takes a request back: its rows are seen again. Once its time has come only with `force`,
    /// and then what is gone stays gone.
    pub fn cancel_delete(&self, tenant: &str, id: &str, force: bool) -> Result<(), DeleteError> {
        let shared = &self.shared;
        let all = self.deletes(tenant);
        let Some(found) = all.iter().find(|status| status.request.id == id) else {
            return Err(DeleteError::NotFound);
        };
        let request = &found.request;
        if request.state == DeleteState::Processed {
            return Err(DeleteError::InProcess);
        }
        let age_ns = shared.believed_ns().saturating_sub(request.created_ns);
        if !force && age_ns >= shared.cancel_period_ns() {
            let period = shared.options.delete_cancel_period;
            return Err(DeleteError::PastDeadline(format!("{period:?}")));
        }
        let seq = request.seq;
        shared.change_deletes(|book, hidden| {
            book.requests.retain(|other| other.seq != seq);
            let rest = hidden.active.iter().filter(|active| active.seq != seq);
            hidden.active = Arc::new(rest.cloned().collect());
        })?;
        tracing::info!(tenant, id, "a delete request was taken back");
        Ok(())
    }

    /// Carries out the next piece of what is due; `false` when there is nothing left to do now.
    pub fn delete_once(&self) -> Result<bool, StoreError> {
        let shared = &self.shared;
        shared.date_back()?;
        let state = shared.state.read().clone();
        let due = due(&state.hidden.active, shared.believed_ns(), shared.cancel_period_ns());
        let Some(up_to) = due.last().map(|active| active.seq) else { return Ok(false) };
        let mut clean = Vec::new();
        for part in state.parts.iter() {
            let concerned: Vec<Arc<Active>> =
                due.iter().filter(|active| active.concerns(&part.info)).cloned().collect();
            if concerned.is_empty() {
                continue;
            }
            let hidden_blocks = hidden_blocks(shared, part, &concerned)
                .map_err(|error| noted(shared, part, error))?;
            if hidden_blocks.is_empty() {
                clean.push(part.clone());
                continue;
            }
            self.note_clean(&clean, up_to)?;
            let leave_out = LeaveOut {
                hiding: Hiding::new(concerned.into_iter()),
                hidden_blocks: Some(hidden_blocks),
                ..LeaveOut::default()
            };
            // A request that was taken back meanwhile must not be carried out.
            let still = || {
                let now = shared.state.read().hidden.active.clone();
                due.iter().all(|active| now.iter().any(|other| other.seq == active.seq))
            };
            let merged = self.rewrite(part, leave_out, up_to, &still)?;
            if let Some(merged) = merged {
                shared.counters.deleted(merged.left_out);
                tracing::info!(
                    part = part.info.id,
                    day = part.info.day,
                    entries = merged.left_out,
                    "removed entries that delete requests mean"
                );
            }
            return Ok(true);
        }
        self.note_clean(&clean, up_to)?;
        self.finish_deletes(&due)
    }

    /// Parts that hold nothing of the requests are not asked again.
    fn note_clean(&self, clean: &[Arc<Part>], up_to: u64) -> Result<(), StoreError> {
        if clean.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        let is_clean = |id: u64| clean.iter().any(|part| part.info.id == id);
        let infos = RefCell::new(Vec::new());
        shared.change_parts(
            |manifest| {
                for info in manifest.parts.iter_mut().filter(|info| is_clean(info.id)) {
                    info.deletes_seq = info.deletes_seq.max(up_to);
                    infos.borrow_mut().push(info.clone());
                }
            },
            |state| {
                let infos = infos.borrow();
                let info_of = |id: u64| infos.iter().find(|info| info.id == id);
                let parts = state.parts.iter().map(|part| match info_of(part.info.id) {
                    Some(info) => part.with_info(info.clone()),
                    None => part.clone(),
                });
                state.parts = Arc::new(parts.collect());
            },
        )
    }

    /// Every part is done; what may still hold the rows is looked for.
    fn finish_deletes(&self, due: &[Arc<Active>]) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let concerned = |active: &&Arc<Active>| {
            shared.state.read().parts.iter().any(|part| active.concerns(&part.info))
        };
        if due.iter().any(|active| concerned(&active)) {
            // A part came or went meanwhile.
            return Ok(true);
        }
        // Files of parts that were replaced go with the last query that reads them.
        shared.leaving.lock().retain(|part| part.strong_count() > 0);
        if !shared.leaving.lock().is_empty() {
            return Ok(false);
        }
        let floor = shared.manifest.lock().wal_floor;
        let folder = shared.wal_folder();
        let listed = shared.files.list(&folder).map_err(StoreError::io(&folder))?;
        for number in listed.iter().filter_map(|file| segment_number(&file.name)) {
            if number < floor {
                let path = folder.join(segment_name(number));
                shared.files.remove(&path).map_err(StoreError::io(&path))?;
            }
        }
        let quarantine = shared.options.data_dir.join("quarantine");
        let kept = shared.files.list(&quarantine).map_err(StoreError::io(&quarantine))?;
        if !kept.is_empty() {
            tracing::warn!(
                path = %quarantine.display(),
                files = kept.len(),
                "damaged files are not searched for deleted entries; remove them when you do not need them"
            );
        }
        shared.change_deletes(|book, hidden| {
            for request in &mut book.requests {
                if let Some(active) = due.iter().find(|active| active.seq == request.seq) {
                    request.state = DeleteState::Processed;
                    request.query.clone_from(&active.selection.afterwards);
                }
            }
            let rest =
                hidden.active.iter().filter(|active| due.iter().all(|done| done.seq != active.seq));
            hidden.active = Arc::new(rest.cloned().collect());
        })?;
        for active in due {
            tracing::info!(tenant = active.tenant, id = active.id, "carried out a delete request");
        }
        Ok(false)
    }
}

/// Requests whose time has come. They are carried out in their order, so that one number says
/// what a part is done with; what counts is the earliest time among a request and all later
/// ones, since the clock may have been ahead when it came.
fn due(active: &[Arc<Active>], now_ns: i64, period_ns: i64) -> Vec<Arc<Active>> {
    let is_due = |active: &Arc<Active>| now_ns.saturating_sub(active.created_ns) >= period_ns;
    let count = active.iter().rposition(is_due).map_or(0, |last| last + 1);
    active.iter().take(count).cloned().collect()
}

/// Eight hex digits, as Loki's, that no other request has.
fn fresh_id(book: &Book, new: &NewDelete) -> String {
    let mut text = format!("{}\0{}\0{:?}\0{}", new.tenant, new.query, new.range, book.next_seq);
    loop {
        let id = format!("{:08x}", xxh3_64(text.as_bytes()) as u32);
        if book.requests.iter().all(|request| request.id != id) {
            return id;
        }
        text.push('.');
    }
}

/// The blocks of a part that hold rows of the requests: none for nothing, none left out.
fn hidden_blocks(
    shared: &Shared,
    part: &Arc<Part>,
    requests: &[Arc<Active>],
) -> Result<BlockSet, StoreError> {
    let opened = shared.cache.open(part)?;
    let table = &opened.table;
    let mut candidates = BlockSet::none(table.blocks.len());
    for request in requests {
        let Some(hiding) = Hiding::new(std::iter::once(request.clone())) else { continue };
        let mut alive = BlockSet::none(table.blocks.len());
        for (at, block) in table.blocks.iter().enumerate() {
            let touched = block.runs.iter().any(|run| {
                table.streams.get(run.stream as usize).is_some_and(|stream| {
                    hiding.may_hide(&stream.tenant, &stream.meta, (run.first, run.last))
                })
            });
            if touched {
                alive.insert(at);
            }
        }
        for hints in hiding.hints() {
            let clauses = Clauses::new(hints);
            if !clauses.is_empty() && !alive.is_empty() {
                let selected = vec![true; table.streams.len()];
                clauses.prune(part, &opened, &shared.cache, &selected, &mut alive)?;
            }
        }
        candidates.add(&alive);
    }
    let mut found = BlockSet::none(table.blocks.len());
    let Some(mut hiding) = Hiding::new(requests.iter().cloned()) else { return Ok(found) };
    let mut buffer = BlockBuf::new().map_err(StoreError::io(part.path()))?;
    let mut stored = Vec::new();
    for (at, block) in table.blocks.iter().enumerate() {
        if candidates.contains(at) {
            opened.read_block(block, Wanted::WHOLE, &mut stored, &mut buffer)?;
            if hiding.hides_any(&table.streams, block, &buffer) {
                found.insert(at);
            }
        }
    }
    Ok(found)
}
