//! Trace ids in lines of any format: `"trace_id":"..."`, `traceID=...`, `dd.trace_id`,
//! `otelTraceID`, `[trace-id: ...]` and W3C `traceparent`. One vectorized search for the letters that
//! all these names share; nothing is allocated.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

static NEEDLE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("race"));

/// Whether a text is a W3C trace id: 32 hex digits, not all zero.
pub fn is_trace_id(text: &str) -> bool {
    text.len() == 32
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && text.bytes().any(|b| b != b'0')
}

/// The place of the first trace id that a name announces.
pub fn find(line: &str) -> Option<Range<usize>> {
    let bytes = line.as_bytes();
    let mut from = 0;
    while let Some(found) = NEEDLE.find(bytes.get(from..)?) {
        let at = from + found;
        from = at + 4;
        let named = at.checked_sub(1).and_then(|t| bytes.get(t)).is_some_and(|t| *t | 0x20 == b't');
        if named && let Some(range) = after_name(line, from) {
            return Some(range);
        }
    }
    None
}

/// At the end of `trace`: the rest of the name, what stands between name and value, the value.
fn after_name(line: &str, at: usize) -> Option<Range<usize>> {
    let bytes = line.as_bytes();
    let has = |at: usize, word: &[u8]| {
        bytes.get(at..at + word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    if has(at, b"parent") {
        let start = skip_between(bytes, at + 6)?;
        if !has(start, b"00-") || bytes.get(start + 35) != Some(&b'-') {
            return None;
        }
        return id_at(line, start + 3);
    }
    let separator = usize::from(matches!(bytes.get(at), Some(b'_' | b'-' | b'.' | b' ')));
    if !has(at + separator, b"id") {
        return None;
    }
    id_at(line, skip_between(bytes, at + separator + 2)?)
}

/// Quotes, `:` and `=`, also escaped as in JSON inside a string; a few bytes at most.
fn skip_between(bytes: &[u8], at: usize) -> Option<usize> {
    let between = bytes
        .get(at..)?
        .iter()
        .take(8)
        .take_while(|b| matches!(b, b'"' | b'\'' | b':' | b'=' | b' ' | b'\\' | b'[' | b'>'))
        .count();
    (between > 0).then_some(at + between)
}

fn id_at(line: &str, start: usize) -> Option<Range<usize>> {
    let bytes = line.as_bytes();
    let range = start..start + 32;
    let ends = bytes.get(range.end).is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'_');
    (ends && is_trace_id(line.get(range.clone())?)).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[track_caller]
    fn check(before: &str, after: &str) {
        let line = format!("{before}{ID}{after}");
        assert_eq!(find(&line).map(|range| line[range].to_owned()).as_deref(), Some(ID), "{line}");
    }

    #[track_caller]
    fn check_none(line: &str) {
        assert_eq!(find(line), None, "{line}");
    }

    #[test]
    fn finds() {
        check(r#"{"trace_id":""#, r#""}"#);
        check(r#"{"a":1, "traceId" : ""#, r#"","b":2}"#);
        check(r#"{"trace.id":""#, r#""}"#);
        check(r#"{"dd.trace_id": ""#, r#""}"#);
        check(r#"{"otelTraceID":""#, r#""}"#);
        check(r#"{"msg":"{\"traceID\":\""#, r#"\"}"}"#);
        check("level=info traceID=", " msg=x");
        check("level=info trace_id=\"", "\"");
        check("[trace-id: ", "] GET /");
        check("X-B3-TraceId: ", "");
        check("Stack trace here, trace_id=", "");
        check("traceparent: 00-", "-00f067aa0ba902b7-01");
        check(r#""traceparent":"00-"#, r#"-00f067aa0ba902b7-01""#);
    }

    #[test]
    fn finds_nothing() {
        check_none("");
        check_none("trace");
        check_none("trace_id=");
        check_none("trace_id=abc");
        check_none("trace_id=00000000000000000000000000000000");
        check_none("trace_id=4bf92f3577b34da6a3ce929d0e0e47361");
        check_none("trace_id=4bf92f3577b34da6a3ce929d0e0e473g");
        check_none("grace_id=4bf92f3577b34da6a3ce929d0e0e4736");
        check_none("traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736");
        check_none("race");
    }

    proptest! {
        #[test]
        fn never_panics(line in "(trace|parent|id|=|\"|:|00-|é|[0-9a-f]{32}){0,8}") {
            if let Some(range) = find(&line) {
                prop_assert!(is_trace_id(&line[range]));
            }
        }
    }
}
