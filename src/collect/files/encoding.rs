//! What the byte order mark of a file says about its text.

use bytes::Bytes;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    /// From the first bytes of a file.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0xff, 0xfe, ..] => Encoding::Utf16Le,
            [0xfe, 0xff, ..] => Encoding::Utf16Be,
            _ => Encoding::Utf8,
        }
    }

    pub fn newline(self) -> &'static [u8] {
        match self {
            Encoding::Utf8 => b"\n",
            Encoding::Utf16Le => b"\n\0",
            Encoding::Utf16Be => b"\0\n",
        }
    }

    /// How many bytes a character begins a multiple of.
    pub fn unit_bytes(self) -> usize {
        if self == Encoding::Utf8 { 1 } else { 2 }
    }

    /// To UTF-8 without the byte order mark; UTF-8 is not looked at further.
    pub fn decode(self, raw: Bytes) -> Bytes {
        let read: fn([u8; 2]) -> u16 = match self {
            Encoding::Utf8 if raw.starts_with(b"\xef\xbb\xbf") => return raw.slice(3..),
            Encoding::Utf8 => return raw,
            Encoding::Utf16Le => u16::from_le_bytes,
            Encoding::Utf16Be => u16::from_be_bytes,
        };
        let (units, _) = raw.as_chunks::<2>();
        let text: String = char::decode_utf16(units.iter().map(|unit| read(*unit)))
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .skip_while(|c| *c == '\u{feff}')
            .collect();
        Bytes::from(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_by_byte_order_mark() {
        let check = |raw: &[u8], expect: &str| {
            let decoded = Encoding::of(raw).decode(Bytes::copy_from_slice(raw));
            assert_eq!(decoded, expect.as_bytes());
        };
        check(b"abc", "abc");
        check(b"\xef\xbb\xbfabc", "abc");
        check(b"\xff\xfea\0\xac\x20", "a\u{20ac}");
        check(b"\xfe\xff\0a\x20\xac", "a\u{20ac}");
        check(b"\xff\xfe\x00\xd8a\0", "\u{fffd}a");
        check(b"", "");
    }
}
