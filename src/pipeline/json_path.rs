//! Paths into JSON: the part of JMESPath that log pipelines use (`a.b`, `a[0]`, `a[-1]`,
//! `"quoted key".b`, `@`).

use std::ops::Range;

use super::json_scan::{self, Flow, Kind};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    /// From the end when negative.
    Index(i64),
}

/// A parsed path; empty means the whole document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonPath(Vec<Step>);

type Place = (Kind, Range<usize>);

impl JsonPath {
    /// The error names the first thing that is not understood and its place (from 0).
    pub fn parse(text: &str) -> Result<JsonPath, (usize, String)> {
        let mut steps = Vec::new();
        let mut at = 0;
        let bytes = text.as_bytes();
        if text.trim() == "@" {
            return Ok(JsonPath(steps));
        }
        loop {
            match bytes.get(at) {
                Some(b'"') => {
                    let rest = text.get(at + 1..).unwrap_or_default();
                    let (key, used) = crate::model::unquote(rest)
                        .ok_or_else(|| (at, "quoted key is not closed".to_owned()))?;
                    steps.push(Step::Key(key));
                    at += 1 + used;
                }
                Some(b'[') if steps.is_empty() => {}
                Some(b) if b.is_ascii_alphabetic() || *b == b'_' => {
                    let start = at;
                    while bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
                        at += 1;
                    }
                    steps.push(Step::Key(text.get(start..at).unwrap_or_default().to_owned()));
                }
                Some(_) => {
                    let found = text.get(at..).and_then(|rest| rest.chars().next());
                    return Err((
                        at,
                        format!(
                            "{:?} is not supported in a path; use names, \"quoted names\", [index] and '.'",
                            found.unwrap_or_default()
                        ),
                    ));
                }
                None => return Err((at, "a key is missing".to_owned())),
            }
            while bytes.get(at) == Some(&b'[') {
                let close = text.get(at..).and_then(|rest| rest.find(']'));
                let end = at + close.ok_or_else(|| (at, "'[' is not closed".to_owned()))?;
                let index = text.get(at + 1..end).unwrap_or_default();
                let index = index
                    .parse()
                    .map_err(|_| (at + 1, format!("{index:?} is not an index; use a number")))?;
                steps.push(Step::Index(index));
                at = end + 1;
            }
            match bytes.get(at) {
                None => return Ok(JsonPath(steps)),
                Some(b'.') => at += 1,
                Some(_) => {
                    return Err((
                        at,
                        "only '.' or '[' may follow a key; put other names in quotes".to_owned(),
                    ));
                }
            }
        }
    }

    /// Where in the text the value stands; the text must be valid JSON.
    pub fn find(&self, text: &str) -> Option<Place> {
        let trimmed = text.trim_end();
        let start = text.len() - text.trim_start().len();
        let kind = match text.as_bytes().get(start)? {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            _ => return None,
        };
        let mut place = (kind, start..trimmed.len());
        for step in &self.0 {
            let (kind, range) = place;
            let part = text.get(range.clone())?;
            let (kind, inner) = match step {
                Step::Key(key) if kind == Kind::Object => member(part, key)?,
                Step::Index(index) if kind == Kind::Array => element(part, *index)?,
                _ => return None,
            };
            place = (kind, range.start + inner.start..range.start + inner.end);
        }
        Some(place)
    }
}

/// A member of the outermost object. Of a key given twice the last wins, as in Go.
pub(crate) fn member(text: &str, name: &str) -> Option<Place> {
    let mut last = None;
    json_scan::members(text.as_bytes(), 1, &mut |member| {
        let key = text.get(member.key).unwrap_or_default();
        let same = key == name
            || (key.contains('\\') && json_scan::unescape(key).is_some_and(|key| key == name));
        if same {
            last = Some((member.kind, member.value));
        }
        Flow::Go
    });
    last
}

/// A path whose keys are simply joined by dots.
pub(crate) fn dotted(text: &str, name: &str) -> Option<Place> {
    JsonPath(name.split('.').map(|key| Step::Key(key.to_owned())).collect()).find(text)
}

fn element(text: &str, index: i64) -> Option<Place> {
    let all = json_scan::elements(text.as_bytes());
    let at = if index < 0 {
        all.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    all.into_iter().nth(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(path: &str, expect: &str) {
        let text = r#" {"a":{"b":[1,{"c":"x"},[2,3]]},"d e":{"f.g":true},"n":null,"n":7} "#;
        let shown = match JsonPath::parse(path) {
            Ok(path) => path
                .find(text)
                .map_or("none".to_owned(), |(kind, range)| format!("{kind:?} {}", &text[range])),
            Err((at, message)) => format!("{at}: {message}"),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn finds() {
        check("a.b[0]", "Number 1");
        check("a.b[1].c", "Text x");
        check("a.b[-1][1]", "Number 3");
        check("a.b[9]", "none");
        check("a.b[-9]", "none");
        check("a.b.c", "none");
        check("a.b", r#"Array [1,{"c":"x"},[2,3]]"#);
        check(r#""d e"."f.g""#, "Bool true");
        check("n", "Number 7");
        check("x", "none");
        check("[0]", "none");
    }

    #[test]
    fn refuses() {
        check(
            "a.*",
            "2: '*' is not supported in a path; use names, \"quoted names\", [index] and '.'",
        );
        check("a | b", "1: only '.' or '[' may follow a key; put other names in quotes");
        check("length(a)", "6: only '.' or '[' may follow a key; put other names in quotes");
        check("a[b]", "2: \"b\" is not an index; use a number");
        check("a.", "2: a key is missing");
        check("a[0", "1: '[' is not closed");
        check("\"a", "0: quoted key is not closed");
    }

    proptest! {
        #[test]
        fn never_panics(path in "[a\\[\\]0.\"@é-]{0,12}", text in "[{}\\[\\]a\":,0é ]{0,30}") {
            if let Ok(path) = JsonPath::parse(&path) {
                path.find(&text);
            }
        }
    }
}
