//! Labels of pushes by their text. Clients send the same few hundred texts with every push, and
//! reading one costs a dozen allocations.

use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::limits::{LABEL_TEXT_BYTES_MAX, LABEL_TEXTS_MAX, LABELS_BYTES_MAX};
use crate::model::{Labels, LabelsError, Recent};

static KNOWN: LazyLock<Mutex<Recent<Box<str>, Labels>>> =
    LazyLock::new(|| Mutex::new(Recent::new(LABEL_TEXTS_MAX)));

/// Whether the labels of one stream are few enough to be looked at: those that break a limit are
/// shown in the answer.
pub(super) fn check_size(bytes: usize) -> Result<(), LabelsError> {
    if bytes > LABELS_BYTES_MAX { Err(LabelsError::TooLong(LABELS_BYTES_MAX)) } else { Ok(()) }
}

/// `Labels::parse`, remembered. Longer texts are read anew each time.
pub(super) fn labels_of(text: &str) -> Result<Labels, LabelsError> {
    check_size(text.len())?;
    if text.len() > LABEL_TEXT_BYTES_MAX {
        return Labels::parse(text);
    }
    if let Some(labels) = KNOWN.lock().get(text) {
        return Ok(labels);
    }
    let labels = Labels::parse(text)?;
    KNOWN.lock().put(text.into(), labels.clone());
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_as_parsing() {
        let long = format!(r#"{{a="{}"}}"#, "x".repeat(LABEL_TEXT_BYTES_MAX));
        for text in [r#"{b="2", a="1"}"#, r#"{a="1", b="2"}"#, "{}", "{", r#"{a='1'}"#, &long] {
            for _ in 0..2 {
                assert_eq!(labels_of(text), Labels::parse(text), "{text}");
            }
        }
    }

    #[test]
    fn refuses_endless_labels() {
        let long = format!(r#"{{a="{}"}}"#, "x".repeat(LABELS_BYTES_MAX));
        assert_eq!(labels_of(&long), Err(LabelsError::TooLong(LABELS_BYTES_MAX)));
    }
}
