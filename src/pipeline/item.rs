//! An entry on its way through the stages.

use std::collections::BTreeMap;

use crate::model::{Entry, Labels, Metadata, Text, Timestamp};

use super::format::{self, Format};
use super::level;
use super::trace;

/// A value that a stage read out of a line. Numbers keep their text, so that large integers and
/// trailing zeros survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(Text),
    Number(Text),
    Bool(bool),
    Null,
}

const TRUE: Text = Text::from_static("true");
const FALSE: Text = Text::from_static("false");

impl Value {
    /// The value as text; null has none.
    pub fn text(&self) -> Option<Text> {
        match self {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            Value::Bool(true) => Some(TRUE),
            Value::Bool(false) => Some(FALSE),
            Value::Null => None,
        }
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Value::Text(text)
    }
}

/// What stages know about an entry besides the entry itself. Begins with the labels; a line
/// whose format was recognized is read only when a name is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extracted {
    own: Vec<(Text, Value)>,
    lazy: Option<(Format, Text)>,
    removed: Vec<Text>,
    base: Labels,
}

impl Extracted {
    pub fn get(&self, name: &str) -> Option<Value> {
        if let Some((_, value)) = self.own.iter().find(|(own, _)| *own == name) {
            return Some(value.clone());
        }
        if self.removed.iter().any(|removed| *removed == name) {
            return None;
        }
        if let Some((format, line)) = &self.lazy
            && let Some(value) = format::field(*format, line, name)
        {
            return Some(value);
        }
        self.base.get(name).map(|value| Value::Text(Text::from(value)))
    }

    pub fn text(&self, name: &str) -> Option<Text> {
        self.get(name)?.text()
    }

    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.own.iter_mut().find(|(own, _)| *own == name) {
            Some((_, old)) => *old = value,
            None => self.own.push((Text::from(name), value)),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.own.retain(|(own, _)| *own != name);
        self.removed.push(Text::from(name));
    }

    /// From now on names are also looked up in this line.
    pub fn read_from(&mut self, format: Format, line: Text) {
        self.lazy = Some((format, line));
    }

    /// Everything, by name.
    pub fn all(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for (name, value) in self.base.iter() {
            all.insert(name.to_owned(), Value::Text(Text::from(value)));
        }
        if let Some((format, line)) = &self.lazy {
            format::fields(*format, line, &mut |name, value| {
                all.insert(name.to_owned(), value);
            });
        }
        all.retain(|name, _| !self.removed.iter().any(|removed| *removed == name.as_str()));
        for (name, value) in &self.own {
            all.insert(name.to_string(), value.clone());
        }
        all
    }
}

/// An entry, what is known about it, and what was done to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Item {
    pub ts: Timestamp,
    pub line: Text,
    pub metadata: Metadata,
    /// The line as it came in.
    raw: Text,
    base: Labels,
    /// Names of labels whose values stand in the configuration.
    constant: Vec<Text>,
    /// Labels that differ from the stream's; an empty value removes one.
    pub edits: Vec<(Text, Text)>,
    pub extracted: Extracted,
    /// Line or metadata hold text that redaction has not seen in this form.
    pub changed: bool,
    /// So do the labels.
    pub labels_changed: bool,
    pub dropped: bool,
    pub tenant: Option<Text>,
}

impl Item {
    pub fn new(base: &Labels, entry: Entry) -> Self {
        Item {
            ts: entry.ts,
            raw: entry.line.clone(),
            line: entry.line,
            metadata: entry.metadata,
            base: base.clone(),
            extracted: Extracted { base: base.clone(), ..Extracted::default() },
            ..Item::default()
        }
    }

    pub fn into_entry(self) -> Entry {
        Entry { ts: self.ts, line: self.line, metadata: self.metadata }
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        match self.edits.iter().find(|(edited, _)| *edited == name) {
            Some((_, value)) => Some(value.as_str()).filter(|value| !value.is_empty()),
            None => self.base.get(name),
        }
    }

    /// An empty value removes the label.
    pub fn set_label(&mut self, name: &str, value: Text) {
        if self.label(name).unwrap_or_default() == value.as_str() {
            return;
        }
        self.labels_changed |= !is_safe(&value);
        self.constant.retain(|constant| *constant != name);
        match self.edits.iter_mut().find(|(edited, _)| *edited == name) {
            Some((_, old)) => *old = value,
            None => self.edits.push((Text::from(name), value)),
        }
    }

    /// A label whose value does not come from an entry.
    pub fn set_constant_label(&mut self, name: &Text, value: Text) {
        self.set_label(name, value);
        self.constant.push(name.clone());
    }

    pub fn labels(&self) -> Labels {
        if self.edits.is_empty() {
            return self.base.clone();
        }
        apply_edits(&self.base, &self.edits)
    }

    /// The labels whose values redaction has seen: those of the stream, and those that stand
    /// word for word in the line as it came in. Metrics leave the process unredacted, so a value
    /// that a template put together is left out.
    pub fn vetted_labels(&self) -> Labels {
        let seen = |name: &Text, value: &str| {
            is_safe(value) || self.constant.contains(name) || self.raw.contains(value)
        };
        let edits: Vec<(Text, Text)> = self
            .edits
            .iter()
            .map(|(name, value)| {
                (name.clone(), if seen(name, value) { value.clone() } else { Text::default() })
            })
            .collect();
        apply_edits(&self.base, &edits)
    }

    pub fn metadata(&self, name: &str) -> Option<&Text> {
        self.metadata.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    pub fn set_metadata(&mut self, name: Text, value: Text) {
        if self.metadata(&name) == Some(&value) {
            return;
        }
        self.changed |= !is_safe(&value);
        match self.metadata.iter_mut().find(|(own, _)| *own == name) {
            Some((_, old)) => *old = value,
            None => self.metadata.push((name, value)),
        }
    }

    pub fn set_line(&mut self, line: Text) {
        if self.line != line {
            self.line = line;
            self.changed = true;
        }
    }

    /// The text a stage works on: a value by name, or the line.
    pub fn input(&self, source: Option<&str>) -> Option<Text> {
        match source {
            Some(name) => self.extracted.text(name),
            None => Some(self.line.clone()),
        }
    }
}

pub(crate) fn apply_edits(base: &Labels, edits: &[(Text, Text)]) -> Labels {
    Labels::from_pairs(
        base.iter().chain(edits.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
    )
}

/// Values that cannot hold anything private whatever they were cut out of: nothing at all, a
/// whole level word, a W3C trace id. (16 hex digits may be a card number; 32 cannot.)
fn is_safe(value: &str) -> bool {
    value.is_empty() || trace::is_trace_id(value) || level::is_level_word(value)
}

/// A name as structured metadata may have it, as Loki makes it: each run of other characters
/// becomes one `_`, a leading digit gets `key_` in front, `__name__` keeps its frame.
pub fn metadata_name(name: &str) -> Text {
    let framed = name.strip_prefix("__").and_then(|name| name.strip_suffix("__"));
    let inner = framed.filter(|name| !name.is_empty()).unwrap_or(name);
    let mut clean = String::with_capacity(name.len() + 4);
    for c in inner.chars() {
        if c.is_ascii_alphanumeric() {
            clean.push(c);
        } else if !clean.ends_with('_') {
            clean.push('_');
        }
    }
    if inner.len() < name.len() {
        clean = format!("__{clean}__");
    }
    if clean.starts_with(|c: char| c.is_ascii_digit()) {
        clean.insert_str(0, "key_");
    }
    if clean.is_empty() {
        clean.push('_');
    }
    Text::from(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metadata() {
        for (name, expect) in [
            ("a.b", "a_b"),
            ("1c", "key_1c"),
            ("ok_1", "ok_1"),
            ("é", "_"),
            ("a..b__c", "a_b_c"),
            ("__x.y__", "__x_y__"),
            ("", "_"),
        ] {
            assert_eq!(metadata_name(name).as_str(), expect);
        }
    }

    #[test]
    fn extracted_begins_with_labels() {
        let base = Labels::from_pairs([("filename", "/x"), ("level", "a")]);
        let mut item = Item::new(&base, Entry::new(Timestamp(1), r#"{"level":"b","n":{"m":1}}"#));
        assert_eq!(item.extracted.text("filename").unwrap(), "/x");
        assert_eq!(item.extracted.text("level").unwrap(), "a");
        item.extracted.read_from(Format::Json, item.line.clone());
        assert_eq!(item.extracted.text("level").unwrap(), "b");
        assert_eq!(item.extracted.text("n.m").unwrap(), "1");
        item.extracted.set("level", Text::from("c"));
        assert_eq!(item.extracted.text("level").unwrap(), "c");
        item.extracted.remove("level");
        assert_eq!(item.extracted.get("level"), None);
        assert_eq!(
            item.extracted.all().keys().map(String::as_str).collect::<Vec<_>>(),
            ["filename", "n"]
        );
    }

    #[test]
    fn label_edits() {
        let base = Labels::from_pairs([("a", "1"), ("b", "2")]);
        let mut item = Item::new(&base, Entry::default());
        item.set_label("a", Text::from("1"));
        assert!(item.edits.is_empty());
        item.set_label("level", Text::from("error"));
        item.set_label("b", Text::default());
        assert!(!item.labels_changed);
        assert_eq!(item.label("b"), None);
        item.set_label("c", Text::from("alice"));
        assert!(item.labels_changed);
        assert_eq!(item.labels().to_string(), r#"{a="1", c="alice", level="error"}"#);
    }
}
