//! The same wire format as `wire`, over borrowed bytes: for the format that nearly all lines come
//! in, where a counted reference to the body for every nested message would cost more than the
//! reading.

use super::wire::WireError;

/// A field of a message, by its wire type.
#[derive(Debug, Clone, Copy)]
pub enum Field<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, which no field of a push has.
    Fixed,
}

/// Walks the fields of one message.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(message: &'a [u8]) -> Self {
        Cursor { rest: message }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        let Some((first, rest)) = self.rest.split_first() else { return Err(WireError::Truncated) };
        if *first < 0x80 {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        let mut value = 0u64;
        for (at, byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * at).min(63);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(if self.rest.len() >= 10 { WireError::Varint } else { WireError::Truncated })
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next field's number and value; `None` at the end of the message.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<(u32, Field<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).unwrap_or(u32::MAX);
        let field = match (key & 7) as u8 {
            0 => Field::Varint(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Field::Bytes(self.take(length)?)
            }
            1 => self.take(8).map(|_| Field::Fixed)?,
            5 => self.take(4).map(|_| Field::Fixed)?,
            other => return Err(WireError::WireType(other)),
        };
        Ok(Some((number, field)))
    }

    /// How many fields from here on have this number; a hint for how much room to make.
    pub fn count(mut self, wanted: u32) -> usize {
        let mut count = 0;
        while let Ok(Some((number, _))) = self.next_field() {
            count += usize::from(number == wanted);
        }
        count
    }
}

impl<'a> Field<'a> {
    #[inline]
    pub fn bytes(self, number: u32) -> Result<&'a [u8], WireError> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::FieldType(number)),
        }
    }

    #[inline]
    pub fn int(self, number: u32) -> Result<i64, WireError> {
        match self {
            Field::Varint(value) => Ok(value as i64),
            _ => Err(WireError::FieldType(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::wire::{Fields, Value};
    use super::*;

    /// What both readers make of a message, field by field.
    fn shown(message: &[u8]) -> (Vec<String>, Vec<String>) {
        let mut slow = Vec::new();
        let mut fields = Fields::new(Bytes::copy_from_slice(message));
        loop {
            match fields.next_field() {
                Ok(None) => break,
                Ok(Some((number, value))) => slow.push(match value {
                    Value::Varint(value) => format!("{number} {value}"),
                    Value::Bytes(bytes) => format!("{number} {bytes:?}"),
                    Value::Fixed64(_) | Value::Fixed32(_) => format!("{number} fixed"),
                }),
                Err(error) => {
                    slow.push(error.to_string());
                    break;
                }
            }
        }
        let mut fast = Vec::new();
        let mut cursor = Cursor::new(message);
        loop {
            match cursor.next_field() {
                Ok(None) => break,
                Ok(Some((number, value))) => fast.push(match value {
                    Field::Varint(value) => format!("{number} {value}"),
                    Field::Bytes(bytes) => format!("{number} {:?}", Bytes::copy_from_slice(bytes)),
                    Field::Fixed => format!("{number} fixed"),
                }),
                Err(error) => {
                    fast.push(error.to_string());
                    break;
                }
            }
        }
        (slow, fast)
    }

    proptest! {
        #[test]
        fn reads_as_the_other_reader_does(message in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(8u8), Just(10), Just(2), Just(0x80), Just(0xff), Just(9), Just(13)],
            0..40,
        )) {
            let (slow, fast) = shown(&message);
            prop_assert_eq!(slow, fast);
        }
    }

    #[test]
    fn counts_fields() {
        let message = [0x0a, 1, b'x', 0x12, 0, 0x12, 1, b'y', 0x08, 5];
        assert_eq!(Cursor::new(&message).count(2), 2);
        assert_eq!(Cursor::new(&message[..6]).count(2), 1);
    }
}
