//! Parsers against a JSON library, and against lines that no parser expects.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::model::{Labels, Timestamp};
use crate::query::syntax;
use crate::query::syntax::ast::Expr;

fn worker(pipeline: &str) -> Worker {
    let Ok(Expr::Log(log)) = syntax::parse(&format!("{{a=\"b\"}} {pipeline}")) else {
        panic!("not a pipeline: {pipeline}");
    };
    let mut worker = Pipeline::compile(&log.stages).unwrap().worker();
    worker.set_stream(&Labels::from_pairs([("a", "b")]));
    worker
}

fn run<'a>(worker: &'a mut Worker, line: &'a str) -> Option<Row<'a>> {
    worker.run(Timestamp(0), line, std::iter::empty::<(&str, &str)>())
}

/// What `| json` makes of an object, the obvious way. First of equal names wins.
fn flatten(object: &Map<String, Value>, prefix: &str, labels: &mut BTreeMap<String, String>) {
    for (key, value) in object {
        let part: String = key
            .trim()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' })
            .collect();
        let digit = part.starts_with(|c: char| c.is_ascii_digit());
        let name = match (prefix, part.as_str()) {
            (_, "") => prefix.to_owned(),
            ("", _) if digit => format!("_{part}"),
            ("", _) => part,
            _ => format!("{prefix}_{part}"),
        };
        let text = match value {
            Value::Object(inner) => {
                flatten(inner, &name, labels);
                continue;
            }
            Value::String(text) => text.replace('\u{fffd}', " "),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null | Value::Array(_) => continue,
        };
        // A key of blanks alone names nothing.
        if name.is_empty() || key.trim().is_empty() && prefix.is_empty() {
            continue;
        }
        let name = if name == "a" { "a_extracted".to_owned() } else { name };
        labels.entry(name).or_insert(text);
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\\n\t {}\\[\\]:,\u{e9}\u{fffd}\u{1f680}]{0,24}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[ab1. \"\\\\-]{0,3}", inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_equals_a_library(members in prop::collection::vec(("[a-c1. ]{0,3}", json()), 0..6),
        pretty in any::<bool>()) {
        let object: Map<String, Value> = members.into_iter().collect();
        let mut expect = BTreeMap::new();
        flatten(&object, "", &mut expect);
        let value = Value::Object(object);
        let line = if pretty { format!("{value:#}") } else { value.to_string() };
        let mut worker = worker("| json");
        let row = run(&mut worker, &line).unwrap();
        prop_assert_eq!(row.error(), None, "{}", line);
        let found: BTreeMap<String, String> = row.category(Category::Parsed).into_iter().collect();
        prop_assert_eq!(found, expect, "{}", line);
    }

    #[test]
    fn no_line_is_too_odd(line in "(\\PC|[\"{}\\[\\]\\\\:,=<>\n\t]){0,80}") {
        for pipeline in [
            "| json", r#"| json x="a[0].b", y="c""#, "| logfmt", "| logfmt --strict --keep-empty",
            "| logfmt x=\"a\"", r#"| regexp "(?P<x>a+)(?P<y>b)?""#, "| pattern \"<x>=<y>,<_>\"",
            "| unpack", "| decolorize", "| json | logfmt | unpack | x > 5 | y = ip(\"::1\")",
            "| line_format \"{{.a}}{{ __line__ }}\" | json | label_format x=\"{{.a}}\", z=a",
            "|= ip(\"10.0.0.0/8\")", "|> \"<_>a<_>\"", "| json | keep x | drop y",
        ] {
            let mut worker = worker(pipeline);
            if let Some(row) = run(&mut worker, &line) {
                let _ = (row.line().len(), row.all_labels(), row.category(Category::Parsed));
            }
        }
    }
}

#[track_caller]
fn check(pipeline: &str, line: &str, expect: Option<(&str, &[(&str, &str)])>) {
    let mut worker = worker(pipeline);
    let found =
        run(&mut worker, line).map(|row| (row.line().to_owned(), row.category(Category::Parsed)));
    let expect = expect.map(|(line, labels)| {
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        (line.to_owned(), labels.collect::<Vec<_>>())
    });
    assert_eq!(found, expect, "{pipeline}");
}

#[test]
fn parsed_labels_survive_a_new_line() {
    check(
        r#"| json | line_format "{{.x}}={{.y}}" | logfmt"#,
        r#"{"x":"k","y":"v\u0021"}"#,
        Some(("k=v!", &[("k", "v!"), ("x", "k"), ("y", "v!")])),
    );
    check(
        r#"| line_format "{\"p\":\"{{.a}}\"}" | json | line_format "{{.p}}""#,
        "anything",
        Some(("b", &[("p", "b")])),
    );
}

#[test]
fn filters_end_parsing_early_only_where_that_changes_nothing() {
    let line = r#"{"level":"info","status":500}"#;
    check(r#"| json | level="error""#, line, None);
    check(
        r#"| json | label_format level="error" | level="error" | keep level"#,
        line,
        Some((line, &[("level", "error")])),
    );
    check(
        r#"| json | drop level | level="" | keep status"#,
        line,
        Some((line, &[("status", "500")])),
    );
    check(
        r#"| json | level="error" or status=500 | keep status"#,
        line,
        Some((line, &[("status", "500")])),
    );
    check(
        r#"| json | json level="status" | level="500" | keep level"#,
        line,
        Some((line, &[("level", "500")])),
    );
}

#[test]
fn deep_nesting_ends_with_an_error() {
    let line = format!("{}1{}", r#"{"a":"#.repeat(5000), "}".repeat(5000));
    let mut worker = worker("| json");
    let row = run(&mut worker, &line).unwrap();
    assert_eq!(row.error(), Some("JSONParserErr"));
    let path = vec!["a"; 60].join(".");
    let mut worker = self::worker(&format!("| json x=\"{path}\""));
    let row = run(&mut worker, &line).unwrap();
    assert!(row.get("x").is_some_and(|value| value.starts_with('{')));
}
