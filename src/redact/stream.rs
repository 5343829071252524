//! Redaction of text that is read from one side and written to the other.

use std::io::{self, BufRead, Write};

use super::redactor::Redactor;
use crate::limits;

/// How often each rule matched, without rules that did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleCounts {
    pub rules: Vec<(String, u64)>,
    pub lines: u64,
    pub lines_touched: u64,
    pub errors: u64,
}

/// A line as read: its text, whether it was cut, and what ended it.
struct Line {
    text: String,
    newline: &'static str,
}

impl Redactor {
    /// Copies `reader` to `writer` line by line. Lines over the limit lose their end, so that no
    /// part of a line is written that no rule has seen.
    pub fn redact_stream(
        &self,
        mut reader: impl BufRead,
        mut writer: impl Write,
    ) -> io::Result<RuleCounts> {
        let mut tally = self.tally();
        let mut counts = RuleCounts::default();
        let mut open = None;
        while let Some(line) = read_line(&mut reader)? {
            counts.lines += 1;
            match self.stream_line(&line.text, &mut open, &mut tally) {
                Some(text) => {
                    counts.lines_touched += u64::from(*text != *line.text);
                    writer.write_all(text.as_bytes())?;
                    writer.write_all(line.newline.as_bytes())?;
                }
                None => counts.lines_touched += 1,
            }
        }
        writer.flush()?;
        tally.lines = counts.lines_touched;
        self.settle(&tally);
        counts.errors = tally.errors;
        counts.rules = self
            .rule_names()
            .zip(&tally.rules)
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| (name.to_owned(), *count))
            .collect();
        Ok(counts)
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    let mut cut = false;
    let mut newline = "";
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            if bytes.is_empty() && !cut {
                return Ok(None);
            }
            break;
        }
        let end = memchr::memchr(b'\n', chunk);
        let line = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
        let room = limits::REDACT_LINE_BYTES_MAX.saturating_sub(bytes.len());
        cut |= line.len() > room;
        bytes.extend_from_slice(line.get(..room.min(line.len())).unwrap_or_default());
        let used = end.map_or(chunk.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            newline = "\n";
            break;
        }
    }
    if cut {
        // Half of a token is no longer seen as one: it goes as well.
        let tail = bytes.iter().rev().take(4096).take_while(|b| !b.is_ascii_whitespace()).count();
        bytes.truncate(bytes.len() - tail);
        bytes.extend_from_slice(b"<cut>");
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    Ok(Some(Line { text, newline }))
}
