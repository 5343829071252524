//! The journal export format, as it comes: entries of `NAME=value` lines, or `NAME`, a length
//! and as many bytes; an empty line ends an entry. Memory is bounded whatever comes.

use bytes::{Buf, BytesMut};
use memchr::memchr;

use crate::limits::{JOURNAL_FIELD_BYTES_MAX, JOURNAL_FIELDS_MAX, LINE_BYTES_MAX};

/// Longest field name, by journald's own rule 64; generous.
const NAME_BYTES_MAX: usize = 256;

/// One journal entry: its fields in their order. A name may come more than once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ExportEntry {
    pub fields: Vec<(String, Vec<u8>)>,
    /// The message was longer than a line may be.
    pub message_cut: bool,
}

impl ExportEntry {
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }
}

#[derive(Debug, Default)]
pub(super) struct ExportDecoder {
    buffer: BytesMut,
    state: State,
    entry: ExportEntry,
    /// Values that were cut and what did not look like a field.
    pub faults: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Name,
    /// A `NAME=value` line of which the value is being read.
    Text(Field),
    Length(String),
    Binary(Field, u64),
    /// The line end after a binary value.
    BinaryEnd,
    /// A line that is no field is left out.
    Skip,
}

#[derive(Debug)]
struct Field {
    name: String,
    value: Vec<u8>,
    cut: bool,
}

impl Field {
    fn new(name: String) -> Self {
        Field { name, value: Vec::new(), cut: false }
    }

    fn extend(&mut self, bytes: &[u8]) {
        // One byte more than a line, so that cutting is noticed where lines are made.
        let max = if self.name == "MESSAGE" { LINE_BYTES_MAX } else { JOURNAL_FIELD_BYTES_MAX };
        let kept = bytes.len().min(max - self.value.len().min(max));
        self.cut |= kept < bytes.len();
        self.value.extend_from_slice(bytes.get(..kept).unwrap_or_default());
    }
}

impl ExportDecoder {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next entry that is complete.
    pub fn next_entry(&mut self) -> Option<ExportEntry> {
        loop {
            match std::mem::take(&mut self.state) {
                State::Name => {
                    let end = self.buffer.iter().position(|b| matches!(b, b'=' | b'\n'));
                    let Some(end) = end else {
                        if self.buffer.len() > NAME_BYTES_MAX {
                            self.faults += 1;
                            self.state = State::Skip;
                            continue;
                        }
                        return None;
                    };
                    let name = self.buffer.split_to(end);
                    let is_text = self.buffer.get_u8() == b'=';
                    let name = String::from_utf8_lossy(&name).into_owned();
                    if name.is_empty() && !is_text {
                        let entry = std::mem::take(&mut self.entry);
                        if !entry.fields.is_empty() {
                            return Some(entry);
                        }
                    } else if is_text {
                        self.state = State::Text(Field::new(name));
                    } else {
                        self.state = State::Length(name);
                    }
                }
                State::Text(mut field) => {
                    let Some(end) = memchr(b'\n', &self.buffer) else {
                        field.extend(&self.buffer);
                        self.buffer.clear();
                        self.state = State::Text(field);
                        return None;
                    };
                    field.extend(&self.buffer[..end]);
                    self.buffer.advance(end + 1);
                    self.keep(field);
                }
                State::Length(name) => {
                    if self.buffer.len() < 8 {
                        self.state = State::Length(name);
                        return None;
                    }
                    let length = self.buffer.get_u64_le();
                    self.state = State::Binary(Field::new(name), length);
                }
                State::Binary(mut field, left) => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                    field.extend(&self.buffer[..take]);
                    self.buffer.advance(take);
                    let left = left - take as u64;
                    if left > 0 {
                        self.state = State::Binary(field, left);
                        return None;
                    }
                    self.keep(field);
                    self.state = State::BinaryEnd;
                }
                State::BinaryEnd => {
                    if self.buffer.is_empty() {
                        self.state = State::BinaryEnd;
                        return None;
                    }
                    if self.buffer.get_u8() != b'\n' {
                        self.faults += 1;
                        self.state = State::Skip;
                    }
                }
                State::Skip => match memchr(b'\n', &self.buffer) {
                    Some(end) => self.buffer.advance(end + 1),
                    None => {
                        self.buffer.clear();
                        self.state = State::Skip;
                        return None;
                    }
                },
            }
        }
    }

    fn keep(&mut self, field: Field) {
        self.faults += u64::from(field.cut);
        self.entry.message_cut |= field.cut && field.name == "MESSAGE";
        if self.entry.fields.len() < JOURNAL_FIELDS_MAX {
            self.entry.fields.push((field.name, field.value));
        } else {
            self.faults += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes as journald does: text when it is printable, else with a length.
    fn write(entry: &ExportEntry) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in &entry.fields {
            bytes.extend_from_slice(name.as_bytes());
            if value.iter().all(|byte| *byte >= b' ') {
                bytes.push(b'=');
            } else {
                bytes.push(b'\n');
                bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            }
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        bytes.push(b'\n');
        bytes
    }

    fn read(bytes: &[u8], chunk_bytes: usize) -> (Vec<ExportEntry>, u64) {
        let mut decoder = ExportDecoder::default();
        let mut entries = Vec::new();
        for chunk in bytes.chunks(chunk_bytes) {
            decoder.push(chunk);
            while let Some(entry) = decoder.next_entry() {
                entries.push(entry);
            }
        }
        (entries, decoder.faults)
    }

    #[test]
    fn reads_the_format() {
        let bytes = b"__CURSOR=s=1;i=2\nMESSAGE=a=b\nX=\n\n\n\nMESSAGE\n\x05\0\0\0\0\0\0\0a\n\n\xffb\nY=1\nY=2\n\n";
        let (entries, faults) = read(bytes, 1);
        assert_eq!((entries.len(), faults), (2, 0));
        assert_eq!(entries[0].text("__CURSOR"), Some("s=1;i=2"));
        assert_eq!(entries[0].text("MESSAGE"), Some("a=b"));
        assert_eq!(entries[0].text("X"), Some(""));
        assert_eq!(entries[1].get("MESSAGE"), Some(&b"a\n\n\xffb"[..]));
        assert_eq!(entries[1].fields.len(), 3);
    }

    #[test]
    fn a_long_message_takes_bounded_memory() {
        let mut decoder = ExportDecoder::default();
        decoder.push(b"MESSAGE=");
        for _ in 0..64 {
            decoder.push(&[b'x'; 65_536]);
            assert!(decoder.next_entry().is_none());
            assert!(decoder.buffer.len() <= 65_536);
        }
        decoder.push(b"\n_PID=1\n\n");
        let entry = decoder.next_entry().unwrap();
        assert_eq!(entry.get("MESSAGE").unwrap().len(), LINE_BYTES_MAX);
        assert!(entry.message_cut);
        assert_eq!(entry.text("_PID"), Some("1"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            entries in proptest::collection::vec(
                proptest::collection::vec(
                    ("[A-Z_]{1,20}", proptest::collection::vec(any::<u8>(), 0..50)),
                    1..8,
                ),
                0..5,
            ),
            chunk_bytes in 1usize..64,
        ) {
            let entries: Vec<ExportEntry> = entries
                .into_iter()
                .map(|fields| ExportEntry { fields, message_cut: false })
                .collect();
            let bytes: Vec<u8> = entries.iter().flat_map(write).collect();
            prop_assert_eq!(read(&bytes, chunk_bytes), (entries, 0));
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            read(&bytes, 9);
        }
    }
}
