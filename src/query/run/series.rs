//! The series of a running range aggregation: found by a hash of their labels, each with what
//! it has seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};

use hashbrown::HashTable;
use parking_lot::Mutex;

use crate::limits;
use crate::model::Labels;
use crate::query::error::QueryError;
use crate::query::syntax::ast::{RangeAggregation, RangeOp};

use super::accumulate::{Cells, Fold};
use super::extract::SeriesKey;
use super::memory::Memory;
use super::quantiles::Buckets;
use super::samples::Samples;

/// How the windows of a range operation are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    Fold(Fold),
    /// The sum, divided by the seconds of the range.
    Rate,
    CounterRate,
    Quantile(f64),
}

impl Method {
    pub fn of(range: &RangeAggregation) -> Method {
        match range.op {
            RangeOp::Rate | RangeOp::BytesRate => Method::Rate,
            RangeOp::RateCounter => Method::CounterRate,
            RangeOp::CountOverTime | RangeOp::BytesOverTime | RangeOp::SumOverTime => {
                Method::Fold(Fold::Sum)
            }
            RangeOp::AvgOverTime => Method::Fold(Fold::Avg),
            RangeOp::MinOverTime => Method::Fold(Fold::Min),
            RangeOp::MaxOverTime => Method::Fold(Fold::Max),
            RangeOp::StdvarOverTime => Method::Fold(Fold::Variance),
            RangeOp::StddevOverTime => Method::Fold(Fold::Deviation),
            RangeOp::FirstOverTime => Method::Fold(Fold::First),
            RangeOp::LastOverTime => Method::Fold(Fold::Last),
            RangeOp::QuantileOverTime => Method::Quantile(range.param.unwrap_or(0.0)),
            RangeOp::AbsentOverTime => Method::Fold(Fold::Sum),
        }
    }

    pub fn fold(self) -> Fold {
        match self {
            Method::Fold(fold) => fold,
            Method::Rate | Method::CounterRate | Method::Quantile(_) => Fold::Sum,
        }
    }

    /// Whether the order in which samples of the same time come makes a difference.
    pub fn is_ordered(self) -> bool {
        matches!(self, Method::Fold(Fold::First | Fold::Last) | Method::CounterRate)
    }
}

/// What a cell or a sample takes, and the room a list of them has left over.
const SLOT_BYTES: isize = 48;

/// What a query has in memory and how it fares, over all threads that work on it.
#[derive(Debug)]
pub struct Shared {
    memory: Arc<Memory>,
    /// Cells and samples in memory.
    held: AtomicIsize,
    series: AtomicUsize,
    /// All threads should stop: one has failed, or nothing more is needed.
    stop: AtomicBool,
    failure: Mutex<Option<QueryError>>,
}

impl Shared {
    pub fn new(memory: Arc<Memory>) -> Self {
        Shared {
            memory,
            held: AtomicIsize::new(0),
            series: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    pub fn fail(&self, error: QueryError) {
        self.failure.lock().get_or_insert(error);
        self.stop();
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub fn failure(&self) -> Option<QueryError> {
        self.failure.lock().take()
    }

    /// Counts cells and samples that came or went.
    pub fn hold(&self, slots: isize) -> Result<(), QueryError> {
        let held = self.held.fetch_add(slots, Ordering::Relaxed) + slots;
        if usize::try_from(held).is_ok_and(|held| held > limits::QUERY_SAMPLES_MAX) {
            return Err(too_many_samples());
        }
        self.memory.take(slots.saturating_mul(SLOT_BYTES) as i64)
    }

    fn add_series(&self, labels: &Labels) -> Result<(), QueryError> {
        let series = self.series.fetch_add(1, Ordering::Relaxed);
        if series >= limits::QUERY_SERIES_MAX {
            return Err(QueryError::Limit(format!(
                "the query keeps more than {} series apart; aggregate them with sum by (..) or \
                 narrow the selector",
                limits::QUERY_SERIES_MAX
            )));
        }
        self.memory.take(bytes_of(labels) as i64)
    }
}

/// What a label set takes in memory, allocations included.
pub fn bytes_of(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len() + 96).sum::<usize>() + 128
}

pub fn too_many_samples() -> QueryError {
    QueryError::Limit(format!(
        "the query needs more than {} samples at once; aggregate with sum by (..), narrow the \
         time range or take a longer step",
        limits::QUERY_SAMPLES_MAX
    ))
}

#[derive(Debug)]
pub struct SeriesState {
    pub key: SeriesKey,
    pub labels: Labels,
    pub data: Data,
}

#[derive(Debug)]
pub enum Data {
    Cells(Cells),
    Samples(Samples),
    Buckets(Buckets),
}

impl Data {
    pub fn new(method: Method) -> Data {
        match method {
            Method::Fold(_) | Method::Rate => Data::Cells(Cells::default()),
            Method::CounterRate => Data::Samples(Samples::default()),
            Method::Quantile(_) => Data::Buckets(Buckets::default()),
        }
    }

    /// Adds a sample; gives by how many slots the series grew.
    #[inline]
    pub fn add(&mut self, fold: Fold, cell: u32, ns: i64, value: f64) -> isize {
        match self {
            Data::Cells(cells) => return cells.add(fold, cell, ns, value),
            Data::Samples(samples) => samples.add(ns, value),
            Data::Buckets(buckets) => buckets.add(cell, value),
        }
        1
    }

    /// Puts to this what was seen after it.
    fn append(&mut self, fold: Fold, other: Data) -> isize {
        match (self, other) {
            (Data::Cells(cells), Data::Cells(other)) => {
                let gone = other.slots() as isize;
                let parts = other.into_parts(fold);
                parts.map(|(at, part)| cells.add_part(fold, at, part)).sum::<isize>() - gone
            }
            (Data::Samples(samples), Data::Samples(other)) => {
                samples.append(other);
                0
            }
            (Data::Buckets(buckets), Data::Buckets(mut other)) => {
                buckets.append(&mut other);
                0
            }
            // All series of a query are of one kind.
            _ => 0,
        }
    }
}

/// Series, each once.
#[derive(Debug, Default)]
pub struct SeriesSet {
    pub list: Vec<SeriesState>,
    by_key: HashTable<u32>,
    /// The series of the sample before: those of a stream often go to one.
    last: Option<(SeriesKey, usize)>,
}

impl SeriesSet {
    /// The place of a series in the list.
    #[inline]
    pub fn at(
        &mut self,
        key: SeriesKey,
        method: Method,
        shared: &Shared,
        labels: impl FnOnce() -> Labels,
    ) -> Result<usize, QueryError> {
        if let Some((last, at)) = self.last
            && last == key
        {
            return Ok(at);
        }
        let list = &self.list;
        let is_known = |at: &u32| list.get(*at as usize).is_some_and(|series| series.key == key);
        let at = match self.by_key.find(key.0 as u64, is_known) {
            Some(&at) => at as usize,
            None => {
                let labels = labels();
                shared.add_series(&labels)?;
                self.insert(SeriesState { key, labels, data: Data::new(method) })
            }
        };
        self.last = Some((key, at));
        Ok(at)
    }

    fn insert(&mut self, series: SeriesState) -> usize {
        let at = self.list.len();
        let hash = series.key.0 as u64;
        self.list.push(series);
        let list = &self.list;
        self.by_key.insert_unique(hash, at as u32, |&at| {
            list.get(at as usize).map_or(0, |series| series.key.0 as u64)
        });
        at
    }

    /// Takes in series that were seen after these.
    pub fn append(&mut self, other: SeriesSet, method: Method, shared: &Shared) -> isize {
        let fold = method.fold();
        let mut grown = 0;
        self.last = None;
        for series in other.list {
            let list = &self.list;
            let is_known =
                |at: &u32| list.get(*at as usize).is_some_and(|known| known.key == series.key);
            match self.by_key.find(series.key.0 as u64, is_known).copied() {
                Some(at) => {
                    shared.series.fetch_sub(1, Ordering::Relaxed);
                    let _ = shared.memory.take(-(bytes_of(&series.labels) as i64));
                    if let Some(known) = self.list.get_mut(at as usize) {
                        grown += known.data.append(fold, series.data);
                    }
                }
                None => {
                    self.insert(series);
                }
            }
        }
        grown
    }
}
