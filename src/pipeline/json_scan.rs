//! Walks the members of a JSON object in place, without building values. Lenient in the way
//! that level detection wants: it stops at the first fault and keeps what it has found.

use std::ops::Range;

use memchr::memchr2;

/// What kind of value stands at a place of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The range leaves the quotes out; escapes are still in.
    Text,
    Number,
    Bool,
    Null,
    Object,
    Array,
}

/// One member: key without quotes, and value.
#[derive(Debug, Clone)]
pub struct Member {
    pub key: Range<usize>,
    pub kind: Kind,
    pub value: Range<usize>,
}

/// Whether to go on after a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Go,
    Stop,
}

/// Calls back for each member in document order; objects above `depth_max` are entered (their
/// members follow the object itself). Returns false where the text is not a JSON object.
pub fn members(line: &[u8], depth_max: usize, found: &mut dyn FnMut(Member) -> Flow) -> bool {
    let mut scan = Scan { line, at: 0 };
    scan.spaces();
    if scan.peek() != Some(b'{') {
        return false;
    }
    scan.at += 1;
    scan.object(0, depth_max, found).is_some()
}

/// The elements of a JSON array, up to the first fault.
pub fn elements(text: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let mut all = Vec::new();
    let mut scan = Scan { line: text, at: 0 };
    scan.spaces();
    if scan.peek() != Some(b'[') {
        return all;
    }
    loop {
        scan.at += 1;
        scan.spaces();
        let start = scan.at;
        let element = match scan.peek() {
            Some(b'{') => scan.skip_nested().map(|()| (Kind::Object, start..scan.at)),
            Some(first) => scan.value(first),
            None => None,
        };
        let Some(element) = element else { return all };
        all.push(element);
        scan.spaces();
        if scan.peek() != Some(b',') {
            return all;
        }
    }
}

/// Whether the first and the last byte that are not white space are braces.
pub fn looks_like_object(line: &str) -> bool {
    line.trim_start().starts_with('{') && line.trim_end().ends_with('}')
}

struct Scan<'a> {
    line: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// After the opening brace, to after the closing one. `None` at a fault or a `Stop`.
    fn object(
        &mut self,
        depth: usize,
        depth_max: usize,
        found: &mut dyn FnMut(Member) -> Flow,
    ) -> Option<()> {
        self.spaces();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.spaces();
            if self.peek()? != b'"' {
                return None;
            }
            let key = self.string()?;
            self.spaces();
            if self.peek()? != b':' {
                return None;
            }
            self.at += 1;
            self.spaces();
            let start = self.at;
            let first = self.peek()?;
            if first == b'{' {
                let inner = self.at + 1;
                if depth + 1 < depth_max {
                    // The end of the object is not known yet; its members matter more.
                    let member = Member { key, kind: Kind::Object, value: start..start };
                    if found(member) == Flow::Stop {
                        return None;
                    }
                    self.at = inner;
                    self.object(depth + 1, depth_max, found)?;
                } else {
                    self.skip_nested()?;
                    let value = start..self.at;
                    if found(Member { key, kind: Kind::Object, value }) == Flow::Stop {
                        return None;
                    }
                }
            } else {
                let (kind, value) = self.value(first)?;
                if found(Member { key, kind, value }) == Flow::Stop {
                    return None;
                }
            }
            self.spaces();
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    fn value(&mut self, first: u8) -> Option<(Kind, Range<usize>)> {
        let start = self.at;
        let kind = match first {
            b'"' => return self.string().map(|range| (Kind::Text, range)),
            b'[' => {
                self.skip_nested()?;
                return Some((Kind::Array, start..self.at));
            }
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            b'-' | b'0'..=b'9' => Kind::Number,
            _ => return None,
        };
        while self
            .peek()
            .is_some_and(|b| !matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'))
        {
            self.at += 1;
        }
        let text = self.line.get(start..self.at)?;
        let valid = match kind {
            Kind::Bool => text == b"true" || text == b"false",
            Kind::Null => text == b"null",
            _ => true,
        };
        valid.then_some((kind, start..self.at))
    }

    /// At an opening quote, to after the closing one; gives what is between.
    fn string(&mut self) -> Option<Range<usize>> {
        self.at += 1;
        let start = self.at;
        loop {
            let found = memchr2(b'"', b'\\', self.line.get(self.at..)?)?;
            self.at += found;
            if self.peek()? == b'"' {
                self.at += 1;
                return Some(start..self.at - 1);
            }
            self.at += 2;
        }
    }

    /// At an opening brace or bracket, to after the matching closing one. Counts instead of
    /// recursing, so that deep nesting costs no stack.
    fn skip_nested(&mut self) -> Option<()> {
        let mut open = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => {
                    open -= 1;
                    if open == 0 {
                        self.at += 1;
                        return Some(());
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}

/// A JSON string without its quotes, decoded; `None` when it holds a bad escape.
pub fn unescape(raw: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{raw}\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listed(line: &str, depth_max: usize) -> (Vec<String>, bool) {
        let mut all = Vec::new();
        let whole = members(line.as_bytes(), depth_max, &mut |m| {
            all.push(format!("{}={}", &line[m.key.clone()], &line[m.value]));
            Flow::Go
        });
        (all, whole)
    }

    #[track_caller]
    fn check(line: &str, depth_max: usize, expect: &str) {
        let (all, whole) = listed(line, depth_max);
        assert_eq!(format!("{} {whole}", all.join(" ")), expect);
    }

    #[test]
    fn walks() {
        check(
            r#"{"a":1,"b":"x\"y","c":null,"d":[1,{"e":"]"}]}"#,
            2,
            r#"a=1 b=x\"y c=null d=[1,{"e":"]"}] true"#,
        );
        check(
            r#" { "a" : { "b" : { "c" : "d" } } , "e" : true }"#,
            2,
            r#"a= b={ "c" : "d" } e=true true"#,
        );
        check(r#"{"a":{"b":1}}"#, 1, r#"a={"b":1} true"#);
        check(r#"{"a":1"#, 2, "a=1 false");
        check(r#"{"a":tru}"#, 2, " false");
        check("{}", 2, " true");
        check("[1]", 2, " false");
        check("", 2, " false");
        check("{\"a\\", 2, " false");
    }

    proptest! {
        #[test]
        fn never_panics(line in "[{}\\[\\]\":,\\\\a1 tn.é-]{0,60}") {
            listed(&line, 3);
        }
    }
}
