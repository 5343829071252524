//! What holds for every text that is taken for a query, a template or a regular expression.

use std::collections::BTreeMap;
use std::sync::Arc;

use stockade::limits::QUERY_BYTES_MAX;
use stockade::query::syntax::{parse, pretty};
use stockade::text::re2;
use stockade::text::template::{Functions, Template, Value};

/// A query that parses prints as a query that parses to the same tree, on one line and on several.
pub fn query(text: &str) {
    match parse(text) {
        Ok(expr) => {
            for printed in [expr.to_string(), pretty(&expr)] {
                match parse(&printed) {
                    Ok(again) => assert_eq!(again, expr, "{printed}"),
                    // `1 / 0` is worked out to a number that has no literal, and quotes make a
                    // query longer than there may be one.
                    Err(error) => assert!(
                        printed.contains("NaN")
                            || printed.contains("Inf")
                            || printed.len() >= QUERY_BYTES_MAX,
                        "{error}\n{printed}"
                    ),
                }
            }
        }
        Err(error) => {
            assert!(error.start <= error.end && error.end <= text.len());
            assert!(error.caret(text).contains('^'));
        }
    }
}

/// Templates of every dialect end, parsed and rendered.
pub fn template(source: &str) {
    let fields = BTreeMap::from([
        ("level".to_owned(), Value::Str("error".into())),
        ("status".to_owned(), Value::Int(500)),
        ("items".to_owned(), Value::list(vec!["a".into(), Value::Float(0.5)])),
        ("nothing".to_owned(), Value::Nil),
    ]);
    let data = Value::Map(Arc::new(fields));
    for functions in
        [Functions::LogQl, Functions::Promtail, Functions::Rule, Functions::Notification]
    {
        if let Ok(template) = Template::parse(source, functions) {
            let _ = template.render(&data);
        }
    }
}

/// The literals that a pattern is said to need are in every text that it matches.
/// The input is a pattern, a line break, and a text.
pub fn regex(input: &str) {
    let (pattern, text) = input.split_once('\n').unwrap_or((input, ""));
    if let Ok(regex) = re2::compile(pattern)
        && regex.is_match(text)
    {
        assert!(re2::required_literals(pattern).may_match(text), "{pattern:?} on {text:?}");
    }
}
