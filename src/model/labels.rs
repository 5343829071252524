//! The labels of a stream: its identity.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::quote::{quote, unquote};

/// Names the stream a label set makes, for one tenant. Stable on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u128);

/// Label names and values, sorted by name, each name once; of streams no empty values. Cheap to
/// clone.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Labels(Arc<Pairs>);

/// All names and values in one text: a stream in memory costs a few allocations, not dozens.
#[derive(PartialEq, Eq, Hash, Default)]
struct Pairs {
    text: Box<str>,
    /// Where the name and the value of each pair end.
    ends: Box<[(u32, u32)]>,
}

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
    #[error("the labels of one stream take more than {0} bytes")]
    TooLong(usize),
}

impl Labels {
    /// Sorts; of a name given twice the last value wins; empty values are left out.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Labels::sorted(pairs, false)
    }

    /// The labels of a series that a query makes: a label that a parser found empty is one, and
    /// tells the series from those that lack it.
    pub fn of_series<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Labels::sorted(pairs, true)
    }

    fn sorted<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
        keep_empty: bool,
    ) -> Self {
        let mut sorted: Vec<(String, String)> =
            pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut unique: Vec<(&str, &str)> = Vec::with_capacity(sorted.len());
        for (name, value) in &sorted {
            match unique.last_mut() {
                Some(last) if last.0 == name => last.1 = value,
                _ => unique.push((name, value)),
            }
        }
        unique.retain(|(_, value)| keep_empty || !value.is_empty());
        Labels::join(&unique)
    }

    /// The same with fewer steps for pairs that are most likely in order already.
    pub fn from_slice(pairs: &[(&str, &str)]) -> Self {
        let in_order = pairs.is_sorted_by(|a, b| a.0 < b.0);
        if in_order && pairs.iter().all(|(_, value)| !value.is_empty()) {
            Labels::join(pairs)
        } else {
            Labels::from_pairs(pairs.iter().copied())
        }
    }

    fn join(pairs: &[(&str, &str)]) -> Self {
        let bytes = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let mut text = String::with_capacity(bytes);
        let ends = pairs
            .iter()
            .map(|(name, value)| {
                text.push_str(name);
                let name_end = text.len() as u32;
                text.push_str(value);
                (name_end, text.len() as u32)
            })
            .collect();
        Labels(Arc::new(Pairs { text: text.into(), ends }))
    }

    fn pair(&self, at: usize) -> Option<(&str, &str)> {
        let Pairs { text, ends } = &*self.0;
        let (name_end, value_end) = ends.get(at).map(|(n, v)| (*n as usize, *v as usize))?;
        let start = at.checked_sub(1).and_then(|at| ends.get(at)).map_or(0, |end| end.1 as usize);
        Some((text.get(start..name_end)?, text.get(name_end..value_end)?))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            let (found, value) = self.pair(middle)?;
            match found.cmp(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some(value),
            }
        }
        None
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.len()).filter_map(|at| self.pair(at))
    }

    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
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
        // Looked for in order, not pair by pair: there may be very many.
        pairs.sort();
        match pairs.array_windows().find(|[a, b]| a.0 == b.0) {
            Some([twice, _]) => Err(LabelsError::Twice(twice.0.clone())),
            None => Ok(Labels::from_pairs(pairs)),
        }
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

/// By the first pair that differs: the order of streams in parts.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Labels({self})")
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

    proptest::proptest! {
        /// Pairs come back, are found by name, and sort as a list of pairs does.
        #[test]
        fn holds_pairs(
            a in proptest::collection::vec(("[ab\u{e9}]{0,2}", "[xy\u{e9}]{0,2}"), 0..5),
            b in proptest::collection::vec(("[ab\u{e9}]{0,2}", "[xy\u{e9}]{0,2}"), 0..5),
        ) {
            let plain = |pairs: &[(String, String)]| -> Vec<(String, String)> {
                let map: std::collections::BTreeMap<String, String> = pairs.iter().cloned().collect();
                map.into_iter().filter(|(_, value)| !value.is_empty()).collect()
            };
            let made = |pairs: &[(String, String)]| Labels::from_pairs(pairs.iter().cloned());
            let (made_a, made_b) = (made(&a), made(&b));
            let (a, b) = (plain(&a), plain(&b));
            let listed: Vec<(String, String)> =
                made_a.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            proptest::prop_assert_eq!(&listed, &a);
            let slices: Vec<(&str, &str)> = a.iter().map(|(n, v)| (&**n, &**v)).collect();
            proptest::prop_assert_eq!(&Labels::from_slice(&slices), &made_a);
            for (name, value) in &a {
                proptest::prop_assert_eq!(made_a.get(name), Some(value.as_str()));
            }
            proptest::prop_assert_eq!(made_a.get("c"), None);
            proptest::prop_assert_eq!(made_a.cmp(&made_b), a.cmp(&b));
            proptest::prop_assert_eq!(made_a == made_b, a == b);
        }
    }

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
        check(r#"{b="1",a="1",b="2"}"#, r#"error: label "b" is given twice"#);
        check(r#"{a="1""#, "error: expected ',' or '}' at position 6");
        check(r#"{a='1'}"#, "error: expected a quoted value at position 3");
        check(r#"{1a="1"}"#, "error: expected a label name at position 1");
        check(r#"{a="\q"}"#, "error: string is not closed or has a bad escape at position 3");
        check(r#"{a="é\u00e9\x41"}"#, r#"{a="ééA"}"#);
    }
}
