//! The labels of a stream: its identity.

use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::quote::{quote, unquote};

/// Names the stream a label set makes, for one tenant. Stable on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u128);

/// Label names and values, sorted by name, each name once; of streams no empty values. Cheap to
/// clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(String, String)]>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    #[error("{0} at position {1}")]
    Syntax(&'static str, usize),
    #[error(
        "label name {0:?} is not valid: use letters, digits and '_', not starting with a digit"
    )]
    Name(String),
    #[error("label {0:?} is given twice")]
    Twice(String),
}

impl Default for Labels {
    fn default() -> Self {
        Labels(Arc::from([]))
    }
}

impl Labels {
    /// Sorts; of a name given twice the last value wins; empty values are left out.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut unique = Labels::sorted(pairs);
        unique.retain(|(_, value)| !value.is_empty());
        Labels(unique.into())
    }

    /// The labels of a series that a query makes: a label that a parser found empty is one, and
    /// tells the series from those that lack it.
    pub fn of_series<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Labels(Labels::sorted(pairs).into())
    }

    fn sorted<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Vec<(String, String)> {
        let mut sorted: Vec<(String, String)> =
            pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut unique: Vec<(String, String)> = Vec::with_capacity(sorted.len());
        for pair in sorted {
            match unique.last_mut() {
                Some(last) if last.0 == pair.0 => last.1 = pair.1,
                _ => unique.push(pair),
            }
        }
        unique
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok().map(|at| self.0[at].1.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same labels with one set; an empty value removes it.
    pub fn with(&self, name: &str, value: &str) -> Labels {
        let others = self.iter().filter(|(n, _)| *n != name);
        Labels::of_series(others.chain((!value.is_empty()).then_some((name, value))))
    }

    pub fn stream_id(&self, tenant: &str) -> StreamId {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(tenant.as_bytes());
        for (name, value) in self.iter() {
            bytes.push(0xff); // occurs in no UTF-8 text, so pairs cannot run into each other
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0xfe);
            bytes.extend_from_slice(value.as_bytes());
        }
        StreamId(xxh3_128(&bytes))
    }

    pub fn is_valid_name(name: &str) -> bool {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
    }

    /// Reads `{a="b", c="d"}` as clients push it (Prometheus text form, Go string escapes).
    pub fn parse(text: &str) -> Result<Labels, LabelsError> {
        let mut scan = Scan { text, at: 0 };
        let mut pairs: Vec<(String, String)> = Vec::new();
        scan.require(b'{', "expected '{'")?;
        if !scan.eat(b'}') {
            loop {
                let name = scan.name()?.to_owned();
                scan.require(b'=', "expected '='")?;
                let value = scan.string()?;
                if pairs.iter().any(|(n, _)| *n == name) {
                    return Err(LabelsError::Twice(name));
                }
                pairs.push((name, value));
                if scan.eat(b'}') {
                    break;
                }
                scan.require(b',', "expected ',' or '}'")?;
                if scan.eat(b'}') {
                    break;
                }
            }
        }
        scan.spaces();
        if scan.at != text.len() {
            return Err(LabelsError::Syntax("unexpected text after '}'", scan.at));
        }
        Ok(Labels::from_pairs(pairs))
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn spaces(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.spaces();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn require(&mut self, byte: u8, message: &'static str) -> Result<(), LabelsError> {
        if self.eat(byte) { Ok(()) } else { Err(LabelsError::Syntax(message, self.at)) }
    }

    fn name(&mut self) -> Result<&'a str, LabelsError> {
        self.spaces();
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            self.at += 1;
        }
        let name = &self.text[start..self.at];
        if Labels::is_valid_name(name) {
            Ok(name)
        } else {
            Err(LabelsError::Syntax("expected a label name", start))
        }
    }

    fn string(&mut self) -> Result<String, LabelsError> {
        self.spaces();
        let start = self.at;
        match self.peek() {
            Some(b'`') => {
                let body = &self.text[start + 1..];
                let end =
                    body.find('`').ok_or(LabelsError::Syntax("string is not closed", start))?;
                self.at = start + end + 2;
                Ok(body[..end].to_owned())
            }
            Some(b'"') => {
                let body = &self.text[start + 1..];
                let (value, used) = unquote(body).ok_or(LabelsError::Syntax(
                    "string is not closed or has a bad escape",
                    start,
                ))?;
                self.at = start + 1 + used;
                Ok(value)
            }
            _ => Err(LabelsError::Syntax("expected a quoted value", start)),
        }
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{name}={}", quote(value))?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expect: &str) {
        let shown = match Labels::parse(input) {
            Ok(labels) => labels.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn parses_and_prints() {
        check(r#"{b="2", a="1"}"#, r#"{a="1", b="2"}"#);
        check(r#" { a = "x\"y\n" , } "#, r#"{a="x\"y\n"}"#);
        check("{a=`raw\\`}", r#"{a="raw\\"}"#);
        check(r#"{a=""}"#, "{}");
        check("{}", "{}");
        check(r#"{a="1",a="2"}"#, r#"error: label "a" is given twice"#);
        check(r#"{a="1""#, "error: expected ',' or '}' at position 6");
        check(r#"{a='1'}"#, "error: expected a quoted value at position 3");
        check(r#"{1a="1"}"#, "error: expected a label name at position 1");
        check(r#"{a="\q"}"#, "error: string is not closed or has a bad escape at position 3");
        check(r#"{a="é\u00e9\x41"}"#, r#"{a="ééA"}"#);
    }
}
