//! Push formats into batches: Loki's snappy protobuf and JSON, OTLP, `_bulk` and JSON lines.
//! Knows no HTTP status codes; `api` gives each error its own.

mod body;
mod bulk;
mod cursor;
mod decompress;
mod fields;
mod json;
mod jsonline;
mod label_texts;
pub mod otlp;
mod proto;
mod rate;
mod room;
mod scalar;
mod streams;
mod validate;
pub mod wire;

use bytes::Bytes;

pub use body::{Decoded, Fault, FaultKind, Item, Refused, Shape, open};
pub use decompress::decompress;
pub use fields::FieldNames;
pub use rate::TenantRates;
pub use streams::{ActiveStreams, StreamLimits};
pub use validate::{PushLimits, Rejected, Shown, sanitize_metadata_name, validate};

use crate::model::StreamBatch;
use room::Room;

/// A push that is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    #[error("Content-Encoding {0:?} not supported; use snappy, gzip, deflate or none")]
    Encoding(String),
    #[error("mime: no media type; set Content-Type to application/json or application/x-protobuf")]
    NoContentType,
    #[error("the body has more than {bytes_max} bytes{when}; send smaller batches")]
    TooLarge { bytes_max: usize, when: &'static str },
    #[error("the {encoding} body cannot be decompressed: {reason}")]
    Compression { encoding: &'static str, reason: String },
    #[error("the protobuf body cannot be read: {0}")]
    Protobuf(String),
    #[error("the JSON body cannot be read: {0}")]
    Json(String),
    #[error("couldn't parse labels: {labels}: {reason}")]
    Labels { labels: String, reason: String },
    #[error("couldn't parse labels: {0}")]
    BadLabels(String),
    #[error("the body has more than {entries_max} entries; send smaller batches")]
    TooManyEntries { entries_max: usize },
    #[error("error at least one valid stream is required for ingestion")]
    NoStreams,
    #[error("content type {0:?} is not supported; use application/x-protobuf or application/json")]
    ContentType(String),
    #[error("the body holds more than {entries_max} entries and values; send smaller batches")]
    TooMany { entries_max: usize },
    /// An action line of `_bulk`, after which nothing can be told apart.
    #[error("{0}")]
    Bulk(String),
}

/// The format of a push body, from its Content-Type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    /// Everything that is not JSON, as Loki has it; snappy block format unless another
    /// Content-Encoding says otherwise.
    Protobuf,
}

impl Format {
    pub fn from_content_type(content_type: Option<&str>) -> Result<Format, PushError> {
        let media = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if media.is_empty() {
            return Err(PushError::NoContentType);
        }
        if media.eq_ignore_ascii_case("application/json") {
            Ok(Format::Json)
        } else {
            Ok(Format::Protobuf)
        }
    }
}

/// Decodes a body into streams. Labels are sorted, entries keep their order.
pub fn decode(
    format: Format,
    content_encoding: Option<&str>,
    body: Bytes,
    decoded_bytes_max: usize,
) -> Result<Vec<StreamBatch>, PushError> {
    let encoding = content_encoding.unwrap_or_default().trim().to_ascii_lowercase();
    let streams = match format {
        Format::Json => {
            let body = decompress(&encoding, body, decoded_bytes_max)?;
            json::decode(&body, Room::default())?
        }
        Format::Protobuf => {
            // Without a Content-Encoding protobuf is snappy all the same.
            let encoding = if encoding.is_empty() { "snappy" } else { encoding.as_str() };
            let body = decompress(encoding, body, decoded_bytes_max)?;
            proto::decode(&body, &Room::default())?
        }
    };
    if streams.is_empty() {
        return Err(PushError::NoStreams);
    }
    Ok(streams)
}

#[cfg(test)]
mod tests;
