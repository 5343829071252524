//! The literals that a pattern is said to need are in every text that it matches.
//! The input is a pattern, a line break, and a text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stockade::text::re2;

fuzz_target!(|input: &str| {
    let (pattern, text) = input.split_once('\n').unwrap_or((input, ""));
    if let Ok(regex) = re2::compile(pattern)
        && regex.is_match(text)
    {
        assert!(re2::required_literals(pattern).may_match(text), "{pattern:?} on {text:?}");
    }
});
