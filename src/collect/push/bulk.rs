//! Elasticsearch's `_bulk`: pairs of an action line and a document. The index becomes the label
//! `index`; `create` and `index` store a line, `delete` and `update` are refused item by item,
//! since lines do not change.

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error as _};

use super::PushError;
use super::body::{Decoded, Fault, FaultKind, Item};
use super::fields::{self, FieldNames};
use super::jsonline::{lines, malformed};
use super::scalar::Scalar;
use super::validate::PushLimits;
use crate::limits;
use crate::model::Timestamp;

/// Elasticsearch's wall for names of indexes.
const INDEX_BYTES_MAX: usize = 255;
/// And for ids.
const ID_BYTES_MAX: usize = 512;

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Create(Target),
    Index(Target),
    Delete(Target),
    Update(Target),
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Target {
    #[serde(rename = "_index")]
    index: Option<String>,
    /// Clients send ids as text or as numbers.
    #[serde(rename = "_id", deserialize_with = "id")]
    id: Option<String>,
}

fn id<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match Option::<Scalar>::deserialize(from)? {
        None => Ok(None),
        Some(Scalar::Text(id)) => Ok(Some(id)),
        Some(Scalar::Int(id)) => Ok(Some(id.to_string())),
        Some(Scalar::Unsigned(_) | Scalar::Float(_)) => Err(D::Error::custom("no id")),
    }
}

pub(super) fn decode(
    body: &Bytes,
    path_index: Option<&str>,
    names: &FieldNames,
    push_limits: &PushLimits,
    now: Timestamp,
) -> Result<Decoded, PushError> {
    let mut decoded = Decoded::with_items();
    let mut lines = lines(body);
    let mut count = 0usize;
    while let Some((number, line)) = lines.next() {
        count += 1;
        if count > limits::PUSH_ITEMS_MAX {
            return Err(PushError::TooMany { entries_max: limits::PUSH_ITEMS_MAX });
        }
        // What follows cannot be told apart any more, so the whole body is refused, as there.
        let action: Action = serde_json::from_slice(&line).map_err(|_| {
            PushError::Bulk(format!(
                "Malformed action/metadata line [{number}], expected one of [create, delete, index, update]"
            ))
        })?;
        let (name, target, document) = match action {
            Action::Create(target) => ("create", target, true),
            Action::Index(target) => ("index", target, true),
            Action::Update(target) => ("update", target, true),
            Action::Delete(target) => ("delete", target, false),
        };
        let document = if document {
            let Some((_, line)) = lines.next() else {
                return Err(PushError::Bulk(format!(
                    "the action on line [{number}] has no document; the body must end with one and a newline"
                )));
            };
            Some(line)
        } else {
            None
        };
        let item = Item {
            line: number,
            action: name,
            index: target.index.or_else(|| path_index.map(ToOwned::to_owned)).unwrap_or_default(),
            id: target.id.unwrap_or_default(),
            fault: None,
        };
        let taken = check(&item).and_then(|()| {
            let Some(document) = document else { return Err(unsupported(name)) };
            let labels = [("index", item.index.as_str())];
            fields::read(&document, names, &labels, &item.index, push_limits, now)
        });
        decoded.push_item(item, taken)?;
    }
    if count == 0 {
        return Err(PushError::Bulk("request body is required".to_owned()));
    }
    Ok(decoded)
}

fn unsupported(action: &str) -> Fault {
    Fault::new(
        FaultKind::Unsupported,
        format!("[{action}] is not supported: log lines are only added; use create or index"),
    )
}

fn check(item: &Item) -> Result<(), Fault> {
    if matches!(item.action, "delete" | "update") {
        return Err(unsupported(item.action));
    }
    if item.index.is_empty() {
        return Err(malformed("an index is missing: name it in the action or in the path"));
    }
    if item.index.len() > INDEX_BYTES_MAX {
        return Err(malformed(format!(
            "the name of the index has more than {INDEX_BYTES_MAX} bytes"
        )));
    }
    if item.id.len() > ID_BYTES_MAX {
        return Err(malformed(format!("the id has more than {ID_BYTES_MAX} bytes")));
    }
    Ok(())
}
