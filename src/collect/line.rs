//! Bytes of a line to text.

use bytes::Bytes;

use crate::limits::LINE_BYTES_MAX;
use crate::model::{Entry, Text, Timestamp};

/// Ends a line that was cut for length.
pub(super) const CUT_MARKER: &str = "...[cut]";

/// Metadata of a line that was cut, and of one whose bytes were not UTF-8.
const CUT_FLAG: (Text, Text) = (Text::from_static("truncated"), Text::from_static("true"));
const LOSSY_FLAG: (Text, Text) = (Text::from_static("encoding"), Text::from_static("lossy"));

/// Whether a line is all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Cut,
}

/// An entry from raw bytes: invalid UTF-8 is replaced and flagged, an overlong line is cut.
pub(super) fn entry(ts: Timestamp, raw: Bytes, extent: Extent) -> Entry {
    let (mut line, lossy) = match Text::from_utf8(raw.clone()) {
        Ok(line) => (line, false),
        Err(_) => (Text::from_bytes_lossy(raw), true),
    };
    let mut metadata = Vec::new();
    if extent == Extent::Cut || line.len() > LINE_BYTES_MAX {
        line = cut(&line);
        metadata.push(CUT_FLAG);
    }
    // A cut inside a character is not the writer's fault.
    if lossy && extent == Extent::Whole {
        metadata.push(LOSSY_FLAG);
    }
    Entry { ts, line, metadata }
}

/// Marks an entry one of whose lines had been cut.
pub(super) fn flag_cut(entry: &mut Entry) {
    if !entry.metadata.contains(&CUT_FLAG) {
        entry.metadata.push(CUT_FLAG);
    }
}

/// At most `LINE_BYTES_MAX`, marker included.
fn cut(line: &str) -> Text {
    let end = line.floor_char_boundary(LINE_BYTES_MAX - CUT_MARKER.len());
    let kept = line.get(..end).unwrap_or_default().trim_end_matches('\u{fffd}');
    Text::from(format!("{kept}{CUT_MARKER}"))
}

/// Without one line end, `\n` or `\r\n`.
pub(super) fn trim_end(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    raw.strip_suffix(b"\r").unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_what_it_changed() {
        let shown = |raw: &'static [u8], extent| {
            let entry = entry(Timestamp(1), Bytes::from_static(raw), extent);
            let flags: Vec<String> =
                entry.metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("{} {flags:?}", entry.line)
        };
        assert_eq!(shown(b"plain", Extent::Whole), "plain []");
        assert_eq!(shown(b"a\xffb", Extent::Whole), "a\u{fffd}b [\"encoding=lossy\"]");
        assert_eq!(shown(b"ab\xc3", Extent::Cut), "ab...[cut] [\"truncated=true\"]");
    }

    #[test]
    fn cuts_to_the_limit_on_a_character() {
        let long = "\u{e9}".repeat(LINE_BYTES_MAX);
        let entry = entry(Timestamp(1), Bytes::from(long), Extent::Whole);
        assert!(entry.line.len() <= LINE_BYTES_MAX && entry.line.len() > LINE_BYTES_MAX - 4);
        assert!(entry.line.ends_with(CUT_MARKER));
    }

    #[test]
    fn trims_one_line_end() {
        for (raw, expect) in
            [("a\r\n", "a"), ("a\n", "a"), ("a\r", "a"), ("a\n\n", "a\n"), ("\n", ""), ("", "")]
        {
            assert_eq!(trim_end(raw.as_bytes()), expect.as_bytes());
        }
    }
}
