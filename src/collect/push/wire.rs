//! A reader for protobuf's wire format that cuts fields out of the body without copying
//! (<https://protobuf.dev/programming-guides/encoding/>).

use bytes::Bytes;

use crate::model::Text;

/// A field as it stands on the wire.
#[derive(Debug, Clone)]
pub enum Value {
    Varint(u64),
    Fixed64(u64),
    Bytes(Bytes),
    Fixed32(u32),
}

/// Walks the fields of one message.
#[derive(Debug)]
pub struct Fields {
    rest: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("it ends in the middle of a field")]
    Truncated,
    #[error("a number is longer than 10 bytes")]
    Varint,
    #[error("wire type {0} does not exist or is not supported")]
    WireType(u8),
    #[error("field {0} has an unexpected type")]
    FieldType(u32),
}

impl Fields {
    pub fn new(message: Bytes) -> Self {
        Fields { rest: message }
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (at, byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * at).min(63);
            if byte & 0x80 == 0 {
                bytes::Buf::advance(&mut self.rest, at + 1);
                return Ok(value);
            }
        }
        Err(if self.rest.len() >= 10 { WireError::Varint } else { WireError::Truncated })
    }

    fn take(&mut self, length: usize) -> Result<Bytes, WireError> {
        if length > self.rest.len() {
            return Err(WireError::Truncated);
        }
        Ok(self.rest.split_to(length))
    }

    /// The next field's number and value; `None` at the end of the message.
    pub fn next_field(&mut self) -> Result<Option<(u32, Value)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).unwrap_or(u32::MAX);
        let value = match (key & 7) as u8 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?;
                Value::Fixed64(u64::from_le_bytes(bytes[..].try_into().unwrap_or_default()))
            }
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let bytes = self.take(4)?;
                Value::Fixed32(u32::from_le_bytes(bytes[..].try_into().unwrap_or_default()))
            }
            other => return Err(WireError::WireType(other)),
        };
        Ok(Some((number, value)))
    }
}

impl Value {
    pub fn bytes(self, number: u32) -> Result<Bytes, WireError> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::FieldType(number)),
        }
    }

    /// A string field; invalid UTF-8 becomes U+FFFD instead of costing the whole push.
    pub fn text(self, number: u32) -> Result<Text, WireError> {
        self.bytes(number).map(Text::from_bytes_lossy)
    }

    pub fn int(self, number: u32) -> Result<i64, WireError> {
        match self {
            Value::Varint(value) => Ok(value as i64),
            _ => Err(WireError::FieldType(number)),
        }
    }
}
