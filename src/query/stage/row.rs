//! The working state of one line on its way through the stages. Buffers are reused: a line that
//! a filter drops costs no allocation.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::model::{Labels, Timestamp};

use super::names::{NO_NAME, NameId, Names, Wanted};

pub const ERROR: &str = "__error__";
pub const ERROR_DETAILS: &str = "__error_details__";

/// Where a label came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// The stream's own labels.
    Stream,
    /// Structured metadata of the entry.
    Metadata,
    /// Made by a stage.
    Parsed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The line as it was stored.
    Input,
    /// Text made for this line.
    Arena,
    /// Values of the stream's labels.
    Stream,
}

/// A piece of text without a lifetime of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub source: Source,
    pub start: usize,
    pub end: usize,
}

impl Piece {
    pub fn within(self, start: usize, end: usize) -> Piece {
        Piece { source: self.source, start: self.start + start, end: self.start + end }
    }
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    name: NameId,
    category: Category,
    value: Piece,
    /// A stream label that was dropped or is covered by a parsed one.
    hidden: bool,
}

/// Buffers of a worker, for one line after the other.
#[derive(Debug)]
pub(super) struct State {
    pub names: Names,
    pub arena: String,
    stream: Option<Labels>,
    stream_text: String,
    slots: Vec<Slot>,
    /// The first slots are the stream's.
    stream_slots: usize,
    /// Whether any of these is hidden.
    covered: bool,
    /// Whether a stage took a label away.
    removed: bool,
    /// By name: the number of the last line in which a stage set it.
    marks: Vec<u32>,
    line_number: u32,
    wanted_total: usize,
    wanted_missing: usize,
    error: Option<&'static str>,
    pub details: String,
    pub scratch: String,
    pub held_line: String,
}

impl State {
    pub fn new(pinned: &[String], wanted: &Wanted) -> Self {
        State {
            names: Names::new(pinned, wanted.clone()),
            arena: String::new(),
            stream: None,
            stream_text: String::new(),
            slots: Vec::new(),
            stream_slots: 0,
            covered: false,
            removed: false,
            marks: Vec::new(),
            line_number: 0,
            wanted_total: match wanted {
                Wanted::Only(names) => names.len(),
                Wanted::All | Wanted::Nothing => 0,
            },
            wanted_missing: 0,
            error: None,
            details: String::new(),
            scratch: String::new(),
            held_line: String::new(),
        }
    }

    /// Lines that follow belong to this stream.
    pub fn set_stream(&mut self, stream: &Labels) {
        self.stream = Some(stream.clone());
        self.load_stream();
    }

    fn load_stream(&mut self) {
        self.slots.clear();
        self.stream_text.clear();
        let Some(stream) = &self.stream else { return };
        for (name, value) in stream.iter() {
            let start = self.stream_text.len();
            self.stream_text.push_str(value);
            let end = self.stream_text.len();
            self.slots.push(Slot {
                name: self.names.intern(name),
                category: Category::Stream,
                value: Piece { source: Source::Stream, start, end },
                hidden: false,
            });
        }
        self.stream_slots = self.slots.len();
        self.covered = false;
    }

    /// Forgets the line before.
    fn begin(&mut self) {
        if self.names.shrink() {
            self.marks.clear();
            self.load_stream();
        }
        self.slots.truncate(self.stream_slots);
        if self.covered {
            self.slots.iter_mut().for_each(|slot| slot.hidden = false);
            self.covered = false;
        }
        self.removed = false;
        self.arena.clear();
        self.error = None;
        self.details.clear();
        self.wanted_missing = self.wanted_total;
        self.line_number = self.line_number.wrapping_add(1);
        if self.line_number == 0 {
            self.marks.clear();
            self.line_number = 1;
        }
    }
}

/// One line in the pipeline.
#[derive(Debug)]
pub struct Row<'a> {
    pub(super) state: &'a mut State,
    pub(super) input: &'a str,
    pub(super) line: Piece,
    pub(super) ts: Timestamp,
}

impl<'a> Row<'a> {
    pub(super) fn begin(state: &'a mut State, ts: Timestamp, input: &'a str) -> Self {
        state.begin();
        let line = Piece { source: Source::Input, start: 0, end: input.len() };
        Row { state, input, line, ts }
    }

    pub fn ts(&self) -> Timestamp {
        self.ts
    }

    pub(super) fn text(&self, piece: Piece) -> &str {
        let whole = match piece.source {
            Source::Input => self.input,
            Source::Arena => self.state.arena.as_str(),
            Source::Stream => self.state.stream_text.as_str(),
        };
        whole.get(piece.start..piece.end).unwrap_or_default()
    }

    /// The line as it stands now.
    pub fn line(&self) -> &str {
        self.text(self.line)
    }

    /// Whether a stage replaced the line.
    pub fn line_changed(&self) -> bool {
        let stored = Piece { source: Source::Input, start: 0, end: self.input.len() };
        self.line != stored
    }

    /// Copies text into the arena.
    pub(super) fn keep(&mut self, text: &str) -> Piece {
        let start = self.state.arena.len();
        self.state.arena.push_str(text);
        Piece { source: Source::Arena, start, end: self.state.arena.len() }
    }

    /// Runs a parser over the line. The text lives apart from the row, so that the parser can
    /// set labels while it reads.
    pub(super) fn with_line<T>(&mut self, parse: impl FnOnce(&mut Self, &str) -> T) -> T {
        let input = self.input;
        if self.line.source == Source::Input {
            return parse(self, input.get(self.line.start..self.line.end).unwrap_or_default());
        }
        let mut held = std::mem::take(&mut self.state.held_line);
        held.clear();
        held.push_str(self.line());
        let result = parse(self, &held);
        self.state.held_line = held;
        result
    }

    fn find(&self, name: NameId) -> Option<&Slot> {
        self.state.slots.iter().find(|slot| slot.name == name && !slot.hidden)
    }

    pub(in crate::query) fn value(&self, name: NameId) -> Option<&str> {
        self.find(name).map(|slot| self.text(slot.value))
    }

    pub(super) fn piece(&self, name: NameId) -> Option<Piece> {
        self.find(name).map(|slot| slot.value)
    }

    /// The value of a label, `__error__` among them.
    pub fn get(&self, name: &str) -> Option<&str> {
        match name {
            ERROR => self.state.error,
            ERROR_DETAILS => {
                Some(self.state.details.as_str()).filter(|details| !details.is_empty())
            }
            _ => self
                .state
                .slots
                .iter()
                .find(|slot| !slot.hidden && self.state.names.text(slot.name) == name)
                .map(|slot| self.text(slot.value)),
        }
    }

    /// The name under which a parser stores what it found: with a suffix if the entry came with
    /// a label of that name.
    pub(super) fn parsed_name(&mut self, name: NameId) -> NameId {
        let collides = self.state.slots.iter().any(|slot| {
            slot.name == name && matches!(slot.category, Category::Stream | Category::Metadata)
        });
        if collides { self.state.names.extracted(name) } else { name }
    }

    /// Whether the entry itself, not a parser, brought this label.
    pub(super) fn is_original(&self, name: NameId) -> bool {
        self.state.slots.iter().any(|slot| slot.name == name && slot.category != Category::Parsed)
    }

    /// Whether a stage has set this label in this line.
    pub(super) fn is_set(&self, name: NameId) -> bool {
        self.state.marks.get(name as usize).is_some_and(|&mark| mark == self.state.line_number)
    }

    /// Whether all labels that anybody needs are there, so that parsing can stop.
    pub(super) fn has_all_wanted(&self) -> bool {
        self.state.wanted_total > 0 && self.state.wanted_missing == 0
    }

    /// Sets a parsed label, which covers any other of its name.
    pub(super) fn set(&mut self, name: NameId, value: Piece) {
        if name == NO_NAME {
            return;
        }
        let mut own = None;
        let mut metadata = None;
        let is_new = !self.is_set(name);
        for (at, slot) in self.state.slots.iter_mut().enumerate() {
            // What stages set stands behind what the entry came with.
            if is_new && slot.category == Category::Parsed {
                break;
            }
            if slot.name != name {
                continue;
            }
            match slot.category {
                Category::Parsed => own = Some(at),
                Category::Metadata => metadata = Some(at),
                Category::Stream => {
                    slot.hidden = true;
                    self.state.covered = true;
                }
            }
        }
        match (own, metadata) {
            (Some(at), _) => {
                if let Some(slot) = self.state.slots.get_mut(at) {
                    slot.value = value;
                }
            }
            (None, gone) => {
                if let Some(at) = gone {
                    self.state.slots.remove(at);
                }
                self.state.slots.push(Slot {
                    name,
                    category: Category::Parsed,
                    value,
                    hidden: false,
                });
                self.mark(name);
            }
        }
    }

    fn mark(&mut self, name: NameId) {
        let at = name as usize;
        if self.state.marks.len() <= at {
            self.state.marks.resize(self.state.names.len().max(at + 1), 0);
        }
        if let Some(mark) = self.state.marks.get_mut(at)
            && *mark != self.state.line_number
        {
            *mark = self.state.line_number;
            if self.state.wanted_total > 0 && self.state.names.is_wanted(name) {
                self.state.wanted_missing = self.state.wanted_missing.saturating_sub(1);
            }
        }
    }

    /// Adds structured metadata that came with the entry.
    pub(super) fn add_metadata(&mut self, name: &str, value: &str) {
        if name == ERROR {
            self.state.error = Some(intern_error(value));
            return;
        }
        if name == ERROR_DETAILS {
            self.state.details.clear();
            self.state.details.push_str(value);
            return;
        }
        let mut id = self.state.names.intern(name);
        let slots = &self.state.slots;
        if slots.iter().any(|slot| slot.name == id && slot.category == Category::Stream) {
            id = self.state.names.extracted(id);
        }
        let value = self.keep(value);
        let known =
            self.state.slots.iter_mut().find(|s| s.name == id && s.category == Category::Metadata);
        match known {
            Some(slot) => slot.value = value,
            None => self.state.slots.push(Slot {
                name: id,
                category: Category::Metadata,
                value,
                hidden: false,
            }),
        }
    }

    pub(super) fn remove(&mut self, name: NameId) {
        let stream_slots = self.state.stream_slots;
        for slot in self.state.slots.iter_mut().take(stream_slots) {
            if slot.name == name {
                slot.hidden = true;
                self.state.covered = true;
            }
        }
        let mut at = 0;
        let before = self.state.slots.len();
        self.state.slots.retain(|slot| {
            at += 1;
            at <= stream_slots || slot.name != name
        });
        self.state.removed |= self.state.slots.len() < before;
    }

    /// Removes the labels that the test does not let through.
    pub(super) fn retain(&mut self, keep: impl Fn(NameId, &str) -> bool) {
        let mut at = 0;
        while let Some(slot) = self.state.slots.get(at).copied() {
            if slot.hidden || keep(slot.name, self.text(slot.value)) {
                at += 1;
            } else if at < self.state.stream_slots {
                if let Some(slot) = self.state.slots.get_mut(at) {
                    slot.hidden = true;
                }
                self.state.covered = true;
                at += 1;
            } else {
                self.state.slots.remove(at);
                self.state.removed = true;
            }
        }
    }

    pub fn error(&self) -> Option<&'static str> {
        self.state.error
    }

    pub fn error_details(&self) -> &str {
        &self.state.details
    }

    pub(in crate::query) fn set_error(&mut self, error: &'static str, details: &str) {
        self.state.error = Some(error);
        if !details.is_empty() {
            self.state.details.clear();
            self.state.details.push_str(details);
        }
    }

    pub(super) fn clear_error(&mut self) {
        self.state.error = None;
    }

    pub(super) fn clear_error_details(&mut self) {
        self.state.details.clear();
    }

    /// Visible labels of the line with their categories; error labels are not among them.
    pub fn labels(&self) -> impl Iterator<Item = (NameId, Category, &str)> {
        self.state
            .slots
            .iter()
            .filter(|slot| !slot.hidden)
            .map(|slot| (slot.name, slot.category, self.text(slot.value)))
    }

    pub fn name(&self, id: NameId) -> &str {
        self.state.names.text(id)
    }

    /// Whether the line has the labels of its stream and no others.
    pub(in crate::query) fn is_plain(&self) -> bool {
        self.has_stream_labels_only() && self.state.error.is_none()
    }

    fn has_stream_labels_only(&self) -> bool {
        self.stream_unchanged() && self.state.slots.len() == self.state.stream_slots
    }

    /// The details of an error, if they show: once `drop __error__` has taken the error away,
    /// Loki shows them only when stages have changed other labels as well.
    pub(in crate::query) fn shown_details(&self) -> Option<&str> {
        let shows =
            self.state.error.is_some() || self.state.removed || !self.has_stream_labels_only();
        Some(self.state.details.as_str()).filter(|details| shows && !details.is_empty())
    }

    /// Whether all labels of the stream are as they were.
    pub fn stream_unchanged(&self) -> bool {
        !self.state.covered
    }

    /// The labels that remain of the stream.
    pub fn stream(&self) -> Labels {
        let stream = self.state.stream.clone().unwrap_or_default();
        if self.stream_unchanged() {
            return stream;
        }
        Labels::from_pairs(
            self.labels()
                .filter(|(_, category, _)| *category == Category::Stream)
                .map(|(name, _, value)| (self.name(name), value)),
        )
    }

    /// Names and values of one category, sorted by name; error labels count as parsed.
    pub fn category(&self, category: Category) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = self
            .labels()
            .filter(|(_, of, _)| *of == category)
            .map(|(name, _, value)| (self.name(name).to_owned(), value.to_owned()))
            .collect();
        if category == Category::Parsed {
            if let Some(error) = self.state.error {
                pairs.push((ERROR.to_owned(), error.to_owned()));
            }
            if let Some(details) = self.shown_details() {
                pairs.push((ERROR_DETAILS.to_owned(), details.to_owned()));
            }
        }
        if pairs.len() > 1 {
            pairs.sort_unstable();
        }
        pairs
    }

    /// All labels in one set, the error labels among them.
    pub fn all_labels(&self) -> Labels {
        let errors = [(ERROR, self.state.error), (ERROR_DETAILS, self.shown_details())]
            .into_iter()
            .filter_map(|(name, text)| Some((name, text?)));
        Labels::of_series(
            self.labels().map(|(name, _, value)| (self.name(name), value)).chain(errors),
        )
    }

    /// A hash of one label that can be added to those of others, in any order.
    pub(in crate::query) fn label_hash(&self, name: NameId, value: &str) -> u128 {
        xxh3_128_with_seed(value.as_bytes(), self.state.names.seed(name))
    }
}

/// Error labels that come as metadata keep their value if it is one of ours.
fn intern_error(value: &str) -> &'static str {
    use super::errors::*;
    [JSON, LOGFMT, LABEL_FILTER, TEMPLATE, SAMPLE]
        .into_iter()
        .find(|known| *known == value)
        .unwrap_or("PipelineErr")
}
