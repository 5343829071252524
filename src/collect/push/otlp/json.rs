//! OTLP in protobuf's JSON: ids in hex, 64-bit numbers as text or number, names in camel or
//! snake case, unknown names ignored.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE};
use bytes::Bytes;
use serde::{Deserialize, Deserializer};

use super::map::{Mapper, Record, Scope};
use super::value::{Any, Attributes};
use crate::collect::push::PushError;
use crate::collect::push::scalar::Scalar;
use crate::limits;
use crate::model::Text;

/// `null` is the same as absent.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    optional_whole(from).map(Option::unwrap_or_default)
}

fn optional_whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let fault = || serde::de::Error::custom("expected a whole number, or one as text");
    let Some(number) = Option::<Scalar>::deserialize(from)? else { return Ok(None) };
    Ok(Some(match number {
        Scalar::Int(value) => value,
        Scalar::Unsigned(value) => i64::try_from(value).unwrap_or(i64::MAX),
        Scalar::Float(value) if value.fract() == 0.0 && value.abs() < 9.0e18 => value as i64,
        Scalar::Float(_) => return Err(fault()),
        Scalar::Text(text) if text.is_empty() => 0,
        Scalar::Text(text) => text
            .parse::<i64>()
            .or_else(|_| text.parse::<u64>().map(|value| i64::try_from(value).unwrap_or(i64::MAX)))
            .map_err(|_| fault())?,
    }))
}

fn float<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Ok(match Option::<Scalar>::deserialize(from)? {
        None => None,
        Some(Scalar::Int(value)) => Some(value as f64),
        Some(Scalar::Unsigned(value)) => Some(value as f64),
        Some(Scalar::Float(value)) => Some(value),
        Some(Scalar::Text(text)) => Some(match text.as_str() {
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            other => other.parse().map_err(|_| serde::de::Error::custom("expected a number"))?,
        }),
    })
}

/// The number of a severity, or its name in the protobuf (`SEVERITY_NUMBER_INFO2`).
fn severity<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let text = match Option::<Scalar>::deserialize(from)? {
        None => return Ok(0),
        Some(Scalar::Int(value)) => return Ok(value),
        Some(Scalar::Text(text)) => text,
        Some(_) => return Err(serde::de::Error::custom("expected a severity number")),
    };
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let name = text.strip_prefix("SEVERITY_NUMBER_").unwrap_or(&text);
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let word = &name[..name.len() - digits.len()];
    let base = match word {
        "UNSPECIFIED" => return Ok(0),
        "TRACE" => 1,
        "DEBUG" => 5,
        "INFO" => 9,
        "WARN" => 13,
        "ERROR" => 17,
        "FATAL" => 21,
        _ => return Err(serde::de::Error::custom("no such severity number")),
    };
    match digits {
        "" | "1" => Ok(base),
        "2" => Ok(base + 1),
        "3" => Ok(base + 2),
        "4" => Ok(base + 3),
        _ => Err(serde::de::Error::custom("no such severity number")),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    #[serde(rename = "resourceLogs", alias = "resource_logs", deserialize_with = "or_default")]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResourceLogs {
    #[serde(deserialize_with = "or_default")]
    resource: Resource,
    #[serde(rename = "scopeLogs", alias = "scope_logs", deserialize_with = "or_default")]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    #[serde(deserialize_with = "or_default")]
    attributes: Vec<KeyValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ScopeLogs {
    #[serde(deserialize_with = "or_default")]
    scope: JsonScope,
    #[serde(rename = "logRecords", alias = "log_records", deserialize_with = "or_default")]
    log_records: Vec<JsonRecord>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonScope {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    version: String,
    #[serde(deserialize_with = "or_default")]
    attributes: Vec<KeyValue>,
    #[serde(
        rename = "droppedAttributesCount",
        alias = "dropped_attributes_count",
        deserialize_with = "whole"
    )]
    dropped_attributes: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonRecord {
    #[serde(rename = "timeUnixNano", alias = "time_unix_nano", deserialize_with = "whole")]
    time: i64,
    #[serde(
        rename = "observedTimeUnixNano",
        alias = "observed_time_unix_nano",
        deserialize_with = "whole"
    )]
    observed: i64,
    #[serde(rename = "severityNumber", alias = "severity_number", deserialize_with = "severity")]
    severity_number: i64,
    #[serde(rename = "severityText", alias = "severity_text", deserialize_with = "or_default")]
    severity_text: String,
    #[serde(deserialize_with = "or_default")]
    body: JsonAny,
    #[serde(deserialize_with = "or_default")]
    attributes: Vec<KeyValue>,
    #[serde(
        rename = "droppedAttributesCount",
        alias = "dropped_attributes_count",
        deserialize_with = "whole"
    )]
    dropped_attributes: i64,
    #[serde(deserialize_with = "whole")]
    flags: i64,
    #[serde(rename = "traceId", alias = "trace_id", deserialize_with = "or_default")]
    trace_id: String,
    #[serde(rename = "spanId", alias = "span_id", deserialize_with = "or_default")]
    span_id: String,
    #[serde(rename = "eventName", alias = "event_name", deserialize_with = "or_default")]
    event_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyValue {
    #[serde(deserialize_with = "or_default")]
    key: String,
    #[serde(deserialize_with = "or_default")]
    value: JsonAny,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonAny {
    #[serde(rename = "stringValue", alias = "string_value")]
    string: Option<String>,
    #[serde(rename = "boolValue", alias = "bool_value")]
    bool: Option<bool>,
    #[serde(rename = "intValue", alias = "int_value", deserialize_with = "optional_whole")]
    int: Option<i64>,
    #[serde(rename = "doubleValue", alias = "double_value", deserialize_with = "float")]
    double: Option<f64>,
    #[serde(rename = "arrayValue", alias = "array_value")]
    array: Option<Values>,
    #[serde(rename = "kvlistValue", alias = "kvlist_value")]
    map: Option<Pairs>,
    #[serde(rename = "bytesValue", alias = "bytes_value")]
    bytes: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Values {
    #[serde(deserialize_with = "or_default")]
    values: Vec<JsonAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pairs {
    #[serde(deserialize_with = "or_default")]
    values: Vec<KeyValue>,
}

fn fault(reason: impl std::fmt::Display) -> PushError {
    PushError::Json(reason.to_string())
}

/// Objects and arrays, which may stand for objects. What is in texts does not count.
fn objects(body: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = body;
    while let Some(at) = memchr::memchr3(b'{', b'[', b'"', rest) {
        let is_text = rest.get(at) == Some(&b'"');
        rest = rest.get(at + 1..).unwrap_or_default();
        if !is_text {
            count += 1;
            continue;
        }
        while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
            let escapes = rest.get(at) == Some(&b'\\');
            rest = rest.get(at + 1 + usize::from(escapes)..).unwrap_or_default();
            if !escapes {
                break;
            }
        }
    }
    count
}

pub(super) fn decode(body: &Bytes, mapper: &mut Mapper) -> Result<(), PushError> {
    let repaired;
    let body: &[u8] = match std::str::from_utf8(body) {
        Ok(_) => body,
        Err(_) => {
            repaired = Text::from_bytes_lossy(body.clone()).into_bytes();
            &repaired
        }
    };
    // Every value is an object; an empty one takes a hundred times its two bytes in memory.
    if objects(body) > limits::OTLP_JSON_OBJECTS_MAX {
        return Err(PushError::TooMany { entries_max: limits::OTLP_JSON_OBJECTS_MAX });
    }
    // An array could stand for the fields in order otherwise.
    if body.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(fault("it is no object"));
    }
    let request: Request = serde_json::from_slice(body).map_err(fault)?;
    for of_resource in request.resource_logs {
        let attributes = attributes(of_resource.resource.attributes, mapper)?;
        let resource = mapper.resource(attributes)?;
        for of_scope in of_resource.scope_logs {
            let scope = Scope {
                name: Text::from(of_scope.scope.name),
                version: Text::from(of_scope.scope.version),
                attributes: self::attributes(of_scope.scope.attributes, mapper)?,
                dropped_attributes: of_scope.scope.dropped_attributes as u32,
            };
            let scope = mapper.scope(scope)?;
            for record in of_scope.log_records {
                let record = record.into_record(mapper)?;
                mapper.record(&resource, &scope, record)?;
            }
        }
    }
    Ok(())
}

impl JsonRecord {
    fn into_record(self, mapper: &mut Mapper) -> Result<Record, PushError> {
        Ok(Record {
            time_ns: u64::try_from(self.time).unwrap_or_default(),
            observed_ns: u64::try_from(self.observed).unwrap_or_default(),
            severity_number: self.severity_number,
            severity_text: Text::from(self.severity_text),
            body: any(self.body, mapper)?,
            attributes: attributes(self.attributes, mapper)?,
            dropped_attributes: self.dropped_attributes as u32,
            flags: self.flags as u32,
            trace_id: id(&self.trace_id, 16, "traceId")?,
            span_id: id(&self.span_id, 8, "spanId")?,
            event_name: Text::from(self.event_name),
        })
    }
}

fn attributes(pairs: Vec<KeyValue>, mapper: &mut Mapper) -> Result<Attributes, PushError> {
    mapper.spend(pairs.len())?;
    pairs.into_iter().map(|pair| Ok((Text::from(pair.key), any(pair.value, mapper)?))).collect()
}

/// The parser has bounded how deep values are nested.
fn any(value: JsonAny, mapper: &mut Mapper) -> Result<Any, PushError> {
    if let Some(text) = value.string {
        return Ok(Any::Str(Text::from(text)));
    }
    if let Some(array) = value.array {
        mapper.spend(array.values.len())?;
        let values: Result<Vec<Any>, PushError> =
            array.values.into_iter().map(|value| any(value, mapper)).collect();
        return Ok(Any::List(values?));
    }
    if let Some(map) = value.map {
        return Ok(Any::Map(attributes(map.values, mapper)?));
    }
    if let Some(bytes) = value.bytes {
        let decoded = BASE64.decode(&bytes).or_else(|_| URL_SAFE.decode(&bytes));
        return decoded
            .map(|bytes| Any::Bytes(Bytes::from(bytes)))
            .map_err(|_| fault("bytesValue is not base64"));
    }
    Ok(match (value.bool, value.int, value.double) {
        (Some(bool), _, _) => Any::Bool(bool),
        (_, Some(int), _) => Any::Int(int),
        (_, _, Some(double)) => Any::Double(double),
        _ => Any::Empty,
    })
}

fn id(text: &str, length: usize, name: &str) -> Result<Bytes, PushError> {
    if text.is_empty() {
        return Ok(Bytes::new());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    match bytes {
        Some(bytes) if bytes.len() == length => Ok(Bytes::from(bytes)),
        _ => Err(fault(format!("{name} is not {} hex digits", length * 2))),
    }
}
