//! OTLP logs over HTTP, protobuf and JSON, mapped onto streams as Loki 3.7 does it: a fixed list
//! of resource attributes becomes index labels, everything else structured metadata
//! (<https://grafana.com/docs/loki/latest/send-data/otel/>).

mod json;
mod map;
mod names;
mod proto;
mod value;

use bytes::Bytes;

use self::map::Mapper;
use super::PushError;
use crate::model::{StreamBatch, Timestamp};

pub use names::INDEX_LABELS;
pub use proto::{partial_success, status};

/// How a request is written, and its answer with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    pub fn from_content_type(content_type: Option<&str>) -> Result<Encoding, PushError> {
        let media = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match media.to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Ok(Encoding::Protobuf),
            "application/json" => Ok(Encoding::Json),
            other => Err(PushError::ContentType(other.to_owned())),
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Protobuf => "application/x-protobuf",
            Encoding::Json => "application/json",
        }
    }
}

/// Decodes an `ExportLogsServiceRequest`. One without records is fine: OTLP wants it so.
pub(super) fn decode(
    encoding: Encoding,
    body: &Bytes,
    now: Timestamp,
) -> Result<Vec<StreamBatch>, PushError> {
    let mut mapper = Mapper::new(now);
    match encoding {
        Encoding::Protobuf => proto::decode(body, &mut mapper)?,
        Encoding::Json => json::decode(body, &mut mapper)?,
    }
    Ok(mapper.finish())
}

#[cfg(test)]
mod tests;
