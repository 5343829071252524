//! `opentelemetry.proto.collector.logs.v1`, read and written by hand
//! (<https://github.com/open-telemetry/opentelemetry-proto>).

use bytes::Bytes;

use super::Encoding;
use super::map::{Mapper, Record, Scope};
use super::value::{Any, Attributes};
use crate::collect::push::PushError;
use crate::collect::push::wire::{Fields, Value, WireError};

/// Nested values; far above what attributes have, far below the stack.
const DEPTH_MAX: usize = 64;

/// `ExportLogsServiceRequest { 1: repeated ResourceLogs }`.
pub(super) fn decode(body: &Bytes, mapper: &mut Mapper) -> Result<(), PushError> {
    let mut fields = Fields::new(body.clone());
    while let Some((number, value)) = fields.next_field()? {
        if number == 1 {
            resource_logs(value.bytes(number)?, mapper)?;
        }
    }
    Ok(())
}

/// `ResourceLogs { 1: Resource, 2: repeated ScopeLogs }`; the resource may come last.
fn resource_logs(message: Bytes, mapper: &mut Mapper) -> Result<(), PushError> {
    let mut attributes = Attributes::new();
    let mut fields = Fields::new(message.clone());
    while let Some((number, value)) = fields.next_field()? {
        if number == 1 {
            // Resource { 1: repeated KeyValue attributes, 2: dropped_attributes_count }
            let mut fields = Fields::new(value.bytes(number)?);
            while let Some((number, value)) = fields.next_field()? {
                if number == 1 {
                    attributes.push(key_value(value.bytes(number)?, mapper, 0)?);
                }
            }
        }
    }
    let resource = mapper.resource(attributes)?;
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next_field()? {
        if number == 2 {
            let scope_logs = value.bytes(number)?;
            let scope = scope_of(scope_logs.clone(), mapper)?;
            let scope = mapper.scope(scope)?;
            let mut fields = Fields::new(scope_logs);
            while let Some((number, value)) = fields.next_field()? {
                if number == 2 {
                    let record = record(value.bytes(number)?, mapper)?;
                    mapper.record(&resource, &scope, record)?;
                }
            }
        }
    }
    Ok(())
}

/// `ScopeLogs { 1: InstrumentationScope, 2: repeated LogRecord }`.
fn scope_of(message: Bytes, mapper: &mut Mapper) -> Result<Scope, PushError> {
    let mut scope = Scope::default();
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next_field()? {
        if number != 1 {
            continue;
        }
        let mut fields = Fields::new(value.bytes(number)?);
        while let Some((number, value)) = fields.next_field()? {
            match number {
                1 => scope.name = value.text(number)?,
                2 => scope.version = value.text(number)?,
                3 => scope.attributes.push(key_value(value.bytes(number)?, mapper, 0)?),
                4 => scope.dropped_attributes = u32_of(value, number)?,
                _ => {}
            }
        }
    }
    Ok(scope)
}

fn record(message: Bytes, mapper: &mut Mapper) -> Result<Record, PushError> {
    let mut record = Record::default();
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => record.time_ns = fixed64(&value, number)?,
            2 => record.severity_number = value.int(number)?,
            3 => record.severity_text = value.text(number)?,
            5 => record.body = any(value.bytes(number)?, mapper, 0)?,
            6 => record.attributes.push(key_value(value.bytes(number)?, mapper, 0)?),
            7 => record.dropped_attributes = u32_of(value, number)?,
            8 => record.flags = fixed32(&value, number)?,
            9 => record.trace_id = id(value.bytes(number)?, 16, "trace_id")?,
            10 => record.span_id = id(value.bytes(number)?, 8, "span_id")?,
            11 => record.observed_ns = fixed64(&value, number)?,
            12 => record.event_name = value.text(number)?,
            _ => {}
        }
    }
    Ok(record)
}

fn id(bytes: Bytes, length: usize, name: &str) -> Result<Bytes, PushError> {
    if bytes.is_empty() || bytes.len() == length {
        return Ok(bytes);
    }
    Err(PushError::Protobuf(format!("{name} has {} bytes, not {length}", bytes.len())))
}

fn fixed64(value: &Value, number: u32) -> Result<u64, WireError> {
    match value {
        Value::Fixed64(value) => Ok(*value),
        _ => Err(WireError::FieldType(number)),
    }
}

fn fixed32(value: &Value, number: u32) -> Result<u32, WireError> {
    match value {
        Value::Fixed32(value) => Ok(*value),
        _ => Err(WireError::FieldType(number)),
    }
}

fn u32_of(value: Value, number: u32) -> Result<u32, WireError> {
    // Varints of 32-bit fields are cut, as protobuf has it.
    value.int(number).map(|value| value as u32)
}

/// `KeyValue { 1: string key, 2: AnyValue value }`.
fn key_value(
    message: Bytes,
    mapper: &mut Mapper,
    depth: usize,
) -> Result<(crate::model::Text, Any), PushError> {
    let (mut key, mut found) = Default::default();
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => key = value.text(number)?,
            2 => found = any(value.bytes(number)?, mapper, depth)?,
            _ => {}
        }
    }
    mapper.spend(1)?;
    Ok((key, found))
}

fn any(message: Bytes, mapper: &mut Mapper, depth: usize) -> Result<Any, PushError> {
    if depth > DEPTH_MAX {
        return Err(PushError::Protobuf(format!("values are nested more than {DEPTH_MAX} deep")));
    }
    mapper.spend(1)?;
    let mut found = Any::Empty;
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next_field()? {
        found = match number {
            1 => Any::Str(value.text(number)?),
            2 => Any::Bool(value.int(number)? != 0),
            3 => Any::Int(value.int(number)?),
            4 => Any::Double(f64::from_bits(fixed64(&value, number)?)),
            5 => {
                let mut values = Vec::new();
                let mut fields = Fields::new(value.bytes(number)?);
                while let Some((number, value)) = fields.next_field()? {
                    if number == 1 {
                        values.push(any(value.bytes(number)?, mapper, depth + 1)?);
                    }
                }
                Any::List(values)
            }
            6 => {
                let mut pairs = Attributes::new();
                let mut fields = Fields::new(value.bytes(number)?);
                while let Some((number, value)) = fields.next_field()? {
                    if number == 1 {
                        pairs.push(key_value(value.bytes(number)?, mapper, depth + 1)?);
                    }
                }
                Any::Map(pairs)
            }
            7 => Any::Bytes(value.bytes(number)?),
            _ => continue,
        };
    }
    Ok(found)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_text(out: &mut Vec<u8>, field: u8, text: &str) {
    if !text.is_empty() {
        out.push((field << 3) | 2);
        put_varint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

/// The body of an `ExportLogsServiceResponse`; `None` says that all was taken.
pub fn partial_success(encoding: Encoding, rejected: Option<(usize, &str)>) -> Vec<u8> {
    match (encoding, rejected) {
        (Encoding::Protobuf, None) => Vec::new(),
        (Encoding::Protobuf, Some((records, message))) => {
            // { 1: ExportLogsPartialSuccess { 1: int64 rejected_log_records, 2: string error } }
            let mut inner = vec![1 << 3];
            put_varint(&mut inner, records as u64);
            put_text(&mut inner, 2, message);
            let mut out = vec![(1 << 3) | 2];
            put_varint(&mut out, inner.len() as u64);
            out.extend_from_slice(&inner);
            out
        }
        (Encoding::Json, None) => b"{}".to_vec(),
        (Encoding::Json, Some((records, message))) => serde_json::json!({"partialSuccess": {
            // int64 is text in protobuf's JSON.
            "rejectedLogRecords": records.to_string(), "errorMessage": message}})
        .to_string()
        .into_bytes(),
    }
}

/// The body of a refusal: `google.rpc.Status { 1: int32 code, 2: string message }`.
pub fn status(encoding: Encoding, code: u8, message: &str) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => {
            let mut out = vec![1 << 3];
            put_varint(&mut out, code.into());
            put_text(&mut out, 2, message);
            out
        }
        Encoding::Json => {
            serde_json::json!({"code": code, "message": message}).to_string().into_bytes()
        }
    }
}
