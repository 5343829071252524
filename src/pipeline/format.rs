//! The line formats that are recognized without configuration, and their fields. A field is
//! read when it is asked for; recognizing looks at as few bytes as possible.

use std::ops::Range;

use crate::model::Text;
use crate::text::logfmt::{Pair, Scanner};

use super::item::Value;
use super::json_path;
use super::json_scan::{self, Flow, Kind};

mod access;
mod klog;
mod syslog;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Logfmt,
    /// Common and combined access logs of web servers.
    Access,
    Syslog3164,
    Syslog5424,
    /// Kubernetes and other users of glog.
    Klog,
}

/// The fields of a line that is not JSON or logfmt: name and place.
type Places = Vec<(&'static str, Range<usize>)>;

/// What a line looks like.
pub(crate) fn detect(line: &str) -> Option<Format> {
    let bytes = line.as_bytes();
    let first = *bytes.iter().find(|b| !b.is_ascii_whitespace())?;
    match first {
        b'{' => json_scan::looks_like_object(line).then_some(Format::Json),
        b'<' => match syslog::version(line) {
            Some(syslog::Version::New) => Some(Format::Syslog5424),
            Some(syslog::Version::Old) => Some(Format::Syslog3164),
            None => None,
        },
        b'I' | b'W' | b'E' | b'F' if klog::fits(line) => Some(Format::Klog),
        _ if syslog::begins_with_date(line) => Some(Format::Syslog3164),
        _ if access::fits(line) => Some(Format::Access),
        _ => is_logfmt(line).then_some(Format::Logfmt),
    }
}

/// At least two pairs, nothing malformed and no bare words.
fn is_logfmt(line: &str) -> bool {
    let Some(equals) = memchr::memchr(b'=', line.as_bytes()) else { return false };
    let key = line.get(..equals).unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'@');
    if key.is_empty() || !key.bytes().all(plain) {
        return false;
    }
    let mut pairs = 0;
    for pair in Scanner::new(line) {
        match pair {
            Pair::Value { .. } => pairs += 1,
            Pair::Empty { key } if line.contains(&format!("{key}=")) => {}
            Pair::Empty { .. } | Pair::Malformed { .. } => return false,
        }
        if pairs == 3 {
            return true;
        }
    }
    pairs >= 2
}

/// One field by name. For JSON a name with dots is also tried as a path.
pub(crate) fn field(format: Format, line: &Text, name: &str) -> Option<Value> {
    match format {
        Format::Json => {
            let flat = json_path::member(line, name);
            let found = match flat {
                Some(found) => Some(found),
                None if name.contains('.') => json_path::dotted(line, name),
                None => None,
            };
            found.map(|(kind, range)| json_value(line, kind, range))
        }
        Format::Logfmt => {
            // Of a key given twice the last wins, as in the logfmt stage.
            let mut last = None;
            for pair in Scanner::new(line) {
                if let Pair::Value { key, value, .. } = pair
                    && key == name
                {
                    last = Some(Value::Text(share(line, &value)));
                }
            }
            last
        }
        _ => places(format, line)?
            .into_iter()
            .find(|(own, _)| *own == name)
            .map(|(_, range)| Value::Text(line.slice(range))),
    }
}

/// All fields.
pub(crate) fn fields(format: Format, line: &Text, found: &mut dyn FnMut(&str, Value)) {
    match format {
        Format::Json => {
            json_scan::members(line.as_bytes(), 1, &mut |member| {
                if let Some(key) = line.get(member.key) {
                    found(key, json_value(line, member.kind, member.value));
                }
                Flow::Go
            });
        }
        Format::Logfmt => {
            for pair in Scanner::new(line) {
                if let Pair::Value { key, value, .. } = pair {
                    found(key, Value::Text(share(line, &value)));
                }
            }
        }
        _ => {
            for (name, range) in places(format, line).unwrap_or_default() {
                found(name, Value::Text(line.slice(range)));
            }
        }
    }
}

fn places(format: Format, line: &str) -> Option<Places> {
    match format {
        Format::Json | Format::Logfmt => None,
        Format::Access => access::parse(line),
        Format::Syslog3164 => syslog::parse_3164(line),
        Format::Syslog5424 => syslog::parse_5424(line),
        Format::Klog => klog::parse(line),
    }
}

/// The level that the format itself tells, in Loki's words.
pub(crate) fn level(format: Format, line: &str) -> Option<Text> {
    match format {
        Format::Json | Format::Logfmt => None,
        Format::Access => access::level(line),
        Format::Syslog3164 | Format::Syslog5424 => syslog::level(line),
        Format::Klog => klog::level(line),
    }
}

/// The value at a place of a JSON line; texts are cut out without copying unless they hold
/// escapes, objects and arrays keep their text.
pub(crate) fn json_value(line: &Text, kind: Kind, range: Range<usize>) -> Value {
    let text = line.slice(range);
    match kind {
        Kind::Text if text.contains('\\') => {
            Value::Text(json_scan::unescape(&text).map_or(text, Text::from))
        }
        Kind::Text | Kind::Object | Kind::Array => Value::Text(text),
        Kind::Number => Value::Number(text),
        Kind::Bool => Value::Bool(text == "true"),
        Kind::Null => Value::Null,
    }
}

/// The part of `whole` that `part` is, or a copy where it is not a part of it.
pub(crate) fn share(whole: &Text, part: &str) -> Text {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    match start.checked_add(part.len()) {
        Some(end) if end <= whole.len() && whole.get(start..end) == Some(part) => {
            whole.slice(start..end)
        }
        _ => Text::from(part),
    }
}

#[cfg(test)]
mod tests;
