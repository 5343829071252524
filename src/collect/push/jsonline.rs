//! JSON lines: one document a line, as VictoriaLogs' `/insert/jsonline` takes them. A line that
//! cannot be read costs itself alone.

use bytes::Bytes;

use super::PushError;
use super::body::{Decoded, Fault, FaultKind, Item};
use super::fields::{self, FieldNames};
use super::validate::PushLimits;
use crate::limits;
use crate::model::Timestamp;

/// The service of documents that name none; discovery says the same.
const SERVICE_DEFAULT: &str = "";

pub(super) fn decode(
    body: &Bytes,
    names: &FieldNames,
    push_limits: &PushLimits,
    now: Timestamp,
) -> Result<Decoded, PushError> {
    let mut decoded = Decoded::with_items();
    let mut count = 0usize;
    for (number, line) in lines(body) {
        count += 1;
        if count > limits::PUSH_ITEMS_MAX {
            return Err(PushError::TooMany { entries_max: limits::PUSH_ITEMS_MAX });
        }
        let item = Item {
            line: number,
            action: "create",
            index: String::new(),
            id: String::new(),
            fault: None,
        };
        let taken = fields::read(&line, names, &[], SERVICE_DEFAULT, push_limits, now);
        decoded.push_item(item, taken)?;
    }
    if count == 0 {
        return Err(PushError::NoStreams);
    }
    Ok(decoded)
}

/// Lines that hold something, with their numbers from 1.
pub(super) fn lines(body: &Bytes) -> impl Iterator<Item = (usize, Bytes)> + '_ {
    let mut from = 0;
    let ends = memchr::memchr_iter(b'\n', body).chain(std::iter::once(body.len()));
    ends.map(move |end| {
        let line = body.slice(from.min(end)..end);
        from = end + 1;
        line
    })
    .enumerate()
    .map(|(at, line)| (at + 1, line))
    .filter(|(_, line)| !line.trim_ascii().is_empty())
}

/// For lines that stand where something else should.
pub(super) fn malformed(reason: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Malformed, reason)
}
