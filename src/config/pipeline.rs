//! Pipelines as YAML says them: a tree that remembers where each value stood. Stages have keys
//! that depend on their name and short forms, so the room itself reads the tree.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Diagnostic, Spanned};

/// A YAML value with its place.
#[derive(Debug, Clone, Default)]
pub struct Node {
    pub value: NodeValue,
    /// From 1; 0 when the place is not known.
    pub line: usize,
    pub column: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub enum NodeValue {
    #[default]
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// Places do not take part in comparison.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    pub fn text(text: impl Into<String>) -> Node {
        Node { value: NodeValue::Text(text.into()), line: 0, column: 0 }
    }

    fn placed(spanned: Spanned<NodeValue>) -> Node {
        let place = spanned.referenced;
        let to_usize = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        // YAML 1.1 reads `y`, `no` or `on` as booleans; here they are names and values like any
        // other, and the length tells what stood there.
        let value = match (spanned.value, place.span().len()) {
            (NodeValue::Bool(true), 1) => NodeValue::Text("y".to_owned()),
            (NodeValue::Bool(true), 2) => NodeValue::Text("on".to_owned()),
            (NodeValue::Bool(true), 3) => NodeValue::Text("yes".to_owned()),
            (NodeValue::Bool(false), 1) => NodeValue::Text("n".to_owned()),
            (NodeValue::Bool(false), 2) => NodeValue::Text("no".to_owned()),
            (NodeValue::Bool(false), 3) => NodeValue::Text("off".to_owned()),
            (value, _) => value,
        };
        Node { value, line: to_usize(place.line()), column: to_usize(place.column()) }
    }

    pub fn list_of(items: impl IntoIterator<Item = Node>) -> Node {
        Node { value: NodeValue::List(items.into_iter().collect()), line: 0, column: 0 }
    }

    pub fn map_of<'a>(pairs: impl IntoIterator<Item = (&'a str, Node)>) -> Node {
        let pairs = pairs.into_iter().map(|(key, value)| (Node::text(key), value)).collect();
        Node { value: NodeValue::Map(pairs), line: 0, column: 0 }
    }

    /// A fault at this value.
    pub fn fault(&self, file: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(file, self.line, self.column, message)
    }

    pub fn is_null(&self) -> bool {
        self.value == NodeValue::Null
    }

    /// The text of a scalar; numbers and booleans as they would be written.
    pub fn scalar(&self) -> Option<String> {
        match &self.value {
            NodeValue::Text(text) => Some(text.clone()),
            NodeValue::Int(number) => Some(number.to_string()),
            NodeValue::Float(number) => Some(number.to_string()),
            NodeValue::Bool(value) => Some(value.to_string()),
            NodeValue::Null | NodeValue::List(_) | NodeValue::Map(_) => None,
        }
    }

    pub fn list(&self) -> Option<&[Node]> {
        match &self.value {
            NodeValue::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn map(&self) -> Option<&[(Node, Node)]> {
        match &self.value {
            NodeValue::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// The value of a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What the value is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            NodeValue::Null => "nothing",
            NodeValue::Bool(_) => "a boolean",
            NodeValue::Int(_) | NodeValue::Float(_) => "a number",
            NodeValue::Text(_) => "a text",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a map",
        }
    }
}

/// A file of `pipelines/`: a pipeline with its own tests.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPipelineFile {
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub stages: Node,
    #[serde(default)]
    pub tests: Vec<Spanned<RawPipelineTest>>,
}

/// A line and what must become of it.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPipelineTest {
    #[serde(default)]
    pub name: String,
    pub input: RawTestInput,
    pub expect: RawTestExpect,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTestInput {
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub line: String,
    /// When the line was read, RFC 3339.
    pub ts: Option<String>,
}

/// What is left out is not looked at, except that a line must not be dropped unless it says so.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTestExpect {
    pub line: Option<String>,
    /// All labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// All metadata.
    pub metadata: Option<BTreeMap<String, String>>,
    /// RFC 3339.
    pub ts: Option<String>,
    pub dropped: Option<bool>,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Spanned::<NodeValue>::deserialize(from).map(Node::placed)
    }
}

impl<'de> Deserialize<'de> for NodeValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = NodeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<NodeValue, E> {
        Ok(NodeValue::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<NodeValue, E> {
        Ok(NodeValue::Int(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<NodeValue, E> {
        Ok(NodeValue::Int(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<NodeValue, E> {
        Ok(NodeValue::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<NodeValue, E> {
        Ok(NodeValue::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<NodeValue, E> {
        Ok(NodeValue::Text(value))
    }

    fn visit_unit<E: de::Error>(self) -> Result<NodeValue, E> {
        Ok(NodeValue::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<NodeValue, E> {
        Ok(NodeValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<NodeValue, D::Error> {
        NodeValue::deserialize(from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<NodeValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(NodeValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<NodeValue, A::Error> {
        let mut map = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            map.push(pair);
        }
        Ok(NodeValue::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_yaml_plain;

    #[test]
    fn keeps_places() {
        let text = "- json:\n    expressions:\n      level: lvl\n- labels: [a, 12, null]\n- x: 'yes'\n  n: {y: no, on: off, t: true}\n";
        let node: Node = parse_yaml_plain("f", text).unwrap();
        let stages = node.list().unwrap();
        let (key, json) = &stages[0].map().unwrap()[0];
        assert_eq!((key.as_str(), key.line, key.column), (Some("json"), 1, 3));
        let (name, path) = &json.get("expressions").unwrap().map().unwrap()[0];
        assert_eq!((name.as_str(), name.line, name.column), (Some("level"), 3, 7));
        assert_eq!((path.as_str(), path.line, path.column), (Some("lvl"), 3, 14));
        let labels = stages[1].get("labels").unwrap().list().unwrap();
        assert_eq!(labels[1].value, NodeValue::Int(12));
        assert!(labels[2].is_null());
        assert_eq!(stages[2].get("x").unwrap().as_str(), Some("yes"));
        let words = stages[2].get("n").unwrap();
        assert_eq!(words.get("y").unwrap().as_str(), Some("no"));
        assert_eq!(words.get("on").unwrap().as_str(), Some("off"));
        assert_eq!(words.get("t").unwrap().value, NodeValue::Bool(true));
    }
}
