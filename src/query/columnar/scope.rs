//! Which value each label has for rows of one stream, one kind of metadata and one shape: worked
//! out once, by going through the stages with names instead of values.

use std::sync::Arc;

use hashbrown::HashMap;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::model::Labels;
use crate::query::stage::{NO_NAME, NameId, Names, ROOT, Wanted};
use crate::store::read::{Format, Hole, HoleKind, Shape};

use super::plan::{Identity, Leaf, Measure, Stages, Step, Tree};
use super::rows::Metadata;

const EXTRACTED: &str = "_extracted";

/// Deeper objects are an error to the parser.
const DEPTH_MAX: usize = 64;

/// Programs kept before the table starts anew: blocks with ever new shapes must not fill the
/// memory.
const PROGRAMS_MAX: usize = 4096;

/// Where the value of a label comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The stream's label at this place.
    Stream(usize),
    /// A metadata column.
    Metadata(usize),
    Hole(usize),
    /// Set, but to nothing.
    Empty,
}

/// What the stages come to.
#[derive(Debug, Default)]
pub struct Program {
    pub(super) filters: Vec<Tree<(Option<Source>, usize)>>,
    /// The labels of the series, with the seeds of their names.
    pub identity: Vec<(String, u64, Source)>,
    /// The label that becomes the value.
    pub value: Option<Source>,
    /// Holes that are looked at.
    pub holes: Vec<usize>,
    /// Logfmt keys without a value are no labels.
    pub empty_is_absent: bool,
}

impl Program {
    /// The hole whose value becomes the sample's.
    pub fn unwrapped_hole(&self) -> Option<usize> {
        match self.value {
            Some(Source::Hole(hole)) => Some(hole),
            _ => None,
        }
    }

    /// Whether the value of samples is not in the line.
    pub fn unwraps_outside_line(&self) -> bool {
        matches!(self.value, Some(Source::Stream(_) | Source::Metadata(_)))
    }
}

/// Programs by what they depend on.
#[derive(Debug)]
pub struct Programs {
    known: HashMap<u128, Known>,
    names: Names,
    stream: u64,
}

#[derive(Debug)]
struct Known {
    shape: Option<Shape>,
    /// `None` when lines must be read.
    program: Option<Arc<Program>>,
}

impl Default for Programs {
    fn default() -> Self {
        Programs { known: HashMap::new(), names: Names::new(&[], Wanted::All), stream: 0 }
    }
}

/// A fingerprint of a shape.
pub(super) fn fingerprint(shape: &Shape) -> u128 {
    let mut hash = Xxh3::new();
    let mut text = |text: &str| {
        hash.update(&(text.len() as u32).to_le_bytes());
        hash.update(text.as_bytes());
    };
    text(match shape.format {
        Format::Json => "j",
        Format::Logfmt => "l",
        Format::Text => "t",
    });
    shape.pieces.iter().for_each(|piece| text(piece));
    for hole in &shape.holes {
        text(match hole.kind {
            HoleKind::String => "s",
            HoleKind::Number => "n",
            HoleKind::Bool => "b",
            HoleKind::Array => "a",
            HoleKind::Bare => "r",
            HoleKind::Quoted => "q",
            HoleKind::Token => "t",
        });
        hole.path.iter().for_each(|key| text(key));
    }
    hash.digest128()
}

impl Programs {
    /// Rows that follow are of this stream.
    pub fn set_stream(&mut self, labels: &Labels) {
        let mut hash = Xxh3::new();
        for (name, _) in labels.iter() {
            hash.update(name.as_bytes());
            hash.update(&[0xff]);
        }
        self.stream = hash.digest();
    }

    /// The program for rows with the metadata columns of `kind`; `None` when their lines must be
    /// read.
    pub(super) fn get(
        &mut self,
        stages: &Stages,
        stream: &Labels,
        metadata: &Metadata<'_>,
        kind: u64,
        shape: Option<(&Shape, u128)>,
    ) -> Option<Arc<Program>> {
        let mut hash = Xxh3::new();
        hash.update(&self.stream.to_le_bytes());
        for (at, column) in metadata.columns.iter().enumerate() {
            if kind & (1 << at) != 0 {
                hash.update(&(at as u32).to_le_bytes());
                hash.update(column.name.as_bytes());
                hash.update(&[0xff]);
            }
        }
        hash.update(&shape.map_or(0, |(_, fingerprint)| fingerprint).to_le_bytes());
        let key = hash.digest128();
        if let Some(known) = self.known.get(&key)
            && known.shape.as_ref() == shape.map(|(shape, _)| shape)
        {
            return known.program.clone();
        }
        let names = &mut self.names;
        names.shrink();
        let program = compile(stages, stream, metadata, kind, shape.map(|(shape, _)| shape), names);
        let program = program.map(Arc::new);
        if self.known.len() >= PROGRAMS_MAX {
            self.known.clear();
        }
        let shape = shape.map(|(shape, _)| shape.clone());
        self.known.insert(key, Known { shape, program: program.clone() });
        program
    }
}

/// The labels of a row on its way through the stages.
struct Scope {
    visible: Vec<(String, Source)>,
    /// Names that the entry came with: parsed labels of these names get a suffix.
    originals: Vec<String>,
}

impl Scope {
    fn get(&self, name: &str) -> Option<Source> {
        self.visible.iter().find(|(known, _)| known == name).map(|(_, source)| *source)
    }

    fn is_original(&self, name: &str) -> bool {
        self.originals.iter().any(|original| original == name)
    }

    fn parsed_name(&self, name: &str) -> String {
        if self.is_original(name) { format!("{name}{EXTRACTED}") } else { name.to_owned() }
    }

    fn set(&mut self, name: &str, source: Source) {
        match self.visible.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => {
                if matches!(known, Source::Metadata(_)) {
                    // Covered for good: from here on it is a parsed label.
                    self.originals.retain(|original| original != name);
                }
                *known = source;
            }
            None => self.visible.push((name.to_owned(), source)),
        }
    }

    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let originals = &mut self.originals;
        self.visible.retain(|(name, source)| {
            let kept = keep(name);
            // Labels of the stream leave their name behind.
            if !kept && matches!(source, Source::Metadata(_)) {
                originals.retain(|original| original != name);
            }
            kept
        });
    }
}

fn compile(
    stages: &Stages,
    stream: &Labels,
    metadata: &Metadata<'_>,
    kind: u64,
    shape: Option<&Shape>,
    names: &mut Names,
) -> Option<Program> {
    let mut scope = Scope { visible: Vec::new(), originals: Vec::new() };
    for (at, (name, _)) in stream.iter().enumerate() {
        scope.visible.push((name.to_owned(), Source::Stream(at)));
        scope.originals.push(name.to_owned());
    }
    for (at, column) in metadata.columns.iter().enumerate() {
        if kind & (1 << at) != 0 {
            if scope.get(&column.name).is_some() {
                return None;
            }
            scope.visible.push((column.name.clone(), Source::Metadata(at)));
            scope.originals.push(column.name.clone());
        }
    }
    let mut program = Program::default();
    for step in &stages.steps {
        match step {
            Step::Filter(tree) => {
                let resolve = |leaf: &Leaf| (scope.get(&leaf.name), leaf.test);
                program.filters.push(tree.map(&resolve));
            }
            Step::Drop(names) => scope.retain(|name| !names.iter().any(|dropped| dropped == name)),
            Step::Keep(names) => scope.retain(|name| names.iter().any(|kept| kept == name)),
            Step::Json => json(shape?, &mut scope, names)?,
            Step::JsonFields(fields) => json_fields(shape?, fields, &mut scope)?,
            Step::Logfmt { keep_empty } => {
                program.empty_is_absent = !keep_empty;
                logfmt(shape?, *keep_empty, &mut scope, names)?;
            }
            Step::LogfmtFields(fields) => logfmt_fields(shape?, fields, &mut scope, names)?,
        }
    }
    let identity: Vec<(String, Source)> = match &stages.identity {
        Identity::Nothing => Vec::new(),
        Identity::By(by) => {
            let mut by: Vec<&String> = by.iter().collect();
            by.sort();
            by.dedup();
            by.into_iter().filter_map(|name| Some((name.clone(), scope.get(name)?))).collect()
        }
        Identity::Without(without) => {
            let mut visible = scope.visible.clone();
            visible.retain(|(name, _)| !without.contains(name));
            visible
        }
    };
    program.identity = identity
        .into_iter()
        .map(|(name, source)| {
            let seed = xxh3_64(name.as_bytes());
            (name, seed, source)
        })
        .collect();
    if let Measure::Unwrap { label, .. } = &stages.measure {
        program.value = scope.get(label);
    }
    let mut holes = Vec::new();
    for tree in &program.filters {
        tree.each(&mut |(source, _)| holes.extend(*source));
    }
    holes.extend(program.identity.iter().map(|(_, _, source)| *source));
    holes.extend(program.value);
    program.holes = holes
        .into_iter()
        .filter_map(|source| if let Source::Hole(hole) = source { Some(hole) } else { None })
        .collect();
    program.holes.sort_unstable();
    program.holes.dedup();
    Some(program)
}

impl<L> Tree<L> {
    fn map<M>(&self, change: &impl Fn(&L) -> M) -> Tree<M> {
        match self {
            Tree::Leaf(leaf) => Tree::Leaf(change(leaf)),
            Tree::And(left, right) => {
                Tree::And(Box::new(left.map(change)), Box::new(right.map(change)))
            }
            Tree::Or(left, right) => {
                Tree::Or(Box::new(left.map(change)), Box::new(right.map(change)))
            }
        }
    }
}

/// The label that a key path makes; `None` when it makes none.
fn label_of(path: &[String], names: &mut Names) -> Option<NameId> {
    let (last, objects) = path.split_last()?;
    let mut prefix = ROOT;
    for key in objects {
        let name = names.of_key(prefix, key);
        prefix = if name == NO_NAME { ROOT } else { name };
    }
    Some(names.of_key(prefix, last)).filter(|name| *name != NO_NAME)
}

/// The first leaf of a name gives the label.
fn json(shape: &Shape, scope: &mut Scope, names: &mut Names) -> Option<()> {
    let opened: usize = shape.pieces.iter().map(|piece| piece.matches('{').count()).sum();
    if shape.format != Format::Json || opened > DEPTH_MAX {
        return None;
    }
    let mut set: Vec<String> = Vec::new();
    for (at, hole) in shape.holes.iter().enumerate() {
        match hole.kind {
            HoleKind::String | HoleKind::Number | HoleKind::Bool => {}
            HoleKind::Array => continue,
            HoleKind::Bare | HoleKind::Quoted | HoleKind::Token => return None,
        }
        let Some(name) = label_of(&hole.path, names) else { continue };
        let name = scope.parsed_name(names.text(name));
        if !set.contains(&name) {
            scope.set(&name, Source::Hole(at));
            set.push(name);
        }
    }
    Some(())
}

fn json_fields(shape: &Shape, fields: &[(String, Vec<String>)], scope: &mut Scope) -> Option<()> {
    if shape.format != Format::Json || !shape.pieces.first()?.starts_with('{') {
        return None;
    }
    let mut missing = Vec::new();
    for (at, (label, path)) in fields.iter().enumerate() {
        if fields.iter().skip(at + 1).any(|(other, _)| other == label) {
            return None;
        }
        let below = |hole: &&(usize, &Hole)| hole.1.path.starts_with(path);
        let holes: Vec<(usize, &Hole)> = shape.holes.iter().enumerate().collect();
        let found: Vec<&(usize, &Hole)> = holes.iter().filter(below).collect();
        match found.as_slice() {
            [(at, hole)] if hole.path.len() == path.len() && hole.kind != HoleKind::Array => {
                // Beside it there may be another of the key that is no hole.
                if is_in_pieces(shape, path, 1) {
                    return None;
                }
                let name = scope.parsed_name(label);
                scope.set(&name, Source::Hole(*at));
            }
            // Null, or an empty object: only the line can tell them from nothing.
            [] if is_in_pieces(shape, path, 0) => return None,
            [] => missing.push(label),
            _ => return None,
        }
    }
    for label in missing {
        if scope.get(label).is_none() {
            scope.set(label, Source::Empty);
        }
    }
    Some(())
}

/// Whether the last key of a path stands in the pieces more often than so many times.
fn is_in_pieces(shape: &Shape, path: &[String], times: usize) -> bool {
    let Some(last) = path.last() else { return true };
    let key = format!("\"{last}\"");
    shape.pieces.iter().map(|piece| piece.matches(key.as_str()).count()).sum::<usize>() > times
}

/// Whether some key has no value: these stand in the pieces.
fn has_empty_values(shape: &Shape) -> bool {
    let last = shape.pieces.len().saturating_sub(1);
    shape.pieces.iter().enumerate().any(|(at, piece)| {
        piece.contains("= ") || piece.contains("\"\"") || (at == last && piece.ends_with('='))
    })
}

fn logfmt(shape: &Shape, keep_empty: bool, scope: &mut Scope, names: &mut Names) -> Option<()> {
    if shape.format != Format::Logfmt || (keep_empty && has_empty_values(shape)) {
        return None;
    }
    let mut set: Vec<String> = Vec::new();
    for (at, hole) in shape.holes.iter().enumerate() {
        if !matches!(hole.kind, HoleKind::Bare | HoleKind::Quoted) {
            return None;
        }
        let Some(name) = label_of(&hole.path, names) else { continue };
        let name = scope.parsed_name(names.text(name));
        if set.contains(&name) {
            // Which of two counts depends on whether the first is empty.
            return None;
        }
        scope.set(&name, Source::Hole(at));
        set.push(name);
    }
    Some(())
}

fn logfmt_fields(
    shape: &Shape,
    fields: &[(String, String)],
    scope: &mut Scope,
    names: &mut Names,
) -> Option<()> {
    if shape.format != Format::Logfmt || has_empty_values(shape) {
        return None;
    }
    for (label, _) in fields {
        if !scope.is_original(label) {
            scope.set(label, Source::Empty);
        }
    }
    for (at, (label, key)) in fields.iter().enumerate() {
        if fields.iter().skip(at + 1).any(|(other, _)| other == label) {
            return None;
        }
        let mut found = None;
        for (at, hole) in shape.holes.iter().enumerate() {
            if !matches!(hole.kind, HoleKind::Bare | HoleKind::Quoted) {
                return None;
            }
            let name = label_of(&hole.path, names);
            if name.is_some_and(|name| names.text(name) == key) {
                if found.is_some() {
                    return None;
                }
                found = Some(at);
            }
        }
        if let Some(hole) = found {
            let name = scope.parsed_name(label);
            scope.set(&name, Source::Hole(hole));
        }
    }
    Some(())
}
