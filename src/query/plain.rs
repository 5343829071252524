//! Plain words to LogQL, for people who search and do not query.
//!
//! ```text
//! search = { term } .
//! term   = [ "-" ] ( phrase | field | word ) .      "-": must not be there
//! phrase = '"' text '"' .                           stays together
//! field  = name ":" ( phrase | text ) .             a label, metadata, or a field of JSON or logfmt
//! word   = text without white space .
//! ```
//!
//! All terms must hold. Words and phrases are found anywhere in the line, in any case. `level`
//! (or `severity`) is the detected level, `service` the service's name. A name that LogQL has
//! for itself (`by:x`) makes the term a word.

use std::fmt::Write as _;

use crate::model::quote;

use super::syntax;

const EVERYTHING: &str = "service_name=~\".+\"";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term<'a> {
    negative: bool,
    kind: Kind<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind<'a> {
    Text(&'a str),
    Field { name: String, value: &'a str },
}

/// Whether a text is LogQL already.
pub fn is_logql(text: &str) -> bool {
    let trimmed = text.trim_start();
    trimmed.starts_with(['{', '('])
        || (trimmed.contains('{') && trimmed.contains('('))
        || (trimmed.contains('(') && syntax::parse(text).is_ok())
}

/// The query that plain words stand for, over all streams.
pub fn to_logql(text: &str) -> String {
    let terms = terms(text);
    let mut matchers = vec![];
    let mut lines = String::new();
    let mut fields = String::new();
    let mut parsers = "";
    for Term { negative, kind } in &terms {
        let equals = if *negative { "!=" } else { "=" };
        match kind {
            Kind::Text(text) => {
                let op = if *negative { "!~" } else { "|~" };
                let pattern = format!("(?i){}", regex::escape(text));
                let _ = write!(lines, " {op} {}", quote(&pattern));
            }
            Kind::Field { name, value } if name == "service" => {
                matchers.push(format!("service_name{equals}{}", quote(value)));
            }
            Kind::Field { name, value } if name == "level" || name == "severity" => {
                let _ = write!(fields, " | detected_level{equals}{}", quote(&level(value)));
            }
            Kind::Field { name, value } => {
                parsers = " | json | logfmt | drop __error__, __error_details__";
                let _ = write!(fields, " | {name}{equals}{}", quote(value));
            }
        }
    }
    if !matchers.iter().any(|matcher| !matcher.contains("!=")) {
        matchers.push(EVERYTHING.to_owned());
    }
    format!("{{{}}}{lines}{parsers}{fields}", matchers.join(", "))
}

/// What detection makes of the usual spellings.
fn level(value: &str) -> String {
    let lower = value.to_lowercase();
    match lower.as_str() {
        "warning" | "wrn" => "warn".to_owned(),
        "err" => "error".to_owned(),
        "information" | "inf" => "info".to_owned(),
        "dbg" => "debug".to_owned(),
        "trc" => "trace".to_owned(),
        _ => lower,
    }
}

fn terms(text: &str) -> Vec<Term<'_>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let bare = rest.strip_prefix('-').filter(|b| b.starts_with(|c: char| !c.is_whitespace()));
        let (negative, bare) = bare.map_or((false, rest), |bare| (true, bare));
        let (kind, after) = phrase(bare)
            .map(|(text, after)| (Kind::Text(text), after))
            .or_else(|| field(bare))
            .unwrap_or_else(|| {
                let (text, after) = word(bare);
                (Kind::Text(text), after)
            });
        found.push(Term { negative, kind });
        rest = after.trim_start();
    }
    found
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

fn phrase(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('"')?.split_once('"').filter(|(inner, _)| !inner.is_empty())
}

fn field(text: &str) -> Option<(Kind<'_>, &str)> {
    let (name, rest) = text.split_once(':')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    // `http://...` is no field of the name `http`.
    if !is_name || rest.starts_with("//") {
        return None;
    }
    let name = name.replace('.', "_");
    if syntax::parse(&format!("{{a=\"b\"}} | {name}=\"c\"")).is_err() {
        return None;
    }
    let (value, after) = phrase(rest).unwrap_or_else(|| word(rest));
    (!value.is_empty()).then_some((Kind::Field { name, value }, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::sync::Arc;

    use super::*;
    use crate::model::{Entry, Labels, Text, TimeRange, Timestamp};
    use crate::query::{Direction, Engine, PageQuery, QueryContext, QueryLimits, Ties};
    use crate::store::read::{Cancel, MemoryLogs};

    #[test]
    fn translations() {
        for (text, logql) in [
            ("", r#"{service_name=~".+"}"#),
            (
                r#"some "exact phrase" -not"#,
                r#"{service_name=~".+"} |~ "(?i)some" |~ "(?i)exact phrase" !~ "(?i)not""#,
            ),
            ("level:Warning", r#"{service_name=~".+"} | detected_level="warn""#),
            ("service:api x", r#"{service_name="api"} |~ "(?i)x""#),
            ("-service:api", r#"{service_name!="api", service_name=~".+"}"#),
            (
                r#"http.status:500 -user:"a b""#,
                r#"{service_name=~".+"} | json | logfmt | drop __error__, __error_details__ | http_status="500" | user!="a b""#,
            ),
            ("http://x.y/z", r#"{service_name=~".+"} |~ "(?i)http://x\\.y/z""#),
            (
                "by:x 10:30 a: - \"",
                r#"{service_name=~".+"} |~ "(?i)by:x" |~ "(?i)10:30" |~ "(?i)a:" |~ "(?i)\\-" |~ "(?i)\"""#,
            ),
        ] {
            assert_eq!(to_logql(text), logql, "{text:?}");
            assert!(syntax::parse(&to_logql(text)).is_ok(), "{text:?}");
        }
        assert!(is_logql(r#"{a="b"} |= "c""#) && is_logql("sum(rate({a=\"b\"}[1m]))"));
        assert!(!is_logql("plain (words)") && !is_logql(""));
    }

    /// The search as its description has it, without LogQL.
    fn naive(text: &str, labels: &Labels, entry: &Entry) -> bool {
        terms(text).iter().all(|term| {
            let holds = match &term.kind {
                Kind::Text(text) => entry.line.to_lowercase().contains(&text.to_lowercase()),
                Kind::Field { name, value } => {
                    let name = match name.as_str() {
                        "service" => "service_name",
                        "level" => "detected_level",
                        other => other,
                    };
                    let value =
                        if name == "detected_level" { level(value) } else { (*value).to_owned() };
                    let metadata = entry.metadata.iter().find(|(n, _)| n.as_str() == name);
                    let json = serde_json::from_str::<serde_json::Value>(&entry.line).ok();
                    let logfmt = entry.line.split(' ').find_map(|pair| {
                        pair.strip_prefix(name)?.strip_prefix('=').map(ToOwned::to_owned)
                    });
                    let found = labels
                        .get(name)
                        .map(ToOwned::to_owned)
                        .or(metadata.map(|(_, v)| v.to_string()))
                        .or(json.and_then(|j| j[name].as_str().map(ToOwned::to_owned)))
                        .or(logfmt);
                    found.unwrap_or_default() == value
                }
            };
            holds != term.negative
        })
    }

    fn any_line() -> impl Strategy<Value = String> {
        prop_oneof![
            "[abAB \"x:.-]{0,10}",
            "(k|user)=(a|b|Ab) (k|z)=(a|b)",
            "(a|b)".prop_map(|v| format!(r#"{{"k":"{v}","user":"{v}b"}}"#)),
        ]
    }

    fn any_search() -> impl Strategy<Value = String> {
        let term = prop_oneof![
            "-?[abAB.x]{1,3}",
            "-?\"[abAB ]{1,4}\"",
            "-?(k|user|z):(a|b|ab)",
            "-?level:(error|Warning)",
            "-?service:(s1|s2)",
            "[-a:\"]{1,4}",
        ];
        prop::collection::vec(term, 0..4).prop_map(|terms| terms.join(" "))
    }

    proptest! {
        #[test]
        fn finds_what_its_description_says(
            lines in prop::collection::vec((any_line(), 0..2usize, any::<bool>()), 1..12),
            search in any_search(),
        ) {
            let mut logs = MemoryLogs::default();
            let mut expect = Vec::new();
            for (at, (line, stream, is_error)) in lines.into_iter().enumerate() {
                let labels = Labels::from_pairs([("service_name", ["s1", "s2"][stream])]);
                let level = if is_error { "error" } else { "warn" };
                let entry = Entry {
                    ts: Timestamp(at as i64 + 1),
                    line: Text::from(line),
                    metadata: vec![("detected_level".into(), level.into())],
                };
                if naive(&search, &labels, &entry) {
                    expect.push(entry.line.to_string());
                }
                logs.add("t", &labels, entry);
            }
            let logql = to_logql(&search);
            let log = syntax::parse_log(&logql).map_err(|error| TestCaseError::fail(format!("{logql}: {error}")))?;
            let context = QueryContext {
                tenant: "t".to_owned(), cancel: Cancel::default(), limits: QueryLimits::default(),
            };
            let query = PageQuery {
                log: &log,
                range: TimeRange::new(Timestamp(0), Timestamp(100)),
                direction: Direction::Forward,
                lines_max: 100,
                bytes_max: 1 << 20,
                ties: Ties::Whole,
                stream: None,
            };
            let page = Engine::new(Arc::new(logs)).page(&query, &context).unwrap();
            let found: Vec<String> = page.rows.into_iter().map(|row| row.line).collect();
            prop_assert_eq!(found, expect, "{} is {}", search, logql);
        }
    }
}
