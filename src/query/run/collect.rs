//! Takes the rows of a scan and adds them to series: by columns where lines are kept so, by
//! counting times where nobody looks at lines, else line by line.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use crate::query::columnar::{
    self, Groups, Identified, LineMasks, MAYBE, Mask, NO, Program, Programs, Run, ShapeRows, YES,
};
use crate::query::error::QueryError;
use crate::store::read::{Flow, ForkedSink, PartKey, ReadError, RowSink, Rows, Shaped, StreamMeta};

use super::cache::{Key, Partial, PartialSeries, ResultCache};
use super::context::{Context, ROWS_PER_LOOK};
use super::extract::{Extractor, Metadata, Miss};
use super::grid::{Cuts, Segment};
use super::series::{Data, Method, SeriesSet, Shared};

/// How results of parts are kept.
#[derive(Debug, Clone)]
pub struct CacheUse {
    pub cache: Arc<ResultCache>,
    pub query: u128,
    /// There is one window, and every row lies in it.
    pub whole: bool,
}

/// The cell of a single window.
const WHOLE_CELL: u32 = 1;

/// The sink of a range aggregation.
pub struct Collector {
    pub extractor: Extractor,
    method: Method,
    cuts: Arc<Cuts>,
    shared: Arc<Shared>,
    deadline: Option<Instant>,
    timeout_ms: u64,
    /// Metadata that makes a difference to columns.
    watched: Metadata,
    /// Names that every stream must have as label, as metadata is not read.
    pub settled: Option<Arc<[String]>>,
    pub cache: Option<CacheUse>,

    pub set: SeriesSet,
    pub matched: u64,
    /// Slots that were not told to `shared` yet.
    grown: isize,
    /// A part of which the result will be kept: what was found before it stands here.
    recording: Option<(PartKey, SeriesSet, u64)>,
    /// Samples of a run whose order makes a difference: row, series, cell, value.
    unordered: Vec<(u32, u32, u32, f64)>,

    programs: Programs,
    lines: LineMasks,
    segments: Vec<Segment>,
    line: String,
    lines_read: usize,
}

enum Fault {
    Query(QueryError),
    Read(ReadError),
}

impl From<QueryError> for Fault {
    fn from(error: QueryError) -> Self {
        Fault::Query(error)
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        Fault::Read(error)
    }
}

/// The rows at hand.
#[derive(Clone, Copy)]
struct Input<'a> {
    rows: &'a dyn Rows,
    shaped: Option<&'a dyn Shaped>,
}

impl Collector {
    pub fn new(
        extractor: Extractor,
        method: Method,
        cuts: &Arc<Cuts>,
        shared: &Arc<Shared>,
        context: &Context<'_>,
    ) -> Self {
        let (deadline, timeout_ms) = (context.deadline, context.timeout_ms);
        Self::empty(extractor, method, cuts, shared, (deadline, timeout_ms))
    }

    fn empty(
        extractor: Extractor,
        method: Method,
        cuts: &Arc<Cuts>,
        shared: &Arc<Shared>,
        (deadline, timeout_ms): (Option<Instant>, u64),
    ) -> Self {
        Collector {
            lines: LineMasks::new(&extractor.plan),
            watched: extractor.plan.watched(),
            extractor,
            method,
            cuts: Arc::clone(cuts),
            shared: Arc::clone(shared),
            deadline,
            timeout_ms,
            settled: None,
            cache: None,
            set: SeriesSet::default(),
            matched: 0,
            grown: 0,
            recording: None,
            unordered: Vec::new(),
            programs: Programs::default(),
            segments: Vec::new(),
            line: String::new(),
            lines_read: 0,
        }
    }

    pub fn has_missed_metadata(&self) -> bool {
        self.settled.is_some() && self.shared.is_stopped()
    }

    /// Puts what was found in a part that did not come to its end to the rest.
    pub fn end_recording(&mut self) {
        let Some((_, before, _)) = self.recording.take() else { return };
        let found = std::mem::replace(&mut self.set, before);
        self.grown += self.set.append(found, self.method, &self.shared);
    }

    fn check_time(&self) -> Result<(), QueryError> {
        if self.deadline.is_some_and(|at| Instant::now() > at) {
            return Err(QueryError::Timeout { limit_ms: self.timeout_ms });
        }
        Ok(())
    }

    fn run(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<(), Fault> {
        self.check_time()?;
        let labels = &stream.labels;
        if let Some(settled) = &self.settled
            && !settled.iter().all(|name| labels.get(name).is_some())
        {
            self.shared.stop();
            return Ok(());
        }
        let mut segments = std::mem::take(&mut self.segments);
        match rows.times() {
            Some(times) => {
                let time = |row: usize| times.get(row).copied().unwrap_or(i64::MAX);
                self.cuts.segments(rows.len(), time, &mut segments);
            }
            None => self.cuts.segments(rows.len(), |row| rows.ts(row).0, &mut segments),
        }
        let done = if segments.is_empty() { Ok(()) } else { self.cut(stream, rows, &segments) };
        self.segments = segments;
        done?;
        self.add_unordered(rows);
        self.shared.hold(std::mem::take(&mut self.grown))?;
        Ok(())
    }

    fn cut(
        &mut self,
        stream: &StreamMeta,
        rows: &dyn Rows,
        segments: &[Segment],
    ) -> Result<(), Fault> {
        let labels = &stream.labels;
        self.extractor.set_stream(labels);
        self.programs.set_stream(labels);
        let metadata = match &self.settled {
            Some(_) => columnar::Metadata::default(),
            None => columnar::Metadata::read(rows, labels, &self.watched),
        };
        let shaped = rows.shaped().filter(|_| self.extractor.need_lines);
        let input = Input { rows, shaped };
        let parts = match shaped {
            Some(shaped) => columnar::split(rows.len(), shaped),
            None if self.extractor.need_lines => {
                let all = ShapeRows::without_lines(rows.len());
                return self.read_lines(input, &all, &Mask::All(MAYBE), segments);
            }
            None => vec![ShapeRows::without_lines(rows.len())],
        };
        for part in &parts {
            let run = Run { stream: labels, metadata: &metadata, rows: part };
            self.shape_rows(input, &run, segments)?;
        }
        Ok(())
    }

    fn shape_rows(
        &mut self,
        input: Input<'_>,
        run: &Run<'_, '_>,
        segments: &[Segment],
    ) -> Result<(), Fault> {
        let plan = self.extractor.plan.clone();
        let is_whole_line = input.shaped.is_some() && run.rows.shape.is_none();
        if is_whole_line {
            return self.read_lines(input, run.rows, &Mask::All(MAYBE), segments);
        }
        let lines = match input.shaped {
            Some(_) => self.lines.mask(&plan, run.rows)?,
            None => Mask::All(YES),
        };
        if lines.is_no() {
            return Ok(());
        }
        for (program, mask) in columnar::judge(&plan, &mut self.programs, run, &lines)? {
            match program {
                Some(program) if plan.is_whole() && !program.unwraps_outside_line() => {
                    self.columns(input, run, &program, mask, &lines, segments)?;
                }
                _ => self.read_lines(input, run.rows, &mask, segments)?,
            }
        }
        Ok(())
    }

    /// Reads the lines that the mask lets through.
    fn read_lines(
        &mut self,
        input: Input<'_>,
        part: &ShapeRows<'_>,
        mask: &Mask,
        segments: &[Segment],
    ) -> Result<(), Fault> {
        let mut at = 0;
        for segment in segments {
            while at < part.len() && part.row(at) < segment.start {
                at += 1;
            }
            while at < part.len() && part.row(at) < segment.end {
                if mask.at(at) != NO {
                    self.read_line(input, part.row(at), segment.cell)?;
                }
                at += 1;
            }
        }
        Ok(())
    }

    fn read_line(&mut self, input: Input<'_>, row: usize, cell: u32) -> Result<(), Fault> {
        self.lines_read += 1;
        if self.lines_read.is_multiple_of(ROWS_PER_LOOK) {
            self.check_time()?;
        }
        let Input { rows, shaped } = input;
        let line = match shaped {
            Some(shaped) => {
                self.line.clear();
                shaped.line_into(row, &mut self.line)?;
                self.line.as_str()
            }
            None if self.extractor.need_lines => rows.line(row),
            None => "",
        };
        let bytes = if self.extractor.need_line_bytes { rows.line_bytes(row) } else { 0 };
        let entries = if self.settled.is_some() { 0 } else { rows.metadata_len(row) };
        let metadata = (0..entries).map(|entry| rows.metadata(row, entry));
        let sample = match self.extractor.sample(rows.ts(row), line, bytes, metadata) {
            Ok(sample) => sample,
            Err(Miss::Dropped) => return Ok(()),
            Err(Miss::Failed(error)) => return Err(error.into()),
        };
        let value = sample.value;
        let series = self.set.at(sample.key, self.method, &self.shared, || sample.labels())?;
        self.add(series, row, cell, value);
        Ok(())
    }

    #[inline]
    fn add(&mut self, series: usize, row: usize, cell: u32, value: f64) {
        self.matched += 1;
        if self.method.is_ordered() {
            self.unordered.push((row as u32, series as u32, cell, value));
            return;
        }
        if let Some(series) = self.set.list.get_mut(series) {
            self.grown += series.data.add(self.method.fold(), cell, 0, value);
        }
    }

    /// Adds what was found shape by shape in the order of rows.
    fn add_unordered(&mut self, rows: &dyn Rows) {
        let mut samples = std::mem::take(&mut self.unordered);
        samples.sort_unstable_by_key(|(row, ..)| *row);
        for &(row, series, cell, value) in &samples {
            let ns = rows.ts(row as usize).0;
            if let Some(series) = self.set.list.get_mut(series as usize) {
                self.grown += series.data.add(self.method.fold(), cell, ns, value);
            }
        }
        samples.clear();
        self.unordered = samples;
    }

    /// Adds rows by their columns.
    fn columns(
        &mut self,
        input: Input<'_>,
        run: &Run<'_, '_>,
        program: &Program,
        mask: Mask,
        lines: &Mask,
        segments: &[Segment],
    ) -> Result<(), Fault> {
        let plan = self.extractor.plan.clone();
        let mut mask = mask;
        let mut numbers: Option<Vec<f64>> = None;
        if plan.unwraps() {
            match program.unwrapped_hole() {
                Some(hole) => {
                    let (found, verdicts) = plan.numbers(run, hole)?;
                    numbers = Some(found);
                    if !verdicts.is_empty() {
                        mask = mask.and(Mask::Rows(verdicts));
                    }
                }
                // Without the label there is no sample; lines with an error may have it yet.
                None => mask = mask.without_yes(),
            }
        }
        let mask = self.settle_lines(input, run.rows, mask, lines)?;
        if mask.is_no() {
            return Ok(());
        }
        let identified = Identified::new(run, program)?;
        let groups = identified.groups(run.rows.len(), &mask);
        let counts_bytes = plan.counts_bytes();
        let counts_rows = numbers.is_none() && !counts_bytes && !self.method.is_ordered();
        let part = run.rows;
        let mut series_of: Vec<u32> = match &groups {
            Groups::One => vec![u32::MAX],
            Groups::Codes { count, .. } => vec![u32::MAX; *count],
            Groups::Keys(_) => Vec::new(),
        };
        let mut from = 0;
        for segment in segments {
            while from < part.len() && part.row(from) < segment.start {
                from = if part.is_all() { segment.start } else { from + 1 };
            }
            let mut to = from;
            if part.is_all() {
                to = segment.end.max(from);
            } else {
                while to < part.len() && part.row(to) < segment.end {
                    to += 1;
                }
            }
            let range = from..to;
            from = to;
            if counts_rows && groups == Groups::One && mask == Mask::All(YES) && !range.is_empty() {
                let series = self.series(&mut series_of, 0, &identified, range.start)?;
                self.matched += range.len() as u64;
                let part = self.method.fold().ones(range.len());
                self.grown += self.add_part(series, segment.cell, part);
                continue;
            }
            for at in range {
                match mask.at(at) {
                    NO => continue,
                    YES => {}
                    _ => {
                        self.read_line(input, part.row(at), segment.cell)?;
                        continue;
                    }
                }
                let series = match &groups {
                    Groups::One => self.series(&mut series_of, 0, &identified, at)?,
                    Groups::Codes { codes, .. } => {
                        let code = codes.get(at).map_or(0, |code| *code as usize);
                        self.series(&mut series_of, code, &identified, at)?
                    }
                    Groups::Keys(keys) => {
                        let key = keys.get(at).copied().unwrap_or_default();
                        let labels = || identified.labels(at);
                        self.set.at(key, self.method, &self.shared, labels)?
                    }
                };
                let value = match &numbers {
                    Some(numbers) => numbers.get(at).copied().unwrap_or_default(),
                    None if counts_bytes => input.rows.line_bytes(part.row(at)) as f64,
                    None => 1.0,
                };
                self.add(series, part.row(at), segment.cell, value);
            }
        }
        Ok(())
    }

    /// The series of a group of rows, of which this is the first that was met.
    #[inline]
    fn series(
        &mut self,
        series_of: &mut [u32],
        code: usize,
        identified: &Identified<'_>,
        at: usize,
    ) -> Result<usize, QueryError> {
        if let Some(&known) = series_of.get(code)
            && known != u32::MAX
        {
            return Ok(known as usize);
        }
        let labels = || identified.labels(at);
        let series = self.set.at(identified.key(at), self.method, &self.shared, labels)?;
        if let Some(slot) = series_of.get_mut(code) {
            *slot = series as u32;
        }
        Ok(series)
    }

    fn add_part(&mut self, series: usize, cell: u32, part: super::accumulate::Part) -> isize {
        match self.set.list.get_mut(series).map(|series| &mut series.data) {
            Some(Data::Cells(cells)) => cells.add_part(self.method.fold(), cell, part),
            _ => 0,
        }
    }

    /// Builds the lines of rows that have passed all but filters on the line.
    fn settle_lines(
        &mut self,
        input: Input<'_>,
        part: &ShapeRows<'_>,
        mask: Mask,
        lines: &Mask,
    ) -> Result<Mask, Fault> {
        let Some(shaped) = input.shaped else { return Ok(mask) };
        if !lines.has_maybe() {
            return Ok(mask);
        }
        let plan = self.extractor.plan.clone();
        let mut settled = Vec::with_capacity(part.len());
        for at in 0..part.len() {
            let mut verdict = mask.at(at);
            if verdict == YES && lines.at(at) == MAYBE {
                self.lines_read += 1;
                if self.lines_read.is_multiple_of(ROWS_PER_LOOK) {
                    self.check_time()?;
                }
                self.line.clear();
                shaped.line_into(part.row(at), &mut self.line)?;
                verdict = if LineMasks::keeps(&plan, &self.line) { YES } else { NO };
            }
            settled.push(verdict);
        }
        Ok(Mask::Rows(settled))
    }

    /// Adds what is known of a part; `false` when it does not fit the cells of this query.
    fn add_partial(&mut self, partial: &Partial, whole: bool) -> Result<bool, QueryError> {
        let cell =
            |edge: i64| if whole { Some(WHOLE_CELL) } else { self.cuts.cell_with_edge(edge) };
        let fits = partial.series.iter().flat_map(|series| &series.cells);
        if !fits.clone().all(|(edge, _)| cell(*edge).is_some()) {
            return Ok(false);
        }
        let cuts = Arc::clone(&self.cuts);
        for found in &partial.series {
            let labels = || found.labels.clone();
            let series = self.set.at(found.key, self.method, &self.shared, labels)?;
            for &(edge, part) in &found.cells {
                let cell = if whole { Some(WHOLE_CELL) } else { cuts.cell_with_edge(edge) };
                if let Some(cell) = cell {
                    self.grown += self.add_part(series, cell, part);
                }
            }
        }
        self.matched += partial.matched;
        self.shared.hold(std::mem::take(&mut self.grown))?;
        Ok(true)
    }

    fn partial_of(&self, set: &SeriesSet, matched: u64, whole: bool) -> Option<Partial> {
        let mut partial = Partial { series: Vec::with_capacity(set.list.len()), matched };
        for series in &set.list {
            let Data::Cells(cells) = &series.data else { return None };
            let mut kept = Vec::new();
            for (cell, part) in cells.clone().into_parts(self.method.fold()) {
                let edge = if whole { 0 } else { self.cuts.edge(cell)? };
                kept.push((edge, part));
            }
            let labels = series.labels.clone();
            partial.series.push(PartialSeries { key: series.key, labels, cells: kept });
        }
        Some(partial)
    }
}

impl RowSink for Collector {
    fn rows(&mut self, stream: &StreamMeta, rows: &dyn Rows) -> Result<Flow, ReadError> {
        if self.shared.is_stopped() {
            return Ok(Flow::Stop);
        }
        match self.run(stream, rows) {
            Ok(()) if self.shared.is_stopped() => Ok(Flow::Stop),
            Ok(()) => Ok(Flow::Continue),
            Err(Fault::Query(error)) => {
                self.shared.fail(error);
                Ok(Flow::Stop)
            }
            Err(Fault::Read(error)) => Err(error),
        }
    }

    fn fork(&self) -> Option<Box<dyn ForkedSink>> {
        if self.method.is_ordered() {
            return None;
        }
        let time = (self.deadline, self.timeout_ms);
        let fork = Self::empty(self.extractor.fork(), self.method, &self.cuts, &self.shared, time);
        Some(Box::new(Collector {
            settled: self.settled.clone(),
            cache: self.cache.clone(),
            ..fork
        }))
    }

    fn join(&mut self, fork: Box<dyn ForkedSink>) -> Result<(), ReadError> {
        let Ok(mut fork) = fork.into_any().downcast::<Collector>() else {
            return Err(ReadError::Sink("a foreign share of a scan was handed over".to_owned()));
        };
        fork.end_recording();
        self.matched += fork.matched;
        let grown = self.set.append(fork.set, self.method, &self.shared);
        if let Err(error) = self.shared.hold(grown) {
            self.shared.fail(error);
        }
        Ok(())
    }

    fn begin_part(&mut self, part: PartKey) -> bool {
        let Some(cache) = self.cache.clone() else { return true };
        // The part before may have been left in the middle.
        self.end_recording();
        if let Some(partial) = cache.cache.get(&Key { query: cache.query, part }) {
            match self.add_partial(&partial, cache.whole) {
                Ok(true) => return false,
                Ok(false) => return true,
                Err(error) => {
                    self.shared.fail(error);
                    return false;
                }
            }
        }
        self.recording = Some((part, std::mem::take(&mut self.set), self.matched));
        true
    }

    fn end_part(&mut self, part: PartKey) {
        let Some((recorded, before, matched)) = self.recording.take() else { return };
        let found = std::mem::replace(&mut self.set, before);
        if let Some(cache) = &self.cache
            && recorded == part
            && !self.shared.is_stopped()
            && let Some(partial) = self.partial_of(&found, self.matched - matched, cache.whole)
        {
            cache.cache.put(Key { query: cache.query, part }, partial);
        }
        let grown = self.set.append(found, self.method, &self.shared);
        if let Err(error) = self.shared.hold(grown) {
            self.shared.fail(error);
        }
    }
}

impl ForkedSink for Collector {
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
