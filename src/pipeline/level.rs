//! Level words: which there are, what they normalize to, and the earliest one in a text, as
//! Loki's distributor finds it. Runs over every line, so it must not allocate.

use crate::model::Text;

pub const TRACE: Text = Text::from_static("trace");
pub const DEBUG: Text = Text::from_static("debug");
pub const INFO: Text = Text::from_static("info");
pub const WARN: Text = Text::from_static("warn");
pub const ERROR: Text = Text::from_static("error");
pub const CRITICAL: Text = Text::from_static("critical");
pub const FATAL: Text = Text::from_static("fatal");
pub const UNKNOWN: Text = Text::from_static("unknown");

/// Loki's normalization of a level value; `None` for values it does not know.
pub fn normalize(value: &[u8]) -> Option<Text> {
    let is = |word: &str| value.eq_ignore_ascii_case(word.as_bytes());
    let level = match value.first()?.to_ascii_lowercase() {
        b't' if is("trace") || is("trc") => TRACE,
        b'd' if is("debug") || is("dbg") => DEBUG,
        b'i' if is("info") || is("inf") || is("information") => INFO,
        b'w' if is("warn") || is("wrn") || is("warning") => WARN,
        b'e' if is("error") || is("err") => ERROR,
        b'c' if is("critical") => CRITICAL,
        b'f' if is("fatal") => FATAL,
        _ => return None,
    };
    Some(level)
}

/// What else programs write where a level belongs: syslog words, Java's and .NET's names, and
/// the numbers of pino and bunyan. Only `parse: auto` knows these; Loki does not.
pub fn normalize_more(value: &[u8]) -> Option<Text> {
    if let Some(level) = normalize(value) {
        return Some(level);
    }
    let is = |word: &str| value.eq_ignore_ascii_case(word.as_bytes());
    let level = match value.first()?.to_ascii_lowercase() {
        b'1' if is("10") => TRACE,
        b'2' if is("20") => DEBUG,
        b'3' if is("30") => INFO,
        b'4' if is("40") => WARN,
        b'5' if is("50") => ERROR,
        b'6' if is("60") => FATAL,
        b'a' if is("alert") => CRITICAL,
        b'c' if is("crit") => CRITICAL,
        b'd' if is("dpanic") => ERROR,
        b'e' if is("emerg") || is("emergency") => FATAL,
        b'f' if is("fine") => DEBUG,
        b'f' if is("finer") || is("finest") => TRACE,
        b'l' if is("log") => INFO,
        b'n' if is("notice") => INFO,
        b'p' if is("panic") => FATAL,
        b's' if is("severe") => ERROR,
        b'v' if is("verbose") => DEBUG,
        _ => return None,
    };
    Some(level)
}

/// Whether a text is nothing but a level word; such a value cannot hold anything private.
pub fn is_level_word(value: &str) -> bool {
    normalize_more(value.as_bytes()).is_some() || value.eq_ignore_ascii_case("unknown")
}

/// A colon on the left makes the word part of a compound (`misc:error`), so it is missing here.
const fn left_bounds(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'[' | b'(' | b'{' | b'"' | b'\'' | b'=' | b'|')
}

fn right_bounds(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t'
            | b'\n'
            | b'['
            | b']'
            | b'('
            | b')'
            | b'{'
            | b'}'
            | b':'
            | b','
            | b'!'
            | b'"'
            | b'\''
            | b'='
            | b'|'
    )
}

/// First three letters of each family and the words that begin with them.
static FAMILIES: [(&[u8; 3], &[&str], Text); 7] = [
    (b"tra", &["trace"], TRACE),
    (b"deb", &["debug"], DEBUG),
    (b"fat", &["fatal"], FATAL),
    (b"cri", &["critical"], CRITICAL),
    (b"err", &["error", "err"], ERROR),
    (b"war", &["warning", "warn"], WARN),
    (b"inf", &["info"], INFO),
];

/// For each byte: bit 0 when a word may stand behind it, bit 1 when a level word may begin with it.
static CLASSES: [u8; 256] = {
    let mut classes = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if left_bounds(b) {
            classes[byte] |= 1;
        }
        if matches!(b | 0x20, b't' | b'd' | b'f' | b'c' | b'e' | b'w' | b'i')
            && b.is_ascii_alphabetic()
        {
            classes[byte] |= 2;
        }
        byte += 1;
    }
    classes
};

/// The level that a text begins with, if a word of its own names it.
fn word(rest: &[u8]) -> Option<Text> {
    let prefix = rest.get(..3)?;
    let (_, words, level) =
        FAMILIES.iter().find(|(family, _, _)| prefix.eq_ignore_ascii_case(&family[..]))?;
    words
        .iter()
        .any(|word| {
            rest.get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()))
                && rest.get(word.len()).is_none_or(|b| right_bounds(*b))
        })
        .then(|| level.clone())
}

/// The earliest level word that stands alone in the text. One table look-up a byte: looking at
/// the starts of words alone is faster than a vectorized search for the words.
pub fn first_word(line: &[u8]) -> Option<Text> {
    let mut before = 1;
    for (at, byte) in line.iter().enumerate() {
        let class = CLASSES[usize::from(*byte)];
        if before & (class >> 1) & 1 != 0
            && let Some(level) = line.get(at..).and_then(word)
        {
            return Some(level);
        }
        before = class;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(line: &str, expect: &str) {
        let found = first_word(line.as_bytes()).unwrap_or(UNKNOWN);
        assert_eq!(found.as_str(), expect, "{line:?}");
    }

    #[test]
    fn earliest_word() {
        check("[ERROR] x", "error");
        check("misc:error y", "unknown");
        check("WARNING: q", "warn");
        check("info then error", "info");
        check("informational error", "error");
        check("errors err", "error");
        check("x err", "error");
        check("terror errand", "unknown");
        check("a=fatal", "fatal");
        check("a (CRITICAL) info", "critical");
        check("\ttrace!", "trace");
        check("debug.go:12 warn", "warn");
        check("notice", "unknown");
        check("wrn dbg inf", "unknown");
        check("eRrOr", "error");
        check("", "unknown");
        check("err", "error");
        check("war", "unknown");
        check("Ünfo über info", "info");
        check(
            "a rather long line without any of them until the very end, where there is | Debug |",
            "debug",
        );
    }

    #[test]
    fn normalizes_values() {
        for (value, expect) in [
            ("TRC", "trace"),
            ("dbg", "debug"),
            ("Information", "info"),
            ("INF", "info"),
            ("wrn", "warn"),
            ("Warning", "warn"),
            ("err", "error"),
            ("CRITICAL", "critical"),
            ("fatal", "fatal"),
        ] {
            assert_eq!(normalize(value.as_bytes()).unwrap().as_str(), expect);
        }
        assert_eq!(normalize(b"notice"), None);
        assert_eq!(normalize(b""), None);
        assert_eq!(normalize_more(b"NOTICE"), Some(INFO));
        assert!(is_level_word("Unknown") && !is_level_word("error 5"));
    }

    /// Loki's own way: the first bounded place of each word, then the least of them.
    fn slow(line: &str) -> &'static str {
        let lower = line.to_ascii_lowercase();
        let bytes = lower.as_bytes();
        let words = [
            ("trace", "trace"),
            ("debug", "debug"),
            ("fatal", "fatal"),
            ("critical", "critical"),
            ("error", "error"),
            ("err", "error"),
            ("warning", "warn"),
            ("warn", "warn"),
            ("info", "info"),
        ];
        let mut best = (usize::MAX, "unknown");
        for (word, level) in words {
            let place = lower.match_indices(word).map(|(at, _)| at).find(|at| {
                at.checked_sub(1).is_none_or(|left| left_bounds(bytes[left]))
                    && bytes.get(at + word.len()).is_none_or(|b| right_bounds(*b))
            });
            if let Some(at) = place
                && at < best.0
            {
                best = (at, level);
            }
        }
        best.1
    }

    proptest! {
        #[test]
        fn same_as_the_slow_way(
            line in "([ :=|a\\[]{0,3}(trace|DEBUG|Fatal|critical|error|err|warning|warn|INFO|x|é)[ :=,s\\]]{0,2}){0,8}"
        ) {
            let found = first_word(line.as_bytes()).unwrap_or(UNKNOWN);
            prop_assert_eq!(found.as_str(), slow(&line));
        }
    }
}
