//! A query that parses must print as a query that parses to the same tree.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stockade::query::syntax::{parse, pretty};

fuzz_target!(|query: &str| match parse(query) {
    Ok(expr) => {
        let line = expr.to_string();
        // `1 / 0` is worked out to a number that has no literal.
        if line.contains("NaN") || line.contains("Inf") {
            return;
        }
        assert_eq!(parse(&line).as_ref(), Ok(&expr), "{line}");
        let lines = pretty(&expr);
        assert_eq!(parse(&lines).as_ref(), Ok(&expr), "{lines}");
    }
    Err(error) => {
        assert!(error.start <= error.end && error.end <= query.len());
        assert!(error.caret(query).contains('^'));
    }
});
