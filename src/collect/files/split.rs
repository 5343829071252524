//! Blocks of a file to lines, with the offset of each. Holds at most one line.

use bytes::Bytes;
use memchr::memchr;

use super::encoding::Encoding;
use crate::collect::line::Extent;
use crate::limits::LINE_BYTES_MAX;

/// A line without having been decoded; the line end is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawLine {
    pub bytes: Bytes,
    /// Offset of its first byte in the file.
    pub start: u64,
    pub extent: Extent,
}

/// From where to read again without losing or repeating anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub offset: u64,
    /// The rest of a line that has been cut stands here and is to be left out.
    pub inside_cut_line: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Splitter {
    encoding: Encoding,
    /// The beginning of a line whose end has not been read.
    carry: Vec<u8>,
    /// Offset of the line that is being read.
    start: u64,
    /// Offset of the next byte that is pushed.
    next: u64,
    inside_cut_line: bool,
    /// Zero bytes left out at the beginning of lines: holes that a crash or a truncated file
    /// with a careless writer leaves.
    pub nul_bytes: u64,
}

impl Splitter {
    pub fn at(mark: Mark, encoding: Encoding) -> Self {
        Splitter {
            encoding,
            carry: Vec::new(),
            start: mark.offset,
            next: mark.offset,
            inside_cut_line: mark.inside_cut_line,
            nul_bytes: 0,
        }
    }

    pub fn next_offset(&self) -> u64 {
        self.next
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub fn mark(&self) -> Mark {
        if self.inside_cut_line {
            Mark { offset: self.next, inside_cut_line: true }
        } else {
            Mark { offset: self.start, inside_cut_line: false }
        }
    }

    /// Whether a line has begun and not ended.
    pub fn has_partial(&self) -> bool {
        !self.carry.is_empty()
    }

    /// Takes the next bytes of the file. In UTF-16 they are whole units.
    pub fn push(&mut self, block: &Bytes, lines: &mut Vec<RawLine>) {
        let mut at = 0;
        while at < block.len() {
            let rest = block.slice(at..);
            if self.carry.is_empty() && !self.inside_cut_line && self.encoding == Encoding::Utf8 {
                let nuls = rest.iter().take_while(|byte| **byte == 0).count();
                if nuls > 0 {
                    self.nul_bytes += nuls as u64;
                    self.start += nuls as u64;
                    at += nuls;
                    continue;
                }
            }
            match self.line_end(&rest) {
                Some(end) => {
                    self.line(rest.slice(..end), lines);
                    at += end;
                    self.start = self.next + at as u64;
                }
                None => {
                    self.partial(&rest, lines);
                    at = block.len();
                }
            }
        }
        self.next += block.len() as u64;
        if self.inside_cut_line {
            self.start = self.next;
        }
    }

    /// A piece that holds the end of the current line.
    fn line(&mut self, piece: Bytes, lines: &mut Vec<RawLine>) {
        if std::mem::take(&mut self.inside_cut_line) {
            return;
        }
        let (bytes, extent) = if self.carry.is_empty() {
            (piece, Extent::Whole)
        } else {
            let room = LINE_BYTES_MAX.saturating_sub(self.carry.len());
            let extent = if piece.len() > room { Extent::Cut } else { Extent::Whole };
            self.carry.extend_from_slice(&piece[..piece.len().min(room)]);
            (Bytes::from(std::mem::take(&mut self.carry)), extent)
        };
        lines.push(RawLine { bytes, start: self.start, extent });
    }

    /// A piece without the end of the current line.
    fn partial(&mut self, piece: &[u8], lines: &mut Vec<RawLine>) {
        if self.inside_cut_line {
            return;
        }
        let room = LINE_BYTES_MAX.saturating_sub(self.carry.len());
        if piece.len() <= room {
            self.carry.extend_from_slice(piece);
            return;
        }
        self.carry.extend_from_slice(&piece[..room]);
        let bytes = Bytes::from(std::mem::take(&mut self.carry));
        lines.push(RawLine { bytes, start: self.start, extent: Extent::Cut });
        self.inside_cut_line = true;
    }

    /// Where the current line ends in these bytes, its line end included.
    fn line_end(&self, bytes: &[u8]) -> Option<usize> {
        if self.encoding == Encoding::Utf8 {
            return memchr(b'\n', bytes).map(|at| at + 1);
        }
        let newline = self.encoding.newline();
        bytes.chunks_exact(2).position(|unit| unit == newline).map(|unit| (unit + 1) * 2)
    }

    /// The last line, when nothing will follow it.
    pub fn finish(&mut self) -> Option<RawLine> {
        let start = self.start;
        self.start = self.next;
        if self.carry.is_empty() {
            return None;
        }
        let bytes = Bytes::from(std::mem::take(&mut self.carry));
        Some(RawLine { bytes, start, extent: Extent::Whole })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZERO: Mark = Mark { offset: 0, inside_cut_line: false };

    fn split(text: &[u8], block_bytes: usize) -> (Vec<String>, Splitter) {
        let mut splitter = Splitter::at(ZERO, Encoding::Utf8);
        let mut lines = Vec::new();
        for block in text.chunks(block_bytes) {
            splitter.push(&Bytes::copy_from_slice(block), &mut lines);
        }
        let shown = lines
            .iter()
            .map(|line| format!("{}:{}", line.start, String::from_utf8_lossy(&line.bytes)))
            .collect();
        (shown, splitter)
    }

    #[test]
    fn lines_have_their_offsets_whatever_the_blocks() {
        let text = b"one\ntwo\r\n\n\0\0three\nrest";
        for block_bytes in 1..text.len() + 1 {
            let (lines, mut splitter) = split(text, block_bytes);
            assert_eq!(lines, ["0:one\n", "4:two\r\n", "9:\n", "12:three\n"]);
            assert_eq!(splitter.mark(), Mark { offset: 18, inside_cut_line: false });
            assert_eq!(splitter.nul_bytes, 2);
            assert_eq!(splitter.finish().unwrap().bytes, "rest");
            assert_eq!(splitter.mark().offset, 22);
        }
    }

    #[test]
    fn an_overlong_line_is_cut_at_once_and_its_rest_left_out() {
        let mut splitter = Splitter::at(ZERO, Encoding::Utf8);
        let mut lines = Vec::new();
        let block = Bytes::from(vec![b'x'; 60_000]);
        for _ in 0..100 {
            splitter.push(&block, &mut lines);
            assert!(splitter.carry.capacity() <= 2 * LINE_BYTES_MAX);
        }
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].bytes.len(), lines[0].extent), (LINE_BYTES_MAX, Extent::Cut));
        assert_eq!(splitter.mark(), Mark { offset: 6_000_000, inside_cut_line: true });
        // A reader that starts at the mark goes on in the same way.
        let mut resumed = Splitter::at(splitter.mark(), Encoding::Utf8);
        for splitter in [&mut splitter, &mut resumed] {
            lines.clear();
            splitter.push(&Bytes::from_static(b"xx\nnext\n"), &mut lines);
            assert_eq!(lines.len(), 1);
            assert_eq!((&lines[0].bytes[..], lines[0].start), (&b"next\n"[..], 6_000_003));
            assert_eq!(splitter.mark(), Mark { offset: 6_000_008, inside_cut_line: false });
        }
    }

    #[test]
    fn utf16_lines_end_at_whole_units() {
        // U+0A0A and U+000A: only the second is a line end.
        let text: Vec<u8> = "a\u{a0a}b\nc".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut splitter = Splitter::at(ZERO, Encoding::Utf16Le);
        let mut lines = Vec::new();
        for block in text.chunks(2) {
            splitter.push(&Bytes::copy_from_slice(block), &mut lines);
        }
        assert_eq!(lines.len(), 1);
        assert_eq!(Encoding::Utf16Le.decode(lines[0].bytes.clone()), "a\u{a0a}b\n");
        assert_eq!(splitter.mark().offset, 8);
    }

    proptest! {
        #[test]
        fn restarting_at_any_mark_changes_nothing(
            text in "[a\n]{0,200}",
            cuts in proptest::collection::vec(1usize..20, 1..20),
        ) {
            let bytes = Bytes::from(text.clone().into_bytes());
            let mut lines = Vec::new();
            let mut at = 0;
            let mut mark = ZERO;
            for cut in cuts.iter().cycle().take(400) {
                if at >= bytes.len() {
                    break;
                }
                // Each round is a new process that reads a little from the mark.
                let mut splitter = Splitter::at(mark, Encoding::Utf8);
                at = (at + cut).min(bytes.len());
                let from = usize::try_from(mark.offset).unwrap();
                splitter.push(&bytes.slice(from..at), &mut lines);
                mark = splitter.mark();
            }
            let expect: Vec<&str> =
                text.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
            let got: Vec<String> =
                lines.iter().map(|l| String::from_utf8_lossy(&l.bytes).into_owned()).collect();
            prop_assert_eq!(got, expect);
        }
    }
}
