//! From the stages of a query to something that runs.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::model::{Labels, Timestamp};
use crate::query::syntax::ast::{self, StageKind};

use super::errors::StageError;
use super::format::{self, LabelFormat, LineFormat};
use super::json::JsonParser;
use super::json_path::JsonFields;
use super::label_filter::LabelFilter;
use super::line_filter::LineFilter;
use super::logfmt::{EmptyValues, Faults, LogfmtFields, LogfmtParser};
use super::names::{NameId, Wanted};
use super::parser::{Guards, Step};
use super::pattern::PatternParser;
use super::regexp::RegexpParser;
use super::row::{Row, State};
use super::select::{Drop, Keep};
use super::unpack::Unpack;
use super::{decolorize, row};

/// Names that stages refer to by number; every worker numbers them alike.
#[derive(Debug, Default)]
pub(in crate::query) struct Pinned {
    names: Vec<String>,
    ids: HashMap<String, NameId>,
}

impl Pinned {
    pub(in crate::query) fn id(&mut self, name: &str) -> NameId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.names.len() as NameId;
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }
}

#[derive(Debug)]
enum Stage {
    LineFilter(LineFilter),
    Json(JsonParser),
    JsonFields(JsonFields),
    Logfmt(LogfmtParser),
    LogfmtFields(LogfmtFields),
    Regexp(RegexpParser),
    Pattern(PatternParser),
    Unpack(Unpack),
    Decolorize,
    LabelFilter(LabelFilter),
    LineFormat(LineFormat),
    LabelFormat(LabelFormat),
    Drop(Drop),
    Keep(Keep),
}

/// Compiled stages. Cheap to clone; give each thread a worker of its own.
#[derive(Debug, Clone)]
pub struct Pipeline {
    program: Arc<Program>,
}

#[derive(Debug)]
struct Program {
    /// Line filters that see the line as it was stored: they run before anything else is done.
    first: Vec<LineFilter>,
    stages: Vec<Stage>,
    wanted: Wanted,
    pinned: Vec<String>,
}

impl Pipeline {
    /// For log queries: all labels are wanted.
    pub fn compile(stages: &[ast::Stage]) -> Result<Self, StageError> {
        Pipeline::build(stages, Wanted::All, Pinned::default())
    }

    pub(in crate::query) fn build(
        syntax: &[ast::Stage],
        wanted: Wanted,
        pinned: Pinned,
    ) -> Result<Self, StageError> {
        let mut pinned = pinned;
        let mut first = Vec::new();
        let mut stages = Vec::new();
        for at in order(syntax) {
            let Some(source) = syntax.get(at) else { continue };
            let stage = Stage::compile(&source.kind, &mut pinned).map_err(|fault| StageError {
                stage: at,
                message: format!("stage '{source}' : {fault}"),
            })?;
            match stage {
                Stage::LineFilter(filter) if stages.is_empty() => first.push(filter),
                stage => stages.push(stage),
            }
        }
        set_guards(&mut stages);
        // When no label is needed, lines stay packed, for filters behind `unpack` too.
        if wanted == Wanted::Nothing {
            stages.retain(|stage| !matches!(stage, Stage::Unpack(_)));
        }
        Ok(Pipeline { program: Arc::new(Program { first, stages, wanted, pinned: pinned.names }) })
    }

    /// Whether there is no stage at all.
    pub fn is_empty(&self) -> bool {
        self.program.first.is_empty() && self.program.stages.is_empty()
    }

    /// Whether no stage needs the text of the line.
    pub(in crate::query) fn reads_no_line(&self) -> bool {
        let nothing = self.program.wanted == Wanted::Nothing;
        self.program.first.is_empty()
            && self.program.stages.iter().all(|stage| match stage {
                Stage::LabelFilter(_) | Stage::Drop(_) | Stage::Keep(_) => true,
                Stage::Json(_)
                | Stage::JsonFields(_)
                | Stage::Logfmt(_)
                | Stage::LogfmtFields(_)
                | Stage::Regexp(_)
                | Stage::Pattern(_) => nothing,
                Stage::LineFilter(_)
                | Stage::Unpack(_)
                | Stage::Decolorize
                | Stage::LineFormat(_)
                | Stage::LabelFormat(_) => false,
            })
    }

    pub fn worker(&self) -> Worker {
        Worker {
            state: State::new(&self.program.pinned, &self.program.wanted),
            program: Arc::clone(&self.program),
        }
    }
}

/// Runs lines through a pipeline, one after the other, with buffers of its own.
#[derive(Debug)]
pub struct Worker {
    state: State,
    program: Arc<Program>,
}

impl Worker {
    /// Lines that follow belong to this stream.
    pub fn set_stream(&mut self, stream: &Labels) {
        self.state.set_stream(stream);
    }

    /// The line with its labels after all stages, or `None` when a filter dropped it.
    pub fn run<'a, N: AsRef<str>, V: AsRef<str>>(
        &'a mut self,
        ts: Timestamp,
        line: &'a str,
        metadata: impl IntoIterator<Item = (N, V)>,
    ) -> Option<Row<'a>> {
        if !self.program.first.iter().all(|filter| filter.keeps(line)) {
            return None;
        }
        let mut row = Row::begin(&mut self.state, ts, line);
        for (name, value) in metadata {
            row.add_metadata(name.as_ref(), value.as_ref());
        }
        for stage in &self.program.stages {
            if stage.run(&mut row, &self.program.wanted) == Step::Drop {
                return None;
            }
        }
        Some(row)
    }
}

impl Stage {
    fn compile(syntax: &StageKind, pinned: &mut Pinned) -> Result<Stage, String> {
        let faults = |strict: bool| if strict { Faults::Stop } else { Faults::Skip };
        Ok(match syntax {
            StageKind::LineFilter(filter) => Stage::LineFilter(LineFilter::compile(filter)?),
            StageKind::Json { fields } if fields.is_empty() => Stage::Json(JsonParser::default()),
            StageKind::Json { fields } => Stage::JsonFields(JsonFields::compile(fields, pinned)?),
            StageKind::Logfmt { strict, keep_empty, fields } if fields.is_empty() => {
                let empty = if *keep_empty { EmptyValues::Keep } else { EmptyValues::Skip };
                let guards = Guards::default();
                Stage::Logfmt(LogfmtParser { faults: faults(*strict), empty, guards })
            }
            StageKind::Logfmt { strict, fields, .. } => {
                Stage::LogfmtFields(LogfmtFields::compile(fields, faults(*strict), pinned)?)
            }
            StageKind::Regexp { pattern } => Stage::Regexp(RegexpParser::compile(pattern, pinned)?),
            StageKind::Pattern { pattern } => {
                Stage::Pattern(PatternParser::compile(pattern, pinned)?)
            }
            StageKind::Unpack => Stage::Unpack(Unpack::default()),
            StageKind::Decolorize => Stage::Decolorize,
            StageKind::LabelFilter(filter) => {
                Stage::LabelFilter(LabelFilter::compile(filter, pinned)?)
            }
            StageKind::LineFormat { template } => {
                Stage::LineFormat(LineFormat::compile(template, pinned)?)
            }
            StageKind::LabelFormat { assignments } => {
                Stage::LabelFormat(LabelFormat::compile(assignments, pinned)?)
            }
            StageKind::Drop { targets } => Stage::Drop(Drop::compile(targets, pinned)),
            StageKind::Keep { targets } => Stage::Keep(Keep::compile(targets, pinned)),
        })
    }

    fn run(&self, row: &mut Row<'_>, wanted: &Wanted) -> Step {
        let nothing_left = || *wanted == Wanted::Nothing || row.has_all_wanted();
        match self {
            Stage::LineFilter(filter) => return Step::keep_if(filter.keeps(row.line())),
            Stage::LabelFilter(filter) => return Step::keep_if(filter.keeps(row)),
            Stage::Unpack(_)
            | Stage::Json(_)
            | Stage::JsonFields(_)
            | Stage::Logfmt(_)
            | Stage::LogfmtFields(_)
            | Stage::Regexp(_)
            | Stage::Pattern(_)
                if nothing_left() => {}
            Stage::Unpack(unpack) => return unpack.run(row),
            Stage::Json(parser) => return parser.run(row),
            Stage::JsonFields(parser) => return parser.run(row),
            Stage::Logfmt(parser) => return parser.run(row),
            Stage::LogfmtFields(parser) => return parser.run(row),
            Stage::Regexp(parser) => return parser.run(row),
            Stage::Pattern(parser) => return parser.run(row),
            Stage::Decolorize => decolorize::run(row),
            Stage::LineFormat(format) => format.run(row),
            Stage::LabelFormat(format) => format.run(row),
            Stage::Drop(drop) => drop.run(row),
            Stage::Keep(keep) => keep.run(row),
        }
        Step::Keep
    }

    /// Whether a label that is set before this stage may have another value behind it.
    fn may_change(&self, name: NameId) -> bool {
        match self {
            Stage::LabelFormat(format) => format.touches(name),
            Stage::JsonFields(fields) => fields.sets(name),
            Stage::LogfmtFields(fields) => fields.sets(name),
            Stage::Drop(_) | Stage::Keep(_) => true,
            // Other parsers leave a label alone that is there already.
            Stage::LineFilter(_)
            | Stage::Json(_)
            | Stage::Logfmt(_)
            | Stage::Regexp(_)
            | Stage::Pattern(_)
            | Stage::Unpack(_)
            | Stage::Decolorize
            | Stage::LabelFilter(_)
            | Stage::LineFormat(_) => false,
        }
    }

    fn guards(&mut self) -> Option<&mut Guards> {
        match self {
            Stage::Json(parser) => Some(&mut parser.guards),
            Stage::Logfmt(parser) => Some(&mut parser.guards),
            Stage::Regexp(parser) => Some(&mut parser.guards),
            Stage::Pattern(parser) => Some(&mut parser.guards),
            Stage::Unpack(parser) => Some(&mut parser.guards),
            Stage::JsonFields(_)
            | Stage::LogfmtFields(_)
            | Stage::LineFilter(_)
            | Stage::Decolorize
            | Stage::LabelFilter(_)
            | Stage::LineFormat(_)
            | Stage::LabelFormat(_)
            | Stage::Drop(_)
            | Stage::Keep(_) => None,
        }
    }
}

/// The order in which stages run: line filters move ahead of stages that leave the line alone,
/// up to the next label filter.
fn order(stages: &[ast::Stage]) -> Vec<usize> {
    let mut ordered = Vec::new();
    let mut others = Vec::new();
    for (at, stage) in stages.iter().enumerate() {
        match &stage.kind {
            StageKind::LineFilter(_) => ordered.push(at),
            StageKind::LabelFilter(_)
            | StageKind::LineFormat { .. }
            | StageKind::Unpack
            | StageKind::Decolorize => {
                ordered.append(&mut others);
                ordered.push(at);
            }
            _ => others.push(at),
        }
    }
    ordered.append(&mut others);
    ordered
}

/// Gives each parser the filters that can end its work early.
fn set_guards(stages: &mut [Stage]) {
    for at in 0..stages.len() {
        let Some((stage, behind)) = stages.get_mut(at..).and_then(<[Stage]>::split_first_mut)
        else {
            continue;
        };
        let Some(guards) = stage.guards() else { continue };
        for (distance, later) in behind.iter().enumerate() {
            let Stage::LabelFilter(filter) = later else { continue };
            for conjunct in filter.conjuncts() {
                let Some(name) = conjunct.only_name() else { continue };
                let between = behind.get(..distance).unwrap_or_default();
                if !between.iter().any(|stage| stage.may_change(name)) {
                    guards.0.push((name, conjunct.clone()));
                }
            }
        }
    }
}

/// The labels that stages read, as far as they can be told; `None` when that cannot be told.
pub(in crate::query) fn labels_read(stages: &[ast::Stage]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for stage in stages {
        match &stage.kind {
            StageKind::LabelFilter(filter) => {
                names.extend(filter.label_names().into_iter().map(str::to_owned));
            }
            StageKind::LineFormat { template } => names.extend(format::fields_of(template)?),
            StageKind::LabelFormat { assignments } => {
                for assignment in assignments {
                    match &assignment.value {
                        ast::AssignedValue::Rename(from) => names.push(from.clone()),
                        ast::AssignedValue::Template(template) => {
                            names.extend(format::fields_of(template)?);
                        }
                    }
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty() && name != row::ERROR_DETAILS);
    Some(names)
}
